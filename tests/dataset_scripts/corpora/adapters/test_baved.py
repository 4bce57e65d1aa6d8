"""BAVED: levels of emotion without a category."""

from collections import Counter
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.corpora.adapters import baved
from speecheq.dataset_scripts.corpora.records import NativeRecord
from speecheq.dataset_scripts.metric import table as metric


def test_a_name_gives_speaker_gender_age_word_and_level_but_no_label(tmp_path):
    records, skipped = split(baved.records(touch(tmp_path, "3/47-m-20-3-2-1023.wav")))

    assert records["47-m-20-3-2-1023.wav"] == NativeRecord(
        path=tmp_path / "3/47-m-20-3-2-1023.wav",
        speaker="47",
        language="ar",
        level="2",
        gender="male",
        age=20.0,
        text="الفِيلْم",
    )
    assert skipped == {}


@pytest.mark.parametrize(("level", "interval"), [("0", (0.0, 0.375)), ("1", (0.0, 0.0)), ("2", (0.625, 1.0))])
def test_a_level_alone_gives_the_intensity_and_no_class(level, interval):
    row = rows.describe("baved", baved.record(Path(f"0/1-m-20-0-{level}-7.wav")), baved.LICENSE)

    assert (row["eis_low"], row["eis_high"]) == interval
    assert (row["native_label"], row["native_level"], row["esc"], row["esc_votes"]) == (None, level, None, None)
    assert metric.label_space("baved") == {}


def test_a_file_in_the_folder_of_another_word_has_no_transcript():
    assert baved.record(Path("0/49-m-23-6-1-201.wav")).text is None
    assert baved.record(Path("wav/49-m-23-6-1-201.wav")).text == "سَيِّئ"


def test_speaker_53_is_speaker_46_recorded_once():
    assert baved.record(Path("0/53-m-20-0-0-209.wav")).speaker == "46"


@pytest.mark.parametrize("name", ["47-m-20-7-2-1.wav", "47-m-20-3-3-1.wav", "47-x-20-3-2-1.wav", "47-m-20-3-2.wav"])
def test_another_name_is_skipped_with_its_reason(tmp_path, name):
    records, skipped = split(baved.records(touch(tmp_path, name)))

    assert records == {}
    assert skipped == {name: f"baved: name must be like 47-m-20-3-2-1023; got '{name}'."}


@pytest.mark.corpora
def test_the_real_corpus_is_read_whole(corpora):
    records, skipped = split(baved.records(corpora / "baved"))

    assert skipped == {}
    assert len(records) == 1935
    assert sum(item.text is None for item in records.values()) == 1
    assert Counter(gender for _, gender in {(item.speaker, item.gender) for item in records.values()}) == {
        "male": 43,
        "female": 16,
    }
