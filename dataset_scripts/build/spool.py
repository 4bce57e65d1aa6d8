"""What a build has done so far, on disk: a killed build goes on, and memory does not grow with the corpus.

`spool.flac` is converted audio, one clip behind the other. `spool.sqlite` says in `clip` where each lies (nowhere, if the
source file is ready as it is), under the identity of its source; both outlive the run, and a clip counts only once its
row is written. `utterance` and `skipped` are written anew by each run, since reading names and annotations costs little.
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
    """The state of one corpus in the making.

    Args:
        folder (`Path`): where the two files are, or will be.
        preparation ([`Preparation`]): what is done to the audio; clips that were prepared otherwise do not count.
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
        """Add a described row; the path that has its id already, or `None` where the id is new."""
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
        """Note a file that gives no row, and why."""
        with self._connection:
            self._connection.execute("INSERT INTO skipped VALUES (?, ?)", (path, reason))

    def skipped(self) -> list[tuple[str, str]]:
        """Every skipped file and its reason, in order."""
        return self._connection.execute("SELECT path, reason FROM skipped ORDER BY path, reason").fetchall()

    def unconverted(self) -> Iterator[list[tuple[Source, str]]]:
        """Sources without a clip and their identities, in batches of at most 256."""
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
        """How many utterances there are, or how many of them have a clip."""
        return self._connection.execute(f"SELECT count(*) {USABLE if converted else 'FROM utterance'}").fetchone()[0]

    def facts(self, *columns: str) -> list[dict]:
        """Columns of every usable utterance, in the order of the adapter: `split`, `text`, `samples`, ..."""
        found = self._connection.execute(f"SELECT {', '.join(columns)} {USABLE} ORDER BY number")
        return [dict(zip(columns, values, strict=True)) for values in found]

    def assign(self, splits: dict[str, str]):
        """Give every utterance the split of its speaker."""
        with self._connection:
            self._connection.executemany(
                "UPDATE utterance SET split = ? WHERE speaker_id = ?",
                [(split, speaker) for speaker, split in splits.items()],
            )

    def sizes(self, split: str) -> tuple[int, int]:
        """Utterances of a split, and samples of their audio."""
        counted = f"SELECT count(*), coalesce(sum(samples), 0) {USABLE} WHERE split = ?"
        return self._connection.execute(counted, (split,)).fetchone()

    def rows(self, split: str) -> Iterator[tuple[dict, Clip]]:
        """The rows and clips of a split, in the order of the hashes of their ids, so that a stream is mixed.

        Raises:
            CorpusError: if a clip is not as it was: after a power cut, or if its source changed meanwhile.
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
                    f"spool: clip must be as it was converted; got other bytes in {place!r}. "
                    "Build this corpus again with --force."
                )
            yield json.loads(row), clip

    def _read(self, start: int, size: int) -> bytes:
        self._clips.seek(start)
        return self._clips.read(size)

    def _identity(self, source: Source) -> str:
        """A name for one utterance of one file in one state, prepared in one way."""
        state, path = os.stat(source.path), os.path.abspath(source.path)
        named = json.dumps([path, state.st_size, state.st_mtime_ns, *source[1:], *self.preparation])
        return hashlib.sha256(named.encode()).hexdigest()[:32]
