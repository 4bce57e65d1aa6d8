"""BanglaSER Extended: Bangla, disgust and fear at three levels, acted by speakers from number 35 on.

Source: https://github.com/Mahbub96/BanglaSER_Extended, folders `complete/Actor - 35` and so on, 261 files.
Licence: none is stated. Files: named as in BanglaSER, codes by its README.
Quirks: disgust is said with sentence 04 and fear with 05. One file of fear is numbered as sentence 04, where the 05 of
its repetition is missing: a sentence that is not that of the emotion gives no transcript. One file has 00 as its
statement type. The README gives the sentences in Latin letters; the Bangla letters are added here. Older commits hold
a file of actor 40 in the folder of actor 41, which is skipped. The gender follows from the README: odd actors are male.
The voices of actors 45, 48 and 51 contradict it: the gender head of the checkpoint, right on every held-out speaker of the
other corpora, finds the other gender. The labels stay as documented, because the split depends on them.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from speecheq.dataset_scripts.corpora.adapters.banglaser import Layout
from speecheq.dataset_scripts.corpora.adapters.banglaser import record as read_record
from speecheq.dataset_scripts.corpora.records import NativeRecord, Skipped, find_audio, parse_each

CORPUS = "banglaser_ext"
LICENSE = "no licence stated"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/Mahbub96/BanglaSER_Extended"
CITATION = "BanglaSER Extended, https://github.com/Mahbub96/BanglaSER_Extended"

LAYOUT = Layout(
    corpus=CORPUS,
    actors=range(35, 100),
    emotions={"06": "disgust", "07": "fear"},
    levels={"01": "mild", "02": "normal", "03": "strong"},
    statements={"04": "রাস্তায় এত জ্যাম", "05": "বাঘটা এদিকেই তেড়ে আসছে"},
)
STATEMENT = {"disgust": LAYOUT.statements["04"], "fear": LAYOUT.statements["05"]}


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `03-01-06-03-04-02-35.wav` and its folder.

    Raises:
        CorpusError: see [`banglaser.record`].
    """
    found = read_record(path, LAYOUT)
    return found if found.text == STATEMENT[found.label] else replace(found, text=None)


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)
