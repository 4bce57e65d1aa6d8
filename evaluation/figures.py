"""Figures of a trained model's outputs on SEQD rows, as reproducible SVG with selectable text.

7 inches wide at 8 points, which is 11 pixels in a figure of 700 pixels. Needs matplotlib.
"""

from collections.abc import Sequence

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

from speecheq.dataset_scripts.metric.figures import BLUE, INK, ORANGE, PALE, STYLE, svg
from speecheq.evaluation.calibration import (
    Folded,
    area_under_risk_coverage,
    expected_calibration_error,
    fold_into_corpora,
    risk_coverage,
)
from speecheq.labels_speecheq import ESC_LABELS
from speecheq.metrics.scores import eis_scores

WIDTH = 7  # inches
BINS = 15
_LOOK = ["default", STYLE]  # without the user's matplotlib settings


def confusion_matrices(
    probabilities: np.ndarray,
    native_labels: Sequence[str | None],
    corpora: Sequence[str],
    label_spaces: dict[str, dict[str, list[str]]],
) -> bytes:
    """Draw a confusion matrix per corpus, in percent of the utterances of each class.

    Classes are those of the corpus's label space, named by their fine classes, in the order of `ESC_LABELS`, with their
    number of utterances. The row of a class without utterances is empty.

    Args:
        probabilities (`np.ndarray` of shape `(n, 12)`): over `ESC_LABELS`.
        native_labels (`Sequence[str | None]`): native label of each row.
        corpora (`Sequence[str]`): corpus of each row.
        label_spaces (`dict[str, dict[str, list[str]]]`): corpus -> native label -> fine classes.

    Returns:
        `bytes`: SVG.

    Raises:
        ValueError: if no row has a label, or as [`~speecheq.evaluation.calibration.fold_into_corpora`].
    """
    folded = fold_into_corpora(probabilities, native_labels, corpora, label_spaces)
    if not folded:
        raise ValueError("confusion_matrices: native_labels must be in label_spaces; got no such row.")
    most = max(len(part.classes) for part in folded.values())
    with matplotlib.style.context(_LOOK):
        figure, panels = _grid(len(folded), columns=2, row_inches=1.1 + min(2.0, 0.35 * most))
        for axes, (corpus, part) in zip(panels, folded.items(), strict=True):
            axes.set_title(f"{corpus} (n = {len(part.rows)})")
            _draw_confusion(axes, part)
        return svg(figure).encode()


def reliability(
    before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], bins: int = BINS
) -> bytes:
    """Draw accuracy against confidence before and after calibration, and a histogram of the confidences.

    Args:
        before, after (`tuple[np.ndarray, np.ndarray]`): confidence and correctness, from
            [`~speecheq.evaluation.calibration.confidences`].
        bins (`int`, *optional*, defaults to 15): number of equally wide bins, also of the ECE.

    Returns:
        `bytes`: SVG.

    Raises:
        ValueError: if there are no rows, or a confidence is not in [0, 1].
    """
    curves = {"before": (*before, ORANGE, "s"), "after": (*after, BLUE, "o")}
    with matplotlib.style.context(_LOOK):
        figure = Figure(figsize=(WIDTH, 5.5), facecolor="white", layout="constrained")
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color=PALE, linewidth=0.8, linestyle="--", label="perfectly calibrated")
        for name, (confidence, correct, color, marker) in curves.items():
            error = expected_calibration_error(confidence, correct, bins)
            accuracy, mean = calibration_curve(
                np.asarray(correct, dtype=bool), confidence, n_bins=bins, pos_label=True
            )
            label = f"{name} calibration: ECE {100 * error:.1f} %"
            upper.plot(mean, accuracy, marker=marker, markersize=4, color=color, label=label, clip_on=False)
            shares = np.full(len(confidence), 1 / len(confidence))
            lower.hist(confidence, bins, range=(0, 1), weights=shares, histtype="step", color=color, linewidth=1.2)
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        upper.legend(loc="upper left", frameon=False)
        lower.set(xlabel="confidence", ylabel="share of utterances")
        return svg(figure).encode()


