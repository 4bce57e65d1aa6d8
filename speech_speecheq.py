"""Where in a stream of audio somebody speaks, and the timeline of what is heard there.

By silero-vad (https://github.com/snakers4/silero-vad) where it is installed: it tells speech from noise and music. Without it
everything that is not silent counts as speech.
"""

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

FRAME = 512  # samples, 32 ms: what silero-vad takes at 16 kHz
BEGIN, END = 0.5, 0.35  # probability of speech at which a region begins, and below which it may end: silero-vad's own
MIN_SPEECH = 0.25  # s
MIN_PAUSE = 0.3  # s
PAD = 0.1  # s of what surrounds a region is kept on both sides
# RMS by full scale, or by the peak of a frame above it. A sine has 0.71 at most, and of 679,000 frames of nEMO, EmoTale, ASED
# and URDU none has more than 0.70; what has more is data that was decoded as sound, which silero-vad may take for a voice.
NO_VOICE = 0.75
BELOW_LOUDEST = 40.0  # dB below the loudest frame so far: silence, where there is no silero-vad

STEP = 0.5  # s, resolution of the timeline


class Region(NamedTuple):
    """A stretch of speech, in samples at 16 kHz."""

    start: int
    end: int


class SpeechDetector:
    """Finds regions of speech while one stream is fed to it.

    Args:
        use_silero (`bool`, *optional*): by default silero-vad is used if it is installed.

    Raises:
        ImportError: if silero-vad is asked for and not installed.
    """

    def __init__(self, use_silero: bool | None = None):
        self._model = None
        if use_silero or use_silero is None:
            # Its memory of the stream is in the model: streams that are heard in turns need one each.
            self._model = deepcopy(_silero(required=bool(use_silero)))
        self._rest = np.zeros(0, np.float32)
        self._position = 0  # of the next frame
        self._start = self._last_speech = None
        self._loudest = 0.0
        self._kept_until = 0

    def feed(self, samples: np.ndarray) -> Iterator[Region]:
        """Hear more of the stream, `(samples,)` at 16 kHz; yields the regions that have ended."""
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // FRAME * FRAME
        self._rest = samples[whole:]
        for frame in samples[:whole].reshape(-1, FRAME):
            yield from self._hear(self._probability(frame))

    def finish(self) -> Iterator[Region]:
        """The region that was still open when the stream ended."""
        end = self._position + len(self._rest)
        if self._start is not None:
            yield from self._close(min(self._last_speech + FRAME, end), end)

    @property
    def open(self) -> Region | None:
        """The region that has not ended yet, as far as it is known."""
        return None if self._start is None else Region(self._padded_start(), self._last_speech + FRAME)

    def _hear(self, probability: float) -> Iterator[Region]:
        if probability >= BEGIN or (self._start is not None and probability >= END):
            self._start = self._position if self._start is None else self._start
            self._last_speech = self._position
        elif self._start is not None and self._position - self._last_speech > MIN_PAUSE * SAMPLING_RATE:
            yield from self._close(self._last_speech + FRAME, self._position)
        self._position += FRAME

    def _close(self, end: int, heard: int) -> Iterator[Region]:
        start, spoken = self._padded_start(), end - self._start
        self._start = None
        if spoken >= MIN_SPEECH * SAMPLING_RATE:
            self._kept_until = min(end + int(PAD * SAMPLING_RATE), heard)
            yield Region(start, self._kept_until)

    def _padded_start(self) -> int:
        return max(self._start - int(PAD * SAMPLING_RATE), self._kept_until)

    def _probability(self, frame: np.ndarray) -> float:
        level = float(np.sqrt((frame * frame).mean()))
        possible = level <= NO_VOICE * max(1.0, float(np.abs(frame).max()))
        if self._model is not None:
            with torch.no_grad(), _one_thread:  # it remembers every frame
                return float(self._model(torch.from_numpy(frame), SAMPLING_RATE)) * possible
        if not possible:
            return 0.0
        self._loudest = max(self._loudest, level)
        return float(level > max(SILENT_PEAK, self._loudest * 10 ** (-BELOW_LOUDEST / 20)))


class Window(NamedTuple):
    """A stretch of speech to answer: its samples at 16 kHz, where they begin, and whether a region begins there."""

    start: int
    samples: np.ndarray
    first: bool


