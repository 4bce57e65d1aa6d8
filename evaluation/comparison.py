"""Confidence intervals of scores, and paired significance tests between two runs.

Utterances of one speaker are not independent, so the bootstrap resamples speakers: the paired bootstrap of Bisani and Ney
2004 (https://doi.org/10.1109/ICASSP.2004.1326009), with percentiles widened for few speakers as in Hesterberg 2015
(https://doi.org/10.1080/00031305.2015.1089789). In simulations of two equally good runs with 60 utterances per speaker
(400 comparisons each), p is below 0.05 in 4 to 9 % of comparisons with 5, 6 or 9 speakers; without the widening in 8 to
16 %. With 2 to 4 speakers it is 1 to 14 %.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

FEW_SPEAKERS = 5  # fewer speakers give too few different draws (two speakers: three)


def mean_interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Compute the mean and the t-interval of a score over folds or seeds.

    Folds of one corpus share training data, so their scores are not independent (Bengio and Grandvalet 2004,
    https://www.jmlr.org/papers/v5/grandvalet04a.html): an interval over folds describes their spread and is too narrow
    for new speech.

    Args:
        values (`Sequence[float]`): score of each fold or seed.
        level (`float`, *optional*, defaults to 0.95): confidence level, in (0, 1).

    Returns:
        `tuple[float, float, float]`: mean, low and high. With one value, low and high are NaN.

    Raises:
        ValueError: if there are no values, one is NaN or infinite, or the level is outside (0, 1).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"mean_interval: values must be finite numbers, at least one; got {values.tolist()}.")
    if not 0 < level < 1:
        raise ValueError(f"mean_interval: level must lie in (0, 1); got {level}.")
    mean = float(values.mean())
    if values.size == 1:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf((1 + level) / 2, df=values.size - 1) * stats.sem(values))
    return mean, mean - half, mean + half


def paired_difference(
    first: Sequence[int],
    second: Sequence[int],
    references: Sequence[int],
    speakers: Sequence[str],
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, float]:
    """Compare the UAR of two runs on the same utterances with a paired bootstrap over speakers.

    Each draw samples speakers with replacement, with all their utterances. With fewer than 5 speakers it also samples the
    utterances of each speaker with replacement, and the percentiles are not widened: results of so few speakers do not
    generalise. The UAR of a draw is over the classes in it.

    Args:
        first (`Sequence[int]` of length `n`): class ids predicted by the first run.
        second (`Sequence[int]` of length `n`): class ids predicted by the second run.
        references (`Sequence[int]` of length `n`): true class ids.
        speakers (`Sequence[str]` of length `n`): speaker of each utterance.
        draws (`int`, *optional*, defaults to 2000): bootstrap samples.
        seed (`int`, *optional*, defaults to 0): of the draws.

    Returns:
        `dict[str, float]`: `difference` (UAR of `second` minus that of `first`, in [-1, 1]), `low` and `high` of its 95 %
        interval, and the two-sided `p`: 1 minus the level of the interval that just reaches 0. 2000 draws give no p below
        0.042 with 5 speakers, 0.015 with 9, 0.001 with hundreds.

    Raises:
        ValueError: if the lengths differ, there are no utterances, a reference is negative, or `draws` is below 1.
    """
    columns = {"first": first, "second": second, "references": references, "speakers": speakers}
    first, second, references, speakers = (np.asarray(column) for column in columns.values())
    for field, column in columns.items():
        if len(column) != len(references) or not len(column):
            raise ValueError(
                f"paired_difference: {field} must have as many items as references, at least one; got {len(column)} "
                f"and {len(references)}."
            )
    if (references < 0).any():
        wrong = int((references < 0).sum())
        raise ValueError(
            f"paired_difference: references must be class ids of 0 or more; got {wrong} negative ones. Remove utterances "
            "without a label."
        )
    if draws < 1:
        raise ValueError(f"paired_difference: draws must be at least 1; got {draws}.")
    counts = _counts(first, second, references, speakers)
    differences = _difference(_resample(counts, draws, np.random.default_rng(seed)))
    low, high, p = _interval(differences, len(counts))
    return {"difference": float(_difference(counts.sum(axis=0))), "low": low, "high": high, "p": p}


def _counts(first: np.ndarray, second: np.ndarray, references: np.ndarray, speakers: np.ndarray) -> np.ndarray:
    """Count utterances `(speakers, classes, 3)` that only `first`, both or neither, and only `second` predicts correctly."""
    people, speaker = np.unique(speakers, return_inverse=True)
    classes, label = np.unique(references, return_inverse=True)
    change = (second == references).astype(int) - (first == references).astype(int)
    counts = np.zeros((len(people), len(classes), 3), dtype=np.int64)
    np.add.at(counts, (speaker, label, change + 1), 1)
    return counts


def _resample(counts: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """Draw bootstrap samples of the counts, `(draws, classes, 3)`."""
    number = len(counts)
    copies = random.multinomial(number, np.full(number, 1 / number), size=draws)  # (draws, speakers)
    if number >= FEW_SPEAKERS:
        return np.tensordot(copies, counts, axes=1)
    drawn = np.zeros((draws, counts[0].size), dtype=np.int64)
    for copy, of_speaker in zip(copies.T, counts.reshape(number, -1), strict=True):
        size = of_speaker.sum()
        drawn += random.multinomial(copy * size, of_speaker / size)  # k copies of n utterances: k * n draws of them
    return drawn.reshape(draws, *counts.shape[1:])


def _difference(counts: np.ndarray) -> np.ndarray:
    """Compute the UAR difference, `(..., classes, 3)` -> `(...)`: mean of (gained - lost) / utterances over the classes."""
    total = counts.sum(axis=-1)
    recall = (counts[..., 2] - counts[..., 0]) / np.maximum(total, 1)
    return recall.sum(axis=-1) / (total > 0).sum(axis=-1)


def _interval(differences: np.ndarray, number: int) -> tuple[float, float, float]:
    """Compute low, high and p from the draws of `number` speakers. Ties with 0 count on both sides."""
    tail = 0.025
    beyond = min((differences <= 0).sum(), (differences >= 0).sum())
    p_tail = min(0.5, (beyond + 1) / (len(differences) + 1))
    if number >= FEW_SPEAKERS:
        narrow = np.sqrt(
            1 - 1 / number
        )  # the bootstrap variance divides by n, not n - 1, and its quantiles are normal
        tail = stats.norm.cdf(stats.t.ppf(tail, df=number - 1) / narrow)
        p_tail = stats.t.cdf(stats.norm.ppf(p_tail) * narrow, df=number - 1)
    low, high = np.quantile(differences, [tail, 1 - tail])
    return float(low), float(high), float(2 * p_tail)
