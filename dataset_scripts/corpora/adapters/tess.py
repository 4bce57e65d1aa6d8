"""TESS: Canadian English, 200 words in a carrier phrase acted by two actresses (Pichora-Fuller and Dupuis 2010).

Source: https://tspace.library.utoronto.ca/handle/1807/24487 or https://doi.org/10.5683/SP2/E8H2MF, 2,800 files.
Licence: CC BY-NC-ND 4.0: unchanged copies may be passed on; 16 kHz FLAC may count as a change, so it is not.
Files: `{OAF,YAF}_{word}_{emotion}.wav`, in folders such as `OAF_angry` or flat; OAF is the actress of 64 years, YAF
that of 26. "ps" is pleasant surprise.
Quirks: folders of mirrors differ in case and spelling (`OAF_Fear`, `YAF_fear`, `OAF_Pleasant_surprise`,
`YAF_pleasant_surprised`); the Kaggle mirror holds the whole folder a second time inside itself, and the second copies
have the ids of the first; `OA_bite_neutral` lacks its F.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped, find_audio, parse_each

CORPUS = "tess"
LICENSE = "CC-BY-NC-ND-4.0"
REDISTRIBUTABLE = False
HOMEPAGE = "https://tspace.library.utoronto.ca/handle/1807/24487"
CITATION = "Pichora-Fuller and Dupuis, Toronto emotional speech set (TESS), 2010, https://doi.org/10.5683/SP2/E8H2MF"

NAME = re.compile(r"([A-Z]+)_([A-Z]+)_([A-Z]+)", re.IGNORECASE)
FOLDER = re.compile(r"(OAF|YAF)_(.+)", re.IGNORECASE)
MISSPELT = {"oa_bite_neutral": "OAF_bite_neutral"}
FOLDER_EMOTION = {"pleasant_surprise": "ps", "pleasant_surprised": "ps"}
AGE = {"OAF": 64.0, "YAF": 26.0}


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `OAF_back_angry.wav` and its folder.

    Raises:
        CorpusError: if the name has another form, or its speaker and emotion are not those of the folder.
    """
    name = NAME.fullmatch(MISSPELT.get(path.stem.lower(), path.stem))
    if not name or name[1].upper() not in AGE:
        raise CorpusError(f"tess: name must be like OAF_back_angry or YAF_back_ps; got {path.name!r}.")
    speaker, word, emotion = name[1].upper(), name[2].lower(), name[3].lower()
    if folder := FOLDER.fullmatch(path.parent.name):
        named = folder[2].lower()
        if (folder[1].upper(), FOLDER_EMOTION.get(named, named)) != (speaker, emotion):
            raise CorpusError(
                f"tess: speaker and emotion must be those of the folder; got {path.name!r} in {path.parent.name!r}."
            )
    return NativeRecord(
        path=path,
        name=f"{speaker}_{word}_{emotion}",
        speaker=speaker,
        language="en",
        label=emotion,
        gender="female",
        age=AGE[speaker],
        text=f"Say the word {word}.",
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)
