"""EmoV-DB: English, sentences of CMU Arctic in five styles by two women and two men (Adigwe et al. 2018).

Source: https://github.com/numediart/EmoV-DB, its README and LICENSE.md; 6,887 files by the lists of EmoBox.
Licence: non-commercial purposes only.
Files: `{speaker}_{Style}/{style}_{first}-{last}_{sentence}.wav`, such as `bea_Neutral/neutral_113-140_0120.wav`: the
style, the range of sentences of the session and the sentence. The download has no transcripts.
Quirks: the words differ from folder to file (`Angry` and `anger`, `Sleepy` and `sleepiness`), so the style is read from the
folder. The range is written `197-224` or `197_224`. File names repeat from speaker to speaker.
"""

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "emov_db"
LICENSE = "non-commercial use only"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/numediart/EmoV-DB"
CITATION = (
    "Adigwe et al., The Emotional Voices Database: Towards Controlling the Emotion Dimension in Voice Generation "
    "Systems, arXiv 1806.09514, 2018"
)

STYLES = {name: name for name in ("amused", "angry", "disgust", "neutral", "sleepy")} | {"disgusted": "disgust"}
PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?P<speaker>[a-z]+)_(?P<label>[a-z]+)/[a-z]+_(?P<range>\d+[-_]\d+)_(?P<number>\d{4})",
    example="bea_Neutral/neutral_113-140_0120",
    language="en",
    normalise=str.lower,
    codes={"label": STYLES},
    speakers={"bea": "female", "jenie": "female", "josh": "male", "sam": "male"},
    name="{speaker}_{label}_{number}",
)
record, records = PATTERN.record, PATTERN.records
