"""Degradations of a waveform, to measure the robustness of a model.

Each is a function of a waveform of shape `(samples,)`, float32 at 16 kHz, at least 0.05 s long, and a seed. It returns a
time-aligned waveform of the same length. An output above full scale is scaled down: only `clipping` clips, and the codecs
clip their input.
"""

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import soundfile
import soxr
from scipy.signal import butter, fftconvolve, sosfiltfilt

from speecheq.processing_speecheq import SAMPLING_RATE
from speecheq.training.augmentation import pink

TELEPHONE_RATE, TELEPHONE_BAND = 8_000, (300, 3_400)  # Hz
MP3_KBITS = 32
# Samples: 576 of LAME's encoder and 529 of a decoder (https://lame.sourceforge.io/tech-FAQ.txt). A frame of 32 kbit/s at
# 16 kHz has 144 bytes, too few for the tag that stores the delay.
MP3_DELAY = 576 + 529
RT60 = 0.5  # s
DIRECT_TO_REVERBERANT = 0.0  # dB
CLIPPED_SHARE = 0.1


def clean(waveform: np.ndarray, seed: int) -> np.ndarray:
    """Return the recording unchanged."""
    return waveform.astype(np.float32)


def pink_noise(waveform: np.ndarray, seed: int, snr_db: float) -> np.ndarray:
    """Add noise with power 1 / frequency from 50 Hz to 8 kHz, `snr_db` dB below the mean power of the utterance."""
    noise = pink(np.random.default_rng(seed).normal(size=len(waveform)))
    return _like(waveform, waveform + noise * _level(waveform) / _level(noise, least=1e-12) * 10 ** (-snr_db / 20))


def telephone(waveform: np.ndarray, seed: int) -> np.ndarray:
    """Simulate a telephone: 300 to 3400 Hz (-6 dB), 8 kHz, mu-law at 64 kbit/s, https://www.itu.int/rec/T-REC-G.711."""
    band = butter(4, TELEPHONE_BAND, "bandpass", fs=SAMPLING_RATE, output="sos")
    narrow = soxr.resample(sosfiltfilt(band, waveform.astype(np.float64)), SAMPLING_RATE, TELEPHONE_RATE)
    decoded = _decoded(narrow, TELEPHONE_RATE, format="WAV", subtype="ULAW")
    return _like(waveform, soxr.resample(decoded, TELEPHONE_RATE, SAMPLING_RATE))


def mp3_32k(waveform: np.ndarray, seed: int) -> np.ndarray:
    """Encode as MP3 at a constant 32 kbit/s (MPEG-2 Layer III, LAME)."""
    # libsndfile, src/mpeg_l3_encode.c: from 16 to 32 kHz, kbit/s = 160 - 152 * level, rounded down.
    level = (160 - MP3_KBITS - 0.5) / 152
    decoded = _decoded(
        waveform, format="MP3", subtype="MPEG_LAYER_III", compression_level=level, bitrate_mode="CONSTANT"
    )
    return _like(waveform, decoded[MP3_DELAY:])


def opus_low(waveform: np.ndarray, seed: int) -> np.ndarray:
    """Encode as Opus at its lowest rate, variable 6 kbit/s with 4 kHz bandwidth: https://www.rfc-editor.org/rfc/rfc6716."""
    return _like(waveform, _decoded(waveform, format="OGG", subtype="OPUS", compression_level=1.0))


def reverberation(waveform: np.ndarray, seed: int) -> np.ndarray:
    """Add a decaying tail of Gaussian noise, RT60 0.5 s, 0 dB direct-to-reverberant ratio, at equal level."""
    at = np.arange(1, int(RT60 * SAMPLING_RATE)) / SAMPLING_RATE
    tail = np.random.default_rng(seed).normal(size=len(at)) * 10 ** (-3 * at / RT60)
    tail *= 10 ** (-DIRECT_TO_REVERBERANT / 20) / np.sqrt(np.sum(tail**2))
    reverberant = fftconvolve(waveform, np.concatenate([[1.0], tail]))[: len(waveform)]
    return _like(waveform, reverberant * _level(waveform) / _level(reverberant, least=1e-12))


def clipping(waveform: np.ndarray, seed: int) -> np.ndarray:
    """Clip at the magnitude that 10 % of the nonzero samples reach."""
    magnitudes = np.abs(waveform[waveform != 0])
    limit = np.quantile(magnitudes, 1 - CLIPPED_SHARE) if len(magnitudes) else 0.0
    return _like(waveform, waveform.clip(-limit, limit))


def gain(waveform: np.ndarray, seed: int, gain_db: float) -> np.ndarray:
    """Change the level by `gain_db` dB."""
    return _like(waveform, waveform * 10 ** (gain_db / 20))


DEGRADATIONS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "clean": clean,
    "noise_20db": partial(pink_noise, snr_db=20),
    "noise_10db": partial(pink_noise, snr_db=10),
    "noise_0db": partial(pink_noise, snr_db=0),
    "telephone": telephone,
    "mp3_32k": mp3_32k,
    "opus_low": opus_low,
    "reverberation": reverberation,
    "clipping": clipping,
    "gain_-20db": partial(gain, gain_db=-20),
}


def _level(waveform: np.ndarray, least: float = 0.0) -> float:
    """Compute the root mean square, relative to full scale and at least `least`."""
    return max(float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))), least)


def _decoded(waveform: np.ndarray, rate: int = SAMPLING_RATE, **encoding) -> np.ndarray:
    """Encode a waveform to a file in memory and decode it."""
    file = io.BytesIO()
    # libsndfile's mu-law encoder reads beyond its table for a sample beyond full scale.
    soundfile.write(file, waveform.clip(-1, 1), rate, **encoding)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def _like(waveform: np.ndarray, degraded: np.ndarray) -> np.ndarray:
    """Cut or zero-pad `degraded` to the length of `waveform`, scale it to at most full scale, convert to float32."""
    degraded = np.pad(degraded[: len(waveform)], (0, max(0, len(waveform) - len(degraded))))
    return (degraded / max(1.0, np.abs(degraded).max())).astype(np.float32)
