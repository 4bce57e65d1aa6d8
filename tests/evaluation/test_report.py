"""Claims about the report of a model card."""

import json
import shutil

import numpy as np
import pytest
import torch
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
    report,
    summary,
    tables,
    write_between,
)
from speecheq.metrics.scores import intensity_order, rendition
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
    assert set(results["known"]) == {"0", "1", "5", "20", str(ALL), "source", "auto"}
    splits = load_seqd(MINI_SEQD)
    model, processor = SpeechEQModel.from_pretrained(folder).eval(), SpeechEQProcessor.from_pretrained(folder)
    answers = answer_rows(model, processor, splits["test"])
    unknown = known_scores(model, answers, splits["test"], label_spaces(splits), 0)
    assert unknown["synthetic/esc_uar"] == pytest.approx(results["scores"]["synthetic/esc_uar"])
    assert unknown == pytest.approx(results["known"]["0"])
    assert unknown != results["known"][str(ALL)]
    one_speaker = splits["test"].remove_columns("speaker_id").add_column("speaker_id", list(splits["test"]["corpus"]))
    of_source = known_scores(model, answers, one_speaker, label_spaces(splits), 100)
    assert of_source == pytest.approx(results["known"]["source"])


def test_the_order_of_intensities_is_scored_in_each_corpus_with_renditions(reported):
    folder, _, _ = reported
    rows = load_seqd(MINI_SEQD)["test"].remove_columns("audio")
    levels, texts = [0.0, 1.0] * (len(rows) // 2), ["one"] * len(rows)
    for name, values in (("eis_low", levels), ("eis_high", levels), ("text", texts)):
        rows = rows.remove_columns(name).add_column(name, values)
    model = SpeechEQModel.from_pretrained(folder).eval()
    shape = (len(rows), *model.standardizer.mean.shape)
    answers = {"statistics": torch.randn(shape, generator=torch.Generator().manual_seed(0))}
    found = known_scores(model, answers, rows, label_spaces(load_seqd(MINI_SEQD)), 0)
    values = model.score_statistics(answers["statistics"]).eis.detach().numpy()
    said = [rendition(row) for row in rows.to_list()]
    expected = intensity_order(values, levels, levels, said)
    assert expected["eis_pairs"] > 10 and found["synthetic/eis_order"] == pytest.approx(expected["eis_order"])


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
    assert "EIS CCC" not in tables(results)["speakers"]
    assert [line.split("|")[3] for line in summary(results).splitlines()[2:]] == ["  ", "  "]


SCORES = {
    "esc_uar": 0.7, "b/esc_uar": 0.6, "a/esc_uar": 0.8, "b/esc_wa": 0.5, "eis_ccc": 0.25, "b/eis_ccc": 0.25,
    "c/phoneme_per": 0.1,
}  # fmt: skip


def test_the_summary_has_one_score_for_each_task_and_corpus():
    assert summary({"scores": SCORES}).splitlines() == [
        "| corpus | ESC UAR (%) | EIS CCC | PER (%) | gender UAR (%) |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| a | 80.0 |  |  |  |",
        "| b | 60.0 | 0.250 |  |  |",
        "| c |  |  | 10.0 |  |",
        "| all | 70.0 | 0.250 |  |  |",
    ]


def test_the_tables_state_speakers_calibration_and_abstention():
    found = tables(
        {
            "scores": SCORES,
            "known": {
                "0": SCORES | {"b/eis_order": 0.9},
                "1": SCORES | {"b/esc_uar": 0.65, "b/eis_order": 0.8},
                str(ALL): SCORES | {"b/eis_ccc": 0.5, "b/eis_order": 0.7},
            },
            "temperatures": {"esc": 1.5, "eis": 1.0},
            "ece": {"before": {"all": 0.2, "a": 0.1}, "after": {"all": 0.05, "a": 0.15}},
            "abstention": {"risk": 0.1, "threshold": 0.9, "test_coverage": 0.8, "test_risk": 0.123},
            "fairness": {},
        }
    )
    assert list(found) == ["scores", "speakers", "calibration", "abstention", "groups"]
    assert found["speakers"].splitlines() == [
        "| known utterances | 0 | 1 | all |",
        "| --- | ---: | ---: | ---: |",
        "| a, ESC UAR (%) | 80.0 | 80.0 | 80.0 |",
        "| b, ESC UAR (%) | 60.0 | 65.0 | 60.0 |",
        "| b, EIS CCC | 0.250 | 0.250 | 0.500 |",
        "| b, EIS order (%) | 90.0 | 80.0 | 70.0 |",
    ]
    assert found["calibration"].splitlines()[2:] == [
        "| a | 10.0 | 15.0 |",
        "| all | 20.0 | 5.0 |",
        "",
        "Temperatures: esc 1.50, eis 1.00.",
    ]
    assert found["abstention"] == (
        "Below a confidence of 0.90 the model gives no label. This threshold allows at most 10 % errors on the validation "
        "split. On the test split 80 % of the utterances get a label, and 12.3 % of these labels are wrong."
    )


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (
            {"threshold": None},
            "No threshold reaches the allowed error rate on the validation split: the model always gives",
        ),
        ({"threshold": 0.9, "test_coverage": 0.0, "test_risk": None}, "On the test split no utterance gets a label."),
    ],
)
def test_the_tables_state_an_abstention_from_none_or_all(reported, found, text):
    assert text in tables(reported[1] | {"abstention": {"risk": 0.1} | found})["abstention"]


def test_the_command_writes_the_page_and_the_card(reported, tmp_path, capsys):
    folder, results, _ = reported
    page, card = tmp_path / "page.md", tmp_path / "README.md"
    page.write_text(
        "before\n" + "".join(f"<!-- {mark} -->\nprevious\n<!-- /{mark} -->\n" for mark in tables(results)) + "after\n"
    )
    card.write_text("---\nlicense: mit\n---\nbefore\n<!-- results -->\nprevious\n<!-- /results -->\nafter\n")

    out = tmp_path / "out"
    main([str(folder), "--dataset", MINI_SEQD, "--out", str(out), "--write", str(page), "--card", str(card)])

    printed, written = capsys.readouterr().out, page.read_text()
    for mark, text in tables(results).items():
        assert f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->\n" in written and text in printed
    assert written.startswith("before\n") and written.endswith("after\n") and "previous" not in written
    found = ModelCard.load(card)
    assert found.data.license == "mit" and found.data.model_name == "SpeechEQ"
    values = {(scored.dataset_config, scored.metric_name): scored.metric_value for scored in found.data.eval_results}
    assert values["synthetic", "ESC UAR"] == round(results["scores"]["synthetic/esc_uar"], 4)
    assert found.text.lstrip() == f"before\n<!-- results -->\n{summary(results)}\n<!-- /results -->\nafter\n"


def test_a_page_without_the_marks_is_refused(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("<!-- results -->\n")
    for mark in ("other", "results"):
        with pytest.raises(ValueError, match=rf"README.md must have the marks <!-- {mark} --> and <!-- /{mark} -->"):
            write_between(page, mark, "")


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
