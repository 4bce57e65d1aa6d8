"""Summarise the folds of an experiment, and compare two experiments."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.special import softmax

from speecheq.evaluation.calibration import confidences, expected_calibration_error, fit_esc_temperature
from speecheq.evaluation.comparison import mean_interval, paired_difference
from speecheq.metrics.scores import eis_scores, gender_scores, intensity_order, load_metric, phoneme_scores


def read_results(folder: Path) -> list[dict]:
    """Read the results of all folds and seeds in a folder.

    Raises:
        FileNotFoundError: if there are none.
    """
    found = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*-seed*.json"))]
    if not found:
        raise FileNotFoundError(f"results: folder must have results of an experiment; got none in {str(folder)!r}.")
    return found


def summarise(results: list[dict]) -> list[dict]:
    """Summarise results by test corpus, protocol and number of enrolment utterances.

    The predictions of all folds are scored together, because small folds may lack classes; a score is the mean over seeds.
    `uar_low` and `uar_high` are the 95 % interval of the UARs of the folds (means over seeds) or, with one fold, of the
    seeds; `None` with one fold and one seed.

    Args:
        results (`list[dict]`): from [`read_results`].

    Returns:
        `list[dict]`: `corpus`, `protocol`, `known`, `folds`, `seeds`, `utterances`, `uar`, `uar_low`, `uar_high`, `wa`;
        `open_uar`, with all seven basic classes allowed; `ece`, without calibration; with the protocol `cross-corpus` and
        several corpora, `calibrated_ece` and `temperature`, which is fitted on the predictions for the other test corpora; if
        there are labels, `eis_ccc`, `eis_mae`, `eis_order`, `phoneme_per` and `gender_uar`; `shared_speakers`, the test
        speakers in the training data; and, after a checkpoint, `not_counted`, which describes the speakers missing from them.

    Raises:
        ValueError: if the seeds do not have the same folds.
    """
    groups = defaultdict(list)
    for result in results:
        for known in result["answers"]:
            groups[result["corpus"], result["protocol"], int(known)].append(result)
    rows = [_summarise(*key, group) for key, group in sorted(groups.items(), key=lambda item: _order(item[0]))]
    for row in rows:
        if row["protocol"] == "cross-corpus" and "ece" in row:
            others = [
                result
                for (corpus, protocol, known), group in groups.items()
                if corpus != row["corpus"] and (protocol, known) == (row["protocol"], row["known"])
                for result in group
            ]
            row |= _calibrated(groups[row["corpus"], row["protocol"], row["known"]], others, row["known"])
    return rows


def _calibrated(results: list[dict], others: list[dict], known: int) -> dict[str, float]:
    """Compute the ECE with a temperature that is fitted on the other corpora, as the mean over the seeds of both."""
    errors, temperatures = [], []
    for seed in sorted({result["seed"] for result in others} & {result["seed"] for result in results}):
        predicted = _predicted([result for result in others if result["seed"] == seed], known)
        temperatures.append(fit_esc_temperature(*predicted))
        errors.append(_ece([result for result in results if result["seed"] == seed], known, temperatures[-1]))
    return {"calibrated_ece": float(np.mean(errors)), "temperature": float(np.mean(temperatures))} if errors else {}


def _predicted(results: list[dict], known: int) -> tuple[np.ndarray, list[str], list[str], dict[str, dict]]:
    """Return the logits, native labels and corpora of all predictions, and the label spaces."""
    return (
        np.concatenate([result["answers"][str(known)]["logits"] for result in results]),
        [result["classes"][reference] for result in results for reference in result["references"]],
        [result["corpus"] for result in results for _ in result["references"]],
        {result["corpus"]: result["label_space"] for result in results},
    )


def _ece(results: list[dict], known: int, temperature: float = 1.0) -> float:
    """Compute the ECE of the predictions in the label spaces of their corpora."""
    logits, *labels = _predicted(results, known)
    return expected_calibration_error(*confidences(softmax(logits / temperature, axis=1), *labels))


def _summarise(corpus: str, protocol: str, known: int, results: list[dict]) -> dict:
    seeds = sorted({result["seed"] for result in results})
    folds = sorted({result["fold"] for result in results})
    missing = {(fold, seed) for fold in folds for seed in seeds} - {(one["fold"], one["seed"]) for one in results}
    if missing:
        fold, seed = min(missing)
        raise ValueError(
            f"results: every seed must have the same folds; got no result of {fold!r} with seed {seed}. Run the experiment "
            "again with all seeds and folds, or with another output_dir."
        )
    of_seeds = [_scores([result for result in results if result["seed"] == seed], known) for seed in seeds]
    one_each = [[_rates([result], known)["uar"] for result in results if result["fold"] == fold] for fold in folds]
    spread = [float(np.mean(rates)) for rates in one_each] if len(folds) > 1 else one_each[0]
    _, low, high = mean_interval(spread)
    return {
        "corpus": corpus,
        "protocol": protocol,
        "known": known,
        "folds": len(folds),
        "seeds": len(seeds),
        "utterances": sum(len(result["ids"]) for result in results if result["seed"] == seeds[0]),
        "uar_low": None if np.isnan(low) else low,
        "uar_high": None if np.isnan(high) else high,
        "shared_speakers": sorted({name for result in results for name in result["audit"]["shared_speakers"]}),
        **{name: value for name, value in results[0]["audit"].items() if name == "not_counted"},
        **{name: float(np.mean([scores[name] for scores in of_seeds])) for name in of_seeds[0]},
    }


def _rates(results: list[dict], known: int) -> dict[str, float]:
    """Compute the UAR and the WA of several folds together."""
    predictions = [answer for result in results for answer in result["answers"][str(known)]["esc"]]
    references = [answer for result in results for answer in result["references"]]
    rates = load_metric("uar").compute(predictions=predictions, references=references)
    return {"uar": rates["uar"], "wa": rates["wa"]}


def _scores(results: list[dict], known: int) -> dict[str, float]:
    """Score the predictions of several folds together."""
    answers = [result["answers"][str(known)] for result in results]
    scores = _rates(results, known) | _open_scores(results, answers)
    if all("logits" in part for part in answers) and len(results[0]["classes"]) > 1:
        scores["ece"] = _ece(results, known)
    if "eis" not in answers[0]:
        return scores

    def column(name: str) -> list:
        return [value for result in results for value in result[name]]

    corpora = [results[0]["corpus"]] * sum(len(result["ids"]) for result in results)
    values = np.array([value for part in answers for value in part["eis"]])
    eis = eis_scores(values, column("eis_low"), column("eis_high"), corpora)
    if "renditions" in results[0]:
        eis |= intensity_order(values, column("eis_low"), column("eis_high"), column("renditions"))
    ids = np.array([value for part in answers for value in part["gender"]])
    gender = gender_scores(ids, column("gender"), corpora)
    if "heard_phonemes" in results[0]:
        per = phoneme_scores(column("heard_phonemes"), column("phonemes"), corpora)
        scores |= {name: per[name] for name in ("phoneme_per",) if name in per}
    scores |= {name: eis[name] for name in ("eis_ccc", "eis_mae", "eis_order") if name in eis}
    return scores | {name: gender[name] for name in ("gender_uar",) if name in gender}


def _open_scores(results: list[dict], answers: list[dict]) -> dict[str, float]:
    """Score open answers, among all seven basic classes, where results have them and a label lies in one basic class."""
    if "basic" not in results[0] or "basic" not in answers[0]:
        return {}
    pairs = [
        (answer, reference)
        for result, part in zip(results, answers, strict=True)
        for answer, reference in zip(part["basic"], result["basic"], strict=True)
        if reference is not None
    ]
    if not pairs:
        return {}
    predictions, references = zip(*pairs, strict=True)
    return {"open_uar": load_metric("uar").compute(predictions=predictions, references=references)["uar"]}


def compare(first: list[dict], second: list[dict]) -> list[dict]:
    """Compare two experiments on their common folds and seeds; see [`paired_difference`].

    Returns:
        `list[dict]`: for each corpus, seed and number of enrolment utterances: `difference` of UAR (second minus first),
        `low`, `high` and `p`.

    Raises:
        ValueError: if they have no results in common, or different utterances in a common fold.
    """
    of_second = {(result["fold"], result["seed"], known): result for result in second for known in result["answers"]}
    pairs = defaultdict(list)
    for result in first:
        for known in result["answers"]:
            if (other := of_second.get((result["fold"], result["seed"], known))) is not None:
                if (other["ids"], other["classes"]) != (result["ids"], result["classes"]):
                    raise ValueError(
                        f"compare: both must have the same utterances and classes; got others in {result['fold']!r}."
                    )
                pairs[result["corpus"], result["protocol"], int(known), result["seed"]].append((result, other))
    if not pairs:
        raise ValueError("compare: experiments must have a fold and a seed in common; got none.")
    differences = []
    for (corpus, protocol, known, seed), found in sorted(pairs.items(), key=lambda item: _order(item[0])):
        difference = paired_difference(
            [answer for one, _ in found for answer in one["answers"][str(known)]["esc"]],
            [answer for _, other in found for answer in other["answers"][str(known)]["esc"]],
            [answer for one, _ in found for answer in one["references"]],
            [speaker for one, _ in found for speaker in one["speakers"]],
            draws=20_000,
        )
        differences.append({"corpus": corpus, "protocol": protocol, "known": known, "seed": seed, **difference})
    return differences


def summary_table(summary: list[dict]) -> str:
    """Format a summary as a markdown table, rates in percent."""
    lines = [
        "| corpus | protocol | known | folds × seeds | UAR (%) | 95 % of folds | open UAR (%) | WA (%) | ECE (%) "
        "| calibrated ECE (%) | EIS CCC | EIS order (%) | PER (%) | gender UAR (%) | shared |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in summary:
        interval = "" if row["uar_low"] is None else f"{100 * row['uar_low']:.1f} to {100 * row['uar_high']:.1f}"
        ccc = f"{row['eis_ccc']:.3f}" if "eis_ccc" in row else ""
        percent = {
            name: f"{100 * row[name]:.1f}" if name in row else ""
            for name in ("open_uar", "ece", "calibrated_ece", "eis_order", "phoneme_per", "gender_uar")
        }
        lines.append(
            f"| {row['corpus']} | {row['protocol']} | {_known(row['known'])} | {row['folds']} × {row['seeds']} "
            f"| {100 * row['uar']:.1f} | {interval} | {percent['open_uar']} | {100 * row['wa']:.1f} "
            f"| {percent['ece']} | {percent['calibrated_ece']} | {ccc} "
            f"| {percent['eis_order']} | {percent['phoneme_per']} | {percent['gender_uar']} | {len(row['shared_speakers'])} |"
        )
    fitted = {
        known: [row["temperature"] for row in summary if row["known"] == known and "temperature" in row]
        for known in sorted({row["known"] for row in summary})
    }
    notes = [
        "known: unlabelled enrolment utterances of each test speaker (or of the corpus, see known_of). "
        "open: all seven basic classes are allowed. calibrated: with a temperature fitted on the other test corpora. "
        "order: of two renditions of a text and an emotion by one speaker, the stronger one has the higher intensity. "
        "shared: test speakers in the training data.",
        *(
            f"{row['corpus']}: {', '.join(row['shared_speakers'][:10])}{', …' * (len(row['shared_speakers']) > 10)}"
            for row in summary
            if row["shared_speakers"]
        ),
        *(
            f"temperatures with {_known(known)} known utterances: {min(found):.2f} to {max(found):.2f}."
            for known, found in fitted.items()
            if found
        ),
        *(f"{row['corpus']}: shared does not count {row['not_counted']}." for row in summary if "not_counted" in row),
    ]
    return "\n".join([*lines, "", *dict.fromkeys(notes)])


def comparison_table(differences: list[dict]) -> str:
    """Format the differences as a markdown table, in points of UAR."""
    lines = ["| corpus | protocol | known | seed | points of UAR | 95 % | p |", "|---|---|---:|---:|---:|---:|---:|"]
    lines += [
        f"| {row['corpus']} | {row['protocol']} | {_known(row['known'])} | {row['seed']} | {100 * row['difference']:+.1f} "
        f"| {100 * row['low']:+.1f} to {100 * row['high']:+.1f} | {row['p']:.4f} |"
        for row in differences
    ]
    return "\n".join(lines)


def _known(number: int) -> str:
    return "all" if number == -1 else str(number)


def _order(key: tuple) -> tuple:
    """Return the sort key: corpus, protocol, number of enrolment utterances with `all` last."""
    corpus, protocol, known, *rest = key
    return (corpus, protocol, float("inf") if known == -1 else known, *rest)
