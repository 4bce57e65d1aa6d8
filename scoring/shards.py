"""Output shards, Parquet files of one schema, and the plan that assigns a piece to each shard."""

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

from speecheq.dataset_scripts.files import write_text
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
        ("channel", pa.int32()),
        *_SCORE,
        ("abstained", pa.string()),
        ("emotion", pa.list_(pa.struct(_SCORE))),
        (
            "intensity",
            pa.struct([("value", pa.float32()), ("level", pa.string()), ("interval", pa.list_(pa.float32()))]),
        ),
        ("gender", pa.struct(_SCORE)),
        ("phonemes", pa.list_(pa.struct([("phoneme", pa.string()), *_TIMES]))),
        ("timeline", pa.list_(pa.struct([("channel", pa.int32()), *_TIMES, *_SCORE, ("intensity", pa.float32())]))),
        ("duration", pa.float64()),
        ("speech", pa.float64()),
        ("error", pa.string()),
    ]
)


class Counts(NamedTuple):
    """Numbers of rows and failed rows, seconds of audio, and seconds of processor time in this run."""

    rows: int = 0
    failed: int = 0
    seconds: float = 0.0
    processor: float = 0.0

    def plus(self, other: "Counts") -> "Counts":
        """Return the sums of two counts."""
        return Counts(*map(sum, zip(self, other, strict=True)))


def shard_path(out: Path, number: int) -> Path:
    """Return the path of the shard of a piece."""
    return out / f"answers-{number:06}.parquet"


def write_shard(path: Path, rows: Iterable[dict]):
    """Write a shard atomically: a killed process leaves no shard, and of two writers the last one wins.

    Args:
        path (`Path`): path of the shard.
        rows (`Iterable[dict]`): rows of `SCHEMA`; missing fields are null.
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
    """Count the rows, failed rows and seconds of audio of a shard."""
    table = pq.read_table(path, columns=["duration", "error"], partitioning=None)
    failed = len(table) - table["error"].null_count
    return Counts(len(table), failed, pc.sum(table["duration"]).as_py() or 0.0)


def fix_plan(out: Path, pieces: Iterable[Piece], settings: dict):
    """Write the plan and the settings of a run, or check that they match those of an earlier run.

    Args:
        out (`Path`): output folder of the run.
        pieces (`Iterable[Piece]`): all pieces, in order.
        settings (`dict`): settings that affect the predictions.

    Raises:
        CommandError: if the folder contains a run with other sources or settings, or other files.
    """
    plan, manifest = out / PLAN, out / MANIFEST
    before = json.loads(manifest.read_text("utf-8")) if manifest.exists() else None
    if before is None and out.is_dir() and any(file.name[0] != "." and file != plan for file in out.iterdir()):
        raise CommandError(
            f"--out must be a new folder, or an output of this command; got {str(out)!r}. Pass another folder."
        )
    for name, value in settings.items():
        if before is not None and before.get(name) != value:
            raise CommandError(
                f"--out must have the settings of this run; got {name} {before.get(name)!r} instead of {value!r} in "
                f"{str(out)!r}. Pass another folder."
            )
    out.mkdir(parents=True, exist_ok=True)
    with _replacing(plan, keep=before is not None) as new:
        with open(new, "w", encoding="utf-8") as file:
            for number, piece in enumerate(pieces):
                file.write(json.dumps({"number": number, **asdict(piece)}) + "\n")
        if before is not None and not filecmp.cmp(new, plan, shallow=False):
            raise CommandError(
                f"--out must have the source files of this run; got other files in {str(plan)!r}. Pass another folder."
            )
    if before is None:
        write_text(manifest, json.dumps(settings, indent=1, ensure_ascii=False) + "\n")


def planned(out: Path) -> Iterator[tuple[int, Piece]]:
    """Yield the pieces of a plan with their numbers."""
    with open(out / PLAN, encoding="utf-8") as lines:
        for line in lines:
            values = json.loads(line)
            yield values.pop("number"), Piece(**values)


@contextmanager
def _replacing(path: Path, keep: bool) -> Iterator[Path]:
    """Yield a temporary path, and replace `path` with it unless `keep` is set."""
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
