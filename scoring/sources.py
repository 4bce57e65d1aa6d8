"""Division of a corpus into pieces, one per output shard, and reading of the audio in a piece.

A folder can mix Parquet files with an audio column (SEQD, or other `datasets` output), WebDataset tar files
(https://github.com/webdataset/webdataset#the-webdataset-format) and recordings.
"""

import os
import random
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from speecheq.audio_speecheq import AudioError
from speecheq.dataset_scripts.corpora.records import AUDIO_SUFFIXES, note_unread
from speecheq.scoring.command import CommandError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
SAMPLE = re.compile(r"((?:.*/)?[^./]+)\.[^/]*")  # tar members with the same name up to the first dot are one sample
ROWS_AT_ONCE = 16  # recordings of a Parquet file in memory
BUFFER_BYTES = 1 << 20
MAX_MEMBER = 2**31  # bytes of one recording in a tar file, read into memory
SAMPLED_PIECES = 10  # are read for a sample; more of them would take long on large sources


@dataclass(frozen=True)
class Piece:
    """Input of one shard: row groups of a Parquet file, a tar file, or several recordings.

    Args:
        files (`list[str]`): paths relative to the source folder; more than one only for recordings.
        groups (`list[int]`, *optional*): first row group of a Parquet file, and the row group after the last.
        first (`int`, *optional*, defaults to 0): number of the first row in its file.
        rows (`int`, *optional*): number of rows; unknown for a tar file or an unreadable Parquet file.
        size (`int`, *optional*): bytes of the tar or Parquet file, to detect a changed file.
    """

    files: list[str]
    groups: list[int] | None = None
    first: int = 0
    rows: int | None = None
    size: int | None = None


class Row(NamedTuple):
    """One recording of a piece: its place, its audio as a pipeline input, and the error if it cannot be read."""

    file: str
    row: int
    id: str | None
    audio: object = None
    error: str | None = None


def source_folder(sources: list[str]) -> Path:
    """Return the innermost common folder of the sources.

    Raises:
        CommandError: if a source does not exist, or is inside another source, which would duplicate its rows.
    """
    paths = [Path(source).resolve() for source in sources]
    for source, path in zip(sources, paths, strict=True):
        if not path.exists():
            raise CommandError(f"SOURCE must be a file or a folder on this machine; got {source!r}.")
        if len(set(paths)) < len(paths) or not set(paths).isdisjoint(path.parents):
            raise CommandError(f"SOURCE must not be inside another source; got {source!r}. Leave one of them out.")
    return Path(os.path.commonpath([path if path.is_dir() else path.parent for path in paths]))


def find_pieces(sources: list[str], folder: Path, rows: int, audio_column: str) -> Iterator[Piece]:
    """Divide sources into pieces, deterministically.

    Args:
        sources (`list[str]`): files and folders.
        folder (`Path`): common folder, see [`source_folder`].
        rows (`int`): approximate rows of a piece; a row group or a tar file is never split.
        audio_column (`str`): audio column of Parquet files.

    Yields:
        [`Piece`]: pieces.

    Raises:
        CommandError: if a Parquet file has no audio column.
    """
    recordings = []
    for path in (file for source in sources for file in _search(Path(source).resolve())):
        name = os.path.relpath(path, folder)
        if _is_parquet(name):
            yield from _row_groups(path, name, rows, audio_column)
        elif _is_tar(name):
            yield Piece([name], size=path.stat().st_size)
        else:
            recordings.append(name)
            if len(recordings) == rows:
                yield Piece(recordings, rows=rows)
                recordings = []
    if recordings:
        yield Piece(recordings, rows=len(recordings))


def read_piece(piece: Piece, folder: Path, audio_column: str, id_column: str) -> Iterator[Row]:
    """Read the rows of a piece in order.

    Each unreadable row of a Parquet file becomes a row with an `error`. The unreadable rest of a tar file becomes one row.

    Args:
        piece ([`Piece`]): the piece.
        folder (`Path`): common folder of the sources.
        audio_column, id_column (`str`): columns of Parquet files. Without an `id_column` the path in the audio is the id.

    Yields:
        [`Row`]: rows.
    """
    name = piece.files[0]
    if piece.size is None:
        for file in piece.files:
            yield Row(file, 0, file, os.path.join(folder, file))
        return
    found = _read_tar(folder / name) if _is_tar(name) else _read_parquet(folder / name, piece, audio_column, id_column)
    number = 0
    try:
        for identity, audio in found:
            refused = str(audio) if isinstance(audio, AudioError) else None
            yield Row(name, piece.first + number, identity, None if refused else audio, refused)
            number += 1
    except (pa.ArrowException, tarfile.TarError, OSError, EOFError, zlib.error) as error:
        for lost in range(number, number + 1 if piece.rows is None else piece.rows):
            yield Row(name, piece.first + lost, None, error=f"unreadable from row {piece.first + number} on: {error}")


