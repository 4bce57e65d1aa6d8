"""EMOVO: Italian, fourteen sentences acted by six actors (Costantini et al. 2014).

Had from: http://voice.fub.it/activities/corpora/emovo/index.html. Terms: free for research, no licence to pass it on.
Files: `{speaker}/{emotion}-{speaker}-{sentence}.wav`, such as `f1/dis-f1-b1.wav`, 588 of them; documents beside.
Sentences as in "LA STRUTTURA DI EMOVO.pdf" of the download: b short, l long, n without meaning, d questions.
Quirk: mirrors put the speakers' folders under another parent, or all files into one folder.
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

CORPUS = "emovo"
LICENSE = "free for research, no licence stated: do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://aclanthology.org/L14-1478"
CITATION = "Costantini et al., EMOVO Corpus: an Italian Emotional Speech Database, LREC 2014"

NAME = re.compile(r"([a-z]{3})-([a-z]\d)-([a-z]\d)", re.IGNORECASE)
SPEAKERS = {"f1": "female", "f2": "female", "f3": "female", "m1": "male", "m2": "male", "m3": "male"}
SENTENCES = {
    "b1": "Gli operai si alzano presto.",
    "b2": "I vigili sono muniti di pistola.",
    "b3": "La cascata fa molto rumore.",
    "l1": "L'autunno prossimo Tony partirà per la Spagna nella prima metà di ottobre.",
    "l2": "Ora prendo la felpa di là ed esco per fare una passeggiata.",
    "l3": "Un attimo dopo s'è incamminato ... ed è inciampato.",
    "l4": "Vorrei il numero telefonico del Signor Piatti.",
    "n1": "La casa forte vuole col pane.",
    "n2": "La forza trova il passo e l'aglio rosso.",
    "n3": "Il gatto sta scorrendo nella pera.",
    "n4": "Insalata pastasciutta coscia d'agnello limoncello.",
    "n5": "Uno quarantatré dieci mille cinquantasette venti.",
    "d1": "Sabato sera cosa farà?",
    "d2": "Porti con te quella cosa?",
}


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `dis-f1-b1.wav` and its folder.

    Raises:
        CorpusError: if the name has another form, a speaker or sentence that the corpus does not document, or a
            speaker other than that of the folder.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"emovo: name must be like dis-f1-b1; got {path.name!r}.")
    emotion, speaker, sentence = (part.lower() for part in name.groups())
    gender = look_up(speaker, SPEAKERS, field="speaker", item=path.name)
    if path.parent.name.lower() in SPEAKERS and path.parent.name.lower() != speaker:
        raise CorpusError(f"emovo: speaker must be that of the folder; got {path.name!r} in {path.parent.name!r}.")
    return NativeRecord(
        path=path,
        speaker=speaker,
        language="it",
        label=emotion,
        gender=gender,
        text=look_up(sentence, SENTENCES, field="sentence", item=path.name),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)
