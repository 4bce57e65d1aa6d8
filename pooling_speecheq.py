"""Pooling over time: frames to utterance statistics, windows to segments; standardisation and speaker statistics.

Speaker differences are the largest nuisance factor in emotion recognition. Speaker normalisation with the mean and standard
deviation of unlabelled utterances removes much of it (Busso et al. 2013, https://doi.org/10.1109/T-AFFC.2013.26).
"""

import math
import os
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from .audio_speecheq import SAMPLING_RATE

ATTENTIONS = 4  # attention heads of attentive pooling
OWN_PRIOR = 20.0  # pseudo-utterances; chosen on validation speakers, with the exponent of the entropy
FULL_ENTROPY = math.log(7)  # nats, of equally frequent basic classes
STEP = 0.5  # s, resolution of the timeline


class RunningStandardizer(nn.Module):
    """Standardise features with running estimates of the mean and variance of the training corpus.

    Unlike batch normalisation it also uses the estimates in training, so that a small or single-speaker batch is treated
    as at inference. The estimates start as plain averages and become exponential averages.

    Args:
        shape (`tuple[int, ...]`): shape of the features of one utterance.
        momentum (`float`, *optional*, defaults to 0.02): smallest weight of a new batch.
    """

    def __init__(self, *shape: int, momentum: float = 0.02):
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.register_buffer("num_batches", torch.zeros(()))

    def forward(
        self, features: torch.Tensor, mean: torch.Tensor | None = None, std: torch.Tensor | None = None
    ) -> torch.Tensor:
        """
        Args:
            features (`torch.FloatTensor` of shape `(batch, *shape)`): features to standardise.
            mean, std (`torch.FloatTensor` of shape `(*shape,)` or `(batch, *shape)`, *optional*): speaker statistics that
                replace those of the training corpus; see [`SpeakerStatistics`].

        Returns:
            `torch.FloatTensor` of shape `(batch, *shape)`: standardised features, clipped to 10 standard deviations.
        """
        if self.training and mean is None:
            self.update(features)
        mean = self.mean if mean is None else mean
        scale = torch.rsqrt(self.variance + 1e-5) if std is None else 1 / std
        return ((features - mean) * scale).clamp(-10, 10).to(features.dtype)

    @torch.no_grad()
    def fit(self, features: torch.Tensor):
        """Set the estimates from all features of the training corpus, `(n, *shape)`."""
        self.mean.copy_(features.mean(dim=0))
        self.variance.copy_(features.var(dim=0, correction=0).clamp(min=1e-8))

    @torch.no_grad()
    def update(self, features: torch.Tensor):
        """Update the estimates with a batch, `(n, *shape)`, averaged over the processes of distributed training."""
        features = features.detach().float()
        self.num_batches += 1
        momentum = (1 / self.num_batches).clamp(min=self.momentum)
        shift = _mean_of_processes(features.mean(dim=0) - self.mean)
        # E[(x - mean)^2] around the old mean, minus the squared shift of the mean: also correct for a batch of one.
        spread = _mean_of_processes((features - self.mean).square().mean(dim=0))
        self.variance.copy_((1 - momentum) * self.variance + momentum * spread - (momentum * shift).square())
        self.variance.clamp_(min=1e-8)
        self.mean += momentum * shift


