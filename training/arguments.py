"""The arguments of a training run: the model, the data, the Trainer. A recipe is a YAML file of them."""

import json
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

EXAMPLES = {
    "backbone_config": '{"model_type": "whisper", "encoder_layers": 3}',
    "loss_weights": '{"esc": 1, "eis": 0.5, "phoneme": 0.5, "gender": 0.3}',
}


def read_mappings(where: str, group):
    """Read the mappings of a group of arguments, which a recipe gives as they are and the command line as JSON.

    Args:
        where (`str`): who asks, for the message.
        group: a dataclass of arguments, is changed.

    Raises:
        ValueError: if a text is no JSON object; the message shows one.
    """
    for name, example in EXAMPLES.items():
        if not isinstance(text := getattr(group, name, None), str):
            continue
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = None
        if not isinstance(value, dict):
            raise ValueError(f"{where}: {name} must be a JSON object, such as '{example}'; got {text!r}.")
        setattr(group, name, value)


def check_balance(where: str, group):
    """Refuse a balance of corpora or classes that lies outside [0, 1].

    Args:
        where (`str`): who asks, for the message.
        group: a dataclass of arguments with `corpus_balance` and `class_balance`, see `sampling_weights`.

    Raises:
        ValueError: that names the one that does.
    """
    for name in ("corpus_balance", "class_balance"):
        if not 0 <= (value := getattr(group, name)) <= 1:
            raise ValueError(f"{where}: {name} must lie in [0, 1]; got {value}.")


@dataclass
class ModelArguments:
    """The encoder, what of it learns, and the heads."""

    backbone: str | None = field(default=None, metadata={"help": "Pretrained encoder: Hub repository or folder."})
    backbone_config: dict | str | None = field(
        default=None, metadata={"help": "Instead: configuration of an encoder with random weights."}
    )
    checkpoint: str | None = field(
        default=None,
        metadata={"help": "Instead: a trained SpeechEQ model to go on from, Hub repository or folder, heads and all."},
    )
    backbone_layers: int | None = field(default=None, metadata={"help": "Keep the encoder's first layers only."})
    tuning: str = field(default="full", metadata={"help": "What of the encoder learns: frozen, lora or full."})
    lora_rank: int = field(default=8, metadata={"help": "Rank of the LoRA adapters."})
    frozen_layers: int = field(default=0, metadata={"help": "First encoder layers that do not learn."})
    backbone_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the encoder; by default that of the heads."}
    )
    # What is not given is as the checkpoint has it, or else SpeechEQConfig's default.
    adapter_size: int | None = field(
        default=None, metadata={"help": "Channels of a trunk that the heads share; 0: none."}
    )
    adapter_layers: int | None = field(default=None, metadata={"help": "Convolutions of the trunk."})
    pooling: str | None = field(default=None, metadata={"help": "statistics or attentive."})
    shallow_states: int | None = field(
        default=None, metadata={"help": "Read ESC and EIS also from the first so many states alone; 0: no."}
    )
    head_hidden_size: int | None = field(
        default=None, metadata={"help": "Hidden layer of the utterance heads; 0: none."}
    )
    head_dropout: float | None = field(default=None, metadata={"help": "Dropout before each head."})
    loss_weights: dict | str | None = field(
        default=None, metadata={"help": "Weights of esc, eis, phoneme and gender."}
    )
    uncertainty_weighting: bool | None = field(default=None, metadata={"help": "Learn the tasks' weights."})
    mask_time_prob: float | None = field(default=None, metadata={"help": "SpecAugment: share of masked frames."})
    mask_time_length: int | None = field(default=None, metadata={"help": "SpecAugment: frames per mask."})
    mask_feature_prob: float | None = field(default=None, metadata={"help": "SpecAugment: share of masked channels."})
    mask_feature_length: int | None = field(default=None, metadata={"help": "SpecAugment: channels per mask."})

    def __post_init__(self):
        read_mappings("training", self)
        if sum(start is not None for start in (self.backbone, self.backbone_config, self.checkpoint)) != 1:
            raise ValueError("training: exactly one of backbone, backbone_config and checkpoint must be given.")
        if self.backbone_layers is not None and self.backbone is None:
            raise ValueError(
                f"training: backbone_layers must go with backbone; got {self.backbone_layers} without. A checkpoint keeps "
                "its layers, and backbone_config says how many there are."
            )

    def config_fields(self) -> dict:
        """The fields that go into [`SpeechEQConfig`] as they are: those that are given."""
        names = ("adapter_size", "adapter_layers", "pooling", "shallow_states", "head_hidden_size", "head_dropout",
                 "loss_weights", "uncertainty_weighting", "mask_time_prob", "mask_time_length", "mask_feature_prob",
                 "mask_feature_length")  # fmt: skip
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass
class DataArguments:
    """The SEQD, what of it is used, and how it is drawn and changed."""

    dataset: str | None = field(default=None, metadata={"help": "Folder of a built SEQD, or its Hub repository."})
    build: list[str] | None = field(
        default=None,
        metadata={
            "help": "Build dataset of these first, NAME=FOLDER or NAME=FILE.yaml; by default in output_dir/seqd."
        },
    )
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
    cache: str | None = field(
        default=None,
        metadata={
            "help": "Folder for what a frozen encoder makes of each utterance, 50 kB a second and state; each epoch then "
            "reads it and does not run the encoder. No augmentation."
        },
    )

    def __post_init__(self):
        if self.dataset is None and not self.build:
            raise ValueError(
                "training: dataset must be given: a folder of a built SEQD, or its Hub repository; or build, what to "
                "build one of."
            )
        check_balance("training", self)


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
    int8_weights: bool = field(default=False, metadata={"help": "Store the trained weights as 8-bit integers."})
    patience: int = field(default=0, metadata={"help": "Stop after so many evaluations without gain; 0: never."})

    def __post_init__(self):
        # Without it, transformers refuses bf16 on a machine that has no GPU.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        super().__post_init__()
