"""What a benchmark ran on, and how contestants are timed: in turns, so that all share what else the machine does."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

SETTLE_SECONDS = 0.05  # in which the idle threads of the contestant before, which wait busily, give up
PACKAGES = ("torch", "transformers", "onnxruntime", "opensmile")


def describe() -> str:
    """Cores, processor, memory and versions, in a line."""
    with open("/proc/cpuinfo") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {names[0] if names else platform.machine()}, {memory:.0f} GiB; {_versions()}"


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def time_in_turns(contestants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each contestant, after one call that does not count.

    Args:
        contestants (`dict[str, Callable]`): what is timed.
        repeats (`int`): calls of each that count.
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
