"""URDU-Dataset: Urdu, cut from talk shows (Latif et al. 2018).

Source: https://github.com/siddiquelatif/URDU-Dataset, folders `Angry`, `Happy`, `Neutral` and `Sad`.
Licence: "Anyone can use this data only for research purposes." Files: `SGX_FXX_EYY.wav`: speaker with gender, number of
the file, emotion and number. No transcripts. Quirk: the README gives 38 speakers (27 male, 11 female), the
file names give 29 (18 male, 11 female).
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "urdu"
LICENSE = "research use only"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/siddiquelatif/URDU-Dataset"
CITATION = "Latif et al., Cross Lingual Speech Emotion Recognition: Urdu vs. Western Languages, FIT 2018"

PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?P<folder_label>[^/]+)/(?P<speaker>S(?P<gender>[FM])\d+)_F\d+_(?P<label>[A-Z])\d+",
    example="Angry/SM1_F01_A12",
    language="ur",
    codes={
        "gender": {"F": "female", "M": "male"},
        "folder_label": {"Angry": "A", "Happy": "H", "Neutral": "N", "Sad": "S"},
    },
)
record, records = PATTERN.record, PATTERN.records
