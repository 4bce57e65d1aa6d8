"""The page under load: `python benchmarks/space_load.py --minutes 10 --users 10`.

It is served as on the Hub, by a process of its own. Each user asks again and again, as a program does: upload, call, wait. One
of three uploads is malformed (`mutations.py`); some are over the limit, or ask for a file or an address that is not theirs.
Printed are the answers, abstentions and errors by their kinds, the time to an answer (median and 95 %), and of the server the
memory, the open files and the threads at the begin, in the middle and at the end, and the temporary files left. The exit status
is 1 if a good recording got no answer, or the server answered anything with a fault of its own.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
from mutations import EXAMPLES, SPEECH, inputs

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0  # s for one answer
START = 240.0  # s for the server
FAULTS = ("good recording failed", "server fault", "no answer")
WARM_UP = 5.0  # s, before the memory is looked at
TOO_LARGE = 25 * 2**20 + 1  # bytes; the page takes 25 MB


class Load:
    """What many users see of one server.

    Args:
        server (`str`): its address.
        users (`int`): at once.
        seed (`int`, *optional*, defaults to 0): of what they ask.
    """

    def __init__(self, server: str, users: int, seed: int = 0):
        self.server, self.users, self.seed = server, users, seed
        self.counts: Counter = Counter()
        self.seconds: list[float] = []
        self._lock = threading.Lock()

    def run(self, seconds: float):
        """Ask for so long; what is asked last is waited for."""
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=self._user, args=(number, end)) for number in range(self.users)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _user(self, number: int, end: float):
        rng = np.random.default_rng([self.seed, number])
        malformed = inputs(10**9, seed=self.seed + 1 + number)
        with httpx.Client(base_url=self.server, timeout=PATIENCE) as client:
            while time.monotonic() < end:
                begin = time.monotonic()
                try:
                    kind = self._ask(client, rng.random(), malformed, SPEECH[rng.integers(len(SPEECH))])
                except httpx.TransportError as error:
                    kind = f"no answer: {type(error).__name__}"
                with self._lock:
                    self.counts[kind] += 1
                    if kind.startswith("good recording: "):
                        self.seconds.append(time.monotonic() - begin)

    def _ask(self, client: httpx.Client, chance: float, malformed: Iterator, example: str) -> str:
        """Ask one thing of one kind; the name of what came of it."""
        if chance < 0.01:
            sent = client.post("gradio_api/upload", files={"files": ("a.wav", bytes(TOO_LARGE))})
            return (
                "too large: refused"
                if sent.status_code == 413
                else f"server fault: {sent.status_code} to a large file"
            )
        if chance < 0.03:
            place = ("/etc/passwd", "http://127.0.0.1:9/a.wav")[chance < 0.02]
            answer = call(client, place)
            return "not theirs: refused" if answer is None else f"server fault: {place!r} is answered"
        if chance < 0.33:
            made = next(malformed)
            return f"malformed: {outcome(upload_and_call(client, 'a' + made.suffix, made.content))}"
        found = outcome(upload_and_call(client, example, (EXAMPLES / example).read_bytes()))
        return f"good recording: {found}" if found in ("answer", "abstention") else f"good recording failed: {found}"


def upload_and_call(client: httpx.Client, name: str, content: bytes) -> dict | None:
    """The answer to a recording, or `None` if the server refuses it."""
    sent = client.post("gradio_api/upload", files={"files": (name, content)})
    return call(client, sent.json()[0]) if sent.status_code == 200 else None


def call(client: httpx.Client, path: str) -> dict | None:
    """The answer to a file that the server has, or `None` if it refuses."""
    data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "basic"]}
    event = client.post("gradio_api/call/recognise", json=data).json()["event_id"]
    text = client.get(f"gradio_api/call/recognise/{event}").text
    if "event: complete" not in text:
        return None
    return json.loads(text.split("event: complete\ndata: ")[1].splitlines()[0])[0]


def outcome(answer: dict | None) -> str:
    """The kind of an answer of the page."""
    if answer is None:
        return "refused by the server"
    if "error" in answer:
        return f"error, {answer['error'].partition('(')[0].partition(';')[0].strip().rstrip('.')}"
    return "answer" if answer["label"] is not None else "abstention"


@contextmanager
def served(model: str, scratch: Path) -> Iterator[tuple[str, int]]:
    """The page in a process of its own: its address and the id of the process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {"SPEECHEQ_MODEL": model, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(scratch / "tmp")}
    with open(scratch / "log", "w") as log:
        command = [sys.executable, str(ROOT / "space" / "app.py")]
        process = subprocess.Popen(command, cwd=scratch, env=os.environ | environment, stdout=log, stderr=log)
    address, end = f"http://127.0.0.1:{port}/", time.monotonic() + START
    try:
        while True:
            try:
                httpx.get(address).raise_for_status()
                break
            except httpx.HTTPError:
                if process.poll() is not None or time.monotonic() > end:
                    raise SystemExit(
                        f"space_load.py: the page does not start. {(scratch / 'log').read_text()[-500:]}"
                    ) from None
                time.sleep(0.5)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()


def state(pid: int) -> dict[str, int]:
    """Memory in MiB, open files and threads of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return {"MiB": int(status["VmRSS"].split()[0]) // 1024, "open files": files, "threads": int(status["Threads"])}


def left_behind(folder: Path) -> tuple[int, int]:
    """How many files a folder holds, and their MiB."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes) >> 20


def report(load: Load, states: list[dict[str, int]], left: tuple[int, int]) -> list[str]:
    """The lines to print."""
    lines = [f"{count:7} {kind}" for kind, count in sorted(load.counts.items())]
    if len(load.seconds) > 1:
        times = statistics.quantiles(load.seconds, n=20)
        lines.append(
            f"time to an answer: median {statistics.median(load.seconds):.2f} s, 95 % within {times[-1]:.2f} s"
        )
    for name, found in zip(("at the begin", "in the middle", "at the end"), states, strict=True):
        lines.append(f"server {name}: " + ", ".join(f"{value} {what}" for what, value in found.items()))
    return [*lines, f"temporary files left: {left[0]}, {left[1]} MiB"]


def main(arguments: list[str] | None = None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10, help="how long (default 10)")
    parser.add_argument("--users", type=int, default=10, help="at once (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="of what they ask (default 0)")
    parser.add_argument("--model", default=str(ROOT), help="folder or Hub repository (default: this checkpoint)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch, served(given.model, Path(scratch)) as (address, pid):
        Load(address, given.users, given.seed).run(WARM_UP)
        load, states = Load(address, given.users, given.seed), [state(pid)]
        for _ in range(2):
            load.run(30 * given.minutes)
            states.append(state(pid))
        print(*report(load, states, left_behind(Path(scratch, "tmp"))), sep="\n")
    raise SystemExit(int(any(kind.startswith(FAULTS) for kind in load.counts)))


if __name__ == "__main__":
    main()
