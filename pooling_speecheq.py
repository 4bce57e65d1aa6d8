"""From the frames of every encoder layer to the standardised statistics of an utterance, and of a speaker.

The speaker is the largest nuisance in emotion recognition: the mean and deviation of a speaker's own utterances, which need
no labels, take much of it away (Busso et al. 2013, https://doi.org/10.1109/T-AFFC.2013.26).
"""

import math
import os

import torch
from safetensors.torch import load_file, save_file
from torch import nn

ATTENTIONS = 4  # of attentive pooling


class RunningStandardizer(nn.Module):
    """Standardise features by the mean and deviation of the training corpus, kept as running estimates.

    Unlike batch normalisation it uses the estimates in training too, so that a small batch, or one of a single speaker,
    is treated as it will be in use. The estimates are plain averages at first, then forget slowly.

    Args:
        shape (`tuple[int, ...]`): of the features of one utterance.
        momentum (`float`, *optional*, defaults to 0.02): least weight of a new batch.
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
            features (`torch.FloatTensor` of shape `(batch, *shape)`): to standardise.
            mean, std (`torch.FloatTensor` of shape `(*shape,)` or `(batch, *shape)`, *optional*): of the speaker, instead
                of the training corpus's own; see [`SpeakerStatistics`].

        Returns:
            `torch.FloatTensor` of shape `(batch, *shape)`: within 10 deviations.
        """
        if self.training and mean is None:
            self.update(features)
        mean = self.mean if mean is None else mean
        scale = torch.rsqrt(self.variance + 1e-5) if std is None else 1 / std
        return ((features - mean) * scale).clamp(-10, 10).to(features.dtype)

    @torch.no_grad()
    def fit(self, features: torch.Tensor):
        """Take the estimates from all features of the training corpus at once, `(n, *shape)`."""
        self.mean.copy_(features.mean(dim=0))
        self.variance.copy_(features.var(dim=0, correction=0).clamp(min=1e-8))

    @torch.no_grad()
    def update(self, features: torch.Tensor):
        """Bring the estimates up to date with a batch, `(n, *shape)`; with those of all processes that train together."""
        features = features.detach().float()
        self.num_batches += 1
        momentum = (1 / self.num_batches).clamp(min=self.momentum)
        shift = _mean_of_processes(features.mean(dim=0) - self.mean)
        # E[(x - mean)^2] around the old mean, less the move of the mean: right for a batch of one as well.
        spread = _mean_of_processes((features - self.mean).square().mean(dim=0))
        self.variance.copy_((1 - momentum) * self.variance + momentum * spread - (momentum * shift).square())
        self.variance.clamp_(min=1e-8)
        self.mean += momentum * shift


def _mean_of_processes(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over the processes of distributed training, whose batches are of one size."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
        value = value / distributed.get_world_size()
    return value


class SpeakerStatistics:
    """Mean and deviation of one speaker's utterances, unlabelled, kept up to date as speech arrives.

    A few utterances say little: the estimates are drawn to the training corpus as if `prior` utterances of it had been
    heard as well. The mean is the posterior mean under a conjugate normal prior; the variance is that of the speaker around
    this mean, averaged with the corpus's around its own.

    Args:
        standardizer ([`RunningStandardizer`]): of the model; gives the training corpus's mean and variance.
        prior (`float`): pseudo-utterances, see `SpeechEQConfig.speaker_prior`.
    """

    def __init__(self, standardizer: RunningStandardizer, prior: float):
        # In float32, whatever the model is in: sums in half precision would soon stop growing.
        self.corpus_mean = standardizer.mean.clone().float()
        self.corpus_variance = standardizer.variance.clone().float()
        self.prior = prior
        self.num_utterances = 0
        # Of the deviations from the corpus's mean, and of their squares: sums of the features themselves would cancel.
        self.total = torch.zeros_like(self.corpus_mean)
        self.total_square = torch.zeros_like(self.corpus_mean)

    def update(self, statistics: torch.Tensor) -> "SpeakerStatistics":
        """Hear more of the speaker.

        Args:
            statistics (`torch.FloatTensor` of shape `(utterances, states, 2 * hidden)`): `statistics` of the model's output.

        Raises:
            ValueError: if the statistics have another shape, those of one utterance without its batch for instance.
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
        """Hear all that another has heard of the same speaker, by the same model."""
        self.num_utterances += other.num_utterances
        self.total += other.total
        self.total_square += other.total_square
        return self

    def save(self, path: str | os.PathLike):
        """Keep what is known, as safetensors."""
        sums = {"total": self.total, "total_square": self.total_square, "corpus_mean": self.corpus_mean}
        save_file(sums | {"num_utterances": torch.tensor(self.num_utterances)}, path)

    def load(self, path: str | os.PathLike) -> "SpeakerStatistics":
        """Know what was kept, and nothing else.

        Raises:
            ValueError: if it was kept of another model.
        """
        kept = load_file(path, device=str(self.total.device))
        corpus_mean = kept.get("corpus_mean")
        if corpus_mean is None or not _of_one_model(corpus_mean, self.corpus_mean):
            raise ValueError(f"SpeakerStatistics: {os.fspath(path)!r} must be of this model; got another's.")
        # The sums are of deviations from the mean as it was rounded then.
        shift, heard = corpus_mean - self.corpus_mean, kept["num_utterances"]
        self.total = kept["total"] + heard * shift
        self.total_square = kept["total_square"] + 2 * shift * kept["total"] + heard * shift.square()
        self.num_utterances = int(kept["num_utterances"])
        return self

    @property
    def mean(self) -> torch.Tensor:
        """`torch.FloatTensor` of shape `(states, 2 * hidden)`, to give to the model as `speaker_mean`."""
        return self._drawn()[0]

    @property
    def std(self) -> torch.Tensor:
        """`torch.FloatTensor` of shape `(states, 2 * hidden)`, to give to the model as `speaker_std`."""
        return self._drawn()[1]

    def _drawn(self) -> tuple[torch.Tensor, torch.Tensor]:
        heard = max(self.num_utterances, 1)
        shift = self.total / heard
        variance = self.total_square / heard - shift.square()
        share = self.num_utterances / (self.num_utterances + self.prior)
        return draw_to_corpus(self.corpus_mean + shift, variance, share, self.corpus_mean, self.corpus_variance)


def _of_one_model(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two means of a training corpus are those of one model, in whatever precision it was each time.

    Of a model in half precision the mean is rounded: all of it, so that nothing changes when it is rounded again.
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
    """Mean and deviation of a speaker, drawn to those of the training corpus; see [`SpeakerStatistics`].

    Args:
        mean, variance (`torch.FloatTensor` of one shape): of the speaker's utterances around their own mean.
        share (`float`): weight of the speaker in [0, 1]; `n / (n + prior)` for `n` utterances.
        corpus_mean, corpus_variance (`torch.FloatTensor` of the same shape): of the training corpus.
    """
    drawn = corpus_mean + share * (mean - corpus_mean)
    around = variance + (mean - drawn).square()
    return drawn, (share * around + (1 - share) * corpus_variance + 1e-5).sqrt()


class StatisticsPooling(nn.Module):
    """Mean and standard deviation of every layer over the speech frames, equally weighted or by learned attentions.

    Args:
        hidden_size (`int`): channels of the encoder.
        attentive (`bool`): weigh frames by attention (attentive statistics pooling, https://arxiv.org/abs/1803.10963), each
            quarter of the channels by its own (multi-head attention pooling, https://arxiv.org/abs/1906.09890).
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
            `torch.FloatTensor` of shape `(batch, states, 2 * hidden)`, in float32: half-precision squares would cancel.
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
