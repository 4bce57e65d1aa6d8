"""Configuration of SpeechEQ: the speech encoder, the four heads and the losses."""

import difflib
import os
from pathlib import Path

from huggingface_hub.dataclasses import strict
from transformers import AutoConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.dynamic_module_utils import custom_object_save, get_class_from_dynamic_module
from transformers.utils import logging

from .labels_speecheq import CTC_BLANK, EIS_LABELS, ESC_LABELS, ESC_SCALES, GENDER_LABELS, TASKS, UTTERANCE_TASKS

BACKBONE_TYPES = (
    "whisper", "wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech-sat", "wav2vec2-bert",
)  # fmt: skip
POOLINGS = ("statistics", "attentive")
# Pipeline that `pipeline(model=...)` creates from a folder: https://hf.co/docs/transformers/add_new_pipeline.
PIPELINES = {
    "speech-emotion-recognition": {"impl": "pipeline_speecheq.SpeechEQPipeline", "pt": ["AutoModel"], "type": "audio"}
}
# Classes that the Auto classes load from such a folder.
AUTO_MAP = {
    "AutoConfig": "configuration_speecheq.SpeechEQConfig",
    "AutoModel": "modeling_speecheq.SpeechEQModel",
    "AutoModelForAudioClassification": "modeling_speecheq.SpeechEQForAudioClassification",
}
PROCESSOR = "processing_speecheq.SpeechEQProcessor"

# Fields that transformers itself writes into a configuration or passes to it.
_FRAMEWORK_FIELDS = {
    "_attn_implementation", "_commit_hash", "_name_or_path", "attn_implementation", "auto_map", "custom_pipelines",
    "experts_implementation", "finetuning_task", "model_type", "name_or_path", "num_labels", "output_attentions",
    "quantization_config", "torch_dtype", "use_cache",
}  # fmt: skip

logger = logging.get_logger(__name__)


