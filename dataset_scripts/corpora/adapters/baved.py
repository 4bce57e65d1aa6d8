"""BAVED: Arabic, seven words said at three levels of emotion, without a category.

Source: https://github.com/40uf411/Basic-Arabic-Vocal-Emotions-Dataset, folders `0` to `6`, 1,935 files.
Licence: none is stated.
Files: `{word}/{speaker}-{gender}-{age}-{word}-{level}-{record}.wav`. By its README, level 0 is a low emotion, "similar
to feeling tired or feeling down", 1 is neutral, as the speaker talks daily, and 2 is a high level of any emotion.
Quirks: one file lies in the folder of another word, so that its word is not certain: it has no transcript. The README
writes the words without vowel signs; they are added here, because espeak-ng cannot read the words without them. It
spells word 5 مقول. The number of the record makes a file name unique. All 21 recordings of speaker 53 are those of
speaker 46 again: both are read as speaker 46, so that no split tests what another one trains on.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped, find_audio, parse_each

CORPUS = "baved"
LICENSE = "no licence stated"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/40uf411/Basic-Arabic-Vocal-Emotions-Dataset"
CITATION = (
    "Basic Arabic Vocal Emotions Dataset (BAVED), https://github.com/40uf411/Basic-Arabic-Vocal-Emotions-Dataset"
)

NAME = re.compile(r"(\d{1,3})-([mf])-(\d{1,2})-([0-6])-([0-2])-\d+")
GENDER = {"f": "female", "m": "male"}
SAME_SPEAKER = {"53": "46"}
WORDS = {
    "0": "أَعْجَبَنِي",
    "1": "لَمْ يُعْجِبْنِي",
    "2": "هَذَا",
    "3": "الفِيلْم",
    "4": "رَائِع",
    "5": "مَعْقُول",
    "6": "سَيِّئ",
}


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `47-m-20-3-2-1023.wav` and its folder.

    Raises:
        CorpusError: if the name has another form.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"baved: name must be like 47-m-20-3-2-1023; got {path.name!r}.")
    speaker, gender, age, word, level = name.groups()
    certain = path.parent.name not in WORDS or path.parent.name == word
    return NativeRecord(
        path=path,
        speaker=SAME_SPEAKER.get(speaker, speaker),
        language="ar",
        level=level,
        gender=GENDER[gender],
        age=float(age),
        text=WORDS[word] if certain else None,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)
