"""The synthetic corpus of `speecheq.dataset_scripts.build.synthetic`: names and metadata to native records.

Layout: `<speaker>/<emotion>_<level>_<number>_<language>.wav`, and `metadata.csv` with gender, language and text.
"""

from collections.abc import Iterator
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

CORPUS = "synthetic"
LICENSE = "apache-2.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://github.com/espeak-ng/espeak-ng"
CITATION = (
    "SYNTHETIC speech: no human voice and no human emotion. Sentences and prosody by "
    "speecheq.dataset_scripts.build.synthetic, spoken by espeak-ng 1.52."
)

EMOTION = {name: name for name in ("angry", "happy", "sad", "neutral", "fear", "surprise")}
LEVEL = {name: name for name in ("normal", "low", "moderate", "high")}
LANGUAGE = {name: name for name in ("en", "zh")}
GENDER = {name: name for name in ("female", "male")}
COLUMNS = ("file", "gender", "language", "text")


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Read the corpus.

    Args:
        folder (`Path`): what `write_corpus` wrote.

    Yields:
        `NativeRecord` for each audio file, or `Skipped` for one without its row, with a name that the corpus does not
        document, or for a row without its file.

    Raises:
        CorpusError: if the folder holds no audio, or `metadata.csv` is missing or lacks a column.
    """
    folder = Path(folder)
    paths = find_audio(folder)
    rows = by_stem(read_table(folder / "metadata.csv", COLUMNS), "file")
    yield from parse_each(paths, lambda path: _record(path, rows))
    yield from rows_without_audio(paths, rows, folder, "metadata.csv")


def _record(path: Path, rows: dict[str, dict[str, str]]) -> NativeRecord:
    parts = path.stem.split("_")
    if len(parts) != 4:
        raise CorpusError(
            f"synthetic: a file name must have 4 parts joined by '_'; got {len(parts)} in {path.name!r}."
        )
    if path.stem not in rows:
        raise CorpusError(f"synthetic: a file must have a row in metadata.csv; got none for {path.name!r}.")
    emotion, level, _, language = parts
    row = rows[path.stem]
    return NativeRecord(
        path=path,
        speaker=path.parent.name,
        language=look_up(language, LANGUAGE, field="language", item=path.name),
        label=look_up(emotion, EMOTION, field="emotion", item=path.name),
        level=look_up(level, LEVEL, field="level", item=path.name),
        gender=look_up(row["gender"], GENDER, field="gender", item=path.name),
        text=row["text"] or None,
    )
