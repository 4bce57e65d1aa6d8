"""MSP-Podcast: English, natural speech of podcasts, rated by five or more people each (Busso et al. 2025).

Source: https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html, under a licence of the University of
Texas at Dallas. Licence: that licence, for research; not passed on.
Layout: `Audios/` (older: `Audio/`) with `MSP-PODCAST_0001_0008.wav`: podcast and segment; `Labels/` with
`labels_consensus.csv` (up to 1.9: `labels_concensus.csv`) and, for the votes, `labels_detailed.csv` or `.json`;
`Transcripts/MSP-PODCAST_0001_0008.txt`, optional. Scales 1 to 7.
Labels are the codes A S H U F D C N, O for other and X for no agreement; raters' categories are words. Of a rater the
primary category (`EmoClass_Major`) is the vote; the secondary ones name everything else that was heard and are not
read. What raters wrote themselves stands behind `Other` (`Other-Annoyed`, `Other(Annoyed)`) and is the vote `Other`.
labels_detailed.csv has a column per answer (1.6, 2.0), or all of them in `EmoDetail` (1.7 to 1.12):
`WORKER0000001; Neutral; Neutral,Confused; A:1.000000; V:4.000000; D:1.000000;`.
Quirks: many training segments have the speaker `Unknown`, who would be one giant speaker; they get one speaker per
podcast, `unknown-0023`, so that a split by speaker keeps the unknown voices of a recording together. Such a voice may
still be that of a known speaker: the published parts, by podcast and speaker, are safer. Gender `Unknown` is missing.
The parts are Train, Development (older: Validation), Test1, Test2 and Test3; the labels of Test3 are not published, so
that its files are skipped for want of a row. Test parts share some speakers with each other.
"""

import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from sys import intern

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    by_stem,
    find_audio,
    find_entry,
    look_up,
    options,
    parse_each,
    read_table,
    read_text,
    rows_without_audio,
)
from speecheq.dataset_scripts.corpora.tables import number

CORPUS = "msp_podcast"
LICENSE = "UT Dallas academic licence: research only, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://ecs.utdallas.edu/research/researchlabs/msp-lab/MSP-Podcast.html"
CITATION = "Busso et al., The MSP-Podcast Corpus, arXiv 2509.09791, 2025; Lotfian and Busso, IEEE TAFFC 10(4), 2019"

CONSENSUS = ("labels_consensus.csv", "labels_concensus.csv")
COLUMNS = ("FileName", "EmoClass", "EmoAct", "EmoVal", "EmoDom", "SpkrID", "Gender", "Split_Set")
ANSWERS = ("EmoClass_Major", "EmoAct", "EmoVal", "EmoDom")
GENDER = {"Female": "female", "Male": "male", "Unknown": None, "": None}
NAME = re.compile(r"MSP-PODCAST_([0-9A-Za-z]+)_\w+")
DETAIL = re.compile(r"\w+;\s*([^;]*);.*;\s*A:([\d.]*);\s*V:([\d.]*);\s*D:([\d.]*);?", re.DOTALL)
# A rater's answers as they stand in the file: four strings, or one `EmoDetail`.
Answers = tuple[str, ...] | str


