"""Claims about summaries and comparisons of experiments."""

import json
import re

import numpy as np
import pytest

from speecheq.evaluation.results import compare, comparison_table, read_results, summarise, summary_table
from speecheq.labels_speecheq import ESC_LABELS


def answered(fold: str, esc: list[int], references: list[int], seed: int = 0, **changes) -> dict:
    """Make the result of one fold, without intensity and gender, like a probe's."""
    speaker = fold.removeprefix("x-loso-")
    return {
        "corpus": "x",
        "protocol": "loso",
        "seed": seed,
        "fold": fold,
        "audit": {"shared_speakers": []},
        "classes": ["angry", "sad"],
        "ids": [f"{fold}/{number}" for number in range(len(references))],
        "speakers": [f"x/{speaker}"] * len(references),
        "references": references,
        "eis_low": [None] * len(references),
        "eis_high": [None] * len(references),
        "gender": [None] * len(references),
        "answers": {"0": {"esc": esc}},
    } | changes


A, B = ("x-loso-a", [0, 0, 1]), ("x-loso-b", [0, 1, 1])  # folds and their references


def test_folds_are_scored_together_and_their_own_rates_give_the_interval():
    (row,) = summarise([answered(A[0], [0, 0, 0], A[1]), answered(B[0], [0, 1, 1], B[1])])
    assert {name: row[name] for name in ("corpus", "protocol", "known", "folds", "seeds", "utterances")} == {
        "corpus": "x", "protocol": "loso", "known": 0, "folds": 2, "seeds": 1, "utterances": 6,
    }  # fmt: skip
    assert row["uar"] == pytest.approx((3 / 3 + 2 / 3) / 2)  # the mean of the folds' own 1/2 and 1 would be 3/4
    assert row["wa"] == pytest.approx(5 / 6)
    # 3/4, and t of one degree of freedom at 0.975, 12.706, by the standard error of 1/2 and 1, 1/4
    assert (row["uar_low"], row["uar_high"]) == pytest.approx((0.75 - 3.1766, 0.75 + 3.1766), abs=1e-4)
    assert "eis_ccc" not in row and "gender_uar" not in row


def test_open_answers_are_scored_where_the_label_lies_in_one_basic_class():
    part = answered(*A, A[1], basic=[0, 3, None])
    part["answers"]["0"]["basic"] = [0, 6, 1]
    (row,) = summarise([part])
    assert row["open_uar"] == pytest.approx(1 / 2) and row["uar"] == 1


def with_logits(part: dict, confidence: float) -> dict:
    """Add logits with which each predicted class of a fold has this probability."""
    part["label_space"] = {"angry": ["angry"], "sad": ["sad"]}
    for answer in part["answers"].values():
        names = [part["classes"][index] for index in answer["esc"]]
        gap = np.log(confidence / (1 - confidence))
        answer["logits"] = [
            [gap if label == name else 0.0 if label in part["label_space"] else -100.0 for label in ESC_LABELS]
            for name in names
        ]
    return part


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy():
    part = with_logits(answered(*A, [0, 1, 1]), 0.9)  # the second of three is wrong
    (row,) = summarise([part])
    assert row["ece"] == pytest.approx(0.9 - 2 / 3) and "calibrated_ece" not in row
    assert "ece" not in summarise([answered(*A, A[1])])[0]
    alone = with_logits(answered(A[0], [0, 0, 0], [0, 0, 0], classes=["angry"]), 0.9)
    assert "ece" not in summarise([alone | {"label_space": {"angry": ["angry"]}}])[0]


def test_the_temperature_of_a_corpus_never_heard_is_fitted_on_the_others():
    """The others are right in three of four predictions with confidence 0.9; the temperature makes that 0.75."""
    right, wrong = [0, 0, 1, 1], [0, 0, 1, 0]
    results = [
        with_logits(
            answered(f"{corpus}-cross-corpus", wrong, right, seed, corpus=corpus, protocol="cross-corpus"), 0.9
        )
        for corpus in "yz"
        for seed in (0, 1)
    ]
    heard = answered("x-cross-corpus", [0, 0, 0, 0], [0, 0, 1, 1], protocol="cross-corpus")
    rows = {row["corpus"]: row for row in summarise([*results, with_logits(heard, 0.9)])}
    assert rows["x"]["ece"] == pytest.approx(0.9 - 0.5)
    assert rows["x"]["calibrated_ece"] == pytest.approx(0.75 - 0.5, abs=0.01)
    assert rows["y"]["ece"] == pytest.approx(0.9 - 0.75)
    # A gap of ln 9 for a probability of 0.9, and of ln 3 for 0.75
    assert rows["x"]["temperature"] == pytest.approx(np.log(9) / np.log(3), abs=0.02)
    notes = summary_table(list(rows.values())).splitlines()
    assert any(re.fullmatch(r"temperatures with 0 known utterances: \d\.\d\d to \d\.\d\d\.", line) for line in notes)
    others = {row["corpus"]: row for row in summarise(results)}
    assert others["y"]["calibrated_ece"] == pytest.approx(0, abs=0.01)
    assert "calibrated_ece" not in summarise(results[:2])[0]


