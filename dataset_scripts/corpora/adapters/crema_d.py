"""CREMA-D: English, twelve sentences acted by 91 speakers, each clip rated by about nine listeners (Cao et al. 2014).

Source: https://github.com/CheyneyComputerScience/CREMA-D with git-lfs (without it every audio file is a pointer of
some 130 bytes and cannot be read). Licence: ODbL 1.0, contents under DbCL 1.0.
Files: `AudioWAV/{actor}_{sentence}_{emotion}_{level}.wav`, the same recordings in `AudioMP3/`; listeners in
`processedResults/tabulatedVotes.csv`, actors in `VideoDemographics.csv`. The label is the acted emotion; the emotions
that listeners heard from the voice alone are votes, and how strongly they heard them is the intensity.
Quirks: only 1,365 of the 7,442 names carry a level (LO, MD, HI; the others XX). Row names of tabulatedVotes.csv begin
with 1 (voice), 2 (face) or 3 (both), as `queryType` of the README. A level that nobody voted for is -1. `emoVote`, and
`VoiceVote` and `VoiceLevel` of summaryTable.csv, join ties by colons (`A:D`): the counts say the same without ties, so
they alone are read. Downloads from before 2022 and their mirrors name one file `1040_ITH_SAD_X` (issue 6).
The README names four bad recordings. All are yielded: 1076_MTI_SAD_XX is silent, 1076_MTI_NEU_XX and 1064_TIE_SAD_XX
are nearly empty, and 1064_IEO_DIS_MD runs through all emotions in a minute.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    look_up,
    parse_each,
    read_table,
    rows_without_audio,
)

CORPUS = "crema_d"
LICENSE = "ODbL-1.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://github.com/CheyneyComputerScience/CREMA-D"
CITATION = (
    "Cao et al., CREMA-D: Crowd-sourced Emotional Multimodal Actors Dataset, "
    "IEEE Transactions on Affective Computing 5(4), 2014"
)

NAME = re.compile(r"(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{2})")
RENAMED = {"1040_ITH_SAD_X": "1040_ITH_SAD_XX"}  # https://github.com/CheyneyComputerScience/CREMA-D/issues/6
UNSPECIFIED = "XX"
VOICE = "1"
NEUTRAL = "N"
MEAN_LEVEL = {
    "A": "meanAngerResp",
    "D": "meanDisgustResp",
    "F": "meanFearResp",
    "H": "meanHappyResp",
    "N": "meanNeutralResp",
    "S": "meanSadResp",
}
GENDER = {"Female": "female", "Male": "male"}
SENTENCES = {
    "IEO": "It's eleven o'clock.",
    "TIE": "That is exactly what happened.",
    "IOM": "I'm on my way to the meeting.",
    "IWW": "I wonder what this is about.",
    "TAI": "The airplane is almost full.",
    "MTI": "Maybe tomorrow it will be cold.",
    "IWL": "I would like a new alarm clock.",
    "ITH": "I think I have a doctor's appointment.",
    "DFA": "Don't forget a jacket.",
    "ITS": "I think I've seen this before.",
    "TSI": "The surface is slick.",
    "WSI": "We'll stop in a couple of minutes.",
}


def record(path: Path, heard: Mapping[str, dict[str, str]], actors: Mapping[str, dict[str, str]]) -> NativeRecord:
    """Read one record from a name such as `1001_IEO_HAP_LO.wav`, its listeners' row and its actor's row.

    Raises:
        CorpusError: if the name has another form, the clip or its actor has no row, or a value is not documented.
    """
    clip = clip_name(path)
    name = NAME.fullmatch(clip)
    if not name:
        raise CorpusError(f"crema_d: name must be like 1001_IEO_HAP_LO; got {path.name!r}.")
    actor, sentence, emotion, level = name.groups()
    if clip not in heard:
        raise CorpusError(f"crema_d: file must have a voice row in tabulatedVotes.csv; got none for {path.name!r}.")
    if actor not in actors:
        raise CorpusError(f"crema_d: actor must have a row in VideoDemographics.csv; got {actor!r} in {path.name!r}.")
    return NativeRecord(
        path=path,
        name=clip,
        speaker=actor,
        language="en",
        label=emotion,
        level=None if level == UNSPECIFIED else level,
        intensity=heard_intensity(heard[clip]),
        gender=look_up(actors[actor]["Sex"], GENDER, field="Sex", item=f"actor {actor}"),
        age=_years(actors[actor]),
        text=look_up(sentence, SENTENCES, field="sentence", item=path.name),
        votes=heard_votes(heard[clip]),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download, each clip once: from `AudioWAV` where it is there.

    Raises:
        CorpusError: if an annotation file or the audio is missing.
    """
    votes = read_table(
        _find(folder, "processedResults/tabulatedVotes.csv"), ("", "fileName", *MEAN_LEVEL, *MEAN_LEVEL.values())
    )
    heard = {row["fileName"]: row for row in votes if row[""].startswith(VOICE)}
    demographics = read_table(_find(folder, "VideoDemographics.csv"), ("ActorID", "Age", "Sex"))
    actors = {row["ActorID"]: row for row in demographics}
    first: dict[str, Path] = {}
    for path in sorted(find_audio(folder), key=lambda path: path.parent.name.lower() != "audiowav"):
        chosen = first.setdefault(clip_name(path), path)
        if chosen != path:
            beside = chosen.relative_to(folder).as_posix()
            yield Skipped(path, f"crema_d: clip must be read once; got {path.name!r} beside {beside!r}.")
    yield from parse_each(first.values(), lambda path: record(path, heard, actors))
    unheard = {clip: row for clip, row in heard.items() if clip not in first}
    yield from rows_without_audio((), unheard, folder, "tabulatedVotes.csv")


