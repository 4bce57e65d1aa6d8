"""Benchmark of the memory and the speed of the pipeline on long recordings.

`python benchmarks/memory.py . --speech RECORDINGS --minutes 10 60`

The input is 16 kHz mono FLAC: the recordings of a folder in a loop, once with a second of silence after each recording and
once without, where all speech is a single region. The benchmark runs a new process with `transformers` and a model, but
without `speecheq`. It measures the peak memory from the kernel (`VmHWM`), with model and imports, and the time of the
prediction for the file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from machine import describe, recordings

from speecheq.audio_speecheq import SAMPLING_RATE, read_blocks

ROOT = Path(__file__).resolve().parents[1]
PAUSES = {"with pauses": 1.0, "without": 0.0}  # s after each recording
LISTEN = """
import sys
sys.modules["speecheq"] = None
import json, time
from transformers import pipeline
pipe = pipeline(model=sys.argv[1], trust_remote_code=True)
start = time.perf_counter()
answer = pipe(sys.argv[2])
seconds = time.perf_counter() - start
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
peak = int(status["VmHWM"].split()[0]) / 1024
print(json.dumps([peak, seconds, answer["duration"], answer["speech"], len(answer["timeline"])]))
"""


class Measurement(NamedTuple):
    """Peak MiB and seconds of a process for one recording; seconds of audio and speech, and number of segments."""

    peak: float
    seconds: float
    duration: float
    speech: float
    segments: int


def make_recording(path: Path, speech: Iterable[Path], minutes: float, pause: float):
    """Write a recording of a given length from shorter recordings.

    Args:
        path (`Path`): output FLAC file.
        speech (`Iterable[Path]`): files of speech, repeated as needed.
        minutes (`float`): length of the recording.
        pause (`float`): seconds of silence after each file.
    """
    silence = np.zeros(int(pause * SAMPLING_RATE), np.float32)
    left = round(minutes * 60 * SAMPLING_RATE)
    with soundfile.SoundFile(path, "w", SAMPLING_RATE, 1, format="FLAC", subtype="PCM_16") as file:
        for recording in cycle(speech):
            for block in [*read_blocks(recording), silence]:
                file.write(block[:left])
                left -= len(block[:left])
            if not left:
                return


def listen(model: str, recording: Path) -> Measurement:
    """Run the pipeline on one recording in a new process with an empty cache.

    Raises:
        RuntimeError: if the process fails; the message ends with its output.
    """
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", LISTEN, model, str(recording)],
            env={**os.environ, "HF_HOME": cache}, capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(
            f"memory: {model} must predict for {recording.name}; got {done.returncode}.\n{done.stderr[-2000:]}"
        )
    return Measurement(*json.loads(done.stdout.splitlines()[-1]))


def line(name: str, minutes: float, result: Measurement) -> str:
    """Format the measurement of one recording."""
    each = result.seconds / (result.duration / 60)
    return f"{name:12} {minutes:7g} {result.peak:8.0f} {each:10.2f} {result.speech / 60:12.1f} {result.segments:8}"


def main(arguments: list[str] | None = None):
    """Run the command line, `python benchmarks/memory.py`."""
    parser = argparse.ArgumentParser(prog="memory", description="Memory and speed of the pipeline on long recordings.")
    parser.add_argument("model", nargs="?", default=str(ROOT), help="folder or name (default: this repository)")
    parser.add_argument("--speech", type=Path, default=ROOT / "space/examples", help="folder of recordings of speech")
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 60], help="lengths (default 10 60)")
    options = parser.parse_args(arguments)
    speech = recordings(options.speech)
    if not speech:
        parser.error(f"--speech must be a folder with wav, flac, ogg, opus or mp3 files; got {str(options.speech)!r}")
    print(f"{describe()}; {len(speech)} recordings of {options.speech}")
    print(f"{'':12} {'minutes':>7} {'peak MiB':>8} {'s a minute':>10} {'min of speech':>12} {'segments':>8}")
    for name, pause in PAUSES.items():
        peaks = []
        for minutes in options.minutes:
            with tempfile.TemporaryDirectory() as scratch:
                recording = Path(scratch, "recording.flac")
                make_recording(recording, speech, minutes, pause)
                result = listen(options.model, recording)
            peaks.append(result.peak)
            print(line(name, minutes, result), flush=True)
        print(f"{name:12} {'ratio':>7} {peaks[-1] / peaks[0]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