def risk_coverage_figure(confidence: np.ndarray, correct: np.ndarray) -> bytes:
    """Draw the risk-coverage curve: error rate of the most confident utterances against their share.

    Args:
        confidence, correct (`np.ndarray` of shape `(k,)`): from [`~speecheq.evaluation.calibration.confidences`].

    Returns:
        `bytes`: SVG.

    Raises:
        ValueError: if there are no rows, or the lengths differ.
    """
    coverage, risk = risk_coverage(confidence, correct)
    area = area_under_risk_coverage(confidence, correct)
    with matplotlib.style.context(_LOOK):
        figure = Figure(figsize=(WIDTH, 3.5), facecolor="white", layout="constrained")
        axes = figure.subplots()
        axes.axhline(
            risk[-1], color=PALE, linewidth=0.8, linestyle="--", label=f"all answered: {100 * risk[-1]:.1f} %"
        )
        axes.plot(coverage, risk, color=BLUE, label=f"the surest answered: AURC {area:.3f}")
        axes.set(xlim=(0, 1), ylim=(0, None), xlabel="coverage: share of utterances answered", ylabel="error rate")
        axes.legend(loc="best", frameon=False)
        return svg(figure).encode()


def intensity(
    values: np.ndarray, low: Sequence[float | None], high: Sequence[float | None], corpora: Sequence[str]
) -> bytes:
    """Draw, per corpus, predicted intensity against the middle of the raters' interval, with the CCC.

    Args:
        values (`np.ndarray` of shape `(n,)`): predicted intensity in [0, 1].
        low, high (`Sequence[float | None]`): ends of each row's interval; a row is skipped if either is `None`.
        corpora (`Sequence[str]`): corpus of each row. If all its intervals have the same middle, it has no CCC and no panel.

    Returns:
        `bytes`: SVG.

    Raises:
        ValueError: if no corpus has a CCC, or as [`~speecheq.metrics.scores.eis_scores`].
    """
    corpora = list(corpora)
    scores = eis_scores(values, low, high, corpora)
    named = [corpus for corpus in sorted(set(corpora)) if f"{corpus}/eis_ccc" in scores]
    if not named:
        raise ValueError("intensity: low and high must have different intervals in some corpus; got none.")
    values, corpora = np.asarray(values, dtype=np.float64), np.array(corpora)
    middle = np.array([low, high], dtype=np.float64).mean(axis=0)  # None becomes NaN
    with matplotlib.style.context(_LOOK):
        figure, panels = _grid(len(named), columns=3, row_inches=2.7)
        for axes, corpus in zip(panels, named, strict=True):
            rows = (corpora == corpus) & ~np.isnan(middle)
            axes.set_title(f"{corpus} (n = {rows.sum()})\nCCC {scores[f'{corpus}/eis_ccc']:.2f}")
            axes.plot([0, 1], [0, 1], color=PALE, linewidth=0.8, linestyle="--")
            # Rasterised, because thousands of vector points make a large file.
            axes.scatter(middle[rows], values[rows], s=9, color=BLUE, alpha=0.3, linewidth=0, rasterized=True)
            axes.set(xlim=(-0.05, 1.05), ylim=(-0.05, 1.05), aspect="equal")
            axes.set(xticks=(0, 0.25, 0.5, 0.75, 1), yticks=(0, 0.25, 0.5, 0.75, 1))
            axes.set(xlabel="raters' intensity, middle of the interval", ylabel="predicted intensity")
        return svg(figure).encode()


def _grid(number: int, columns: int, row_inches: float) -> tuple[Figure, list[Axes]]:
    """Make a white figure with `number` panels, row by row."""
    lines = -(-number // columns)
    figure = Figure(figsize=(WIDTH, lines * row_inches), dpi=200, facecolor="white", layout="constrained")
    panels = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axes in panels[number:]:
        axes.remove()
    return figure, panels[:number]


def _draw_confusion(axes: Axes, part: Folded):
    order = sorted(range(len(part.classes)), key=lambda index: sorted(map(ESC_LABELS.index, part.classes[index])))
    counts = confusion_matrix(part.references, part.predictions, labels=order)
    support = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, support, out=np.zeros(counts.shape), where=support > 0)
    names = ["/".join(sorted(part.classes[index], key=ESC_LABELS.index)) for index in order]
    places = range(len(order))
    axes.pcolormesh(
        np.arange(len(order) + 1) - 0.5, np.arange(len(order) + 1) - 0.5, shares, cmap="Blues", vmin=0, vmax=1
    )
    for row in places:
        for place in places if support[row] else []:
            share = shares[row, place]
            color = "white" if share > 0.6 else INK
            axes.text(place, row, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize=7)
    axes.set(xlim=(-0.5, len(order) - 0.5), ylim=(len(order) - 0.5, -0.5), aspect="equal")
    axes.set(xlabel="predicted (%)", ylabel="labelled (utterances)")
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, [f"{name} ({int(number)})" for name, number in zip(names, support[:, 0], strict=True)])
