"""ESD: Mandarin and English, 350 texts acted in five emotions by ten speakers of each language (Zhou et al. 2022).

Source: https://hltsingapore.github.io/ESD/, folders `0001` to `0020`, 35,000 files. Licence: its ReadMe.txt, "only can
be used for research purpose".
Files: `{speaker}/{emotion}/{speaker}_{number}.wav`, or with a folder `train`, `evaluation` or `test` between, which is
the corpus's own split; a download without these folders publishes none. Transcripts: `{speaker}/{speaker}.txt`, lines
`id<TAB>text<TAB>emotion`.
Quirks: transcripts are in GB 2312, UTF-16, UTF-8 and Latin-1 (with Windows quotation marks) from file to file, see
https://github.com/Strong-AI-Lab/emotion, datasets/ESD/process.py. Some lines have spaces for tabs, or no emotion.
Speakers 0001 to 0010 speak Mandarin and have the emotion in Chinese, 0011 to 0020 English; 4, 5, 6, 8, 10 to 14 and 20
are men (ReadMe.txt). The label is the emotion's folder, in English for every speaker; a file whose folder the
transcript contradicts is skipped. The transcript is not needed for the label, so that a missing or unreadable one
costs only its texts; the report names it. A text has the same number modulo 350 in every emotion: 1, 351, 701, 1051
and 1401.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    UNREADABLE,
    CorpusError,
    NativeRecord,
    Skipped,
    decode_text,
    find_audio,
    find_entry,
    look_up,
    parse_each,
    rows_without_audio,
)

CORPUS = "esd"
LICENSE = "research use only"
REDISTRIBUTABLE = False
HOMEPAGE = "https://hltsingapore.github.io/ESD/"
CITATION = "Zhou et al., Emotional Voice Conversion: Theory, Databases and ESD, Speech Communication 137, 2022"

NAME = re.compile(r"(\d{4})_\d{6}")
LINE = re.compile(r"(\d{4}_\d{6})\s+(\S.*)")
SPLITS = ("train", "evaluation", "test")
EMOTION = {name.lower(): name for name in ("Angry", "Happy", "Neutral", "Sad", "Surprise")}
WRITTEN = EMOTION | {"中立": "Neutral", "快乐": "Happy", "伤心": "Sad", "生气": "Angry", "惊喜": "Surprise"}
MALE = (4, 5, 6, 8, 10, 11, 12, 13, 14, 20)
GENDER = {f"{number:04d}": "male" if number in MALE else "female" for number in range(1, 21)}
MANDARIN = tuple(GENDER)[:10]
ENCODINGS = {"zh": ("utf-8", "gb18030"), "en": ("utf-8", "cp1252", "latin-1")}


def record(path: Path, lines: Mapping[str, tuple[str, str | None]]) -> NativeRecord:
    """Read one record from a path such as `0001/Angry/train/0001_000351.wav` and its line of the transcript.

    Raises:
        CorpusError: if the name has another form, the speaker is not that of the folder, or the emotion is not
            documented or not that of the transcript.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"esd: name must be like 0001_000351; got {path.name!r}.")
    speaker, home = name[1], speaker_folder(path)
    gender = look_up(speaker, GENDER, field="speaker", item=path.name)
    if home.name != speaker:
        raise CorpusError(f"esd: speaker must be that of the folder; got {path.name!r} in {home.name!r}.")
    label = look_up(
        path.relative_to(home).parts[0].lower(), EMOTION, field="emotion", item=str(path.relative_to(home))
    )
    text, written = lines.get(path.stem, (None, None))
    if written not in (None, label):
        raise CorpusError(
            f"esd: emotion must be that of the transcript, {written!r}; got {label!r} for {path.name!r}."
        )
    split = path.parent.name.lower()
    return NativeRecord(
        path=path,
        speaker=speaker,
        language="zh" if speaker in MANDARIN else "en",
        label=label,
        gender=gender,
        text=text,
        official_split=split if split in SPLITS else None,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    paths = find_audio(folder)
    lines: dict[str, tuple[str, str | None]] = {}
    for home in dict.fromkeys(speaker_folder(path) for path in paths):
        if home.name in GENDER:
            found, unread = read_transcript(home)
            lines |= found
            yield from unread
    yield from parse_each(paths, lambda path: record(path, lines))
    yield from rows_without_audio(paths, lines, folder, "transcript")


def speaker_folder(path: Path) -> Path:
    """The folder above the emotion's."""
    emotion = path.parent.parent if path.parent.name.lower() in SPLITS else path.parent
    return emotion.parent


def read_transcript(home: Path) -> tuple[dict[str, tuple[str, str | None]], list[Skipped]]:
    """Read the transcript of a speaker.

    Returns:
        `tuple`: utterance -> its text and its emotion in English (`None` where the line has none); and what could not
        be read.
    """
    path = find_entry(home, f"{home.name}.txt")
    if path is None:
        reason = f"got no '{home.name}.txt' in {str(home)!r}. Its utterances have no text; copy it from the download."
        return {}, [Skipped(home / f"{home.name}.txt", f"esd: transcript must exist; {reason}")]
    try:
        written = decode_text(path, ENCODINGS["zh" if home.name in MANDARIN else "en"])
    except CorpusError as error:
        return {}, [Skipped(path, str(error))]
    lines: dict[str, tuple[str, str | None]] = {}
    unread: list[Skipped] = []
    for place, line in enumerate(written.split("\n"), start=1):
        if parsed := parse_line(line.strip()):
            name, text, emotion = parsed
            lines[name] = (text, emotion)
        elif line.strip():
            rule = "line must be an id, a text and one of the five emotions"
            unread.append(Skipped(path, f"esd: {rule}; got {line.strip()!r} in {path.name!r}, line {place}."))
    return lines, unread


def parse_line(line: str) -> tuple[str, str, str | None] | None:
    """Split a line into id, text and emotion; `None` if it has another form."""
    found = LINE.fullmatch(line)
    if not found or UNREADABLE in line:
        return None
    name, rest = found.groups()
    *before, last = (field.strip() for field in rest.split("\t"))
    if before:  # tabs: the last field must be an emotion
        return (name, " ".join(before), WRITTEN[last.lower()]) if last.lower() in WRITTEN else None
    *before, last = rest.rsplit(maxsplit=1)
    if before and last.lower() in WRITTEN:
        return name, before[0], WRITTEN[last.lower()]
    return name, rest, None
