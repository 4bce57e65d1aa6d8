"""MEAD in its official layout: the audio folders of the speakers, videos passed over."""

from pathlib import Path

import pytest
from samples import touch

from speecheq.dataset_scripts.corpora.adapters import mead
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped
from speecheq.dataset_scripts.metric import table as metric

GOOD = "M003/audio/angry/level_1/001.m4a"


def split(found) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    found = list(found)
    records = {item.name: item for item in found if isinstance(item, NativeRecord)}
    return records, {item.path.as_posix(): item.reason for item in found if isinstance(item, Skipped)}


def test_a_path_gives_speaker_emotion_and_level(tmp_path):
    records, skipped = split(mead.records(touch(tmp_path, GOOD)))

    assert records["M003_angry_level_1_001"] == NativeRecord(
        path=tmp_path / GOOD,
        name="M003_angry_level_1_001",
        speaker="M003",
        language="en",
        label="angry",
        level="level_1",
        gender="male",
    )
    assert skipped == {}


def test_numbers_that_repeat_in_every_folder_name_different_utterances(tmp_path):
    touch(
        tmp_path,
        GOOD,
        "M003/audio/angry/level_2/001.m4a",
        "M003/audio/happy/level_1/001.m4a",
        "W009/audio/angry/level_1/001.m4a",
    )

    records, _ = split(mead.records(tmp_path))

    assert set(records) == {
        "M003_angry_level_1_001",
        "M003_angry_level_2_001",
        "M003_happy_level_1_001",
        "W009_angry_level_1_001",
    }


def test_m_is_a_man_and_w_a_woman(tmp_path):
    records, _ = split(mead.records(touch(tmp_path, GOOD, "W009/audio/sad/level_3/030.m4a")))

    assert {item.speaker: item.gender for item in records.values()} == {"M003": "male", "W009": "female"}


def test_neutral_has_the_first_level_alone(tmp_path):
    touch(tmp_path, "W009/audio/neutral/level_1/040.m4a", "W009/audio/neutral/level_2/001.m4a")

    records, skipped = split(mead.records(tmp_path))

    assert set(records) == {"W009_neutral_level_1_040"}
    assert list(skipped.values()) == [
        "mead: level of neutral must be level_1; got 'level_2' in 'W009/neutral/level_2/001.m4a'."
    ]


def test_videos_of_the_same_recordings_are_passed_over(tmp_path):
    touch(tmp_path, GOOD, "M003/video/front/angry/level_1/001.mp4", "M003/Video/down/angry/level_1/001.mp4")

    records, skipped = split(mead.records(tmp_path))

    assert set(records) == {"M003_angry_level_1_001"}
    assert skipped == {}


def test_videos_alone_say_which_archive_is_still_packed(tmp_path):
    touch(tmp_path, "M003/video/front/angry/level_1/001.mp4")

    with pytest.raises(CorpusError, match=r"got videos alone in .*Unpack the audio.tar of each speaker"):
        list(mead.records(tmp_path))


@pytest.mark.parametrize(
    "name", ["MEAD/m003/Audio/Angry/Level_1/001.M4A", "MEAD/Part0/M003/audio/angry/level_1/001.wav"]
)
def test_mirrors_of_other_case_suffix_and_outer_folders_give_the_same_names(tmp_path, name):
    records, skipped = split(mead.records(touch(tmp_path, name)))

    assert records["M003_angry_level_1_001"].label == "angry"
    assert records["M003_angry_level_1_001"].level == "level_1"
    assert records["M003_angry_level_1_001"].speaker == "M003"
    assert skipped == {}


@pytest.mark.parametrize(
    "path",
    [
        "X003/audio/angry/level_1/001.m4a",
        "M003/audio/angry/001.m4a",
        "M003/audio/angry/level_one/001.m4a",
        "M003/audio/angry/level_1/notes.m4a",
        "M003/sound/angry/level_1/001.m4a",
    ],
)
def test_what_does_not_fit_is_skipped(tmp_path, path):
    touch(tmp_path, path, GOOD)

    records, skipped = split(mead.records(tmp_path))

    assert set(records) == {"M003_angry_level_1_001"}
    assert "path must end like M003/audio/angry/level_1/001; got" in skipped[(tmp_path / path).as_posix()]


@pytest.mark.parametrize(
    ("path", "interval"),
    [
        ("M003/audio/fear/level_1/001.m4a", (0.125, 0.375)),
        ("M003/audio/fear/level_2/001.m4a", (0.375, 0.625)),
        ("M003/audio/fear/level_3/001.m4a", (0.625, 1.0)),
        ("M003/audio/neutral/level_1/001.m4a", (0.0, 0.0)),
    ],
)
def test_the_level_gives_an_emotion_its_intensity_and_neutral_none(path, interval):
    assert metric.intensity("mead", mead.record(Path(path))) == interval


def test_every_label_is_in_the_table():
    assert metric.label_space("mead") == {
        "angry": ["angry"],
        "contempt": ["contempt"],
        "disgusted": ["disgust"],
        "fear": ["fear"],
        "happy": ["happy"],
        "neutral": ["neutral"],
        "sad": ["sad"],
        "surprised": ["surprise"],
    }
    eis = {native: metric.table_row("mead", "label", native).eis for native in metric.label_space("mead")}
    assert eis.pop("neutral") == (0.0, 0.0)
    assert set(eis.values()) == {"level"}


def test_it_is_not_passed_on():
    assert mead.REDISTRIBUTABLE is False


def test_an_empty_download_says_what_is_missing(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        list(mead.records(tmp_path))
