"""CSEMOTIONS: rows of Parquet files, read without their audio."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from speecheq.dataset_scripts.corpora import parquet
from speecheq.dataset_scripts.corpora.adapters import csemotions
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped
from speecheq.dataset_scripts.metric import table as metric

LABELS = ("neutral", "happy", "angry", "sad", "surprise", "playfulness", "fearful")


def write_shard(path: Path, rows: Sequence[tuple], drop: str | None = None, **options) -> Path:
    """A Parquet file of rows `(text, emotion, speaker)`, each with two bytes of audio."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {
        "audio": [{"bytes": b"\0\1", "path": f"{number}.wav"} for number in range(len(rows))],
        **dict(zip(("text", "emotion", "speaker"), map(list, zip(*rows, strict=True)), strict=True)),
    }
    pyarrow.parquet.write_table(pyarrow.table({k: v for k, v in columns.items() if k != drop}), path, **options)
    return path


def read(folder: Path) -> tuple[list[NativeRecord], list[Skipped]]:
    found = list(csemotions.records(folder))
    return [item for item in found if isinstance(item, NativeRecord)], [i for i in found if isinstance(i, Skipped)]


def test_a_row_is_an_utterance(tmp_path):
    path = write_shard(tmp_path / "data/train-00000-of-00001.parquet", [("你好。", "happy", "female001")])

    records, skipped = read(tmp_path)

    assert records == [
        NativeRecord(
            path=path,
            parquet_row=0,
            name="train-00000-of-00001_0000",
            speaker="female001",
            language="zh",
            label="happy",
            gender="female",
            text="你好。",
        )
    ]
    assert skipped == []


def test_rows_are_counted_through_row_groups_and_batches_and_shards_have_names_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROWS_AT_ONCE", 2)
    rows = [(f"{number}", "sad", "male002") for number in range(5)]
    for shard in range(2):
        write_shard(tmp_path / f"data/train-0000{shard}-of-00002.parquet", rows, row_group_size=3)

    records, _ = read(tmp_path)

    assert [(record.parquet_row, record.text) for record in records] == [(n, str(n)) for n in range(5)] * 2
    assert len({record.name for record in records}) == 10
    assert records[-1].name == "train-00001-of-00002_0004"


def test_the_audio_column_is_never_read(tmp_path):
    path = write_shard(tmp_path / "train-00000-of-00001.parquet", [("你好。", "happy", "female001")])
    column = pyarrow.parquet.ParquetFile(path).metadata.row_group(0).column(0)
    raw = bytearray(path.read_bytes())
    begin = column.dictionary_page_offset or column.data_page_offset
    raw[begin : begin + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(raw)

    records, skipped = read(tmp_path)

    assert column.path_in_schema == "audio.bytes"
    assert [record.text for record in records] == ["你好。"]
    assert skipped == []


def test_labels_of_the_card_are_read_in_any_case(tmp_path):
    rows = [("好", emotion, "male001") for emotion in ("Playfulness", "FEARFUL", "angry ")]
    write_shard(tmp_path / "train-00000-of-00001.parquet", rows)

    assert [record.label for record in read(tmp_path)[0]] == ["playfulness", "fearful", "angry"]


def test_gender_is_in_the_name_of_the_speaker(tmp_path):
    rows = [("好", "sad", speaker) for speaker in ("female003", "male005", "Male001", "S01")]
    write_shard(tmp_path / "train-00000-of-00001.parquet", rows)

    assert [record.gender for record in read(tmp_path)[0]] == ["female", "male", "male", None]


def test_a_row_without_speaker_or_emotion_is_skipped_and_one_without_text_has_none(tmp_path):
    rows = [("好", "sad", None), ("好", " ", "male001"), (None, "sad", "male001"), ("好", "sad", "male001")]
    write_shard(tmp_path / "train-00000-of-00001.parquet", rows)

    records, skipped = read(tmp_path)

    assert [(record.parquet_row, record.text) for record in records] == [(2, None), (3, "好")]
    assert [item.reason for item in skipped] == [
        "csemotions: speaker must be given; got none in 'train-00000-of-00001.parquet', row 0.",
        "csemotions: emotion must be given; got none in 'train-00000-of-00001.parquet', row 1.",
    ]


def test_a_broken_file_never_costs_the_others(tmp_path):
    good = write_shard(tmp_path / "train-00002-of-00003.parquet", [("好", "sad", "male001")])
    (tmp_path / "train-00000-of-00003.parquet").write_bytes(good.read_bytes()[:-30])
    (tmp_path / "train-00001-of-00003.parquet").touch()
    (tmp_path / "._train-00001-of-00003.parquet").touch()

    records, skipped = read(tmp_path)

    assert [record.path for record in records] == [good]
    assert [item.path.name for item in skipped] == ["train-00000-of-00003.parquet", "train-00001-of-00003.parquet"]
    assert all(item.reason.startswith("csemotions: Parquet file must be readable; got ") for item in skipped)
    assert all(item.reason.endswith("Download it again.") for item in skipped)


@pytest.mark.parametrize("column", ["audio", "text", "emotion", "speaker"])
def test_a_file_without_a_column_is_skipped(tmp_path, column):
    write_shard(tmp_path / "other.parquet", [("好", "sad", "male001")], drop=column)

    records, skipped = read(tmp_path)

    assert records == []
    assert skipped == [
        Skipped(tmp_path / "other.parquet", f"csemotions: columns must hold {column}; got none in 'other.parquet'.")
    ]


def test_a_missing_shard_is_reported_once(tmp_path):
    for shard in (0, 3):
        write_shard(tmp_path / f"data/train-0000{shard}-of-00004.parquet", [("好", "sad", "male001")])

    records, skipped = read(tmp_path)

    assert len(records) == 2
    assert [item.path.name for item in skipped] == ["train-00001-of-00004.parquet", "train-00002-of-00004.parquet"]
    assert skipped[0].reason == (
        "csemotions: shard must exist; got no 'train-00001-of-00004.parquet'. Download it too."
    )


def test_an_empty_download_says_what_is_missing(tmp_path):
    with pytest.raises(CorpusError, match=r"folder must hold Parquet files; got none in .* Download data/"):
        list(csemotions.records(tmp_path))


def test_every_label_of_the_card_is_in_the_metric_table_and_playfulness_is_no_class():
    classes = {label: metric.esc_set("csemotions", label) for label in LABELS}

    assert classes == {
        "neutral": ["neutral"],
        "happy": ["happy"],
        "angry": ["angry"],
        "sad": ["sad"],
        "surprise": ["surprise"],
        "playfulness": None,
        "fearful": ["fear"],
    }
