"""Emozionalmente: Italian, 18 sentences in seven emotions by 431 volunteers at home (Catania et al. 2025).

Source: https://zenodo.org/records/6569824; 6,902 files. Licence: CC BY 4.0.
Files: `audio/{number}.wav`; `metadata/samples.csv` gives actor, sentence and emotion of each, `metadata/users.csv` gender
and age of the actors (EmoBox, preprocess/scripts/emozionalmente.py).
Quirk: a gender that is neither female nor male, and an age that is not a number, are missing.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    by_stem,
    find_audio,
    parse_each,
    read_table,
    rows_without_audio,
)

CORPUS = "emozionalmente"
LICENSE = "CC-BY-4.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://zenodo.org/records/6569824"
CITATION = "Catania, Wilke and Garzotto, Emozionalmente, IEEE TASLPRO 33, 2025"

GENDERS = ("female", "male")
MAX_AGE_DIGITS = 3


def record(path: Path, rows: Mapping[str, dict[str, str]], users: Mapping[str, dict[str, str]]) -> NativeRecord:
    """Read one record from its row of samples.csv and the row of its actor.

    Raises:
        CorpusError: if the file or its actor has no row.
    """
    row = rows.get(path.stem)
    if row is None:
        raise CorpusError(f"emozionalmente: file must have a row in samples.csv; got none for {path.name!r}.")
    user = users.get(row["actor"])
    if user is None:
        raise CorpusError(
            f"emozionalmente: actor must have a row in users.csv; got {row['actor']!r} for {path.name!r}."
        )
    age, gender = user["age"], user["gender"].lower()
    return NativeRecord(
        path=path,
        speaker=row["actor"],
        language="it",
        label=row["emotion_expressed"],
        gender=gender if gender in GENDERS else None,
        age=float(age) if age.isascii() and age.isdecimal() and len(age) <= MAX_AGE_DIGITS else None,
        text=row["sentence"] or None,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if an annotation file or the audio is missing.
    """
    metadata = Path(folder) / "metadata"
    rows = by_stem(
        read_table(metadata / "samples.csv", ("file_name", "actor", "sentence", "emotion_expressed")), "file_name"
    )
    users = {row["username"]: row for row in read_table(metadata / "users.csv", ("username", "gender", "age"))}
    paths = find_audio(folder)
    yield from parse_each(paths, lambda path: record(path, rows, users))
    yield from rows_without_audio(paths, rows, Path(folder), "samples.csv")
