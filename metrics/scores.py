"""Scores of the four tasks from model outputs and references, over all rows and per corpus.

A score is named `<task>_<metric>` over all rows and `<corpus>/<task>_<metric>` in one corpus. Rows with a missing
reference (`None`) are left out. A task without references has no score.
"""

import functools
import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import evaluate
import numpy as np

from speecheq.labels_speecheq import ESC_LABELS, ESC_SCALES

METRICS = ("uar", "ccc", "per", "ece")
# Suffixes of scores that are rates, shown in percent.
_RATES = ("uar", "wa", "macro_f1", "per", "ece")


@functools.cache
def load_metric(name: str) -> evaluate.Metric:
    """Load an `evaluate` module of this repository, once per process.

    The module keeps its data in memory, so that processes do not wait for shared cache files.

    Args:
        name (`str`): one of `uar`, `ccc`, `per` and `ece`.

    Returns:
        `evaluate.Metric`: the module; its `compute` takes `predictions` and `references`.

    Raises:
        ValueError: if the name is unknown.
    """
    if name not in METRICS:
        raise ValueError(f"load_metric: name must be one of {', '.join(METRICS)}; got {name!r}.")
    return evaluate.load(str(Path(__file__).resolve().parent / name), keep_in_memory=True)


def fold(probabilities: np.ndarray, groups: list[list[str]], labels: list[str]) -> np.ndarray:
    """Sum fine probabilities over groups of fine classes and renormalise each row over the groups.

    Args:
        probabilities (`np.ndarray` of shape `(n, fine)`): probabilities of the fine classes.
        groups (`list[list[str]]`): fine classes of each group. A class may be in several groups, or in none.
        labels (`list[str]`): fine classes in the order of the columns.

    Returns:
        `np.ndarray` of shape `(n, len(groups))`: rows that sum to 1; uniform if all groups have probability 0.

    Raises:
        ValueError: if there is no group, or a group contains an unknown fine class.
    """
    if not groups:
        raise ValueError("fold: groups must contain at least one group; got none.")
    column = {label: index for index, label in enumerate(labels)}
    for group in groups:
        _check_known(group, column, "fold")
    membership = np.array([[label in group for group in groups] for label in labels], dtype=np.float64)
    folded = np.asarray(probabilities, dtype=np.float64) @ membership
    total = folded.sum(axis=1, keepdims=True)
    return np.divide(folded, total, out=np.full_like(folded, 1 / len(groups)), where=total > 0)


def esc_scores(
    probabilities: np.ndarray,
    esc_sets: Sequence[list[str] | None],
    native_labels: Sequence[str | None],
    corpora: Sequence[str],
    labels: list[str] = ESC_LABELS,
    scales: dict[str, dict[str, list[str]]] = ESC_SCALES,
    label_spaces: dict[str, dict[str, list[str]]] | None = None,
) -> dict[str, float]:
    """Score Emotion State Category at each scale, and in the label space of each corpus.

    At a scale, a row counts only if its set is inside one class of the scale. In a corpus, the fine probabilities are
    folded into the labels of the corpus before the decision. Native labels with the same set are one class, because
    fine classes cannot separate them. If two sets overlap, both get the shared probability, so that a set never scores
    higher than a set that contains it.

    Args:
        probabilities (`np.ndarray` of shape `(n, fine)`): predicted probabilities of the fine classes.
        esc_sets (`list[list[str] | None]`): set of fine classes of each row.
        native_labels (`list[str | None]`): native label of each row.
        corpora (`list[str]`): corpus of each row.
        labels (`list[str]`, *optional*, defaults to `ESC_LABELS`): fine classes in the order of the columns.
        scales (`dict[str, dict[str, list[str]]]`, *optional*, defaults to `ESC_SCALES`):
            Scale -> class -> fine classes.
        label_spaces (`dict[str, dict[str, list[str]]]`, *optional*):
            Corpus -> native label -> fine classes. Rows with other labels do not count in the scores of the corpus. By
            default, the label space of a corpus consists of the labels of its rows.

    Returns:
        `dict[str, float]`: `esc_<scale>_<uar|wa|macro_f1>` for `fine` and for each scale,
        `<corpus>/esc_<uar|wa|macro_f1>`, and `esc_uar`, the mean of the UARs of the corpora. A corpus with fewer than
        two classes has no scores.

    Raises:
        ValueError: if the lengths differ, a probability is NaN or infinite, a fine class is unknown, or a native label
            of a corpus has two different sets.
    """
    probabilities = _check_predictions(probabilities, "esc_scores", len(labels))
    _check_lengths("esc_scores", probabilities, esc_sets=esc_sets, native_labels=native_labels, corpora=corpora)
    sets = [frozenset(fine) if fine else None for fine in esc_sets]
    for fine in sets:
        _check_known(sorted(fine or ()), labels, "esc_scores")

    scores = {}
    for scale, classes in ({"fine": {label: [label] for label in labels}} | scales).items():
        references = [_class_of(fine, classes) for fine in sets]
        predicted = fold(probabilities, list(classes.values()), labels).argmax(axis=1)
        scores |= _rates(predicted, references, f"esc_{scale}_")

    of_corpora = {}
    for corpus, rows in rows_of_corpora(corpora).items():
        natives = [native_labels[row] for row in rows]
        space = (label_spaces or {}).get(corpus)
        if space is None:
            space = _label_space(natives, [sets[row] for row in rows], corpus)
        of_corpora |= _native_scores(probabilities[rows], natives, space, labels, f"{corpus}/esc_")
    return scores | _mean_over_corpora(of_corpora, "esc_uar") | of_corpora


