"""Fairness: scores of groups of speakers, for each corpus.

Groups are compared within a corpus, because label sets, acting and recordings differ more between corpora than groups do.
Between many small groups, the gap from best to worst is large by chance.
"""

import datasets
import numpy as np

from speecheq.evaluation.calibration import fold_into_corpora
from speecheq.metrics.scores import load_metric
from speecheq.training.seqd import column

ATTRIBUTES = ("gender", "speaker_id", "language", "age")
MIN_UTTERANCES = 10
ALL = "all"


def group_scores(
    probabilities: np.ndarray, rows: datasets.Dataset, label_spaces: dict[str, dict[str, list[str]]]
) -> dict[str, dict[str, dict]]:
    """Compute the UAR of each group of speakers in the label space of its corpus, over the labels that the group has.

    Args:
        probabilities (`np.ndarray` of shape `(n, 12)`): over `ESC_LABELS`.
        rows (`datasets.Dataset`): of SEQD, in the same order. Ages are grouped by decade. A row without the attribute is
            in no group.
        label_spaces (`dict[str, dict[str, list[str]]]`): corpus -> native label -> fine classes.

    Returns:
        `dict[str, dict[str, dict]]`: attribute -> corpus -> `{"groups": {value: {"uar", "utterances", "speakers"}},
        "left_out"}`, where `left_out` counts the groups with fewer than 10 labelled utterances, which have no score. The
        corpus `all` is the mean over the corpora with a score for every value, so that values are compared on the same
        corpora; it needs at least two, and its `left_out` is the sum over all corpora.

    Raises:
        ValueError: if the lengths differ, a probability is not finite, or a fine class is unknown.
    """
    folded = fold_into_corpora(probabilities, column(rows, "native_label"), column(rows, "corpus"), label_spaces)
    speakers = np.array(column(rows, "speaker_id"), dtype=object)
    scores = {}
    for attribute in ATTRIBUTES:
        values = column(rows, attribute)
        if attribute == "age":
            values = [None if age is None else decade(age) for age in values]
        values = np.array(values, dtype=object)
        of_corpora = {corpus: _corpus_scores(part, values, speakers) for corpus, part in folded.items()}
        of_corpora = {corpus: found for corpus, found in of_corpora.items() if found["groups"] or found["left_out"]}
        if of_corpora:
            scores[attribute] = of_corpora | _over_corpora(of_corpora)
    return scores


def table(scores: dict[str, dict[str, dict]]) -> str:
    """Format the worst and the best group of each attribute and corpus as a markdown table.

    Args:
        scores (`dict[str, dict[str, dict]]`): from [`group_scores`].

    Returns:
        `str`: the table, UAR in percent, without the corpora that have fewer than two groups and none left out.
    """
    lines = [["attribute", "corpus", "groups", "left out", "worst", "best", "gap"], ["---"] * 2 + ["---:"] * 5]
    for attribute, of_corpora in scores.items():
        for corpus, found in of_corpora.items():
            groups = found["groups"]
            if len(groups) < 2 and not found["left_out"]:
                continue
            cells = ["", "", ""]
            if len(groups) > 1:
                # Sorting by name first makes ties deterministic.
                worst, *_, best = sorted(sorted(groups), key=lambda value: groups[value]["uar"])
                gap = groups[best]["uar"] - groups[worst]["uar"]
                cells = [_cell(worst, groups[worst]), _cell(best, groups[best]), f"{100 * gap:.1f}"]
            lines.append([attribute, corpus, str(len(groups)), str(found["left_out"]), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def decade(age: float) -> str:
    """Return the decade of an age in years, such as `30-39`."""
    first = int(age // 10) * 10
    return f"{first}-{first + 9}"


def _corpus_scores(part, values: np.ndarray, speakers: np.ndarray) -> dict:
    """Score the groups of one corpus."""
    found = {"groups": {}, "left_out": 0}
    values, speakers, predictions = values[part.rows], speakers[part.rows], part.predictions
    for value in sorted({value for value in values if value is not None}):
        chosen = values == value
        if chosen.sum() < MIN_UTTERANCES:
            found["left_out"] += 1
            continue
        result = load_metric("uar").compute(predictions=predictions[chosen], references=part.references[chosen])
        found["groups"][value] = {
            "uar": result["uar"],
            "utterances": int(chosen.sum()),
            "speakers": len(set(speakers[chosen])),
        }
    return found


def _over_corpora(of_corpora: dict[str, dict]) -> dict[str, dict]:
    """Compute the entry `all`; empty if fewer than two corpora have a score for every value."""
    values = sorted({value for found in of_corpora.values() for value in found["groups"]})
    complete = [found["groups"] for found in of_corpora.values() if len(found["groups"]) == len(values)]
    if not values or len(complete) < 2:
        return {}
    groups = {
        value: {
            "uar": float(np.mean([groups[value]["uar"] for groups in complete])),
            "utterances": sum(groups[value]["utterances"] for groups in complete),
            "speakers": sum(groups[value]["speakers"] for groups in complete),
        }
        for value in values
    }
    return {ALL: {"groups": groups, "left_out": sum(found["left_out"] for found in of_corpora.values())}}


def _cell(value: str, group: dict) -> str:
    return f"{value}: {100 * group['uar']:.1f} (n = {group['utterances']})"
