"""ShEMO: Persian, 3,000 utterances of 87 speakers cut from radio plays (Mohamad Nezami et al. 2019).

Source: https://github.com/mansourehk/ShEMO, `male.zip`, `female.zip` and `transcript.zip`. Licence: free of charge for
academic purposes; the plays are not the authors', so the audio is not passed on.
Files: `{male,female}/{gender}{speaker}{emotion}{number}.wav`, such as `F21N05.wav`; orthography in
`transcript/final text/*.ort`. The authors' `shemo.json` (https://github.com/pariajm/sharif-emotional-speech-dataset)
holds the same transcripts, as an object or, in older copies, as a list; some begin with a byte order mark.
Quirks: only 2,838 of the 3,000 transcripts have the name of an audio file, and some of those belong to another
(https://github.com/aliyzd95/modified_shemo, which mended 347 with a speech recogniser). Its `modified_shemo.json` or
`mShEMO.json`, laid into the folder, is therefore read before all others: it gives a file the transcript of `text_name`,
and with it the emotion in that name, which differs from the audio's for 163 files and is the right one by that study.
Without it, a transcript is that of the same name.
"""

import json
import re
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

CORPUS = "shemo"
LICENSE = "free for academic use, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/mansourehk/ShEMO"
CITATION = (
    "Mohamad Nezami et al., ShEMO: a large-scale validated database for Persian speech emotion detection, "
    "Language Resources and Evaluation 53(1), 2019"
)

NAME = re.compile(r"([FM])(\d{2})([A-Z])(\d{2,3})", re.IGNORECASE)
GENDER = {"F": "female", "M": "male"}
MODIFIED = ("modified_shemo.json", "mShEMO.json")
NO_WORDS = "\ufeff \t\r\n"


def record(path: Path, texts: Mapping[str, dict]) -> NativeRecord:
    """Read one record from a name such as `F21N05.wav`, its folder and its transcript, if there is one.

    Raises:
        CorpusError: if the name has another form, or its gender is not that of the folder.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"shemo: name must be like F21N05; got {path.name!r}.")
    letter, number, emotion, _ = (part.upper() for part in name.groups())
    if path.parent.name.lower() in GENDER.values() and path.parent.name.lower() != GENDER[letter]:
        raise CorpusError(f"shemo: gender must be that of the folder; got {path.name!r} in {path.parent.name!r}.")
    entry = texts.get(path.stem.upper(), {})
    return NativeRecord(
        path=path,
        speaker=letter + number,
        language="fa",
        label=entry.get("label", emotion),
        gender=GENDER[letter],
        text=entry.get("text"),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing, or a JSON file of transcripts is not as it is published.
    """
    paths = find_audio(folder)
    texts: dict[str, dict] = {}
    if modified := find_entry(folder, *MODIFIED, depth=1):
        texts = read_modified(modified)
    else:
        if published := find_entry(folder, "shemo.json", depth=1):
            texts = read_published(published)
        for path in sorted(folder.rglob("*.ort")):
            try:
                texts[path.stem.upper()] = {"text": path.read_bytes().decode("utf-8-sig").strip(NO_WORDS) or None}
            except UnicodeDecodeError:
                yield Skipped(path, f"shemo: transcript must be UTF-8; got other bytes in {path.name!r}.")
    yield from parse_each(paths, lambda path: record(path, texts))
    yield from rows_without_audio([Path(path.stem.upper()) for path in paths], texts, folder, "transcript")


def read_modified(path: Path) -> dict[str, dict]:
    """Stem of an audio file -> its transcript and label by the study that mended them.

    Raises:
        CorpusError: if the file is not as that study publishes it.
    """
    texts = {}
    for stem, entry in _entries(path):
        name = NAME.fullmatch(str(entry.get("text_name")))
        if not name:
            raise CorpusError(
                f"shemo: text_name must be like F21N05; got {entry.get('text_name')!r} for {stem!r} in {path.name!r}. "
                "Copy the file again from github.com/aliyzd95/modified_shemo."
            )
        texts[Path(stem).stem.upper()] = {"text": _text(entry), "label": name[3].upper()}
    return texts


def read_published(path: Path) -> dict[str, dict]:
    """Name of a transcript -> the transcript, from the authors' `shemo.json`.

    Raises:
        CorpusError: if the file is not as the authors publish it.
    """
    return {stem.upper(): {"text": _text(entry)} for stem, entry in _entries(path)}


def _entries(path: Path) -> list[tuple[str, dict]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
        entries = [(str(entry["id"]), entry) for entry in found] if isinstance(found, list) else [*found.items()]
        if all(isinstance(entry, dict) for _, entry in entries):
            return entries
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise CorpusError(
        f"shemo: {path.name} must hold one object per utterance; got something else in {str(path.parent)!r}. "
        "Copy the file again from its repository."
    )


def _text(entry: dict) -> str | None:
    return str(entry.get("transcript") or "").strip(NO_WORDS) or None