def eis_scores(
    values: np.ndarray,
    eis_low: Sequence[float | None],
    eis_high: Sequence[float | None],
    corpora: Sequence[str],
) -> dict[str, float]:
    """Score Emotion Intensity Scale against the midpoints of the intensity intervals.

    CCC and QWK are computed per corpus and averaged. The annotation of a corpus affects its intensity, so pooled scores
    would reward a model that recognises the corpus. A corpus with equal midpoints has only MAE.

    Args:
        values (`np.ndarray` of shape `(n,)`): predicted intensity in [0, 1].
        eis_low (`list[float | None]`): lower end of the interval of each row.
        eis_high (`list[float | None]`): upper end. Rows with a missing end are left out.
        corpora (`list[str]`): corpus of each row.

    Returns:
        `dict[str, float]`: `<corpus>/eis_<ccc|mae|qwk>`, `eis_ccc` and `eis_qwk` (means over the corpora that have
        them) and `eis_mae` (over all rows).

    Raises:
        ValueError: if the lengths differ, or a value is NaN, infinite or outside [0, 1].
    """
    values = _check_predictions(values, "eis_scores")
    _check_lengths("eis_scores", values, eis_low=eis_low, eis_high=eis_high, corpora=corpora)
    middle = _midpoints(eis_low, eis_high)
    labelled = np.flatnonzero(~np.isnan(middle))
    if not labelled.size:
        return {}

    of_corpora = {}
    for corpus, rows in rows_of_corpora(corpora, labelled).items():
        result = load_metric("ccc").compute(predictions=values[rows], references=middle[rows])
        if math.isnan(result["ccc"]):
            result = {"mae": result["mae"]}
        of_corpora |= {f"{corpus}/eis_{key}": value for key, value in result.items() if not math.isnan(value)}
    scores = _mean_over_corpora(of_corpora, "eis_ccc")
    scores["eis_mae"] = load_metric("ccc").compute(predictions=values[labelled], references=middle[labelled])["mae"]
    return scores | _mean_over_corpora(of_corpora, "eis_qwk") | of_corpora


def intensity_order(
    values: np.ndarray,
    eis_low: Sequence[float | None],
    eis_high: Sequence[float | None],
    renditions: Sequence[str | None],
) -> dict[str, float]:
    """Score the order of intensities within pairs: is the stronger rendition of the same words ranked higher?

    Args:
        values (`np.ndarray` of shape `(n,)`): predicted intensity in [0, 1].
        eis_low, eis_high (`list[float | None]`): ends of each row's interval.
        renditions (`list[str | None]`): rows with the same value, such as speaker, text and emotion, are compared.

    Returns:
        `dict[str, float]`: `eis_order`, the share of the pairs whose predictions have the order of their intervals (a tie
        counts half), and `eis_pairs`, the number of pairs; empty if there are none. Intervals have an order if both ends of
        one are higher: an interval that contains the other, such as 0 to 0.375 and 0, does not say which is stronger.

    Raises:
        ValueError: if the lengths differ.
    """
    _check_lengths("intensity_order", values, eis_low=eis_low, eis_high=eis_high, renditions=renditions)
    ends = np.array([eis_low, eis_high], dtype=np.float64)  # None becomes NaN
    groups: dict[str, list[int]] = {}
    for row, rendition in enumerate(renditions):
        if rendition is not None:
            groups.setdefault(rendition, []).append(row)
    agreements = []
    for rows in groups.values():
        for one, other in combinations(rows, 2):
            low, high = np.sign(ends[:, one] - ends[:, other])
            if low == high != 0:  # NaN equals nothing
                agreements.append((np.sign(values[one] - values[other]) * low + 1) / 2)
    return {"eis_order": float(np.mean(agreements)), "eis_pairs": len(agreements)} if agreements else {}


