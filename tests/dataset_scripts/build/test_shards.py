import hashlib

import pyarrow.parquet as pq
import pytest

from speecheq.dataset_scripts.build import shards
from speecheq.dataset_scripts.build.audio import Clip, Preparation, Source
from speecheq.dataset_scripts.build.rows import FEATURES
from speecheq.dataset_scripts.build.spool import Spool


def spool_of(tmp_path, number: int) -> Spool:
    empty = dict.fromkeys(set(FEATURES) - {"audio", "duration", "split"})
    spool = Spool(tmp_path, Preparation())
    for place in range(number):
        path = tmp_path / f"{place}.wav"
        path.touch()
        row = {**empty, "id": f"c/{place}", "corpus": "c", "language": "en", "speaker_id": "c/1", "text": "Yes."}
        spool.add({**row, "eis_low": 0.5 if place % 2 else None}, Source(str(path)))
    clips = [identity for batch in spool.unconverted() for _, identity in batch]
    spool.keep({identity: Clip(bytes(1000), 1600, hashlib.sha256(bytes(1000)).hexdigest(), b"") for identity in clips})
    spool.assign({"c/1": "train"})
    return spool


def test_a_large_split_becomes_shards_of_even_size(tmp_path):
    (tmp_path / "out").mkdir()
    with spool_of(tmp_path, 25) as spool:
        counts = shards.write_split(tmp_path / "out", "train", spool, shard_samples=16_000)
        order = [row["id"] for row, _ in spool.rows("train")]

    paths = sorted((tmp_path / "out").iterdir())
    assert [path.name for path in paths] == [f"train-0000{place}-of-00003.parquet" for place in range(3)]
    tables = [pq.read_table(path) for path in paths]
    assert [table.num_rows for table in tables] == [8, 8, 9]
    assert [name for table in tables for name in table.column("id").to_pylist()] == order
    assert counts["arrow_bytes"] == pytest.approx(sum(table.nbytes for table in tables), abs=100)


def test_counts_say_what_the_rows_hold(tmp_path):
    with spool_of(tmp_path, 5) as spool:
        counts = shards.write_split(tmp_path, "train", spool)

        assert counts.pop("arrow_bytes") > 5000
        assert counts == {
            "with_text": 5,
            "phonemised": 5,
            "with_intensity": 2,
            "languages": ["en"],
            "symbols": {"j": 5, "ɛ": 5, "s": 5},
        }
        assert shards.write_split(tmp_path, "test", spool) is None
    assert not list(tmp_path.glob("test*"))
