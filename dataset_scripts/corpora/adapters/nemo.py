"""nEMO: Polish, acted by nine speakers (Christop 2024).

Source: https://github.com/amu-cai/nEMO, a folder with `data.tsv` and `samples/`. Licence: CC BY-NC-SA 4.0.
Files: `{speaker_id}_{emotion}_{sentence_id}.wav`. Quirk: `speaker_id` of data.tsv begins with eight spaces.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    by_stem,
    find_audio,
    look_up,
    parse_each,
    read_table,
    rows_without_audio,
)

CORPUS = "nemo"
LICENSE = "CC-BY-NC-SA-4.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://github.com/amu-cai/nEMO"
CITATION = "Christop, nEMO: Dataset of Emotional Speech in Polish, LREC-COLING 2024"

COLUMNS = ("file_id", "emotion", "raw_text", "speaker_id", "gender", "age")
GENDER = {"female": "female", "male": "male"}


def record(path: Path, rows: Mapping[str, dict[str, str]]) -> NativeRecord:
    """Read one record from a name such as `EB0_anger_1.wav` and its row of data.tsv.

    Raises:
        CorpusError: if the file has no row, its name contradicts the row, or the row holds an undocumented value.
    """
    if path.stem not in rows:
        raise CorpusError(f"nemo: file must have a row in data.tsv; got none for {path.name!r}.")
    row = rows[path.stem]
    named = path.stem.rsplit("_", 1)[0]
    if named != f"{row['speaker_id']}_{row['emotion']}":
        raise CorpusError(
            f"nemo: name must begin with the speaker_id and emotion of its row; "
            f"got {row['speaker_id']!r} and {row['emotion']!r} for {path.name!r}."
        )
    if not row["age"].isdecimal():
        raise CorpusError(f"nemo: age must be whole years; got {row['age']!r} in {path.name!r}.")
    return NativeRecord(
        path=path,
        speaker=row["speaker_id"],
        language="pl",
        label=row["emotion"],
        gender=look_up(row["gender"], GENDER, field="gender", item=path.name),
        age=float(row["age"]),
        text=row["raw_text"] or None,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if data.tsv or the audio is missing.
    """
    rows = by_stem(read_table(folder / "data.tsv", COLUMNS, delimiter="\t"), "file_id")
    paths = find_audio(folder / "samples")
    yield from parse_each(paths, lambda path: record(path, rows))
    yield from rows_without_audio(paths, rows, folder / "samples", "data.tsv")
