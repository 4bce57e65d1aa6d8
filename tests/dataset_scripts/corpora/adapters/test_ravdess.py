"""RAVDESS in its official layout: speech by name, and what lies beside it."""

from collections import Counter
from itertools import product
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import ravdess
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric

GOOD = "Actor_12/03-01-06-01-02-01-12.wav"


def test_a_name_gives_emotion_level_statement_and_actor(tmp_path):
    records, skipped = split(ravdess.records(touch(tmp_path, GOOD)))

    assert records["03-01-06-01-02-01-12.wav"] == NativeRecord(
        path=tmp_path / GOOD,
        speaker="12",
        language="en",
        label="fearful",
        level="normal",
        gender="female",
        text="Dogs are sitting by the door.",
    )
    assert skipped == {}


def test_the_whole_speech_download_is_read(tmp_path):
    for actor, (emotion, level, statement, repetition) in product(
        range(1, 25), product(range(1, 9), (1, 2), (1, 2), (1, 2))
    ):
        if (emotion, level) != (1, 2):
            name = f"03-01-0{emotion}-0{level}-0{statement}-0{repetition}-{actor:02d}.wav"
            touch(tmp_path, f"Audio_Speech_Actors_01-24/Actor_{actor:02d}/{name}")

    records, skipped = split(ravdess.records(tmp_path))

    assert skipped == {}
    assert Counter(item.label for item in records.values()) == {
        "neutral": 96,
        "calm": 192,
        "happy": 192,
        "sad": 192,
        "angry": 192,
        "fearful": 192,
        "disgust": 192,
        "surprised": 192,
    }
    assert Counter(item.level for item in records.values()) == {"normal": 768, "strong": 672}
    assert Counter(item.text for item in records.values()) == {
        "Kids are talking by the door.": 720,
        "Dogs are sitting by the door.": 720,
    }


def test_an_odd_actor_is_a_man_and_an_even_one_a_woman(tmp_path):
    touch(tmp_path, *(f"Actor_{actor:02d}/03-01-03-01-01-01-{actor:02d}.wav" for actor in range(1, 25)))

    records, _ = split(ravdess.records(tmp_path))

    genders = {item.speaker: item.gender for item in records.values()}
    assert {actor for actor, gender in genders.items() if gender == "male"} == {
        *("01", "03", "05", "07", "09", "11", "13", "15", "17", "19", "21", "23")
    }
    assert Counter(genders.values()) == {"male": 12, "female": 12}


def test_song_beside_speech_is_skipped_with_its_reason(tmp_path):
    touch(tmp_path, GOOD, "Audio_Song_Actors_01-24/Actor_12/03-02-06-01-02-01-12.wav")

    records, skipped = split(ravdess.records(tmp_path))

    assert set(records) == {"03-01-06-01-02-01-12.wav"}
    assert skipped == {
        "03-02-06-01-02-01-12.wav": "ravdess: channel must be speech; got song in '03-02-06-01-02-01-12.wav'."
    }


def test_video_beside_audio_is_skipped_with_its_reason(tmp_path):
    touch(tmp_path, GOOD, "Actor_12/01-01-06-01-02-01-12.mp4", "Actor_12/02-01-06-01-02-01-12.mp4")

    records, skipped = split(ravdess.records(tmp_path))

    assert set(records) == {"03-01-06-01-02-01-12.wav"}
    assert skipped == {
        "01-01-06-01-02-01-12.mp4": "ravdess: modality must be audio-only; got full-AV in '01-01-06-01-02-01-12.mp4'. "
        "Its sound is in Audio_Speech_Actors_01-24.zip.",
        "02-01-06-01-02-01-12.mp4": "ravdess: modality must be audio-only; got video-only in "
        "'02-01-06-01-02-01-12.mp4'.",
    }


