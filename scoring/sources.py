"""A corpus as pieces, each of which becomes one shard of answers, and the audio in a piece.

Parquet files with an audio column (SEQD, or what `datasets` writes), WebDataset's tar files
(https://github.com/webdataset/webdataset#the-webdataset-format) and recordings may lie in one folder.
"""

import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from speecheq.audio_speecheq import AudioError
from speecheq.scoring.command import SUFFIXES, CommandError

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
SAMPLE = re.compile(r"((?:.*/)?[^./]+)\.[^/]*")  # of a tar: what shares a name up to the first dot is one sample
ROWS_AT_ONCE = 16  # of a Parquet file: so many recordings are in memory
BUFFER_BYTES = 1 << 20
MAX_MEMBER = 2**31  # bytes of one recording in a tar, which is held in memory


@dataclass(frozen=True)
class Piece:
    """What one shard answers: row groups of a Parquet file, a tar file, or some recordings.

    Args:
        files (`list[str]`): relative to the source's folder; one, but of recordings.
        groups (`list[int]`, *optional*): of a Parquet file, the first row group and the one behind the last.
        first (`int`, *optional*, defaults to 0): number of the first row in its file.
        rows (`int`, *optional*): how many there are; unknown of a tar file, and of a Parquet file that cannot be read.
        size (`int`, *optional*): bytes of the tar or Parquet file: another file of the same name is another source.
    """

    files: list[str]
    groups: list[int] | None = None
    first: int = 0
    rows: int | None = None
    size: int | None = None


class Row(NamedTuple):
    """One recording of a piece: where it is, and its audio as the pipeline takes it, or why there is none."""

    file: str
    row: int
    id: str | None
    audio: object = None
    error: str | None = None


def source_folder(sources: list[str]) -> Path:
    """The innermost folder that holds all of the sources.

    Raises:
        CommandError: if a source does not exist, or lies in another one: its rows would come twice.
    """
    paths = [Path(source).resolve() for source in sources]
    for source, path in zip(sources, paths, strict=True):
        if not path.exists():
            raise CommandError(f"SOURCE: a source must be a file or a folder on this machine; got {source!r}.")
        if len(set(paths)) < len(paths) or not set(paths).isdisjoint(path.parents):
            raise CommandError(f"SOURCE: a source must not lie in another one; got {source!r}. Leave one of them out.")
    return Path(os.path.commonpath([path if path.is_dir() else path.parent for path in paths]))


def find_pieces(sources: list[str], folder: Path, rows: int, audio_column: str) -> Iterator[Piece]:
    """Cut sources into pieces, always the same for the same files.

    Args:
        sources (`list[str]`): files and folders.
        folder (`Path`): see [`source_folder`].
        rows (`int`): of a piece, about: a row group is not divided, nor is a tar file.
        audio_column (`str`): of Parquet files.

    Raises:
        CommandError: if a Parquet file has no such column.
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
    """The rows of a piece in their order, one by one.

    What cannot be read is a row with its `error`: each row of a Parquet file that is lost, and the rest of a tar file as one.

    Args:
        piece ([`Piece`]): to read.
        folder (`Path`): the source's.
        audio_column, id_column (`str`): of Parquet files. Without an `id_column` the path in the audio is the id.
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


def _search(path: Path) -> Iterator[Path]:
    """The file, or what a folder and the folders in it hold for us; nothing hidden."""
    if path.is_file():
        yield path
        return
    for place, folders, names in os.walk(path, onerror=_refuse):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        for name in sorted(names):
            audio = os.path.splitext(name)[1].lower() in SUFFIXES
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
    except (pa.ArrowException, OSError):  # reading says what is wrong, as a row of the answers
        yield Piece([name], groups=[0, 0], size=size)
        return
    if audio_column not in columns:
        raise CommandError(
            f"--audio-column: it must be a column of every Parquet file; got {audio_column!r}, and {name!r} has "
            f"{', '.join(columns[:10])}."
        )
    start = first = 0
    for stop in range(1, len(sizes) + 1):
        number = sum(sizes[start:stop])
        if number and (number >= rows or stop == len(sizes)):
            yield Piece([name], groups=[start, stop], first=first, rows=number, size=size)
            start, first = stop, first + number


def _read_parquet(path: Path, piece: Piece, audio_column: str, id_column: str) -> Iterator[tuple[str | None, object]]:
    with pq.ParquetFile(path, buffer_size=BUFFER_BYTES) as file:  # a row group is streamed, whatever its size
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
    """The recording that a Parquet file names; it must lie in the file's own folder or below."""
    folder, file = os.path.realpath(path.parent), os.path.realpath(os.path.join(path.parent, name))
    if os.path.commonpath([folder, file]) != folder:
        return AudioError(f"unreadable: {name!r} lies outside of the folder of {path.name}")
    return {"path": file}


def _read_tar(path: Path) -> Iterator[tuple[str, bytes | AudioError]]:
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            archive.members = []  # it would keep all that it has seen
            name = member.name
            if member.isfile() and os.path.splitext(name)[1].lower() in SUFFIXES and Path(name).name[0] != ".":
                sample = SAMPLE.fullmatch(name)
                too_large = AudioError(f"unreadable: more than {MAX_MEMBER >> 20} MiB in a tar")
                content = too_large if member.size > MAX_MEMBER else archive.extractfile(member).read()
                yield sample[1] if sample else name, content
