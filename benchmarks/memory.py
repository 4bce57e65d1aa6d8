"""Whether the pipeline needs more memory for a longer recording, and how fast it is.

`python benchmarks/memory.py . --speech RECORDINGS --minutes 10 60`

The input: 16 kHz mono FLAC, a folder's recordings one after another, again and again, once with a second of silence after
each and once with none: speech that never ends is one region, whose windows all wait for its end. What is measured is a
fresh process that has `transformers` and a model, and no `speecheq`: the kernel's peak of its memory (`VmHWM`), the model
and the imports included, and the time from the file to the answer.
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


class Heard(NamedTuple):
    """Peak MiB of a process that answered one recording, its seconds of work, and what it heard."""

    peak: float
    seconds: float
    duration: float
    speech: float
    segments: int


def make_recording(path: Path, speech: Iterable[Path], minutes: float, pause: float):
    """Write recordings one after another, until it is long enough.

    Args:
        path (`Path`): of the FLAC file.
        speech (`Iterable[Path]`): files of speech; they come again when all were used.
        minutes (`float`): how long it gets.
        pause (`float`): seconds of silence after each.
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


def listen(model: str, recording: Path) -> Heard:
    """Answer one recording in a fresh process with an empty cache.

    Raises:
        RuntimeError: if it fails; the message ends with what it wrote.
    """
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, "-c", LISTEN, model, str(recording)],
            env={**os.environ, "HF_HOME": cache}, capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(
            f"memory: {model} must answer {recording.name}; got {done.returncode}.\n{done.stderr[-2000:]}"
        )
    return Heard(*json.loads(done.stdout.splitlines()[-1]))


def line(name: str, minutes: float, heard: Heard) -> str:
    """What one recording took."""
    each = heard.seconds / (heard.duration / 60)
    return f"{name:12} {minutes:7g} {heard.peak:8.0f} {each:10.2f} {heard.speech / 60:12.1f} {heard.segments:8}"


def main(arguments: list[str] | None = None):
    """Command line: `python benchmarks/memory.py`."""
    parser = argparse.ArgumentParser(prog="memory", description="Memory and speed of the pipeline on long recordings.")
    parser.add_argument("model", nargs="?", default=str(ROOT), help="folder or name (default: this repository)")
    parser.add_argument("--speech", type=Path, default=ROOT / "space/examples", help="folder of recordings of speech")
    parser.add_argument("--minutes", type=float, nargs="+", default=[10, 60], help="lengths (default 10 60)")
    options = parser.parse_args(arguments)
    heard_from = recordings(options.speech)
    if not heard_from:
        parser.error(f"--speech must be a folder with wav, flac, ogg, opus or mp3 files; got {str(options.speech)!r}")
    print(f"{describe()}; {len(heard_from)} recordings of {options.speech}")
    print(f"{'':12} {'minutes':>7} {'peak MiB':>8} {'s a minute':>10} {'min of speech':>12} {'segments':>8}")
    for name, pause in PAUSES.items():
        peaks = []
        for minutes in options.minutes:
            with tempfile.TemporaryDirectory() as scratch:
                recording = Path(scratch, "recording.flac")
                make_recording(recording, heard_from, minutes, pause)
                heard = listen(options.model, recording)
            peaks.append(heard.peak)
            print(line(name, minutes, heard), flush=True)
        print(f"{name:12} {'ratio':>7} {peaks[-1] / peaks[0]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