@strict
class SpeechEQConfig(PreTrainedConfig):
    r"""Configuration of a [`SpeechEQModel`] or a [`SpeechEQForAudioClassification`].

    Args:
        backbone_config (`dict` or `PreTrainedConfig`, *optional*, defaults to a `WhisperConfig`):
            The speech encoder: one of whisper (its encoder), wav2vec2, hubert, wavlm, data2vec-audio, unispeech-sat and
            wav2vec2-bert.
        esc_labels (`list[str]`, *optional*, defaults to the 12 fine classes):
            Fine classes of the Emotion State Category, in the order of `esc_logits`.
        esc_scales (`dict[str, dict[str, list[str]]]`, *optional*, defaults to `{"basic": ..., "valence": ...}`):
            Coarser scales: scale name -> coarse class -> the fine classes whose probabilities it sums.
        eis_labels (`list[str]`, *optional*, defaults to `["none", "low", "moderate", "high", "extreme"]`):
            Ordered levels of the Emotion Intensity Scale. `K` levels have the values `0, 1/(K-1), ..., 1`.
        gender_labels (`list[str]`, *optional*, defaults to `["female", "male"]`):
            Gender classes, in the order of `gender_logits`.
        phoneme_labels (`list[str]`, *optional*, defaults to `["<blank>"]`):
            IPA symbols, in the order of `phoneme_logits`. The first is the CTC blank.
        adapter_size (`int`, *optional*, defaults to 0):
            Channels of the [`FrameAdapter`] between the encoder and the heads. 0 means no adapter: the heads use the
            encoder states.
        adapter_layers (`int`, *optional*, defaults to 2):
            Number of convolutions of the adapter.
        pooling (`str`, *optional*, defaults to `"statistics"`):
            Pooling of frames: `"statistics"` (mean and standard deviation over the speech frames) or
            `"attentive"` (the same, weighted by learned attention: https://arxiv.org/abs/1803.10963).
        shallow_states (`int`, *optional*, defaults to 0):
            Number of first states that a second ESC head and a second EIS head use. The prediction averages the
            log-probabilities of both heads: fine-tuned layers fit the training speakers, unchanged layers generalise
            better (https://arxiv.org/abs/2109.01903). 0 means no second heads.
        head_hidden_size (`int`, *optional*, defaults to 0):
            Width of the hidden layer of the utterance heads. 0 means none: the heads are linear.
        head_dropout (`float`, *optional*, defaults to 0.1):
            Dropout probability before each head.
        loss_weights (`dict[str, float]`, *optional*, defaults to 1.0 for each of `esc`, `eis`, `phoneme`, `gender`):
            Weight of each task in the loss. 0 disables training of a task.
        speaker_prior (`float`, *optional*, defaults to 3.0):
            Weight of the training corpus in the speaker statistics, in pseudo-utterances.
        temperatures (`dict[str, float]`, *optional*, defaults to 1.0 for each of `esc`, `eis`, `gender`):
            Temperatures that divide the logits at inference, fitted on the validation split (temperature scaling,
            https://arxiv.org/abs/1706.04599). The most probable fine class, the gender and the expected intensity
            stay the same; sums over fine classes change.
        abstain_below (`float`, *optional*, defaults to 0.0):
            Probability below which the pipeline gives no label; chosen on the validation split.
        uncertainty_weighting (`bool`, *optional*, defaults to `False`):
            Learn one more weight per task from its uncertainty (https://arxiv.org/abs/1705.07115).
        mask_time_prob (`float`, *optional*, defaults to 0.0):
            Approximate share of masked frames, in training only (SpecAugment, https://arxiv.org/abs/1904.08779).
        mask_time_length (`int`, *optional*, defaults to 10):
            Length of one time mask, in frames of the encoder input.
        mask_feature_prob (`float`, *optional*, defaults to 0.0):
            Approximate share of masked feature channels.
        mask_feature_length (`int`, *optional*, defaults to 8):
            Length of one feature mask, in channels.
        int8_weights (`bool`, *optional*, defaults to `False`):
            Whether the weight file stores matrices as 8-bit integers. `from_pretrained` restores float weights.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the initial weights of the heads.
        id2label (`dict[int, str]`, *optional*, defaults to `esc_labels`):
            Classes of [`SpeechEQForAudioClassification`]. The other models do not use them.

    Raises:
        ValueError: if a field is unknown (the message suggests the nearest known field) or its value is out of range.

    Example:

    ```python
    >>> from speecheq import SpeechEQConfig, SpeechEQModel

    >>> config = SpeechEQConfig(backbone_config={"model_type": "wav2vec2"})
    >>> model = SpeechEQModel(config)
    ```
    """

    model_type = "speecheq"
    sub_configs_defaults = {"backbone_config": SubConfigSpec(config_class=AutoConfig, model_type="whisper")}

    backbone_config: dict | PreTrainedConfig | None = None
    esc_labels: list[str] | None = None
    esc_scales: dict[str, dict[str, list[str]]] | None = None
    eis_labels: list[str] | None = None
    gender_labels: list[str] | None = None
    phoneme_labels: list[str] | None = None
    adapter_size: int = 0
    adapter_layers: int = 2
    pooling: str = "statistics"
    shallow_states: int = 0
    head_hidden_size: int = 0
    head_dropout: float | int = 0.1
    loss_weights: dict[str, float | int] | None = None
    speaker_prior: float | int = 3.0
    temperatures: dict[str, float | int] | None = None
    abstain_below: float | int = 0.0
    uncertainty_weighting: bool = False
    mask_time_prob: float | int = 0.0
    mask_time_length: int = 10
    mask_feature_prob: float | int = 0.0
    mask_feature_length: int = 8
    int8_weights: bool = False
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs):
        self._refuse_unknown_fields(kwargs)
        self.esc_labels = list(self.esc_labels or ESC_LABELS)
        self.esc_scales = self.esc_scales or ESC_SCALES
        self.eis_labels = list(self.eis_labels or EIS_LABELS)
        self.gender_labels = list(self.gender_labels or GENDER_LABELS)
        self.phoneme_labels = list(self.phoneme_labels or [CTC_BLANK])
        self.loss_weights = dict.fromkeys(TASKS, 1.0) | (self.loss_weights or {})
        self.temperatures = dict.fromkeys(UTTERANCE_TASKS, 1.0) | (self.temperatures or {})
        if self.id2label is None and kwargs.get("num_labels") in (None, len(self.esc_labels)):
            self.id2label = dict(enumerate(self.esc_labels))
        super().__post_init__(**kwargs)
        self.id2label = dict(sorted(self.id2label.items()))  # a JSON file has 10 before 2
        self.label2id = {label: index for index, label in self.id2label.items()}
        self._check_values()

    @classmethod
    def from_dict(cls, config_dict: dict, **kwargs):
        """Create a configuration as in transformers; `kwargs` override fields and are checked like them.

        `loss_weights` and `temperatures` may be partial: the other entries keep their values. `esc_labels`, `id2label` or
        another number of labels replace the `id2label` of `config_dict`.
        """
        declared = cls.__dataclass_fields__.keys() - PreTrainedConfig.__dataclass_fields__.keys() - {"backbone_config"}
        given = {name: kwargs.pop(name) for name in declared & kwargs.keys()}
        for name in ("loss_weights", "temperatures"):
            if given.get(name) is not None:
                given[name] = (config_dict.get(name) or {}) | given[name]
        given |= {name: kwargs.pop(name) for name in ("id2label", "label2id", "num_labels") if name in kwargs}
        stored = config_dict.get("id2label") or {}
        if "esc_labels" in given or given.get("num_labels", len(stored)) != len(stored):
            config_dict = config_dict | {"id2label": None}
        return super().from_dict(config_dict | given, **kwargs)

    def to_diff_dict(self) -> dict:
        """Return the fields to save. `id2label` is among them even if transformers has the same default."""
        return super().to_diff_dict() | {"id2label": self.id2label, "label2id": self.label2id}

    @property
    def hidden_size(self) -> int:
        """Channels of the encoder output."""
        return self.backbone_config.hidden_size

    @property
    def num_encoder_states(self) -> int:
        """Number of encoder states: the input of the first layer and the output of each layer."""
        return self.backbone_config.num_hidden_layers + 1

    @property
    def head_states(self) -> int:
        """Number of states that the heads use: all encoder states, or the single adapter state."""
        return 1 if self.adapter_size else self.num_encoder_states

    @property
    def head_channels(self) -> int:
        """Channels of each state that the heads use."""
        return self.adapter_size or self.hidden_size

    def _refuse_unknown_fields(self, kwargs: dict):
        declared = set(type(self).__dataclass_fields__)
        for name in kwargs:
            if name not in declared | _FRAMEWORK_FIELDS:
                nearest = difflib.get_close_matches(name, declared, n=1)
                hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
                raise ValueError(f"SpeechEQConfig: unknown field {name!r}.{hint}")

    def _check_values(self):
        def check(holds: bool, field: str, rule: str):
            if not holds:
                raise ValueError(f"SpeechEQConfig: {field} must {rule}; got {getattr(self, field)!r}.")

        backbone_type = self.backbone_config.model_type
        if backbone_type not in BACKBONE_TYPES:
            raise ValueError(
                f"SpeechEQConfig: backbone_config must have a model_type among {', '.join(BACKBONE_TYPES)}; "
                f"got {backbone_type!r}."
            )
        check(self.adapter_size >= 0, "adapter_size", "be 0 or more")
        check(self.adapter_layers >= 0, "adapter_layers", "be 0 or more")
        check(self.pooling in POOLINGS, "pooling", f"be one of {', '.join(POOLINGS)}")
        limit = 0 if self.adapter_size else self.num_encoder_states  # an adapter has a single state for all heads
        check(
            0 <= self.shallow_states <= limit,
            "shallow_states",
            f"lie in [0, {limit}]{' with an adapter' * (not limit)}",
        )
        check(self.head_hidden_size >= 0, "head_hidden_size", "be 0 or more")
        check(0 <= self.head_dropout < 1, "head_dropout", "lie in [0, 1)")
        check(0 <= self.mask_time_prob < 1, "mask_time_prob", "lie in [0, 1)")
        check(0 <= self.mask_feature_prob < 1, "mask_feature_prob", "lie in [0, 1)")
        check(self.mask_time_length > 0, "mask_time_length", "be positive")
        check(self.mask_feature_length > 0, "mask_feature_length", "be positive")
        check(len(self.eis_labels) >= 2, "eis_labels", "have at least 2 levels")
        check(self.phoneme_labels[0] == CTC_BLANK, "phoneme_labels", f"begin with {CTC_BLANK!r}")
        check(set(self.loss_weights) == set(TASKS), "loss_weights", f"have keys among {', '.join(TASKS)}")
        check(min(self.loss_weights.values()) >= 0, "loss_weights", "be 0 or more")
        check(self.speaker_prior > 0, "speaker_prior", "be positive")
        check(
            set(self.temperatures) == set(UTTERANCE_TASKS),
            "temperatures",
            f"have keys among {', '.join(UTTERANCE_TASKS)}",
        )
        check(0 <= self.abstain_below <= 1, "abstain_below", "lie in [0, 1]")
        check(min(self.temperatures.values()) > 0, "temperatures", "be positive")
        for field in ("esc_labels", "eis_labels", "gender_labels", "phoneme_labels"):
            check(len(set(getattr(self, field))) == len(getattr(self, field)), field, "contain each label once")
        for scale, classes in self.esc_scales.items():
            members = sorted(fine for fines in classes.values() for fine in fines)
            check(members == sorted(self.esc_labels), "esc_scales", f"contain each fine class once in {scale!r}")


