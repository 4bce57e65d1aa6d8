"""Claims about detecting speech in a stream, and splitting it into windows."""

import sys

import numpy as np
import pytest
import soundfile
import soxr
from fresh_process import run
from samples import ROOT, waveform

from speecheq import speech_speecheq
from speecheq.speech_speecheq import Region, SpeechDetector, SpeechWindows, stretches, windows

SECOND = 16_000


def speech() -> np.ndarray:
    samples, rate = soundfile.read(ROOT / "tests/speech/angry_high_en.wav", dtype="float32")
    return soxr.resample(samples, rate, SECOND)


def regions(detector: SpeechDetector, samples: np.ndarray, block: int = 10 * SECOND) -> list[tuple[float, float]]:
    found = [region for at in range(0, len(samples), block) for region in detector.feed(samples[at : at + block])]
    return [(start / SECOND, end / SECOND) for start, end in [*found, *detector.finish()]]


def silence(seconds: float) -> np.ndarray:
    return np.zeros(int(seconds * SECOND), np.float32)


@pytest.mark.parametrize("block", [100, 512, 3_000, 10 * SECOND])
def test_what_is_not_silent_is_a_region_however_it_arrives(block):
    samples = np.concatenate([silence(1.0), waveform(1.0), silence(1.0), waveform(2.0), silence(0.5)])
    found = regions(SpeechDetector(use_silero=False), samples, block)
    assert found == [pytest.approx((0.9, 2.1), abs=0.04), pytest.approx((2.9, 5.1), abs=0.04)]


def test_a_short_pause_does_not_end_a_region_and_a_click_begins_none():
    samples = np.concatenate(
        [silence(1), waveform(1.0), silence(0.2), waveform(1.0), silence(1), waveform(0.05), silence(1)]
    )
    assert regions(SpeechDetector(use_silero=False), samples) == [pytest.approx((0.9, 3.3), abs=0.04)]


def test_speech_that_goes_on_to_the_end_is_closed_there():
    assert regions(SpeechDetector(use_silero=False), waveform(1.03)) == [pytest.approx((0.0, 1.03), abs=0.033)]
    assert regions(SpeechDetector(use_silero=False), silence(1.0)) == []


def test_silero_tells_speech_from_noise_and_tones():
    pytest.importorskip("silero_vad")
    (found,) = regions(SpeechDetector(), np.concatenate([silence(1), speech(), silence(1)]))
    assert found == pytest.approx((1.0, 1.7), abs=0.25)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(3 * SECOND) / SECOND).astype(np.float32)
    assert regions(SpeechDetector(), waveform(3.0)) == regions(SpeechDetector(), tone) == []


@pytest.mark.parametrize("silero", [True, False])
def test_data_decoded_as_sound_is_no_speech_however_like_it_and_clipped_speech_is(silero):
    if silero:
        pytest.importorskip("silero_vad")
    voice = np.concatenate([silence(0.5), speech(), silence(0.5)])
    clipped = 2 * np.clip(voice, -0.5 * np.abs(voice).max(), 0.5 * np.abs(voice).max())
    full_scale = np.where(np.abs(voice) > 1e-3, np.sign(voice), 0).astype(np.float32)
    louder = 1.9 / np.abs(voice).max() * voice
    assert len(regions(SpeechDetector(silero), clipped)) == len(regions(SpeechDetector(silero), louder)) == 1
    assert regions(SpeechDetector(silero), full_scale) == []


def test_silero_runs_in_one_thread_and_leaves_torch_its_own(tmp_path):
    """The import of silero-vad alone would leave torch with one thread."""
    pytest.importorskip("silero_vad")
    code = (
        "import torch; torch.set_num_threads(3)\n"
        "from threading import Thread\n"
        "from speecheq.speech_speecheq import SpeechDetector\n"
        "import numpy as np\n"
        "detector, used = SpeechDetector(True), []\n"
        "vad = detector._model\n"
        "detector._model = lambda *given: used.append(torch.get_num_threads()) or vad(*given)\n"
        "list(detector.feed(np.zeros(5120, np.float32)))\n"
        "print(set(used), torch.get_num_threads())\n"
        "hear = lambda: [list(SpeechDetector(True).feed(np.zeros(51200, np.float32))) for _ in range(5)]\n"
        "threads = [Thread(target=hear) for _ in range(4)]\n"
        "[thread.start() for thread in threads], [thread.join() for thread in threads]\n"
        "print(torch.get_num_threads())\n"
    )
    result = run(code, ROOT, tmp_path, speecheq=True)
    assert result.stdout.split("\n") == ["{1} 3", "3", ""], result.stderr[-1000:]


