"""Voice activity detection in an audio stream, windows of its speech, and live streams.

silero-vad (https://github.com/snakers4/silero-vad) separates speech from noise and music. If it is not installed, everything
that is not silent counts as speech.
"""

import numbers
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cache
from threading import Lock
from typing import NamedTuple

import numpy as np
import soxr
import torch
from transformers.utils import logging

from .audio_speecheq import MAX_PEAK, RATES, SAMPLING_RATE, SILENT_PEAK, MixDown
from .pooling_speecheq import Answer, segments
from .processing_speecheq import MAX_CHANNELS, to_float, with_rate

logger = logging.get_logger(__name__)

FRAME = 512  # samples, 32 ms: the frame size of silero-vad at 16 kHz
BEGIN, END = 0.5, 0.35  # speech probability that starts a region, and below which it can end: defaults of silero-vad
MIN_SPEECH = 0.25  # s
MIN_PAUSE = 0.3  # s
PAD = 0.1  # s of audio added on both sides of a region
# Highest RMS of a speech frame, relative to full scale or to a higher peak. A sine reaches 0.71, and none of 679,000 frames
# of nEMO, EmoTale, ASED and URDU exceeds 0.70. Data decoded as audio exceeds it, and silero-vad can take it for speech.
NO_VOICE = 0.75
HALF_SECOND = SAMPLING_RATE // 2  # samples between provisional answers
NOTHING = np.zeros(0, np.float32)
BELOW_LOUDEST = 40.0  # dB below the loudest frame so far: the silence threshold without silero-vad


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
        self._rest = NOTHING
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

    @property
    def certain(self) -> bool:
        """Whether the open region is long enough, so that it cannot turn out to be a click."""
        return self._start is not None and self._last_speech + FRAME - self._start >= MIN_SPEECH * SAMPLING_RATE

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
            with torch.no_grad(), one_thread:  # runs on rejected frames too: the model needs all frames of the stream
                return float(self._model(torch.from_numpy(frame), SAMPLING_RATE)) * possible
        if not possible:
            return 0.0
        self._loudest = max(self._loudest, level)
        return float(level > max(SILENT_PEAK, self._loudest * 10 ** (-BELOW_LOUDEST / 20)))


class Window(NamedTuple):
    """Window of speech: start in samples at 16 kHz, samples, and whether a region starts or ends with it."""

    start: int
    samples: np.ndarray
    starts_region: bool
    ends_region: bool = False


class SpeechWindows:
    """Splitter of the speech of a stream into overlapping windows.

    A region up to the length of a window is one window. In a longer region, windows start every `hop` samples, and the last
    window ends with the region. The buffer contains at most the last block and one window of the stream, so that the windows
    do not depend on the size of the blocks.

    Args:
        detector ([`SpeechDetector`]): unused detector.
        length (`int`): window length, in samples.
        hop (`int`): distance between window starts, in samples.
    """

    def __init__(self, detector: SpeechDetector, length: int, hop: int):
        self.detector, self.length, self.hop = detector, length, hop
        self._kept, self._origin = NOTHING, 0
        self._following = None  # start of the next window of the region; `None` before its first window

    def feed(self, block: np.ndarray) -> Iterator[Window]:
        """Process the next samples of the stream, `(samples,)` at 16 kHz, and yield the windows that end in them."""
        self._kept = np.concatenate([self._kept, block])
        yield from self._ended(self.detector.feed(block))
        end = self._origin + len(self._kept)
        if (region := self.detector.open) is not None:
            yield from self._inside(region)
            needed = (region.start if self._following is None else self._following) - self.hop
        else:
            needed = end - FRAME
        drop = max(0, min(needed - int(PAD * SAMPLING_RATE), end) - self._origin)
        self._kept, self._origin = self._kept[drop:], self._origin + drop

    def finish(self) -> Iterator[Window]:
        """End the stream, and yield the windows of the region that is still open, if any."""
        yield from self._ended(self.detector.finish())

    def newest(self) -> Window:
        """Return the last samples of the open region, at most `hop`: a short window takes less computation."""
        region = self.detector.open
        return self._cut(max(region.start, region.end - self.hop), region.end)

    def _cut(self, start: int, end: int, ends_region: bool = False) -> Window:
        samples = self._kept[start - self._origin : end - self._origin].copy()
        return Window(start, samples, self._following is None, ends_region)

    def _inside(self, region: Region) -> Iterator[Window]:
        """Yield the windows that end before the region ends."""
        at = region.start if self._following is None else self._following
        while at + self.length < region.end:
            yield self._cut(at, at + self.length)
            at = self._following = at + self.hop

    def _ended(self, regions: Iterable[Region]) -> Iterator[Window]:
        for region in regions:
            yield from self._inside(region)
            yield self._cut(max(region.start, region.end - self.length), region.end, ends_region=True)
            self._following = None


