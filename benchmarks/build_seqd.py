"""Benchmark of the speed of building SEQD, compared with `datasets`, and of its memory.

`python benchmarks/build_seqd.py --utterances 800 --seconds 3 --scale 10`

The input is 16 kHz mono 16-bit FLAC of speech-like noise, different in each file, in the layout of URDU-Dataset. The time
is that of a complete command in a new process, with imports. The contestants take turns; the median counts:

- `speecheq`: `python -m speecheq.dataset_scripts.build`: decodes and checks every file (truncated, silent, empty),
  maps labels, creates the splits, audits them and writes checksums. It copies this input, which is already 16-bit FLAC;
  other audio would be resampled and encoded.
- `datasets`, in four ways from the same paths, speakers and labels, each with one process and with `--num-proc`; the
  faster run counts (datasets 5.2; `Dataset.to_parquet` in arrow_dataset.py, `Audio` in features/audio.py):
    - `chain`: only `cast_column("audio", Audio(16000))` and `to_parquet`. It writes paths without audio.
    - `copy`: with `map(embed_table_storage)` between them, as `push_to_hub` does: it copies the bytes of the files
      without decoding, resampling or checks.
    - `wav`: with a `map` that reads `row["audio"]`, which torchcodec decodes at 16 kHz, and returns the samples, which
      `Audio` encodes as 16-bit WAV. This is the closest to the work of `speecheq` with `datasets` alone.
    - `flac`: like `wav`, but soundfile encodes 16-bit FLAC, the format of `speecheq`.

Memory is measured in a separate run, at 1x and at `--scale` times the utterances, every 0.2 s: the largest process
(`VmHWM`, the peak from the kernel; `ru_maxrss` would include the parent) and the process tree (sum of `Pss`, which
counts a shared page once).
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import soundfile
from machine import describe

RATE = 16_000
FOLDERS = {"Angry": "A", "Happy": "H", "Neutral": "N", "Sad": "S"}
SPEAKERS = 20
WAYS = {"chain": False, "copy": False, "wav": True, "flac": True}  # way -> whether it decodes audio
SAMPLING_SECONDS = 0.2


class Run(NamedTuple):
    """Result of one run: wall-clock seconds, and, if sampled, peak MiB of the largest process and of the process tree."""

    seconds: float
    largest: float = 0.0
    tree: float = 0.0


def make_corpus(folder: Path, utterances: int, seconds: float) -> float:
    """Write noise with the spectrum and the syllables of speech, in the layout of URDU-Dataset.

    Args:
        folder (`Path`): output folder.
        utterances (`int`): number of files.
        seconds (`float`): length of each file.

    Returns:
        `float`: total seconds of audio.
    """
    samples = int(seconds * RATE)
    at, hertz = np.arange(samples) / RATE, np.fft.rfftfreq(samples, 1 / RATE)
    slope = 1 / np.maximum(hertz, 100)  # -6 dB per octave, like voiced speech
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    for number in range(utterances):
        random = np.random.default_rng(number)
        phases = np.exp(2j * np.pi * random.random(len(hertz)))
        syllables = 1.05 + np.sin(2 * np.pi * random.uniform(3, 5) * at)
        wave = np.fft.irfft(slope * phases, samples) * syllables
        emotion, speaker = list(FOLDERS)[number % len(FOLDERS)], number // len(FOLDERS) % SPEAKERS
        file = f"S{'FM'[speaker % 2]}{speaker}_F{number}_{FOLDERS[emotion]}{number}.flac"
        pcm = (wave / np.abs(wave).max() * random.uniform(0.2, 0.9) * 2**15).astype(np.int16)
        soundfile.write(folder / emotion / file, pcm, RATE, subtype="PCM_16")
    return utterances * samples / RATE


def build_by_datasets(way: str, folder: Path, out: Path, num_proc: int):
    """Build a Parquet file with one of the four ways of `datasets`; see the module docstring."""
    from datasets import Audio, Dataset
    from datasets.table import embed_table_storage

    paths = sorted(folder.rglob("*.flac"))
    columns = {
        "id": [f"urdu/{path.stem}" for path in paths],
        "speaker_id": [f"urdu/{path.stem.partition('_')[0]}" for path in paths],
        "native_label": [FOLDERS[path.parent.name] for path in paths],
        "audio": [str(path) for path in paths],
    }
    dataset = Dataset.from_dict(columns).cast_column("audio", Audio(sampling_rate=RATE))
    processes = num_proc if num_proc > 1 else None
    if way == "copy":
        dataset = dataset.with_format("arrow").map(embed_table_storage, batched=True, num_proc=processes)
        dataset = dataset.with_format(None)
    elif way in ENCODERS:
        dataset = dataset.map(ENCODERS[way], num_proc=processes)
    dataset.to_parquet(out / "train.parquet")


def as_wav(row: dict) -> dict:
    """Decode with torchcodec; `Audio` then encodes the samples as WAV."""
    return {"audio": {"array": row["audio"]["array"], "sampling_rate": RATE}}


def as_flac(row: dict) -> dict:
    """Decode with torchcodec, and encode as 16-bit FLAC with soundfile."""
    buffer = BytesIO()
    pcm = np.clip(np.rint(row["audio"]["array"] * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    soundfile.write(buffer, pcm, RATE, format="FLAC", subtype="PCM_16")
    return {"audio": {"bytes": buffer.getvalue(), "path": f"{row['id'].rpartition('/')[2]}.flac"}}


ENCODERS = {"wav": as_wav, "flac": as_flac}


def command(contestant: str, folder: Path, out: Path, num_proc: int) -> list[str]:
    """Return the command of a contestant."""
    if contestant == "speecheq":
        module = [sys.executable, "-m", "speecheq.dataset_scripts.build", "--out", str(out)]
        return [*module, "--corpus", f"urdu={folder}", "--num-proc", str(num_proc)]
    return [sys.executable, __file__, "--way", contestant, str(folder), str(out), str(num_proc)]


def run(arguments: list[str], sample: bool = False) -> Run:
    """Run a command in a new process with empty caches.

    Raises:
        RuntimeError: if the command fails; the message ends with its output.
    """
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile() as written:
        environment = {**os.environ, "HF_HOME": cache, "HF_HUB_OFFLINE": "1"}
        start = time.perf_counter()
        process = subprocess.Popen(arguments, env=environment, stdout=written, stderr=written, start_new_session=True)
        sampler = Sampler(process.pid) if sample else None
        process.wait()
        seconds = time.perf_counter() - start
        peaks = sampler.stop() if sampler else ()
        if process.returncode:
            written.seek(0)
            tail = written.read().decode(errors="replace")[-2000:]
            raise RuntimeError(f"build_seqd: {' '.join(arguments)} must succeed; got {process.returncode}.\n{tail}")
    return Run(seconds, *peaks)


class Sampler(threading.Thread):
    """Thread that samples the peak memory of a session: of its largest process, and of all its processes."""

    def __init__(self, session: int):
        super().__init__(daemon=True)
        self.session, self.ended = session, threading.Event()
        self.largest = self.tree = 0.0
        self.start()

    def run(self):
        while not self.ended.wait(SAMPLING_SECONDS):
            found = [self.memory(process) for process in Path("/proc").glob("[0-9]*")]
            self.largest = max(self.largest, *(peak for peak, _ in found))
            self.tree = max(self.tree, sum(now for _, now in found))

    def memory(self, process: Path) -> tuple[float, float]:
        """Return peak and current MiB of a process, https://docs.kernel.org/filesystems/proc.html; 0 outside the session."""
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()  # state, ppid, pgrp, session, ...
            if int(fields[3]) != self.session:
                return 0.0, 0.0
            lines = ((process / "status").read_text() + (process / "smaps_rollup").read_text()).splitlines()
        except OSError:  # the process has ended
            return 0.0, 0.0
        kib = {line.split()[0]: int(line.split()[1]) for line in lines if line.startswith(("VmHWM:", "Pss:"))}
        return kib.get("VmHWM:", 0) / 1024, kib.get("Pss:", 0) / 1024

    def stop(self) -> tuple[float, float]:
        self.ended.set()
        self.join()
        return self.largest, self.tree


