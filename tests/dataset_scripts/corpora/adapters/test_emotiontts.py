"""EmotionTTS open DB: the number of a file gives its emotion."""

from collections import Counter
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import emotiontts
from speecheq.dataset_scripts.corpora.records import NativeRecord

GOOD = "emotional-to-emotional/nea/wav/nea00101.wav"


def test_a_name_and_its_transcript_give_a_record(tmp_path):
    touch(tmp_path, GOOD, "emotional-to-emotional/nea/transcript/nea00101.txt")
    (tmp_path / "emotional-to-emotional/nea/transcript/nea00101.txt").write_bytes("\ufeff꼭 꿈만 같아.\r\n".encode())

    records, skipped = split(emotiontts.records(tmp_path))

    assert records["nea00101.wav"] == NativeRecord(
        path=tmp_path / GOOD, speaker="nea", language="ko", label="joy", gender="female", text="꼭 꿈만 같아."
    )
    assert skipped == {}


@pytest.mark.parametrize(
    ("number", "label"),
    [
        ("00001", "neutral"),
        ("00100", "neutral"),
        ("00101", "joy"),
        ("00200", "joy"),
        ("00201", "sadness"),
        ("00301", "anger"),
        ("00400", "anger"),
    ],
)
def test_every_hundred_sentences_have_an_emotion(number, label):
    assert emotiontts.record(Path(f"nea/wav/nea{number}.wav")).label == label


def test_a_missing_or_unreadable_transcript_costs_the_transcript_alone(tmp_path):
    touch(tmp_path, GOOD, "emotional-to-emotional/nea/transcript/nea00101.txt")
    assert emotiontts.record(tmp_path / GOOD).text is None

    (tmp_path / "emotional-to-emotional/nea/transcript/nea00101.txt").write_bytes("꼭".encode("cp949"))
    assert emotiontts.record(tmp_path / GOOD).text is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nea00401.wav", "number must be from 00001 to 00400; got 00401"),
        ("nea00000.wav", "number must be from 00001 to 00400; got 00000"),
        ("xyz00001.wav", "speaker must be one of ema, emb, nea"),
        ("nea1.wav", "name must be like nea00101"),
    ],
)
def test_what_the_corpus_does_not_document_is_skipped_with_its_reason(tmp_path, name, reason):
    records, skipped = split(emotiontts.records(touch(tmp_path, name)))

    assert records == {}
    assert reason in skipped[name]


@pytest.mark.corpora
def test_the_real_corpus_is_read_whole(corpora):
    records, skipped = split(emotiontts.records(corpora / "emotiontts"))

    assert skipped == {}
    assert Counter(item.label for item in records.values()) == {"neutral": 75, "joy": 75, "anger": 75, "sadness": 75}
    assert Counter(gender for _, gender in {(item.speaker, item.gender) for item in records.values()}) == {
        "female": 7,
        "male": 8,
    }
    assert all(item.text and not item.text.startswith("\ufeff") for item in records.values())
