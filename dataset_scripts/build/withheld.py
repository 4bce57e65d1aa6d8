"""Metadata-only SEQD: remove audio, text and phonemes that the terms forbid to redistribute, and add them again.

A metadata-only corpus keeps its rows with ids, labels and splits; `audio`, `text` and `phonemes` (made from the text) are
null. Users who have the corpus join them by id; the same download reproduces the publisher's folder byte by byte.
"""

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from speecheq.dataset_scripts.build import shards
from speecheq.dataset_scripts.build.audio import SAMPLING_RATE, Preparation, Source
from speecheq.dataset_scripts.build.builder import BuildOptions, read_audio, read_corpus, write_corpus
from speecheq.dataset_scripts.build.card import card_text
from speecheq.dataset_scripts.build.manifest import list_files, read_manifest, versions, write_files
from speecheq.dataset_scripts.build.spool import Spool
from speecheq.dataset_scripts.corpora.records import CorpusError

WITHHELD = ("audio", "text", "phonemes")
MAX_GAP = 0.25  # s; lossy encoding adds only a few frames
NOTICE = """
> **METADATA ONLY for {corpora}.** The terms forbid redistribution of the recordings. The rows have ids, labels and splits,
> but `audio`, `text` and `phonemes` are `None`. Join them with your own download:
>
> ```bash
> python -m speecheq.dataset_scripts.build.hub join {repo_id} --out seqd {arguments}
> ```
"""


def is_closed(entry: dict) -> bool:
    """Return whether a corpus has content that its terms forbid to redistribute. Unknown terms count as forbidding it."""
    return not entry.get("redistributable", False) and not entry.get("metadata_only", False)


def closed_terms(corpora: dict[str, dict]) -> dict[str, str]:
    """Return the terms of the closed corpora of a manifest."""
    return {name: entry.get("license", "unknown terms") for name, entry in corpora.items() if is_closed(entry)}


def withhold(folder: Path, out: Path, repo_id: str) -> Path:
    """Copy a SEQD folder without audio, text and phonemes of the corpora whose terms forbid redistribution.

    Args:
        folder (`Path`): the SEQD folder.
        out (`Path`): an empty folder.
        repo_id (`str`): future repository of the copy, for the card.

    Returns:
        `Path`: `out`.
    """
    manifest = read_manifest(folder)
    for corpus, entry in manifest["corpora"].items():
        (out / corpus).mkdir(parents=True)
        if not is_closed(entry):
            for name in entry["files"]:
                shutil.copyfile(folder / name, out / name)
            continue
        arrow_bytes = Counter()
        for name in entry["files"]:
            split = Path(name).name.split("-")[0]
            arrow_bytes[split] += withhold_file(folder / name, out / name)
        for split, counts in entry["splits"].items():
            counts.update({"arrow_bytes": arrow_bytes[split], "with_text": 0, "phonemised": 0})
        entry.update({"files": list_files(out, corpus), "phonemes": {}, "metadata_only": True})
    write_files(out, manifest, lambda manifest: metadata_card(manifest, repo_id))
    return out


def withhold_file(source: Path, target: Path) -> int:
    """Copy one Parquet file with nulls for audio, text and phonemes, one row group at a time.

    Returns:
        `int`: bytes of its rows in Arrow.
    """
    file = pq.ParquetFile(source)
    schema = file.schema_arrow
    columns = [name for name in schema.names if name not in WITHHELD]
    arrow_bytes = 0
    with shards.open_writer(target) as writer:
        for place in range(file.num_row_groups):
            group = file.read_row_group(place, columns=columns)  # withheld columns are not read
            values = [
                pa.nulls(len(group), field.type) if field.name in WITHHELD else group.column(field.name)
                for field in schema
            ]
            table = pa.Table.from_arrays(values, schema=schema)
            writer.write_table(table)
            arrow_bytes += table.nbytes
    return arrow_bytes


