"""All benchmarks, one after another, on an idle machine: `python benchmarks --audio FOLDER --dataset SEQD`.

What each prints goes between its marks in README.md here, and the figure beside it.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from speecheq.evaluation.report import write_between

HERE = Path(__file__).resolve().parent


def commands(audio: Path, dataset: str, utterances: int) -> dict[str, list[str]]:
    """The script and the arguments of each benchmark."""
    return {
        "inference": [
            "inference.py", "--audio", str(audio), "--utterances", str(utterances), "--figure", str(HERE / "inference.svg"),
        ],
        "training": ["fine_tuning.py", "--dataset", dataset],
        "memory": ["memory.py", "--speech", str(audio)],
        "build_seqd": ["build_seqd.py"],
    }  # fmt: skip


def run(command: list[str]) -> str:
    """Run a benchmark in a process of its own; returns what it printed.

    Raises:
        RuntimeError: if it fails.
    """
    done = subprocess.run([sys.executable, HERE / command[0], *command[1:]], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"benchmarks: {command[0]} must succeed; got {done.returncode}.\n{done.stderr[-2000:]}")
    return done.stdout.strip()


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio", type=Path, required=True, help="folder of speech, a thousand files or more")
    parser.add_argument("--dataset", required=True, help="folder of a built SEQD")
    parser.add_argument(
        "--utterances", type=int, default=1000, help="files to answers (default 1000; they take minutes)"
    )
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of inference, training, memory, build_seqd")
    given = parser.parse_args(arguments)
    for name, command in commands(given.audio, given.dataset, given.utterances).items():
        if given.only is None or name in given.only:
            printed = run(command)
            print(printed, flush=True)
            write_between(HERE / "README.md", name, printed if "|---" in printed else f"```text\n{printed}\n```")


if __name__ == "__main__":
    main()