def audio_of(out: Path) -> str:
    """Describe the audio in the Parquet files."""
    number = size = 0
    kinds = set()
    for path in sorted(out.rglob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=100, columns=["audio"]):
            for audio in filter(None, (audio["bytes"] for audio in batch["audio"].to_pylist())):
                info = soundfile.info(BytesIO(audio))
                kinds.add(f"{info.format} {info.subtype} {info.samplerate} Hz")
                number, size = number + 1, size + len(audio)
    return f"{number} of {', '.join(sorted(kinds))}, {size / 2**20:.1f} MiB" if number else "none: paths only"


def without_torchcodec() -> str | None:
    """Return the reason why `datasets` cannot decode audio, or `None` if it can."""
    probe = subprocess.run([sys.executable, "-c", "import torchcodec.decoders"], capture_output=True, text=True)
    lines = probe.stderr.strip().splitlines()
    return (lines[-1] if lines else "unknown error") if probe.returncode else None


def compare(folder: Path, hours: float, num_proc: int, repeats: int, ours_only: bool) -> list[str]:
    """Time all contestants in turn, and return one line for each."""
    lacking = without_torchcodec()
    ways = [way for way, decodes in WAYS.items() if not (ours_only or (decodes and lacking))]
    contestants = [("speecheq", num_proc)] + [(way, procs) for way in ways for procs in sorted({1, num_proc})]
    seconds = {contestant: [] for contestant in contestants}
    held = {}
    for _ in range(repeats):
        for name, procs in contestants:
            with tempfile.TemporaryDirectory() as out:
                seconds[name, procs].append(run(command(name, folder, Path(out), procs)).seconds)
                held[name] = held.get(name) or audio_of(Path(out))
    lines = table({contestant: statistics.median(times) for contestant, times in seconds.items()}, hours, held)
    if lacking and not ours_only:
        lines.append(f"wav and flac not measured: torchcodec must be installed for datasets; got {lacking}.")
        lines.append("Run `pip install 'torchcodec==0.13.*'` and install the FFmpeg libraries.")
    return lines


