"""PAVOQUE: German, one actor in a neutral and four acted styles (Steiner et al. 2013).

Source: https://github.com/marytts/pavoque-data and its releases; 7,334 utterances by the lists of EmoBox.
Licence: CC BY-NC-SA 3.0.
Files: `pavoque-{style}.flac`, all utterances of a style in one file, and `pavoque-{style}.yaml`, a list of `prompt`, `text`,
`style`, `start` and `end` (EmoBox, preprocess/scripts/pavoque.py). Styles: neutral, happy (Poppy), sad (Obadiah), angry
(Spike) and poker, a cool poker player, which the metric table maps to no class.
Quirks: all is one man, so every utterance is in train. Outtakes are skipped.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import yaml

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    parse_each,
    read_text,
)

CORPUS = "pavoque"
LICENSE = "CC-BY-NC-SA-3.0"
REDISTRIBUTABLE = True
HOMEPAGE = "https://github.com/marytts/pavoque-data"
CITATION = (
    "Steiner, Schröder and Klepp, The PAVOQUE corpus as a resource for analysis and synthesis of expressive speech, "
    "Phonetik und Phonologie 9, 2013"
)

SPEAKER = "stefan"
SAFE_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FIELDS = ("prompt", "style", "start", "end")


def record(path: Path, entry: dict) -> NativeRecord:
    """Read one record from an entry of the YAML file beside the audio.

    Raises:
        CorpusError: if the entry has no prompt, style, start and end, or they are not as documented.
    """
    missing = [field for field in FIELDS if not isinstance(entry, dict) or entry.get(field) is None]
    if missing:
        raise CorpusError(f"pavoque: entry must have {', '.join(FIELDS)}; got no {missing[0]} beside {path.name!r}.")
    prompt, style, text = str(entry["prompt"]), str(entry["style"]).lower(), entry.get("text")
    start, end = (float(entry[field]) if isinstance(entry[field], int | float) else math.nan for field in FIELDS[2:])
    if not 0 <= start < end < math.inf:
        raise CorpusError(
            f"pavoque: start and end must be seconds, start first; got {start:g} and {end:g} in {prompt!r}."
        )
    return NativeRecord(
        path=path,
        name=f"{prompt}-{style}",
        speaker=SPEAKER,
        language="de",
        label=style,
        gender="male",
        start=start,
        end=end,
        text=str(text).strip() or None if text else None,
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    for path in find_audio(folder):
        try:
            entries = _entries(path)
        except CorpusError as error:
            yield Skipped(path, str(error))
            continue
        for entry in entries:
            yield from parse_each([path], lambda path, entry=entry: record(path, entry))


def _entries(path: Path) -> list:
    """The utterances of one audio file."""
    beside = path.with_suffix(".yaml")
    if not beside.is_file() or path.stem.endswith("-outtakes"):
        raise CorpusError(
            f"pavoque: audio must have its list of utterances, {beside.name!r}; got none for {path.name!r}."
        )
    try:
        entries = yaml.load(read_text(beside), Loader=SAFE_LOADER)
    except (yaml.YAMLError, ValueError) as error:
        raise CorpusError(f"pavoque: {beside.name} must be YAML; got {' '.join(str(error).split())}.") from error
    if not isinstance(entries, list):
        raise CorpusError(f"pavoque: {beside.name} must be a list of utterances; got something else.")
    return entries
