"""SUBESCO: `F_02_MONIKA_S_1_NEUTRAL_5.wav`."""

from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import subesco
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric


def read(folder: Path) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    return split(subesco.records(folder))


def test_a_name_gives_speaker_sentence_and_emotion(tmp_path):
    touch(tmp_path, "F_02_MONIKA_S_1_NEUTRAL_5.wav", "M_06_SHUKANTO_S_10_SURPRISE_1.WAV")

    records, skipped = read(tmp_path)

    assert records["F_02_MONIKA_S_1_NEUTRAL_5.wav"] == NativeRecord(
        path=tmp_path / "F_02_MONIKA_S_1_NEUTRAL_5.wav",
        speaker="F_02",
        language="bn",
        label="NEUTRAL",
        gender="female",
        text="মৌমাছির চাক দেখে কুকুরটি ঘেউঘেউ করছে",
    )
    assert records["M_06_SHUKANTO_S_10_SURPRISE_1.WAV"] == NativeRecord(
        path=tmp_path / "M_06_SHUKANTO_S_10_SURPRISE_1.WAV",
        speaker="M_06",
        language="bn",
        label="SURPRISE",
        gender="male",
        text="ডাকাতেরা ঢাল তলোয়ার নিয়ে এল",
    )
    assert skipped == {}


def test_a_woman_and_a_man_of_one_number_are_two_speakers(tmp_path):
    touch(tmp_path, "F_10_FAHMEE_S_6_FEAR_5.wav", "M_10_EVAN_S_8_DISGUST_2.wav")

    records, _ = read(tmp_path)

    assert {item.speaker for item in records.values()} == {"F_10", "M_10"}


def test_there_are_ten_sentences():
    assert list(subesco.SENTENCES) == ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"]
    assert len(set(subesco.SENTENCES.values())) == 10


def test_small_letters_are_read_alike(tmp_path):
    touch(tmp_path, "subesco/f_01_oishi_s_4_disgust_3.wav")

    records, _ = read(tmp_path)

    found = records["f_01_oishi_s_4_disgust_3.wav"]
    assert (found.speaker, found.label, found.gender) == ("F_01", "DISGUST", "female")
    assert found.text == "তোমাকে এখনি আমার সাথে যেতে হবে"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "F_02_MONIKA_S_1_NEUTRAL.wav",
            "name must be like F_02_MONIKA_S_1_NEUTRAL_5; got 'F_02_MONIKA_S_1_NEUTRAL.wav'",
        ),
        ("X_02_MONIKA_S_1_NEUTRAL_5.wav", "name must be like"),
        ("F_02_MONIKA_S_11_NEUTRAL_5.wav", "text must be one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10; got '11'"),
    ],
)
def test_what_does_not_fit_is_skipped(tmp_path, name, reason):
    touch(tmp_path, name, "F_03_SMITA_S_7_HAPPY_3.wav")

    records, skipped = read(tmp_path)

    assert set(records) == {"F_03_SMITA_S_7_HAPPY_3.wav"}
    assert reason in skipped[name]


def test_an_empty_download_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        read(tmp_path)


def test_every_documented_emotion_is_in_the_table():
    assert metric.label_space("subesco") == {
        "ANGRY": ["angry"],
        "DISGUST": ["disgust"],
        "FEAR": ["fear"],
        "HAPPY": ["happy"],
        "NEUTRAL": ["neutral"],
        "SAD": ["sad"],
        "SURPRISE": ["surprise"],
    }
    assert metric.table_row("subesco", "label", "NEUTRAL").eis == (0.0, 0.0)
    assert metric.table_row("subesco", "label", "SAD").eis is None


def test_a_typing_slip_in_a_name_costs_no_recording(tmp_path):
    records, skipped = split(subesco.records(touch(tmp_path, "F_02_MONIKA_S_2_SURPRISE_3].wav")))

    record = records["F_02_MONIKA_S_2_SURPRISE_3].wav"]
    assert (record.speaker, record.label, record.text) == ("F_02", "SURPRISE", "তুমি সব উলটপালট করে দিয়েছ")
    assert skipped == {}