def windows(blocks: Iterable[np.ndarray], detector: SpeechDetector, length: int, hop: int) -> Iterator[Window]:
    """Cut the speech of a stream into overlapping windows.

    A region no longer than a window is one window. In a longer one they begin every `hop` samples, and the last one ends
    where the region ends. No more of the stream is kept than its last block and one window.

    Args:
        blocks (`Iterable[np.ndarray]`): the stream, 16 kHz mono.
        detector ([`SpeechDetector`]): new.
        length (`int`): of a window, in samples.
        hop (`int`): from one window to the next, in samples.
    """
    kept, origin = np.zeros(0, np.float32), 0
    following = None  # where the next window of the region begins, once it has one

    def cut(start: int, end: int) -> Window:
        return Window(start, kept[start - origin : end - origin].copy(), first=following is None)

    def inside(region: Region) -> Iterator[Window]:
        """Those that end before the region does."""
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
    """Regions with what surrounds them; those that then touch are one.

    Args:
        regions (`Sequence[tuple[int, int]]`): of speech, in order.
        length (`int`): of the audio, in samples.
        margin (`int`): samples that are kept on both sides of a region, as far as there are any.
    """
    found = []
    for start, end in regions:
        start, end = max(0, start - margin), min(length, end + margin)
        found.append(Region(found.pop().start if found and start <= found[-1].end else start, end))
    return found


class Answer(NamedTuple):
    """What was heard in a window.

    Args:
        start, end (`float`): in seconds.
        first (`bool`): whether a region of speech begins here.
        scores (`np.ndarray` of shape `(labels,)`): probabilities.
        intensity (`float`): in [0, 1].
    """

    start: float
    end: float
    first: bool
    scores: np.ndarray
    intensity: float


def segments(answers: list[Answer], labels: list[str], change: float) -> list[dict]:
    """Merge the windows of each region of speech into segments of one label.

    In steps of half a second the probabilities of the windows that cover them are averaged, and the likeliest sequence of
    labels is found (Viterbi), where a change of label costs `change`. Regions of the same label stay apart: there is a
    pause between them.

    Args:
        answers (`list[Answer]`): in the order of time.
        labels (`list[str]`): of the scores.
        change (`float`): what another label than that of the step before costs, in nats.

    Returns:
        `list[dict]`: `start`, `end` (s), `label`, `score` (mean probability of the label) and `intensity`.
    """
    found = []
    for region in _regions(answers):
        edges = _edges(region[0].start, region[-1].end)
        scores, intensities = _averaged(region, edges)
        path = _likeliest(np.log(np.maximum(scores, 1e-8)), change)
        starts = np.flatnonzero(np.diff(path, prepend=-1))
        for first, stop in zip(starts, [*starts[1:], len(path)], strict=True):
            found.append(
                {
                    "start": round(edges[first][0], 3),
                    "end": round(edges[stop - 1][1], 3),
                    "label": labels[path[first]],
                    "score": float(scores[first:stop, path[first]].mean()),
                    "intensity": float(np.mean(intensities[first:stop])),
                }
            )
    return found


def _regions(answers: list[Answer]) -> list[list[Answer]]:
    regions = []
    for answer in answers:
        if answer.first:
            regions.append([])
        regions[-1].append(answer)
    return regions


def _edges(start: float, end: float) -> list[tuple[float, float]]:
    """Steps of about half a second that fill a region."""
    return list(pairwise(np.linspace(start, end, max(1, round((end - start) / STEP)) + 1).tolist()))


def _averaged(region: list[Answer], edges: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean scores, `(steps, labels)`, and intensity, `(steps,)`: each window by how much of the step it covers."""
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


def _likeliest(scores: np.ndarray, change: float) -> np.ndarray:
    """The label of each step, `(steps,)`, from log-probabilities `(steps, labels)`."""
    best, came_from = scores[0], []
    for of_step in scores[1:]:
        stay, jump = best, best.max() - change
        came_from.append(np.where(stay >= jump, np.arange(len(best)), best.argmax()))
        best = np.maximum(stay, jump) + of_step
    path = [int(best.argmax())]
    for previous in reversed(came_from):
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])


class _OneThread:
    """A context in which torch uses one thread: a step of silero-vad is too small for more, which make it slower."""

    def __init__(self):
        self._lock, self._inside, self._threads = Lock(), 0, 1

    def __enter__(self):
        with self._lock:  # who comes while another is inside would take 1 for what torch is set to
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
        with _one_thread:  # its import sets torch to one thread for good
            from silero_vad import load_silero_vad
    except ImportError:
        if required:
            raise ImportError(
                "SpeechDetector: silero-vad must be installed to be used. `pip install silero-vad`."
            ) from None
        logger.warning_once(
            "silero-vad is not installed: noise and music count as speech. `pip install silero-vad` tells them apart."
        )
        return None
    return load_silero_vad()