def metadata_card(manifest: dict, repo_id: str) -> str:
    """Make the card of a metadata-only SEQD, with a notice below the title."""
    names = [corpus for corpus, entry in manifest["corpora"].items() if entry.get("metadata_only")]
    arguments = " ".join(f"--corpus {corpus}=/path/to/{corpus}" for corpus in names)
    notice = NOTICE.format(corpora=", ".join(names), repo_id=repo_id, arguments=arguments)
    return re.sub(r"(?m)^# .*\n", lambda title: title[0] + notice, card_text(manifest), count=1)


def copy_corpus(corpus: str, entry: dict, source: Path, out: Path):
    """Copy the Parquet files of a corpus that has audio."""
    work = out / f".{corpus}.partial"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    for name in entry["files"]:
        shutil.copyfile(source / name, work / Path(name).name)
    shutil.rmtree(out / corpus, ignore_errors=True)
    work.rename(out / corpus)


def join_corpus(adapter, folder: Path, published: dict, source: Path, out: Path, num_proc: int) -> dict:
    """Join one corpus and return its manifest entry. See [`join`]."""
    corpus = adapter.CORPUS
    work = out / f".{corpus}.partial"
    work.mkdir(parents=True, exist_ok=True)
    with PublishedSpool(work, Preparation(**published["preparation"])) as spool:
        for name in published["files"]:
            spool.publish(source / name)
        read_corpus(adapter, folder, spool, BuildOptions(skip_unknown=True))  # labels come from the publisher
        spool.skip_missing()
        read_audio(corpus, folder, spool, num_proc)
        spool.skip_other_durations()
        if not spool.number(converted=True):
            reasons = "; ".join(reason for _, reason in spool.skipped()[:3])
            raise CorpusError(
                f"join: {corpus} must have a file of a published id; got none in {str(folder)!r}. {reasons}"
            )
        spool.assign_published()
        written = write_corpus(corpus, spool, work, out)
        skipped = spool.skipped()
    shutil.rmtree(work)
    entry = {**published, "versions": versions(), **written, "skipped": skipped}
    del entry["metadata_only"]
    return entry


class PublishedSpool(Spool):
    """A spool with the rows of a publisher; the download provides only audio and text."""

    def __init__(self, folder: Path, preparation: Preparation):
        super().__init__(folder, preparation)
        self._connection.executescript(
            "DROP TABLE IF EXISTS published; CREATE TABLE published (id TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID;"
        )

    def publish(self, path: Path):
        """Store the rows of a published Parquet file."""
        with self._connection:
            for row in read_rows(path):
                self._connection.execute("INSERT INTO published VALUES (?, ?)", (row["id"], json.dumps(row)))

    def add(self, row: dict, source: Source) -> str | None:
        """Add the publisher's row of a record of the download; skip records that were not published."""
        found = self._connection.execute("SELECT row FROM published WHERE id = ?", (row["id"],)).fetchone()
        return super().add({**json.loads(found[0]), "text": row["text"]}, source) if found else None

    def skip_missing(self):
        """Skip and report every published id that is not in the download."""
        missing = self._connection.execute(
            "SELECT id FROM published WHERE id NOT IN (SELECT id FROM utterance) ORDER BY id"
        ).fetchall()
        for (name,) in missing:
            self.skip(name, "join: id must be in the download; got none. The row is skipped")

    def skip_other_durations(self):
        """Skip utterances whose duration differs from the publisher's, as they are of another corpus version."""
        found = self._connection.execute(
            "SELECT id, samples, json_extract(row, '$.duration') FROM utterance JOIN clip USING (identity) ORDER BY id"
        ).fetchall()
        for name, samples, duration in found:
            seconds = samples / SAMPLING_RATE
            if abs(seconds - duration) > MAX_GAP:
                self.leave_out(name, f"join: duration must be the publisher's {duration:.2f} s; got {seconds:.2f} s")

    def assign_published(self):
        """Assign the publisher's split to every utterance."""
        with self._connection:
            self._connection.execute("UPDATE utterance SET split = json_extract(row, '$.split')")


def read_rows(path: Path) -> Iterator[dict]:
    """Yield the rows of a Parquet file, with one row group in memory at a time."""
    file = pq.ParquetFile(path)
    for place in range(file.num_row_groups):
        yield from file.read_row_group(place).to_pylist()
