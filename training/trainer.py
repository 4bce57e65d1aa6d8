"""Trainer of SpeechEQ: balanced batches of similar lengths, a logged loss per task, scores of all four tasks."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import Trainer

from speecheq.backbones_speecheq import encoder_layers
from speecheq.labels_speecheq import MISSING, TASKS
from speecheq.metrics.scores import eis_scores, esc_scores, gender_scores, phoneme_scores
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.training.batches import BalancedLengthSampler, Collator, SpeechDataset, sampling_weights
from speecheq.training.seqd import column
from speecheq.training.speakers import SpeakerMemory, speakers_to_know

LABEL_NAMES = [f"{task}_labels" for task in TASKS]
TUNINGS = ("frozen", "lora", "full")
_HEADS = (
    "adapter",
    "pooling",
    "standardizer",
    "esc_head",
    "eis_head",
    "phoneme_head",
    "gender_head",
    "esc_shallow_head",
    "eis_shallow_head",
    "uncertainty_weights",
)


def prepare_tuning(
    model: SpeechEQModel, tuning: str, lora_rank: int = 8, frozen_layers: int = 0
) -> SpeechEQModel | PeftModel:
    """Select the trainable parameters of the encoder. The heads are always trained.

    Args:
        model ([`SpeechEQModel`]): to train.
        tuning (`str`): `frozen` (heads only), `lora` (heads, and adapters in the encoder's linear layers:
            https://arxiv.org/abs/2106.09685) or `full`.
        lora_rank (`int`, *optional*, defaults to 8): rank of the adapters; alpha is twice the rank.
        frozen_layers (`int`, *optional*, defaults to 0): with `full` and `lora`, number of first layers to freeze; if
            positive, everything before them is frozen too.

    Returns:
        [`SpeechEQModel`], or a `PeftModel` of it with `lora`.

    Raises:
        ValueError: if `tuning` is unknown, or `frozen_layers` is too large; `lora` needs one layer that is not frozen.
    """
    if tuning not in TUNINGS:
        raise ValueError(f"prepare_tuning: tuning must be one of {', '.join(TUNINGS)}; got {tuning!r}.")
    layers = encoder_layers(model.backbone)
    most = len(layers) - (tuning == "lora")  # an adapter needs a layer
    if not 0 <= frozen_layers <= most:
        raise ValueError(
            f"prepare_tuning: frozen_layers must lie in [0, {most}] with tuning {tuning}; got {frozen_layers}. "
            "To freeze all layers, use tuning frozen."
        )
    if tuning == "lora":
        heads = [name for name in _HEADS if getattr(model, name, None) is not None]
        return get_peft_model(
            model,
            LoraConfig(
                r=lora_rank,
                lora_alpha=2 * lora_rank,
                lora_dropout=0.05,
                target_modules=lora_targets(model, frozen_layers),
                modules_to_save=heads,
            ),
        )
    if tuning == "frozen" or frozen_layers:
        model.backbone.requires_grad_(False)
    if tuning == "full" and frozen_layers:
        for module in [*layers[frozen_layers:], *_after_layers(model)]:
            module.requires_grad_(True)
    return model


def lora_targets(model: SpeechEQModel, frozen_layers: int = 0) -> list[str]:
    """Return the names of the linear layers that LoRA adapts, relative to the model.

    WavLM's four attention projections are excluded: its attention reads their weights without calling them, so an
    adapter would have no effect.
    """
    inert = ("q_proj", "k_proj", "v_proj", "out_proj") if model.config.backbone_config.model_type == "wavlm" else ()
    adapted = {id(module) for layer in encoder_layers(model.backbone)[frozen_layers:] for module in layer.modules()}
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and id(module) in adapted and not name.endswith(inert)
    ]


def score(predictions: tuple, rows, config, decode_phonemes, label_spaces=None) -> dict[str, float]:
    """Score all four tasks.

    Args:
        predictions (`tuple[np.ndarray, ...]`): ESC probabilities `(n, classes)`, EIS values `(n,)`, phoneme ids `(n, frames)`
            with -100 on padding, gender ids `(n,)`.
        rows (`datasets.Dataset`): references, in the same order.
        config ([`SpeechEQConfig`]): with the label sets.
        decode_phonemes (`Callable`): maps ids to IPA symbols.
        label_spaces (`dict`, *optional*): from [`~speecheq.training.seqd.label_spaces`]; by default the labels of the
            rows.

    Returns:
        `dict[str, float]`: scores, named as in `speecheq.metrics.scores`.
    """
    esc, eis, phonemes, gender = predictions
    names = ("corpus", "esc", "native_label", "eis_low", "eis_high", "phonemes", "gender")
    references = {name: column(rows, name) for name in names}
    genders = [None if name is None else config.gender_labels.index(name) for name in references["gender"]]
    corpora = references["corpus"]
    return {
        **esc_scores(
            esc,
            references["esc"],
            references["native_label"],
            corpora,
            labels=config.esc_labels,
            scales=config.esc_scales,
            label_spaces=label_spaces,
        ),
        **eis_scores(eis, references["eis_low"], references["eis_high"], corpora),
        **phoneme_scores(decode_phonemes(phonemes), [symbols or None for symbols in references["phonemes"]], corpora),
        **gender_scores(gender, genders, corpora),
    }


class SpeechEQTrainer(Trainer):
    """[`~transformers.Trainer`] for [`SpeechEQModel`] on SEQD rows.

    Args:
        model: from [`prepare_tuning`].
        args (`TrainingArguments`): `label_names` and `remove_unused_columns` are overwritten.
        processor ([`SpeechEQProcessor`]): of the model.
        train_rows, eval_rows (`datasets.Dataset`, *optional*): splits of SEQD.
        label_spaces (`dict`, *optional*): see [`score`].
        augment (`Callable`, *optional*): waveform augmentation of the training rows.
        use_votes (`bool`, *optional*, defaults to `True`): train on the raters' votes where a corpus has them.
        prior_smoothing (`float`, *optional*, defaults to 1): see `corpus_priors`; 1 leaves the losses without offsets.
        corpus_balance, class_balance (`float`, *optional*, default to 0), corpus_shares (`dict[str, float]`, *optional*):
            see `sampling_weights`.
        backbone_learning_rate (`float`, *optional*, defaults to `args.learning_rate`): of the encoder's parameters.
        enrolment_probability (`float`, *optional*, defaults to 0): probability of using the statistics of a training
            speaker, see [`SpeakerMemory`].
        states ([`EncoderStates`], *optional*): stored hidden states, read instead of the audio of the training rows.
        kwargs: passed to `Trainer`.
    """

    def __init__(
        self,
        model,
        args,
        processor,
        train_rows=None,
        eval_rows=None,
        label_spaces=None,
        augment=None,
        use_votes: bool = True,
        prior_smoothing: float = 1.0,
        corpus_balance: float = 0.0,
        class_balance: float = 0.0,
        corpus_shares: dict[str, float] | None = None,
        backbone_learning_rate: float | None = None,
        enrolment_probability: float = 0.0,
        states=None,
        **kwargs,
    ):
        args.label_names = LABEL_NAMES
        args.remove_unused_columns = False
        config = model.config
        # Sorting by length keeps padding small; predictions come in the order of these rows.
        self.eval_rows = eval_rows.sort("duration", reverse=True) if eval_rows is not None else None
        self.processor = processor
        self._label_spaces = label_spaces
        self._balance = (corpus_balance, class_balance, corpus_shares)
        collator = Collator(processor, config, use_votes)
        if train_rows is not None and prior_smoothing < 1:
            collator.learn_priors(train_rows, sampling_weights(train_rows, *self._balance), prior_smoothing)
        self._backbone_learning_rate = backbone_learning_rate
        self._task_losses = defaultdict(list)
        self._speakers = (
            SpeakerMemory(
                speakers_to_know(train_rows), model.standardizer, config.speaker_prior, enrolment_probability
            )
            if enrolment_probability
            else None
        )
        super().__init__(
            model,
            args,
            data_collator=collator,
            train_dataset=SpeechDataset(train_rows, augment, states) if train_rows is not None else None,
            eval_dataset=SpeechDataset(self.eval_rows) if eval_rows is not None else None,
            compute_metrics=lambda evaluation: self._score(evaluation.predictions),
            **kwargs,
        )

    def score_rows(self, rows, augment=None) -> dict[str, float]:
        """Predict rows of SEQD, with waveforms changed by `augment` if given, and score them; see [`score`]."""
        original, self.eval_rows = self.eval_rows, rows.sort("duration", reverse=True)
        try:
            metrics = self.predict(SpeechDataset(self.eval_rows, augment), metric_key_prefix="test").metrics
        finally:
            self.eval_rows = original
        scores = {name.removeprefix("test_"): value for name, value in metrics.items()}
        return {name: value for name, value in scores.items() if name.split("/")[-1].startswith(TASKS)}

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        speakers = inputs.pop("speakers", None)
        if model.training and self._speakers:
            mean, std = self._speakers.draw(speakers)
            inputs |= {"speaker_mean": mean, "speaker_std": std}
        loss, output = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if model.training:
            if self._speakers:
                self._speakers.update(speakers, output.statistics)
            for task in TASKS:
                self._task_losses[f"{task}_loss"].append(output[f"{task}_loss"].detach())
        return (loss, output) if return_outputs else loss

    def _save_checkpoint(self, model, trial):
        if self._speakers:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            folder.mkdir(parents=True, exist_ok=True)
            self._speakers.save(folder)
        super()._save_checkpoint(model, trial)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        if self._speakers:
            self._speakers.load(Path(resume_from_checkpoint))
        super()._load_from_checkpoint(resume_from_checkpoint, model)

    def log(self, logs: dict[str, float], start_time: float | None = None):
        if "loss" in logs:
            means = {name: torch.stack(values).mean() for name, values in self._task_losses.items()}
            logs |= {name: round(float(self.accelerator.gather(mean).mean()), 4) for name, mean in means.items()}
            self._task_losses.clear()
        super().log(logs, start_time)

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        inputs = self._prepare_inputs(inputs)
        inputs.pop("speakers", None)
        with torch.no_grad(), self.compute_loss_context_manager():
            output = model(**inputs)
        frames = torch.arange(output.phoneme_logits.shape[1], device=output.frame_lengths.device)
        phonemes = output.phoneme_logits.argmax(dim=-1)
        phonemes = phonemes.masked_fill(frames >= output.frame_lengths[:, None], MISSING)
        predictions = (
            output.esc_logits.float().softmax(dim=-1),
            output.eis.float(),
            phonemes,
            output.gender_logits.argmax(dim=-1),
        )
        return output.loss.detach(), predictions, inputs["gender_labels"]

    def _score(self, predictions):
        def decode(ids):
            ids = np.where(ids < 0, 0, ids)  # padding becomes blank, which decoding drops
            return self.processor.decode_phonemes(ids)

        config = self.accelerator.unwrap_model(self.model).config
        return score(predictions, self.eval_rows, config, decode, self._label_spaces)

    def _get_dataloader(self, *args, is_training: bool = False, **kwargs):
        dropped = self.args.dataloader_drop_last
        self.args.dataloader_drop_last = dropped and is_training  # evaluation needs every row
        try:
            return super()._get_dataloader(*args, is_training=is_training, **kwargs)
        finally:
            self.args.dataloader_drop_last = dropped

    def _get_train_sampler(self, train_dataset=None):
        rows = self.train_dataset.rows
        processes = self.accelerator.num_processes
        return BalancedLengthSampler(
            rows["duration"],
            sampling_weights(rows, *self._balance),
            self._train_batch_size * processes,
            seed=self.args.seed,
            num_processes=processes,
        )

    def create_optimizer(self, model=None):
        optimizer = super().create_optimizer(model)
        if self._backbone_learning_rate is not None and len(optimizer.param_groups) == 2:
            named = (self.model if model is None else model).named_parameters()
            backbone = {id(parameter) for name, parameter in named if "backbone." in name}
            for group in list(optimizer.param_groups):
                inside = [parameter for parameter in group["params"] if id(parameter) in backbone]
                group["params"] = [parameter for parameter in group["params"] if id(parameter) not in backbone]
                if inside:
                    options = {name: value for name, value in group.items() if name != "params"}
                    optimizer.add_param_group(options | {"params": inside, "lr": self._backbone_learning_rate})
        return optimizer


def _after_layers(model: SpeechEQModel) -> list[nn.Module]:
    """Return the layer norm after the last layer, if the encoder has one."""
    config = model.config.backbone_config
    if config.model_type == "whisper":
        return [model.backbone.layer_norm]
    return [model.backbone.encoder.layer_norm] if getattr(config, "do_stable_layer_norm", False) else []
