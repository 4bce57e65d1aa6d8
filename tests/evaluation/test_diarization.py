"""Claims about scoring a timeline."""

import numpy as np
import pytest
from samples import MINI_SEQD

from speecheq.evaluation import diarization
from speecheq.evaluation.diarization import UTTERANCES, evaluate, strings, table, time_scores
from speecheq.training.seqd import label_spaces, load_seqd


@pytest.fixture(scope="module")
def splits():
    return load_seqd(MINI_SEQD)


def test_a_string_says_where_each_utterance_lies(splits):
    found = strings(splits["test"], number=3)
    assert [string.corpus for string in found] == ["synthetic"] * 3
    assert len({string.segments[0] for string in found}) == 3
    for string in found:
        assert len(string.segments) == UTTERANCES
        before = 0.0
        for start, end, label in string.segments:
            assert 0.2 <= start - before <= 1.0 and end > start
            assert label in label_spaces(splits)["synthetic"]
            pause = string.samples[round(before * 16_000) : round(start * 16_000)]
            spoken = string.samples[round(start * 16_000) : round(end * 16_000)]
            assert not pause.any()
            assert np.abs(spoken[:320]).max() > 0 and np.abs(spoken[-320:]).max() > 0  # no silence at the ends
            before = end
        assert before == len(string.samples) / 16_000
    again = strings(splits["test"], number=3)
    assert all(one.segments == two.segments for one, two in zip(found, again, strict=True))


def test_a_string_may_have_one_speaker(splits):
    rows = splits["test"].map(lambda row: {"native_label": row["speaker_id"]})
    found = [{label for _, _, label in string.segments} for string in strings(rows, number=6, one_speaker=True)]
    assert all(len(speakers) == 1 for speakers in found) and len(set.union(*found)) > 1


def test_a_label_without_a_class_is_in_no_string(splits):
    rows = splits["test"].map(lambda row: {"esc": [], "native_label": "other"} if row["native_label"] == "sad" else {})
    labels = {label for string in strings(rows, number=9) for _, _, label in string.segments}
    assert "angry" in labels and "other" not in labels


@pytest.mark.parametrize(
    ("found", "accuracy", "eder"),
    [
        ([(1.0, 3.0, "angry"), (3.5, 4.5, "neutral")], 1.0, 0.0),
        ([(1.0, 3.0, "happy"), (3.5, 4.5, "neutral")], 1 / 3, 0.4),  # 2 s mistaken of 5
        ([(1.0, 2.0, "angry")], 1 / 3, 0.2),  # 1 s missed; neutral speech has no emotion to miss
        ([(0.0, 5.0, "angry")], 2 / 3, 0.6),  # 3 s of false emotion
        ([], 0.0, 0.4),
    ],
)
def test_time_with_the_right_label_and_time_with_a_wrong_emotion(found, accuracy, eder):
    scores = time_scores(found, [(1.0, 3.0, "angry"), (3.5, 4.5, "neutral")], duration=5.0)
    assert scores == {"accuracy": pytest.approx(accuracy), "eder": pytest.approx(eder)}


def test_what_is_neutral_can_be_named():
    scores = time_scores([(0.0, 1.0, "calm")], [(0.0, 1.0, "none")], duration=1.0, neutral=("calm", "none"))
    assert scores == {"accuracy": 0.0, "eder": 0.0}


def test_one_label_for_a_file_is_scored_on_the_same_segments(splits, monkeypatch):
    known = {string.samples.tobytes(): string for string in strings(splits["test"], number=2)}

    def knowing(samples, sampling_rate, candidate_labels):
        """Return a correct timeline, and the emotion of the first utterance for the whole file."""
        string = known[samples.tobytes()]
        assert sampling_rate == 16_000 and candidate_labels["angry"] == ["angry"]
        timeline = [{"start": start, "end": end, "label": label} for start, end, label in string.segments]
        return {"timeline": timeline, "emotion": [{"label": timeline[0]["label"]}], "duration": len(samples) / 16_000}

    (scores,) = evaluate(knowing, splits["test"], label_spaces(splits), number=2).values()
    assert (scores["accuracy"], scores["eder"]) == (1.0, 0.0)
    assert 0.0 < scores["one_label_accuracy"] < 0.6 and scores["one_label_eder"] > 0.2


def test_the_table_is_in_percent():
    scores = {"x": {"accuracy": 0.5, "one_label_accuracy": 0.25, "eder": 0.125, "one_label_eder": 1.0}}
    assert table(scores).splitlines()[-1] == "| x | 50.0 | 25.0 | 12.5 | 100.0 |"


def test_a_saved_model_is_scored_by_the_command(trained_run, capsys):
    (scores,) = diarization.main(
        [str(trained_run[0]), "--dataset", MINI_SEQD, "--number", "1", "--speaker", "auto"]
    ).values()
    assert set(scores) == {"accuracy", "eder", "one_label_accuracy", "one_label_eder"}
    assert "| synthetic |" in capsys.readouterr().out


def test_a_split_that_is_missing_is_named(one_speaker):
    with pytest.raises(ValueError, match="diarization: dataset must have the split 'test'; got train"):
        diarization.main(["never read", "--dataset", one_speaker])
