"""Arguments of a training run: model, data and Trainer. A recipe is a YAML file with these arguments."""

import json
from dataclasses import dataclass, field

import torch
from transformers import TrainingArguments

EXAMPLES = {
    "backbone_config": '{"model_type": "whisper", "encoder_layers": 3}',
    "loss_weights": '{"esc": 1, "eis": 0.5, "phoneme": 0.5, "gender": 0.3}',
    "corpus_shares": '{"mine": 0.5}',
}


def read_mappings(where: str, group):
    """Parse mapping arguments that the command line gives as JSON text; a recipe gives them as mappings.

    Args:
        where (`str`): caller, named in the error message.
        group: a dataclass of arguments, changed in place.

    Raises:
        ValueError: if a text is not a JSON object; the message shows an example.
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
    """Check that the corpus balance, the class balance, the smoothing of the priors and the corpus shares lie in [0, 1].

    Args:
        where (`str`): caller, named in the error message.
        group: a dataclass of arguments with `corpus_balance`, `class_balance`, `prior_smoothing` and `corpus_shares`.

    Raises:
        ValueError: if one of them or the sum of the shares is outside [0, 1], or a share is 0.
    """
    for name in ("corpus_balance", "class_balance", "prior_smoothing"):
        if not 0 <= (value := getattr(group, name)) <= 1:
            raise ValueError(f"{where}: {name} must lie in [0, 1]; got {value}.")
    shares = (group.corpus_shares or {}).values()
    if not all(isinstance(share, int | float) and share > 0 for share in shares) or sum(shares) > 1:
        raise ValueError(
            f"{where}: corpus_shares must be positive with a sum of at most 1; got {group.corpus_shares}."
        )


def has_bfloat16_instructions() -> bool:
    """Return whether the CPU has instructions for matrix products in bfloat16.

    Without them, bfloat16 is slower than float32: 0.59 s against 0.09 s for (2400, 512) by (512, 2048).
    """
    if hasattr(torch.cpu, "get_capabilities"):  # x86, then Arm
        found = torch.cpu.get_capabilities()
        return any(found.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16"))
    # Older torch has private checks, for x86 only. Without an answer, float32 is the safe choice.
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check() for check in checks if check is not None)


@dataclass
class ModelArguments:
    """Arguments of the encoder, its tuning and the heads."""

    backbone: str | None = field(default=None, metadata={"help": "Pretrained encoder: Hub repository or folder."})
    backbone_config: dict | str | None = field(
        default=None, metadata={"help": "Instead of backbone: configuration of an encoder with random weights."}
    )
    checkpoint: str | None = field(
        default=None,
        metadata={"help": "Instead of backbone: trained SpeechEQ model to fine-tune, Hub repository or folder."},
    )
    backbone_layers: int | None = field(default=None, metadata={"help": "Number of encoder layers to keep."})
    tuning: str = field(default="full", metadata={"help": "How to train the encoder: frozen, lora or full."})
    lora_rank: int = field(default=8, metadata={"help": "Rank of the LoRA adapters."})
    frozen_layers: int = field(default=0, metadata={"help": "Number of first encoder layers to freeze."})
    backbone_learning_rate: float | None = field(
        default=None, metadata={"help": "Learning rate of the encoder; by default that of the heads."}
    )
    # Arguments that are None keep the checkpoint's value or SpeechEQConfig's default.
    adapter_size: int | None = field(
        default=None, metadata={"help": "Channels of the trunk that the heads share; 0: no trunk."}
    )
    adapter_layers: int | None = field(default=None, metadata={"help": "Convolutions of the trunk."})
    pooling: str | None = field(default=None, metadata={"help": "Pooling over time: statistics or attentive."})
    shallow_states: int | None = field(
        default=None, metadata={"help": "Add ESC and EIS heads on this number of first hidden states; 0: none."}
    )
    head_hidden_size: int | None = field(
        default=None, metadata={"help": "Size of the utterance heads' hidden layer; 0: no layer."}
    )
    head_dropout: float | None = field(default=None, metadata={"help": "Dropout before each head."})
    loss_weights: dict | str | None = field(
        default=None, metadata={"help": "Loss weights of esc, eis, phoneme and gender."}
    )
    uncertainty_weighting: bool | None = field(default=None, metadata={"help": "Learn the loss weights."})
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
                f"training: backbone_layers must be used with backbone; got {self.backbone_layers} without it. "
                "A checkpoint keeps its layers, and backbone_config defines their number."
            )

    def config_fields(self) -> dict:
        """Return the arguments that are fields of [`SpeechEQConfig`] and are not `None`."""
        names = ("adapter_size", "adapter_layers", "pooling", "shallow_states", "head_hidden_size", "head_dropout",
                 "loss_weights", "uncertainty_weighting", "mask_time_prob", "mask_time_length", "mask_feature_prob",
                 "mask_feature_length")  # fmt: skip
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass
class DataArguments:
    """Arguments of the SEQD, its sampling and its augmentation."""

    dataset: str | None = field(default=None, metadata={"help": "SEQD: folder or Hub repository."})
    build: list[str] | None = field(
        default=None,
        metadata={"help": "First build dataset (default output_dir/seqd) from these: NAME=FOLDER or NAME=FILE.yaml."},
    )
    dataset_config: str = field(default="all", metadata={"help": "Configuration of the SEQD: a corpus, or all."})
    corpora: list[str] | None = field(default=None, metadata={"help": "Keep only these corpora."})
    max_seconds: float = field(default=30.0, metadata={"help": "Skip longer utterances."})
    use_votes: bool = field(default=True, metadata={"help": "Train on the raters' votes where a corpus has them."})
    prior_smoothing: float = field(
        default=0.1,
        metadata={
            "help": "Correct the ESC loss for the classes that a corpus lacks or has often, see corpus_priors. 0: compare only "
            "the classes of the corpus; 1: no correction."
        },
    )
    corpus_balance: float = field(
        default=0.5, metadata={"help": "0: original corpus frequencies; 1: equally frequent corpora."}
    )
    class_balance: float = field(default=0.5, metadata={"help": "The same for the classes of a corpus."})
    corpus_shares: dict | str | None = field(
        default=None, metadata={"help": "Share of the training examples of some corpora; the others divide the rest."}
    )
    enrolment_probability: float = field(
        default=0.0, metadata={"help": "Probability of using a training speaker's statistics; 0: never."}
    )
    augment_probability: float = field(
        default=0.5, metadata={"help": "Probability of each waveform augmentation; 0: none."}
    )
    augment_silence: float = field(
        default=2.0,
        metadata={"help": "Longest silence before and after the speech that augmentation adds, in seconds."},
    )
    augment_equalizer: float = field(
        default=4.0,
        metadata={"help": "Standard deviation of the gain of each band of the random equalizer, in dB; 0: none."},
    )
    augment_speed: float = field(
        default=0.1,
        metadata={"help": "Largest change of speed and pitch by augmentation; 0.1: factors from 0.9 to 1.1."},
    )
    cache: str | None = field(
        default=None,
        metadata={
            "help": "Folder for the hidden states of a frozen encoder, 50 kB per second and state. Epochs read them "
            "instead of running the encoder. Needs augment_probability 0."
        },
    )

    def __post_init__(self):
        if self.dataset is None and not self.build:
            raise ValueError(
                "training: dataset must be given; got none. Set it to the folder or Hub repository of a SEQD, or set build "
                "to build one."
            )
        read_mappings("training", self)
        check_balance("training", self)


@dataclass
class SpeechEQTrainingArguments(TrainingArguments):
    """`TrainingArguments` with defaults for this task. Checkpoints are in `output_dir/checkpoints`."""

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
    patience: int = field(
        default=0, metadata={"help": "Stop after this number of evaluations without improvement; 0: never."}
    )

    def __post_init__(self):
        # transformers refuses bf16 on a machine without a GPU unless use_cpu is set.
        self.use_cpu = self.use_cpu or not torch.accelerator.is_available()
        slow = self.bf16 and self.use_cpu and not has_bfloat16_instructions()
        self.bf16 = self.bf16 and not slow
        super().__post_init__()
        if slow and self.process_index == 0:
            print("note: this CPU has no bfloat16 instructions, so bf16 is off: float32 is faster.")