def windows(blocks: Iterable[np.ndarray], detector: SpeechDetector, length: int, hop: int) -> Iterator[Window]:
    """Split the speech of all blocks of a stream into windows, see [`SpeechWindows`]."""
    splitter = SpeechWindows(detector, length, hop)
    for block in blocks:
        yield from splitter.feed(block)
    yield from splitter.finish()


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


class LiveAudio:
    """Converter of the chunks of one live stream to 16 kHz mono, see [`SpeechStream.feed`].

    Args:
        sampling_rate (`int`, *optional*): sampling rate of arrays without their own, in Hz.
    """

    def __init__(self, sampling_rate: int | None = None):
        self.sampling_rate = sampling_rate
        self._channels = self._resampler = None
        self._mix, self._recent = MixDown("live audio"), None
        self._item, self._used, self._overlap = NOTHING, 0, 0  # of the microphone

    def __call__(self, chunk) -> np.ndarray:
        """Convert the next chunk, of any size, to the samples that it adds to the stream, `(samples,)`."""
        item = chunk if isinstance(chunk, Mapping) else {}
        given, rate = chunk, self.sampling_rate
        if item:
            given = item.get("raw", item.get("array"))
            rate = item.get("sampling_rate", rate)
        elif (pair := with_rate(chunk)) is not None:
            given, rate = pair
        self._check_rate(rate)
        samples = self._checked(np.asarray(given))
        self.sampling_rate = rate
        if "partial" in item:
            samples = self._new_samples(samples, item)
        samples = self._mono(samples) if len(samples) else NOTHING
        if rate == SAMPLING_RATE or not len(samples):
            return samples
        self._resampler = self._resampler or soxr.ResampleStream(rate, SAMPLING_RATE, 1, "float32", quality="HQ")
        return self._resampler.resample_chunk(samples)

    def finish(self) -> np.ndarray:
        """Return the samples that the resampler still holds."""
        return NOTHING if self._resampler is None else self._resampler.resample_chunk(NOTHING, last=True)

    def _check_rate(self, rate):
        low, high = RATES
        if not isinstance(rate, numbers.Real) or not low <= rate <= high:
            then = " Pass it to `pipe.stream`, or with each chunk."
            raise ValueError(f"SpeechStream: sampling_rate must lie in [{low}, {high}] Hz; got {rate!r}.{then}")
        if self.sampling_rate not in (None, rate):
            got = f"{rate} Hz after {self.sampling_rate} Hz. Close the stream, and open another one for the new rate."
            raise ValueError(f"SpeechStream: sampling_rate must stay the same in a stream; got {got}")

    def _checked(self, samples: np.ndarray) -> np.ndarray:
        """Check the samples of a chunk, and convert them to float32; NaN and infinite samples become silence."""
        if samples.dtype.kind not in "fiu" or (samples.dtype.kind != "f" and samples.itemsize > 4):
            got = f"dtype {samples.dtype}. Pass an array with its own type, for example `numpy.frombuffer(data, numpy.int16)`."
            raise TypeError(
                f"SpeechStream: a chunk must be floats in [-1, 1] or integer PCM of 8 to 32 bits; got {got}"
            )
        channels = samples.shape[1] if samples.ndim == 2 else 1
        if samples.ndim not in (1, 2) or not 1 <= channels <= MAX_CHANNELS:
            rule = f"have shape (samples,) or (samples, at most {MAX_CHANNELS} channels)"
            raise ValueError(f"SpeechStream: a chunk must {rule}; got {samples.shape}.")
        if not samples.size:
            return samples
        if self._channels not in (None, channels):
            got = f"{channels} after {self._channels}"
            raise ValueError(f"SpeechStream: the number of channels must stay the same in a stream; got {got}.")
        samples = to_float(samples)
        if not (finite := np.isfinite(samples)).all():
            logger.warning_once("SpeechStream: NaN and infinite samples count as silence.")
            samples = np.where(finite, samples, np.float32(0))
        if (peak := float(np.abs(samples).max())) > MAX_PEAK:
            got = f"a peak of {peak:g}. Scale the audio."
            raise ValueError(f"SpeechStream: a chunk must be floats in [-1, 1] or integer PCM; got {got}")
        self._channels = channels
        return samples

    def _new_samples(self, samples: np.ndarray, item: Mapping) -> np.ndarray:
        """Return the samples of an item of `ffmpeg_microphone_live` that no earlier item contains.

        Partial items of a chunk repeat its beginning, and a chunk repeats the strides of the one before. If the program is
        late, `ffmpeg_microphone_live` drops items; the item after them then continues neither.
        """
        left, right = item.get("stride", (0, 0))
        used, known = self._used, self._item
        if used is None:  # after a complete chunk
            used = left + self._overlap
            known = known[len(known) - used :]
        if not np.array_equal(samples[: len(known)], known):
            used = left
        self._item, self._used, self._overlap = samples, (len(samples) if item["partial"] else None), right
        return samples[used:]

    def _mono(self, samples: np.ndarray) -> np.ndarray:
        """Average channels; whether they cancel each other is decided on the last half second, not on a few samples."""
        if samples.ndim == 1:
            return samples
        recent = samples if self._recent is None else np.concatenate([self._recent, samples])
        self._recent = recent[-max(len(samples), int(self.sampling_rate // 2)) :]
        if len(self._recent) < self.sampling_rate / 10:
            return samples.mean(axis=1, dtype=np.float32)
        return self._mix(self._recent)[-len(samples) :]


class SpeechStream:
    """Live stream of speech: feed chunks of audio, and get events. [`SpeechEQPipeline.stream`] creates it.

    An event is a `dict` with `event` and `start`, in seconds from the start of the stream:

    - `speech`: speech has begun. A segment follows in any case.
    - `provisional`, with `end`, `label`, `score`, `intensity`: answer for the last 1 to 2 s of speech, about every half second.
    - `segment`, with the same fields: finished segment, as in `timeline` of the pipeline, after the pause that ends it.

    Args:
        splitter ([`SpeechWindows`]): unused splitter.
        predict (`Callable`): function of the samples of a window and of whether the answer is provisional, which returns the
            probabilities, `(labels,)`, and the intensity.
        labels (`list[str]`): labels of the probabilities.
        change (`float`): cost of a label change, see [`segments`].
        sampling_rate (`int`, *optional*): sampling rate of arrays without their own, in Hz.
        on_close (`Callable`, *optional*): function that is called at the end of the stream.
    """

    def __init__(self, splitter: SpeechWindows, predict: Callable, labels, change, sampling_rate=None, on_close=None):
        self._splitter, self._predict, self._labels, self._change = splitter, predict, labels, change
        self._audio, self._on_close, self.closed = LiveAudio(sampling_rate), on_close or (lambda: None), False
        self._answers: list[Answer] = []  # of the open region
        self._start = self._due = None  # of the open region, and of its next provisional answer, in samples

    def feed(self, chunk) -> list[dict]:
        """Process the next chunk of the stream.

        Args:
            chunk: array `(samples,)` or `(samples, channels)` of any size, of floats in [-1, 1] or of integers; a pair of
                array and rate in any order; or a `dict` with `sampling_rate` and `raw` or `array`, for example an item of
                `transformers.pipelines.audio_utils.ffmpeg_microphone_live`. A chunk may be empty, late or silent; NaN counts
                as silence.

        Returns:
            `list[dict]`: the events of this chunk, in order.

        Raises:
            ValueError: if the sampling rate is missing or changes, if the samples are out of range, or if the stream is
                closed. The chunk is then ignored, and the stream can go on.
            TypeError: if the chunk is not audio.
        """
        if self.closed:
            raise ValueError("SpeechStream: the stream must be open; got a chunk after `close`. Open another stream.")
        events = self._events(self._splitter.feed(self._audio(chunk)))
        region = self._splitter.detector.open
        if self._splitter.detector.certain:
            events += self._begin(region.start)
            if region.end >= self._due:
                events.append(self._provisional(self._splitter.newest()))
        return events

    def close(self) -> list[dict]:
        """End the stream, and return the events of the speech that is still open, if any."""
        if self.closed:
            return []
        events = self._events(self._splitter.feed(self._audio.finish()))
        events += self._events(self._splitter.finish())
        self.closed = True
        self._on_close()
        return events

    def events(self, chunks: Iterable) -> Iterator[dict]:
        """Feed all chunks, close the stream, and yield the events as they come."""
        for chunk in chunks:
            yield from self.feed(chunk)
        yield from self.close()

    def _begin(self, start: int) -> list[dict]:
        if self._start is not None:
            return []
        self._start, self._due = start, start + HALF_SECOND
        return [{"event": "speech", "start": round(start / SAMPLING_RATE, 3)}]

    def _events(self, found: Iterable[Window]) -> list[dict]:
        events = []
        for window in found:
            events += self._begin(window.start)
            self._answers.append(self._answered(window, provisional=False))
            if window.ends_region:
                events += [{"event": "segment", **one} for one in segments(self._answers, self._labels, self._change)]
                self._answers, self._start = [], None
            else:
                events.append(self._provisional(window, self._answers[-1]))
        return events

    def _provisional(self, window: Window, answer: Answer | None = None) -> dict:
        answer = (answer or self._answered(window, provisional=True))._replace(starts_region=True)
        end = window.start + len(window.samples)
        self._due = end + HALF_SECOND - (end - self._start) % HALF_SECOND
        return {"event": "provisional", **segments([answer], self._labels, np.inf)[0]}

    def _answered(self, window: Window, provisional: bool) -> Answer:
        start, end = (at / SAMPLING_RATE for at in (window.start, window.start + len(window.samples)))
        return Answer(start, end, window.starts_region, *self._predict(window.samples, provisional))


class _OneThread:
    """Context in which torch uses one thread: more threads slow down silero-vad and short windows."""

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


one_thread = _OneThread()


@cache
def _silero(required: bool):
    try:
        with one_thread:  # the import sets torch to one thread; the context restores the thread count
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
