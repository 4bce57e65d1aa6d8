"""Measure all results of a model card: `python -m speecheq.evaluation.report MODEL --dataset SEQD`.

`--calibrate` fits the temperatures and the abstention threshold on the validation split and writes them into the model's
config.json. `--write README.md` writes the tables between the marks `<!-- results -->` and `<!-- /results -->` of a page,
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
from speecheq.labels_speecheq import UTTERANCE_TASKS
from speecheq.metrics.scores import eis_scores, esc_scores, table
from speecheq.training.batches import Collator
from speecheq.training.frozen import ALL, score_heads
from speecheq.training.recipes import public_name
from speecheq.training.seqd import column, label_spaces, load_seqd, require_split, shared_speakers
from speecheq.training.states import answer_rows
from speecheq.training.trainer import score

KNOWN = (1, 5, 20, ALL)
RISK = 0.2  # highest error rate of the answered validation utterances, for the abstention threshold


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
        number of enrolment utterances), `temperatures`, `ece`, `abstention`, `fairness`, `shared_speakers`.

    Raises:
        ValueError: if the validation or the test split is missing.
    """
    splits = load_seqd(dataset, max_seconds=30)
    for split in ("validation", "test"):
        require_split("report", splits, split)
    spaces = label_spaces(splits)
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
    predictions = (probabilities, output.eis.numpy(), test["phonemes"], output.gender_logits.argmax(dim=-1).numpy())
    results = {
        "dataset": public_name(dataset),
        "shared_speakers": shared_speakers(splits),
        "scores": score(predictions, rows, found.config, lambda phonemes: phonemes, spaces),
        "known": {str(number): known_scores(found, test, rows, spaces, number) for number in KNOWN},
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


def known_scores(model, answers: dict, rows: Dataset, spaces: dict, number: int) -> dict[str, float]:
    """Score ESC and EIS of each corpus with `number` unlabelled enrolment utterances per speaker."""
    output = score_heads(model, answers["statistics"], np.array(rows["speaker_id"]), number)
    corpora = list(rows["corpus"])
    scores = esc_scores(
        output.esc_logits.softmax(dim=-1).numpy(),
        column(rows, "esc"),
        column(rows, "native_label"),
        corpora,
        label_spaces=spaces,
    ) | eis_scores(output.eis.numpy(), column(rows, "eis_low"), column(rows, "eis_high"), corpora)
    return {name: value for name, value in scores.items() if name.endswith(("/esc_uar", "/esc_wa", "/eis_ccc"))}


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


def page(results: dict) -> str:
    """The tables of a card, as markdown."""
    scores = results["scores"]
    names = {"0": "0", **{str(number): "all" if number == ALL else str(number) for number in KNOWN}}
    known = {"0": scores, **results["known"]}
    lines = [
        "| corpus | " + " | ".join(f"{name} known" for name in names.values()) + " |",
        "|---" * (len(names) + 1) + "|",
    ]
    for metric, title, factor, places in (("esc_uar", "", 100, 1), ("eis_ccc", ", EIS CCC", 1, 3)):
        for corpus in sorted(name.partition("/")[0] for name in scores if name.endswith(f"/{metric}")):
            cells = [f"{factor * known[number][f'{corpus}/{metric}']:.{places}f}" for number in names]
            lines.append(f"| {corpus}{title} | {' | '.join(cells)} |")
    ece = results["ece"]
    gave_up = results["abstention"]
    sentences = [
        f"Expected calibration error {100 * ece['before']['all']:.1f} % before and {100 * ece['after']['all']:.1f} % after "
        f"temperature scaling (ESC {results['temperatures']['esc']:.2f}); of each corpus by itself "
        + ", ".join(
            f"{name} {100 * before:.1f} and {100 * ece['after'][name]:.1f} %"
            for name, before in ece["before"].items()
            if name != "all"
        )
        + "."
    ]
    if gave_up["threshold"] is not None and gave_up["test_risk"] is not None:
        sentences.append(
            f"Below a confidence of {gave_up['threshold']:.2f}, chosen for at most {100 * gave_up['risk']:.0f} % errors on "
            f"validation, no answer is given: {100 * gave_up['test_coverage']:.0f} % of the test utterances are answered, "
            f"{100 * gave_up['test_risk']:.1f} % of those wrongly."
        )
    return "\n\n".join([_short(scores), "\n".join(lines), " ".join(sentences), fairness.table(results["fairness"])])


def _short(scores: dict[str, float]) -> str:
    kept = ("esc_uar", "esc_wa", "eis_ccc", "eis_mae", "phoneme_per", "gender_uar")
    return table({name: value for name, value in scores.items() if name.rpartition("/")[2] in kept})


def model_index(results: dict) -> list[EvalResult]:
    """The scores of unseen speakers as a model card's metadata holds them, https://hf.co/docs/hub/model-cards#evaluation-results."""
    named = {
        "esc_uar": ("recall", "ESC UAR"),
        "eis_ccc": ("ccc", "EIS CCC"),
        "phoneme_per": ("per", "PER"),
        "gender_uar": ("recall", "gender UAR"),
    }
    return [
        EvalResult(
            task_type="audio-classification",
            dataset_type="seqd",
            dataset_name=f"SEQD, {corpus}",
            dataset_config=corpus,
            dataset_split="test",
            metric_type=named[metric][0],
            metric_name=named[metric][1],
            metric_value=round(value, 4),
        )
        for name, value in sorted(results["scores"].items())
        for corpus, _, metric in [name.rpartition("/")]
        if corpus and metric in named
    ]


def write_metadata(path: Path, results: dict):
    """Put the scores into the front matter of a page."""
    card = ModelCard.load(path)
    card.data.model_name = "SpeechEQ"
    card.data.eval_results = model_index(results)
    card.save(path)


def write_between(path: Path, mark: str, text: str):
    """Replace what stands between `<!-- mark -->` and `<!-- /mark -->` of a page.

    Raises:
        ValueError: if the marks are not there.
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
    parser.add_argument(
        "--write", type=Path, metavar="PAGE", help="put the tables between its marks, the scores into its metadata"
    )
    options = parser.parse_args(arguments)
    out = options.out or Path(options.model) / ("onnx" if options.onnx else "results")
    results = report(options.model, options.dataset, out, options.calibrate, options.onnx)
    text = page(results)
    print(text)
    if options.write:
        write_between(options.write, "results", text)
        write_metadata(options.write, results)


if __name__ == "__main__":
    main()
