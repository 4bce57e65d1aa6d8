"""Voice activity detection in an audio stream, windows of its speech, and the timeline of its segments.

If silero-vad (https://github.com/snakers4/silero-vad) is installed, it separates speech from noise and music. Otherwise
everything that is not silent counts as speech.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from itertools import pairwise
from threading import Lock
from typing import NamedTuple

import numpy as np
import torch
from transformers.utils import logging

from .audio_speecheq import SAMPLING_RATE, SILENT_PEAK

logger = logging.get_logger(__name__)

FRAME = 512  # samples, 32 ms: the frame size of silero-vad at 16 kHz
BEGIN, END = 0.5, 0.35  # speech probability that starts a region, and below which it can end: defaults of silero-vad
MIN_SPEECH = 0.25  # s
MIN_PAUSE = 0.3  # s
PAD = 0.1  # s of audio added on both sides of a region
# Highest RMS of a speech frame, relative to full scale or to a higher peak. A sine reaches 0.71, and none of 679,000 frames
# of nEMO, EmoTale, ASED and URDU exceeds 0.70. Data decoded as audio exceeds it, and silero-vad can take it for speech.
NO_VOICE = 0.75
BELOW_LOUDEST = 40.0  # dB below the loudest frame so far: the silence threshold without silero-vad

STEP = 0.5  # s, resolution of the timeline


class Region(NamedTuple):
    """Region of speech, in samples at 16 kHz."""

    start: int
    end: int


class SpeechDetector:
    """Streaming detector of speech regions, for one audio stream.

    Args:
        use_silero (`bool`, *optional*): whether to use silero-vad; by default if it is installed.

    Raises:
        ImportError: if `use_silero` is `True` and silero-vad is not installed.
    """

    def __init__(self, use_silero: bool | None = None):
        self._model = None
        if use_silero or use_silero is None:
            # The silero-vad model stores the state of its stream, so each detector needs a copy.
            self._model = deepcopy(_silero(required=bool(use_silero)))
        self._rest = np.zeros(0, np.float32)
        self._position = 0  # of the next frame
        self._start = self._last_speech = None
        self._loudest = 0.0
        self._kept_until = 0

    def feed(self, samples: np.ndarray) -> Iterator[Region]:
        """Process the next samples of the stream, `(samples,)` at 16 kHz, and yield the regions that end in them."""
        samples = np.concatenate([self._rest, samples])
        used = len(samples) // FRAME * FRAME
        self._rest = samples[used:]
        for frame in samples[:used].reshape(-1, FRAME):
            yield from self._step(self._probability(frame))

    def finish(self) -> Iterator[Region]:
        """End the stream, and yield the region that is still open, if any."""
        end = self._position + len(self._rest)
        if self._start is not None:
            yield from self._close(min(self._last_speech + FRAME, end), end)

    @property
    def open(self) -> Region | None:
        """The region that has not ended yet, up to its last speech frame; `None` if there is none."""
        return None if self._start is None else Region(self._padded_start(), self._last_speech + FRAME)

    def _step(self, probability: float) -> Iterator[Region]:
        if probability >= BEGIN or (self._start is not None and probability >= END):
            self._start = self._position if self._start is None else self._start
            self._last_speech = self._position
        elif self._start is not None and self._position - self._last_speech > MIN_PAUSE * SAMPLING_RATE:
            yield from self._close(self._last_speech + FRAME, self._position)
        self._position += FRAME

    def _close(self, end: int, available: int) -> Iterator[Region]:
        start, length = self._padded_start(), end - self._start
        self._start = None
        if length >= MIN_SPEECH * SAMPLING_RATE:
            self._kept_until = min(end + int(PAD * SAMPLING_RATE), available)
            yield Region(start, self._kept_until)

    def _padded_start(self) -> int:
        return max(self._start - int(PAD * SAMPLING_RATE), self._kept_until)

    def _probability(self, frame: np.ndarray) -> float:
        level = float(np.sqrt((frame * frame).mean()))
        possible = level <= NO_VOICE * max(1.0, float(np.abs(frame).max()))
        if self._model is not None:
            with torch.no_grad(), _one_thread:  # runs on rejected frames too: the model needs all frames of the stream
                return float(self._model(torch.from_numpy(frame), SAMPLING_RATE)) * possible
        if not possible:
            return 0.0
        self._loudest = max(self._loudest, level)
        return float(level > max(SILENT_PEAK, self._loudest * 10 ** (-BELOW_LOUDEST / 20)))


class AudioStream:
    """Iterator over blocks of 16 kHz mono audio that tracks the number of samples and the peak.

    Args:
        blocks (`Iterator[np.ndarray]`): blocks of the stream.
    """

    def __init__(self, blocks: Iterator[np.ndarray]):
        self.blocks, self.samples, self.peak = blocks, 0, 0.0
        self._buffer = deque()

    def read_if_short(self, seconds: float) -> np.ndarray | None:
        """Return all samples if the stream has at most `seconds`, else `None`; iteration still yields every block."""
        while sum(map(len, self._buffer)) <= seconds * SAMPLING_RATE:
            block = next(self.blocks, None)
            if block is None:
                return np.concatenate(self._buffer)
            self._buffer.append(block)
        return None

    def __iter__(self) -> Iterator[np.ndarray]:
        while (block := self._buffer.popleft() if self._buffer else next(self.blocks, None)) is not None:
            self.samples += len(block)
            self.peak = max(self.peak, float(np.abs(block).max()))
            yield block


class Window(NamedTuple):
    """Window of speech: start in samples at 16 kHz, samples, and whether a region starts with it."""

    start: int
    samples: np.ndarray
    starts_region: bool


def windows(blocks: Iterable[np.ndarray], detector: SpeechDetector, length: int, hop: int) -> Iterator[Window]:
    """Split the speech of a stream into overlapping windows.

    A region up to the length of a window is one window. In a longer region, windows start every `hop` samples, and the last
    window ends with the region. The function buffers at most the last block and one window of the stream.

    Args:
        blocks (`Iterable[np.ndarray]`): blocks of the stream, 16 kHz mono.
        detector ([`SpeechDetector`]): unused detector.
        length (`int`): window length, in samples.
        hop (`int`): distance between window starts, in samples.

    Yields:
        [`Window`]: windows in the order of time.
    """
    kept, origin = np.zeros(0, np.float32), 0
    following = None  # start of the next window of the region; `None` before its first window

    def cut(start: int, end: int) -> Window:
        return Window(start, kept[start - origin : end - origin].copy(), starts_region=following is None)

    def inside(region: Region) -> Iterator[Window]:
        """Yield the windows that end before the region ends."""
        nonlocal following
        at = region.start if following is None else following
        while at + length < region.end:
            yield cut(at, at + length)
            at = following = at + hop

    def ended(regions: Iterable[Region]) -> Iterator[Window]:
        nonlocal following
        for region in regions:
            yield from inside(region)
            yield cut(max(region.start, region.end - length), region.end)
            following = None

    for block in blocks:
        kept = np.concatenate([kept, block])
        yield from ended(detector.feed(block))
        if (region := detector.open) is not None:
            yield from inside(region)
            needed = (region.start if following is None else following) - hop
        else:
            needed = origin + len(kept) - FRAME
        drop = max(0, min(needed - int(PAD * SAMPLING_RATE), origin + len(kept)) - origin)
        kept, origin = kept[drop:], origin + drop
    yield from ended(detector.finish())


def stretches(regions: Sequence[tuple[int, int]], length: int, margin: int) -> list[Region]:
    """Extend regions by a margin, and merge regions that then touch.

    Args:
        regions (`Sequence[tuple[int, int]]`): regions of speech, in the order of time, in samples.
        length (`int`): length of the audio, in samples.
        margin (`int`): samples to add on both sides of a region, within the audio.

    Returns:
        `list[Region]`: the merged regions.
    """
    found = []
    for start, end in regions:
        start, end = max(0, start - margin), min(length, end + margin)
        found.append(Region(found.pop().start if found and start <= found[-1].end else start, end))
    return found


class Answer(NamedTuple):
    """Prediction for a window.

    Args:
        start, end (`float`): start and end, in seconds.
        starts_region (`bool`): whether a region of speech starts with the window.
        scores (`np.ndarray` of shape `(labels,)`): probabilities.
        intensity (`float`): intensity in [0, 1].
    """

    start: float
    end: float
    starts_region: bool
    scores: np.ndarray
    intensity: float


def segments(answers: list[Answer], labels: list[str], change: float) -> list[dict]:
    """Merge the windows of each region of speech into segments with one label each.

    The probabilities of overlapping windows are averaged in steps of half a second. The Viterbi algorithm then finds the most
    probable sequence of labels, with a cost of `change` per label change. Segments of different regions are not merged,
    because there is a pause between them.

    Args:
        answers (`list[Answer]`): predictions, in the order of time.
        labels (`list[str]`): labels of the scores.
        change (`float`): cost of a label change between two steps, in nats.

    Returns:
        `list[dict]`: `start`, `end` (s), `label`, `score` (mean probability of the label) and `intensity`.
    """
    found = []
    for region in _regions(answers):
        edges = _edges(region[0].start, region[-1].end)
        scores, intensities = _averaged(region, edges)
        path = _viterbi(np.log(np.maximum(scores, 1e-8)), change)
        starts = np.flatnonzero(np.diff(path, prepend=-1))
        for start, stop in zip(starts, [*starts[1:], len(path)], strict=True):
            found.append(
                {
                    "start": round(edges[start][0], 3),
                    "end": round(edges[stop - 1][1], 3),
                    "label": labels[path[start]],
                    "score": float(scores[start:stop, path[start]].mean()),
                    "intensity": float(np.mean(intensities[start:stop])),
                }
            )
    return found


def _regions(answers: list[Answer]) -> list[list[Answer]]:
    regions = []
    for answer in answers:
        if answer.starts_region:
            regions.append([])
        regions[-1].append(answer)
    return regions


def _edges(start: float, end: float) -> list[tuple[float, float]]:
    """Divide a region into equal steps of about half a second."""
    return list(pairwise(np.linspace(start, end, max(1, round((end - start) / STEP)) + 1).tolist()))


def _averaged(region: list[Answer], edges: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Average scores, `(steps, labels)`, and intensities, `(steps,)`, weighted by the overlap of window and step."""
    starts, ends = (np.array([getattr(answer, name) for answer in region]) for name in ("start", "end"))
    scores = np.stack([answer.scores for answer in region])
    intensities = np.array([answer.intensity for answer in region])
    means = []
    for start, end in edges:
        near = slice(np.searchsorted(ends, start, side="right"), np.searchsorted(starts, end))
        shares = np.minimum(ends[near], end) - np.maximum(starts[near], start)
        shares = shares / shares.sum()
        means.append((shares @ scores[near], shares @ intensities[near]))
    return np.stack([mean for mean, _ in means]), np.array([intensity for _, intensity in means])


