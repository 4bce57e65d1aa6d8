"""SAVEE in its official layout and flat: four men, letters for emotions."""

from collections import Counter
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.corpora.adapters import savee
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, UnknownLabelError
from speecheq.dataset_scripts.metric import table as metric


@pytest.mark.parametrize(
    "path", ["AudioData/DC/a01.wav", "ALL/DC_a01.wav", "audiodata/dc/A01.WAV", "AudioData/DC/DC_a01.wav", "DC_a01.wav"]
)
def test_both_layouts_give_the_same_utterance(tmp_path, path):
    records, skipped = split(savee.records(touch(tmp_path, path)), "name")

    assert records == {
        "DC_a01": NativeRecord(
            path=tmp_path / path, name="DC_a01", speaker="DC", language="en", label="a", gender="male"
        )
    }
    assert skipped == {}


def test_the_whole_download_is_read(tmp_path):
    for speaker in ("DC", "JE", "JK", "KL"):
        for emotion, number in {"a": 15, "d": 15, "f": 15, "h": 15, "n": 30, "sa": 15, "su": 15}.items():
            touch(tmp_path / "AudioData" / speaker, *(f"{emotion}{place:02d}.wav" for place in range(1, number + 1)))

    records, skipped = split(savee.records(tmp_path), "name")

    assert skipped == {}
    assert Counter(item.label for item in records.values()) == {
        "a": 60,
        "d": 60,
        "f": 60,
        "h": 60,
        "n": 120,
        "sa": 60,
        "su": 60,
    }
    assert Counter(item.speaker for item in records.values()) == {"DC": 120, "JE": 120, "JK": 120, "KL": 120}
    assert {(item.gender, item.age, item.text) for item in records.values()} == {("male", None, None)}


def test_every_label_is_in_the_table_and_only_neutral_has_an_intensity():
    assert metric.label_space("savee") == {
        "a": ["angry"],
        "d": ["disgust"],
        "f": ["fear"],
        "h": ["happy"],
        "n": ["neutral"],
        "sa": ["sad"],
        "su": ["surprise"],
    }
    eis = {native: metric.table_row("savee", "label", native).eis for native in metric.label_space("savee")}
    assert {native: value for native, value in eis.items() if value is not None} == {"n": (0.0, 0.0)}


def test_a_letter_that_the_corpus_does_not_document_stops_at_the_table(tmp_path):
    records, _ = split(savee.records(touch(tmp_path, "ALL/DC_s01.wav")), "name")

    with pytest.raises(
        UnknownLabelError, match=r"label must be one of a, d, f, h, n, sa, su; got 's' in 'DC_s01.wav'"
    ):
        rows.describe("savee", records["DC_s01"], savee.LICENSE)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("ALL/DC_a1.wav", "name must be like DC_a01 or DC/a01; got 'DC_a1.wav'"),
        ("ALL/DC_a01_copy.wav", "name must be like"),
        ("ALL/a02.wav", "speaker must be in the name or the folder; got 'a02.wav' in 'ALL'"),
        ("ALL/XY_a02.wav", "speaker must be one of dc, je, jk, kl; got 'xy' in 'XY_a02.wav'"),
        ("AudioData/DC/JE_a02.wav", "got 'JE_a02.wav' in 'DC'"),
        ("AudioData/DC/XY_a02.wav", "speaker must be one of dc, je, jk, kl; got 'xy'"),
    ],
)
def test_what_does_not_fit_is_skipped(tmp_path, path, reason):
    touch(tmp_path, path, "ALL/KL_su15.wav")

    records, skipped = split(savee.records(tmp_path), "name")

    assert set(records) == {"KL_su15"}
    assert reason in skipped[Path(path).name]


def test_it_is_not_passed_on():
    assert savee.REDISTRIBUTABLE is False


def test_an_empty_download_says_what_is_missing(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        list(savee.records(tmp_path))
