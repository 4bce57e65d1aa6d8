"""EMOVO: Italian, fourteen sentences acted by six actors (Costantini et al. 2014).

Source: http://voice.fub.it/activities/corpora/emovo/index.html. Licence: free for research, no licence to pass it on.
Files: `{speaker}/{emotion}-{speaker}-{sentence}.wav`, such as `f1/dis-f1-b1.wav`, 588 of them; and documents.
Sentences as in "LA STRUTTURA DI EMOVO.pdf" of the download: b short, l long, n without meaning, d questions.
Quirk: mirrors put the speakers' folders under another parent, or all files into one folder.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "emovo"
LICENSE = "free for research, no licence stated: do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://aclanthology.org/L14-1478"
CITATION = "Costantini et al., EMOVO Corpus: an Italian Emotional Speech Database, LREC 2014"

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
PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?:(?P<folder_speaker>[fm][123])/)?(?P<label>[a-z]{3})-(?P<speaker>[a-z]\d)-(?P<text>[a-z]\d)",
    example="dis-f1-b1",
    language="it",
    normalise=str.lower,
    codes={"text": SENTENCES},
    speakers=SPEAKERS,
)
record, records = PATTERN.record, PATTERN.records