def test_the_order_of_two_intensities_is_scored_within_a_rendition():
    strong = {"eis_low": [0.25, 0.75, 0.75], "eis_high": [0.25, 0.75, 0.75], "renditions": ["a", "a", "b"]}
    part = answered(*A, A[1], **strong)
    part["answers"]["0"] |= {"eis": [0.4, 0.6, 0.1], "gender": [0, 0, 0]}
    assert summarise([part])[0]["eis_order"] == 1
    part["answers"]["0"] |= {"eis": [0.6, 0.4, 0.1]}
    assert summarise([part])[0]["eis_order"] == 0


def test_a_score_is_the_mean_over_seeds():
    results = [
        answered(A[0], [0, 0, 0], A[1], seed=0), answered(B[0], [0, 1, 1], B[1], seed=0),
        answered(A[0], [0, 0, 1], A[1], seed=1), answered(B[0], [0, 1, 1], B[1], seed=1),
    ]  # fmt: skip
    (row,) = summarise(results)
    assert (row["folds"], row["seeds"], row["utterances"]) == (2, 2, 6)
    assert row["uar"] == pytest.approx((5 / 6 + 1) / 2)
    # fold a: 1/2 and 1, mean 3/4; fold b: 1
    assert (row["uar_low"] + row["uar_high"]) / 2 == pytest.approx((3 / 4 + 1) / 2)


def test_with_one_fold_the_interval_is_that_of_the_seeds_and_with_one_of_both_there_is_none():
    results = [answered(A[0], [0, 0, 0], A[1], seed=0), answered(A[0], [0, 0, 1], A[1], seed=1)]
    (row,) = summarise(results)
    assert (row["uar_low"], row["uar_high"]) == pytest.approx((0.75 - 3.1766, 0.75 + 3.1766), abs=1e-4)
    (row,) = summarise(results[:1])
    assert row["uar"] == 0.5 and row["uar_low"] is row["uar_high"] is None  # JSON has no NaN


def test_seeds_of_unlike_folds_are_not_averaged():
    results = [answered(*A, A[1], seed=0), answered(*B, B[1], seed=0), answered(*A, A[1], seed=1)]
    with pytest.raises(
        ValueError, match="every seed must have the same folds; got no result of 'x-loso-b' with seed 1"
    ):
        summarise(results)


def test_intensity_and_gender_are_scored_where_they_are_labelled():
    labels = {"eis_low": [0.0, 0.25, None], "eis_high": [0.0, 0.75, None], "gender": [0, 1, None]}
    answers = {"esc": [0, 0, 1], "eis": [0.0, 0.5, 0.3], "gender": [0, 0, 1]}
    (row,) = summarise([answered(*A, A[1], **labels, answers={"0": answers})])
    assert row["eis_ccc"] == pytest.approx(1)
    assert row["eis_mae"] == pytest.approx(0)
    assert row["gender_uar"] == 0.5
    assert "phoneme_per" not in row  # heads do not predict phonemes
    heard = {"phonemes": [["a", "b"], ["a", "b"], None], "heard_phonemes": [["a"], ["a", "b"], ["c"]]}
    (row,) = summarise([answered(*A, A[1], **labels, **heard, answers={"0": answers})])
    assert row["phoneme_per"] == 0.25


def test_each_number_of_known_utterances_and_each_corpus_has_its_row_all_last():
    answers = {known: {"esc": [0, 0, int(known != "0")]} for known in ("-1", "20", "5", "0")}
    results = [answered(*A, A[1], answers=answers), answered("y-loso-c", [1, 0, 0], [1, 0, 0], corpus="y")]
    rows = summarise(results)
    assert [(row["corpus"], row["known"]) for row in rows] == [("x", 0), ("x", 5), ("x", 20), ("x", -1), ("y", 0)]
    assert [row["uar"] for row in rows] == [0.5, 1, 1, 1, 1]


def test_speakers_that_training_has_heard_are_named():
    heard = [answered(*A, A[1], audit={"shared_speakers": ["x/b", "x/a"]}),
             answered(*B, B[1], audit={"shared_speakers": ["x/c", "x/a"]})]  # fmt: skip
    (row,) = summarise(heard)
    assert row["shared_speakers"] == ["x/a", "x/b", "x/c"]
    many = summarise([answered(*A, A[1], audit={"shared_speakers": [f"x/{n:02}" for n in range(12)]})])
    assert summary_table([row]).splitlines()[-1] == "x: x/a, x/b, x/c"
    assert summary_table(many).splitlines()[-1].endswith(", x/09, …")


def test_who_is_not_counted_is_said_under_the_table():
    uncounted = "speakers that the checkpoint base was trained on"
    (row,) = summarise([answered(*A, A[1], audit={"shared_speakers": [], "not_counted": uncounted})])
    assert row["not_counted"] == uncounted
    assert summary_table([row]).splitlines()[-1] == f"x: shared does not count {uncounted}."