def record(
    path: Path, rows: Mapping[str, dict[str, str]], details: Mapping[str, list[Answers]], transcripts: Path | None
) -> NativeRecord:
    """Read one record from a name such as `MSP-PODCAST_0001_0008.wav`, its row, its raters' answers and its transcript.

    Raises:
        CorpusError: if the name has another form, the file has no row, or an annotation is not as documented.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"msp_podcast: name must be like MSP-PODCAST_0001_0008; got {path.name!r}.")
    if path.stem not in rows:
        raise CorpusError(f"msp_podcast: file must have a row in labels_consensus.csv; got none for {path.name!r}.")
    row = rows[path.stem]
    raters = [read_answers(answers, path.name) for answers in details.get(path.stem, ())]
    transcript = transcripts / f"{path.stem}.txt" if transcripts else None
    text = read_text(transcript) if transcript and transcript.is_file() else ""
    return NativeRecord(
        path=path,
        speaker=f"unknown-{name[1]}" if row["SpkrID"] in ("", "Unknown") else row["SpkrID"],
        language="en",
        label=row["EmoClass"] or None,
        gender=look_up(row["Gender"], GENDER, field="gender", item=path.name),
        text=" ".join(text.split()) or None,
        votes=tuple(vote for vote, _ in raters if vote),
        ratings=tuple(rating for _, rating in raters)
        or (_rating(row["EmoAct"], row["EmoVal"], row["EmoDom"], path.name),),
        rating_scale=(1.0, 7.0),
        official_split=row["Split_Set"] or None,
    )


def read_answers(answers: Answers, item: str) -> tuple[str, dict[str, float | None]]:
    """Read the answers of a rater: the primary category, and the ratings.

    Raises:
        CorpusError: if they have another form.
    """
    if isinstance(answers, str):
        detail = DETAIL.fullmatch(answers)
        if not detail:
            raise CorpusError(
                f"msp_podcast: EmoDetail must be like 'WORKER1; Sad; Sad; A:1; V:4; D:1;'; got {answers!r}."
            )
        answers = detail.groups()
    major, *values = (answer.strip() for answer in answers)
    return "Other" if major.startswith("Other") else major, _rating(*values, item)


def read_details(folder: Path) -> dict[str, list[Answers]]:
    """Read what each rater answered, where the download holds it: stem -> answers.

    Raises:
        CorpusError: if labels_detailed has none of the documented forms.
    """
    details: dict[str, list[Answers]] = {}
    if table := find_entry(folder, "labels_detailed.csv"):
        rows = _read_csv(table)
    elif objects := find_entry(folder, "labels_detailed.json"):
        rows = _read_json(objects)
    else:
        return details
    try:
        for name, answers in rows:
            # Nearly two million answers of few values: equal strings are kept once.
            kept = answers if isinstance(answers, str) else tuple(map(intern, answers))
            details.setdefault(Path(name).stem, []).append(kept)
    except csv.Error as error:
        raise CorpusError(
            f"msp_podcast: labels_detailed must be CSV; got {error}. Copy it again from the download."
        ) from error
    return details


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if labels_consensus.csv or the audio is missing.
    """
    labels = find_entry(folder, "Labels", "Label", depth=1) or folder / "Labels"
    consensus = find_entry(labels, *CONSENSUS, depth=1) or labels / CONSENSUS[0]
    rows = by_stem(read_table(consensus, COLUMNS), "FileName")
    details = read_details(consensus.parent)
    audio = find_entry(labels.parent, "Audios", "Audio") or labels.parent / "Audios"
    transcripts = find_entry(labels.parent, "Transcripts")
    paths = find_audio(audio)
    yield from parse_each(paths, lambda path: record(path, rows, details, transcripts))
    yield from rows_without_audio(paths, rows, audio, consensus.name)


def _read_csv(path: Path) -> Iterator[tuple[str, Answers]]:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.DictReader(file)
        header = reader.fieldnames or []
        if "FileName" not in header or not ("EmoDetail" in header or set(ANSWERS) <= set(header)):
            raise CorpusError(
                f"msp_podcast: header must hold FileName and EmoDetail, or FileName, {', '.join(ANSWERS)}; "
                f"got {options(header) or 'nothing'} in {path.name!r}. Copy the file again from the download."
            )
        for row in reader:
            columns = tuple(row.get(column) or "" for column in ANSWERS)
            yield row["FileName"], (row["EmoDetail"] or "").strip() if "EmoDetail" in header else columns


def _read_json(path: Path) -> Iterator[tuple[str, Answers]]:
    try:
        files = json.loads(read_text(path))
        for name, raters in files.items():
            for rater in raters.values():
                yield name, tuple(str(rater[column] or "") for column in ANSWERS)
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise CorpusError(
            f"msp_podcast: {path.name} must hold file -> rater -> {', '.join(ANSWERS)}; got {error!r}. "
            "Copy it again from the download."
        ) from error


def _rating(arousal: str, valence: str, dominance: str, item: str) -> dict[str, float | None]:
    texts = {"valence": valence, "arousal": arousal, "dominance": dominance}
    try:
        return {name: number(text) if text else None for name, text in texts.items()}
    except ValueError:
        raise CorpusError(f"msp_podcast: ratings must be numbers or empty; got {texts} in {item!r}.") from None
