"""MEAD: English, acted by 60 speakers at three strengths and filmed from seven sides (Wang et al. 2020).

Source: https://wywu.github.io/projects/MEAD/MEAD.html, one folder a speaker with `audio.tar` and `video/`.
Licence: "Terms of Use_ Mead.pdf" in https://github.com/uniBruce/Mead, non-commercial research; the MIT licence beside it
is that of the code.
Files: `{speaker}/audio/{emotion}/level_{n}/{number}.m4a`; M for actors, W for actresses.
Quirks: file names repeat in every folder, so that an utterance is named by its path; neutral has level_1 alone; the
videos repeat the same recordings from every side and are not read; not every speaker was published, and some lack
clips (issue 9). The download has no transcripts. m4a needs FFmpeg.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped, find_audio, parse_each

CORPUS = "mead"
LICENSE = "MEAD Terms of Use: non-commercial research only, do not redistribute"
REDISTRIBUTABLE = False
HOMEPAGE = "https://wywu.github.io/projects/MEAD/MEAD.html"
CITATION = "Wang et al., MEAD: A Large-scale Audio-visual Dataset for Emotional Talking-face Generation, ECCV 2020"

NAME = re.compile(r"([MW]\d{3})/audio/([a-z]+)/(level_\d)/(\d+)", re.IGNORECASE)
GENDER = {"M": "male", "W": "female"}
VIDEO = "video"


def record(path: Path) -> NativeRecord:
    """Read one record from a path such as `M003/audio/angry/level_1/001.m4a`.

    Raises:
        CorpusError: if the path has another form, or says that neutral was acted at a higher level.
    """
    name = NAME.fullmatch("/".join(path.with_suffix("").parts[-5:]))
    if not name:
        raise CorpusError(f"mead: path must end like M003/audio/angry/level_1/001; got {'/'.join(path.parts[-5:])!r}.")
    speaker, emotion, level, number = name[1].upper(), name[2].lower(), name[3].lower(), name[4]
    if emotion == "neutral" and level != "level_1":
        raise CorpusError(
            f"mead: level of neutral must be level_1; got {level!r} in {f'{speaker}/{emotion}/{level}/{path.name}'!r}."
        )
    return NativeRecord(
        path=path,
        name=f"{speaker}_{emotion}_{level}_{number}",
        speaker=speaker,
        language="en",
        label=emotion,
        level=level,
        gender=GENDER[speaker[0]],
    )


def records(folder: Path) -> Iterator[NativeRecord | Skipped]:
    """Yield the records of a download.

    Raises:
        CorpusError: if the audio is missing.
    """
    paths = [path for path in find_audio(folder) if not _is_video(path.relative_to(folder))]
    if not paths:
        raise CorpusError(
            f"mead: folder must hold speaker/audio/emotion/level_n; got videos alone in {str(folder)!r}. "
            "Unpack the audio.tar of each speaker."
        )
    yield from parse_each(paths, record)


def _is_video(path: Path) -> bool:
    return VIDEO in (part.lower() for part in path.parts[:-1])
