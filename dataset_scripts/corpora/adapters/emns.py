"""EMNS: English, 1,181 utterances of stories in eight styles by one woman (Noriy et al. 2023).

Source: https://www.openslr.org/136/; 1,181 files by the lists of EmoBox. Licence: not read by us; see the source.
Files: `cleaned_webm/recorded_audio_{id}.webm`; `metadata.csv`, with `|` between its columns, has `audio_recording`,
`emotion` and `utterance` (EmoBox, preprocess/scripts/emns.py).
Quirks: if there is a folder `cleaned_webm`, other folders, such as that of the raw recordings, are not read. All is one
woman, so every utterance is in train. We found no scale of the column `level`: no intensity.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    by_stem,
    find_audio,
    find_entry,
    parse_each,
    read_table,
    rows_without_audio,
)

CORPUS = "emns"
LICENSE = "see https://www.openslr.org/136/"
REDISTRIBUTABLE = False
HOMEPAGE = "https://www.openslr.org/136/"
CITATION = "Noriy, Yang and Zhang, EMNS /Imz/ Corpus: An Emotive Single-Speaker Dataset, arXiv 2305.13137, 2023"

SPEAKER = "emns"
TABLE = "metadata.csv"


def record(path: Path, rows: Mapping[str, dict[str, str]]) -> NativeRecord:
    """Read one record from its row of metadata.csv.

    Raises:
        CorpusError: if the file has no row.
    """
    row = rows.get(path.stem)
    if row is None:
        raise CorpusError(f"emns: file must have a row in {TABLE}; got none for {path.name!r}.")
    return NativeRecord(
        path=path,
        speaker=SPEAKER,
        language="en",
        label=row["emotion"].lower() or None,
        gender="female",
        text=row["utterance"] or None,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if metadata.csv or the audio is missing.
    """
    table = read_table(Path(folder) / TABLE, ("audio_recording", "emotion", "utterance"), delimiter="|")
    rows = by_stem(table, "audio_recording")
    paths = find_audio(find_entry(folder, "cleaned_webm") or folder)
    yield from parse_each(paths, lambda path: record(path, rows))
    yield from rows_without_audio(paths, rows, Path(folder), TABLE)
