"""URDU-Dataset: Urdu, cut from talk shows (Latif et al. 2018).

Had from: https://github.com/siddiquelatif/URDU-Dataset, folders `Angry`, `Happy`, `Neutral` and `Sad`.
Terms: "Anyone can use this data only for research purposes." Files: `SGX_FXX_EYY.wav`: speaker with gender, number of
the file, emotion and number. No transcripts. Quirk: the README speaks of 38 speakers (27 male, 11 female),
the file names of 29 (18 male, 11 female).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped, find_audio, parse_each

CORPUS = "urdu"
LICENSE = "research use only"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/siddiquelatif/URDU-Dataset"
CITATION = "Latif et al., Cross Lingual Speech Emotion Recognition: Urdu vs. Western Languages, FIT 2018"

NAME = re.compile(r"(S([FM])\d+)_F\d+_([A-Z])\d+")
GENDER = {"F": "female", "M": "male"}
FOLDER = {"Angry": "A", "Happy": "H", "Neutral": "N", "Sad": "S"}


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `SM1_F01_A12.wav` and its folder.

    Raises:
        CorpusError: if the name has another form, or its emotion is not that of the folder.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"urdu: name must be like SM1_F01_A12; got {path.name!r}.")
    speaker, gender, emotion = name.groups()
    if FOLDER.get(path.parent.name) != emotion:
        raise CorpusError(f"urdu: emotion must be that of the folder; got {path.name!r} in {path.parent.name!r}.")
    return NativeRecord(path=path, speaker=speaker, language="ur", label=emotion, gender=GENDER[gender])


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)
