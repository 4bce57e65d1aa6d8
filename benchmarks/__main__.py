"""Run all benchmarks in sequence, on an idle machine: `python benchmarks --audio FOLDER --dataset SEQD`.

The output of each goes between its marks in `benchmarks/README.md`, and the figure into the same folder.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from speecheq.evaluation.report import write_between

HERE = Path(__file__).resolve().parent


def commands(audio: Path, dataset: str, utterances: int) -> dict[str, list[str]]:
    """Return the script and the arguments of each benchmark."""
    return {
        "inference": [
            "inference.py", "--audio", str(audio), "--utterances", str(utterances), "--figure", str(HERE / "inference.svg"),
        ],
        "training": ["fine_tuning.py", "--dataset", dataset],
        "memory": ["memory.py", "--speech", str(audio)],
        "live": ["live.py", "--speech", str(audio)],
        "build_seqd": ["build_seqd.py"],
    }  # fmt: skip


def run(command: list[str]) -> str:
    """Run a benchmark in a separate process, and return its output.

    Raises:
        RuntimeError: if the benchmark fails.
    """
    done = subprocess.run([sys.executable, HERE / command[0], *command[1:]], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"benchmarks: {command[0]} must succeed; got {done.returncode}.\n{done.stderr[-2000:]}")
    return done.stdout.strip()


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio", type=Path, required=True, help="folder of speech, with 1000 files or more")
    parser.add_argument("--dataset", required=True, help="folder of a built SEQD")
    parser.add_argument(
        "--utterances",
        type=int,
        default=1000,
        help="files of the folder benchmark, which takes minutes (default 1000)",
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="some of inference, training, memory, live, build_seqd"
    )
    given = parser.parse_args(arguments)
    for name, command in commands(given.audio, given.dataset, given.utterances).items():
        if given.only is None or name in given.only:
            printed = run(command)
            print(printed, flush=True)
            write_between(HERE / "README.md", name, printed if "|---" in printed else f"```text\n{printed}\n```")


if __name__ == "__main__":
    main()
