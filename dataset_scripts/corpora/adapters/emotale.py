"""EmoTale: Danish and English, acted by 18 speakers and rated by three (ASRU 2025).

Source: https://github.com/snehadas/EmoTale, a folder with `annotations.csv`, `speaker_info.csv` and `wav/`.
Licence: copyright of its authors, citation asked, no licence: for research, never redistributed.
Files: `{DK,EN}_{speaker}_{emotion}_{sentence}.wav`. The label is the acted emotion; the raters' categories are votes.
Quirks: the README speaks of two annotators, annotations.csv has three; there is no speaker 002; 14 of the 18 speakers
speak English as well, under the same number; "frigde" stands so in the README.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    by_stem,
    find_audio,
    look_up,
    parse_each,
    read_table,
    rows_without_audio,
)
from speecheq.dataset_scripts.corpora.tables import number

CORPUS = "emotale"
LICENSE = "copyright of the authors, no licence: research only, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/snehadas/EmoTale"
CITATION = "EmoTale: An Enacted Speech-emotion Dataset in Danish, ASRU 2025"

NAME = re.compile(r"([A-Z]{2})_(\d{3})_([A-Z])_(\d)")
LANGUAGE = {"DK": "da", "EN": "en"}
GENDER = {"F": "female", "M": "male"}
RATERS = ("a1", "a2", "a3")
DIMENSION = {"valence": "V", "arousal": "A", "dominance": "D"}
SENTENCES = {
    "da": {
        "1": "Dugen ligger på køleskabet.",
        "2": "Det sorte ark papir er placeret deroppe ved siden af tømmerstykket.",
        "3": "De bar det bare ovenpå og nu skal de ned igen.",
        "4": "Det vil være på det sted, hvor vi altid opbevarer det.",
        "5": "Om syv timer er det morgen.",
    },
    "en": {
        "1": "The tablecloth is lying on the frigde.",
        "2": "The black sheet of paper is located up there besides the piece of timber.",
        "3": "They just carried it upstairs and now they are going down again.",
        "4": "It will be in the place where we always store it.",
        "5": "In seven hours it will be morning.",
    },
}


def record(path: Path, rows: Mapping[str, dict[str, str]], speakers: Mapping[str, dict[str, str]]) -> NativeRecord:
    """Read one record from a name such as `DK_004_A_5.wav`, its ratings and its speaker's row.

    Raises:
        CorpusError: if the name has another form, the file or its speaker has no row, or a code is not documented.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"emotale: name must be like DK_004_A_5; got {path.name!r}.")
    country, speaker, emotion, sentence = name.groups()
    language = look_up(country, LANGUAGE, field="language", item=path.name)
    if path.stem not in rows:
        raise CorpusError(f"emotale: file must have a row in annotations.csv; got none for {path.name!r}.")
    if speaker not in speakers:
        raise CorpusError(f"emotale: speaker must have a row in speaker_info.csv; got {speaker!r} in {path.name!r}.")
    row, person = rows[path.stem], speakers[speaker]
    if row["gt_emotion"] != emotion:
        raise CorpusError(f"emotale: emotion must be that of its row, {row['gt_emotion']!r}; got {path.name!r}.")
    return NativeRecord(
        path=path,
        speaker=speaker,
        language=language,
        label=emotion,
        gender=look_up(person["gender"], GENDER, field="gender", item=f"speaker {speaker}"),
        age=_number(person["age"], "age", f"speaker {speaker}"),
        text=look_up(sentence, SENTENCES[language], field="sentence", item=path.name),
        votes=tuple(row[f"{rater}_cat"] for rater in RATERS if row[f"{rater}_cat"]),
        ratings=tuple(
            {name: _number(row[f"{rater}_{code}"], f"{rater}_{code}", path.name) for name, code in DIMENSION.items()}
            for rater in RATERS
        ),
        rating_scale=(1.0, 5.0),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if an annotation file or the audio is missing.
    """
    columns = tuple(f"{rater}_{code}" for rater in RATERS for code in (*DIMENSION.values(), "cat"))
    rows = by_stem(read_table(folder / "annotations.csv", ("file", "gt_emotion", *columns)), "file")
    info = read_table(folder / "speaker_info.csv", ("speaker", "gender", "age"))
    speakers = {person["speaker"]: person for person in info}
    paths = find_audio(folder / "wav")
    yield from parse_each(paths, lambda path: record(path, rows, speakers))
    yield from rows_without_audio(paths, rows, folder / "wav", "annotations.csv")


def _number(text: str, field: str, item: str) -> float | None:
    try:
        return number(text) if text else None
    except ValueError:
        raise CorpusError(f"emotale: {field} must be a number or empty; got {text!r} in {item!r}.") from None
