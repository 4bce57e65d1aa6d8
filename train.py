"""Train the four heads of SpeechEQ on a SEQD: `python train.py recipes/quickstart.yaml [--learning_rate 1e-4 ...]`.

A recipe is a YAML file of the arguments below; the command line overrides it. A run that was stopped goes on from its last
complete checkpoint when the same command is given again. What it leaves in `output_dir` is ready for the Hub.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import EarlyStoppingCallback, TrainingArguments, set_seed

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.metrics.scores import table
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.augmentation import WaveformAugmentation
from speecheq.training.data import describe_labels, label_spaces, load_seqd, phoneme_inventory, shared_speakers
from speecheq.training.hub import save_for_hub, write_card
from speecheq.training.recipes import check_same_recipe, read_recipe
from speecheq.training.trainer import SpeechEQTrainer, prepare_tuning


@dataclass
class ModelArguments:
    """The encoder, what of it learns, and the heads."""

    backbone: str | None = field(default=None, metadata={"help": "Pretrained encoder: Hub repository or folder."})
    backbone_config: dict | str | None = field(
        default=None, metadata={"help": "Instead: configuration of an encoder with random weights."}
    )
    backbone_layers: int | None = field(default=None, metadata={"help": "Keep the encoder's first layers only."})
    tuning: str = field(default="full", metadata={"help": "What of the encoder learns: frozen, lora or full."})
    lora_rank: int = field(default=8, metadata={"help": "Rank of the LoRA adapters."})
    frozen_layers: int = field(default=0, metadata={"help": "First encoder layers that do not learn."})
    backbone_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the encoder; by default that of the heads."}
    )
    pooling: str = field(default="statistics", metadata={"help": "statistics or attentive."})
    head_hidden_size: int = field(default=0, metadata={"help": "Hidden layer of the utterance heads; 0: none."})
    head_dropout: float = field(default=0.1, metadata={"help": "Dropout before each head."})
    loss_weights: dict | str | None = field(
        default=None, metadata={"help": "Weights of esc, eis, phoneme and gender; 1 each by default."}
    )
    uncertainty_weighting: bool = field(default=False, metadata={"help": "Learn the tasks' weights."})
    mask_time_prob: float = field(default=0.0, metadata={"help": "SpecAugment: share of masked frames."})
    mask_time_length: int = field(default=10, metadata={"help": "SpecAugment: frames per mask."})
    mask_feature_prob: float = field(default=0.0, metadata={"help": "SpecAugment: share of masked channels."})
    mask_feature_length: int = field(default=8, metadata={"help": "SpecAugment: channels per mask."})

    def __post_init__(self):
        for name in ("backbone_config", "loss_weights"):
            if isinstance(getattr(self, name), str):
                setattr(self, name, json.loads(getattr(self, name)))
        if (self.backbone is None) == (self.backbone_config is None):
            raise ValueError("train.py: exactly one of backbone and backbone_config must be given.")

    def config_fields(self) -> dict:
        """The fields that go into [`SpeechEQConfig`] as they are."""
        names = ("pooling", "head_hidden_size", "head_dropout", "loss_weights", "uncertainty_weighting",
                 "mask_time_prob", "mask_time_length", "mask_feature_prob", "mask_feature_length")  # fmt: skip
        return {name: getattr(self, name) for name in names}


@dataclass
class DataArguments:
    """The SEQD, what of it is used, and how it is drawn and changed."""

    dataset: str | None = field(default=None, metadata={"help": "Folder of a built SEQD, or its Hub repository."})
    dataset_config: str = field(default="all", metadata={"help": "A corpus, or all."})
    corpora: list[str] | None = field(default=None, metadata={"help": "Keep these corpora only."})
    max_seconds: float = field(default=30.0, metadata={"help": "Leave out longer utterances."})
    use_votes: bool = field(default=True, metadata={"help": "Learn the raters' votes where they are known."})
    corpus_balance: float = field(default=0.5, metadata={"help": "0: as the data are; 1: corpora equally often."})
    class_balance: float = field(default=0.5, metadata={"help": "The same for the classes of a corpus."})
    enrolment_probability: float = field(
        default=0.0, metadata={"help": "How often something is known of a training speaker; 0: never."}
    )
    augment_probability: float = field(default=0.5, metadata={"help": "Of each waveform augmentation; 0: none."})

    def __post_init__(self):
        if self.dataset is None:
            raise ValueError("train.py: dataset must be given: a folder of a built SEQD, or its Hub repository.")


@dataclass
class SpeechEQTrainingArguments(TrainingArguments):
    """`TrainingArguments` with defaults for this task. Checkpoints go to `output_dir/checkpoints`."""

    output_dir: str = "runs/speecheq"
    learning_rate: float = 1e-3
    per_device_train_batch_size: int = 16
    per_device_eval_batch_size: int = 32
    warmup_steps: float = 0.1
    eval_strategy: str = "epoch"
    save_strategy: str = "epoch"
    save_total_limit: int = 2
    load_best_model_at_end: bool = True
    metric_for_best_model: str = "esc_uar"
    greater_is_better: bool = True
    logging_steps: float = 50
    dataloader_pin_memory: bool = False
    report_to: str = "none"
    half_precision: bool = field(default=False, metadata={"help": "Store the trained weights in float16."})
    patience: int = field(default=0, metadata={"help": "Stop after so many evaluations without gain; 0: never."})

    def __post_init__(self):
        # Without it, transformers refuses bf16 on a machine that has no GPU.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        super().__post_init__()


def parse(arguments: list[str]) -> tuple[ModelArguments, DataArguments, SpeechEQTrainingArguments, dict]:
    """Read a recipe and what overrides it; see `read_recipe`."""
    return read_recipe("train.py", (ModelArguments, DataArguments, SpeechEQTrainingArguments), arguments)


def find_checkpoint(folder: Path) -> str | None:
    """The last complete checkpoint: the Trainer writes `trainer_state.json` last."""
    complete = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None


def build_model(arguments: ModelArguments, phoneme_labels: list[str]) -> SpeechEQModel:
    """A model with new heads on a pretrained or a random encoder."""
    fields = arguments.config_fields() | {"phoneme_labels": phoneme_labels}
    if arguments.backbone is not None:
        return SpeechEQModel.from_backbone(arguments.backbone, num_layers=arguments.backbone_layers, **fields)
    return SpeechEQModel(SpeechEQConfig(backbone_config=arguments.backbone_config, **fields))


def facts_of(splits: dict, model_arguments: ModelArguments, data_arguments: DataArguments, folder: Path) -> dict:
    """What the model card says of a run beside its scores."""
    train = splits["train"].remove_columns("audio").to_pandas()
    corpora = {
        name: {
            "language": "/".join(sorted(rows["language"].unique())) if "language" in rows else "und",
            "license": rows["license"].iloc[0] if "license" in rows else "unknown",
            "utterances": len(rows),
            "speakers": rows["speaker_id"].nunique(),
        }
        for name, rows in train.groupby("corpus")
    }
    return {
        "corpora": corpora,
        "backbone": _public_name(model_arguments.backbone)
        if model_arguments.backbone
        else f"{model_arguments.backbone_config['model_type']}, random weights",
        "tuning": model_arguments.tuning,
        "dataset": f"{Path(data_arguments.dataset).name} ({data_arguments.dataset_config})",
        "synthetic": "synthetic" in corpora,
        "shared_speakers": shared_speakers(splits),
        "command": f"python -m speecheq.training.evaluate {folder} --dataset {data_arguments.dataset} "
        f"--dataset_config {data_arguments.dataset_config}",
    }


def _public_name(name_or_path: str) -> str:
    """A Hub repository as it is; of a folder its last name, for its place on this machine is nobody's business."""
    return Path(name_or_path).resolve().name if Path(name_or_path).is_dir() else name_or_path


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train, evaluate on the test split, and save; returns the test scores."""
    model_arguments, data_arguments, training_arguments, given = parse(list(arguments or sys.argv[1:]))
    folder = Path(training_arguments.output_dir)
    check_same_recipe("train.py", folder, given, begun=find_checkpoint(folder / "checkpoints") is not None)
    training_arguments.output_dir = str(folder / "checkpoints")
    set_seed(training_arguments.seed)

    splits = load_seqd(
        data_arguments.dataset, data_arguments.dataset_config, data_arguments.max_seconds, data_arguments.corpora
    )
    print(", ".join(f"{split}: {len(rows)} utterances" for split, rows in splits.items()))
    for note in describe_labels(splits):
        print(f"note: {note}")
    model = build_model(model_arguments, phoneme_inventory(splits["train"]))
    processor = SpeechEQProcessor.for_config(model.config)
    model = prepare_tuning(model, model_arguments.tuning, model_arguments.lora_rank, model_arguments.frozen_layers)
    learning = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    print(f"{learning / 1e6:.2f} of {sum(p.numel() for p in model.parameters()) / 1e6:.2f} million parameters learn.")
    trainer = SpeechEQTrainer(
        model,
        training_arguments,
        processor,
        train_rows=splits["train"],
        eval_rows=splits["validation"],
        label_spaces=label_spaces(splits),
        augment=WaveformAugmentation(data_arguments.augment_probability)
        if data_arguments.augment_probability
        else None,
        use_votes=data_arguments.use_votes,
        corpus_balance=data_arguments.corpus_balance,
        class_balance=data_arguments.class_balance,
        backbone_learning_rate=model_arguments.backbone_learning_rate,
        enrolment_probability=data_arguments.enrolment_probability,
        callbacks=[EarlyStoppingCallback(training_arguments.patience)] if training_arguments.patience else None,
    )
    trainer.train(resume_from_checkpoint=find_checkpoint(folder / "checkpoints"))

    scores = trainer.score_rows(splits["test"])
    trained = trainer.accelerator.unwrap_model(trainer.model)
    save_for_hub(trained, processor, folder, training_arguments.half_precision)
    write_card(folder, scores, facts_of(splits, model_arguments, data_arguments, folder))
    (folder / "results.json").write_text(json.dumps(scores, indent=2, sort_keys=True) + "\n")
    print(f"\nTest split, speakers never seen:\n\n{table(scores)}\n\nSaved in {folder}.")
    return scores


if __name__ == "__main__":
    main()
