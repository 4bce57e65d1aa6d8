"""Claims about the served page: clients get the output of the pipeline, and only files of the page."""

# ruff: noqa: F811
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import pytest
from samples import ROOT

pytest.importorskip("gradio")
import gradio_client
import httpx
from space.test_app import SPEECH, folder, pipe, unusable  # noqa: F401, folder and pipe are fixtures

SERVE = """
import runpy, sys
sys.modules["speecheq"] = None
sys.path[0] = sys.argv[1]
runpy.run_path(sys.argv[1] + "/app.py", run_name="__main__")
"""


@pytest.fixture(scope="module")
def server(folder, tmp_path_factory) -> Iterator[str]:
    """The URL of the page, served as on the Hub: only the folder `space`, without `speecheq`."""
    with serve(folder, tmp_path_factory.mktemp("space")) as address:
        yield address


def serve(model: Path, scratch: Path) -> "Served":
    """Serve the page of a model in a folder."""
    space = shutil.copytree(ROOT / "space", scratch / "root")
    offline = {"HF_HOME": str(scratch / "hf"), "HF_HUB_OFFLINE": "1"}
    return Served(space, scratch, {"SPEECHEQ_MODEL": str(model), **offline})


class Served:
    """Start a process that serves the page of a folder without `speecheq`."""

    def __init__(self, space: Path, scratch: Path, environment: dict[str, str]):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address, self.log = f"http://127.0.0.1:{port}/", scratch / "log"
        known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = known | environment | {"GRADIO_SERVER_PORT": str(port), "OMP_NUM_THREADS": "1"}
        environment |= {"GRADIO_TEMP_DIR": str(scratch / "tmp")}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SERVE, str(space)],
                cwd=scratch, env=environment, stdout=log, stderr=log,
            )  # fmt: skip

    def __enter__(self) -> str:
        for _ in range(240):
            try:
                httpx.get(self.address).raise_for_status()
                return self.address
            except httpx.HTTPError:
                time.sleep(0.5)
                if self.process.poll() is not None:
                    break
        self.__exit__()
        raise RuntimeError(self.log.read_text()[-2000:])

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def test_a_client_gets_the_answer_of_the_pipeline(server, pipe):
    client = gradio_client.Client(server, verbose=False)
    found = client.predict(audio=gradio_client.handle_file(SPEECH), scale="basic", api_name="/recognise")
    expected = pipe(SPEECH, scale="basic")
    assert found["label"] == expected["label"] and found["timeline"][0]["label"] == expected["timeline"][0]["label"]
    scores, others = ({entry["label"]: entry["score"] for entry in each["emotion"]} for each in (found, expected))
    assert scores == pytest.approx(others, abs=1e-4) and found["phonemes"] == expected["phonemes"]
    assert found["intensity"]["value"] == pytest.approx(expected["intensity"]["value"], abs=1e-4)


def test_ten_clients_at_once_all_get_answers(server):
    files = sorted((ROOT / "space/examples").glob("*.wav"))

    def ask(number: int) -> dict:
        client = gradio_client.Client(server, verbose=False)
        return client.predict(gradio_client.handle_file(str(files[number % 5])), api_name="/recognise")

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(ask, range(10)))
    assert [answer["duration"] for answer in found[:5]] == [answer["duration"] for answer in found[5:]]
    assert len({answer["duration"] for answer in found}) > 3 and all("error" not in answer for answer in found)


def test_a_client_with_a_wrong_file_gets_the_reason(server, tmp_path):
    messages, client = unusable(tmp_path), gradio_client.Client(server, verbose=False)
    for name in ("text.wav", "cut.wav", "long.flac"):
        answer = client.predict(gradio_client.handle_file(str(tmp_path / name)), api_name="/recognise")
        assert set(answer) == {"error"} and answer["error"].startswith(messages[name])


def ask_for(server: str, file: dict, scale: str = "fine") -> str:
    """Call the API without a client, and return the response."""
    call = {"data": [{**file, "meta": {"_type": "gradio.FileData"}}, scale, "mix"]}
    event = httpx.post(f"{server}gradio_api/call/recognise", json=call).json()["event_id"]
    return httpx.get(f"{server}gradio_api/call/recognise/{event}", timeout=60).text


def test_no_other_file_is_read_or_served(server):
    for path in ("/etc/hostname", str(ROOT / "README.md"), SPEECH):
        assert "event: error" in ask_for(server, {"path": path})
        assert httpx.get(f"{server}gradio_api/file={path}").status_code in (403, 404)
    for path in ("app.py", "root/app.py", "log"):
        assert httpx.get(f"{server}gradio_api/file={path}").status_code in (403, 404)
    assert "Send the recording itself, not its URL." in ask_for(server, {"path": "https://example.org/a.wav"})
    assert "event: error" in ask_for(server, {"path": SPEECH}, scale="coarse")


def test_a_file_over_the_limit_is_refused(server):
    sent = httpx.post(f"{server}gradio_api/upload", files={"files": ("a.wav", b"0" * (25 * 2**20 + 1))}, timeout=60)
    assert sent.status_code == 413


def test_recordings_are_not_kept_in_a_history(server):
    assert httpx.get(f"{server}gradio_api/runs").status_code == 404


class _Addresses(HTMLParser):
    """Collect the resources that a page loads."""

    def __init__(self, text: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        loads = {"script": "src", "link": "href", "img": "src", "iframe": "src"}
        self.found += [value for name, value in attrs if name == loads.get(tag) and value]


def test_the_served_page_loads_nothing_from_elsewhere(server):
    text = httpx.get(server).text
    addresses = _Addresses(text).found
    assert addresses and all(address.startswith(("./", "/")) for address in addresses)
    config = json.loads(re.search(r"window\.gradio_config = (.*?);</script>", text).group(1))
    assert config["stylesheets"] == [] and config["analytics_enabled"] is False
    assert "fonts.googleapis.com" not in text + httpx.get(f"{server}theme.css").text
