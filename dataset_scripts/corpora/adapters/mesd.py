"""MESD: Mexican Spanish, single words in six emotions by women, men and children (Duville et al. 2021).

Source: https://data.mendeley.com/datasets/cy34mh68j9; 862 files by the lists of EmoBox. Licence: CC BY 4.0; we have not read
it at the source, so SpeechEQ does not pass the audio on.
Files: `{emotion}_{F,M,C}_{A,B}_{word}.wav`, such as `Neutral_F_B_elevado.wav`: voice of a woman, a man or a child, list of
words, and the word, `_` for a space (EmoBox, preprocess/scripts/mesd.py).
Quirks: 3 women, 2 men and 6 children spoke, and names tell only these groups: a group is the speaker here, so that no
voice is in two splits. Children have no gender.
"""

from pathlib import Path

from speecheq.dataset_scripts.corpora.patterns import FilePattern

CORPUS = "mesd"
LICENSE = "CC-BY-4.0"
REDISTRIBUTABLE = False
HOMEPAGE = "https://data.mendeley.com/datasets/cy34mh68j9"
CITATION = (
    "Duville, Alonso-Valerdi and Ibarra-Zarate, Mexican Emotional Speech Database Based on Semantic, Frequency, "
    "Familiarity, Concreteness, and Cultural Shaping of Affective Prosody, Data 6(12), 2021"
)


def transcript(path: Path) -> str:
    """The word of a file name."""
    return " ".join(path.stem.split("_")[3:])


PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?P<label>[a-z]+)_(?P<speaker>[A-Z])_[AB]_[^/]+",
    example="Neutral_F_B_elevado",
    language="es",
    speakers={"F": "female", "M": "male", "C": None},
    transcript=transcript,
)
record, records = PATTERN.record, PATTERN.records
