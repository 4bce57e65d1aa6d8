"""Intermediate state of a build on disk, so that a killed build resumes and memory does not grow with the corpus.

`spool.flac` is the concatenated converted audio. The table `clip` in `spool.sqlite` stores the position of each clip (`NULL`
if the source file is used unchanged) under the identity of its source. Both remain after a run; a clip is valid only after
its row is written. Each run rewrites `utterance` and `skipped`, because reading names and annotations is fast.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.build.audio import Clip, Preparation, Source
from speecheq.dataset_scripts.corpora.records import CorpusError

BATCH = 256
SCHEMA = """
CREATE TABLE IF NOT EXISTS clip (
    identity TEXT PRIMARY KEY, start INTEGER, bytes INTEGER, samples INTEGER, sha256 TEXT, fingerprint BLOB
) WITHOUT ROWID;
DROP TABLE IF EXISTS utterance;
CREATE TABLE utterance (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE, position TEXT, source TEXT, identity TEXT, row TEXT,
    speaker_id TEXT, gender TEXT, native_label TEXT, text TEXT, split TEXT
);
DROP TABLE IF EXISTS skipped;
CREATE TABLE skipped (path TEXT, reason TEXT);
"""
USABLE = "FROM utterance JOIN clip USING (identity)"


class Spool:
    """Build state of one corpus.

    Args:
        folder (`Path`): of the two files.
        preparation ([`Preparation`]): processing of the audio; clips with another preparation are not used.
    """

    def __init__(self, folder: Path, preparation: Preparation):
        self.preparation = preparation
        self._clips = (Path(folder) / "spool.flac").open("a+b")
        self._connection = sqlite3.connect(Path(folder) / "spool.sqlite")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *exception):
        self._connection.close()
        self._clips.close()

    def add(self, row: dict, source: Source) -> str | None:
        """Add a row; return the path of an earlier row with its id, or `None` if the id is new."""
        first = self._connection.execute("SELECT source FROM utterance WHERE id = ?", (row["id"],)).fetchone()
        if first:
            return json.loads(first[0])[0]
        position = hashlib.sha256(row["id"].encode()).hexdigest()
        columns = [row[name] for name in ("speaker_id", "gender", "native_label", "text")]
        self._connection.execute(
            "INSERT INTO utterance VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)",
            (row["id"], position, json.dumps(source), self._identity(source), json.dumps(row), *columns),
        )
        return None

    def skip(self, path: str, reason: str):
        """Record a skipped file and the reason."""
        with self._connection:
            self._connection.execute("INSERT INTO skipped VALUES (?, ?)", (path, reason))

    def leave_out(self, name: str, reason: str):
        """Skip an utterance that was added before, by its id."""
        with self._connection:
            self._connection.execute("DELETE FROM utterance WHERE id = ?", (name,))
        self.skip(name, reason)

    def skipped(self) -> list[tuple[str, str]]:
        """Return all skipped files and reasons, sorted."""
        return self._connection.execute("SELECT path, reason FROM skipped ORDER BY path, reason").fetchall()

    def unconverted(self) -> Iterator[list[tuple[Source, str]]]:
        """Yield sources without a clip and their identities, in batches of at most 256."""
        last = 0
        while True:
            found = self._connection.execute(
                "SELECT number, source, identity FROM utterance LEFT JOIN clip USING (identity) "
                "WHERE number > ? AND samples IS NULL ORDER BY number LIMIT ?",
                (last, BATCH),
            ).fetchall()
            if not found:
                return
            last = found[-1][0]
            yield [(Source(*json.loads(source)), identity) for _, source, identity in found]

    def keep(self, clips: dict[str, Clip]):
        """Store converted clips under the identities of their sources."""
        rows = []
        self._clips.seek(0, os.SEEK_END)
        for identity, clip in clips.items():
            start = None if clip.flac is None else self._clips.tell()
            rows.append((identity, start, len(clip.flac or b""), *clip[1:]))
            self._clips.write(clip.flac or b"")
        self._clips.flush()
        with self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO clip VALUES (?, ?, ?, ?, ?, ?)", rows)

    def number(self, converted: bool = False) -> int:
        """Count the utterances, or those with a clip."""
        return self._connection.execute(f"SELECT count(*) {USABLE if converted else 'FROM utterance'}").fetchone()[0]

    def facts(self, *columns: str) -> list[dict]:
        """Return columns (`split`, `text`, `samples`, ...) of every usable utterance, in the order of the adapter."""
        found = self._connection.execute(f"SELECT {', '.join(columns)} {USABLE} ORDER BY number")
        return [dict(zip(columns, values, strict=True)) for values in found]

    def assign(self, splits: dict[str, str]):
        """Assign to every utterance the split of its speaker."""
        with self._connection:
            self._connection.executemany(
                "UPDATE utterance SET split = ? WHERE speaker_id = ?",
                [(split, speaker) for speaker, split in splits.items()],
            )

    def sizes(self, split: str) -> tuple[int, int]:
        """Return the number of utterances of a split, and of their samples."""
        counted = f"SELECT count(*), coalesce(sum(samples), 0) {USABLE} WHERE split = ?"
        return self._connection.execute(counted, (split,)).fetchone()

    def rows(self, split: str) -> Iterator[tuple[dict, Clip]]:
        """Yield the rows and clips of a split, sorted by a hash of the id, so that streams are mixed.

        Raises:
            CorpusError: if a clip has changed, after a power cut or because its source changed.
        """
        found = self._connection.execute(
            f"SELECT row, source, start, bytes, samples, sha256, fingerprint {USABLE} WHERE split = ? ORDER BY position",
            (split,),
        )
        for row, source, start, size, *facts in found:
            place = Source(*json.loads(source)).path if start is None else self._clips.name
            clip = Clip(Path(place).read_bytes() if start is None else self._read(start, size), *facts)
            if hashlib.sha256(clip.flac).hexdigest() != clip.sha256:
                raise CorpusError(
                    f"spool: clip must be unchanged since its conversion; got other bytes in {place!r}. "
                    "Build this corpus again with --force."
                )
            yield json.loads(row), clip

    def _read(self, start: int, size: int) -> bytes:
        self._clips.seek(start)
        return self._clips.read(size)

    def _identity(self, source: Source) -> str:
        """Compute an identity of a source: location, size, modification time and preparation."""
        state, path = os.stat(source.path), os.path.abspath(source.path)
        named = json.dumps([path, state.st_size, state.st_mtime_ns, *source[1:], *self.preparation])
        return hashlib.sha256(named.encode()).hexdigest()[:32]