def rendition(row: dict) -> str | None:
    """Return what the renditions of [`intensity_order`] have in common: speaker, emotion and text; `None` without a text."""
    text = row.get("text")
    return " ".join((row["speaker_id"], str(row["native_label"]), text)) if isinstance(text, str) else None


def _midpoints(eis_low: Sequence[float | None], eis_high: Sequence[float | None]) -> np.ndarray:
    """Return the midpoint of each interval, NaN if an end is missing."""
    return (np.array(eis_low, dtype=np.float64) + np.array(eis_high, dtype=np.float64)) / 2


def phoneme_scores(
    predicted: Sequence[list[str]], references: Sequence[list[str] | None], corpora: Sequence[str]
) -> dict[str, float]:
    """Score phoneme recognition by the phoneme error rate, over all rows and per corpus.

    Args:
        predicted (`list[list[str]]`): recognised IPA symbols of each row.
        references (`list[list[str] | None]`): true IPA symbols of each row.
        corpora (`list[str]`): corpus of each row.

    Returns:
        `dict[str, float]`: `phoneme_per` and `<corpus>/phoneme_per`.

    Raises:
        ValueError: if the lengths differ.
    """
    _check_lengths("phoneme_scores", predicted, references=references, corpora=corpora)
    labelled = [row for row, reference in enumerate(references) if reference is not None]

    scores = {}
    for prefix, rows in _parts(corpora, labelled).items():
        per = load_metric("per").compute(
            predictions=[list(predicted[row]) for row in rows], references=[list(references[row]) for row in rows]
        )["per"]
        if not math.isnan(per):
            scores[f"{prefix}phoneme_per"] = per
    return scores


def gender_scores(
    predicted_ids: np.ndarray, references: Sequence[int | None], corpora: Sequence[str]
) -> dict[str, float]:
    """Score gender recognition over all rows and per corpus.

    Args:
        predicted_ids (`np.ndarray` of shape `(n,)`): predicted class ids.
        references (`list[int | None]`): true class ids.
        corpora (`list[str]`): corpus of each row.

    Returns:
        `dict[str, float]`: `gender_uar`, `gender_wa`, `<corpus>/gender_uar` and `<corpus>/gender_wa`.

    Raises:
        ValueError: if the lengths differ, or a prediction is NaN.
    """
    predicted_ids = _check_predictions(predicted_ids, "gender_scores").astype(int)
    _check_lengths("gender_scores", predicted_ids, references=references, corpora=corpora)
    labelled = [row for row, reference in enumerate(references) if reference is not None]

    scores = {}
    for prefix, rows in _parts(corpora, labelled).items():
        result = _rates(predicted_ids[rows], [references[row] for row in rows], f"{prefix}gender_")
        scores |= {name: value for name, value in result.items() if not name.endswith("macro_f1")}
    return scores


