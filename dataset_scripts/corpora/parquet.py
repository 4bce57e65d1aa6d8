"""Corpora that are published as Parquet files with embedded audio: an utterance is a row."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped

SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})")
ROWS_AT_ONCE = 1024


def find_shards(corpus: str, folder: Path) -> list[Path]:
    """List the Parquet files under a folder, in the order of their relative paths.

    Raises:
        CorpusError: if there are none.
    """
    folder = Path(folder)
    paths = [path for path in folder.rglob("*.parquet") if path.is_file() and not path.name.startswith("._")]
    if not paths:
        raise CorpusError(
            f"{corpus}: folder must hold Parquet files; got none in {str(folder)!r}. Download data/*.parquet there."
        )
    return sorted(paths, key=lambda path: path.relative_to(folder).as_posix())


def read_rows(
    corpus: str,
    paths: list[Path],
    columns: tuple[str, ...],
    required: tuple[str, ...],
    audio: str,
    record: Callable[[Path, int, dict[str, str]], NativeRecord],
) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of Parquet files, without reading their audio, and what is missing or damaged.

    Args:
        corpus (`str`): name of the corpus, for messages.
        paths (`list[Path]`): the files, see [`find_shards`].
        columns (`tuple[str, ...]`): columns of text that `record` needs.
        required (`tuple[str, ...]`): those that must have a value; a row without one is skipped.
        audio (`str`): the column of the audio, one of `speecheq.dataset_scripts.corpora.records.PARQUET_AUDIO`.
        record (`Callable`): file, number of the row and column -> value (`""` if missing) -> the record.
    """
    yield from _missing_shards(corpus, paths)
    for path in paths:
        try:
            yield from _read_shard(corpus, path, columns, required, audio, record)
        except (pyarrow.ArrowException, OSError, UnicodeError) as error:  # the last: a name that is no UTF-8
            yield Skipped(path, f"{corpus}: Parquet file must be readable; got {error}. Download it again.")


def _read_shard(corpus: str, path: Path, columns, required, audio: str, record) -> Iterator[NativeRecord | Skipped]:
    with pyarrow.parquet.ParquetFile(path) as file:
        missing = [column for column in (*columns, audio) if column not in file.schema_arrow.names]
        if missing:
            yield Skipped(path, f"{corpus}: columns must hold {', '.join(missing)}; got none in {path.name!r}.")
            return
        number = 0
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
            for row in batch.to_pylist():
                values = {column: (row[column] or "").strip() for column in columns}
                try:
                    if empty := [column for column in required if not values[column]]:
                        raise CorpusError(
                            f"{corpus}: {empty[0]} must be given; got none in {path.name!r}, row {number}."
                        )
                    yield record(path, number, values)
                except CorpusError as error:
                    yield Skipped(path, str(error))
                number += 1


def _missing_shards(corpus: str, paths: list[Path]) -> Iterator[Skipped]:
    """Report the shards that the names of the others promise."""
    present = {path.name for path in paths}
    for path in paths:
        shard = SHARD.fullmatch(path.stem)
        for number in range(int(shard[3])) if shard else ():
            name = f"{shard[1]}-{number:05d}-of-{shard[3]}.parquet"
            if name not in present:
                present.add(name)
                yield Skipped(path.with_name(name), f"{corpus}: shard must exist; got no {name!r}. Download it too.")
