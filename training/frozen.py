"""Train the utterance heads of a model on precomputed utterance statistics, without running the encoder."""

from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import get_cosine_schedule_with_warmup

from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.pooling_speecheq import SpeakerStatistics, own_mean

ALL = -1  # number of enrolment utterances: all other utterances of the speaker
KNOWN_OF = {"speaker": "speaker_id", "corpus": "corpus"}  # the column that groups the enrolment utterances
DRAWS = 4  # random enrolments per speaker and number of utterances
REFRESH = 100  # steps after which enrolments are drawn again


@dataclass
class HeadArguments:
    """Arguments of head training on utterance statistics."""

    steps: int = field(default=2000, metadata={"help": "Training steps, regardless of the number of corpora."})
    batch_size: int = field(default=64, metadata={"help": "Utterances per step."})
    learning_rate: float = field(
        default=1e-3, metadata={"help": "Peak learning rate; ten times it for the layer weights."}
    )
    weight_decay: float = field(default=0.01, metadata={"help": "Weight decay of the heads' matrices."})
    enrolments: list[int] = field(
        default_factory=lambda: [0],
        metadata={"help": "Numbers of enrolment utterances per speaker, drawn at random; 0: none, -1: all."},
    )

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"heads: steps must be at least 1; got {self.steps}.")
        if min(self.enrolments) < ALL:
            raise ValueError(f"heads: enrolments must be 0 or more, or -1 for all; got {self.enrolments}.")


@dataclass(frozen=True)
class KnownUtterances:
    """Training utterances as precomputed statistics.

    Args:
        statistics (`torch.FloatTensor` of shape `(n, states, 2 * hidden)`): from `utterance_statistics`.
        labels (`dict[str, torch.Tensor]`): utterance labels, and offsets if any, from `Collator`.
        speakers (`np.ndarray` of shape `(n,)`): speaker of each utterance.
        weights (`np.ndarray` of shape `(n,)`): sampling weights, see `sampling_weights`.
        to_know (`list[str]`): speakers that may be enrolled, see `speakers_to_know`.
    """

    statistics: torch.Tensor
    labels: dict[str, torch.Tensor]
    speakers: np.ndarray
    weights: np.ndarray
    to_know: list[str]


