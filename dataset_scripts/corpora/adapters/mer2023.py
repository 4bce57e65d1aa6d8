"""MER2023: Mandarin, clips of films and series with sound and picture, labelled in six emotions (Lian et al. 2023).

Source: https://arxiv.org/abs/2304.08981, on request; 5,030 labelled files by the lists of EmoBox. Licence: an agreement
with the authors, research only.
Files: `{train,test1,test2,test3}/sample_{number}.avi` (or `.mp4`), in any folder; `{part}-label.csv` with the columns
`name` and `discrete`, beside them or in `mer2023train` and `test-labels` (EmoBox, preprocess/scripts/mer2023.py). The
audio track of each video is read. No transcripts.
Quirks: the speakers are not documented. They are all one speaker here, so that every utterance is in train and no voice
is in two splits; the part of the challenge is the official split. `valence` has no documented scale and is not read.
Videos without a label, such as those of the semi-supervised track, are skipped.
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

CORPUS = "mer2023"
LICENSE = "agreement with the authors: research only, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://arxiv.org/abs/2304.08981"
CITATION = (
    "Lian et al., MER 2023: Multi-label Learning, Modality Robustness, and Semi-Supervised Learning, ACM MM 2023"
)

PARTS = ("train", "test1", "test2", "test3")
SPEAKER = "unknown"


def record(path: Path, rows: Mapping[str, dict[str, str]]) -> NativeRecord:
    """Read one record from the row of its video.

    Raises:
        CorpusError: if the file has no row.
    """
    row = rows.get(path.stem)
    if row is None:
        raise CorpusError(f"mer2023: file must have a row in a label table; got none for {path.name!r}.")
    return NativeRecord(
        path=path, speaker=SPEAKER, language="zh", label=row["discrete"] or None, official_split=row["part"]
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if every label table is missing, one of them is damaged, or the audio is missing.
    """
    rows = {}
    for part in PARTS:
        if table := find_entry(folder, f"{part}-label.csv", depth=1):
            found = by_stem(read_table(table, ("name", "discrete")), "name")
            rows |= {name: row | {"part": part} for name, row in found.items()}
    if not rows:
        raise CorpusError(
            f"mer2023: folder must hold {', '.join(f'{part}-label.csv' for part in PARTS)}, or some of them; got none in "
            f"{str(folder)!r}. Copy them from the download."
        )
    paths = find_audio(folder)
    yield from parse_each(paths, lambda path: record(path, rows))
    yield from rows_without_audio(paths, rows, Path(folder), "label tables")
