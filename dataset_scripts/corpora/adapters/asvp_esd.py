"""ASVP-ESD: speech in several languages from films, television and YouTube, labelled by listeners (Landry et al. 2020).

Source: https://zenodo.org/records/5573185 and EmoBox's reader (github.com/emo-box/EmoBox, preprocess/scripts/asvpesd.py).
Licence: not read by us; see the source.
Files: `{mode}-{channel}-{emotion}-{level}-{statement}-{actor}-{age}-{source}-{language}-....wav`, two digits each. Odd actors
are female, even actors are male. No transcripts.
Quirks: the download holds laughter, cries and other sounds without words beside speech (channel 02): they are skipped.
Languages other than 01 Chinese, 02 English and 04 French, and names without a language, have the language `und`. Age is
a group and is not read. Code 02 covers neutral and calm, so it is either.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "asvp_esd"
LICENSE = "see https://zenodo.org/records/5573185"
REDISTRIBUTABLE = False
HOMEPAGE = "https://zenodo.org/records/5573185"
CITATION = (
    "Landry, He and Xie, Audio, Speech and Vision Processing Lab Emotional Sound database (ASVP-ESD), Zenodo, 2020"
)

LANGUAGES = {"01": "zh", "02": "en", "04": "fr"}
PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=(
        r"03-(?P<channel>\d\d)-(?P<label>\d\d)-(?P<level>\d\d)-\d\d-(?P<speaker>\d{1,2}(?P<gender>\d))-\d\d-\d\d"
        r"(?:-(?P<language>\d\d))?(?:-.*)?"
    ),
    example="03-01-06-01-02-12-02-01-01-16",
    language="und",
    codes={
        "channel": {"01": "speech"},
        "level": {"01": "normal", "02": "high"},
        "gender": {digit: "male" if int(digit) % 2 == 0 else "female" for digit in "0123456789"},
        "language": {f"{number:02d}": LANGUAGES.get(f"{number:02d}", "und") for number in range(100)},
    },
)
record, records = PATTERN.record, PATTERN.records