def test_streams_that_are_heard_in_turns_do_not_disturb_each_other():
    pytest.importorskip("silero_vad")
    samples = np.concatenate([silence(0.5), speech(), silence(0.5)])
    alone = regions(SpeechDetector(), samples, block=512)
    first, second, found = SpeechDetector(), SpeechDetector(), []
    for at in range(0, len(samples), 512):
        found += first.feed(samples[at : at + 512])
        list(second.feed(waveform(0.032, seed=at)))
    assert [(start / SECOND, end / SECOND) for start, end in [*found, *first.finish()]] == alone


def test_without_silero_it_is_said_once_and_named_if_asked_for(monkeypatch):
    monkeypatch.setitem(sys.modules, "silero_vad", None)
    speech_speecheq._silero.cache_clear()
    said = []
    monkeypatch.setattr(speech_speecheq.logger, "warning_once", said.append)
    assert regions(SpeechDetector(), waveform(1.0)) == [pytest.approx((0.0, 1.0), abs=0.033)]
    assert len(said) == 1 and "silero-vad is not installed: noise and music count as speech" in said[0]
    with pytest.raises(ImportError, match="SpeechDetector: silero-vad must be installed; got no silero_vad module"):
        SpeechDetector(use_silero=True)
    speech_speecheq._silero.cache_clear()


class GivenRegions:
    """Detector that returns given regions as the stream reaches them."""

    def __init__(self, *known: tuple[int, int]):
        self.known, self.position, self.open = [Region(*region) for region in known], 0, None

    def feed(self, samples):
        self.position += len(samples)
        ended = [region for region in self.known if region.end <= self.position]
        self.known = self.known[len(ended) :]
        self.open = next((Region(r.start, self.position) for r in self.known if r.start < self.position), None)
        return ended

    def finish(self):
        return [
            region._replace(end=min(region.end, self.position))
            for region in self.known
            if region.start < self.position
        ]


def cut(samples: np.ndarray, block: int, *known: tuple[int, int]) -> list[tuple[int, int, bool]]:
    blocks = (samples[at : at + block] for at in range(0, len(samples), block))
    found = list(windows(blocks, GivenRegions(*known), length=4 * SECOND, hop=SECOND))
    for window in found:  # each holds the samples of its place
        np.testing.assert_array_equal(window.samples, samples[window.start : window.start + len(window.samples)])
    return [(window.start, window.start + len(window.samples), window.starts_region) for window in found]


@pytest.mark.parametrize("block", [1_000, SECOND, 7 * SECOND, 60 * SECOND])
def test_windows_fill_each_region_and_the_last_ends_with_it(block):
    samples = waveform(20.0)
    found = cut(samples, block, (SECOND, 3 * SECOND), (5 * SECOND, 11 * SECOND + 500), (12 * SECOND, 20 * SECOND))
    second = 5 * SECOND
    assert found == [
        (SECOND, 3 * SECOND, True),
        (second, 9 * SECOND, True), (6 * SECOND, 10 * SECOND, False), (7 * SECOND, 11 * SECOND, False),
        (7 * SECOND + 500, 11 * SECOND + 500, False),
        *((start * SECOND, (start + 4) * SECOND, start == 12) for start in range(12, 17)),
    ]  # fmt: skip


def test_speech_without_end_is_cut_as_it_arrives_and_not_kept():
    splitter = SpeechWindows(GivenRegions((0, 600 * SECOND)), length=4 * SECOND, hop=SECOND)
    found = [window for at in range(400) for window in splitter.feed(np.full(SECOND, at, np.float32))]
    assert (found[0].samples[0], found[395].start) == (0, 395 * SECOND)
    assert len(splitter._kept) < 8 * SECOND


def test_regions_whose_surroundings_touch_are_one_stretch():
    regions = [(100, 200), (260, 300), (401, 500), (960, 990)]
    assert stretches(regions, 1_000, 50) == [Region(50, 350), Region(351, 550), Region(910, 1_000)]
    assert stretches(regions, 1_000, 51) == [Region(49, 551), Region(909, 1_000)]
    assert stretches([], 1_000, 50) == []
