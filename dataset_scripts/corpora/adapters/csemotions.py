"""CSEMOTIONS: Mandarin, acted in a studio by ten speakers in seven emotions (Tian et al. 2025).

Source: https://huggingface.co/datasets/AIDC-AI/CSEMOTIONS, `data/train-0000X-of-00008.parquet`, columns `audio`,
`text`, `emotion` and `speaker`, 4,160 rows. Licence: Apache-2.0 (card).
An utterance is a row of a Parquet file, named by both: `train-00003-of-00008_0012`. The audio column, 3 GB, is not
read here. Another mirror's Parquet files of these columns are read as well.
Quirks: the card writes emotions with a capital, the rows without: they are read in small letters. An older card speaks
of disgust and fear, the rows hold playfulness and fearful. The card speaks of ten speakers and, below, of six. The
gender, a column in the card, is only in the speaker's name, `female001` or `male005`. A shard that the names of the
others promise and that is not there is reported.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped

CORPUS = "csemotions"
LICENSE = "Apache-2.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://huggingface.co/datasets/AIDC-AI/CSEMOTIONS"
CITATION = "Tian et al., Marco-Voice Technical Report, arXiv 2508.02038, 2025"

COLUMNS = ("text", "emotion", "speaker")
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})")
SPEAKER = re.compile(r"(female|male)\d+", re.IGNORECASE)
ROWS_AT_ONCE = 1024


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the Parquet files are missing.
    """
    folder = Path(folder)
    paths = [path for path in folder.rglob("*.parquet") if path.is_file() and not path.name.startswith("._")]
    if not paths:
        raise CorpusError(
            f"csemotions: folder must hold Parquet files; got none in {str(folder)!r}. "
            "Download data/*.parquet of AIDC-AI/CSEMOTIONS there."
        )
    paths.sort(key=lambda path: path.relative_to(folder).as_posix())
    yield from missing_shards(paths)
    for path in paths:
        try:
            yield from read_shard(path)
        except (pyarrow.ArrowException, OSError, UnicodeError) as error:  # the last: a name that is no UTF-8
            yield Skipped(path, f"csemotions: Parquet file must be readable; got {error}. Download it again.")


def read_shard(path: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the rows of a Parquet file, without reading their audio."""
    with pyarrow.parquet.ParquetFile(path) as file:
        missing = [column for column in (*COLUMNS, "audio") if column not in file.schema_arrow.names]
        if missing:
            yield Skipped(path, f"csemotions: columns must hold {', '.join(missing)}; got none in {path.name!r}.")
            return
        number = 0
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=list(COLUMNS)):
            for row in batch.to_pylist():
                try:
                    yield record(path, number, row)
                except CorpusError as error:
                    yield Skipped(path, str(error))
                number += 1


def record(path: Path, number: int, row: dict[str, str | None]) -> NativeRecord:
    """Read one record from a row of a Parquet file.

    Raises:
        CorpusError: if the row has no speaker or no emotion.
    """
    values = {column: (row[column] or "").strip() for column in COLUMNS}
    for column in ("speaker", "emotion"):
        if not values[column]:
            raise CorpusError(f"csemotions: {column} must be given; got none in {path.name!r}, row {number}.")
    named = SPEAKER.fullmatch(values["speaker"])
    return NativeRecord(
        path=path,
        parquet_row=number,
        name=f"{path.stem}_{number:04d}",
        speaker=values["speaker"],
        language="zh",
        label=values["emotion"].lower(),
        gender=named[1].lower() if named else None,
        text=values["text"] or None,
    )


def missing_shards(paths: list[Path]) -> Iterator[Skipped]:
    """Report the shards that the names of the others promise."""
    present = {path.name for path in paths}
    for path in paths:
        shard = SHARD.fullmatch(path.stem)
        for number in range(int(shard[3])) if shard else ():
            name = f"{shard[1]}-{number:05d}-of-{shard[3]}.parquet"
            if name not in present:
                present.add(name)
                yield Skipped(path.with_name(name), f"csemotions: shard must exist; got no {name!r}. Download it too.")
