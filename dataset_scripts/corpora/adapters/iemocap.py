"""IEMOCAP: English, five dyadic sessions of ten actors, improvised and scripted (Busso et al. 2008).

Source: https://sail.usc.edu/iemocap, after a signed release form. Licence: that form, for research; not passed on.
The fold is the session, so that a session can be left out.
Layout, below `IEMOCAP_full_release/`: `Session{1..5}/sentences/wav/<dialog>/<turn>.wav`,
`Session*/dialog/EmoEvaluation/<dialog>.txt`, `Session*/dialog/transcriptions/<dialog>.txt`; 151 dialogs, 10,039 turns.
Turns: `Ses01F_impro01_M003`, `Ses05M_script01_1b_F000`: session, actor with the motion-capture markers, dialog, and
then the one who speaks. So speaker and gender are read from the last letter, never from the first.
EmoEvaluation: a turn is `[start - end]<TAB>turn<TAB>emotion<TAB>[V, A, D]` and one line per evaluation below it.
Quirks: an evaluator may give several categories (`C-E2: Frustration; Anger; ()`), each of them is a vote.
Lines of F and M instead of E are the actors' evaluations of themselves: they are left out, as the corpus itself leaves
them out of [V, A, D]. A dimension that an evaluator left empty, or gave outside the scale of 1 to 5, is missing; a turn
without evaluators' dimensions keeps [V, A, D]. Marks of noise in transcripts, `[LAUGHTER]`, are no words and are
dropped. Labels are three letters, `xxx` where no majority agreed, evaluators' categories whole words. The four-class
set of 5,531 turns is ang, hap with exc, neu and sad.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    find_entry,
    parse_each,
    read_text,
    rows_without_audio,
)

CORPUS = "iemocap"
LICENSE = "IEMOCAP release form: research only, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://sail.usc.edu/iemocap/"
CITATION = "Busso et al., IEMOCAP: Interactive emotional dyadic motion capture database, LREV 42(4), 2008"

SCALE = (1.0, 5.0)
SESSIONS = ("Session1", "Session2", "Session3", "Session4", "Session5")
GENDER = {"F": "female", "M": "male"}
DIMENSION = {"val": "valence", "act": "arousal", "dom": "dominance"}
TURN = re.compile(r"(Ses0[1-5])[FM]_(?:impro|script)\w+_([FM])\d{3}")
NUMBER = r"(\d+(?:\.\d+)?)"
SUMMARY = re.compile(rf"\[[\d. -]+\]\s+(\w+)\s+(\w+)\s+\[{NUMBER}, {NUMBER}, {NUMBER}\]")
CATEGORIES = re.compile(r"C-E\d+:([^(]*)")
RATING = re.compile(r"A-E\d+:([^(]*)")
VALUE = re.compile(rf"(val|act|dom)\s+{NUMBER}")
TRANSCRIPT = re.compile(r"(Ses\w+)\s+\[[\d. -]+\]:(.*)")
NOISE = re.compile(r"\[[A-Z]+\]")


class Evaluation(NamedTuple):
    """What EmoEvaluation says of one turn: its label, its [V, A, D], and the evaluators' votes and ratings."""

    label: str
    mean: dict[str, float | None]
    votes: list[str]
    ratings: list[dict[str, float | None]]


def read_evaluations(text: str) -> dict[str, Evaluation]:
    """Read an EmoEvaluation file: turn -> [`Evaluation`]."""
    found: dict[str, Evaluation] = {}
    turn = None
    for line in text.split("\n"):
        if line.startswith("["):
            summary = SUMMARY.match(line)
            turn = summary[1] if summary else None
            if turn:
                values = dict(zip(DIMENSION, summary.groups()[2:], strict=True))
                found[turn] = Evaluation(summary[2], _dimensions(values), [], [])
        elif turn and (categories := CATEGORIES.match(line)):
            found[turn].votes.extend(filter(None, map(str.strip, categories[1].split(";"))))
        elif turn and (rating := RATING.match(line)):
            found[turn].ratings.append(_dimensions(dict(VALUE.findall(rating[1]))))
    return found


def read_transcripts(text: str) -> dict[str, str]:
    """Read a transcription file: turn -> words."""
    lines = filter(None, map(TRANSCRIPT.match, text.split("\n")))
    return {line[1]: " ".join(NOISE.sub(" ", line[2]).split()) for line in lines}


def record(path: Path, evaluations: Mapping[str, Evaluation], texts: Mapping[str, str]) -> NativeRecord:
    """Read one record from a name such as `Ses01F_impro01_M003.wav`, its evaluation and its transcript.

    Raises:
        CorpusError: if the name has another form, or EmoEvaluation has no line for the turn.
    """
    name = TURN.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"iemocap: name must be like Ses01F_impro01_M003; got {path.name!r}.")
    if path.stem not in evaluations:
        raise CorpusError(f"iemocap: turn must have a line in EmoEvaluation; got none for {path.name!r}.")
    session, letter = name.groups()
    evaluation = evaluations[path.stem]
    return NativeRecord(
        path=path,
        speaker=f"{session}{letter}",
        language="en",
        label=evaluation.label,
        gender=GENDER[letter],
        fold=int(session[-1]),
        text=texts.get(path.stem) or None,
        votes=tuple(evaluation.votes),
        ratings=tuple(evaluation.ratings or [evaluation.mean]),
        rating_scale=SCALE,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download, session after session.

    Raises:
        CorpusError: if there is no session, or one without EmoEvaluation or audio.
    """
    first = find_entry(folder, *SESSIONS, depth=1)
    if first is None:
        raise CorpusError(
            f"iemocap: folder must hold Session1 to Session5; got none in {str(folder)!r}. "
            "Unpack IEMOCAP_full_release there."
        )
    for session in filter(None, (find_entry(first.parent, name) for name in SESSIONS)):
        if (dialog := _folder(session, "dialog", "EmoEvaluation")) is None:
            raise CorpusError(
                f"iemocap: annotation folder must exist; got no dialog/EmoEvaluation in {str(session)!r}. "
                "Copy it there from the download."
            )
        evaluations = _read_all(dialog, read_evaluations)
        texts = _read_all(_folder(session, "dialog", "transcriptions"), read_transcripts)
        audio = _folder(session, "sentences", "wav") or session / "sentences" / "wav"
        paths = find_audio(audio)
        yield from parse_each(paths, lambda path, found=(evaluations, texts): record(path, *found))
        yield from rows_without_audio(paths, evaluations, audio, "EmoEvaluation")


def _dimensions(values: Mapping[str, str]) -> dict[str, float | None]:
    low, high = SCALE
    numbers = {name: float(values[code]) if code in values else None for code, name in DIMENSION.items()}
    return {name: value if value is not None and low <= value <= high else None for name, value in numbers.items()}


def _folder(session: Path, *names: str) -> Path | None:
    folder: Path | None = session
    for name in names:
        folder = folder and find_entry(folder, name)
    return folder


def _read_all(folder: Path | None, read) -> dict:
    """Read the text files right inside a folder; macOS's `._*` companions are left out."""
    found = {}
    for path in sorted(folder.iterdir()) if folder else ():
        if path.suffix.lower() == ".txt" and not path.name.startswith("._"):
            found |= read(read_text(path))
    return found
