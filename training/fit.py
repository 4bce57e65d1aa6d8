"""One training run: build or load the model, train it, resume from checkpoints."""

import json
from pathlib import Path
from zipfile import is_zipfile

import datasets
import torch
from safetensors import SafetensorError, safe_open
from transformers import EarlyStoppingCallback, TrainerCallback, set_seed

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.metrics.scores import native_classes
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.arguments import DataArguments, ModelArguments, SpeechEQTrainingArguments
from speecheq.training.augmentation import WaveformAugmentation
from speecheq.training.provenance import keep_record, training_record
from speecheq.training.seqd import label_spaces, phoneme_inventory
from speecheq.training.states import EncoderStates
from speecheq.training.trainer import SpeechEQTrainer, prepare_tuning


def fit(
    splits: dict, model_arguments: ModelArguments, data_arguments: DataArguments, arguments: SpeechEQTrainingArguments
) -> SpeechEQTrainer:
    """Train a model; resume from the last complete checkpoint in `arguments.output_dir`, if there is one.

    Args:
        splits (`dict[str, datasets.Dataset]`): `train` and, optionally, `validation`, which selects the best epoch. If
            validation is missing or no corpus has two classes in it, the last epoch is kept and `patience` is ignored.
        model_arguments, data_arguments, arguments: of the run.

    Returns:
        [`SpeechEQTrainer`]: with the trained model.

    Raises:
        ValueError: if the checkpoints in `arguments.output_dir` were trained on other data.
    """
    folder = Path(arguments.output_dir)
    begun = find_checkpoint(folder)
    record = training_record(splits, model_arguments.checkpoint)
    keep_record(folder, record, begun is not None, write=arguments.process_index == 0)
    validation = splits.get("validation")
    if validation is None:
        arguments.eval_strategy = "no"
    if not can_choose(validation, arguments.metric_for_best_model):
        arguments.load_best_model_at_end, arguments.patience = False, 0
        arguments.metric_for_best_model = None  # otherwise the Trainer requires it in every evaluation
    set_seed(arguments.seed)
    model = build_model(model_arguments, phoneme_inventory(splits["train"]))
    processor = SpeechEQProcessor.for_config(model.config)
    shallow = model.config.shallow_states
    needed = max(1, shallow - 1)  # state n is the output of layer n; freezing a layer freezes all before it
    if shallow and model_arguments.tuning != "frozen" and model_arguments.frozen_layers < needed:
        print(f"note: the shallow heads read trainable layers. Set frozen_layers to {needed} to freeze them.")
    model = prepare_tuning(model, model_arguments.tuning, model_arguments.lora_rank, model_arguments.frozen_layers)
    learning = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(
        f"{learning / 1e6:.2f} of {sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters are trained."
    )
    states = None
    if data_arguments.cache:
        check_unchanging(model.config, model_arguments, data_arguments)
        states = EncoderStates(model.backbone, Path(data_arguments.cache))
        states.fill(splits["train"])
    trainer = SpeechEQTrainer(
        model,
        arguments,
        processor,
        train_rows=splits["train"],
        eval_rows=validation,
        label_spaces=label_spaces(splits),
        augment=WaveformAugmentation(
            data_arguments.augment_probability,
            speed=data_arguments.augment_speed,
            silence=data_arguments.augment_silence,
            equalizer_db=data_arguments.augment_equalizer,
        )
        if data_arguments.augment_probability
        else None,
        use_votes=data_arguments.use_votes,
        prior_smoothing=data_arguments.prior_smoothing,
        corpus_balance=data_arguments.corpus_balance,
        class_balance=data_arguments.class_balance,
        corpus_shares=data_arguments.corpus_shares,
        backbone_learning_rate=model_arguments.backbone_learning_rate,
        enrolment_probability=data_arguments.enrolment_probability,
        states=states,
        callbacks=[ResumeNote(), *([EarlyStoppingCallback(arguments.patience)] if arguments.patience else [])],
    )
    trainer.train(resume_from_checkpoint=begun)
    return trainer


class ResumeNote(TrainerCallback):
    """Print whether a run resumes, and from which step."""

    def on_train_begin(self, args, state, control, **kwargs):
        if not state.is_world_process_zero or not state.global_step:
            return
        if state.global_step < state.max_steps:
            print(f"Resumed at step {state.global_step} of {state.max_steps}.")
        else:
            print(f"Nothing is left to train: all {state.max_steps} steps are done. Scoring and saving again.")


