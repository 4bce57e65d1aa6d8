import hashlib
from pathlib import Path

import pytest

from speecheq.dataset_scripts.build import spool as spools
from speecheq.dataset_scripts.build.audio import Clip, Preparation, Source
from speecheq.dataset_scripts.build.spool import Spool
from speecheq.dataset_scripts.corpora.records import CorpusError


def row(name: str, speaker: str = "c/1", label: str = "A") -> dict:
    return {"id": f"c/{name}", "speaker_id": speaker, "gender": None, "native_label": label, "text": "ja", "age": 27.5}


def clip(name: str) -> Clip:
    return Clip(name.encode(), 1600, hashlib.sha256(name.encode()).hexdigest(), b"\x00" * 32)


@pytest.fixture
def files(tmp_path) -> list[Source]:
    for name in "abcde":
        (tmp_path / f"{name}.wav").write_bytes(name.encode())
    return [Source(str(tmp_path / f"{name}.wav")) for name in "abcde"]


def fill(spool: Spool, files: list[Source]):
    for source in files:
        spool.add(row(Path(source.path).stem), source)


def identities(spool: Spool) -> list[str]:
    return [identity for batch in spool.unconverted() for _, identity in batch]


def test_what_is_converted_stays_for_the_next_run(tmp_path, files):
    with Spool(tmp_path, Preparation()) as spool:
        fill(spool, files)
        first = identities(spool)
        spool.keep({first[0]: clip("a"), first[3]: clip("d")})
        spool.skip("b.wav", "silent")

    with Spool(tmp_path, Preparation()) as spool:
        assert spool.number() == 0
        assert spool.skipped() == []
        fill(spool, files)
        assert identities(spool) == [first[1], first[2], first[4]]
        assert spool.number() == 5
        assert spool.number(converted=True) == 2


def test_a_file_that_changed_and_another_preparation_are_converted_again(tmp_path, files):
    with Spool(tmp_path, Preparation()) as spool:
        fill(spool, files)
        spool.keep({identity: clip("x") for identity in identities(spool)})
    Path(files[2].path).write_bytes(b"another")

    with Spool(tmp_path, Preparation()) as spool:
        fill(spool, files)
        assert [source.path for batch in spool.unconverted() for source, _ in batch] == [files[2].path]
    with Spool(tmp_path, Preparation(trim=True)) as spool:
        fill(spool, files)
        assert len(identities(spool)) == 5


def test_parts_of_one_file_are_utterances_of_their_own(tmp_path, files):
    with Spool(tmp_path, Preparation()) as spool:
        spool.add(row("a1"), files[0]._replace(start=0.0, end=1.0))
        spool.add(row("a2"), files[0]._replace(start=1.0))

        assert len(set(identities(spool))) == 2


def test_an_id_is_taken_once(tmp_path, files):
    with Spool(tmp_path, Preparation()) as spool:
        assert spool.add(row("a"), files[0]) is None
        assert spool.add(row("a"), files[1]) == files[0].path
        assert spool.number() == 1


def test_batches_cover_everything_while_clips_are_stored(tmp_path, files, monkeypatch):
    monkeypatch.setattr(spools, "BATCH", 2)
    with Spool(tmp_path, Preparation()) as spool:
        fill(spool, files)
        sizes = []
        for batch in spool.unconverted():
            sizes.append(len(batch))
            spool.keep({batch[0][1]: clip("x")})  # the others cannot be used

        assert sizes == [2, 2, 1]
        assert spool.number(converted=True) == 3


def test_rows_come_back_in_the_order_of_the_hashes_of_their_ids(tmp_path, files):
    with Spool(tmp_path, Preparation()) as spool:
        fill(spool, files)
        spool.keep({identity: clip(f"flac{place}") for place, identity in enumerate(identities(spool))})
        spool.assign({"c/1": "test"})
        found = list(spool.rows("test"))

        assert [row["id"] for row, _ in found] == ["c/e", "c/b", "c/a", "c/c", "c/d"]
        assert found[0] == (row("e"), clip("flac4"))
        assert spool.sizes("test") == (5, 8000)
        assert spool.sizes("train") == (0, 0)
        assert spool.facts("id", "split", "samples")[0] == {"id": "c/a", "split": "test", "samples": 1600}


def test_bytes_that_no_row_names_are_passed_over_and_lost_ones_are_noticed(tmp_path, files):
    with Spool(tmp_path, Preparation()) as spool:
        fill(spool, files)
        first, *others = identities(spool)
        spool.keep({first: clip("whole")})
    with (tmp_path / "spool.flac").open("ab") as file:
        file.write(b"half a cl")  # a build was killed between the clip and its row

    with Spool(tmp_path, Preparation()) as spool:
        fill(spool, files)
        spool.keep({identity: clip("next") for identity in others})
        spool.assign({"c/1": "train"})
        assert sorted(found.flac for _, found in spool.rows("train")) == [b"next"] * 4 + [b"whole"]

    (tmp_path / "spool.flac").write_bytes(b"x" * 100)
    with Spool(tmp_path, Preparation()) as spool:
        fill(spool, files)
        spool.assign({"c/1": "train"})
        with pytest.raises(CorpusError, match=r"clip must be unchanged since its conversion; .* --force"):
            list(spool.rows("train"))


def test_a_file_that_is_ready_is_not_copied_and_must_not_change(tmp_path, files):
    with Spool(tmp_path, Preparation()) as spool:
        spool.add(row("a"), files[0])
        spool.keep({identities(spool)[0]: clip("a")._replace(flac=None)})
        spool.assign({"c/1": "train"})

        assert [found for _, found in spool.rows("train")] == [clip("a")]
        assert (tmp_path / "spool.flac").read_bytes() == b""
        Path(files[0].path).write_bytes(b"b")
        with pytest.raises(
            CorpusError, match=r"clip must be unchanged since its conversion; got other bytes in '.*a.wav'"
        ):
            list(spool.rows("train"))
