"""BanglaSER: Bangla, three sentences acted by 34 speakers (Das et al. 2022).

Source: https://data.mendeley.com/datasets/t9h6p943xy, 1,467 files by its description. Licence: CC BY 4.0.
Files: `{mode}-{type}-{emotion}-{level}-{statement}-{repetition}-{actor}.wav`. The form is that of RAVDESS; the codes of
the emotions differ. Odd actors are male, even actors are female.
Quirks: mode and statement type are not read, because three files of actor 15 have 01 (audio and video) as their mode
and are audio like all others. The level follows from the emotion: strong for angry and surprise, normal for the others.
Version 2 of the download gives the sentences; only 27 of the speakers act neutral.
BanglaSER Extended has the same names with more emotions, levels and sentences, but no licence: see `banglaser_ext`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    look_up,
    parse_each,
)

CORPUS = "banglaser"
LICENSE = "CC-BY-4.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://data.mendeley.com/datasets/t9h6p943xy"
CITATION = (
    "Das et al., BanglaSER: A speech emotion recognition dataset for the Bangla language, Data in Brief 42, 2022"
)

NAME = re.compile(r"\d{2}-\d{2}-(\d{2})-(\d{2})-(\d{2})-\d{2}-(\d{2})")
ACTOR_FOLDER = re.compile(r"actor[ _-]*(\d{1,2})", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """The codes of one of the two downloads."""

    corpus: str
    actors: range
    emotions: Mapping[str, str]
    levels: Mapping[str, str]
    statements: Mapping[str, str]


LAYOUT = Layout(
    corpus=CORPUS,
    actors=range(1, 35),
    emotions={"01": "happy", "02": "sad", "03": "angry", "04": "surprise", "05": "neutral"},
    levels={"01": "normal", "02": "strong"},
    statements={"01": "বারোটা বেজে গেছে", "02": "আমি জানতাম এমন কিছু হবে", "03": "এ কেমন উপহার"},
)


def record(path: Path, layout: Layout = LAYOUT) -> NativeRecord:
    """Read one record from a name such as `03-01-04-02-03-01-15.wav`.

    Raises:
        CorpusError: if the name has another form, holds a code that the layout does not document, or an actor that is
            not in the layout or not that of the folder.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"{layout.corpus}: name must be like 03-01-04-02-03-01-15; got {path.name!r}.")
    emotion, level, statement, actor = name.groups()
    folder = ACTOR_FOLDER.fullmatch(path.parent.name)
    if int(actor) not in layout.actors or (folder and int(folder[1]) != int(actor)):
        first, last = layout.actors[0], layout.actors[-1]
        raise CorpusError(
            f"{layout.corpus}: actor must be from {first:02d} to {last:02d} and that of the folder; "
            f"got {path.name!r} in {path.parent.name!r}."
        )
    return NativeRecord(
        path=path,
        speaker=actor,
        language="bn",
        label=look_up(emotion, layout.emotions, field="emotion", item=path.name),
        level=look_up(level, layout.levels, field="level", item=path.name),
        gender="male" if int(actor) % 2 else "female",
        text=look_up(statement, layout.statements, field="statement", item=path.name),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)