def sample_rows(
    pieces: Iterable[Piece], number: int, folder: Path, audio_column: str, id_column: str
) -> Iterator[Row]:
    """Draw readable rows of a source at random, the same ones in each call: an equal number from each of some pieces.

    Args:
        pieces (`Iterable[Piece]`): from [`find_pieces`].
        number (`int`): highest number of rows.
        folder, audio_column, id_column: see [`read_piece`].

    Yields:
        [`Row`]: rows without an error.
    """
    draw = random.Random(0)
    chosen = _reservoir(pieces, SAMPLED_PIECES, draw)
    for left, piece in zip(range(len(chosen), 0, -1), chosen, strict=True):
        rows = (row for row in read_piece(piece, folder, audio_column, id_column) if row.error is None)
        found = _reservoir(rows, -(-number // left), draw)
        number -= len(found)
        yield from found


def _reservoir(items: Iterable, number: int, draw: random.Random) -> list:
    """Draw items without replacement from a stream (Vitter 1985, https://doi.org/10.1145/3147.3165)."""
    kept = []
    for count, item in enumerate(items):
        if count < number:
            kept.append(item)
        elif (place := draw.randrange(count + 1)) < number:
            kept[place] = item
    return kept


def _search(path: Path) -> Iterator[Path]:
    """Find the supported files of a path, in a folder and its subfolders, except hidden ones."""
    if path.is_file():
        yield path
        return
    for place, folders, names in os.walk(path, onerror=_refuse):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        note_unread(os.path.join(place, name) for name in names if name[0] != ".")
        for name in sorted(names):
            audio = os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES
            if name[0] != "." and (audio or _is_parquet(name) or _is_tar(name)):
                yield Path(place, name)


def _refuse(error: OSError):
    raise error


def _is_parquet(name: str) -> bool:
    return name.lower().endswith(".parquet")


def _is_tar(name: str) -> bool:
    return name.lower().endswith(TAR_SUFFIXES)


def _row_groups(path: Path, name: str, rows: int, audio_column: str) -> Iterator[Piece]:
    size = path.stat().st_size
    try:
        with pq.ParquetFile(path) as file:
            columns = file.schema_arrow.names
            sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
    except (pa.ArrowException, OSError):  # reading reports the error as an output row
        yield Piece([name], groups=[0, 0], size=size)
        return
    if audio_column not in columns:
        raise CommandError(
            f"--audio-column must be a column of every Parquet file; got {audio_column!r}, but {name!r} has the columns "
            f"{', '.join(columns[:10])}."
        )
    start = first = 0
    for stop in range(1, len(sizes) + 1):
        number = sum(sizes[start:stop])
        if number and (number >= rows or stop == len(sizes)):
            yield Piece([name], groups=[start, stop], first=first, rows=number, size=size)
            start, first = stop, first + number


def _read_parquet(path: Path, piece: Piece, audio_column: str, id_column: str) -> Iterator[tuple[str | None, object]]:
    with pq.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:  # streams row groups of any size
        columns = [name for name in (audio_column, id_column) if name in file.schema_arrow.names]
        groups = range(*piece.groups)
        for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=columns, use_threads=False):
            for values in batch.to_pylist():
                audio = values[audio_column] or {}
                audio = audio if isinstance(audio, dict) else {"path" if isinstance(audio, str) else "bytes": audio}
                identity = values.get(id_column, audio.get("path"))
                if audio.get("bytes") is None and audio.get("path") is not None:
                    audio = _beside(path, audio["path"])
                yield None if identity is None else str(identity), audio


def _beside(path: Path, name: str) -> dict | AudioError:
    """Resolve the path of a recording in a Parquet file, which must be inside the folder of the Parquet file."""
    folder, file = os.path.realpath(path.parent), os.path.realpath(os.path.join(path.parent, name))
    if os.path.commonpath([folder, file]) != folder:
        return AudioError(f"unreadable: {name!r} is outside the folder of {path.name}")
    return {"path": file}


def _read_tar(path: Path) -> Iterator[tuple[str, bytes | AudioError]]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            archive.members = []  # tarfile would keep every member in memory
            name = member.name
            note_unread([f"{path.name}/{name}"])
            if member.isfile() and os.path.splitext(name)[1].lower() in AUDIO_SUFFIXES and Path(name).name[0] != ".":
                sample = SAMPLE.fullmatch(name)
                too_large = AudioError(f"unreadable: more than {MAX_MEMBER >> 20} MiB in a tar file")
                content = too_large if member.size > MAX_MEMBER else archive.extractfile(member).read()
                yield sample[1] if sample else name, content
