"""Shards of answers: Parquet files of one schema, each written at once; and the plan that says which piece each answers."""

import filecmp
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from speecheq.dataset_scripts.build.manifest import write_text
from speecheq.scoring.command import CommandError
from speecheq.scoring.sources import Piece

MANIFEST, PLAN = "manifest.json", "plan.jsonl"
ROWS_PER_GROUP = 500
_SCORE = [("label", pa.string()), ("score", pa.float32())]
_TIMES = [("start", pa.float64()), ("end", pa.float64())]
SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("id", pa.string()),
        *_SCORE,
        ("abstained", pa.string()),
        ("emotion", pa.list_(pa.struct(_SCORE))),
        (
            "intensity",
            pa.struct([("value", pa.float32()), ("level", pa.string()), ("interval", pa.list_(pa.float32()))]),
        ),
        ("gender", pa.struct(_SCORE)),
        ("phonemes", pa.list_(pa.struct([("phoneme", pa.string()), *_TIMES]))),
        ("timeline", pa.list_(pa.struct([*_TIMES, *_SCORE, ("intensity", pa.float32())]))),
        ("duration", pa.float64()),
        ("speech", pa.float64()),
        ("error", pa.string()),
    ]
)


class Counts(NamedTuple):
    """Rows, those with an error, and seconds of audio; and the seconds of processor time that they took, if in this run."""

    rows: int = 0
    failed: int = 0
    seconds: float = 0.0
    processor: float = 0.0

    def plus(self, other: "Counts") -> "Counts":
        """The sums."""
        return Counts(*map(sum, zip(self, other, strict=True)))


def shard_path(out: Path, number: int) -> Path:
    """Where the answers of a piece lie."""
    return out / f"answers-{number:06}.parquet"


def write_shard(path: Path, rows: Iterable[dict]):
    """Write a shard at once: whoever is killed leaves none, and of two who write the same one the last wins.

    Args:
        path (`Path`): of the shard.
        rows (`Iterable[dict]`): of `SCHEMA`; fields that are missing are null.
    """
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        with open(partial, "wb") as file:
            with pq.ParquetWriter(file, SCHEMA, compression="zstd") as writer:
                for group in _groups(rows):
                    writer.write_table(pa.Table.from_pylist(group, schema=SCHEMA))
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def count_shard(path: Path) -> Counts:
    """What a shard holds."""
    table = pq.read_table(path, columns=["duration", "error"], partitioning=None)
    failed = len(table) - table["error"].null_count
    return Counts(len(table), failed, pc.sum(table["duration"]).as_py() or 0.0)


def fix_plan(out: Path, pieces: Iterable[Piece], settings: dict):
    """Write down what a run scores and how; or find it written as it is now.

    Args:
        out (`Path`): the folder of the run.
        pieces (`Iterable[Piece]`): all pieces, in their order.
        settings (`dict`): what decides the answers.

    Raises:
        CommandError: if the folder holds a run on another source or with other settings, or something else.
    """
    plan, manifest = out / PLAN, out / MANIFEST
    before = json.loads(manifest.read_text("utf-8")) if manifest.exists() else None
    if before is None and out.is_dir() and any(file.name[0] != "." and file != plan for file in out.iterdir()):
        raise CommandError(
            f"--out: it must be a new folder, or of this command; got {str(out)!r}. Give another folder."
        )
    for name, value in settings.items():
        if before is not None and before.get(name) != value:
            raise CommandError(
                f"--out: a run goes on with the settings it began with; got {name} {value!r}, and {str(out)!r} has "
                f"{before.get(name)!r}. Give another folder."
            )
    out.mkdir(parents=True, exist_ok=True)
    with _replacing(plan, keep=before is not None) as new:
        with open(new, "w", encoding="utf-8") as file:
            for number, piece in enumerate(pieces):
                file.write(json.dumps({"number": number, **asdict(piece)}) + "\n")
        if before is not None and not filecmp.cmp(new, plan, shallow=False):
            raise CommandError(
                f"--out: a run goes on with the files it began with; got others than those in {str(plan)!r}. Give another "
                "folder."
            )
    if before is None:
        write_text(manifest, json.dumps(settings, indent=1, ensure_ascii=False) + "\n")


def planned(out: Path) -> Iterator[tuple[int, Piece]]:
    """The pieces of a plan with their numbers."""
    with open(out / PLAN, encoding="utf-8") as lines:
        for line in lines:
            values = json.loads(line)
            yield values.pop("number"), Piece(**values)


@contextmanager
def _replacing(path: Path, keep: bool) -> Iterator[Path]:
    """A file to write instead of another one, which is kept if so asked."""
    new = path.with_name(f".{path.name}.partial")
    try:
        yield new
        if not keep:
            os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def _groups(rows: Iterable[dict]) -> Iterator[list[dict]]:
    group = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group
