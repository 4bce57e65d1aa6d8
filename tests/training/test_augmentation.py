"""Claims about waveform augmentation."""

import numpy as np
import pytest
from samples import waveform

from speecheq.training.augmentation import WaveformAugmentation


def test_probability_zero_changes_nothing():
    np.testing.assert_array_equal(WaveformAugmentation(0.0)(waveform(0.5), 0), waveform(0.5))


def test_the_seed_decides():
    augment = WaveformAugmentation(0.8)
    results = [augment(waveform(0.5), seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0], results[1])
    assert results[0].shape != results[2].shape or not np.array_equal(results[0], results[2])


def test_results_stay_finite_and_in_range():
    augment = WaveformAugmentation(1.0, gain_db=(-30, 30))
    for seed, audio in enumerate(
        [waveform(0.05), waveform(0.5), np.zeros(8000, np.float32), np.ones(8000, np.float32)]
    ):
        result = augment(audio, seed)
        assert result.dtype == np.float32
        assert np.isfinite(result).all()
        assert np.abs(result).max() <= 1
        assert len(result) >= 0.05 * 16_000


def test_speed_changes_the_length_within_its_range():
    augment = WaveformAugmentation(1.0, speed=0.1)
    lengths = [len(augment._change_speed(waveform(1.0), np.random.default_rng(seed))) for seed in range(40)]
    assert 16_000 / 1.1 - 2 <= min(lengths) < 15_500
    assert 16_500 < max(lengths) <= 16_000 / 0.9 + 2


def test_nothing_is_slowed_down_to_more_than_whisper_takes():
    augment, lengths = WaveformAugmentation(1.0, speed=0.1), {}
    for seconds in (29.0, 31.0):
        audio = np.zeros(round(16_000 * seconds), np.float32)
        changed = [len(augment._change_speed(audio, np.random.default_rng(seed))) / 16_000 for seed in range(40)]
        lengths[seconds] = (min(changed), max(changed))
    assert lengths[29.0][0] < 27 and 29 < lengths[29.0][1] <= 30
    assert lengths[31.0][0] < 29 and lengths[31.0][1] == 31  # other encoders accept longer utterances


def test_silence_is_added_at_both_ends_and_leaves_the_speech_as_it_is():
    audio, augment = waveform(1.0), WaveformAugmentation(1.0, silence=2.0)
    for seed in range(8):
        longer = augment._add_silence(audio, np.random.default_rng(seed))
        start = int(np.flatnonzero(np.isclose(longer, audio[0], rtol=0, atol=1e-9))[0])
        np.testing.assert_array_equal(longer[start : start + 16_000], audio)
        assert 0 < start <= 32_000 and 0 < len(longer) - start - 16_000 <= 32_000
        ends = np.concatenate([longer[:start], longer[start + 16_000 :]])
        assert -91 < 20 * np.log10(np.sqrt(np.mean(ends**2))) < -49


def test_silence_makes_nothing_longer_than_whisper_takes():
    for seconds in (29.0, 31.0):
        audio = np.zeros(round(16_000 * seconds), np.float32)
        lengths = {
            len(WaveformAugmentation(1.0)._add_silence(audio, np.random.default_rng(seed))) for seed in range(20)
        }
        assert max(lengths) <= max(30.0, seconds) * 16_000


@pytest.mark.parametrize("seed", range(4))
def test_noise_keeps_the_signal_to_noise_ratio(seed):
    audio = waveform(1.0)
    noisy = WaveformAugmentation(1.0, snr_db=(20.0, 20.0))._add_noise(audio, np.random.default_rng(seed))
    ratio = np.mean(audio**2) / np.mean((noisy - audio) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(20, abs=0.01)


def test_the_equalizer_changes_the_bands_by_some_decibels_and_nothing_else():
    noise, changes = np.random.default_rng(0).normal(size=16_000), []
    bands = [(80, 160), (300, 600), (1000, 2000), (4000, 7000)]
    for seed in range(60):
        equal = WaveformAugmentation(1.0, equalizer_db=4.0)._equalize(noise, np.random.default_rng(seed))
        assert equal.shape == noise.shape
        before, after = np.abs(np.fft.rfft(noise)), np.abs(np.fft.rfft(equal))
        changes.append([20 * np.log10(after[low:high].mean() / before[low:high].mean()) for low, high in bands])
    assert np.std(changes, axis=0).min() > 2 and np.std(changes, axis=0).max() < 5  # 4 dB, less inside wide bands
    assert np.abs(np.mean(changes, axis=0)).max() < 2
    unchanged = WaveformAugmentation(1.0, equalizer_db=0.0)._equalize(noise, np.random.default_rng(0))
    np.testing.assert_allclose(unchanged, noise, atol=1e-9)


def test_a_room_adds_a_tail_after_the_sound_and_keeps_the_length():
    audio = np.zeros(16_000, np.float32)
    audio[4000] = 0.5
    result = WaveformAugmentation(1.0)._add_room(audio, np.random.default_rng(0))
    assert len(result) == 16_000
    assert np.abs(result[:3999]).max() < 1e-6
    tail = np.square(result[4001:]).sum() / 0.5**2
    assert 10 ** (-12 / 10) <= tail <= 1


def test_the_telephone_band_keeps_1_khz_and_drops_6_khz_and_30_hz():
    at = np.arange(16_000) / 16_000
    cut = WaveformAugmentation(1.0)._cut_band

    def kept(frequency: float, seed: int = 0) -> float:
        return np.abs(cut(np.sin(2 * np.pi * frequency * at), np.random.default_rng(seed))[1000:-1000]).max()

    assert kept(1000) == pytest.approx(1, abs=0.01)
    assert kept(6000) < 0.001
    assert max(kept(30, seed) for seed in range(20)) < 0.15
    of_200_hz = [kept(200, seed) for seed in range(20)]  # its lower limit is random
    assert min(of_200_hz) < 0.2 and max(of_200_hz) > 0.9
    assert len(cut(at[:-1], np.random.default_rng(0))) == 15_999
