"""The SpeechEQ model: one speech encoder and four heads.

The model follows *SpeechEQ: Speech Emotion Recognition based on Multi-scale Unified Datasets and Multitask Learning*
(https://arxiv.org/abs/2206.13101). It learns Emotion State Category, Emotion Intensity Scale, phonemes and gender together.
The paper does not specify the architecture. Here each encoder layer is pooled over time into its mean and standard
deviation, which are standardised. Each utterance head uses a learned weighted sum over the layers
(https://arxiv.org/abs/2105.01051). The phoneme head uses a weighted sum of the frames. With `shallow_states`, ESC and EIS
have a second head each on the first states, and the prediction averages the log-probabilities of both heads.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.models.auto.modeling_auto import MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES
from transformers.utils import cached_file

from .backbones_speecheq import (
    backbone_from_config,
    backbone_from_pretrained,
    dequantize,
    encode,
    frame_mask,
    is_quantized,
    keep_layers,
    mask_of_padded,
    spec_augment,
)
from .configuration_speecheq import AUTO_MAP, PIPELINES, SpeechEQConfig, save_companions
from .heads_speecheq import (
    FrameAdapter,
    LayerMix,
    OrdinalHead,
    PhonemeHead,
    SpeechEQOutput,
    UncertaintyWeights,
    UtteranceHead,
    class_loss,
    ctc_loss,
    interval_targets,
    mean_set_loss,
)
from .labels_speecheq import TASKS
from .pooling_speecheq import RunningStandardizer, StatisticsPooling

_HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")


class SpeechEQPreTrainedModel(PreTrainedModel):
    """Base class with the weight initialisation and the transformers settings."""

    config_class = SpeechEQConfig
    base_model_prefix = "speecheq"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    input_modalities = ("audio",)
    # The losses are means over utterances, so the Trainer must divide them by the number of accumulation steps.
    accepts_loss_kwargs = False

    @torch.no_grad()
    def _init_weights(self, module):
        if isinstance(module, nn.Linear):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Conv1d):
            init.kaiming_normal_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)
        elif isinstance(module, RunningStandardizer):
            init.zeros_(module.mean)
            init.ones_(module.variance)
            init.zeros_(module.num_batches)
        elif isinstance(module, OrdinalHead):
            first, steps = module.initial_thresholds()
            init.copy_(module.first_threshold, first)
            init.copy_(module.log_steps, steps)
        elif isinstance(module, LayerMix):
            init.zeros_(module.weights)
        elif isinstance(module, UncertaintyWeights):
            init.zeros_(module.log_variances)


class SpeechEQModel(SpeechEQPreTrainedModel):
    """A speech encoder with heads for emotion category, emotion intensity, phonemes and gender.

    Args:
        config (`SpeechEQConfig`): the encoder and the heads. The weights are random; use
            [`~SpeechEQModel.from_backbone`] or `from_pretrained` for trained weights.
    """

    def __init__(self, config: SpeechEQConfig):
        super().__init__(config)
        self.main_input_name = (
            "input_features" if config.backbone_config.model_type in ("whisper", "wav2vec2-bert") else "input_values"
        )
        self.backbone = backbone_from_config(config.backbone_config)
        self.adapter = (
            FrameAdapter(
                config.num_encoder_states,
                config.hidden_size,
                config.adapter_size,
                config.adapter_layers,
                config.head_dropout,
            )
            if config.adapter_size
            else None
        )
        self.pooling = StatisticsPooling(config.head_channels, attentive=config.pooling == "attentive")
        self.standardizer = RunningStandardizer(config.head_states, 2 * config.head_channels)
        self.esc_head = UtteranceHead(config, self._num_classes)
        self.eis_head = OrdinalHead(config)
        self.phoneme_head = PhonemeHead(config)
        self.gender_head = UtteranceHead(config, len(config.gender_labels))
        shallow = config.shallow_states
        self.esc_shallow_head = UtteranceHead(config, self._num_classes, shallow) if shallow else None
        self.eis_shallow_head = OrdinalHead(config, shallow) if shallow else None
        self.uncertainty_weights = UncertaintyWeights(len(TASKS)) if config.uncertainty_weighting else None
        self.post_init()

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *model_args, config=None, **kwargs) -> "SpeechEQModel":
        """Load a model as in transformers, and restore float weights from a file with 8-bit integers."""
        hub = {name: kwargs[name] for name in _HUB_ARGUMENTS if name in kwargs}
        file = None
        if pretrained_model_name_or_path is not None and kwargs.get("state_dict") is None:
            file = cached_file(
                pretrained_model_name_or_path, "model.safetensors", _raise_exceptions_for_missing_entries=False, **hub
            )
        if file is None or not is_quantized(file):
            return super().from_pretrained(pretrained_model_name_or_path, *model_args, config=config, **kwargs)
        kwargs = {name: value for name, value in kwargs.items() if name not in hub}
        if not isinstance(config, PreTrainedConfig):  # as in transformers, the configuration takes its own arguments
            config, kwargs = SpeechEQConfig.from_pretrained(
                config or pretrained_model_name_or_path, return_unused_kwargs=True, **hub, **kwargs
            )
        kwargs.pop("state_dict", None)
        loaded = super().from_pretrained(
            None, *model_args, config=config, state_dict=dequantize(load_file(file)), **kwargs
        )
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        model.config.name_or_path = str(pretrained_model_name_or_path)
        model.config.int8_weights = False  # the weights in memory are floats, and `save_pretrained` writes floats
        return loaded

    @classmethod
    def from_backbone(
        cls, name_or_path: str, num_layers: int | None = None, backbone_kwargs: dict | None = None, **kwargs
    ) -> "SpeechEQModel":
        """Create a model from a pretrained speech encoder and new heads.

        Args:
            name_or_path (`str`): Hub repository or folder of the encoder, for example `openai/whisper-base`.
            num_layers (`int`, *optional*): number of first encoder layers to keep; all by default.
            backbone_kwargs (`dict`, *optional*): arguments of the encoder's `from_pretrained`, for example `revision`.
            kwargs: fields of [`SpeechEQConfig`].

        Raises:
            ValueError: if the encoder type is not supported, a field is unknown, or the encoder has fewer layers.
        """
        backbone = backbone_from_pretrained(name_or_path, **(backbone_kwargs or {}))
        if num_layers is not None:
            keep_layers(backbone, num_layers)
        model = cls(SpeechEQConfig(backbone_config=backbone.config, **kwargs))
        model.backbone = backbone
        return model

    def forward(
        self,
        input_values: torch.Tensor | None = None,
        input_features: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        esc_labels: torch.Tensor | None = None,
        eis_labels: torch.Tensor | None = None,
        phoneme_labels: torch.Tensor | None = None,
        gender_labels: torch.Tensor | None = None,
        esc_offsets: torch.Tensor | None = None,
        speaker_mean: torch.Tensor | None = None,
        speaker_std: torch.Tensor | None = None,
        encoder_states: torch.Tensor | None = None,
        return_dict: bool | None = None,
    ) -> SpeechEQOutput | tuple:
        """
        Args:
            input_values (`torch.FloatTensor` of shape `(batch, samples)`, *optional*): waveform, for waveform encoders.
            input_features (`torch.FloatTensor`, *optional*): log-mel features for the others: `(batch, mels, frames)` for
                whisper, `(batch, frames, channels)` for wav2vec2-bert. [`SpeechEQProcessor`] returns the right one.
            attention_mask (`torch.LongTensor` of shape `(batch, samples or frames)`, *optional*): 1 on speech, 0 on padding
                at the end; all 1 by default.
            esc_labels (`torch.FloatTensor` of shape `(batch, sets, classes)` or `(batch, classes)`, *optional*):
                distribution over sets of fine classes: the weight of a set on its members, 0 elsewhere. Missing: all 1.
            eis_labels (`torch.FloatTensor` of shape `(batch, 2)`, *optional*): low and high intensity in `[0, 1]`.
                Missing: -100.
            phoneme_labels (`torch.LongTensor` of shape `(batch, length)`, *optional*): symbol ids, padded with -100.
            gender_labels (`torch.LongTensor` of shape `(batch,)`, *optional*): class ids. Missing: -100.
            esc_offsets (`torch.FloatTensor` of shape `(batch, classes)`, *optional*): log prior of each class in the corpus
                of the utterance, added to the logits in the loss only (logit adjustment, https://arxiv.org/abs/2007.07314).
                A class that a corpus lacks is then not a negative example. See `speecheq.training.batches.corpus_priors`.
            speaker_mean, speaker_std (`torch.FloatTensor` of shape `(states, 2 * hidden)` or
                `(batch, states, 2 * hidden)`, *optional*): speaker statistics from [`SpeakerStatistics`], which standardise
                the input of ESC and EIS. By default the training corpus statistics.
            encoder_states (`torch.FloatTensor` of shape `(batch, frames, states, hidden)`, *optional*): precomputed encoder
                states. The encoder does not run, and `attention_mask` has one value per frame.
            return_dict (`bool`, *optional*, defaults to `config.return_dict`): `False` returns a tuple.

        Returns:
            [`SpeechEQOutput`], or a `tuple` of its values that are not `None`.

        Raises:
            ValueError: if the encoder input is missing, or an utterance is longer than the 30 s limit of whisper.
        """
        inputs = input_features if self.main_input_name == "input_features" else input_values
        if encoder_states is not None:
            size, device = encoder_states.shape[:2], encoder_states.device
            mask = torch.ones(size, dtype=torch.long, device=device) if attention_mask is None else attention_mask
            lengths, states = mask.sum(dim=-1), encoder_states.to(self.dtype).unbind(dim=2)
        elif inputs is None:
            raise ValueError(
                f"SpeechEQModel: {self.main_input_name} must be given for a {self.config.backbone_config.model_type} "
                "backbone; got None. Create the inputs with the processor of the model."
            )
        else:
            states, lengths = encode(self.backbone, inputs, self._lengths(inputs, attention_mask), self._spec_augment)
        mask = frame_mask(lengths, states[0].shape[1])
        if self.adapter is not None:
            states = [self.adapter(states, mask)]
        output = self.score_statistics(self.pooling(states, mask), speaker_mean, speaker_std)
        output.phoneme_logits, output.frame_lengths = self.phoneme_head(states), lengths
        self.add_losses(output, esc_labels, eis_labels, phoneme_labels, gender_labels, esc_offsets)
        output = SpeechEQOutput(**output)  # restores the declared order: in a tuple the loss must come first
        return output if return_dict or (return_dict is None and self.config.return_dict) else output.to_tuple()

    def score_statistics(
        self,
        statistics: torch.Tensor,
        speaker_mean: torch.Tensor | None = None,
        speaker_std: torch.Tensor | None = None,
    ) -> SpeechEQOutput:
        """Run the three utterance heads on pooled statistics.

        Args:
            statistics (`torch.FloatTensor` of shape `(batch, states, 2 * hidden)`): `statistics` of a `forward` output.
            speaker_mean, speaker_std (*optional*): as in `forward`.

        Returns:
            [`SpeechEQOutput`] without losses and phoneme logits.
        """
        voice = self.standardizer(statistics)  # speaker normalisation would remove the gender
        emotion = voice if speaker_mean is None else self.standardizer(statistics, speaker_mean, speaker_std)
        logits = {"esc": self.esc_head(emotion), "eis": self.eis_head(emotion), "gender": self.gender_head(voice)}
        shallow = {}
        if self.config.shallow_states:
            shallow_input = emotion[:, : self.config.shallow_states]
            shallow = {"esc": self.esc_shallow_head(shallow_input), "eis": self.eis_shallow_head(shallow_input)}
            if not self.training:  # inference averages both heads; in training each head has its own loss
                logits |= {task: self._mean_scores(logits[task], shallow[task]) for task in shallow}
                shallow = {}
        eis = self._expected_intensity(logits["eis"])  # before scaling: a temperature would shift it to mid-scale
        if not self.training:
            logits = {task: scores / self._temperature(task) for task, scores in logits.items()}
        return SpeechEQOutput(
            esc_logits=logits["esc"],
            eis_logits=logits["eis"],
            eis=eis,
            gender_logits=logits["gender"],
            esc_shallow_logits=shallow.get("esc"),
            eis_shallow_logits=shallow.get("eis"),
            statistics=statistics,
        )

    @property
    def _num_classes(self) -> int:
        return len(self.config.esc_labels)

    def _temperature(self, task: str) -> float:
        return self.config.temperatures[task]

    @staticmethod
    def _mean_scores(deep: torch.Tensor, shallow: torch.Tensor) -> torch.Tensor:
        return (deep.log_softmax(-1) + shallow.log_softmax(-1)) / 2

    def _lengths(self, inputs: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        if attention_mask is not None:
            return attention_mask.sum(dim=-1).long()
        size = inputs.shape[2] if self.config.backbone_config.model_type == "whisper" else inputs.shape[1]
        return torch.full((inputs.shape[0],), size, device=inputs.device)

    @staticmethod
    def _expected_intensity(eis_logits: torch.Tensor) -> torch.Tensor:
        levels = torch.linspace(0, 1, eis_logits.shape[-1], device=eis_logits.device)
        return eis_logits.softmax(dim=-1) @ levels

    def add_losses(
        self,
        output: SpeechEQOutput,
        esc_labels=None,
        eis_labels=None,
        phoneme_labels=None,
        gender_labels=None,
        esc_offsets=None,
    ):
        """Add the losses of all tasks with labels to an output, in place; arguments as in `forward`."""
        if esc_labels is not None:
            output.esc_loss = mean_set_loss(esc_labels, esc_offsets, output.esc_logits, output.esc_shallow_logits)
        if eis_labels is not None:
            levels = interval_targets(eis_labels, len(self.config.eis_labels))
            output.eis_loss = mean_set_loss(levels, None, output.eis_logits, output.eis_shallow_logits)
        if phoneme_labels is not None:
            output.phoneme_loss = ctc_loss(output.phoneme_logits, output.frame_lengths, phoneme_labels)
        if gender_labels is not None:
            output.gender_loss = class_loss(output.gender_logits, gender_labels)
        losses = {task: output[f"{task}_loss"] for task in TASKS if output.get(f"{task}_loss") is not None}
        losses = {task: self.config.loss_weights[task] * loss for task, loss in losses.items()}
        if self.uncertainty_weights is not None:
            losses = {task: self.uncertainty_weights(TASKS.index(task), loss) for task, loss in losses.items()}
        if losses:
            output.loss = sum(losses.values())

    def save_pretrained(self, save_directory, push_to_hub: bool = False, **kwargs):
        """Save as in transformers, with the code, and with the default processor if the folder has none.

        `pipeline(model=save_directory, trust_remote_code=True)` loads the folder.
        """
        names = ("repo_id", "commit_message", "create_pr", "private", "revision")
        hub = {name: kwargs.pop(name) for name in names if push_to_hub and name in kwargs}
        self.config.backbone_config._name_or_path = ""  # do not publish a path of this machine
        self.config.auto_map, self.config.custom_pipelines = dict(AUTO_MAP), self._pipelines
        super().save_pretrained(save_directory, **kwargs)
        if kwargs.get("is_main_process", True):
            save_companions(self, save_directory)
        if push_to_hub:
            self.push_to_hub(hub.pop("repo_id", Path(save_directory).name), token=kwargs.get("token"), **hub)

    @property
    def _pipelines(self) -> dict:
        return PIPELINES

    def _spec_augment(self, features: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return spec_augment(features, self.config) if self.training else features


class SpeechEQForAudioClassification(SpeechEQModel):
    """A SpeechEQ model for the standard task `audio-classification`, with the same weights as [`SpeechEQModel`].

    By default the classes are the fine classes of `esc_labels`. With `num_labels` or `id2label`, and
    `ignore_mismatched_sizes=True` in `from_pretrained`, the last layer of the ESC head is new and has your own classes.

    Args:
        config (`SpeechEQConfig`): `id2label` has the classes.
    """

    _auto_class = "AutoModelForAudioClassification"

    def forward(
        self,
        input_values: torch.Tensor | None = None,
        input_features: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        return_dict: bool | None = None,
    ) -> SequenceClassifierOutput | tuple:
        """
        Args:
            input_values, input_features, attention_mask (*optional*): as in [`SpeechEQModel`]. Without `attention_mask`,
                zeros at the end of an utterance are padding.
            labels (`torch.LongTensor` of shape `(batch,)`, *optional*): class ids. For the other values of
                `config.problem_type`: targets, `torch.FloatTensor` of shape `(batch,)` or `(batch, classes)`.
            return_dict (`bool`, *optional*, defaults to `config.return_dict`): `False` returns a tuple.

        Returns:
            `SequenceClassifierOutput`, or a tuple, with `loss` if `labels` is given, and `logits`, `torch.FloatTensor` of
            shape `(batch, classes)`. In inference, the temperature divides the logits of the fine classes.
        """
        inputs = input_features if self.main_input_name == "input_features" else input_values
        if attention_mask is None and inputs is not None:
            attention_mask = mask_of_padded(self.config.backbone_config.model_type, inputs)
        output = super().forward(input_values, input_features, attention_mask, return_dict=True)
        logits, loss = output.esc_logits, None
        if labels is not None:
            heads = [scores for scores in (logits, output.esc_shallow_logits) if scores is not None]
            loss = sum(self.loss_function(labels, scores, self.config) for scores in heads) / len(heads)
        output = SequenceClassifierOutput(loss=loss, logits=logits)
        return output if return_dict or (return_dict is None and self.config.return_dict) else output.to_tuple()

    def freeze_feature_encoder(self):
        """Freeze the convolutions before the layers of the encoder; the example script of transformers calls it."""
        for name in ("feature_extractor", "conv1", "conv2"):
            if hasattr(self.backbone, name):
                getattr(self.backbone, name).requires_grad_(False)

    def freeze_base_model(self):
        """Freeze the encoder, so that only the adapter and the head are trained."""
        self.backbone.requires_grad_(False)

    @property
    def _pipelines(self) -> dict:
        return PIPELINES if self._has_fine_classes else {}  # the pipeline of SpeechEQModel has no other classes

    @property
    def _num_classes(self) -> int:
        return self.config.num_labels

    def _temperature(self, task: str) -> float:
        return super()._temperature(task) if self._has_fine_classes else 1.0  # it is fitted for the fine classes

    @property
    def _has_fine_classes(self) -> bool:
        return self.config.id2label == dict(enumerate(self.config.esc_labels))

    @staticmethod
    def _mean_scores(deep: torch.Tensor, shallow: torch.Tensor) -> torch.Tensor:
        return (deep + shallow) / 2  # the same probabilities, and correct for any `problem_type`


# The pipeline of the task logs an error for a class that is not in this table.
MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES.setdefault("speecheq", "SpeechEQForAudioClassification")

__all__ = ["SpeechEQForAudioClassification", "SpeechEQModel", "SpeechEQOutput", "SpeechEQPreTrainedModel"]
