from pathlib import Path

import pytest

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.build.audio import Clip
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord


def record(**fields) -> NativeRecord:
    return NativeRecord(path=Path("a/x.wav"), speaker="s1", language="da", **fields)


def test_a_record_without_label_level_and_votes_is_refused():
    with pytest.raises(CorpusError, match=r"label, level or votes must be given; got none in 'x.wav'"):
        rows.describe("emotale", record(), "free")


def test_votes_alone_are_enough():
    row = rows.describe("emotale", record(votes=("A",)), "free")

    assert row["esc"] is None
    assert row["esc_votes"] == [{"esc": ["angry"], "weight": 1.0}]


def test_gender_is_female_male_or_missing():
    assert rows.describe("urdu", record(label="A"), "free")["gender"] is None
    with pytest.raises(CorpusError, match=r"gender must be one of female, male or None; got 'F' in 'x.wav'"):
        rows.describe("urdu", record(label="A", gender="F"), "free")


def test_the_terms_of_a_record_win_over_those_of_its_corpus():
    assert rows.describe("urdu", record(label="A"), "free")["license"] == "free"
    assert rows.describe("urdu", record(label="A", license="own"), "free")["license"] == "own"


def test_a_complete_row_has_every_feature_and_no_other():
    clip = Clip(b"fLaC", 8000, "00", b"")
    row = rows.complete(rows.describe("urdu", record(label="A"), "free"), clip, "test")

    assert set(row) == set(rows.FEATURES)
    assert row["duration"] == 0.5
    assert row["audio"] == {"bytes": b"fLaC", "path": "x.flac"}
    assert (row["split"], row["phonemes"], row["speaker_id"], row["id"]) == ("test", None, "urdu/s1", "urdu/x")


def test_a_record_may_name_itself_and_say_its_level_and_published_part():
    given = record(label="happy", level="low", name="s1_x", official_split="dev", fold=3)

    row = rows.describe("synthetic", given, "free")

    assert (row["id"], row["native_level"], row["official_split"], row["fold"]) == ("synthetic/s1_x", "low", "dev", 3)
    assert (row["eis_low"], row["eis_high"]) == (0.125, 0.375)
