"""RESD: Russian, dialogues of actors with prescribed emotions (Aniemore).

Source: https://huggingface.co/datasets/Aniemore/resd, `data/{train,test}-*.parquet`, columns `name`, `path`, `emotion`
and `speech`; 1,396 rows. Licence: MIT (card).
An utterance is a row of a Parquet file. `name` is unique, such as `27_neutral_fear_n_100`: dialogue, the emotions of its
two voices, whose turn it is, and the number of the turn. No transcripts.
Quirks: the actors are not documented. They are all one speaker here, so that every utterance is in train and no voice is
in two splits; the parts of the card are the official split.
"""

from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.parquet import find_shards, read_rows
from speecheq.dataset_scripts.corpora.records import NativeRecord, Skipped

CORPUS = "resd"
LICENSE = "MIT"
REDISTRIBUTABLE = True
HOMEPAGE = "https://huggingface.co/datasets/Aniemore/resd"
CITATION = "Aniemore, Russian Emotional Speech Dialogs, https://huggingface.co/datasets/Aniemore/resd"

COLUMNS = ("name", "emotion")
SPEAKER = "unknown"


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the Parquet files are missing.
    """
    yield from read_rows(CORPUS, find_shards(CORPUS, folder), COLUMNS, COLUMNS, "speech", record)


def record(path: Path, number: int, row: dict[str, str]) -> NativeRecord:
    """Read one record from a row of a Parquet file."""
    return NativeRecord(
        path=path,
        parquet_row=number,
        name=row["name"],
        speaker=SPEAKER,
        language="ru",
        label=row["emotion"],
        official_split=path.name.partition("-")[0],
    )
