"""Audio fingerprints of 256 bits, which are nearly equal for two encodings of one recording.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System", ISMIR 2002: each bit is the sign of a
difference of band energies along both time and frequency. Here the utterance, from its first to its last loud frame, is
divided into 17 spans, so that each utterance has one fingerprint.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

import numpy as np

from speecheq.audio_speecheq import SAMPLING_RATE

WINDOW, HOP = 1024, 512  # 64 ms, 32 ms
BANDS = 17  # from 200 Hz to 3.4 kHz, which every codec preserves
LOWEST, HIGHEST = 200.0, 3400.0
SPANS = 17
BITS = (BANDS - 1) * (SPANS - 1)
LOUD = 10 ** (
    -35 / 10
)  # relative to the loudest frame; audio before the first and after the last such frame is ignored
FLOOR = 10 ** (-50 / 10)  # relative to the loudest band; hides what codecs do to silence
WORD = 16  # bits; only fingerprints with an equal word are compared
MAX_DISTANCE = 0.15  # share of bits; tests/dataset_scripts/build/test_fingerprint.py has values of real speech


def fingerprint(samples: np.ndarray) -> bytes:
    """Compute the fingerprint of an utterance.

    Args:
        samples (`np.ndarray` of shape `(samples,)`): 16 kHz mono.

    Returns:
        `bytes`: 32 bytes (256 bits); empty if the loud part is shorter than the spans of a fingerprint (0.5 s): most bits
        would be interpolated, and different recordings would agree.
    """
    padded = np.pad(samples.astype(np.float32), WINDOW)  # so that silence at the ends changes nothing
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * _window()
    spectra = np.abs(np.fft.rfft(frames, axis=1)) ** 2  # (frames, bins)
    bands = np.add.reduceat(spectra[:, : _edges()[-1]], _edges()[:-1], axis=1)  # (frames, bands)
    power = bands.sum(axis=1)
    loud = np.flatnonzero(power >= power.max() * LOUD)
    energy = np.log(bands[loud[0] : loud[-1] + 1] + bands.max() * FLOOR + 1e-12)
    if len(energy) < SPANS:
        return b""
    return np.packbits(np.diff(np.diff(_spans(energy), axis=1), axis=0) > 0).tobytes()


def distance(first: bytes, second: bytes) -> float:
    """Compute the share of different bits of two fingerprints; about 0.5 for different recordings."""
    differing = np.frombuffer(first, np.uint8) ^ np.frombuffer(second, np.uint8)
    return float(np.unpackbits(differing).sum()) / BITS


def near_duplicates(clips: Iterable[tuple[str, str, bytes]]) -> list[tuple[str, str]]:
    """Find recordings that are in two splits.

    Args:
        clips (`Iterable[tuple[str, str, bytes]]`): id, split and fingerprint of each utterance.

    Returns:
        `list[tuple[str, str]]`: pairs of ids from different splits whose fingerprints differ in at most 15 % of the
        bits, sorted.
    """
    prints = {name: (split, bits) for name, split, bits in clips if bits}
    pairs = set()
    for word in range(0, BITS // 8, WORD // 8):
        buckets = defaultdict(list)
        for name, (_, bits) in prints.items():
            buckets[bits[word : word + WORD // 8]].append(name)
        for names in buckets.values():
            pairs |= {
                (min(first, second), max(first, second))
                for place, first in enumerate(names)
                for second in names[:place]
                if prints[first][0] != prints[second][0]
                and distance(prints[first][1], prints[second][1]) <= MAX_DISTANCE
            }
    return sorted(pairs)


@cache
def _window() -> np.ndarray:
    return np.hanning(WINDOW).astype(np.float32)


@cache
def _edges() -> np.ndarray:
    """Compute the first bin of each band and the end of the last; bands have equal frequency ratios."""
    return np.round(np.geomspace(LOWEST, HIGHEST, BANDS + 1) * WINDOW / SAMPLING_RATE).astype(int)


def _spans(energy: np.ndarray) -> np.ndarray:
    """Average over spans of equal length, `(frames, bands)` -> `(spans, bands)`; span edges may divide a frame."""
    total = np.concatenate([np.zeros((1, energy.shape[1])), np.cumsum(energy, axis=0)])  # (frames + 1, bands)
    edges = np.linspace(0, len(energy), SPANS + 1)
    whole = np.minimum(edges.astype(int), len(energy) - 1)
    until = total[whole] + (edges - whole)[:, None] * energy[whole]
    return np.diff(until, axis=0)
