"""CASIA Chinese emotional corpus: Mandarin, acted by four speakers (Chinese Academy of Sciences, 2005).

Source: Chinese LDC, http://www.chineseldc.org/resource_info.php?rid=76, by licence; the widely used part is 50 texts
in six emotions by every speaker, 1,200 files. Licence: Chinese LDC's agreement, not to be passed on.
Files: `{speaker}/{emotion}/{number}.wav`, numbers 201 to 250. The number is the text: every speaker says it in every
emotion, so that a text-disjoint split must go by number.
Quirks: file names repeat in every folder, so an utterance is named `wangzhe_angry_201`. Folders are spelt in mixed
case, `ZhaoZuoxiang` and `zhaozuoxiang`; `liuchanhg` is spelt so in the download. Two of the speakers are women,
liuchanhg and zhaoquanyin. Some mirrors name files `201-angry-liuchanhg.wav`. The whole corpus of 9,600 files holds 300
texts said in each emotion under these names, and 100 further texts per emotion in folders `Chang.Liu`, `Quanyin.Zhao`,
`Zhe.Wang` and `Zuoxiang.Zhao` with `normal` for neutral: the same speakers, utterances `wangzhe_angry_own_001`.
Texts: `相同的文本201--250.txt` (or `texts.txt`) in the corpus folder, a line `201. text` each, or `201.txt` beside
`201.wav`; UTF-8, UTF-16 or GB 18030. A download without them gives no text.
Pinyin: `201.lab` beside `201.wav` holds a line `start end syllable` each, times in units of 100 ns, `SIL` for silence.
Syllables have the tones that the speaker said (`yu2 ye3`, where the dictionary has `yu3 ye3`). Of the 1,195 label
files some 160 lack syllables at the end or altogether, and one lacks all names. So a label file is used only if it has
one syllable for every character of the text.
"""

import re
from collections.abc import Iterator, Mapping
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

CORPUS = "casia"
LICENSE = "Chinese LDC licence agreement, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://www.chineseldc.org/resource_info.php?rid=76"
CITATION = "CASIA Chinese Emotional Corpus, Institute of Automation, Chinese Academy of Sciences, Chinese LDC, 2005"

NUMBER = re.compile(r"\d{3}")
FLAT = re.compile(r"(\d{3})-([A-Za-z]+)-([A-Za-z]+)")
SPEAKER = {
    "liuchanhg": "liuchanhg",
    "wangzhe": "wangzhe",
    "zhaoquanyin": "zhaoquanyin",
    "zhaozuoxiang": "zhaozuoxiang",
    "chang.liu": "liuchanhg",
    "zhe.wang": "wangzhe",
    "quanyin.zhao": "zhaoquanyin",
    "zuoxiang.zhao": "zhaozuoxiang",
}
GENDER = {"liuchanhg": "female", "wangzhe": "male", "zhaoquanyin": "female", "zhaozuoxiang": "male"}
EMOTION = {name: name for name in ("angry", "fear", "happy", "neutral", "sad", "surprise")} | {"normal": "neutral"}
TEXTS = ("texts.txt", "相同的文本201--250.txt")
TEXT_LINE = re.compile(r"(\d{3})(?:\s|\.)\s*(\S.*)")
LABEL_LINE = re.compile(r"\d+\s+\d+\s+([a-z]+[1-5])")
ENCODINGS = ("utf-8", "gb18030")


def record(path: Path, texts: Mapping[str, str]) -> NativeRecord:
    """Read one record from a path such as `wangzhe/angry/201.wav`.

    Raises:
        CorpusError: if the name has another form, or the speaker or the emotion is not documented.
    """
    if flat := FLAT.fullmatch(path.stem):
        number, emotion, speaker = flat.groups()
    elif NUMBER.fullmatch(path.stem):
        number, emotion, speaker = path.stem, path.parent.name, path.parent.parent.name
    else:
        raise CorpusError(f"casia: name must be a number of three digits such as 201.wav; got {path.name!r}.")
    item = f"{speaker}/{emotion}/{path.name}"
    who = look_up(speaker.lower(), SPEAKER, field="speaker", item=item)
    label = look_up(emotion.lower(), EMOTION, field="emotion", item=item)
    own = speaker.lower() != who
    text = _text_beside(path) or (None if own else texts.get(number))
    return NativeRecord(
        path=path,
        speaker=who,
        language="zh",
        label=label,
        name=f"{who}_{label}_{'own_' if own else ''}{number}",
        gender=GENDER[who],
        text=text,
        pinyin=_pinyin_beside(path, text),
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    paths = find_audio(folder)
    texts, unread = read_texts(folder)
    yield from unread
    yield from parse_each(paths, lambda path: record(path, texts))


def read_texts(folder: Path) -> tuple[dict[str, str], list[Skipped]]:
    """Read the list of texts if there is one: number -> text, and the lines that cannot be read."""
    path = find_entry(folder, *TEXTS, depth=1)
    texts: dict[str, str] = {}
    unread: list[Skipped] = []
    for place, line in enumerate(decode_text(path, ENCODINGS).split("\n") if path else (), start=1):
        found = TEXT_LINE.fullmatch(line.strip())
        if found and UNREADABLE not in line:
            texts[found[1]] = "".join(found[2].split())
        elif line.strip():
            unread.append(Skipped(path, f"casia: line must be like '201 text'; got {line!r} in line {place}."))
    return texts, unread


def _text_beside(path: Path) -> str | None:
    beside = path.with_suffix(".txt")
    text = decode_text(beside, ENCODINGS).strip() if beside.is_file() else ""
    return text if text and UNREADABLE not in text else None


def _pinyin_beside(path: Path, text: str | None) -> str | None:
    """The syllables of the label file, if it has one for every character of the text."""
    labels = path.with_suffix(".lab")
    if not text or not labels.is_file():
        return None
    lines = (LABEL_LINE.fullmatch(line.strip()) for line in decode_text(labels, ENCODINGS).splitlines())
    syllables = [line[1] for line in lines if line]
    return " ".join(syllables) if len(syllables) == sum(map(str.isalnum, text)) else None
