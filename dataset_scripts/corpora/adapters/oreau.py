"""Oréau: French, up to ten sentences in each of seven emotions by 32 volunteers (Kerkeni et al. 2020).

Source: https://zenodo.org/records/4405783, folder `OréauFR_02`; 434 files by the lists of EmoBox.
Licence: not read by us; see the source.
Files: `{f,m}/sess{e}/{speaker}{sentence}{E}{take}.wav`, such as `f/sesst/11a03Ta.wav`: gender, emotion, speaker, sentence,
emotion and take (EmoBox, preprocess/scripts/oreau.py and its lists). The sentences differ from emotion to emotion, and
no list of them was found: no transcripts.
Quirk: some names have a space or lack the letter of the take.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "oreau"
LICENSE = "see https://zenodo.org/records/4405783"
REDISTRIBUTABLE = False
HOMEPAGE = "https://zenodo.org/records/4405783"
CITATION = "Kerkeni et al., French emotional speech database - Oréau, Zenodo, 2020, https://zenodo.org/records/4405783"

PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=(r"(?P<gender>[fm])/sess(?P<folder_label>[a-z])/(?P<speaker>\d{2})[a-z]\d{2}(?P<label>[a-z]) ?[a-z]?"),
    example="f/sesst/11a03Ta",
    language="fr",
    normalise=str.upper,
    codes={"gender": {"F": "female", "M": "male"}},
)
record, records = PATTERN.record, PATTERN.records
