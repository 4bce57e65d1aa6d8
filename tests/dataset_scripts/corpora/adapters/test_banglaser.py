"""BanglaSER and its extension: one form of names, two sets of codes."""

from collections import Counter
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import banglaser, banglaser_ext, ravdess
from speecheq.dataset_scripts.corpora.records import NativeRecord
from speecheq.dataset_scripts.metric import table as metric


def test_a_name_gives_emotion_level_sentence_and_actor(tmp_path):
    records, skipped = split(banglaser.records(touch(tmp_path, "03-01-04-02-03-01-15.wav")))

    assert records["03-01-04-02-03-01-15.wav"] == NativeRecord(
        path=tmp_path / "03-01-04-02-03-01-15.wav",
        speaker="15",
        language="bn",
        label="surprise",
        level="strong",
        gender="male",
        text="এ কেমন উপহার",
    )
    assert skipped == {}


def test_the_extension_has_its_own_emotions_levels_and_sentences(tmp_path):
    name = "complete/Actor - 36/03-01-06-01-04-02-36.wav"

    records, skipped = split(banglaser_ext.records(touch(tmp_path, name)))

    assert records["03-01-06-01-04-02-36.wav"] == NativeRecord(
        path=tmp_path / name,
        speaker="36",
        language="bn",
        label="disgust",
        level="mild",
        gender="female",
        text="রাস্তায় এত জ্যাম",
    )
    assert skipped == {}


def test_the_codes_are_not_those_of_ravdess():
    name = Path("03-01-03-01-01-01-01.wav")

    assert (ravdess.record(name).label, banglaser.record(name).label) == ("happy", "angry")


@pytest.mark.parametrize("name", ["01-01-04-02-03-01-15.wav", "03-00-04-02-03-01-15.wav"])
def test_a_slip_in_mode_or_statement_type_costs_no_recording(name):
    assert banglaser.record(Path(name)).label == "surprise"


def test_a_sentence_that_is_not_that_of_the_emotion_gives_no_transcript():
    fear = banglaser_ext.record(Path("Actor - 47/03-01-07-01-04-02-47.wav"))

    assert (fear.label, fear.level, fear.text) == ("fear", "mild", None)
    assert banglaser_ext.record(Path("Actor - 47/03-01-07-01-05-02-47.wav")).text == "বাঘটা এদিকেই তেড়ে আসছে"


@pytest.mark.parametrize(
    ("corpus", "path", "reason"),
    [
        (banglaser, "03-01-06-01-01-01-01.wav", "emotion must be one of 01, 02, 03, 04, 05; got '06'"),
        (banglaser, "03-01-01-03-01-01-01.wav", "level must be one of 01, 02; got '03'"),
        (banglaser, "03-01-01-01-04-01-01.wav", "statement must be one of 01, 02, 03; got '04'"),
        (banglaser, "03-01-01-01-01-01-35.wav", "banglaser: actor must be from 01 to 34 and that of the folder"),
        (banglaser, "Actor_02/03-01-01-01-01-01-01.wav", "actor must be from 01 to 34 and that of the folder"),
        (banglaser, "03-01-01-01-01-01.wav", "banglaser: name must be like 03-01-04-02-03-01-15"),
        (banglaser_ext, "03-01-01-01-01-01-36.wav", "emotion must be one of 06, 07; got '01'"),
        (banglaser_ext, "03-01-06-01-04-01-34.wav", "banglaser_ext: actor must be from 35"),
        (
            banglaser_ext,
            "Actor - 41/03-01-06-01-04-01-40.wav",
            "and that of the folder; got '03-01-06-01-04-01-40.wav'",
        ),
    ],
)
def test_what_a_layout_does_not_document_is_skipped_with_its_reason(tmp_path, corpus, path, reason):
    records, skipped = split(corpus.records(touch(tmp_path, path)))

    assert records == {}
    assert reason in skipped[Path(path).name]


def test_only_banglaser_may_be_passed_on():
    assert (banglaser.LICENSE, banglaser.REDISTRIBUTABLE) == ("CC-BY-4.0", True)
    assert (banglaser_ext.LICENSE, banglaser_ext.REDISTRIBUTABLE) == ("no licence stated", False)


@pytest.mark.parametrize(
    ("corpus", "name", "interval"),
    [
        (banglaser, "03-01-05-01-01-01-01.wav", (0.0, 0.0)),
        (banglaser, "03-01-01-01-01-01-01.wav", (0.125, 0.625)),
        (banglaser, "03-01-03-02-01-01-01.wav", (0.625, 1.0)),
        (banglaser_ext, "03-01-06-01-04-01-35.wav", (0.125, 0.375)),
        (banglaser_ext, "03-01-06-02-04-01-35.wav", (0.375, 0.625)),
        (banglaser_ext, "03-01-07-03-05-01-35.wav", (0.625, 1.0)),
    ],
)
def test_normal_is_an_interval_of_its_own_in_each_layout(corpus, name, interval):
    assert metric.intensity(corpus.CORPUS, corpus.record(Path(name))) == interval


@pytest.mark.corpora
def test_the_real_corpora_are_read_whole(corpora):
    records, skipped = split(banglaser.records(corpora / "banglaser"))
    extended, skipped_extended = split(banglaser_ext.records(corpora / "banglaser_ext"))

    assert (skipped, skipped_extended) == ({}, {})
    assert Counter(item.label for item in records.values()) == {
        "happy": 306,
        "sad": 306,
        "angry": 306,
        "surprise": 306,
        "neutral": 242,
    }
    assert Counter((item.label, item.level) for item in extended.values()) == {
        ("disgust", "mild"): 45,
        ("disgust", "normal"): 45,
        ("disgust", "strong"): 45,
        ("fear", "mild"): 42,
        ("fear", "normal"): 42,
        ("fear", "strong"): 42,
    }
    assert len({item.speaker for item in extended.values()}) == 15
