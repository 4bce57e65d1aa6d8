"""Claims about the degradations of a waveform."""

import numpy as np
import pytest
from samples import waveform

from speecheq.evaluation import degradations
from speecheq.evaluation.degradations import DEGRADATIONS, reverberation, telephone

# Only noise and reverberation depend on the seed.
RANDOM = {"noise_20db", "noise_10db", "noise_0db", "reverberation"}


@pytest.fixture(params=DEGRADATIONS)
def condition(request) -> str:
    return request.param


def tone(hertz: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)).astype(np.float32)


def decibel(ratio: float) -> float:
    return 10 * np.log10(ratio)


def lag(first: np.ndarray, second: np.ndarray) -> int:
    """Return the delay of the second waveform in samples."""
    size = 2 * len(first)
    product = np.fft.rfft(second, size) * np.conj(np.fft.rfft(first, size))
    return int((np.fft.irfft(product).argmax() + len(first)) % size - len(first))


def file_of(condition: str, audio: np.ndarray, monkeypatch) -> bytes:
    """Return the encoded file that the degradation decodes."""
    files, read = [], degradations.soundfile.read
    monkeypatch.setattr(
        degradations.soundfile, "read", lambda file, **options: files.append(file.getvalue()) or read(file, **options)
    )
    DEGRADATIONS[condition](audio, 0)
    return files[0]


def test_the_conditions_stand_in_their_order():
    assert list(DEGRADATIONS) == [
        "clean", "noise_20db", "noise_10db", "noise_0db", "telephone", "mp3_32k", "opus_low", "reverberation",
        "clipping", "gain_-20db",
    ]  # fmt: skip


@pytest.mark.parametrize("samples", [800, 12_345, 48_001])
def test_the_length_and_the_type_stay(condition, samples):
    audio = waveform(4)[:samples]
    before = audio.copy()
    degraded = DEGRADATIONS[condition](audio, 1)
    assert degraded.shape == (samples,) and degraded.dtype == np.float32
    assert np.isfinite(degraded).all()
    assert np.abs(degraded).max() > 0.001
    np.testing.assert_array_equal(audio, before)


def test_the_result_is_in_step_with_the_recording(condition):
    audio = waveform(3)
    assert abs(lag(audio, DEGRADATIONS[condition](audio, 1))) <= 1


@pytest.mark.parametrize("samples", [800, 16_000])
def test_silence_stays_silent(condition, samples):
    degraded = DEGRADATIONS[condition](np.zeros(samples, np.float32), 1)
    assert degraded.shape == (samples,)
    assert np.abs(degraded).max() < 1e-4


def test_a_recording_at_full_scale_stays_within_it(condition):
    loud = np.sign(waveform(1))
    assert np.abs(DEGRADATIONS[condition](loud, 1)).max() <= 1


