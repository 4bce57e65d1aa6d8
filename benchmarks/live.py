"""Benchmark of live streams: `python benchmarks/live.py . --speech RECORDINGS --minutes 60`.

The input is the recordings of a folder in a loop, with 0.5 to 2 s of synthetic silence after each. The benchmark feeds it to
one stream in chunks of 20 ms to 2 s, another size each minute, and measures computation, memory and latency. A latency is in
seconds of audio, for chunks of up to 0.1 s: from the first loud sample of a recording to the next provisional answer, and from
its last loud sample to the next finished segment. It then compares the segments with those of the file pipeline. Last, several
streams in threads get a chunk of 0.1 s of audio every 0.1 s; the lag is the time from a chunk to its events.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from machine import describe, recordings

from speecheq.audio_speecheq import SAMPLING_RATE, read_blocks

ROOT = Path(__file__).resolve().parents[1]
SIZES = (0.02, 2.0, 0.1, 0.5)  # s, chunk sizes, a minute each
PAUSES = (0.5, 1.0, 1.5, 2.0)  # s after a recording
FINE = 0.1  # s, largest chunk for which a latency is measured
LOUD = 0.05  # of the peak of a recording: -26 dB
PATIENCE = 3.0  # s after a recording in which its answer counts
WARM_UP = 1 / 6  # of the audio, before the first measurement of memory


class Measurement(NamedTuple):
    """Result of one stream: s of audio, of wall-clock time and of CPU time, MiB after warm-up and at the end, and events.

    An event is paired with the seconds of audio fed until then, and the size of the chunk.
    """

    audio: float
    wall: float
    cpu: float
    before: float
    after: float
    events: list[tuple[float, float, dict]]


def write_audio(path: Path, speech: list[Path], minutes: float) -> list[tuple[float, float]]:
    """Write a recording, and return the first and the last loud moment of each of its parts, in seconds."""
    spans, written, length = [], 0, round(minutes * 60 * SAMPLING_RATE)
    with soundfile.SoundFile(path, "w", SAMPLING_RATE, 1, format="FLAC", subtype="PCM_16") as file:
        for recording, pause in zip(cycle(speech), cycle(PAUSES)):
            samples = np.concatenate(list(read_blocks(recording)))
            loud = written + np.flatnonzero(np.abs(samples) > LOUD * np.abs(samples).max())
            samples = np.concatenate([samples, np.zeros(int(pause * SAMPLING_RATE), np.float32)])
            if written + len(samples) > length:
                file.write(np.zeros(length - written, np.float32))
                break
            file.write(samples)
            written += len(samples)
            spans.append((loud[0] / SAMPLING_RATE, loud[-1] / SAMPLING_RATE))
    return spans


def chunks_of(path: Path) -> Iterator[np.ndarray]:
    """Read a recording in chunks, whose size changes each minute."""
    with soundfile.SoundFile(path) as file:
        for size in cycle(SIZES):
            for _ in range(round(60 / size)):
                chunk = file.read(round(size * SAMPLING_RATE), dtype="float32")
                if not len(chunk):
                    return
                yield chunk


def listen(stream, path: Path) -> Measurement:
    """Feed a recording to a stream, as fast as possible."""
    length, fed, before, events = soundfile.info(path).duration, 0, None, []
    start, cpu = time.perf_counter(), time.process_time()
    for chunk in chunks_of(path):
        fed += len(chunk)
        seconds, size = fed / SAMPLING_RATE, len(chunk) / SAMPLING_RATE
        events += [(seconds, size, event) for event in stream.feed(chunk)]
        if before is None and seconds >= length * WARM_UP:
            before = resident()
    events += [(fed / SAMPLING_RATE, 0.0, event) for event in stream.close()]
    return Measurement(length, time.perf_counter() - start, time.process_time() - cpu, before, resident(), events)


def resident() -> float:
    """Return the resident memory of this process in MiB."""
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    return int(status["VmRSS"].split()[0]) / 1024


def latencies(events: list[tuple[float, float, dict]], spans: list[tuple[float, float]]) -> tuple[list, list]:
    """Return the latencies of the first provisional answer and of the last segment of each recording with an answer."""
    first, last = [], []
    for begin, end in spans:
        near = [(at, event) for at, size, event in events if begin < at < end + PATIENCE and size <= FINE]
        provisional = [at for at, event in near if event["event"] == "provisional" and event["start"] <= end]
        finished = [at for at, event in near if event["event"] == "segment" and event["end"] > end - 0.5]
        if provisional and finished:
            first.append(provisional[0] - begin)
            last.append(finished[0] - end)
    return first, last


def lags(open_stream: Callable, path: Path, streams: int, seconds: float) -> list[float]:
    """Feed several streams in real time, each from another place of a recording, and return the lag of every chunk."""
    size, found = round(FINE * SAMPLING_RATE), []
    number = round(seconds / FINE)

    def run(place: int):
        stream = open_stream()
        with soundfile.SoundFile(path) as file:
            file.seek(int(place * 7 * SAMPLING_RATE) % max(1, file.frames - number * size))
            samples = file.read(number * size, dtype="float32")
        ready.wait()
        start = time.perf_counter()
        for at in range(number):
            due = start + (at + 1) * FINE
            time.sleep(max(0.0, due - time.perf_counter()))
            stream.feed(samples[at * size : (at + 1) * size])
            found.append(time.perf_counter() - due)

    ready = threading.Barrier(streams)
    threads = [threading.Thread(target=run, args=(place,)) for place in range(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def different(found: list[dict], expected: list[dict]) -> int:
    """Count the segments that one of two timelines lacks, by start, end and label."""
    one, other = ({(part["start"], part["end"], part["label"]) for part in parts} for parts in (found, expected))
    return len(one ^ other)


def rows_of_stream(result: Measurement, spans: list[tuple[float, float]]) -> Iterator[str]:
    """Format the measurements of one stream as rows of a table."""
    first, last = latencies(result.events, spans)
    yield f"| computation, s per s of audio: wall-clock time | {result.wall / result.audio:.3f} | 0.100 |"
    yield f"| computation, s per s of audio: CPU time | {result.cpu / result.audio:.3f} | |"
    yield f"| memory at the end / after a sixth, {result.after:.0f} MiB | {result.after / result.before:.3f} | 1.050 |"
    for name, values in (("first word to provisional answer", first), ("pause to finished segment", last)):
        yield f"| {name}, s of audio: median | {np.median(values):.2f} | |"
        yield f"| {name}, s of audio: 95 % of {len(values)} | {np.quantile(values, 0.95):.2f} | 1.00 |"


def rows_of_streams(waited: list[float], streams: int) -> Iterator[str]:
    """Format the lags of several streams as rows of the table; a stream that keeps up has no growing lag."""
    half = len(waited) // 2  # in order of time
    medians = f"{np.median(waited[:half]):.2f}, {np.median(waited[half:]):.2f}"
    yield f"| {streams} streams in real time, lag of a chunk, s: 95 % | {np.quantile(waited, 0.95):.2f} | |"
    yield f"| {streams} streams in real time, median lag of the first and of the last half, s | {medians} | no growth |"


def main(arguments: list[str] | None = None):
    """Run the command line, `python benchmarks/live.py`."""
    parser = argparse.ArgumentParser(prog="live", description="Computation, memory and latency of live streams.")
    parser.add_argument("model", nargs="?", default=str(ROOT), help="folder or name (default: this repository)")
    parser.add_argument("--speech", type=Path, default=ROOT / "space/examples", help="folder of recordings of speech")
    parser.add_argument("--minutes", type=float, default=60, help="length of the audio (default 60)")
    parser.add_argument("--streams", type=int, default=10, help="streams at once (default 10)")
    parser.add_argument("--seconds", type=float, default=60, help="seconds of the streams at once (default 60)")
    options = parser.parse_args(arguments)
    speech = recordings(options.speech)
    if not speech:
        parser.error(f"--speech must be a folder with wav, flac, ogg, opus or mp3 files; got {str(options.speech)!r}")
    from transformers import pipeline

    pipe = pipeline(model=options.model, trust_remote_code=True, sampling_rate=SAMPLING_RATE)
    print(f"{describe()}; {options.minutes:g} minutes of {len(speech)} recordings of {options.speech.name}\n")
    print("| live stream | measured | required |\n|---|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "live.flac")
        spans = write_audio(path, speech, options.minutes)
        result = listen(pipe.stream(), path)
        print("\n".join(rows_of_stream(result, spans)), flush=True)
        segments = [event for _, _, event in result.events if event["event"] == "segment"]
        expected = pipe(str(path), phonemes=False)["timeline"]
        others = different(segments, expected)
        print(f"| segments that differ from the file pipeline, of {len(expected)} | {others} | 0 |", flush=True)
        waited = lags(pipe.stream, path, options.streams, options.seconds)
        print("\n".join(rows_of_streams(waited, options.streams)))


if __name__ == "__main__":
    main()
