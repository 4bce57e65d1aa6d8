"""EmoDB: `wav/03a01Fa.wav`, and the tables of version 2.0."""

from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import emodb
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric


def read(folder: Path) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    return split(emodb.records(folder))


def test_a_name_gives_speaker_gender_age_text_and_emotion(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav", "wav/16b10Wb.WAV")

    records, skipped = read(tmp_path)

    assert records["03a01Fa.wav"] == NativeRecord(
        path=tmp_path / "wav/03a01Fa.wav",
        speaker="03",
        language="de",
        label="F",
        gender="male",
        age=31.0,
        text="Der Lappen liegt auf dem Eisschrank.",
    )
    assert records["16b10Wb.WAV"] == NativeRecord(
        path=tmp_path / "wav/16b10Wb.WAV",
        speaker="16",
        language="de",
        label="W",
        gender="female",
        age=31.0,
        text="Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
    )
    assert skipped == {}


def test_the_speakers_are_the_documented_ten():
    genders = {number: person.gender for number, person in emodb.SPEAKERS.items()}
    ages = {number: person.age for number, person in emodb.SPEAKERS.items()}

    assert [number for number, gender in genders.items() if gender == "male"] == ["03", "10", "11", "12", "15"]
    assert [number for number, gender in genders.items() if gender == "female"] == ["08", "09", "13", "14", "16"]
    assert ages == {
        "03": 31,
        "08": 34,
        "09": 21,
        "10": 32,
        "11": 26,
        "12": 30,
        "13": 32,
        "14": 35,
        "15": 25,
        "16": 31,
    }


def test_there_are_ten_texts_not_numbered_through():
    assert list(emodb.TEXTS) == ["a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10"]


def test_a_name_may_lack_its_version(tmp_path):
    touch(tmp_path, "08b03N.wav")

    records, _ = read(tmp_path)

    assert records["08b03N.wav"].label == "N"


def test_version_2_gives_the_published_part_of_each_file(tmp_path):
    folder = tmp_path / "emodb"
    touch(folder, "wav/03a01Fa.wav", "wav/12a01Wc.wav", "wav/16a07Ta.wav", "wav/09b03Ed.wav")
    header = "file,emotion,emotion.confidence\n"
    (folder / "db.files.csv").write_text("file,duration,speaker,transcription\nwav/03a01Fa.wav,1,3,a01\n")
    (folder / "db.emotion.csv").write_text(header + "wav/09b03Ed.wav,disgust,1.0\n")
    for table, line in [
        ("train.gold_standard", "wav/03a01Fa.wav,happiness,0.9"),
        ("test.gold_standard", "wav/12a01Wc.wav,anger,0.95"),
        ("ambiguous", "wav/16a07Ta.wav,sadness,0.4"),
    ]:
        (folder / f"db.emotion.categories.{table}.csv").write_text(f"{header}{line}\n")

    records, skipped = read(tmp_path)

    assert {name: item.official_split for name, item in records.items()} == {
        "03a01Fa.wav": "train",
        "12a01Wc.wav": "test",
        "16a07Ta.wav": "ambiguous",
        "09b03Ed.wav": None,
    }
    assert skipped == {}


def test_a_row_of_version_2_without_audio_is_reported(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav")
    (tmp_path / "db.emotion.categories.train.gold_standard.csv").write_text("file\nwav/03a01Fa.wav\nwav/03a01Nc.wav\n")

    records, skipped = read(tmp_path)

    assert set(records) == {"03a01Fa.wav"}
    assert skipped == {
        "03a01Nc": "db.emotion.categories: audio file must exist; got none for row '03a01Nc'.",
    }


def test_a_table_of_version_2_without_its_column_is_refused(tmp_path):
    touch(tmp_path, "wav/03a01Fa.wav")
    (tmp_path / "db.emotion.categories.train.gold_standard.csv").write_text("emotion\nanger\n")

    with pytest.raises(CorpusError, match=r"header must hold file; got emotion in 'db.emotion.categories.train"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("03a01.wav", "name must be like 03a01Fa; got '03a01.wav'"),
        ("03a01Fab.wav", "name must be like 03a01Fa"),
        ("07a01Fa.wav", "speaker must be one of 03, 08, 09, 10, 11, 12, 13, 14, 15, 16; got '07'"),
        ("03a03Fa.wav", "text must be one of a01, a02, a04, a05, a07, b01, b02, b03, b09, b10; got 'a03'"),
    ],
)
def test_what_does_not_fit_is_skipped(tmp_path, name, reason):
    touch(tmp_path, name, "14a02La.wav")

    records, skipped = read(tmp_path)

    assert set(records) == {"14a02La.wav"}
    assert reason in skipped[name]


def test_an_empty_download_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        read(tmp_path)


def test_every_documented_letter_is_in_the_table():
    assert metric.label_space("emodb") == {
        "W": ["angry"],
        "L": ["bored"],
        "E": ["disgust"],
        "A": ["fear"],
        "F": ["happy"],
        "T": ["sad"],
        "N": ["neutral"],
    }
    assert metric.table_row("emodb", "label", "N").eis == (0.0, 0.0)
    assert metric.table_row("emodb", "label", "W").eis is None
