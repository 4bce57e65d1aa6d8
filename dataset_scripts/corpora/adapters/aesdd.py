"""AESDD: Greek, twenty utterances in five emotions by actors of the theatre (Vryzas et al. 2018).

Source: http://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/ and its README. Licence: none is stated.
Files: `{emotion}/{letter}{utterance} ({speaker}).wav`, such as `anger/a06 (5)b.wav`, by the README and the lists of
EmoBox (604 files). Utterance 20 is improvised. No transcripts.
Quirks: a speaker is written `(1)` or `(01)`; a letter behind the brackets is a further take. The corpus grows: more
speakers follow the same scheme. The README counts 3 women and 2 men, without saying who is who: no gender.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "aesdd"
LICENSE = "no licence stated"
REDISTRIBUTABLE = False
HOMEPAGE = "https://m3c.web.auth.gr/research/aesdd-speech-emotion-recognition/"
CITATION = (
    "Vryzas et al., Speech Emotion Recognition for Performance Interaction, "
    "Journal of the Audio Engineering Society 66(6), 2018"
)

FOLDERS = {"anger": "a", "disgust": "d", "fear": "f", "happiness": "h", "sadness": "s"}
PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=(
        rf"(?:(?P<folder_label>{'|'.join(FOLDERS)})/)?"
        r"(?P<label>[a-z])(?P<number>\d{2}) ?\(0*(?P<speaker>\d+)\)(?P<take>[a-z]?)"
    ),
    example="a06 (5)",
    language="el",
    normalise=str.lower,
    codes={"folder_label": FOLDERS},
    name="{label}{number}_{speaker}{take}",
)
record, records = PATTERN.record, PATTERN.records
