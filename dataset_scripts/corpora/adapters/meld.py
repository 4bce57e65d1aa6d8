"""MELD: English, 13,708 utterances of the television series Friends (Poria et al. 2019).

Source: https://github.com/declare-lab/MELD, the archive `MELD.Raw.tar.gz` and the three archives inside it. Terms:
GPL-3.0 for the annotations; the clips are cut from the series and belong to its makers: for research, not passed on.
Layout: `train_splits/`, `dev_splits_complete/` and `output_repeated_splits_test/` with `dia0_utt0.mp4`, whose sound
FFmpeg reads (copies in another format, also below `train/`, `dev/` and `test/`, are read as well), and
`train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv`, in the root or in a folder of their part.
The label is the annotators' majority; sentiment is not read. No gender is documented.
Quirks: file names repeat between the parts, so that an utterance is `train_dia0_utt0`. `final_videos_test*` in the test
folder are second cuts of utterances that are there already; they are skipped, as MELD's authors advise (issue 22), and
so are clips without a row. `train/dia125_utt3` is broken, `dev/dia110_utt7` is missing. Some texts hold Windows-1252
characters as control characters (U+0092 for an apostrophe), which are repaired. A speaker is a role's name:
`Joey/Drake` is Joey. Several people at once (`All`, `Both`, `Ross and Joey`) are not one speaker, and under a name of
their own they would carry the same voices into every part of a split by speaker: these utterances are skipped. The
published parts share speakers: the six friends speak in all of them, so a speaker-disjoint split is not the published
one.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    parse_each,
    read_table,
)

CORPUS = "meld"
LICENSE = "GPL-3.0 annotations; clips belong to the makers of Friends: research only, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/declare-lab/MELD"
CITATION = "Poria et al., MELD: A Multimodal Multi-Party Dataset for Emotion Recognition in Conversations, ACL 2019"

PARTS = {"train": "train_splits", "dev": "dev_splits_complete", "test": "output_repeated_splits_test"}
PART_OF = {folder: part for part, folder in PARTS.items()} | {part: part for part in PARTS}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
NAME = re.compile(r"dia\d+_utt\d+", re.IGNORECASE)
SECOND_CUT = "final_videos_test"
SEVERAL = re.compile(
    r"(?:the )?(?:all|both|everyone|everybody|others|guys|girls|boys|men|women|crowd|gang|students|ladies)\b"
    r"|.*(?:\band\b|&|,)",
    re.IGNORECASE,
)
# Windows-1252 bytes that were taken for ISO 8859-1; five of the 32 are no characters and go.
CONTROLS = {code: bytes([code]).decode("cp1252", errors="ignore") for code in range(0x80, 0xA0)}


def repair(text: str) -> str:
    """Turn control characters back into the Windows-1252 ones that they were, and runs of spaces into one."""
    return " ".join(text.translate(CONTROLS).split())


def locate(path: Path, folder: Path) -> tuple[str, str]:
    """Read the part and the utterance of a clip such as `dev_splits_complete/dia0_utt0.mp4`: `dev`, `dia0_utt0`.

    Raises:
        CorpusError: if the clip lies in no part, is a second cut, or its name has another form.
    """
    parents = [name.lower() for name in path.relative_to(folder).parts[:-1]]
    part = next((PART_OF[name] for name in reversed(parents) if name in PART_OF), None)
    if part is None:
        raise CorpusError(f"meld: clip must lie in {', '.join(PARTS.values())}; got {path.name!r} elsewhere.")
    if path.stem.lower().startswith(SECOND_CUT):
        raise CorpusError(f"meld: clip must be the first cut of its utterance; got the second cut {path.name!r}.")
    if not NAME.fullmatch(path.stem):
        raise CorpusError(f"meld: name must be like dia0_utt0; got {path.name!r}.")
    return part, path.stem.lower()


def record(path: Path, part: str, row: Mapping[str, str] | None) -> NativeRecord:
    """Read one record from a clip, its part and its row.

    Raises:
        CorpusError: if the clip has no row, or several speakers.
    """
    if row is None:
        raise CorpusError(f"meld: clip must have a row in {part}_sent_emo.csv; got none for {path.name!r}.")
    if not row["Speaker"] or SEVERAL.match(row["Speaker"]):
        raise CorpusError(f"meld: speaker must be one person; got {row['Speaker']!r} in {part}, {path.name!r}.")
    return NativeRecord(
        path=path,
        name=f"{part}_{path.stem.lower()}",
        speaker=repair(row["Speaker"].partition("/")[0]),
        language="en",
        label=row["Emotion"],
        text=repair(row["Utterance"]) or None,
        official_split=part,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download, in the order of their paths, then the rows without a clip.

    Raises:
        CorpusError: if an annotation file or the audio is missing.
    """
    rows = {(part, utterance): row for part in PARTS for utterance, row in read_part(folder, part).items()}
    clips: set[tuple[str, str]] = set()

    def parse(path: Path) -> NativeRecord:
        clip = locate(path, folder)
        clips.add(clip)
        return record(path, clip[0], rows.get(clip))

    yield from parse_each(find_audio(folder), parse)
    for part, utterance in sorted(set(rows) - clips):
        reason = f"{part}_sent_emo.csv: clip must exist; got none for row {utterance!r}."
        yield Skipped(folder / PARTS[part] / utterance, reason)


def read_part(folder: Path, part: str) -> dict[str, dict[str, str]]:
    """Read the rows of a part, wherever its file lies: `dia0_utt0` -> row.

    Raises:
        CorpusError: if the file is missing.
    """
    name = f"{part}_sent_emo.csv"
    found = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path))
    rows = read_table(found[0] if found else folder / name, COLUMNS)
    return {f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}": row for row in rows}
