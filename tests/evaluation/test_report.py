"""Claims about the report of a model card."""

import json
import shutil

import numpy as np
import pytest
from datasets import Dataset
from huggingface_hub import ModelCard
from samples import MINI_SEQD

from speecheq import SpeechEQModel, SpeechEQProcessor
from speecheq.evaluation.report import (
    _learned_intensities,
    answer_rows,
    calibration_errors,
    known_scores,
    main,
    page,
    report,
    write_between,
)
from speecheq.training.frozen import ALL
from speecheq.training.seqd import label_spaces, load_seqd


@pytest.fixture(scope="module")
def reported(trained_run, tmp_path_factory):
    """A calibrated copy of the trained run, its report, and the run's own scores."""
    folder = tmp_path_factory.mktemp("reported") / "run"
    shutil.copytree(trained_run[0], folder, ignore=shutil.ignore_patterns("checkpoints"))
    return folder, report(str(folder), MINI_SEQD, folder / "results", calibrate=True), trained_run[1]


def test_the_scores_are_those_of_the_run(reported):
    _, results, scores = reported
    assert results["scores"] == pytest.approx(scores, abs=1e-6)
    assert results["shared_speakers"] == []


def test_temperatures_are_kept_in_the_configuration(reported):
    folder, results, _ = reported
    config = json.loads((folder / "config.json").read_text())
    assert config["temperatures"] == results["temperatures"]
    assert config["abstain_below"] == (results["abstention"]["threshold"] or 0.0)
    assert min(results["temperatures"].values()) >= 1
    again = report(str(folder), MINI_SEQD, folder / "again")
    assert again == results


def test_everything_that_it_says_is_a_file(reported):
    folder, results, _ = reported
    names = sorted(path.name for path in (folder / "results").iterdir())
    assert names == ["confusion.svg", "intensity.svg", "reliability.svg", "results.json", "risk_coverage.svg"]
    assert json.loads((folder / "results" / "results.json").read_text()) == results


def test_what_is_known_of_a_speaker_changes_the_answers(reported):
    folder, results, _ = reported
    assert set(results["known"]) == {"1", "5", "20", str(ALL)}
    splits = load_seqd(MINI_SEQD)
    model, processor = SpeechEQModel.from_pretrained(folder).eval(), SpeechEQProcessor.from_pretrained(folder)
    answers = answer_rows(model, processor, splits["test"])
    unknown = known_scores(model, answers, splits["test"], label_spaces(splits), 0)
    assert unknown["synthetic/esc_uar"] == pytest.approx(results["scores"]["synthetic/esc_uar"])
    assert unknown != results["known"][str(ALL)]


def test_calibration_errors_are_those_of_the_corpora():
    probabilities = np.zeros((4, 12))
    probabilities[:, 0], probabilities[:, 7] = 0.8, 0.2  # angry, neutral
    spaces = {name: {"A": ["angry"], "N": ["neutral"]} for name in ("one", "two")}
    errors = calibration_errors(probabilities, ["A", "A", "A", "N"], ["one", "one", "two", "two"], spaces)
    assert errors == pytest.approx({"all": 0.05, "one": 0.2, "two": 0.3})


def test_a_report_without_intensities_has_no_such_figure_and_no_such_line(reported, tmp_path, monkeypatch):
    folder, _, _ = reported
    splits = {name: rows.remove_columns(["eis_low", "eis_high"]) for name, rows in load_seqd(MINI_SEQD).items()}
    monkeypatch.setattr("speecheq.evaluation.report.load_seqd", lambda dataset, max_seconds: splits)
    results = report(str(folder), MINI_SEQD, tmp_path)
    assert "intensity.svg" not in {path.name for path in tmp_path.iterdir()}
    assert "EIS CCC" not in page(results)


def test_a_page_names_the_intensities_of_every_corpus_and_an_abstention_from_all(reported):
    results = reported[1] | {"abstention": {"risk": 0.1, "threshold": 0.9, "test_coverage": 0.0, "test_risk": None}}
    results["scores"] = results["scores"] | {"silent/phoneme_per": 0.5}  # a corpus with nothing to decide
    text = page(results)
    assert text.count("| synthetic, EIS CCC | ") == 1 and "no answer is given" not in text


def test_the_command_writes_the_tables_between_the_marks(reported, tmp_path, capsys):
    folder, _, _ = reported
    page = tmp_path / "README.md"
    page.write_text("---\nlicense: mit\n---\nbefore\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    main([str(folder), "--dataset", MINI_SEQD, "--out", str(tmp_path / "out"), "--write", str(page)])
    printed = capsys.readouterr().out
    card = ModelCard.load(page)
    assert card.data.license == "mit" and card.data.model_name == "SpeechEQ"
    values = {(found.dataset_config, found.metric_name): found.metric_value for found in card.data.eval_results}
    assert values["synthetic", "ESC UAR"] == round(reported[1]["scores"]["synthetic/esc_uar"], 4)
    text = card.text.lstrip()
    assert text.startswith("before\n<!-- results -->\n| corpus |") and text.endswith("<!-- /results -->\nafter\n")
    assert "old" not in text and text.split("-->\n", 1)[1].split("\n<!--")[0] in printed
    with pytest.raises(ValueError, match=r"README.md must have the marks <!-- other --> and <!-- /other -->"):
        write_between(page, "other", "")


def test_the_intensity_is_calibrated_on_what_was_learned():
    rows = Dataset.from_list(
        [
            {"esc": ["neutral"], "eis_low": 0.0, "eis_high": 0.0}, {"esc": ["sad"], "eis_low": None, "eis_high": None},
            {"esc": ["sad"], "eis_low": 0.5, "eis_high": 0.5}, {"esc": None, "eis_low": None, "eis_high": None},
        ]
    )  # fmt: skip
    assert _learned_intensities(rows) == ([0.0, 0.125, 0.5, None], [0.375, 1.0, 0.5, None])


def test_a_report_needs_validation_and_test(tmp_path, one_speaker):
    with pytest.raises(ValueError, match="report: dataset must have the split 'validation'; got train"):
        report("never read", one_speaker, tmp_path)