def _mean_of_processes(value: torch.Tensor) -> torch.Tensor:
    """Average a tensor over the processes of distributed training, which have equal batch sizes."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
        value = value / distributed.get_world_size()
    return value


class SpeakerStatistics:
    """Running mean and standard deviation of the unlabelled utterances of one speaker.

    Few utterances give poor estimates, so the training corpus counts as `prior` more utterances. The mean is the posterior
    mean under a conjugate normal prior. The variance is the average of the speaker variance around this mean and the corpus
    variance.

    Args:
        standardizer ([`RunningStandardizer`]): mean and variance of the model's training corpus.
        prior (`float`): weight of the corpus in pseudo-utterances, see `SpeechEQConfig.speaker_prior`.
    """

    def __init__(self, standardizer: RunningStandardizer, prior: float):
        # float32 for every model dtype: sums in half precision soon stop growing.
        self.corpus_mean = standardizer.mean.clone().float()
        self.corpus_variance = standardizer.variance.clone().float()
        self.prior = prior
        self.num_utterances = 0
        # Sums of the deviations from the corpus mean and of their squares: sums of raw features lose precision.
        self.total = torch.zeros_like(self.corpus_mean)
        self.total_square = torch.zeros_like(self.corpus_mean)

    def update(self, statistics: torch.Tensor) -> "SpeakerStatistics":
        """Add utterances of the speaker.

        Args:
            statistics (`torch.FloatTensor` of shape `(utterances, states, 2 * hidden)`): `statistics` of the model output.

        Returns:
            [`SpeakerStatistics`]: this object.

        Raises:
            ValueError: if the statistics have another shape, for example no batch dimension.
        """
        if statistics.shape[1:] != self.corpus_mean.shape:
            expected = ", ".join(map(str, self.corpus_mean.shape))
            raise ValueError(
                f"SpeakerStatistics: statistics must be of shape (utterances, {expected}); got {tuple(statistics.shape)}."
            )
        deviations = statistics.detach().to(self.corpus_mean) - self.corpus_mean
        self.num_utterances += len(deviations)
        self.total += deviations.sum(dim=0)
        self.total_square += deviations.square().sum(dim=0)
        return self

    def merge(self, other: "SpeakerStatistics") -> "SpeakerStatistics":
        """Add the utterances of other statistics of the same speaker from the same model, and return this object."""
        self.num_utterances += other.num_utterances
        self.total += other.total
        self.total_square += other.total_square
        return self

    def save(self, path: str | os.PathLike):
        """Save the statistics as a safetensors file."""
        sums = {"total": self.total, "total_square": self.total_square, "corpus_mean": self.corpus_mean}
        save_file(sums | {"num_utterances": torch.tensor(self.num_utterances)}, path)

    def load(self, path: str | os.PathLike) -> "SpeakerStatistics":
        """Replace the statistics with those of a file from [`~SpeakerStatistics.save`], and return this object.

        Raises:
            ValueError: if the file was saved with another model.
        """
        saved = load_file(path, device=str(self.total.device))
        corpus_mean = saved.get("corpus_mean")
        if corpus_mean is None or not _same_model(corpus_mean, self.corpus_mean):
            raise ValueError(
                f"SpeakerStatistics: path must be a file saved with this model; got another model in {os.fspath(path)!r}."
            )
        # The saved sums are of deviations from a corpus mean that may be rounded differently.
        shift, count = corpus_mean - self.corpus_mean, saved["num_utterances"]
        self.total = saved["total"] + count * shift
        self.total_square = saved["total_square"] + 2 * shift * saved["total"] + count * shift.square()
        self.num_utterances = int(saved["num_utterances"])
        return self

    @property
    def mean(self) -> torch.Tensor:
        """Speaker mean, `torch.FloatTensor` of shape `(states, 2 * hidden)`: `speaker_mean` of the model."""
        return self._estimates()[0]

    @property
    def std(self) -> torch.Tensor:
        """Speaker deviation, `torch.FloatTensor` of shape `(states, 2 * hidden)`: `speaker_std` of the model."""
        return self._estimates()[1]

    def _estimates(self) -> tuple[torch.Tensor, torch.Tensor]:
        count = max(self.num_utterances, 1)
        shift = self.total / count
        variance = self.total_square / count - shift.square()
        share = self.num_utterances / (self.num_utterances + self.prior)
        return draw_to_corpus(self.corpus_mean + shift, variance, share, self.corpus_mean, self.corpus_variance)


def _same_model(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Return whether two corpus means are from the same model, possibly in different precisions.

    The mean of a half-precision model is rounded, so rounding it again does not change it.
    """
    if one.shape != other.shape:
        return False
    for dtype in (torch.bfloat16, torch.float16):
        if any(mean.to(dtype).float().equal(mean) for mean in (one, other)):
            return torch.allclose(
                one, other, rtol=torch.finfo(dtype).eps, atol=1e-7
            )  # float16 has steps of 6e-8 near 0
    return torch.allclose(one, other)


