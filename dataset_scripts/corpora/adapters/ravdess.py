"""RAVDESS: North American English, two statements acted by 24 speakers at two strengths (Livingstone and Russo 2018).

Source: https://zenodo.org/records/1188976, `Audio_Speech_Actors_01-24.zip`, folders `Actor_01` to `Actor_24`, 1,440
files. Licence: CC BY-NC-SA 4.0.
Files: `{modality}-{channel}-{emotion}-{level}-{statement}-{repetition}-{actor}.wav`, "File naming convention".
Quirks: odd actors are male, even ones female. Neutral is never acted strongly. The same download holds song
(`Audio_Song_Actors_01-24.zip`, channel 02) and video (modalities 01 and 02); song is not speech, and
full-AV files repeat the audio-only recordings: all are skipped with their reason. Calm is a second baseline beside
neutral and yet acted at two strengths, so that the table leaves its intensity missing.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    look_up,
    parse_each,
)

CORPUS = "ravdess"
LICENSE = "CC-BY-NC-SA-4.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://zenodo.org/records/1188976"
CITATION = (
    "Livingstone and Russo, The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS), "
    "PLoS ONE 13(5), 2018"
)

NAME = re.compile(r"\d{2}(-\d{2}){6}")
ACTOR_FOLDER = re.compile(r"actor_(\d{2})", re.IGNORECASE)
ACTORS = tuple(f"{number:02d}" for number in range(1, 25))
MODALITY = {"01": "full-AV", "02": "video-only", "03": "audio-only"}
CHANNEL = {"01": "speech", "02": "song"}
EMOTION = {
    "01": "neutral",
    "02": "calm",
    "03": "happy",
    "04": "sad",
    "05": "angry",
    "06": "fearful",
    "07": "disgust",
    "08": "surprised",
}
LEVEL = {"01": "normal", "02": "strong"}
STATEMENTS = {"01": "Kids are talking by the door.", "02": "Dogs are sitting by the door."}
REPETITION = {"01": "first", "02": "second"}


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `03-01-06-01-02-01-12.wav`.

    Raises:
        CorpusError: if the name has another form, holds a code that the corpus does not document, is not of
            audio-only speech, or contradicts its folder.
    """
    if not NAME.fullmatch(path.stem):
        raise CorpusError(f"ravdess: name must be like 03-01-06-01-02-01-12; got {path.name!r}.")
    modality, channel, emotion, level, statement, repetition, actor = path.stem.split("-")
    _check_kind(modality, channel, path)
    label = look_up(emotion, EMOTION, field="emotion", item=path.name)
    strength = look_up(level, LEVEL, field="level", item=path.name)
    if (label, strength) == ("neutral", "strong"):
        raise CorpusError(f"ravdess: level of neutral must be normal; got strong in {path.name!r}.")
    look_up(repetition, REPETITION, field="repetition", item=path.name)
    folder = ACTOR_FOLDER.fullmatch(path.parent.name)
    if actor not in ACTORS or (folder and folder[1] != actor):
        raise CorpusError(
            f"ravdess: actor must be from 01 to 24 and that of the folder; got {path.name!r} in {path.parent.name!r}."
        )
    return NativeRecord(
        path=path,
        speaker=actor,
        language="en",
        label=label,
        level=strength,
        gender="male" if int(actor) % 2 else "female",
        text=look_up(statement, STATEMENTS, field="statement", item=path.name),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)


def _check_kind(modality: str, channel: str, path: Path):
    kind = look_up(modality, MODALITY, field="modality", item=path.name)
    if kind != "audio-only":
        hint = " Its sound is in Audio_Speech_Actors_01-24.zip." if kind == "full-AV" else ""
        raise CorpusError(f"ravdess: modality must be audio-only; got {kind} in {path.name!r}.{hint}")
    voice = look_up(channel, CHANNEL, field="channel", item=path.name)
    if voice != "speech":
        raise CorpusError(f"ravdess: channel must be speech; got {voice} in {path.name!r}.")
