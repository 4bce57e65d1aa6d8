"""Train the utterance heads of a model on statistics that are known already: the encoder stays as it is and is not run."""

from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import get_cosine_schedule_with_warmup

from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.pooling_speecheq import SpeakerStatistics

ALL = -1  # as a number of utterances known of a speaker: every other one
DRAWS = 4  # of what is known of a speaker, for each number of utterances
REFRESH = 100  # steps after which they are drawn anew


@dataclass
class HeadArguments:
    """How heads are trained on known statistics."""

    steps: int = field(default=2000, metadata={"help": "Of training; the same for one corpus and for many."})
    batch_size: int = field(default=64, metadata={"help": "Utterances per step."})
    learning_rate: float = field(
        default=1e-3, metadata={"help": "Highest learning rate; layer weights have ten times it."}
    )
    weight_decay: float = field(default=0.01, metadata={"help": "Of the heads' matrices."})
    enrolments: list[int] = field(
        default_factory=lambda: [0],
        metadata={"help": "Utterances known of a speaker in training, one of these each time; 0: none, -1: all."},
    )

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"heads: steps must be at least 1; got {self.steps}.")
        if min(self.enrolments) < ALL:
            raise ValueError(f"heads: enrolments must be 0 or more, or -1 for all; got {self.enrolments}.")


@dataclass(frozen=True)
class KnownUtterances:
    """Utterances whose statistics are known.

    Args:
        statistics (`torch.FloatTensor` of shape `(n, states, 2 * hidden)`): see `utterance_statistics`.
        labels (`dict[str, torch.Tensor]`): `esc_labels`, `eis_labels` and `gender_labels`, as `Collator` gives them.
        speakers (`np.ndarray` of shape `(n,)`): of each utterance.
        weights (`np.ndarray` of shape `(n,)`): how often each is drawn, see `sampling_weights`.
        to_know (`list[str]`): speakers of whom something may be known, see `speakers_to_know`.
    """

    statistics: torch.Tensor
    labels: dict[str, torch.Tensor]
    speakers: np.ndarray
    weights: np.ndarray
    to_know: list[str]


def train_heads(
    model: SpeechEQModel, known: KnownUtterances, arguments: HeadArguments, seed: int = 0
) -> SpeechEQModel:
    """Train the ESC, EIS and gender heads, in place; the phoneme head reads frames and is left alone.

    Args:
        model ([`SpeechEQModel`]): with new heads; `loss_weights` says which of them learn.
        known ([`KnownUtterances`]): to train on.
        arguments ([`HeadArguments`]): how.
        seed (`int`, *optional*, defaults to 0): of all that is drawn.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model.standardizer.fit(known.statistics)
    model.train()
    model.standardizer.eval()
    optimizer, scheduler = _optimizer(model, arguments)
    chances = known.weights / known.weights.sum()
    for step in range(arguments.steps):
        if step % REFRESH == 0:
            enrolment = _Enrolment(model, known, arguments.enrolments, random)
        rows = random.choice(len(chances), arguments.batch_size, p=chances)
        output = model.score_statistics(known.statistics[rows], *enrolment.draw(rows))
        labels = {name: values[rows] for name, values in known.labels.items()}
        model.add_losses(output, labels["esc_labels"], labels["eis_labels"], None, labels["gender_labels"])
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        scheduler.step()
    return model.eval()


@torch.inference_mode()
def score_heads(model: SpeechEQModel, statistics: torch.Tensor, speakers: np.ndarray, number: int, seed: int = 0):
    """Answers of the utterance heads where `number` other utterances of the same speaker have been heard, unlabelled.

    Args:
        model ([`SpeechEQModel`]): trained.
        statistics (`torch.FloatTensor` of shape `(n, states, 2 * hidden)`): of all utterances of the tested speakers.
        speakers (`np.ndarray` of shape `(n,)`): of each utterance.
        number (`int`): utterances known of each speaker, drawn at random for each utterance and never the utterance itself;
            fewer where there are not so many; -1: all.
        seed (`int`, *optional*, defaults to 0): of the draws.

    Returns:
        [`SpeechEQOutput`]: of all utterances, in their order.
    """
    if number == 0:
        return model.score_statistics(statistics)
    random = np.random.default_rng(seed)
    of_speaker = {speaker: np.flatnonzero(speakers == speaker) for speaker in np.unique(speakers)}

    def known_of(row: int) -> tuple[torch.Tensor, torch.Tensor]:
        others = of_speaker[speakers[row]]
        others = others[others != row]
        heard = others if number == ALL else random.choice(others, min(number, len(others)), replace=False)
        return _known_of(model, statistics[heard])

    parts = []
    for rows in torch.arange(len(speakers)).split(256):  # so that no more is held than of so many
        means, stds = zip(*[known_of(int(row)) for row in rows], strict=True)
        parts.append(model.score_statistics(statistics[rows], torch.stack(means), torch.stack(stds)))
    return type(parts[0])(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


class _Enrolment:
    """What is known of the speakers of some batches: a few draws for each speaker and number of utterances."""

    def __init__(self, model, known: KnownUtterances, numbers: list[int], random: np.random.Generator):
        self.model = model
        self.known = known
        self.numbers = numbers
        self.random = random
        self.of_speaker = {speaker: np.flatnonzero(known.speakers == speaker) for speaker in known.to_know}
        self.draws = {}

    def draw(self, rows: np.ndarray) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Mean and deviation for each row, `(batch, states, 2 * hidden)`; `None` where nothing is ever known."""
        if self.numbers == [0]:
            return None, None
        drawn = [self._one(self.known.speakers[row], self.random.choice(self.numbers)) for row in rows]
        return torch.stack([mean for mean, _ in drawn]), torch.stack([std for _, std in drawn])

    def _one(self, speaker: str, number: int):
        key = (speaker if speaker in self.of_speaker else None, number, self.random.integers(DRAWS))
        if key[0] is None or number == 0:
            key = (None, 0, 0)
        if key not in self.draws:
            heard = self.of_speaker.get(key[0], np.array([], dtype=int))
            if number not in (0, ALL):
                heard = self.random.choice(heard, min(number, len(heard)), replace=False)
            self.draws[key] = _known_of(self.model, self.known.statistics[heard])
        return self.draws[key]


def _known_of(model: SpeechEQModel, heard: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    speaker = SpeakerStatistics(model.standardizer, model.config.speaker_prior).update(heard)
    return speaker.mean, speaker.std


def _optimizer(model: SpeechEQModel, arguments: HeadArguments):
    parameters = {
        name: parameter for name, parameter in model.named_parameters() if name.startswith(("esc_", "eis_", "gender_"))
    }
    mixes = [parameter for name, parameter in parameters.items() if ".layer_mix." in name]
    matrices = [parameter for name, parameter in parameters.items() if parameter.ndim > 1]
    others = [p for name, p in parameters.items() if p.ndim == 1 and ".layer_mix." not in name]
    rate = arguments.learning_rate
    groups = [
        {"params": matrices, "weight_decay": arguments.weight_decay},
        {"params": others, "weight_decay": 0.0},
        {"params": mixes, "weight_decay": 0.0, "lr": 10 * rate},
    ]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    return optimizer, get_cosine_schedule_with_warmup(optimizer, arguments.steps // 10, arguments.steps)