def test_the_seed_decides(condition):
    first, again, other = (DEGRADATIONS[condition](waveform(0.5), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (condition not in RANDOM)


def test_clean_changes_nothing():
    np.testing.assert_array_equal(DEGRADATIONS["clean"](waveform(0.5), 1), waveform(0.5))


@pytest.mark.parametrize(("condition", "ratio"), [("noise_20db", 20), ("noise_10db", 10), ("noise_0db", 0)])
def test_noise_has_its_ratio_to_the_whole_utterance(condition, ratio):
    audio = waveform(1)
    noise = DEGRADATIONS[condition](audio, 1) - audio
    assert decibel(np.mean(audio**2) / np.mean(noise**2)) == pytest.approx(ratio, abs=0.01)


def test_noise_is_pink_from_50_hz_up():
    audio = waveform(10)
    power = np.abs(np.fft.rfft(DEGRADATIONS["noise_0db"](audio, 1) - audio)) ** 2
    hertz = np.fft.rfftfreq(len(audio), 1 / 16_000)
    octaves = [power[(hertz >= low) & (hertz < 2 * low)].sum() for low in (250, 500, 1_000, 2_000, 4_000)]
    assert [decibel(octave / octaves[0]) for octave in octaves] == pytest.approx([0] * 5, abs=0.7)
    assert power[hertz < 50].sum() < 1e-6 * power.sum()


def test_too_loud_a_mixture_is_scaled_and_not_clipped():
    audio = np.clip(5 * waveform(1), -1, 1)
    degraded = DEGRADATIONS["noise_0db"](audio, 1).astype(np.float64)
    assert np.abs(degraded).max() == 1
    assert (np.abs(degraded) == 1).sum() == 1


@pytest.mark.parametrize(
    ("hertz", "lost"), [(100, (50, 300)), (300, (5, 7)), (1_000, (-0.2, 0.2)), (3_400, (5, 7)), (5_000, (50, 300))]
)
def test_the_telephone_passes_300_to_3400_hz(hertz, lost):
    heard = telephone(tone(hertz), 0)[1_000:-1_000]
    low, high = lost
    assert low < decibel(0.125 / max(np.mean(heard**2), 1e-30)) < high


def test_the_telephone_quantises_as_g711_does():
    heard = telephone(tone(1_000), 0)[1_000:-1_000]
    noise = heard - tone(1_000)[1_000:-1_000]
    assert 33 < decibel(0.125 / np.mean(noise**2)) < 42


def test_the_mp3_has_32_kbit_a_second(monkeypatch):
    # Sync and MPEG-2 Layer III without CRC; the fifth rate (32 kbit/s) and the third sampling rate (16 kHz); mono.
    header = file_of("mp3_32k", waveform(2), monkeypatch)[:4]
    assert (header[:2].hex(), header[2] >> 2, header[3] >> 6) == ("fff3", 0b0100_10, 0b11)


def test_opus_has_the_lowest_rate_and_half_the_band(monkeypatch):
    audio = waveform(4)
    file = file_of("opus_low", audio, monkeypatch)
    assert b"OpusHead" in file
    assert len(file) * 8 / 4 < 10_000
    power = np.abs(np.fft.rfft(DEGRADATIONS["opus_low"](audio, 0))) ** 2
    assert power[(4 * 4_500) :].sum() < 0.01 * power.sum()


def test_the_room_has_its_decay_and_its_ratio():
    impulse = np.zeros(16_000, np.float32)
    impulse[0] = 0.5
    energy = reverberation(impulse, 3).astype(np.float64) ** 2
    assert decibel(energy[0] / energy[1:].sum()) == pytest.approx(0, abs=0.01)
    # RT60 from -5 to -25 dB of the tail's backward integral, as ISO 3382 does.
    decay = decibel(np.cumsum(energy[8_000:0:-1])[::-1] / energy[1:].sum())
    part = np.flatnonzero((decay < -5) & (decay > -25))
    slope = np.polyfit(part / 16_000, decay[part], 1)[0]
    assert -60 / slope == pytest.approx(0.5, abs=0.03)


def test_the_room_leaves_the_level():
    degraded = reverberation(waveform(1), 3)
    assert decibel(np.mean(degraded**2) / np.mean(waveform(1) ** 2)) == pytest.approx(0, abs=0.01)


def test_a_tenth_of_the_samples_is_clipped_and_silence_does_not_count():
    audio = np.concatenate([np.zeros(90_000, np.float32), waveform(1)])
    degraded = DEGRADATIONS["clipping"](audio, 1)
    limit = np.abs(degraded).max()
    assert (np.abs(degraded) == limit).sum() == 1_600
    inside = np.abs(audio) < limit
    np.testing.assert_array_equal(degraded[inside], audio[inside])


def test_the_gain_is_a_tenth():
    np.testing.assert_allclose(DEGRADATIONS["gain_-20db"](waveform(0.5), 1), 0.1 * waveform(0.5), rtol=1e-6)
