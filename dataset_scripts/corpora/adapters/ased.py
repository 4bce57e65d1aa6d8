"""ASED v1: Amharic, acted by 65 speakers (Retta et al. 2022).

Source: https://github.com/wgwangang/ASED_V1, folders `01Neutral` to `05Angry`. Licence: none stated.
Files: `xn-yy-aa-gg-bb.wav`: emotion and folder, sentence, repetition, gender, speaker. No transcripts.
Quirks: speakers 09, 15, 21, 23 and 25, women in all their other files, have one file each that says male and is not a
second take of another file. The number is read as the speaker, and a speaker has the gender of most of the files, which
gives the 25 women and 40 men of the README. One emotion letter is a capital. Four pairs of files hold identical audio as
repetitions 01 and 02 of one speaker; both are kept. The audit of near duplicates finds three recordings under two speaker
numbers each (f2-04-01-01 and h3-07-01-01 of 23 and 25, n1-05-01-02-52 and n1-05-02-02-45): they are kept and listed.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped, find_audio, parse_each

CORPUS = "ased"
LICENSE = "no licence stated"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/wgwangang/ASED_V1"
CITATION = "Retta et al., A New Amharic Speech Emotion Dataset and Classification Benchmark, 2022"

NAME = re.compile(r"([a-z])([1-5])-(\d{2})-(\d{2})-(01|02)-(\d{2})", re.IGNORECASE)
GENDER = {"01": "female", "02": "male"}
FOLDER = {"01Neutral": "n", "02Fearful": "f", "03Happy": "h", "04Sad": "s", "05Angry": "a"}


def record(path: Path, genders: Mapping[str, str | None]) -> NativeRecord:
    """Read one record from a name such as `a5-03-01-02-50.wav` and its folder.

    Raises:
        CorpusError: if the name has another form, or its emotion is not that of the folder.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"ased: name must be like a5-03-01-02-50; got {path.name!r}.")
    emotion, number, _, _, _, speaker = name.groups()
    folder = path.parent.name
    if FOLDER.get(folder) != emotion.lower() or int(folder[:2]) != int(number):
        raise CorpusError(f"ased: emotion must be that of the folder; got {path.name!r} in {folder!r}.")
    return NativeRecord(path=path, speaker=speaker, language="am", label=emotion.lower(), gender=genders[speaker])


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    paths = find_audio(folder)
    genders = speaker_genders(paths)
    yield from parse_each(paths, lambda path: record(path, genders))


def speaker_genders(paths: list[Path]) -> dict[str, str | None]:
    """The gender in most of a speaker's file names; `None` where two are as frequent."""
    counts: dict[str, Counter] = {}
    for path in paths:
        if name := NAME.fullmatch(path.stem):
            counts.setdefault(name[6], Counter())[GENDER[name[5]]] += 1
    return {
        speaker: None if count["female"] == count["male"] else count.most_common(1)[0][0]
        for speaker, count in counts.items()
    }
