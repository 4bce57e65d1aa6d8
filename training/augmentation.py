"""Waveform augmentation: speed, reverberation, telephone band, noise and gain.

Speed (with pitch, as in https://www.isca-archive.org/interspeech_2015/ko15_interspeech.html) makes new speakers of those
in the training set; the rest makes new rooms, lines and microphones.
"""

import numpy as np
import soxr
from scipy.signal import fftconvolve

from speecheq.processing_speecheq import MIN_SECONDS, SAMPLING_RATE

LOWEST_NOISE = 50  # Hz. Pink noise from 0 Hz would lie half below hearing, and the more so the longer the utterance.
MAX_SECONDS = 30  # that whisper takes; no utterance is slowed down to more


class WaveformAugmentation:
    """Change the speed, the room, the band, the noise and the loudness of an utterance, each with the same probability.

    Args:
        probability (`float`, *optional*, defaults to 0.5): of each of the five changes. The band is cut half as often.
        speed (`float`, *optional*, defaults to 0.1): largest change of speed, 0.1 for 0.9 to 1.1.
        reverberation (`tuple[float, float]`, *optional*, defaults to `(0.1, 0.6)`): range of the time in which a room's
            echo falls by 60 dB, in seconds.
        gain_db (`tuple[float, float]`, *optional*, defaults to `(-24, 6)`): range of changes of level, in dB: a far
            microphone says nothing of the speaker.
        snr_db (`tuple[float, float]`, *optional*, defaults to `(5, 35)`): range of signal-to-noise ratios, in dB. The
            noise is white, or pink from 50 Hz on.
    """

    def __init__(
        self,
        probability: float = 0.5,
        speed: float = 0.1,
        reverberation: tuple[float, float] = (0.1, 0.6),
        gain_db: tuple[float, float] = (-24.0, 6.0),
        snr_db: tuple[float, float] = (5.0, 35.0),
    ):
        self.probability = probability
        self.speed = speed
        self.reverberation = reverberation
        self.gain_db = gain_db
        self.snr_db = snr_db

    def __call__(self, waveform: np.ndarray, seed: int) -> np.ndarray:
        """`np.ndarray` of shape `(samples,)` at 16 kHz in; of another length, in `[-1, 1]`, out. The seed decides all."""
        random = np.random.default_rng(seed)
        changes = (self._change_speed, self._add_room, self._cut_band, self._add_noise, self._change_gain)
        probabilities = self.probability * np.array([1, 1, 0.5, 1, 1])
        for change, chosen in zip(changes, random.uniform(size=5) < probabilities, strict=True):
            if chosen:
                waveform = change(waveform, random)
        return waveform.clip(-1, 1).astype(np.float32)

    def _change_speed(self, waveform, random):
        factor = 1 + random.uniform(-self.speed, self.speed)
        longest = max(MAX_SECONDS * SAMPLING_RATE, len(waveform))
        if not 2 * MIN_SECONDS * SAMPLING_RATE <= len(waveform) / factor <= longest:
            return waveform
        return soxr.resample(waveform, SAMPLING_RATE * factor, SAMPLING_RATE, quality="MQ")

    def _add_room(self, waveform, random):
        """The direct sound and an exponentially falling tail of noise, 0 to 12 dB below it in all."""
        seconds = random.uniform(*self.reverberation)
        at = np.arange(int(seconds * SAMPLING_RATE)) / SAMPLING_RATE
        tail = random.normal(size=len(at)) * 10 ** (-3 * at / seconds)
        tail *= 10 ** (-random.uniform(0, 12) / 20) / max(np.sqrt(np.sum(np.square(tail))), 1e-12)
        return waveform + fftconvolve(waveform, tail)[: len(waveform)]

    def _cut_band(self, waveform, random):
        """A telephone's 8 kHz."""
        narrow = soxr.resample(waveform, SAMPLING_RATE, SAMPLING_RATE // 2)
        wide = soxr.resample(narrow, SAMPLING_RATE // 2, SAMPLING_RATE)
        return np.pad(wide[: len(waveform)], (0, max(0, len(waveform) - len(wide))))

    def _change_gain(self, waveform, random):
        return waveform * 10 ** (random.uniform(*self.gain_db) / 20)

    def _add_noise(self, waveform, random):
        noise = random.normal(size=len(waveform))
        noise = pink(noise) if random.uniform() < 0.5 else noise
        power = np.mean(np.square(waveform)) / 10 ** (random.uniform(*self.snr_db) / 10)
        return waveform + noise * np.sqrt(power / max(np.mean(np.square(noise)), 1e-12))


def pink(white: np.ndarray) -> np.ndarray:
    """White noise of shape `(samples,)` with power 1 / frequency from 50 Hz to 8 kHz, at no level in particular."""
    frequency = np.fft.rfftfreq(len(white), 1 / SAMPLING_RATE)
    shape = np.where(frequency < LOWEST_NOISE, 0, 1 / np.sqrt(np.maximum(frequency, LOWEST_NOISE)))
    return np.fft.irfft(np.fft.rfft(white) * shape, len(white))
