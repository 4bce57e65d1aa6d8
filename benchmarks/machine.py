"""Description of the machine, input files, and timing in turns, so that other load affects all contestants equally."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SETTLE_SECONDS = 0.05  # lets busy-waiting threads of the previous contestant stop
SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
PACKAGES = ("torch", "transformers", "onnxruntime", "opensmile")


def describe() -> str:
    """Describe cores, processor, threads of torch, memory and versions in one line."""
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores, threads = len(os.sched_getaffinity(0)), os.environ.get("OMP_NUM_THREADS", "all")
    processor = names[0] if names else platform.machine()
    return f"{cores} cores of {processor}, {threads} threads, {memory:.0f} GiB; {_versions()}"


def recordings(folder: Path) -> list[Path]:
    """Find the recordings in a folder and its subfolders, sorted by name."""
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def time_in_turns(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Measure the median seconds of each contestant, after one warm-up call.

    Args:
        contestants (`dict[str, Callable]`): functions to time.
        repeats (`int`): timed calls of each contestant.

    Returns:
        `dict[str, float]`: median seconds of each contestant.
    """
    seconds = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, contestant in contestants.items():
            time.sleep(SETTLE_SECONDS)
            start = time.perf_counter()
            contestant()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(of) for name, of in seconds.items()}
