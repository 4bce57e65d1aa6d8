"""Fuzz test of the pipeline with malformed audio: `python benchmarks/fuzz.py --number 10000 --seed 0`.

A worker process predicts for every file of `mutations.py`. It is restarted after a crash, and killed after 10 s for one file.
The output lists the predictions, abstentions and errors by reason, the slowest file and the peak memory. Faults are a crash, a
hang, an exception other than `ValueError`, and a label for a file without speech. After a fault the exit status is 1, and the
file is kept in `--keep`.
"""

import argparse
import json
import os
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mutations import Input, inputs
from tqdm import tqdm

LIMIT = 10.0  # s for one file
START = 120.0  # s for the process to load the model
FAULTS = ("crash", "hang", "exception", "wrong label")


class Worker:
    """Worker process that predicts for one file at a time, and may crash.

    Args:
        command (`list[str]`): command that reads paths and writes outcomes, like [`work`].
        limit (`float`, *optional*, defaults to 10): seconds for one file.
    """

    def __init__(self, command: list[str], limit: float = LIMIT):
        self.command, self.limit = command, limit
        self._process = None

    def answer(self, path: Path) -> dict:
        """Run one file, and return its `outcome`, `detail`, `seconds` and `memory` (peak MiB of the process)."""
        if self._process is None:
            self._start()
        begin = time.monotonic()
        self._process.stdin.write(f"{path}\n".encode())
        self._process.stdin.flush()
        line = self._line(self.limit)
        if line:
            return json.loads(line)
        outcome = {"outcome": "hang" if line is None else "crash", "seconds": time.monotonic() - begin, "memory": 0}
        self.close()
        return outcome | {"detail": f"over {self.limit:g} s" if line is None else f"exit {self._exit_status}"}

    def close(self):
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._exit_status = self._process.wait()
            self._process = None

    def _start(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(self.command, **pipes)
        if not self._line(START):
            self.close()
            raise SystemExit(f"fuzz.py: --model must be a SpeechEQ model that loads; got {self.command[-1]!r}.")

    def _line(self, seconds: float) -> bytes | None:
        """Read the next line of the process; empty if the process has ended, `None` after the timeout."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            return self._process.stdout.readline() if selector.select(seconds) else None


def work(model: str):
    """Run the worker: read one path per line from the standard input, and write its outcome to the standard output."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the decoders print to the standard output
    from transformers import pipeline

    pipe = pipeline(model=model, trust_remote_code=True)
    print("ready", file=out, flush=True)
    for line in sys.stdin:
        begin = time.monotonic()
        outcome, detail = judged(pipe, line.rstrip("\n"))
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        found = {"outcome": outcome, "detail": detail, "seconds": time.monotonic() - begin, "memory": memory}
        print(json.dumps(found), file=out, flush=True)


def judged(pipe, path: str) -> tuple[str, str]:
    """Return the outcome of one file and its detail: the label, the reason for abstention, or the kind of error."""
    try:
        answer = pipe(path)
    except ValueError as error:
        return "error", str(error).partition(":")[0]
    except Exception as error:  # any other exception is a fault
        return "exception", f"{type(error).__name__}: {error}"
    return ("abstention", answer["abstained"]) if answer["label"] is None else ("answer", answer["label"])


def verdict(made: Input, found: dict) -> str:
    """Return the outcome of a file; a label without speech is a fault."""
    return "wrong label" if found["outcome"] == "answer" and not made.speech else found["outcome"]


def fuzz(number: int, seed: int, worker: Worker, keep: Path) -> tuple[Counter, list[str]]:
    """Run a number of malformed files.

    Args:
        number, seed (`int`): number and seed of the files; see [`inputs`].
        worker ([`Worker`]): worker, closed at the end.
        keep (`Path`): folder for files with a fault, created if needed.

    Returns:
        `tuple`: counts of each `(outcome, detail)`, and the lines to print.
    """
    counts, faults = Counter(), []
    slowest, memory = (0.0, "none"), 0
    with tempfile.TemporaryDirectory() as folder:
        for index, made in enumerate(tqdm(inputs(number, seed), total=number, unit="file")):
            path = Path(folder, f"{index}{made.suffix}")
            path.write_bytes(made.content)
            found = worker.answer(path)
            outcome = verdict(made, found)
            counts[outcome, "" if outcome in FAULTS else found["detail"]] += 1
            slowest, memory = max(slowest, (found["seconds"], made.name)), max(memory, found["memory"])
            if outcome in FAULTS:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / path.name).write_bytes(made.content)
                faults.append(f"{outcome}: {found['detail']}: {keep / path.name}: {made.name}")
            path.unlink()
    worker.close()
    lines = [f"{count:7} {outcome}{detail and ': '}{detail}" for (outcome, detail), count in sorted(counts.items())]
    return counts, [*lines, f"slowest: {slowest[0]:.2f} s, {slowest[1]}", f"peak memory: {memory} MiB", *faults]


def main(arguments: list[str] | None = None):
    """Run the command line, and exit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = str(Path(__file__).resolve().parents[1])
    parser.add_argument("--number", type=int, default=10_000, help="number of files (default 10000)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the damage (default 0)")
    parser.add_argument("--model", default=root, help="folder or Hub repository (default: this checkpoint)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz"), help="folder for files with a fault (default fuzz)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.worker:
        return work(given.model)
    worker = Worker([sys.executable, __file__, "--worker", "--model", given.model])
    counts, lines = fuzz(given.number, given.seed, worker, given.keep)
    print(*lines, sep="\n")
    raise SystemExit(int(any(outcome in FAULTS for outcome, _ in counts)))


if __name__ == "__main__":
    main()
