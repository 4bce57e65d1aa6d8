"""Small SYNTHETIC corpus for tests and demos: espeak-ng speaks English and Mandarin with emotional prosody.

The prosody follows the direction, not the size, of the vocal cues in Scherer (2003), "Vocal communication of emotion",
https://doi.org/10.1016/S0167-6393(02)00084-5: anger and joy fast, loud and with a wide pitch range; sadness slow, soft,
low and narrow; fear fast and high. The sizes, the cues of surprise, and the narrow range and tremor of fear are chosen by
this project, so that a small model separates the classes on unseen voices. The sentences are neutral and independent of the
emotion.

    python -m speecheq.dataset_scripts.build.synthetic --out dataset_scripts/seqd_mini
"""

import argparse
import csv
import hashlib
import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from tqdm import tqdm

from speecheq.audio_speecheq import SAMPLING_RATE
from speecheq.dataset_scripts.build import espeak

# Voice variants of espeak-ng. Each speaks both languages, so the language does not identify the speaker.
SPEAKERS = {
    "f1": "female", "f2": "female", "f3": "female", "f4": "female", "f5": "female", "Annie": "female",
    "m1": "male", "m2": "male", "m3": "male", "m4": "male", "m7": "male", "m6": "male",
}  # fmt: skip
VOICES = {"en": "en-gb", "zh": "cmn"}  # ISO 639-1 -> language of espeak-ng
PHRASES = {
    "en": (
        ("Tom", "Anna", "We", "They", "You", "She", "Bob", "Kate"),
        (" saw", " took", " found", " made", " lost", " washed", " sold", " kept"),
        (" the boat.", " the key.", " a cup.", " my shoe.", " the fish.", " a house.", " the bird.", " the lamp."),
    ),
    "zh": (
        ("他", "我们", "妈妈", "老师", "小王", "你", "姐姐", "大家"),
        ("看见", "买了", "喜欢", "找到", "拿走", "需要", "卖了", "画了"),
        ("书。", "茶。", "车。", "花。", "苹果。", "雨伞。", "钥匙。", "房子。"),
    ),
}
# Strength of the emotional prosody at each level; 0 is neutral.
STRENGTH = {"normal": 0.0, "low": 0.55, "moderate": 0.9, "high": 1.3}
TAKES_PER_NEUTRAL = 3


@dataclass(frozen=True)
class Prosody:
    """Changes of an emotion to neutral prosody, at strength 1.

    Args:
        rate (`float`): words per minute, factor.
        pitch (`float`): base pitch, points of espeak-ng (0 to 100, 50 is the default of the voice).
        pitch_range (`float`): pitch range, in the same points.
        loudness (`float`): dB.
        tilt (`float`): dB at 4 kHz against 500 Hz.
        tremor (`float`): depth of an 8 Hz tremor of the amplitude, 0 to 1.
        glide (`float`): rise of pitch and speed over the utterance, factor.
    """

    rate: float = 1.0
    pitch: float = 0.0
    pitch_range: float = 0.0
    loudness: float = 0.0
    tilt: float = 0.0
    tremor: float = 0.0
    glide: float = 0.0


PROSODY = {
    "neutral": Prosody(),
    "angry": Prosody(rate=1.25, pitch=5, pitch_range=30, loudness=14, tilt=10),
    "happy": Prosody(rate=1.15, pitch=30, pitch_range=45, loudness=8, tilt=0),
    "sad": Prosody(rate=0.8, pitch=-25, pitch_range=-35, loudness=-9, tilt=-14),
    "fear": Prosody(rate=1.35, pitch=30, pitch_range=-35, loudness=0, tilt=16, tremor=0.8),
    "surprise": Prosody(rate=0.9, pitch=25, pitch_range=40, loudness=4, tilt=6, glide=0.6),
}
BASE = {"rate": 215, "pitch": 45, "pitch_range": 50, "loudness": -40.0}  # loudness: RMS, dB of full scale


@dataclass(frozen=True)
class Utterance:
    """One line of the script.

    Args:
        speaker (`str`): a key of `SPEAKERS`.
        emotion (`str`): a key of `PROSODY`.
        level (`str`): a key of `STRENGTH`.
        number (`int`): unique over the corpus; chooses the sentence.
        language (`str`): ISO 639-1, a key of `VOICES`.
        text (`str`): the sentence.
    """

    speaker: str
    emotion: str
    level: str
    number: int
    language: str
    text: str

    @property
    def file(self) -> str:
        return f"{self.speaker}/{self.emotion}_{self.level}_{self.number:03d}_{self.language}.wav"


def script() -> list[Utterance]:
    """List all lines of the corpus: each speaker, emotion and level, with alternating languages."""
    lines = []
    for place, speaker in enumerate(SPEAKERS):
        acts = [(emotion, level) for emotion in PROSODY for level in _levels(emotion)]
        for turn, (emotion, level) in enumerate(acts):
            number = place * len(acts) + turn
            language = ("en", "zh")[(place + turn) % 2]
            lines.append(Utterance(speaker, emotion, level, number, language, _sentence(number, language)))
    return lines