def test_the_summary_is_a_table():
    rows = [
        {"corpus": "x", "protocol": "loso", "known": 0, "folds": 9, "seeds": 3, "utterances": 6, "uar": 0.7049,
         "uar_low": 0.65, "uar_high": 0.7551, "open_uar": 0.612, "wa": 0.8, "ece": 0.093, "calibrated_ece": 0.041,
         "eis_order": 0.85, "eis_ccc": 0.51249, "eis_mae": 0.1, "gender_uar": 0.999,
         "phoneme_per": 0.25, "shared_speakers": []},
        {"corpus": "x", "protocol": "loso", "known": -1, "folds": 1, "seeds": 1, "utterances": 6, "uar": 0.5,
         "uar_low": None, "uar_high": None, "wa": 0.25, "shared_speakers": []},
    ]  # fmt: skip
    assert summary_table(rows).splitlines() == [
        "| corpus | protocol | known | folds × seeds | UAR (%) | 95 % of folds | open UAR (%) | WA (%) | ECE (%) "
        "| calibrated ECE (%) | EIS CCC | EIS order (%) | PER (%) | gender UAR (%) | shared |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        "| x | loso | 0 | 9 × 3 | 70.5 | 65.0 to 75.5 | 61.2 | 80.0 | 9.3 | 4.1 | 0.512 | 85.0 | 25.0 | 99.9 | 0 |",
        "| x | loso | all | 1 × 1 | 50.0 |  |  | 25.0 |  |  |  |  |  |  | 0 |",
        "",
        "known: unlabelled enrolment utterances of each test speaker (or of the corpus, see known_of). "
        "open: all seven basic classes are allowed. calibrated: with a temperature fitted on the other test corpora. "
        "order: of two renditions of a text and an emotion by one speaker, the stronger one has the higher intensity. "
        "shared: test speakers in the training data.",
    ]


def test_the_difference_is_over_all_folds_of_a_seed():
    first = [answered(A[0], [0, 0, 0], A[1]), answered(B[0], [0, 1, 1], B[1])]
    second = [answered(B[0], [0, 1, 1], B[1]), answered(A[0], [0, 0, 1], A[1])]  # in another order
    (found,) = compare(first, second)
    assert {name: found[name] for name in ("corpus", "protocol", "known", "seed")} == {
        "corpus": "x", "protocol": "loso", "known": 0, "seed": 0,
    }  # fmt: skip
    assert found["difference"] == pytest.approx(1 / 6)  # the second run gains one of three
    assert found["low"] <= found["difference"] <= found["high"] and 0 < found["p"] <= 1
    (back,) = compare(second, first)
    assert back["difference"] == pytest.approx(-1 / 6)


def test_only_what_both_have_is_compared():
    both = {"0": {"esc": A[1]}, "5": {"esc": A[1]}}
    first = [answered(*A, A[1], seed=seed, answers=both | {"-1": {"esc": A[1]}}) for seed in (0, 1)]
    second = [answered(*A, [0, 0, 0], seed=seed, answers=both) for seed in (1, 2)]
    second.append(answered(B[0], [0, 0, 0], B[1], seed=1))
    assert [(row["seed"], row["known"], row["difference"]) for row in compare(first, second)] == [(1, 0, 0), (1, 5, 0)]


def test_what_cannot_be_compared_is_refused():
    first = [answered(*A, A[1])]
    with pytest.raises(ValueError, match="compare: experiments must have a fold and a seed in common; got none"):
        compare(first, [answered(*B, B[1])])
    for change in ({"ids": ["other"] * 3}, {"classes": ["sad", "angry"]}):
        with pytest.raises(
            ValueError, match="both must have the same utterances and classes; got others in 'x-loso-a'"
        ):
            compare(first, [answered(*A, A[1], **change)])


def test_differences_are_a_table():
    rows = [
        {"corpus": "x", "protocol": "loso", "known": -1, "seed": 2, "difference": 0.0349, "low": -0.001, "high": 0.0714,
         "p": 0.05432},
    ]  # fmt: skip
    assert comparison_table(rows).splitlines() == [
        "| corpus | protocol | known | seed | points of UAR | 95 % | p |",
        "|---|---|---:|---:|---:|---:|---:|",
        "| x | loso | all | 2 | +3.5 | -0.1 to +7.1 | 0.0543 |",
    ]


def test_the_results_of_a_folder_are_those_of_its_folds(tmp_path):
    for seed in (1, 0):
        (tmp_path / f"x-loso-a-seed{seed}.json").write_text(json.dumps({"seed": seed}))
    for name in ("recipe.json", "results.json", "x-loso-b-seed0.partial"):
        (tmp_path / name).write_text("{}")
    assert read_results(tmp_path) == [{"seed": 0}, {"seed": 1}]
    with pytest.raises(FileNotFoundError, match="results: folder must have results of an experiment; got none in"):
        read_results(tmp_path / "no")