def table(scores: dict[str, float]) -> str:
    """Format scores as a Markdown table: one row per corpus and one for all, one column per metric.

    Args:
        scores (`dict[str, float]`): scores by name, from the functions of this file.

    Returns:
        `str`: the table. Rates are in percent with one decimal, other numbers have three; a missing score is an empty
        cell.
    """
    cells, columns = {}, {}
    for name, value in scores.items():
        corpus, _, metric = name.rpartition("/")
        rate = metric.endswith(_RATES)
        columns[metric] = f"{metric} (%)" if rate else metric
        if value is not None and not math.isnan(value):
            cells[corpus or "all", metric] = f"{100 * value:.1f}" if rate else f"{value:.3f}"
    corpora = dict.fromkeys(name.rpartition("/")[0] or "all" for name in scores)
    # `all` is the last row, like a total.
    rows = [corpus for corpus in corpora if corpus != "all"] + ["all"] * ("all" in corpora)
    lines = [["corpus", *columns.values()], ["---", *["---:"] * len(columns)]]
    lines += [[corpus, *[cells.get((corpus, metric), "") for metric in columns]] for corpus in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def native_classes(space: dict[str, list[str]]) -> tuple[dict[str, frozenset[str]], list[frozenset[str]]]:
    """Return the classes of a corpus label space: native labels with the same set are one class.

    Args:
        space (`dict[str, list[str]]`): native label -> fine classes. Labels without fine classes are left out.

    Returns:
        `dict[str, frozenset[str]]`, native label -> its set, and `list[frozenset[str]]`, the distinct sets in order.
    """
    sets = {native: frozenset(fine) for native, fine in space.items() if fine}
    return sets, list(dict.fromkeys(sets.values()))


def _class_of(fine: frozenset[str] | None, classes: dict[str, list[str]]) -> int | None:
    """Return the index of the class that contains the set; `None` without a set or such a class."""
    if fine is None:
        return None
    return next((index for index, members in enumerate(classes.values()) if fine <= set(members)), None)


def _native_scores(
    probabilities: np.ndarray, natives: list[str | None], space: dict[str, list[str]], labels: list[str], prefix: str
) -> dict[str, float]:
    """Compute the rates in the label space of a corpus; empty if it has fewer than two classes."""
    sets, classes = native_classes(space)
    if len(classes) < 2:
        return {}
    predicted = fold(probabilities, [sorted(fine) for fine in classes], labels).argmax(axis=1)
    references = [classes.index(sets[native]) if native in sets else None for native in natives]
    return _rates(predicted, references, prefix)


def _label_space(
    natives: list[str | None], sets: list[frozenset[str] | None], corpus: str
) -> dict[str, frozenset[str]]:
    """Collect the native labels of the rows of a corpus with their sets, in alphabetical order."""
    space = {}
    for native, fine in zip(natives, sets, strict=True):
        if native is None or fine is None:
            continue
        if space.setdefault(native, fine) != fine:
            raise ValueError(
                f"esc_scores: a native label must have one set of fine classes; got {sorted(space[native])} and "
                f"{sorted(fine)} in {native!r} of {corpus!r}. Pass the sets of the corpus in label_spaces."
            )
    return dict(sorted(space.items()))


def _rates(predicted: np.ndarray, references: list[int | None], prefix: str) -> dict[str, float]:
    """Compute UAR, WA and macro-F1 over the rows with a reference, with a prefix before each name."""
    rows = [row for row, reference in enumerate(references) if reference is not None]
    if not rows:
        return {}
    result = load_metric("uar").compute(predictions=predicted[rows], references=[references[row] for row in rows])
    return {prefix + key: value for key, value in result.items()}


def rows_of_corpora(corpora: Sequence[str], rows: Sequence[int] | None = None) -> dict[str, list[int]]:
    """Group rows by corpus, in alphabetical order."""
    found = {}
    for row in range(len(corpora)) if rows is None else rows:
        found.setdefault(corpora[row], []).append(int(row))
    return dict(sorted(found.items()))


def _parts(corpora: Sequence[str], rows: list[int]) -> dict[str, list[int]]:
    """Return the row groups that a pooled task is scored on: prefix of the score name -> rows."""
    found = rows_of_corpora(corpora, rows)
    return ({"": rows} if rows else {}) | {f"{corpus}/": of_corpus for corpus, of_corpus in found.items()}


def _mean_over_corpora(scores: dict[str, float], metric: str) -> dict[str, float]:
    values = [value for name, value in scores.items() if name.endswith(f"/{metric}")]
    return {metric: float(np.mean(values))} if values else {}


def _check_known(fine: list[str], labels, where: str):
    for label in fine:
        if label not in labels:
            known = ", ".join(list(labels)[:10])
            raise ValueError(f"{where}: a fine class must be one of {known}, ...; got {label!r}.")


def _check_predictions(values: np.ndarray, where: str, columns: int | None = None) -> np.ndarray:
    """Check that predictions are finite and of shape `(n,)` or `(n, columns)`, and return them as float64."""
    values = np.asarray(values, dtype=np.float64)
    shape = "(n,)" if columns is None else f"(n, {columns})"
    if values.ndim != (1 if columns is None else 2) or (columns is not None and values.shape[1] != columns):
        raise ValueError(f"{where}: predictions must be of shape {shape}; got {values.shape}.")
    finite = np.isfinite(values) if columns is None else np.isfinite(values).all(axis=1)
    if not finite.all():
        wrong = int((~finite).sum())
        raise ValueError(
            f"{where}: predictions must be finite; got NaN or infinity in {wrong} of {len(values)} rows. "
            "Check for diverged training and for rows without speech."
        )
    return values


def _check_lengths(where: str, predictions: Sequence, **columns: Sequence):
    for field, column in columns.items():
        if len(column) != len(predictions):
            raise ValueError(f"{where}: {field} must have {len(predictions)} items, one per row; got {len(column)}.")
