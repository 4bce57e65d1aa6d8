"""Load test of the page: `python benchmarks/space_load.py --minutes 60 --users 10`.

A separate process serves the page as on the Hub. Each user repeats requests like a program: upload, call, wait. One of three
uploads is malformed (`mutations.py`); some exceed the size limit, or request a file or URL without permission. The output
lists the predictions, abstentions and errors by kind, the response time (median and 95 %), the memory, open files and threads
of the server over time, the slope of the memory after the warm-up, and the remaining temporary files. The exit status is 1
if a valid recording gets no prediction, if the server fails, or if the memory grows by more than 1 MB a minute.
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
from mutations import inputs

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "space" / "examples").glob("*.wav"))
PATIENCE = 120.0  # s, timeout of one request
START = 240.0  # s, timeout of the server start
FAULTS = ("good recording failed", "server fault", "no answer")
INTERVAL = 5.0  # s, between two measurements of the server
WARM_UP = 10.0  # min, while caches fill
MAX_SLOPE = 1.0  # MB a minute, after the warm-up
TOO_LARGE = 25 * 2**20 + 1  # bytes; the limit of the page is 25 MB


class Load:
    """Simulated users of one server, and their results.

    Args:
        server (`str`): URL of the server.
        users (`int`): number of concurrent users.
        seed (`int`, *optional*, defaults to 0): seed of the requests.
    """

    def __init__(self, server: str, users: int, seed: int = 0):
        self.server, self.users, self.seed = server, users, seed
        self.counts: Counter = Counter()
        self.seconds: list[float] = []
        self._lock = threading.Lock()

    def run(self, seconds: float):
        """Send requests for a number of seconds, and wait for the last ones."""
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
                    kind = self._ask(client, rng.random(), malformed, EXAMPLES[rng.integers(len(EXAMPLES))])
                except httpx.TransportError as error:
                    kind = f"no answer: {type(error).__name__}"
                with self._lock:
                    self.counts[kind] += 1
                    if kind.startswith("good recording: "):
                        self.seconds.append(time.monotonic() - begin)

    def _ask(self, client: httpx.Client, chance: float, malformed: Iterator, example: Path) -> str:
        """Send one request of a random kind, and return the name of its outcome."""
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
        found = outcome(upload_and_call(client, example.name, example.read_bytes()))
        return f"good recording: {found}" if found in ("answer", "abstention") else f"good recording failed: {found}"


def upload_and_call(client: httpx.Client, name: str, content: bytes) -> dict | None:
    """Upload a recording and return the output, or `None` if the server refuses it."""
    sent = client.post("gradio_api/upload", files={"files": (name, content)})
    return call(client, sent.json()[0]) if sent.status_code == 200 else None


def call(client: httpx.Client, path: str) -> dict | None:
    """Call the API on a file of the server and return the output, or `None` if the server refuses."""
    data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}, "basic", "mix"]}
    event = client.post("gradio_api/call/recognise", json=data).json()["event_id"]
    text = client.get(f"gradio_api/call/recognise/{event}").text
    if "event: complete" not in text:
        return None
    return json.loads(text.split("event: complete\ndata: ")[1].splitlines()[0])[0]


def outcome(answer: dict | None) -> str:
    """Return the kind of an output of the page."""
    if answer is None:
        return "refused by the server"
    if "error" in answer:
        return f"error, {answer['error'].partition('(')[0].partition(';')[0].strip().rstrip('.')}"
    return "answer" if answer["label"] is not None else "abstention"


@contextmanager
def served(model: str, scratch: Path) -> Iterator[tuple[str, int]]:
    """Serve the page in a separate process, and yield its URL and the process id."""
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
                        f"space_load.py: the page did not start. {(scratch / 'log').read_text()[-500:]}"
                    ) from None
                time.sleep(0.5)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()


def state(pid: int) -> dict[str, int]:
    """Return the memory in MB, the open files and the threads of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return {
        "MB": int(status["VmRSS"].split()[0]) * 1024 // 10**6,
        "open files": files,
        "threads": int(status["Threads"]),
    }


def left_behind(folder: Path) -> tuple[int, int]:
    """Return the number of files in a folder, and their total MiB."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes) >> 20


class Watch:
    """Measures the state of a process until it is left, as a context.

    Args:
        pid (`int`): the process.
        interval (`float`, *optional*, defaults to `INTERVAL`): seconds between two measurements.
    """

    def __init__(self, pid: int, interval: float = INTERVAL):
        self.pid, self.interval, self.states = pid, interval, []
        self._done, self._thread = threading.Event(), threading.Thread(target=self._measure)

    def _measure(self):
        begin = time.monotonic()
        while True:
            self.states.append(((time.monotonic() - begin) / 60, state(self.pid)))
            if self._done.wait(self.interval):
                return

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._done.set()
        self._thread.join()

    def slope(self, after: float) -> float:
        """Return the slope of the memory after a number of minutes, in MB a minute by least squares; NaN without data."""
        late = np.array([(minute, found["MB"]) for minute, found in self.states if minute >= after])
        return float(np.polyfit(*late.T, 1)[0]) if len(late) > 2 else float("nan")


def report(load: Load, watch: Watch, warm_up: float, left: tuple[int, int]) -> list[str]:
    """Format the results as lines."""
    lines = [f"{count:7} {kind}" for kind, count in sorted(load.counts.items())]
    if len(load.seconds) > 1:
        times = statistics.quantiles(load.seconds, n=20)
        lines.append(f"response time: median {statistics.median(load.seconds):.2f} s, 95 % within {times[-1]:.2f} s")
    last = watch.states[-1][0]
    for place in (0.0, warm_up, (warm_up + last) / 2, last):
        minute, found = min(watch.states, key=lambda each: abs(each[0] - place))
        lines.append(
            f"server after {minute:.0f} min: " + ", ".join(f"{value} {what}" for what, value in found.items())
        )
    lines.append(f"memory from minute {warm_up:g} to {last:.0f}: {watch.slope(warm_up):+.2f} MB a minute")
    return [*lines, f"temporary files left: {left[0]}, {left[1]} MiB"]


def main(arguments: list[str] | None = None):
    """Run the command line, and exit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="duration (default 60)")
    parser.add_argument(
        "--warm-up", type=float, default=WARM_UP, help=f"minutes before the slope (default {WARM_UP:g})"
    )
    parser.add_argument("--users", type=int, default=10, help="concurrent users (default 10)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the requests (default 0)")
    parser.add_argument("--model", default=str(ROOT), help="folder or Hub repository (default: this checkpoint)")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch, served(given.model, Path(scratch)) as (address, pid):
        load = Load(address, given.users, given.seed)
        with Watch(pid) as watch:
            load.run(60 * given.minutes)
        print(*report(load, watch, given.warm_up, left_behind(Path(scratch, "tmp"))), sep="\n")
    grows = watch.slope(given.warm_up) > MAX_SLOPE
    raise SystemExit(int(grows or any(kind.startswith(FAULTS) for kind in load.counts)))


if __name__ == "__main__":
    main()
