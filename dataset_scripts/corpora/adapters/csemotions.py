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

from speecheq.dataset_scripts.corpora.parquet import find_shards, read_rows
from speecheq.dataset_scripts.corpora.records import NativeRecord, Skipped

CORPUS = "csemotions"
LICENSE = "Apache-2.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://huggingface.co/datasets/AIDC-AI/CSEMOTIONS"
CITATION = "Tian et al., Marco-Voice Technical Report, arXiv 2508.02038, 2025"

COLUMNS = ("text", "emotion", "speaker")
SPEAKER = re.compile(r"(female|male)\d+", re.IGNORECASE)


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the Parquet files are missing.
    """
    yield from read_rows(CORPUS, find_shards(CORPUS, folder), COLUMNS, ("speaker", "emotion"), "audio", record)


def record(path: Path, number: int, row: dict[str, str]) -> NativeRecord:
    """Read one record from a row of a Parquet file."""
    named = SPEAKER.fullmatch(row["speaker"])
    return NativeRecord(
        path=path,
        parquet_row=number,
        name=f"{path.stem}_{number:04d}",
        speaker=row["speaker"],
        language="zh",
        label=row["emotion"].lower(),
        gender=named[1].lower() if named else None,
        text=row["text"] or None,
    )
