"""JL-Corpus: New Zealand English, acted by four speakers in five primary and five secondary emotions (James et al. 2018).

Source: https://www.kaggle.com/datasets/tli725/jl-corpus, 2,400 files. Licence: CC0, citation asked.
Files: `Raw JL corpus (unchecked and unannotated)/JL(wav+txt)/{speaker}_{emotion}_{sentence}{session}_{take}.wav`, such
as `male1_angry_10a_1.wav`, each with its transcript in a `.txt` of the same name.
Quirks: the download holds a part of that folder once more in lower case: the copies have the ids of the first. It also
holds the audio of the listening test, under other names. Sentences 11 to 15 differ from emotion to emotion, so the
transcript is the file's own. Listeners' answers are not published.
"""

from pathlib import Path

from speecheq.dataset_scripts.corpora.patterns import FilePattern
from speecheq.dataset_scripts.corpora.records import read_text

CORPUS = "jl_corpus"
LICENSE = "CC0-1.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://www.kaggle.com/datasets/tli725/jl-corpus"
CITATION = (
    "James, Tian and Watson, An Open Source Emotional Speech Corpus for Human Robot Interaction Applications, "
    "Interspeech 2018"
)


def transcript(path: Path) -> str | None:
    """The text file beside an audio file.

    Raises:
        CorpusError: if it cannot be read.
    """
    text = path.with_suffix(".txt")
    return read_text(text).strip() or None if text.is_file() else None


PATTERN = FilePattern(
    corpus=CORPUS,
    pattern=r"(?P<speaker>(?P<gender>female|male)[12])_(?P<label>[a-z]+)_\d{1,2}[ab]_\d",
    example="male1_angry_10a_1",
    language="en",
    normalise=str.lower,
    transcript=transcript,
)
record, records = PATTERN.record, PATTERN.records
