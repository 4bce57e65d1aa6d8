"""JL-Corpus: New Zealand English, acted by four speakers in five primary and five secondary emotions (James et al. 2018).

Had from: https://www.kaggle.com/datasets/tli725/jl-corpus, 2,400 files. Terms: CC0, citation asked.
Files: `Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/{speaker}_{emotion}_{sentence}{session}_{take}.wav`, such
as `male1_angry_10a_1.wav`, each with its transcript in a `.txt` of the same name.
Quirks: the download holds a part of that folder once more in lower case: the copies have the ids of the first; it holds
the audio of the listening test as well, under other names. Sentences 11 to 15 differ from emotion to emotion, so the
transcript is the file's own. Listeners' answers are not published.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    parse_each,
    read_text,
)

CORPUS = "jl_corpus"
LICENSE = "CC0-1.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://www.kaggle.com/datasets/tli725/jl-corpus"
CITATION = (
    "James, Tian and Watson, An Open Source Emotional Speech Corpus for Human Robot Interaction Applications, "
    "Interspeech 2018"
)

NAME = re.compile(r"((female|male)[12])_([a-z]+)_(\d{1,2}[ab])_(\d)", re.IGNORECASE)


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `male1_angry_10a_1.wav` and the transcript beside it, if there is one.

    Raises:
        CorpusError: if the name has another form, or the transcript cannot be read.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"jl_corpus: name must be like male1_angry_10a_1; got {path.name!r}.")
    speaker, gender, emotion, _, _ = (part.lower() for part in name.groups())
    transcript = path.with_suffix(".txt")
    return NativeRecord(
        path=path,
        speaker=speaker,
        language="en",
        label=emotion,
        gender=gender,
        text=read_text(transcript).strip() or None if transcript.is_file() else None,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)
