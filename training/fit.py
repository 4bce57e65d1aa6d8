"""One training run: a model with new heads, the Trainer over it, and the checkpoints it goes on from."""

import json
from pathlib import Path
from zipfile import is_zipfile

import datasets
import torch
from safetensors import SafetensorError, safe_open
from transformers import EarlyStoppingCallback, set_seed

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.metrics.scores import native_classes
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.arguments import DataArguments, ModelArguments, SpeechEQTrainingArguments
from speecheq.training.augmentation import WaveformAugmentation
from speecheq.training.seqd import label_spaces, phoneme_inventory
from speecheq.training.states import EncoderStates
from speecheq.training.trainer import SpeechEQTrainer, prepare_tuning


def fit(
    splits: dict, model_arguments: ModelArguments, data_arguments: DataArguments, arguments: SpeechEQTrainingArguments
) -> SpeechEQTrainer:
    """Train a model; what was stopped goes on from the last complete checkpoint in `arguments.output_dir`.

    Args:
        splits (`dict[str, datasets.Dataset]`): `train`; and `validation`, on which the best epoch is chosen. Without it, or
            where it has no two classes to tell apart, the last one is taken, and `patience` does not count.
        model_arguments, data_arguments, arguments: of the run.

    Returns:
        [`SpeechEQTrainer`]: its model is trained.
    """
    validation = splits.get("validation")
    if validation is None:
        arguments.eval_strategy = "no"
    if not can_choose(validation, arguments.metric_for_best_model):
        arguments.load_best_model_at_end, arguments.patience = False, 0
        arguments.metric_for_best_model = None  # or else the Trainer looks for it in every evaluation
    set_seed(arguments.seed)
    model = build_model(model_arguments, phoneme_inventory(splits["train"]))
    processor = SpeechEQProcessor.for_config(model.config)
    shallow = model.config.shallow_states
    needed = max(1, shallow - 1)  # state n is what layer n gives, and with a frozen layer all before it is frozen
    if shallow and model_arguments.tuning != "frozen" and model_arguments.frozen_layers < needed:
        print(f"note: shallow heads read layers that learn; with frozen_layers {needed} they would stay as they were.")
    model = prepare_tuning(model, model_arguments.tuning, model_arguments.lora_rank, model_arguments.frozen_layers)
    learning = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"{learning / 1e6:.2f} of {sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters learn.")
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
        augment=WaveformAugmentation(data_arguments.augment_probability)
        if data_arguments.augment_probability
        else None,
        use_votes=data_arguments.use_votes,
        corpus_balance=data_arguments.corpus_balance,
        class_balance=data_arguments.class_balance,
        backbone_learning_rate=model_arguments.backbone_learning_rate,
        enrolment_probability=data_arguments.enrolment_probability,
        states=states,
        callbacks=[EarlyStoppingCallback(arguments.patience)] if arguments.patience else None,
    )
    trainer.train(resume_from_checkpoint=find_checkpoint(Path(arguments.output_dir)))
    return trainer


def check_unchanging(config: SpeechEQConfig, model_arguments: ModelArguments, data_arguments: DataArguments):
    """Refuse to keep what the encoder makes of the utterances where it is another each time.

    Raises:
        ValueError: if the encoder learns, or what it hears is changed at random.
    """
    given = vars(model_arguments) | vars(data_arguments)
    given |= {name: getattr(config, name) for name in ("mask_time_prob", "mask_feature_prob")}
    fixed = {"tuning": "frozen", "augment_probability": 0, "mask_time_prob": 0, "mask_feature_prob": 0}
    others = ", ".join(f"{name} {given[name]!r}" for name, value in fixed.items() if given[name] != value)
    if others:
        raise ValueError(
            "training: cache must go with tuning frozen and no augmentation, for what it keeps does not change; "
            f"got {others}."
        )


