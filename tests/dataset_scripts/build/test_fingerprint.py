import io

import numpy as np
import pytest
import soundfile

from speecheq.dataset_scripts.build import audio
from speecheq.dataset_scripts.build.fingerprint import MAX_DISTANCE, distance, fingerprint, near_duplicates


def voice(seed: int, seconds: float = 1.5) -> np.ndarray:
    """Make noise whose spectrum changes every 150 ms, like that of speech."""
    random = np.random.default_rng(seed)
    frames = []
    for _ in range(int(seconds / 0.15)):
        spectrum = np.fft.rfft(random.normal(size=2400)) * np.repeat(random.uniform(0, 1, 27) ** 2, 45)[:1201]
        frames.append(np.fft.irfft(spectrum, 2400))
    return (0.2 * np.concatenate(frames)).astype(np.float32)


def encoded(samples: np.ndarray, kind: str) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format=kind)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


def test_one_recording_keeps_its_fingerprint_through_codec_gain_and_padding():
    original = voice(0)
    kept = fingerprint(original)

    assert len(kept) == 32
    assert fingerprint(original) == kept
    assert distance(kept, fingerprint(0.3 * original)) == 0
    assert distance(kept, fingerprint(encoded(original, "MP3"))) < 0.1
    assert distance(kept, fingerprint(encoded(original, "OGG"))) < 0.1
    assert distance(kept, fingerprint(np.pad(original, (4000, 8000)))) < MAX_DISTANCE


def test_other_recordings_differ_in_half_of_the_bits():
    prints = [fingerprint(voice(seed)) for seed in range(20)]
    apart = [distance(first, second) for place, first in enumerate(prints) for second in prints[:place]]

    assert min(apart) > 0.3
    assert 0.45 < np.mean(apart) < 0.55


@pytest.mark.parametrize("size", [1, 100, 800, 1024, 5000])
def test_audio_shorter_than_the_spans_of_a_fingerprint_has_none_and_is_no_near_duplicate(size):
    short = fingerprint(np.full(size, 0.5, dtype=np.float32))
    assert short == b""
    assert near_duplicates([("c/1", "train", short), ("c/2", "test", short)]) == []


def test_near_duplicates_are_found_between_splits_and_not_within():
    first, again, other = fingerprint(voice(0)), fingerprint(encoded(voice(0), "MP3")), fingerprint(voice(1))
    assert first != again

    assert near_duplicates(
        [("c/2", "test", again), ("c/1", "train", first), ("c/3", "test", other), ("c/4", "train", first)]
    ) == [("c/1", "c/2"), ("c/2", "c/4")]
    assert near_duplicates([("c/1", "train", first), ("c/2", "train", again)]) == []


@pytest.mark.corpora
def test_on_real_speech_the_threshold_lies_between_recodings_and_other_recordings(corpora):
    samples = [audio.load(path) for path in sorted((corpora / "nemo/samples").iterdir())[::60]]
    prints = [fingerprint(clip) for clip in samples]
    recoded = [distance(bits, fingerprint(encoded(clip, "MP3"))) for bits, clip in zip(prints, samples, strict=True)]
    others = [distance(first, second) for place, first in enumerate(prints) for second in prints[:place]]

    assert max(recoded) < MAX_DISTANCE < min(others) - 0.1