def _viterbi(scores: np.ndarray, change: float) -> np.ndarray:
    """Find the label of each step, `(steps,)`, from log-probabilities `(steps, labels)`."""
    best, backpointers = scores[0], []
    for step_scores in scores[1:]:
        stay, jump = best, best.max() - change
        backpointers.append(np.where(stay >= jump, np.arange(len(best)), best.argmax()))
        best = np.maximum(stay, jump) + step_scores
    path = [int(best.argmax())]
    for previous in reversed(backpointers):
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])


class _OneThread:
    """Context in which torch uses one thread, because more threads slow silero-vad down."""

    def __init__(self):
        self._lock, self._inside, self._threads = Lock(), 0, 1

    def __enter__(self):
        with self._lock:  # nested and concurrent contexts keep the thread count from before the first one
            self._threads = self._threads if self._inside else torch.get_num_threads()
            self._inside += 1
        torch.set_num_threads(1)

    def __exit__(self, *exception):
        torch.set_num_threads(self._threads)
        with self._lock:
            self._inside -= 1


_one_thread = _OneThread()


@cache
def _silero(required: bool):
    try:
        with _one_thread:  # the import sets torch to one thread; the context restores the thread count
            from silero_vad import load_silero_vad
    except ImportError:
        if required:
            raise ImportError(
                "SpeechDetector: silero-vad must be installed; got no silero_vad module. Run `pip install silero-vad`."
            ) from None
        logger.warning_once(
            "silero-vad is not installed: noise and music count as speech. Run `pip install silero-vad` to separate them."
        )
        return None
    return load_silero_vad()