def train_heads(
    model: SpeechEQModel, known: KnownUtterances, arguments: HeadArguments, seed: int = 0
) -> SpeechEQModel:
    """Train the ESC, EIS and gender heads in place; the phoneme head needs frames and is not trained.

    Args:
        model ([`SpeechEQModel`]): with new heads; a task with `loss_weights` 0 is not trained.
        known ([`KnownUtterances`]): training utterances.
        arguments ([`HeadArguments`]): of the training.
        seed (`int`, *optional*, defaults to 0): of all random choices.

    Returns:
        [`SpeechEQModel`]: the same model, in evaluation mode.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model.standardizer.fit(known.statistics)
    model.train()
    model.standardizer.eval()
    optimizer, scheduler = _optimizer(model, arguments)
    chances = known.weights / known.weights.sum()
    whole = {}
    for step in range(arguments.steps):
        if step % REFRESH == 0:
            enrolment = _Enrolment(model, known, arguments.enrolments, random, whole)
        rows = random.choice(len(chances), arguments.batch_size, p=chances)
        output = model.score_statistics(known.statistics[rows], *enrolment.draw(rows))
        labels = {name: values[rows] for name, values in known.labels.items()}
        model.add_losses(output, **labels)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        scheduler.step()
    return model.eval()


@torch.inference_mode()
def score_heads(model: SpeechEQModel, statistics: torch.Tensor, speakers: np.ndarray, number: int, seed: int = 0):
    """Predict with the utterance heads, with `number` unlabelled enrolment utterances per speaker.

    Args:
        model ([`SpeechEQModel`]): trained.
        statistics (`torch.FloatTensor` of shape `(n, states, 2 * hidden)`): of all utterances of the test speakers.
        speakers (`np.ndarray` of shape `(n,)`): speaker of each utterance.
        number (`int`): enrolment utterances, drawn for each utterance from the speaker's other utterances, or all of
            those if there are fewer; -1: all.
        seed (`int`, *optional*, defaults to 0): of the draws.

    Returns:
        [`SpeechEQOutput`]: for all utterances, in their order.
    """
    if number == 0:
        return model.score_statistics(statistics)
    random = np.random.default_rng(seed)
    of_speaker = {speaker: np.flatnonzero(speakers == speaker) for speaker in np.unique(speakers)}

    def enrol(row: int) -> tuple[torch.Tensor, torch.Tensor]:
        others = of_speaker[speakers[row]]
        others = others[others != row]
        drawn = others if number == ALL else random.choice(others, min(number, len(others)), replace=False)
        return _speaker_statistics(model, statistics[drawn])

    parts = []
    for rows in torch.arange(len(speakers)).split(256):  # to limit memory
        means, stds = zip(*[enrol(int(row)) for row in rows], strict=True)
        parts.append(model.score_statistics(statistics[rows], torch.stack(means), torch.stack(stds)))
    return type(parts[0])(**{name: torch.cat([part[name] for part in parts]) for name in parts[0]})


@torch.inference_mode()
def score_recordings(model: SpeechEQModel, statistics: torch.Tensor, speakers: np.ndarray, size: int, seed: int = 0):
    """Predict with the utterance heads as with `speaker="auto"`, for recordings of `size` random utterances of one speaker.

    Args:
        model, statistics, speakers, seed: as in [`score_heads`].
        size (`int`): utterances per recording; the last recording of a speaker may have fewer.

    Returns:
        [`SpeechEQOutput`]: for all utterances, in their order.
    """
    random = np.random.default_rng(seed)
    unknown = model.score_statistics(statistics).esc_logits.softmax(dim=-1)
    means = model.standardizer.mean.repeat(len(statistics), 1, 1)
    for speaker in np.unique(speakers):
        drawn = random.permutation(np.flatnonzero(speakers == speaker))
        for rows in np.split(drawn, range(size, len(drawn), size)):
            if len(rows) > 1:
                means[rows] = own_mean(statistics[rows], unknown[rows], model.standardizer.mean)
    return model.score_statistics(statistics, means)


class _Enrolment:
    """Random speaker statistics for some batches: a few draws per speaker and number of enrolment utterances.

    The statistics of all utterances of a speaker do not change; `whole` keeps them for later objects.
    """

    def __init__(self, model, known: KnownUtterances, numbers: list[int], random: np.random.Generator, whole: dict):
        self.model = model
        self.known = known
        self.numbers = numbers
        self.random = random
        self.of_speaker = {speaker: np.flatnonzero(known.speakers == speaker) for speaker in known.to_know}
        self.draws = {}
        self.whole = whole

    def draw(self, rows: np.ndarray) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Draw mean and deviation for each row, `(batch, states, 2 * hidden)`; `None` if speakers are never enrolled."""
        if self.numbers == [0]:
            return None, None
        drawn = [self._one(self.known.speakers[row], self.random.choice(self.numbers)) for row in rows]
        return torch.stack([mean for mean, _ in drawn]), torch.stack([std for _, std in drawn])

    def _one(self, speaker: str, number: int):
        key = (speaker if speaker in self.of_speaker else None, number, self.random.integers(DRAWS))
        if key[0] is None or number == 0:
            key = (None, 0, 0)
        draws = self.whole if number == ALL and key[0] is not None else self.draws
        key = key[:2] if draws is self.whole else key
        if key not in draws:
            drawn = self.of_speaker.get(key[0], np.array([], dtype=int))
            if number not in (0, ALL):
                drawn = self.random.choice(drawn, min(number, len(drawn)), replace=False)
            draws[key] = _speaker_statistics(self.model, self.known.statistics[drawn])
        return draws[key]


def _speaker_statistics(model: SpeechEQModel, enrolment: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    speaker = SpeakerStatistics(model.standardizer, model.config.speaker_prior).update(enrolment)
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