def check_unchanging(config: SpeechEQConfig, model_arguments: ModelArguments, data_arguments: DataArguments):
    """Check that the hidden states of an utterance never change, so that they can be cached.

    Raises:
        ValueError: if the encoder is trained, or its input is augmented or masked at random.
    """
    given = vars(model_arguments) | vars(data_arguments)
    given |= {name: getattr(config, name) for name in ("mask_time_prob", "mask_feature_prob")}
    fixed = {"tuning": "frozen", "augment_probability": 0, "mask_time_prob": 0, "mask_feature_prob": 0}
    others = ", ".join(f"{name} {given[name]!r}" for name, value in fixed.items() if given[name] != value)
    if others:
        raise ValueError(
            "training: cache must be used with tuning frozen and without augmentation, because cached states do not change; "
            f"got {others}."
        )


def can_choose(validation: datasets.Dataset | None, metric: str) -> bool:
    """Return whether the validation split can select the best epoch.

    Args:
        validation (`datasets.Dataset` or `None`): the split, if there is one.
        metric (`str`): `metric_for_best_model`. The default, `esc_uar`, needs a corpus with two classes.
    """
    if validation is None:
        return False
    spaces = label_spaces({"validation": validation}).values()
    if metric.removeprefix("eval_") != "esc_uar" or any(len(native_classes(space)[1]) > 1 for space in spaces):
        return True
    print("note: ESC: no corpus has two classes in validation, so the last epoch is kept.")
    return False


def find_checkpoint(folder: Path) -> str | None:
    """Find the last complete checkpoint; skip those that a kill, a full disk or a power cut left incomplete."""
    found = sorted(
        folder.glob("checkpoint-*/trainer_state.json"), key=lambda path: int(path.parent.name.split("-")[1])
    )
    return next((str(path.parent) for path in reversed(found) if _is_complete(path.parent)), None)


def _is_complete(checkpoint: Path) -> bool:
    """Return whether all files of a checkpoint are complete. The Trainer writes `trainer_state.json` last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
        for weights in checkpoint.glob("*.safetensors"):
            with safe_open(weights, "pt"):
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    # torch writes ZIP files, which end with their table of contents.
    return all(is_zipfile(state) for state in [*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")])


def build_model(arguments: ModelArguments, phoneme_labels: list[str]) -> SpeechEQModel:
    """Build a model with new heads on a pretrained or random encoder, or load a trained model and add new phonemes."""
    fields = arguments.config_fields()
    if arguments.checkpoint is not None:
        check_shapes(SpeechEQConfig.from_pretrained(arguments.checkpoint), fields)
        model = SpeechEQModel.from_pretrained(arguments.checkpoint, **fields)
        model.config.temperatures = dict.fromkeys(model.config.temperatures, 1.0)  # fitted to the earlier weights
        model.config.abstain_below = 0.0
        extend_phonemes(model, phoneme_labels)
        return model
    fields["phoneme_labels"] = phoneme_labels
    if arguments.backbone is not None:
        return SpeechEQModel.from_backbone(arguments.backbone, num_layers=arguments.backbone_layers, **fields)
    return SpeechEQModel(SpeechEQConfig(backbone_config=arguments.backbone_config, **fields))


def check_shapes(config: SpeechEQConfig, fields: dict):
    """Check that new configuration fields keep the weight shapes of a trained model.

    Args:
        config ([`SpeechEQConfig`]): of the trained model.
        fields (`dict`): new values of configuration fields.

    Raises:
        ValueError: if a field changes a shape. `shallow_states` may change to 0, or from 0.
    """
    for name in ("adapter_size", "adapter_layers", "pooling", "head_hidden_size", "shallow_states"):
        had = getattr(config, name)
        wanted = fields.get(name, had)
        if wanted != had and (name != "shallow_states" or (had and wanted)):
            raise ValueError(
                f"training: {name} must be {had!r}, as in the checkpoint; got {wanted!r}. It determines the shape of the "
                "weights: leave it out, or train from a backbone."
            )


@torch.no_grad()
def extend_phonemes(model: SpeechEQModel, phoneme_labels: list[str]):
    """Append new symbols to the phoneme inventory of a model; known symbols keep their weights.

    Args:
        model ([`SpeechEQModel`]): changed in place.
        phoneme_labels (`list[str]`): inventory of the training data.
    """
    known = model.config.phoneme_labels
    labels = [*known, *(symbol for symbol in phoneme_labels if symbol not in known)]
    before = model.phoneme_head.classifier
    after = torch.nn.Linear(before.in_features, len(labels)).to(before.weight)
    torch.nn.init.normal_(after.weight, std=model.config.initializer_range)
    torch.nn.init.zeros_(after.bias)
    after.weight[: len(known)], after.bias[: len(known)] = before.weight, before.bias
    model.phoneme_head.classifier, model.config.phoneme_labels = after, labels
