"""Calibration: temperature scaling, expected calibration error and selective prediction.

Temperature scaling and ECE: Guo et al. 2017, https://arxiv.org/abs/1706.04599. Risk and coverage: El-Yaniv and Wiener
2010, https://jmlr.org/papers/v11/el-yaniv10a.html. Fit temperatures and thresholds on validation, never on test.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax

from speecheq.heads_speecheq import interval_targets, set_loss
from speecheq.labels_speecheq import ESC_LABELS, MISSING
from speecheq.metrics.scores import fold, load_metric, native_classes

# Search range. A split without errors has no best temperature: the search stops where the loss is 0, or at the lower end.
TEMPERATURES = (0.1, 10.0)
_TOLERANCE = 1e-3  # of the logarithm of the temperature


class Folded(NamedTuple):
    """Labelled rows of a corpus in its label space.

    Args:
        classes (`list[list[str]]`): fine classes of each class; native labels with the same set are one class.
        rows (`np.ndarray` of shape `(k,)`): row numbers, ascending.
        probabilities (`np.ndarray` of shape `(k, len(classes))`): rows sum to 1.
        references (`np.ndarray` of shape `(k,)`): class index of each row.
    """

    classes: list[list[str]]
    rows: np.ndarray
    probabilities: np.ndarray
    references: np.ndarray

    @property
    def predictions(self) -> np.ndarray:
        """Most probable class of each row, `(k,)`."""
        return self.probabilities.argmax(axis=1)


def fold_into_corpora(
    probabilities: np.ndarray,
    native_labels: Sequence[str | None],
    corpora: Sequence[str],
    label_spaces: dict[str, dict[str, list[str]]],
) -> dict[str, Folded]:
    """Fold fine probabilities into the label space of each corpus, as `speecheq.metrics.scores.esc_scores` does.

    Args:
        probabilities (`np.ndarray` of shape `(n, 12)`): over `ESC_LABELS`.
        native_labels (`Sequence[str | None]`): native label of each row.
        corpora (`Sequence[str]`): corpus of each row.
        label_spaces (`dict[str, dict[str, list[str]]]`): corpus -> native label -> fine classes.

    Returns:
        `dict[str, Folded]`: by corpus, in alphabetical order. Rows without a label in their label space are excluded,
        and so are corpora with fewer than two classes.

    Raises:
        ValueError: if the lengths differ, a probability is not finite, or a fine class is unknown.
    """
    probabilities = _checked("fold_into_corpora", probabilities, len(ESC_LABELS), native_labels, corpora)
    return {
        corpus: Folded(classes, rows, fold(probabilities[rows], classes, ESC_LABELS), references)
        for corpus, (classes, rows, references) in _labelled(native_labels, corpora, label_spaces).items()
    }


def fit_temperature(logits: np.ndarray, targets: torch.Tensor) -> float:
    """Fit the temperature T that maximises the likelihood of `softmax(logits / T)`.

    Args:
        logits (`np.ndarray` of shape `(n, classes)`): unnormalised scores on validation.
        targets (`torch.FloatTensor` of shape `(n, sets, classes)` or `(n, classes)`): see
            [`~speecheq.heads_speecheq.set_loss`]; all 1 if the label is missing.

    Returns:
        `float`: in `TEMPERATURES`; 1 if no row has a label.

    Raises:
        ValueError: if the lengths differ, or a logit is not finite.
    """
    logits = torch.from_numpy(_checked("fit_temperature", logits, targets.shape[-1], targets))
    # With equal logits, the loss is 0 only if no row has a label.
    if set_loss(torch.zeros_like(logits), targets) == 0:
        return 1.0
    return _best_temperature(lambda temperature: float(set_loss(logits / temperature, targets)))


def fit_esc_temperature(
    logits: np.ndarray,
    native_labels: Sequence[str | None],
    corpora: Sequence[str],
    label_spaces: dict[str, dict[str, list[str]]],
) -> float:
    """Fit the temperature of the ESC head; the likelihood of each row is inside the label space of its corpus.

    Args:
        logits (`np.ndarray` of shape `(n, 12)`): over `ESC_LABELS`, on validation.
        native_labels, corpora, label_spaces: see [`fold_into_corpora`].

    Returns:
        `float`: in `TEMPERATURES`; 1 if no row has a label.

    Raises:
        ValueError: if the lengths differ, a logit is not finite, or a fine class is unknown.
    """
    logits = _checked("fit_esc_temperature", logits, len(ESC_LABELS), native_labels, corpora)
    parts = list(_labelled(native_labels, corpora, label_spaces).values())
    if not parts:
        return 1.0

    def loss(temperature: float) -> float:
        own = [
            np.take_along_axis(
                fold(softmax(logits[rows] / temperature, axis=1), classes, ESC_LABELS), references[:, None], axis=1
            )
            for classes, rows, references in parts
        ]
        return -float(np.log(np.concatenate(own).clip(min=np.finfo(np.float64).tiny)).mean())

    return _best_temperature(loss)


def fit_class_temperature(logits: np.ndarray, ids: Sequence[int | None]) -> float:
    """Fit the temperature of a single-label classifier, such as gender.

    Args:
        logits (`np.ndarray` of shape `(n, classes)`): on validation.
        ids (`Sequence[int | None]`): class id of each row; `None` or -100 if missing.

    Returns:
        `float`: in `TEMPERATURES`; 1 if no row has a label.

    Raises:
        ValueError: if the lengths differ, a logit is not finite, or a class id is out of range.
    """
    logits = np.asarray(logits)
    ids = [None if label == MISSING else label for label in ids]
    number = logits.shape[-1]
    for row, label in enumerate(ids):
        if label is not None and not 0 <= label < number:
            raise ValueError(f"fit_class_temperature: ids must lie in [0, {number}); got {label} in row {row}.")
    targets = [[float(label in (None, column)) for column in range(number)] for label in ids]
    return fit_temperature(logits, torch.tensor(targets).reshape(len(ids), number))


def fit_eis_temperature(
    logits: np.ndarray, eis_low: Sequence[float | None], eis_high: Sequence[float | None]
) -> float:
    """Fit the temperature of the EIS head.

    Args:
        logits (`np.ndarray` of shape `(n, levels)`): on validation.
        eis_low, eis_high (`Sequence[float | None]`): ends of each row's interval; missing if either is `None`.

    Returns:
        `float`: in `TEMPERATURES`; 1 if no row has a label.

    Raises:
        ValueError: if the lengths differ, or a logit is not finite.
    """
    logits = np.asarray(logits)
    _checked("fit_eis_temperature", logits, logits.shape[-1], eis_low, eis_high)
    intervals = np.array([eis_low, eis_high], dtype=np.float64).T  # None becomes NaN
    intervals[np.isnan(intervals).any(axis=1)] = MISSING
    return fit_temperature(logits, interval_targets(torch.from_numpy(intervals), logits.shape[-1]))


def confidences(
    probabilities: np.ndarray,
    native_labels: Sequence[str | None],
    corpora: Sequence[str],
    label_spaces: dict[str, dict[str, list[str]]],
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the confidence and the correctness of each ESC prediction in the label space of its corpus.

    Args:
        probabilities, native_labels, corpora, label_spaces: see [`fold_into_corpora`].

    Returns:
        `tuple[np.ndarray, np.ndarray]`, each of shape `(k,)`: probability of the predicted class, and `True` if it is
        correct, for the labelled rows in their order.

    Raises:
        ValueError: as [`fold_into_corpora`].
    """
    parts = fold_into_corpora(probabilities, native_labels, corpora, label_spaces).values()
    confidence, correct = np.full(len(corpora), np.nan), np.zeros(len(corpora), dtype=bool)
    for part in parts:
        # Folding may exceed 1 by a rounding error.
        confidence[part.rows] = part.probabilities.max(axis=1).clip(max=1)
        correct[part.rows] = part.predictions == part.references
    labelled = ~np.isnan(confidence)
    return confidence[labelled], correct[labelled]


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """Compute the ECE with `metrics/ece`: mean distance between confidence and accuracy over equally wide bins.

    Args:
        confidence, correct (`np.ndarray` of shape `(k,)`): from [`confidences`].
        bins (`int`, *optional*, defaults to 15): number of bins.
    """
    options = {"predictions": confidence, "references": np.asarray(correct, dtype=int), "num_bins": bins}
    return load_metric("ece").compute(**options)["ece"]


def risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the risk-coverage curve: error rate of the most confident rows against their share.

    Rows with equal confidence form one point, because no threshold separates them.

    Args:
        confidence, correct (`np.ndarray` of shape `(k,)`): from [`confidences`].

    Returns:
        `tuple[np.ndarray, np.ndarray]`: coverage in (0, 1], ascending, and risk in [0, 1], one point per distinct
        confidence.

    Raises:
        ValueError: if there are no rows, or the lengths differ.
    """
    _, coverage, risk = _thresholds(confidence, correct)
    return coverage, risk


def area_under_risk_coverage(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Compute the AURC (Geifman et al. 2019, https://arxiv.org/abs/1805.08206), the mean risk over all coverages.

    Args:
        confidence, correct: see [`risk_coverage`].
    """
    coverage, risk = risk_coverage(confidence, correct)
    return float((risk * np.diff(coverage, prepend=0)).sum())


def abstention_threshold(confidence: np.ndarray, correct: np.ndarray, risk: float) -> float | None:
    """Find the lowest confidence threshold whose error rate on validation is at most `risk`.

    Args:
        confidence, correct: see [`risk_coverage`].
        risk (`float`): highest error rate of the rows with at least that confidence, in [0, 1].

    Returns:
        `float` or `None`: the threshold; `None` if the error rate is higher at every threshold.
    """
    thresholds, _, risks = _thresholds(confidence, correct)
    allowed = thresholds[risks <= risk]
    return float(allowed.min()) if allowed.size else None


