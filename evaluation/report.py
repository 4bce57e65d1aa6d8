"""Measure a saved model for its card and its results page: `python -m speecheq.evaluation.report MODEL --dataset SEQD`.

With `--calibrate`, temperatures and the abstention threshold are fitted on the validation split and written into the
model's config.json. `--write results/README.md` puts each table between its marks in a page, for example between
`<!-- scores -->` and `<!-- /scores -->`. `--card README.md` puts the short table between the marks `results` of a model card,
and the scores into its metadata.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from huggingface_hub import EvalResult, ModelCard

from speecheq import SpeechEQModel, SpeechEQProcessor
from speecheq.evaluation import calibration, fairness, figures
from speecheq.evaluation.evaluate import score_output, speakers_seen
from speecheq.labels_speecheq import UTTERANCE_TASKS
from speecheq.metrics.scores import eis_scores, esc_scores, intensity_order, rendition, rows_of_corpora, table
from speecheq.scoring.workers import SAMPLE_ROWS
from speecheq.training.batches import Collator
from speecheq.training.frozen import ALL, score_heads, score_recordings
from speecheq.training.recipes import public_name
from speecheq.training.seqd import column, label_spaces, load_seqd, require_split
from speecheq.training.states import answer_rows

KNOWN = (1, 5, 20, ALL)
RECORDING = 8  # utterances per recording, for the scores with speaker="auto"
SPEAKERS = ("source", "auto")  # the values of --speaker that the table shows beside numbers of enrolment utterances
RISK = 0.2  # the abstention threshold allows this share of wrong labels on validation
CARD_SCORES = {  # of a model card, by metric: type on the Hub, title, and whether it is a rate
    "esc_uar": ("recall", "ESC UAR", True),
    "eis_ccc": ("ccc", "EIS CCC", False),
    "phoneme_per": ("per", "PER", True),
    "gender_uar": ("recall", "gender UAR", True),
}


def report(model: str, dataset: str, out: Path, calibrate: bool = False, onnx: str | None = None) -> dict:
    """Measure a saved model on the test split of a SEQD.

    Args:
        model (`str`): folder of a saved model.
        dataset (`str`): folder or Hub repository of a SEQD.
        out (`Path`): folder for `results.json` and the figures.
        calibrate (`bool`, *optional*, defaults to `False`): fit the temperatures and the abstention threshold on validation
            and write them into the model's config.json; by default the stored temperatures are used.
        onnx (`str`, *optional*): predict with this exported file, see [`speecheq.scoring.onnx_model.OnnxModel`].

    Returns:
        `dict`: content of `results.json`: `dataset`, `scores` (see `speecheq.metrics.scores`), `known` (ESC and EIS scores by
        number of enrolment utterances, and for `SPEAKERS`), `temperatures`, `ece`, `abstention`, `fairness`,
        `shared_speakers` and `unknown_stages` (see [`~speecheq.evaluation.evaluate.speakers_seen`]).

    Raises:
        ValueError: if the validation or the test split is missing.
    """
    splits = load_seqd(dataset, max_seconds=30)
    for split in ("validation", "test"):
        require_split("report", splits, split)
    spaces = label_spaces(splits)
    seen, unknown = speakers_seen(model, splits)
    found = SpeechEQModel.from_pretrained(model).eval()
    processor = SpeechEQProcessor.from_pretrained(model)
    answering = found if onnx is None else _exported(model, onnx)
    validation = answer_rows(answering, processor, splits["validation"])
    if calibrate:
        found.config.temperatures = fit_temperatures(found, validation, splits["validation"], spaces)
    test = answer_rows(answering, processor, splits["test"])
    rows = splits["test"]
    natives, corpora = list(rows["native_label"]), list(rows["corpus"])
    with torch.inference_mode():
        output = found.score_statistics(test["statistics"])
    probabilities = output.esc_logits.softmax(dim=-1).numpy()
    uncalibrated = (output.esc_logits * found.config.temperatures["esc"]).softmax(dim=-1).numpy()
    before = calibration.confidences(uncalibrated, natives, corpora, spaces)
    after = calibration.confidences(probabilities, natives, corpora, spaces)
    abstains = abstention(validation_confidences(found, validation, splits["validation"], spaces), after)
    if calibrate:
        kept = {"temperatures": found.config.temperatures, "abstain_below": abstains["threshold"] or 0.0}
        _keep(Path(model) / "config.json", kept)
    results = {
        "dataset": public_name(dataset),
        "shared_speakers": seen,
        "unknown_stages": unknown,
        "scores": score_output(output, test, rows, found.config, spaces),
        "known": {str(number): known_scores(found, test, rows, spaces, number) for number in (0, *KNOWN, *SPEAKERS)},
        "temperatures": found.config.temperatures,
        "ece": {
            "before": calibration_errors(uncalibrated, natives, corpora, spaces),
            "after": calibration_errors(probabilities, natives, corpora, spaces),
        },
        "abstention": abstains,
        "fairness": fairness.group_scores(probabilities, rows, spaces),
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (out / "confusion.svg").write_bytes(figures.confusion_matrices(probabilities, natives, corpora, spaces))
    (out / "reliability.svg").write_bytes(figures.reliability(before, after))
    (out / "risk_coverage.svg").write_bytes(figures.risk_coverage_figure(*after))
    if "eis_ccc" in results["scores"]:
        low, high = column(rows, "eis_low"), column(rows, "eis_high")
        (out / "intensity.svg").write_bytes(figures.intensity(output.eis.numpy(), low, high, corpora))
    return results


def validation_confidences(model: SpeechEQModel, answers: dict, rows: Dataset, spaces: dict):
    """Compute [`calibration.confidences`] of the validation rows, which select the abstention threshold."""
    with torch.inference_mode():
        probabilities = model.score_statistics(answers["statistics"]).esc_logits.softmax(dim=-1).numpy()
    return calibration.confidences(probabilities, list(rows["native_label"]), list(rows["corpus"]), spaces)


def fit_temperatures(model: SpeechEQModel, answers: dict, rows: Dataset, spaces: dict) -> dict[str, float]:
    """Fit the temperature of each utterance head on validation; at least 1, since few speakers cannot justify less."""
    model.config.temperatures = dict.fromkeys(UTTERANCE_TASKS, 1.0)
    output = model.score_statistics(answers["statistics"])
    genders = [None if name is None else model.config.gender_labels.index(name) for name in column(rows, "gender")]
    fitted = {
        "esc": calibration.fit_esc_temperature(
            output.esc_logits.detach().numpy(), column(rows, "native_label"), column(rows, "corpus"), spaces
        ),
        "eis": calibration.fit_eis_temperature(output.eis_logits.detach().numpy(), *_learned_intensities(rows)),
        "gender": calibration.fit_class_temperature(output.gender_logits.detach().numpy(), genders),
    }
    return {task: round(max(1.0, temperature), 4) for task, temperature in fitted.items()}


def _exported(model: str, file: str):
    from speecheq.scoring.onnx_model import OnnxModel  # the only import that needs ONNX Runtime

    return OnnxModel(model, file)


def _learned_intensities(rows: Dataset) -> tuple[list[float | None], list[float | None]]:
    """Return low and high of the training targets of EIS; other targets would make the head underconfident."""
    labels = (
        {"esc": esc, "eis_low": low, "eis_high": high}
        for esc, low, high in zip(*(column(rows, name) for name in ("esc", "eis_low", "eis_high")), strict=True)
    )
    targets = [Collator.eis_target(label) for label in labels]
    return tuple([None if end < 0 else end for end in ends] for ends in zip(*targets, strict=True))


def known_scores(model, answers: dict, rows: Dataset, spaces: dict, number: int | str) -> dict[str, float]:
    """Score ESC, EIS and the order of intensities with `number` unlabelled enrolment utterances per speaker, or `"auto"`.

    With `"source"`, `SAMPLE_ROWS` utterances of the corpus are known, of any speakers.
    """
    corpora = list(rows["corpus"])
    inputs = model, answers["statistics"], np.array(corpora if number == "source" else rows["speaker_id"])
    if number == "auto":
        output = score_recordings(*inputs, RECORDING)
    else:
        output = score_heads(*inputs, SAMPLE_ROWS if number == "source" else number)
    intensities = output.eis.numpy()
    low, high = column(rows, "eis_low"), column(rows, "eis_high")
    scores = esc_scores(
        output.esc_logits.softmax(dim=-1).numpy(),
        column(rows, "esc"),
        column(rows, "native_label"),
        corpora,
        label_spaces=spaces,
    ) | eis_scores(intensities, low, high, corpora)
    scores = {name: value for name, value in scores.items() if name.endswith(("/esc_uar", "/esc_wa", "/eis_ccc"))}
    said = [rendition(row) for row in rows.select_columns(["speaker_id", "native_label", "text"]).to_list()]
    for corpus, part in rows_of_corpora(corpora).items():
        labels = ([of_all[row] for row in part] for of_all in (low, high, said))
        order = intensity_order(intensities[part], *labels)
        scores |= {f"{corpus}/{name}": order[name] for name in ("eis_order",) if name in order}
    return scores


def abstention(validation: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> dict:
    """Select the abstention threshold on validation, and measure its coverage and risk on test."""
    threshold = calibration.abstention_threshold(*validation, RISK)
    if threshold is None:
        return {"risk": RISK, "threshold": None}
    confidence, correct = test
    answered = confidence >= threshold
    return {
        "risk": RISK,
        "threshold": float(threshold),
        "test_coverage": float(answered.mean()),
        "test_risk": float(1 - correct[answered].mean()) if answered.any() else None,
        "test_aurc": calibration.area_under_risk_coverage(confidence, correct),
    }


def calibration_errors(probabilities: np.ndarray, natives: list, corpora: list[str], spaces: dict) -> dict[str, float]:
    """Compute the ECE of ESC in the label spaces of the corpora, over all rows and for each corpus."""
    names = np.array(corpora)
    parts = {"all": np.arange(len(names))} | {name: np.flatnonzero(names == name) for name in sorted(set(corpora))}
    errors = {}
    for name, part in parts.items():
        pair = calibration.confidences(probabilities[part], [natives[row] for row in part], list(names[part]), spaces)
        if len(pair[0]):
            errors[name] = calibration.expected_calibration_error(*pair)
    return errors


def _keep(path: Path, fields: dict):
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | fields, indent=2, sort_keys=True) + "\n")


def tables(results: dict) -> dict[str, str]:
    """The tables and sentences of a results page, as markdown, by the mark that each is written between.

    Args:
        results (`dict`): as [`report`] returns it.
    """
    kept = ("esc_uar", "esc_wa", "eis_ccc", "eis_mae", "phoneme_per", "gender_uar")
    scores = {name: value for name, value in results["scores"].items() if name.rpartition("/")[2] in kept}
    return {
        "scores": table(scores),
        "speakers": _known_table(results),
        "calibration": _calibration_table(results),
        "abstention": _abstention_text(results["abstention"]),
        "groups": fairness.table(results["fairness"]),
    }


def summary(results: dict) -> str:
    """The short table of a model card, as markdown: one score for each task and corpus."""
    scores = results["scores"]
    titles = [f"{title} (%)" if rate else title for _, title, rate in CARD_SCORES.values()]
    lines = [["corpus", *titles], ["---", *["---:"] * len(titles)]]
    for corpus in [*_corpora(scores, *CARD_SCORES), ""]:
        names = [f"{corpus}/{metric}" if corpus else metric for metric in CARD_SCORES]
        found = [scores.get(name) for name in names]
        rates = [rate for _, _, rate in CARD_SCORES.values()]
        lines.append([corpus or "all", *(_cell(value, rate) for value, rate in zip(found, rates, strict=True))])
    return _markdown(lines)


def _corpora(scores: dict[str, float], *metrics: str) -> list[str]:
    """The corpora that have a score of one of the metrics, in alphabetical order."""
    named = (name.rpartition("/") for name in scores)
    return sorted({corpus for corpus, _, metric in named if corpus and metric in metrics})


def _known_table(results: dict) -> str:
    """ESC and EIS by the number of unlabelled utterances known of a test speaker."""
    known = results["known"]
    titles = ["all" if number == str(ALL) else f"`{number}`" if number in SPEAKERS else number for number in known]
    lines = [["known utterances", *titles], ["---", *["---:"] * len(titles)]]
    titled = CARD_SCORES | {"eis_order": (None, "EIS order", True)}
    for metric in ("esc_uar", "eis_ccc", "eis_order"):
        _, title, rate = titled[metric]
        for corpus in _corpora(known["0"], metric):
            cells = [_cell(scores[f"{corpus}/{metric}"], rate) for scores in known.values()]
            lines.append([f"{corpus}, {title}{' (%)' if rate else ''}", *cells])
    return _markdown(lines)


def _calibration_table(results: dict) -> str:
    """Expected calibration error of ESC before and after temperature scaling, and the temperatures."""
    before, after = results["ece"]["before"], results["ece"]["after"]
    lines = [["corpus", "ECE before (%)", "ECE after (%)"], ["---", "---:", "---:"]]
    for corpus in sorted(before, key=lambda name: (name == "all", name)):
        lines.append([corpus, _cell(before[corpus], True), _cell(after[corpus], True)])
    fitted = ", ".join(f"{task} {value:.2f}" for task, value in results["temperatures"].items())
    return f"{_markdown(lines)}\n\nTemperatures: {fitted}."


def _abstention_text(found: dict) -> str:
    """The threshold of abstention, and its effect on the test split."""
    if found["threshold"] is None:
        return "No threshold reaches the allowed error rate on the validation split: the model always gives a label."
    text = (
        f"Below a confidence of {found['threshold']:.2f} the model gives no label. This threshold allows at most "
        f"{100 * found['risk']:.0f} % errors on the validation split."
    )
    if found["test_risk"] is None:
        return f"{text} On the test split no utterance gets a label."
    return (
        f"{text} On the test split {100 * found['test_coverage']:.0f} % of the utterances get a label, and "
        f"{100 * found['test_risk']:.1f} % of these labels are wrong."
    )


def _cell(value: float | None, rate: bool) -> str:
    if value is None:
        return ""
    return f"{100 * value:.1f}" if rate else f"{value:.3f}"


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def model_index(results: dict) -> list[EvalResult]:
    """The scores as a model card's metadata holds them, https://hf.co/docs/hub/model-cards#evaluation-results."""
    return [
        EvalResult(
            task_type="audio-classification",
            dataset_type="seqd",
            dataset_name=f"SEQD, {corpus}",
            dataset_config=corpus,
            dataset_split="test",
            metric_type=CARD_SCORES[metric][0],
            metric_name=CARD_SCORES[metric][1],
            metric_value=round(value, 4),
        )
        for name, value in sorted(results["scores"].items())
        for corpus, _, metric in [name.rpartition("/")]
        if corpus and metric in CARD_SCORES
    ]