def draw_to_corpus(
    mean: torch.Tensor, variance: torch.Tensor, share: float, corpus_mean: torch.Tensor, corpus_variance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Shrink speaker statistics towards those of the training corpus; see [`SpeakerStatistics`].

    Args:
        mean, variance (`torch.FloatTensor` of the same shape): mean and variance of the speaker's utterances.
        share (`float`): weight of the speaker in [0, 1]; `n / (n + prior)` for `n` utterances.
        corpus_mean, corpus_variance (`torch.FloatTensor` of the same shape): mean and variance of the training corpus.

    Returns:
        `tuple` of two `torch.FloatTensor` of that shape: mean and standard deviation.
    """
    posterior = corpus_mean + share * (mean - corpus_mean)
    spread = variance + (mean - posterior).square()
    return posterior, (share * spread + (1 - share) * corpus_variance + 1e-5).sqrt()


def own_mean(statistics: torch.Tensor, scores: torch.Tensor, corpus_mean: torch.Tensor) -> torch.Tensor:
    """Estimate the speaker mean from one recording of unknown emotions, for `speaker="auto"`.

    If the recording has one emotion, its mean contains the emotion, and normalisation would remove it. The weight of the
    recording is therefore multiplied by the squared entropy of its mean prediction, in units of seven equally frequent classes.

    Args:
        statistics (`torch.FloatTensor` of shape `(windows, states, 2 * hidden)`): `statistics` of the model output.
        scores (`torch.FloatTensor` of shape `(windows, classes)`): ESC probabilities without speaker statistics.
        corpus_mean (`torch.FloatTensor` of shape `(states, 2 * hidden)`): mean of the training corpus.

    Returns:
        `torch.FloatTensor` of shape `(states, 2 * hidden)`: `speaker_mean` of the model.
    """
    variety = torch.special.entr(scores.mean(dim=0)).sum() / FULL_ENTROPY
    share = len(statistics) / (len(statistics) + OWN_PRIOR) * variety.clamp(max=1).square()
    return corpus_mean + share * (statistics.mean(dim=0) - corpus_mean)


class StatisticsPooling(nn.Module):
    """Mean and standard deviation of each layer over the speech frames, with equal or learned weights.

    Args:
        hidden_size (`int`): channels of each state.
        attentive (`bool`): weight frames by attention (attentive statistics pooling, https://arxiv.org/abs/1803.10963), with
            one head per quarter of the channels (multi-head attention pooling, https://arxiv.org/abs/1906.09890).
    """

    def __init__(self, hidden_size: int, attentive: bool):
        super().__init__()
        self.attention = (
            nn.Sequential(nn.LayerNorm(hidden_size), nn.Linear(hidden_size, math.gcd(hidden_size, ATTENTIONS)))
            if attentive
            else None
        )

    def forward(self, states: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """
        Args:
            states (`list[torch.FloatTensor]` of shape `(batch, frames, hidden)`): hidden states of the encoder.
            mask (`torch.BoolTensor` of shape `(batch, frames)`): `True` on speech, `False` on padding.

        Returns:
            `torch.FloatTensor` of shape `(batch, states, 2 * hidden)`: float32, because half precision loses the variance.
        """
        scores = torch.zeros_like(mask, dtype=torch.float32)[..., None]
        if self.attention is not None:
            scores = self.attention(sum(states) / len(states)).float()  # (batch, frames, attentions)
            scores = scores.repeat_interleave(states[0].shape[-1] // scores.shape[-1], dim=-1)
        weights = scores.masked_fill(~mask[..., None], -torch.inf).softmax(dim=1)
        return torch.stack([self._statistics(state.float(), weights) for state in states], dim=1)

    @staticmethod
    def _statistics(frames: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        mean = (weights * frames).sum(dim=1)
        variance = (weights * (frames - mean[:, None]).square()).sum(dim=1)
        return torch.cat([mean, (variance + 1e-6).sqrt()], dim=-1)


def mean_of(answers: list[dict], name: str) -> torch.Tensor:
    """Average probabilities over chunks, weighted by their length."""
    lengths = torch.tensor([answer["end"] - answer["start"] for answer in answers])
    return (lengths / lengths.sum()) @ torch.tensor([answer[name] for answer in answers])


def folded(scores: torch.Tensor, fold: torch.Tensor) -> torch.Tensor:
    """Fold fine-class probabilities into the label space, and renormalise them."""
    scores = scores @ fold
    return scores / scores.sum().clamp(min=1e-12)


def timed_phonemes(answers: list[dict], names: list[str]) -> list[dict]:
    """Return the phonemes of windows with their times. Overlapping windows are cut at the middle of the overlap.

    Args:
        answers (`list[dict]`): answers of the windows, in the order of time, with `start`, `end`, `starts_region`,
            `frames`, and `symbols`: id, first frame, and the frame after the last.
        names (`list[str]`): IPA symbol of each id.

    Returns:
        `list[dict]`: `phoneme`, `start` and `end`, in the order of time.
    """
    found = []
    for index, answer in enumerate(answers):
        before = answers[index - 1] if index else None
        after = answers[index + 1] if index + 1 < len(answers) else None
        low = (before["end"] + answer["start"]) / 2 if before and not answer["starts_region"] else -np.inf
        high = (answer["end"] + after["start"]) / 2 if after and not after["starts_region"] else np.inf
        step = (answer["end"] - answer["start"]) / max(answer["frames"], 1)
        for symbol, start, stop in answer["symbols"]:
            begin, end = answer["start"] + start * step, answer["start"] + stop * step
            if low <= (begin + end) / 2 < high:
                times = {"start": round(max(begin, low), 3), "end": round(min(end, high), 3)}
                found.append({"phoneme": names[symbol], **times})
    return found


class Answer(NamedTuple):
    """Prediction for a window.

    Args:
        start, end (`float`): start and end, in seconds.
        starts_region (`bool`): whether a region of speech starts with the window.
        scores (`np.ndarray` of shape `(labels,)`): probabilities.
        intensity (`float`): intensity in [0, 1].
    """

    start: float
    end: float
    starts_region: bool
    scores: np.ndarray
    intensity: float


def segments(answers: list[Answer], labels: list[str], change: float) -> list[dict]:
    """Merge the windows of each region of speech into segments with one label each.

    The probabilities of overlapping windows are averaged in steps of half a second. The Viterbi algorithm then finds the most
    probable sequence of labels, with a cost of `change` per label change. Segments of different regions are not merged,
    because there is a pause between them.

    Args:
        answers (`list[Answer]`): predictions, in the order of time.
        labels (`list[str]`): labels of the scores.
        change (`float`): cost of a label change between two steps, in nats.

    Returns:
        `list[dict]`: `start`, `end` (s), `label`, `score` (mean probability of the label) and `intensity`.
    """
    found = []
    for region in _regions(answers):
        edges = _edges(region[0].start, region[-1].end)
        scores, intensities = _averaged(region, edges)
        path = _viterbi(np.log(np.maximum(scores, 1e-8)), change)
        starts = np.flatnonzero(np.diff(path, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(path)], strict=True):
            found.append(
                {
                    "start": round(edges[start][0], 3),
                    "end": round(edges[stop - 1][1], 3),
                    "label": labels[path[start]],
                    "score": float(scores[start:stop, path[start]].mean()),
                    "intensity": float(np.mean(intensities[start:stop])),
                }
            )
    return found


def _regions(answers: list[Answer]) -> list[list[Answer]]:
    regions = []
    for answer in answers:
        if answer.starts_region:
            regions.append([])
        regions[-1].append(answer)
    return regions


def _edges(start: float, end: float) -> list[tuple[float, float]]:
    """Divide a region into equal steps of about half a second."""
    return list(pairwise(np.linspace(start, end, max(1, round((end - start) / STEP)) + 1).tolist()))


def _averaged(region: list[Answer], edges: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Average scores, `(steps, labels)`, and intensities, `(steps,)`, weighted by the overlap of window and step."""
    starts, ends = (np.array([getattr(answer, name) for answer in region]) for name in ("start", "end"))
    scores = np.stack([answer.scores for answer in region])
    intensities = np.array([answer.intensity for answer in region])
    means = []
    for start, end in edges:
        near = slice(np.searchsorted(ends, start, side="right"), np.searchsorted(starts, end))
        shares = np.minimum(ends[near], end) - np.maximum(starts[near], start)
        shares = shares / shares.sum()
        means.append((shares @ scores[near], shares @ intensities[near]))
    return np.stack([mean for mean, _ in means]), np.array([intensity for _, intensity in means])


def _viterbi(scores: np.ndarray, change: float) -> np.ndarray:
    """Find the label of each step, `(steps,)`, from log-probabilities `(steps, labels)`."""
    best, backpointers = scores[0], []
    for step_scores in scores[1:]:
        stay, jump = best, best.max() - change
        backpointers.append(np.where(stay >= jump, np.arange(len(best)), best.argmax()))
        best = np.maximum(stay, jump) + step_scores
    path = [int(best.argmax())]
    for previous in reversed(backpointers):
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])


@dataclass
class Recording:
    """State of one recording: its chunk predictions, speaker statistics, summary and error.

    Args:
        speaker ([`SpeakerStatistics`], *optional*): updated with the chunks.
        statistics (`list`, *optional*): of the chunks, as float16 on the CPU, 14 kB each for seven states of 1,024; `None` does
            not store them.
    """

    speaker: SpeakerStatistics | None
    statistics: list[torch.Tensor] | None = None
    answers: list[dict] = field(default_factory=list)
    pending: int = 0
    summary: dict | None = None
    error: str | None = None

    @property
    def complete(self) -> bool:
        return self.error is not None or (self.summary is not None and not self.pending)

    def is_counted(self, answer: dict) -> bool:
        """Return whether a chunk belongs to the speaker's statistics: if a recording has utterances, only they do."""
        return self.answers[0]["is_utterance"] == answer["is_utterance"]

    def add(self, chunk: dict, answer: dict):
        """Add the prediction of a chunk."""
        self.pending -= 1
        end = chunk["start"] + len(chunk["samples"]) / SAMPLING_RATE
        statistics = answer.pop("statistics")
        position = {name: chunk[name] for name in ("start", "starts_region", "is_utterance")}
        self.answers.append(answer | position | {"end": end})
        if self.statistics is not None:
            self.statistics.append(statistics.half())
        if self.speaker is not None and self.is_counted(chunk):
            self.speaker.update(statistics[None])