def _best_temperature(loss: Callable[[float], float]) -> float:
    """Minimise the loss over the logarithm of the temperature."""
    options = {"bounds": np.log(TEMPERATURES), "method": "bounded", "options": {"xatol": _TOLERANCE}}
    return float(np.exp(minimize_scalar(lambda power: loss(float(np.exp(power))), **options).x))


def _labelled(natives, corpora, label_spaces) -> dict[str, tuple[list[list[str]], np.ndarray, np.ndarray]]:
    """Return classes, labelled rows and references of each corpus, in alphabetical order."""
    natives, corpora, found = list(natives), list(corpora), {}  # a lazy column is slow to index
    for corpus in sorted(set(corpora) & set(label_spaces)):
        sets, classes = native_classes(label_spaces[corpus])
        rows = [row for row, name in enumerate(corpora) if name == corpus and natives[row] in sets]
        if len(classes) > 1 and rows:
            references = np.array([classes.index(sets[natives[row]]) for row in rows])
            found[corpus] = ([sorted(fine) for fine in classes], np.array(rows), references)
    return found


def _thresholds(confidence: np.ndarray, correct: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct confidences, highest first, with coverage and risk of the rows with at least that confidence."""
    confidence, correct = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=bool)
    if not confidence.size or confidence.shape != correct.shape:
        raise ValueError(
            "risk_coverage: confidence and correct must have the same number of rows, at least one; "
            f"got {confidence.shape} and {correct.shape}."
        )
    levels, rows = np.unique(-confidence, return_inverse=True)
    answered = np.bincount(rows).cumsum()
    wrong = np.bincount(rows, weights=~correct).cumsum()
    return -levels, answered / len(confidence), wrong / answered


def _checked(where: str, values: np.ndarray, columns: int, *others: Sequence) -> np.ndarray:
    """Convert model outputs to float64; check shape `(n, columns)`, finite values and the lengths of the others."""
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != columns:
        raise ValueError(f"{where}: model outputs must have shape (n, {columns}); got {values.shape}.")
    for other in others:
        if len(other) != len(values):
            raise ValueError(
                f"{where}: labels and corpora must have {len(values)} items, one per row; got {len(other)}."
            )
    wrong = int((~np.isfinite(values)).any(axis=1).sum())
    if wrong:
        raise ValueError(
            f"{where}: model outputs must be finite; got NaN or infinity in {wrong} of {len(values)} rows."
        )
    return values