def write_metadata(path: Path, results: dict):
    """Put the scores into the metadata of a model card."""
    card = ModelCard.load(path)
    card.data.model_name = "SpeechEQ"
    card.data.eval_results = model_index(results)
    card.save(path)


def write_between(path: Path, mark: str, text: str):
    """Replace the text between `<!-- mark -->` and `<!-- /mark -->` in a page.

    Raises:
        ValueError: if the page lacks the marks.
    """
    page = path.read_text()
    before, opening, rest = page.partition(f"<!-- {mark} -->\n")
    _, closing, after = rest.partition(f"<!-- /{mark} -->")
    if not (opening and closing):
        raise ValueError(f"report: {path.name} must have the marks <!-- {mark} --> and <!-- /{mark} -->; got none.")
    path.write_text(f"{before}{opening}{text}\n{closing}{after}")


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a trained model")
    parser.add_argument("--dataset", required=True, help="folder or Hub repository of a SEQD")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for results.json and figures (default: MODEL/results; with --onnx: MODEL/onnx)",
    )
    parser.add_argument("--calibrate", action="store_true", help="fit temperatures and threshold, into config.json")
    parser.add_argument(
        "--onnx", metavar="FILE", help="let an exported file answer, onnx/model_int8.onnx for instance"
    )
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put each table between its marks in this page")
    parser.add_argument(
        "--card", type=Path, metavar="PAGE", help="put the short table and the metadata into this model card"
    )
    options = parser.parse_args(arguments)
    out = options.out or Path(options.model) / ("onnx" if options.onnx else "results")
    results = report(options.model, options.dataset, out, options.calibrate, options.onnx)
    found = tables(results)
    print("\n\n".join(found.values()))
    for mark, text in found.items() if options.write else ():
        write_between(options.write, mark, text)
    if options.card:
        write_between(options.card, "results", summary(results))
        write_metadata(options.card, results)


if __name__ == "__main__":
    main()