def can_choose(validation: datasets.Dataset | None, metric: str) -> bool:
    """Whether validation can tell the best epoch from the others.

    Args:
        validation (`datasets.Dataset`, *optional*): the split, if there is one.
        metric (`str`): `metric_for_best_model`. `esc_uar`, the usual one, needs a corpus with two classes.
    """
    if validation is None:
        return False
    spaces = label_spaces({"validation": validation}).values()
    if metric.removeprefix("eval_") != "esc_uar" or any(len(native_classes(space)[1]) > 1 for space in spaces):
        return True
    print("note: ESC: no corpus has two classes in validation, so the last epoch is kept.")
    return False


def find_checkpoint(folder: Path) -> str | None:
    """The last complete checkpoint; one that was cut short, by a kill, a full disk or a power cut, does not count."""
    found = sorted(
        folder.glob("checkpoint-*/trainer_state.json"), key=lambda path: int(path.parent.name.split("-")[1])
    )
    return next((str(path.parent) for path in reversed(found) if _is_complete(path.parent)), None)


def _is_complete(checkpoint: Path) -> bool:
    """Whether each file of a checkpoint is there to its end: the Trainer writes `trainer_state.json` last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
        for weights in checkpoint.glob("*.safetensors"):
            with safe_open(weights, "pt"):
                pass
    except (OSError, ValueError, SafetensorError):
        return False
    # What torch writes is a ZIP, whose list of contents stands at its end.
    return all(is_zipfile(state) for state in [*checkpoint.glob("*.pt"), *checkpoint.glob("*.pth")])


def build_model(arguments: ModelArguments, phoneme_labels: list[str]) -> SpeechEQModel:
    """A model with new heads on a pretrained or a random encoder; or a trained one, with phonemes that are new to it."""
    fields = arguments.config_fields()
    if arguments.checkpoint is not None:
        check_shapes(SpeechEQConfig.from_pretrained(arguments.checkpoint), fields)
        model = SpeechEQModel.from_pretrained(arguments.checkpoint, **fields)
        model.config.temperatures = dict.fromkeys(model.config.temperatures, 1.0)  # they were another model's
        model.config.abstain_below = 0.0
        extend_phonemes(model, phoneme_labels)
        return model
    fields["phoneme_labels"] = phoneme_labels
    if arguments.backbone is not None:
        return SpeechEQModel.from_backbone(arguments.backbone, num_layers=arguments.backbone_layers, **fields)
    return SpeechEQModel(SpeechEQConfig(backbone_config=arguments.backbone_config, **fields))


def check_shapes(config: SpeechEQConfig, fields: dict):
    """Refuse fields with which the weights of a trained model would have other shapes.

    Args:
        config ([`SpeechEQConfig`]): of the trained model.
        fields (`dict`): that are to be others.

    Raises:
        ValueError: if there is one. `shallow_states` may be given up, or be new.
    """
    for name in ("adapter_size", "adapter_layers", "pooling", "head_hidden_size", "shallow_states"):
        had = getattr(config, name)
        wanted = fields.get(name, had)
        if wanted != had and (name != "shallow_states" or (had and wanted)):
            raise ValueError(
                f"training: {name} must be {had!r}, as in the checkpoint; got {wanted!r}. Its weights have no other shape: "
                "leave it out, or train from a backbone."
            )


@torch.no_grad()
def extend_phonemes(model: SpeechEQModel, phoneme_labels: list[str]):
    """Append the symbols that a model does not know yet to its inventory; the others keep their weights.

    Args:
        model ([`SpeechEQModel`]): is changed.
        phoneme_labels (`list[str]`): of the training data.
    """
    known = model.config.phoneme_labels
    labels = [*known, *(symbol for symbol in phoneme_labels if symbol not in known)]
    before = model.phoneme_head.classifier
    after = torch.nn.Linear(before.in_features, len(labels)).to(before.weight)
    torch.nn.init.normal_(after.weight, std=model.config.initializer_range)
    torch.nn.init.zeros_(after.bias)
    after.weight[: len(known)], after.bias[: len(known)] = before.weight, before.bias
    model.phoneme_head.classifier, model.config.phoneme_labels = after, labels