def test_neutral_was_never_acted_strongly(tmp_path):
    touch(tmp_path, "Actor_01/03-01-01-01-01-01-01.wav", "Actor_01/03-01-01-02-01-01-01.wav")

    records, skipped = split(ravdess.records(tmp_path))

    assert [(item.label, item.level) for item in records.values()] == [("neutral", "normal")]
    assert skipped == {
        "03-01-01-02-01-01-01.wav": "ravdess: level of neutral must be normal; got strong in "
        "'03-01-01-02-01-01-01.wav'."
    }


@pytest.mark.parametrize(
    ("name", "interval"),
    [
        ("03-01-05-01-01-01-01.wav", (0.125, 0.625)),
        ("03-01-05-02-01-01-01.wav", (0.625, 1.0)),
        ("03-01-01-01-01-01-01.wav", (0.0, 0.0)),
        ("03-01-02-01-01-01-01.wav", None),  # calm: a baseline that was acted at two strengths
        ("03-01-02-02-01-01-01.wav", None),
    ],
)
def test_the_level_gives_an_emotion_its_intensity_neutral_none_and_calm_is_missing(name, interval):
    assert metric.intensity("ravdess", ravdess.record(Path("Actor_01") / name)) == interval


def test_every_label_and_level_is_in_the_table():
    assert metric.label_space("ravdess") == {
        "neutral": ["neutral"],
        "calm": ["calm"],
        "happy": ["happy"],
        "sad": ["sad"],
        "angry": ["angry"],
        "fearful": ["fear"],
        "disgust": ["disgust"],
        "surprised": ["surprise"],
    }
    assert set(ravdess.EMOTION.values()) == set(metric.label_space("ravdess"))
    eis = {native: metric.table_row("ravdess", "label", native).eis for native in metric.label_space("ravdess")}
    assert (eis.pop("neutral"), eis.pop("calm")) == ((0.0, 0.0), None)
    assert set(eis.values()) == {"level"}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("Actor_12/03-01-06-01-02-12.wav", "name must be like 03-01-06-01-02-01-12; got '03-01-06-01-02-12.wav'"),
        ("Actor_12/03-01-06-01-02-01-12 (1).wav", "name must be like"),
        ("Actor_12/04-01-06-01-02-01-12.wav", "modality must be one of 01, 02, 03; got '04'"),
        ("Actor_12/03-03-06-01-02-01-12.wav", "channel must be one of 01, 02; got '03'"),
        ("Actor_12/03-01-09-01-02-01-12.wav", "emotion must be one of 01, 02, 03, 04, 05, 06, 07, 08; got '09'"),
        ("Actor_12/03-01-06-03-02-01-12.wav", "level must be one of 01, 02; got '03'"),
        ("Actor_12/03-01-06-01-03-01-12.wav", "statement must be one of 01, 02; got '03'"),
        ("Actor_12/03-01-06-01-02-03-12.wav", "repetition must be one of 01, 02; got '03'"),
        ("Actor_25/03-01-06-01-02-01-25.wav", "actor must be from 01 to 24 and that of the folder; got"),
        ("actor_11/03-01-06-01-01-01-12.wav", "got '03-01-06-01-01-01-12.wav' in 'actor_11'"),
    ],
)
def test_what_does_not_fit_is_skipped(tmp_path, path, reason):
    touch(tmp_path, path, GOOD)

    records, skipped = split(ravdess.records(tmp_path))

    assert set(records) == {"03-01-06-01-02-01-12.wav"}
    assert reason in skipped[Path(path).name]


def test_a_flat_mirror_and_capital_suffixes_are_read(tmp_path):
    records, skipped = split(ravdess.records(touch(tmp_path, "03-01-06-01-02-01-12.WAV")))

    assert records["03-01-06-01-02-01-12.WAV"].speaker == "12"
    assert skipped == {}


def test_its_licence_goes_on_with_a_copy():
    assert (ravdess.LICENSE, ravdess.REDISTRIBUTABLE) == ("CC-BY-NC-SA-4.0", True)


def test_an_empty_download_says_what_is_missing(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        list(ravdess.records(tmp_path))
