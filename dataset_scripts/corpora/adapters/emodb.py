"""EmoDB: German, ten sentences acted by ten actors (Burkhardt et al. 2005).

Source: https://doi.org/10.5281/zenodo.17651657 (version 2.0: `wav/` and tables `db.*.csv`), or, without tables,
http://emodb.bilderbar.info. Licence: CC BY 4.0 on Zenodo.
Files: `wav/{speaker}{text}{emotion}{version}.wav`, such as `03a01Fa.wav`; the emotion is the first letter of the German
word. Speakers, texts and letters as in http://emodb.bilderbar.info/docu/.
Quirks: the version is a letter, and may be missing where there is one version; the texts are not numbered through (a03,
a06 and b04 to b08 were never recorded). 535 files are the gold standard, which at least 80 % of listeners recognised;
version 2.0 adds 281 that fewer did. Its tables publish a speaker-disjoint train and test part of the gold standard, and
name the others `ambiguous`. How many listeners agreed is known, who heard what is not: no votes.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    look_up,
    parse_each,
    read_table,
    rows_without_audio,
)

CORPUS = "emodb"
LICENSE = "CC-BY-4.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://doi.org/10.5281/zenodo.17651657"
CITATION = "Burkhardt et al., A Database of German Emotional Speech, Interspeech 2005"

NAME = re.compile(r"(\d{2})([ab]\d{2})([A-Z])([a-z]?)")
TABLE = re.compile(r"db\.emotion\.categories\.(train|test|ambiguous)\b.*\.csv")


class Speaker(NamedTuple):
    gender: str
    age: float


SPEAKERS = {
    "03": Speaker("male", 31.0),
    "08": Speaker("female", 34.0),
    "09": Speaker("female", 21.0),
    "10": Speaker("male", 32.0),
    "11": Speaker("male", 26.0),
    "12": Speaker("male", 30.0),
    "13": Speaker("female", 32.0),
    "14": Speaker("female", 35.0),
    "15": Speaker("male", 25.0),
    "16": Speaker("female", 31.0),
}
TEXTS = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}


def record(path: Path, parts: Mapping[str, str]) -> NativeRecord:
    """Read one record from a name such as `03a01Fa.wav`, and its published part.

    Raises:
        CorpusError: if the name has another form, or a speaker or text that the corpus does not document.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"emodb: name must be like 03a01Fa; got {path.name!r}.")
    speaker, text, emotion, _ = name.groups()
    person = look_up(speaker, SPEAKERS, field="speaker", item=path.name)
    return NativeRecord(
        path=path,
        speaker=speaker,
        language="de",
        label=emotion,
        gender=person.gender,
        age=person.age,
        text=look_up(text, TEXTS, field="text", item=path.name),
        official_split=parts.get(path.stem),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio, or the column `file` of a table of version 2.0, is missing.
    """
    paths = find_audio(folder)
    parts = published_parts(folder)
    yield from parse_each(paths, lambda path: record(path, parts))
    yield from rows_without_audio(paths, parts, folder / "wav", "db.emotion.categories")


def published_parts(folder: Path) -> dict[str, str]:
    """Stem of a file -> `"train"`, `"test"` or `"ambiguous"`, as the tables of version 2.0 say; else empty."""
    parts = {}
    for path in sorted(folder.rglob("db.emotion.categories.*.csv")):
        if table := TABLE.fullmatch(path.name):
            parts |= {Path(row["file"]).stem: table[1] for row in read_table(path, ("file",))}
    return parts
