"""TurEV-DB: Turkish, 82 words in four emotions by amateur actors (Canpolat et al. 2020).

Source: https://github.com/Xeonen/TurEV-DB and its README; 1,735 files by the lists of EmoBox.
Licence: CC BY-NC-ND 4.0.
Files: `Sound Source/{emotion}/{speaker}_kz_{word}.wav`, such as `Angry/1157_kz_dil.wav`.
Quirks: words are written without the letters that ASCII lacks (`cekirge` for `çekirge`), so they give no transcript. File
names repeat in every folder. The download does not tell who is a woman or a man.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "turev_db"
LICENSE = "CC-BY-NC-ND-4.0"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/Xeonen/TurEV-DB"
CITATION = "Canpolat, Ormanoğlu and Zeyrek, Turkish Emotion Voice Database (TurEV-DB), SLTU-CCURL 2020"

PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?P<label>Angry|Calm|Happy|Sad)/(?P<speaker>\d+)_(?P<word>[^/]+)",
    example="Angry/1157_kz_dil",
    language="tr",
    name="{speaker}_{word}_{label}",
)
record, records = PATTERN.record, PATTERN.records
