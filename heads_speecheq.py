"""The heads of SpeechEQ, the optional adapter before them, and their losses.

Three heads predict once per utterance, the phoneme head once per frame. Each head uses its own learned sum over its input
states (https://arxiv.org/abs/2105.01051).

Each loss ignores utterances without a label for its task, and is 0 for a batch without labels. ESC and EIS share one form.
A target is a distribution over sets of classes, and the loss is `-sum over sets of weight * log(probability of the set)`:
partial-label learning (Cour, Sapp and Taskar 2011, https://jmlr.org/papers/v12/cour11a.html) with soft votes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from transformers.utils import ModelOutput

from .configuration_speecheq import SpeechEQConfig
from .labels_speecheq import MISSING
from .pooling_speecheq import RunningStandardizer

KERNEL = 5  # frames: 0.1 s
SKIP = 8  # neighbouring frames are similar, so every eighth frame is enough to estimate mean and deviation


@dataclass
class SpeechEQOutput(ModelOutput):
    """Output of [`SpeechEQModel`].

    Args:
        loss (`torch.FloatTensor` of shape `()`, *optional*, given with labels): weighted sum of the task losses.
        esc_loss, eis_loss, phoneme_loss, gender_loss (`torch.FloatTensor` of shape `()`, *optional*): unweighted loss of
            each task; 0 if the batch has no label for the task.
        esc_logits (`torch.FloatTensor` of shape `(batch, classes)`): Emotion State Category, fine scale.
        eis_logits (`torch.FloatTensor` of shape `(batch, levels)`): Emotion Intensity Scale; log-probabilities divided by
            the temperature and, with `config.shallow_states`, shifted by a constant.
        eis (`torch.FloatTensor` of shape `(batch,)`): expected intensity in `[0, 1]`.
        phoneme_logits (`torch.FloatTensor` of shape `(batch, frames, symbols)`): CTC scores, class 0 is the blank.
        gender_logits (`torch.FloatTensor` of shape `(batch, 2)`): gender of the speaker.
        esc_shallow_logits, eis_shallow_logits (*optional*, in training, if `config.shallow_states`): like `esc_logits` and
            `eis_logits`, from the first states only. At inference `esc_logits` and `eis_logits` average both heads.
        frame_lengths (`torch.LongTensor` of shape `(batch,)`): number of frames of each utterance without padding.
        statistics (`torch.FloatTensor` of shape `(batch, states, 2 * hidden)`): mean and standard deviation over time of
            each state, not standardised; input of [`SpeakerStatistics`].
    """

    loss: torch.Tensor | None = None
    esc_loss: torch.Tensor | None = None
    eis_loss: torch.Tensor | None = None
    phoneme_loss: torch.Tensor | None = None
    gender_loss: torch.Tensor | None = None
    esc_logits: torch.Tensor | None = None
    eis_logits: torch.Tensor | None = None
    eis: torch.Tensor | None = None
    phoneme_logits: torch.Tensor | None = None
    gender_logits: torch.Tensor | None = None
    esc_shallow_logits: torch.Tensor | None = None
    eis_shallow_logits: torch.Tensor | None = None
    frame_lengths: torch.Tensor | None = None
    statistics: torch.Tensor | None = None


class LayerMix(nn.Module):
    """Learned weighted sum of the input states of a head (https://arxiv.org/abs/2105.01051).

    Args:
        num_states (`int`): number of states.
    """

    def __init__(self, num_states: int):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_states))

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Return the weighted sum of the states, tensors of the same shape."""
        weights = self.weights.softmax(dim=-1)
        return sum(weight.to(state.dtype) * state for weight, state in zip(weights, states, strict=True))


class UtteranceHead(nn.Module):
    """Head with one prediction per utterance, from the pooled statistics of its input states.

    Args:
        config (`SpeechEQConfig`): sizes, `head_hidden_size` and `head_dropout`.
        num_outputs (`int`): number of scores per utterance.
        num_states (`int`, *optional*): number of input states; all by default.
    """

    def __init__(self, config: SpeechEQConfig, num_outputs: int, num_states: int | None = None):
        super().__init__()
        width = 2 * config.head_channels
        self.layer_mix = LayerMix(num_states or config.head_states)
        self.dropout = nn.Dropout(config.head_dropout)
        self.dense = nn.Linear(width, config.head_hidden_size) if config.head_hidden_size else None
        self.classifier = nn.Linear(config.head_hidden_size or width, num_outputs)

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        """
        Args:
            statistics (`torch.FloatTensor` of shape `(batch, states, 2 * hidden)`): standardised mean and standard
                deviation of `num_states` states.

        Returns:
            `torch.FloatTensor` of shape `(batch, outputs)`: unnormalised scores.
        """
        hidden = self.layer_mix(statistics.unbind(dim=1)).to(self.classifier.weight.dtype)
        hidden = self.dropout(hidden)
        if self.dense is not None:
            hidden = self.dropout(nn.functional.gelu(self.dense(hidden)))
        return self.classifier(hidden)


class OrdinalHead(UtteranceHead):
    """Head for ordered levels: a proportional-odds model (McCullagh 1980) with one location and K - 1 thresholds.

    Args:
        config (`SpeechEQConfig`): `eis_labels` defines the K levels.
        num_states (`int`, *optional*): number of input states; all by default.
    """

    def __init__(self, config: SpeechEQConfig, num_states: int | None = None):
        super().__init__(config, num_outputs=1, num_states=num_states)
        self.num_levels = len(config.eis_labels)
        self.first_threshold = nn.Parameter(torch.empty(1))
        self.log_steps = nn.Parameter(torch.empty(self.num_levels - 2))

    def initial_thresholds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the first threshold and the log steps with which all levels are equally likely at location 0."""
        thresholds = torch.logit(torch.arange(1, self.num_levels) / self.num_levels)
        return thresholds[:1], thresholds.diff().log()

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        """Compute log-probabilities, `torch.FloatTensor` of shape `(batch, levels)`; see [`UtteranceHead.forward`]."""
        location = super().forward(statistics).float()
        steps = torch.cat([self.first_threshold, self.log_steps.exp()]).float()
        below = steps.cumsum(dim=0) - location  # (batch, levels - 1): logits of "at most level k"
        lower = nn.functional.pad(below, (1, 0), value=-torch.inf)
        upper = nn.functional.pad(below, (0, 1), value=torch.inf)
        # log(sigmoid(u) - sigmoid(l)) = logsigmoid(u) + logsigmoid(-l) + log(1 - exp(l - u)) avoids cancellation.
        # logsigmoid(x) is -softplus(-x) here: the ONNX export of logsigmoid takes the log of a sigmoid, 0 below -18.
        gap = torch.log(-torch.expm1(lower - upper))
        return gap - nn.functional.softplus(-upper) - nn.functional.softplus(lower)


class PhonemeHead(nn.Module):
    """Head with CTC scores per frame. Layer scales differ, so each layer is normalised before the weighted sum.

    Args:
        config (`SpeechEQConfig`): `phoneme_labels` defines the symbols.
    """

    def __init__(self, config: SpeechEQConfig):
        super().__init__()
        self.layer_mix = LayerMix(config.head_states)
        self.dropout = nn.Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.head_channels, len(config.phoneme_labels))

    def forward(self, states: list[torch.Tensor]) -> torch.Tensor:
        """
        Args:
            states (`list[torch.FloatTensor]` of shape `(batch, frames, hidden)`): hidden states of the encoder.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames, symbols)`: unnormalised scores.
        """
        hidden = self.layer_mix([nn.functional.layer_norm(state, state.shape[-1:]) for state in states])
        return self.classifier(self.dropout(hidden))


class FrameAdapter(nn.Module):
    """Adapter between a frozen encoder and the four heads: it maps all encoder states to one state with few channels.

    It standardises the states, projects them to `adapter_size` channels and applies residual convolutions over time. With
    the encoder states cached on disk, training takes minutes on two CPU cores. It is a downstream model in the sense of
    https://arxiv.org/abs/2105.01051.

    Args:
        num_states (`int`): number of encoder states.
        hidden_size (`int`): channels of each state.
        adapter_size (`int`): channels of the output.
        num_layers (`int`): number of convolutions, each over 5 frames.
        dropout (`float`): probability of dropping a channel in all frames of an utterance.
    """

    def __init__(self, num_states: int, hidden_size: int, adapter_size: int, num_layers: int, dropout: float):
        super().__init__()
        self.standardizer = RunningStandardizer(num_states * hidden_size)
        self.projection = nn.Linear(num_states * hidden_size, adapter_size)
        self.norm = nn.LayerNorm(adapter_size)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(adapter_size, adapter_size, KERNEL, padding=KERNEL // 2) for _ in range(num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(adapter_size) for _ in range(num_layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """
        Args:
            states (`list[torch.FloatTensor]` of shape `(batch, frames, hidden)`): encoder states.
            mask (`torch.BoolTensor` of shape `(batch, frames)`): `True` on speech, `False` on padding.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames, adapter_size)`: 0 on padding.
        """
        frames, speech = torch.cat(list(states), dim=-1), mask[..., None]
        if self.training:
            self.standardizer.update(frames[:, ::SKIP][mask[:, ::SKIP]])
        frames = self.standardizer(frames, mean=self.standardizer.mean)  # with a given mean it does not update
        hidden = nn.functional.gelu(self.norm(self.projection(self._drop(frames)))) * speech
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            output = convolution(hidden.transpose(1, 2)).transpose(1, 2)  # over (batch, channels, frames)
            hidden = (hidden + self._drop(nn.functional.gelu(norm(output)))) * speech
        return hidden

    def _drop(self, frames: torch.Tensor) -> torch.Tensor:
        return frames * self.dropout(frames.new_ones(frames.shape[0], 1, frames.shape[2]))


def set_loss(logits: torch.Tensor, targets: torch.Tensor, offsets: torch.Tensor | None = None) -> torch.Tensor:
    """Compute the negative log-probability of sets of classes, averaged over the labelled utterances.

    Args:
        logits (`torch.FloatTensor` of shape `(batch, classes)`): unnormalised scores.
        targets (`torch.FloatTensor` of shape `(batch, sets, classes)` or `(batch, classes)`): the weight of a set on
            its members, 0 elsewhere. A set of all classes means that the utterance has no label.
        offsets (`torch.FloatTensor` of shape `(batch, classes)`, *optional*): added to the scores; the log prior of each
            class in the corpus of the utterance (https://arxiv.org/abs/2007.07314).

    Returns:
        `torch.FloatTensor` of shape `()`.
    """
    targets = targets[:, None] if targets.dim() == 2 else targets
    weights = targets.amax(dim=-1)  # (batch, sets)
    members = targets > 0
    labelled = ~(members.all(dim=-1) & (weights > 0)).any(dim=-1)
    members = members | (weights == 0)[..., None]  # padding rows get the full set (probability 1) with weight 0
    scores = logits.float() if offsets is None else logits.float() + offsets
    log_probs = scores.log_softmax(dim=-1)[:, None]
    log_set = log_probs.masked_fill(~members, -torch.inf).logsumexp(dim=-1)
    return _mean(-(weights * log_set).sum(dim=-1), labelled)


def mean_set_loss(targets: torch.Tensor, offsets: torch.Tensor | None, *logits: torch.Tensor | None) -> torch.Tensor:
    """Compute [`set_loss`] of a head, averaged with that of the shallow head if there is one."""
    losses = [set_loss(scores, targets, offsets) for scores in logits if scores is not None]
    return sum(losses) / len(losses)


def interval_targets(intervals: torch.Tensor, num_levels: int) -> torch.Tensor:
    """Convert intensity intervals to sets of ordered levels at the values `0, 1/(K-1), ..., 1`.

    An interval becomes the set of the levels in it. If it contains no level (a point, for example), its weight is split
    between the two levels around its middle so that their expectation is the middle.

    Args:
        intervals (`torch.FloatTensor` of shape `(batch, 2)`): low and high in `[0, 1]`, or -100 if missing.
        num_levels (`int`): number of levels K.

    Returns:
        `torch.FloatTensor` of shape `(batch, 2, levels)`: targets for [`set_loss`].
    """
    low, high = intervals.float().unbind(dim=-1)
    missing = (low < 0) | (high < 0)
    levels = torch.linspace(0, 1, num_levels, device=intervals.device)
    tolerance = 1e-4 / num_levels
    inside = (levels >= low[:, None] - tolerance) & (levels <= high[:, None] + tolerance)
    middle = ((low + high) / 2).clamp(0, 1) * (num_levels - 1)
    below = middle.floor().clamp(max=num_levels - 2).long()
    share = (middle - below)[:, None]
    point = torch.stack(
        [
            nn.functional.one_hot(below, num_levels) * (1 - share),
            nn.functional.one_hot(below + 1, num_levels) * share,
        ],
        dim=1,
    )
    level_set = torch.stack([inside.float(), torch.zeros_like(inside.float())], dim=1)
    targets = torch.where(inside.any(dim=-1)[:, None, None], level_set, point)
    return torch.where(missing[:, None, None], torch.ones_like(targets), targets)


def ctc_loss(logits: torch.Tensor, frame_lengths: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the CTC loss per symbol, averaged over the labelled utterances (blank is class 0).

    Args:
        logits (`torch.FloatTensor` of shape `(batch, frames, symbols)`): unnormalised scores.
        frame_lengths (`torch.LongTensor` of shape `(batch,)`): number of frames of each utterance without padding.
        labels (`torch.LongTensor` of shape `(batch, length)`): symbol ids, padded with -100; all -100 if missing.

    Returns:
        `torch.FloatTensor` of shape `()`. An utterance with too few frames for its symbols counts as 0.
    """
    label_lengths = (labels >= 0).sum(dim=-1)
    labelled = label_lengths > 0
    if not labelled.any():
        return logits.float().sum() * 0.0
    losses = nn.functional.ctc_loss(
        logits[labelled].float().log_softmax(dim=-1).transpose(0, 1),
        labels[labelled].clamp(min=0),
        frame_lengths[labelled],
        label_lengths[labelled],
        reduction="none",
        zero_infinity=True,
    )
    return (losses / label_lengths[labelled]).mean()


def class_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Compute the cross-entropy, averaged over the labelled utterances.

    Args:
        logits (`torch.FloatTensor` of shape `(batch, classes)`): unnormalised scores.
        labels (`torch.LongTensor` of shape `(batch,)`): class ids, -100 if missing.

    Returns:
        `torch.FloatTensor` of shape `()`.
    """
    losses = nn.functional.cross_entropy(logits.float(), labels, ignore_index=MISSING, reduction="none")
    return _mean(losses, labels != MISSING)


def _mean(losses: torch.Tensor, labelled: torch.Tensor) -> torch.Tensor:
    return (losses * labelled).sum() / labelled.sum().clamp(min=1)


class UncertaintyWeights(nn.Module):
    """One learned weight per task from its uncertainty (https://arxiv.org/abs/1705.07115, equation 10).

    Args:
        num_tasks (`int`): number of tasks.
    """

    def __init__(self, num_tasks: int):
        super().__init__()
        self.log_variances = nn.Parameter(torch.zeros(num_tasks))

    def forward(self, task: int, loss: torch.Tensor) -> torch.Tensor:
        """Weight the loss of one task, `torch.FloatTensor` of shape `()`; a loss of 0 (no labels) does not change."""
        log_variance = self.log_variances[task]
        return torch.where(loss > 0, torch.exp(-log_variance) * loss + log_variance / 2, loss)