def save_companions(model, folder: str | os.PathLike):
    """Save beside a model what the Auto classes and `pipeline` load: the code, and a processor if the folder has none.

    The code comes from the package, or from the folder or the repository that the model was loaded from. If that is gone, a
    warning names the missing part.

    Args:
        model ([`SpeechEQModel`] or [`SpeechEQForAudioClassification`]): saved model.
        folder (`str` or `os.PathLike`): its folder. If it is the folder of the code, nothing is written.
    """
    if Path(folder).resolve() == Path(__file__).resolve().parent:
        return
    for part in (model, model.config):
        custom_object_save(part, folder)
    try:
        if not (Path(folder) / "processor_config.json").is_file():
            save_processor(_class_of(PROCESSOR, model.config).for_config(model.config), folder)
        for kind in model.config.custom_pipelines.values():
            custom_object_save(_class_of(kind["impl"], model.config), folder)
    except (
        OSError,
        ValueError,
        ImportError,
    ) as error:  # ValueError: the path of a folder that is gone is no repository
        text = "%s has no code of processor and pipeline, so that `pipeline(model=%r)` fails: %s. Copy them there from the "
        logger.warning(text + "folder that the model was loaded from.", folder, str(folder), error)


def save_processor(processor, folder: str | os.PathLike):
    """Save a processor with its code.

    Args:
        processor ([`SpeechEQProcessor`]): processor.
        folder (`str` or `os.PathLike`): folder, which must not contain the code itself.
    """
    for auto_class, part in {"AutoProcessor": processor, "AutoFeatureExtractor": processor.feature_extractor}.items():
        if type(part)._auto_class is None:
            type(part).register_for_auto_class(auto_class)
    processor.save_pretrained(folder)


def save_with_code(model, processor, folder: str | os.PathLike, **kwargs):
    """Save a model with the code of model and pipeline, and with its processor.

    Args:
        model ([`SpeechEQModel`] or [`SpeechEQForAudioClassification`]): model to save; may be loaded as remote code.
        processor ([`SpeechEQProcessor`]): its processor.
        folder (`str` or `os.PathLike`): folder, created if missing; must not contain the code itself.
        kwargs: arguments of the model's `save_pretrained`.
    """
    model.save_pretrained(folder, **kwargs)
    save_processor(processor, folder)  # after the model, which saves the default processor


def _class_of(reference: str, config: SpeechEQConfig) -> type:
    """Load a class of the package. As remote code, load it from the source of the model, which the user already trusts."""
    remote = __name__.startswith("transformers_modules.")
    source = config.name_or_path if remote else str(Path(__file__).resolve().parent)
    return get_class_from_dynamic_module(reference, source, revision=getattr(config, "_commit_hash", None))


__all__ = ["SpeechEQConfig"]
