"""SAVEE: British English, TIMIT sentences acted by four men (Haq and Jackson 2010).

Had from: https://kahlan.eps.surrey.ac.uk/savee/ after registration. Terms: free of charge for research, no licence to
pass it on.
Files: `AudioData/{speaker}/{emotion}{number}.wav`, 15 a speaker and emotion, 30 for neutral; mirrors have them flat as
`ALL/{speaker}_{emotion}{number}.wav`. Letters as in `AudioData/Info.txt`.
Quirks: sadness and surprise have two letters, sa and su; names repeat from speaker to speaker, so that an utterance is
named `DC_a01` in both layouts. The speakers were 27 to 31 years old, who was how old is not said. Sentences are given
as examples, not by number: no transcripts.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped, find_audio, parse_each

CORPUS = "savee"
LICENSE = "research use only after registration, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://kahlan.eps.surrey.ac.uk/savee/"
CITATION = "Haq and Jackson, Multimodal Emotion Recognition, in: Machine Audition, IGI Global, 2010"

SPEAKERS = ("DC", "JE", "JK", "KL")
NAME = re.compile(r"(?:([A-Z]{2})_)?([a-z]+)(\d{2})", re.IGNORECASE)


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `DC_a01.wav`, or `a01.wav` in the folder of its speaker.

    Raises:
        CorpusError: if the name has another form, its speaker is unknown, or not that of the folder.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"savee: name must be like DC_a01 or DC/a01; got {path.name!r}.")
    folder, emotion = path.parent.name.upper(), name[2].lower()
    speaker = name[1].upper() if name[1] else folder
    if speaker not in SPEAKERS or (folder in SPEAKERS and folder != speaker):
        raise CorpusError(
            f"savee: speaker must be one of {', '.join(SPEAKERS)}, in the name or the folder; "
            f"got {path.name!r} in {path.parent.name!r}."
        )
    return NativeRecord(
        path=path,
        name=f"{speaker}_{emotion}{name[3]}",
        speaker=speaker,
        language="en",
        label=emotion,
        gender="male",
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)