def clip_name(path: Path) -> str:
    """The clip's name in the annotation files."""
    return RENAMED.get(path.stem, path.stem)


def heard_votes(row: Mapping[str, str]) -> tuple[str, ...]:
    """The emotion that each listener heard, in the order of the columns."""
    return tuple(label for label in MEAN_LEVEL for _ in range(_count(row, label)))


def heard_intensity(row: Mapping[str, str]) -> float | None:
    """Mean over the listeners of the level that each gave to the emotion heard, from 0 to 1; `None` without listeners.

    A vote for neutral counts 0: its level says how sure the listener was that there is no emotion.

    Raises:
        CorpusError: if a count is no whole number, or a level that was voted for is not from 0 to 100.
    """
    listeners = sum(_count(row, label) for label in MEAN_LEVEL)
    total = 0.0
    for label, column in MEAN_LEVEL.items():
        count = _count(row, label)
        if count and label != NEUTRAL:
            total += count * _level(row, column)
    return total / (100 * listeners) if listeners else None


def _count(row: Mapping[str, str], label: str) -> int:
    if not row[label].isdecimal():
        raise CorpusError(f"crema_d: {label} must be a whole number; got {row[label]!r} in {row['fileName']!r}.")
    return int(row[label])


def _level(row: Mapping[str, str], column: str) -> float:
    try:
        level = float(row[column])
    except ValueError:
        level = math.nan
    if not 0 <= level <= 100:
        raise CorpusError(
            f"crema_d: {column} must be from 0 to 100 where there are votes; "
            f"got {row[column]!r} in {row['fileName']!r}."
        )
    return level


def _years(actor: Mapping[str, str]) -> float:
    if not actor["Age"].isdecimal():
        raise CorpusError(f"crema_d: Age must be whole years; got {actor['Age']!r} in 'actor {actor['ActorID']}'.")
    return float(actor["Age"])


def _find(folder: Path, name: str) -> Path:
    """An annotation file where the download has it, or in a folder that a mirror put around the download."""
    return next(iter(sorted(folder.rglob(Path(name).name))), folder / name)
