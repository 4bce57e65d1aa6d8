"""The four losses of SpeechEQ: each skips what has no label, and gives 0 for a batch without any.

ESC and EIS share one form. A target is a distribution over sets of classes, and the loss is
`-sum over sets of weight * log(probability of the set)`: partial-label learning (Cour, Sapp and Taskar 2011,
https://jmlr.org/papers/v12/cour11a.html) with soft votes.
"""

import torch
from torch import nn

MISSING = -100


def set_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Negative log-probability of sets of classes, mean over the labelled utterances.

    Args:
        logits (`torch.FloatTensor` of shape `(batch, classes)`): unnormalised scores.
        targets (`torch.FloatTensor` of shape `(batch, sets, classes)` or `(batch, classes)`): the weight of a set on
            its members, 0 elsewhere. A set of all classes says nothing: the utterance has no label.

    Returns:
        `torch.FloatTensor` of shape `()`.
    """
    targets = targets[:, None] if targets.dim() == 2 else targets
    weights = targets.amax(dim=-1)  # (batch, sets)
    members = targets > 0
    labelled = ~(members.all(dim=-1) & (weights > 0)).any(dim=-1)
    members = members | (weights == 0)[..., None]  # padding: the whole set, of probability 1, at weight 0
    log_probs = logits.float().log_softmax(dim=-1)[:, None]
    log_set = log_probs.masked_fill(~members, -torch.inf).logsumexp(dim=-1)
    return _mean(-(weights * log_set).sum(dim=-1), labelled)


def interval_targets(intervals: torch.Tensor, num_levels: int) -> torch.Tensor:
    """Turn intensity intervals into sets of ordered levels at the values `0, 1/(K-1), ..., 1`.

    An interval is the set of the levels in it. One that holds no level, a point for instance, is shared between the two
    levels around its middle so that their expectation is that middle.

    Args:
        intervals (`torch.FloatTensor` of shape `(batch, 2)`): low and high in `[0, 1]`, or -100 where missing.
        num_levels (`int`): K.

    Returns:
        `torch.FloatTensor` of shape `(batch, 2, levels)`: targets of [`set_loss`].
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
    whole = torch.stack([inside.float(), torch.zeros_like(inside.float())], dim=1)
    targets = torch.where(inside.any(dim=-1)[:, None, None], whole, point)
    return torch.where(missing[:, None, None], torch.ones_like(targets), targets)


def ctc_loss(logits: torch.Tensor, frame_lengths: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Connectionist temporal classification, per symbol, mean over the labelled utterances (blank is class 0).

    Args:
        logits (`torch.FloatTensor` of shape `(batch, frames, symbols)`): unnormalised scores.
        frame_lengths (`torch.LongTensor` of shape `(batch,)`): real frames.
        labels (`torch.LongTensor` of shape `(batch, length)`): symbol ids, -100 after the end; all -100 where missing.

    Returns:
        `torch.FloatTensor` of shape `()`. An utterance with more symbols than its frames can hold counts as 0.
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
    """Cross-entropy, mean over the labelled utterances.

    Args:
        logits (`torch.FloatTensor` of shape `(batch, classes)`): unnormalised scores.
        labels (`torch.LongTensor` of shape `(batch,)`): class ids, -100 where missing.
    """
    losses = nn.functional.cross_entropy(logits.float(), labels, ignore_index=MISSING, reduction="none")
    return _mean(losses, labels != MISSING)


def _mean(losses: torch.Tensor, labelled: torch.Tensor) -> torch.Tensor:
    return (losses * labelled).sum() / labelled.sum().clamp(min=1)