def _levels(emotion: str) -> list[str]:
    return ["normal"] * TAKES_PER_NEUTRAL if emotion == "neutral" else ["low", "moderate", "high"]


def _uniform(number: int, count: int) -> list[float]:
    """Make `count` (at most 16) numbers in [-1, 1), the same in every process and Python version."""
    digest = hashlib.sha256(f"speecheq synthetic {number}".encode()).digest()
    return [int.from_bytes(digest[2 * i : 2 * i + 2], "big") / 32768 - 1 for i in range(count)]


def _sentence(number: int, language: str) -> str:
    choice = _uniform(number, 3)
    return "".join(parts[int((u + 1) / 2 * len(parts))] for u, parts in zip(choice, PHRASES[language], strict=True))


def perform(utterance: Utterance) -> np.ndarray:
    """Synthesise one line of the script.

    Args:
        utterance (`Utterance`): the line.

    Returns:
        `np.ndarray` of shape `(samples,)`: int16, 16 kHz.
    """
    prosody, strength = PROSODY[utterance.emotion], STRENGTH[utterance.level]
    # A few percent of random variation between takes.
    jitter = _uniform(utterance.number, 6)[3:]
    speech, rate = espeak.speak(
        utterance.text,
        f"{VOICES[utterance.language]}+{utterance.speaker}",
        rate=round(BASE["rate"] * prosody.rate**strength * (1 + 0.03 * jitter[0])),
        pitch=_clip(BASE["pitch"] + prosody.pitch * strength + 2 * jitter[1]),
        pitch_range=_clip(BASE["pitch_range"] + prosody.pitch_range * strength),
    )
    speech = _glide(speech, prosody.glide * strength)
    speech = soxr.resample(speech, rate, SAMPLING_RATE)
    speech = _tilt(speech * _tremor(len(speech), min(1.0, prosody.tremor * strength)), prosody.tilt * strength)
    loudness = BASE["loudness"] + prosody.loudness * strength + jitter[2]
    speech = speech * (10 ** (loudness / 20) / math.sqrt(float(np.mean(speech**2))))
    return np.rint(np.clip(speech, -1, 1) * 32767).astype(np.int16)


def _clip(points: float) -> int:
    return round(min(100.0, max(0.0, points)))


def _glide(speech: np.ndarray, rise: float) -> np.ndarray:
    """Increase the playback speed linearly from 1 - rise / 2 to 1 + rise."""
    if not rise:
        return speech
    speed = np.linspace(1 - rise / 2, 1 + rise, len(speech))
    reached = np.cumsum(speed) - speed[0]
    return np.interp(reached[reached < len(speech)], np.arange(len(speech)), speech)


def _tremor(samples: int, depth: float) -> np.ndarray:
    return 1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * 8 * np.arange(samples) / SAMPLING_RATE))


def _tilt(speech: np.ndarray, decibels: float) -> np.ndarray:
    """Tilt the spectrum linearly over log frequency: 0 dB at 500 Hz, `decibels` above 4 kHz."""
    frequency = np.fft.rfftfreq(len(speech), 1 / SAMPLING_RATE)
    octaves = np.clip(np.log2(np.maximum(frequency, 1) / 500), 0, 3)
    return np.fft.irfft(np.fft.rfft(speech) * 10 ** (decibels * octaves / 3 / 20), len(speech))


def write_corpus(out: Path, utterances: Iterable[Utterance] | None = None):
    """Write the corpus to `<out>/<speaker>/<emotion>_<level>_<number>_<language>.wav` and `<out>/metadata.csv`.

    Args:
        out (`Path`): folder of the corpus, created if needed.
        utterances (`Iterable[Utterance]`, *optional*, defaults to `script()`): lines to synthesise.
    """
    lines = list(script() if utterances is None else utterances)
    for line in tqdm(lines, desc="synthetic: speaking", unit="utterance"):
        path = out / line.file
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, perform(line), SAMPLING_RATE, subtype="PCM_16")
    with (out / "metadata.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "gender", "language", "text"])
        writer.writerows([line.file, SPEAKERS[line.speaker], line.language, line.text] for line in lines)


def main(arguments: list[str] | None = None):
    """Synthesise the corpus and build a SEQD from it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the SEQD to build")
    parser.add_argument("--corpus", type=Path, help="folder of the synthesised audio (default: temporary)")
    options = parser.parse_args(arguments)
    from speecheq.dataset_scripts.build.builder import BuildOptions, build

    with tempfile.TemporaryDirectory() as temporary:
        corpus = options.corpus or Path(temporary) / "synthetic"
        write_corpus(corpus)
        build({"synthetic": corpus}, options.out, BuildOptions(force=True))


if __name__ == "__main__":
    main()
