"""Emotions in Polish speech recordings: six words in anger, fear and neutral by five speakers (Gdańsk Tech).

Source: https://mostwiedzy.pl/en/open-research-data/emotions-in-polish-speech-recordings,11190523461146169-0, 450 files.
Licence: not read by us; see the source.
Files: `{speaker}.{emotion}_{word}_{repetition}.wav`, such as `m3.s_podaj_4.wav` (EmoBox, preprocess/scripts/polish.py and
its lists); the letters are a anger, n neutral and s fear (strach).
Quirk: speakers m1, m2 and m3 are read as men. What letter the other two have is not documented: they have no gender.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "polish"
LICENSE = "see https://mostwiedzy.pl/en/open-research-data/emotions-in-polish-speech-recordings,11190523461146169-0"
REDISTRIBUTABLE = False
HOMEPAGE = "https://mostwiedzy.pl/en/open-research-data/emotions-in-polish-speech-recordings,11190523461146169-0"
CITATION = f"Emotions in Polish speech recordings, Gdańsk University of Technology, {HOMEPAGE}"

PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?P<speaker>(?:(?P<gender>m)|[a-z])\d)\.(?P<label>[a-z])_(?P<text>[^\W\d_]+)_\d",
    example="m3.s_podaj_4",
    language="pl",
    normalise=str.lower,
    codes={"gender": {"m": "male"}},
)
record, records = PATTERN.record, PATTERN.records
