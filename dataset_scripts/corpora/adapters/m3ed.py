"""M3ED: Mandarin, dialogues of 56 TV series, labelled by three annotators (Zhao et al. 2022).

Source: https://github.com/AIM3-RUC/RUCM3ED, `annotation.json`, `splitInfo/movie_list_{train,val,test}.txt` and the
audio. Licence: no licence is stated, and the series are their owners'.
Files: `modality_speech/{A or B}_{series}_{dialogue}_{utterance}.wav`, cut already; 24,449 utterances of 990 dialogues.
annotation.json: series -> dialogue -> `SpeakerInfo` (name, age group, gender of A and B) and `Dialog`: utterance ->
`Text`, `Speaker`, `EmoAnnotation`. The label is `final_main_emo`; the official split is by series.
Quirks: an annotator may give several emotions, joined by commas, the main one first: only that is the vote, as in the
authors' own agreement figures; `Other` is a vote, never a label. A and B are the speakers of one dialogue: the speaker
is the series with the character's name. One actor plays in several series under several names, which the corpus does
not tell. Ages are groups (child, young, mid, old), not years, and are left out. EmoBox found the audio of 24,437
utterances; each that is missing is reported.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    find_entry,
    parse_each,
    rows_without_audio,
)

CORPUS = "m3ed"
LICENSE = "no licence stated, TV series of their owners: research only, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/AIM3-RUC/RUCM3ED"
CITATION = "Zhao et al., M3ED: Multi-modal Multi-scene Multi-label Emotional Dialogue Database, ACL 2022"

SPLITS = ("train", "val", "test")
ANNOTATORS = ("EmoAnnotator1", "EmoAnnotator2", "EmoAnnotator3")
GENDER = {"female": "female", "male": "male"}


def record(path: Path, rows: Mapping[str, dict], splits: Mapping[str, str]) -> NativeRecord:
    """Read one record from a name such as `A_huanlesong_1_12.wav` and its annotation.

    Raises:
        CorpusError: if the file has no annotation, or the annotation no label or no speaker.
    """
    if path.stem not in rows:
        raise CorpusError(f"m3ed: file must be in annotation.json; got none for {path.name!r}.")
    row = rows[path.stem]
    emotions, person = row["EmoAnnotation"], row["person"]
    if not emotions.get("final_main_emo"):
        raise CorpusError(f"m3ed: final_main_emo must be given; got none for {path.name!r}.")
    if not person.get("Name"):
        raise CorpusError(f"m3ed: speaker must have a Name in SpeakerInfo; got none for {path.name!r}.")
    return NativeRecord(
        path=path,
        speaker=f"{row['series']}_{person['Name'].strip()}",
        language="zh",
        label=emotions["final_main_emo"].strip(),
        name=path.stem.partition("_")[2],
        gender=GENDER.get((person.get("Gender") or "").strip().lower()),
        text=(row.get("Text") or "").strip() or None,
        votes=tuple(main_emotion(emotions[one]) for one in ANNOTATORS if emotions.get(one)),
        official_split=splits.get(row["series"]),
    )


def main_emotion(written: str) -> str:
    """The first of the emotions that an annotator gave."""
    return written.split(",")[0].strip()


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if annotation.json, a list of the split or the audio is missing or cannot be read.
    """
    annotation = find_entry(folder, "annotation.json", depth=2)
    if annotation is None:
        raise CorpusError(
            f"m3ed: annotation file must exist; got no 'annotation.json' in {str(folder)!r}. "
            "Copy it there from github.com/AIM3-RUC/RUCM3ED."
        )
    rows, unread = read_annotation(annotation)
    splits = read_splits(annotation.parent)
    speech = find_entry(folder, "modality_speech", depth=2) or annotation.parent
    paths = find_audio(speech)
    yield from unread
    yield from parse_each(paths, lambda path: record(path, rows, splits))
    yield from rows_without_audio(paths, rows, speech, "annotation.json")


def read_annotation(path: Path) -> tuple[dict[str, dict], list[Skipped]]:
    """Read annotation.json.

    Returns:
        `tuple`: file name without suffix -> the utterance with its `series` and its speaker, `person`; and the
        utterances and dialogues of another form.

    Raises:
        CorpusError: if the file is no JSON of this form.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # UnicodeDecodeError is one
        raise CorpusError(
            f"m3ed: annotation.json must be JSON in UTF-8; got {error} in {str(path)!r}. "
            "Copy it again from the download."
        ) from error
    rows: dict[str, dict] = {}
    unread: list[Skipped] = []
    for series, dialogue, name in _utterances(tree, path):
        try:
            parts = tree[series][dialogue]
            utterance = parts["Dialog"][name]
            who = utterance["Speaker"].strip()
            person, emotions = dict(parts["SpeakerInfo"][who]), dict(utterance["EmoAnnotation"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            rule = "utterance must have a Speaker of SpeakerInfo and an EmoAnnotation"
            unread.append(Skipped(path, f"m3ed: {rule}; got {type(error).__name__} {error} in {name!r}."))
            continue
        rows[f"{who}_{name}"] = utterance | {"EmoAnnotation": emotions, "person": person, "series": series}
    return rows, unread


def _utterances(tree: dict, path: Path) -> Iterator[tuple[str, str, str]]:
    try:
        yield from (
            (series, dialogue, name)
            for series, dialogues in tree.items()
            for dialogue, parts in dialogues.items()
            for name in parts["Dialog"]
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusError(
            f"m3ed: annotation.json must map series to dialogues with a Dialog; got {type(error).__name__} {error} "
            f"in {str(path)!r}. Copy it again from the download."
        ) from error


def read_splits(folder: Path) -> dict[str, str]:
    """Read series -> part from the lists of the official split.

    Raises:
        CorpusError: if a list is missing.
    """
    splits: dict[str, str] = {}
    for part in SPLITS:
        path = find_entry(folder, f"movie_list_{part}.txt", depth=1)
        if path is None:
            raise CorpusError(
                f"m3ed: annotation file must exist; got no 'splitInfo/movie_list_{part}.txt' in {str(folder)!r}. "
                "Copy it there from github.com/AIM3-RUC/RUCM3ED."
            )
        series = path.read_text(encoding="utf-8-sig").split()
        splits |= dict.fromkeys(series, part)
    return splits