def table(medians: dict[tuple[str, int], float], hours: float, held: dict[str, str]) -> list[str]:
    """Format one line per contestant, with the faster number of processes of each."""
    ours = next(seconds for (name, _), seconds in medians.items() if name == "speecheq")
    lines = [f"{'':18} {'processes':>9} {'seconds':>8} {'x real time':>11} {'time / ours':>11}  audio in the Parquet"]
    for name in dict.fromkeys(name for name, _ in medians):
        seconds, procs = min((seconds, procs) for (other, procs), seconds in medians.items() if other == name)
        label = name if name == "speecheq" else f"datasets, {name}"
        speed = f"{3600 * hours / seconds:11.0f} {seconds / ours:11.2f}"
        lines.append(f"{label:18} {procs:9} {seconds:8.2f} {speed}  {held[name]}")
    return lines


def compare_memory(small: Path, large: Path | None, num_proc: int, scale: int) -> list[str]:
    """Measure the peak memory of the SEQD builder at 1x and at `scale` times the utterances."""
    peaks = []
    for folder in filter(None, (small, large)):
        with tempfile.TemporaryDirectory() as out:
            peaks.append(run(command("speecheq", folder, Path(out), num_proc), sample=True))
    lines = [f"{'peak memory, MiB':18} {'largest process':>15} {'whole tree':>10}"]
    lines += [
        f"{f'{times}x utterances':18} {peak.largest:15.0f} {peak.tree:10.0f}"
        for times, peak in zip((1, scale), peaks, strict=False)
    ]
    if large:
        first, last = peaks
        lines.append(f"{'ratio':18} {last.largest / first.largest:15.2f} {last.tree / first.tree:10.2f}")
    return lines


def main(arguments: list[str] | None = None):
    """Run the command line, `python benchmarks/build_seqd.py`."""
    parser = argparse.ArgumentParser(prog="build_seqd", description="Speed and memory of the SEQD builder.")
    parser.add_argument("--utterances", type=int, default=800, help="files at 1x (default 800)")
    parser.add_argument("--seconds", type=float, default=3, help="length of each file (default 3)")
    parser.add_argument("--scale", type=int, default=10, help="factor of the memory run (default 10; 1: only 1x)")
    parser.add_argument("--num-proc", type=int, default=2, help="processes (default 2)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contestant (default 3)")
    parser.add_argument("--ours-only", action="store_true", help="do not run datasets")
    parser.add_argument("--way", nargs=4, metavar=("WAY", "FOLDER", "OUT", "PROCESSES"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.way:
        way, folder, out, num_proc = options.way
        return build_by_datasets(way, Path(folder), Path(out), int(num_proc))
    with tempfile.TemporaryDirectory() as scratch:
        small, large = Path(scratch, "small"), Path(scratch, "large") if options.scale > 1 else None
        hours = make_corpus(small, options.utterances, options.seconds) / 3600
        if large:
            make_corpus(large, options.utterances * options.scale, options.seconds)
        print(f"{describe()}; {options.utterances} utterances, {hours:.3f} h of 16 kHz FLAC")
        print(f"wall-clock time of a complete command, median of {options.repeats}")
        print(*compare(small, hours, options.num_proc, options.repeats, options.ours_only), sep="\n", flush=True)
        print(*compare_memory(small, large, options.num_proc, options.scale), sep="\n")
    return None


if __name__ == "__main__":
    main()
