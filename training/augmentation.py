"""Waveform augmentation: speed, silence around the speech, equalizer, reverberation, telephone band, noise and gain.

Speed perturbation (it also changes pitch, https://www.isca-archive.org/interspeech_2015/ko15_interspeech.html) varies the
speakers; the other changes vary rooms, channels and microphones.
"""

import numpy as np
import soxr
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import butter, fftconvolve, sosfilt

from speecheq.processing_speecheq import MIN_SECONDS, SAMPLING_RATE

LOWEST_BAND = 60  # Hz, of the equalizer
BANDS = 8  # of the equalizer, equally wide on a logarithmic scale: about an octave
LOW_CUT = (50, 400)  # Hz, range of the lower limit of the band; a telephone has 300
LOWEST_NOISE = 50  # Hz. With a lower limit, most of the pink noise would be inaudible in long utterances.
MAX_SECONDS = 30  # the longest input of whisper; no utterance is slowed down beyond it


class WaveformAugmentation:
    """Randomly change the speed, silence, spectrum, room, bandwidth, noise and level of an utterance.

    Args:
        probability (`float`, *optional*, defaults to 0.5): of each of the seven changes; half of it for the bandwidth.
        speed (`float`, *optional*, defaults to 0.1): largest change of speed; 0.1 means factors from 0.9 to 1.1.
        silence (`float`, *optional*, defaults to 2): longest silence before the speech, and after it, in seconds. Recordings
            of a user rarely begin and end with the speech, as those of most corpora do.
        reverberation (`tuple[float, float]`, *optional*, defaults to `(0.1, 0.6)`): range of the reverberation time
            RT60, in seconds.
        equalizer_db (`float`, *optional*, defaults to 4): standard deviation of the gain of each of eight bands, in dB.
            Microphones and codecs differ between corpora, and a model that recognises the corpus learns its labels.
        gain_db (`tuple[float, float]`, *optional*, defaults to `(-24, 6)`): range of level changes, in dB. The model
            must not depend on the distance to the microphone.
        snr_db (`tuple[float, float]`, *optional*, defaults to `(5, 35)`): range of signal-to-noise ratios, in dB. The
            noise is white, or pink above 50 Hz.
    """

    def __init__(
        self,
        probability: float = 0.5,
        speed: float = 0.1,
        silence: float = 2.0,
        reverberation: tuple[float, float] = (0.1, 0.6),
        equalizer_db: float = 4.0,
        gain_db: tuple[float, float] = (-24.0, 6.0),
        snr_db: tuple[float, float] = (5.0, 35.0),
    ):
        self.probability = probability
        self.speed = speed
        self.silence = silence
        self.reverberation = reverberation
        self.equalizer_db = equalizer_db
        self.gain_db = gain_db
        self.snr_db = snr_db

    def __call__(self, waveform: np.ndarray, seed: int) -> np.ndarray:
        """Augment a waveform.

        Args:
            waveform (`np.ndarray` of shape `(samples,)`): at 16 kHz.
            seed (`int`): of all random choices.

        Returns:
            `np.ndarray` of shape `(new_samples,)`: in `[-1, 1]`; speed and silence change the length.
        """
        random = np.random.default_rng(seed)
        changes = (
            (self._change_speed, 1),
            (self._add_silence, 1),
            (self._equalize, 1),
            (self._add_room, 1),
            (self._cut_band, 0.5),
            (self._add_noise, 1),
            (self._change_gain, 1),
        )
        for (change, share), draw in zip(changes, random.uniform(size=len(changes)), strict=True):
            if draw < share * self.probability:
                waveform = change(waveform, random)
        return waveform.clip(-1, 1).astype(np.float32)

    def _change_speed(self, waveform, random):
        factor = 1 + random.uniform(-self.speed, self.speed)
        longest = max(MAX_SECONDS * SAMPLING_RATE, len(waveform))
        if not 2 * MIN_SECONDS * SAMPLING_RATE <= len(waveform) / factor <= longest:
            return waveform
        return soxr.resample(waveform, SAMPLING_RATE * factor, SAMPLING_RATE, quality="MQ")

    def _add_silence(self, waveform, random):
        """Add silence at both ends: a noise floor from -90 to -50 dBFS."""
        longest = max(0, MAX_SECONDS * SAMPLING_RATE - len(waveform)) // 2
        before, after = (min(int(random.uniform(0, self.silence) * SAMPLING_RATE), longest) for _ in range(2))
        floor = random.normal(size=len(waveform) + before + after) * 10 ** (random.uniform(-90, -50) / 20)
        floor[before : before + len(waveform)] = waveform
        return floor

    def _equalize(self, waveform, random):
        """Filter with a smooth random frequency response: cosine interpolation between the bands."""
        gains = random.normal(scale=self.equalizer_db, size=BANDS)
        size = next_fast_len(len(waveform), real=True)
        frequency = rfftfreq(size, 1 / SAMPLING_RATE).clip(LOWEST_BAND)
        at = np.log(frequency / LOWEST_BAND) / np.log(SAMPLING_RATE / 2 / LOWEST_BAND) * (BANDS - 1)
        band = at.astype(int).clip(max=BANDS - 2)
        share = (1 - np.cos(np.pi * (at - band))) / 2
        response = 10 ** ((gains[band] * (1 - share) + gains[band + 1] * share) / 20)
        return irfft(rfft(waveform, size) * response, size)[: len(waveform)]

    def _add_room(self, waveform, random):
        """Add reverberation: an exponentially decaying noise tail, 0 to 12 dB below the direct sound."""
        seconds = random.uniform(*self.reverberation)
        at = np.arange(int(seconds * SAMPLING_RATE)) / SAMPLING_RATE
        tail = random.normal(size=len(at)) * 10 ** (-3 * at / seconds)
        tail *= 10 ** (-random.uniform(0, 12) / 20) / max(np.sqrt(np.sum(np.square(tail))), 1e-12)
        return waveform + fftconvolve(waveform, tail)[: len(waveform)]

    def _cut_band(self, waveform, random):
        """Limit the band as a telephone does: from a random lower limit to 4 kHz (8 kHz sampling rate)."""
        high = butter(4, random.uniform(*LOW_CUT), "highpass", fs=SAMPLING_RATE, output="sos")
        narrow = soxr.resample(sosfilt(high, waveform), SAMPLING_RATE, SAMPLING_RATE // 2)
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
    """Filter white noise of shape `(samples,)` to power 1 / frequency from 50 Hz to 8 kHz; the level is not normalised."""
    frequency = np.fft.rfftfreq(len(white), 1 / SAMPLING_RATE)
    shape = np.where(frequency < LOWEST_NOISE, 0, 1 / np.sqrt(np.maximum(frequency, LOWEST_NOISE)))
    return np.fft.irfft(np.fft.rfft(white) * shape, len(white))
