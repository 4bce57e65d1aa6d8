"""EmotionTTS open DB: Korean, acted by fifteen speakers in four emotions (Selvas AI and KAIST, 2020).

Source: https://github.com/emotiontts/emotiontts_open_db, `Emotional/` and its README; 300 files, 5 % of the whole, are
public. Licence: for research only, not to be passed on.
Files: `{kind}/{speaker}/wav/{speaker}{number}.wav`. The number gives the emotion, a hundred sentences each. The
transcript is the file of the same name in `transcript/` beside `wav/`, in UTF-8 with a byte order mark.
Quirks: in `plain-to-emotional` all emotions are acted on the same neutral sentences; in `emotional-to-emotional` the
sentences suit the emotion. The README gives 201 to 300 to anger and 301 to 400 to sadness, and the sentences contradict
it: 201 to 205 speak of heartache, an accident, depression, a funeral and regret, 301 to 305 of stubbornness, idleness and
noise. A model that is trained on other corpora confuses the two in the same way. So 201 to 300 is sadness here.
`script/` holds the sentences before the speakers changed them, and is not read.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import (
    UNREADABLE,
    CorpusError,
    NativeRecord,
    Skipped,
    decode_text,
    find_audio,
    find_entry,
    look_up,
    parse_each,
)

CORPUS = "emotiontts"
LICENSE = "CC-BY-NC-SA-4.0, research use only"
REDISTRIBUTABLE = False
HOMEPAGE = "https://github.com/emotiontts/emotiontts_open_db"
CITATION = "EmotionTTS open DB, Selvas AI and KAIST, 2020, https://github.com/emotiontts/emotiontts_open_db"

NAME = re.compile(r"([a-z]{3})(\d{5})", re.IGNORECASE)
EMOTIONS = ("neutral", "joy", "sadness", "anger")  # numbers 1 to 100, 101 to 200, and so on
WOMEN = ("ema", "emb", "nea", "neb", "nec", "ned", "nee")
MEN = ("emf", "emg", "emh", "nek", "nel", "nem", "nen", "neo")
GENDER = dict.fromkeys(WOMEN, "female") | dict.fromkeys(MEN, "male")


def record(path: Path) -> NativeRecord:
    """Read one record from a name such as `nea00101.wav` and its transcript, if there is one.

    Raises:
        CorpusError: if the name has another form, or a speaker or a number that the corpus does not document.
    """
    name = NAME.fullmatch(path.stem)
    if not name:
        raise CorpusError(f"emotiontts: name must be like nea00101; got {path.name!r}.")
    speaker, number = name[1].lower(), int(name[2])
    if not 1 <= number <= 100 * len(EMOTIONS):
        raise CorpusError(f"emotiontts: number must be from 00001 to 00400; got {name[2]} in {path.name!r}.")
    return NativeRecord(
        path=path,
        speaker=speaker,
        language="ko",
        label=EMOTIONS[(number - 1) // 100],
        gender=look_up(speaker, GENDER, field="speaker", item=path.name),
        text=_transcript(path),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    yield from parse_each(find_audio(folder), record)


def _transcript(path: Path) -> str | None:
    file = find_entry(path.parent.parent / "transcript", f"{path.stem}.txt")
    text = decode_text(file, ("utf-8",)).strip() if file and file.is_file() else ""
    return text if text and UNREADABLE not in text else None
