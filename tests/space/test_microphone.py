"""Claims about the tab "Live": chunks of a microphone are answered as they arrive, each session for itself."""

# ruff: noqa: F811
import io
import json
import re
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from samples import ROOT, utterances, waveform

pytest.importorskip("gradio")
import httpx
from space.test_app import app, folder, page, pipe  # noqa: F401, fixtures
from space.test_server import serve

from speecheq.labels_speecheq import ESC_SCALES

sys.path.insert(0, str(ROOT / "space"))
import microphone

RATE = 16_000
AUDIO = np.concatenate([*utterances(4), np.zeros(RATE, np.float32), *utterances(3), np.zeros(RATE, np.float32)])


@pytest.fixture
def chunks(tmp_path, monkeypatch) -> list[str]:
    """The files that a browser sends, half a second each, in the folder of temporary files."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "tmp"))
    return write(tmp_path / "tmp", AUDIO)


def write(folder: Path, samples: np.ndarray, rate: int = RATE) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for at in range(0, len(samples), rate // 2):
        paths.append(str(folder / f"{at}.wav"))
        soundfile.write(paths[-1], samples[at : at + rate // 2], rate, subtype="PCM_16")
    return paths


def segments_of(listener) -> list[tuple]:
    return [(segment["start"], segment["end"], segment["label"]) for segment in listener.finished]


def test_the_tab_shows_provisional_answers_then_the_segments_of_the_pipeline_and_keeps_no_chunk(
    pipe, chunks, tmp_path
):
    recogniser, listener, seen = app.Recogniser(pipe), None, []
    for chunk in chunks:
        listener, html = recogniser.listen(chunk, listener, "basic")
        seen.append(html)
    assert any("provisional, " in html for html in seen) and list((tmp_path / "tmp").iterdir()) == []
    pcm = np.round(AUDIO * 2**15) / 2**15
    stream = pipe.stream(RATE, scale="basic")
    expected = [event for event in [*stream.feed(pcm), *stream.close()] if event["event"] == "segment"]
    finished = segments_of(listener)
    assert finished == [(event["start"], event["end"], event["label"]) for event in expected] != []
    closed, html = recogniser.stop(listener)
    assert closed.stream.closed and recogniser.listen(__file__, closed, "basic")[1] == html  # a late chunk
    assert html.count("<tr><td>") == len(expected) and "the recording has ended" in html


def test_two_sessions_are_independent(pipe, chunks, tmp_path):
    recogniser = app.Recogniser(pipe)
    other = write(tmp_path / "other", AUDIO[2 * RATE :])
    one = two = None
    for chunk in chunks[: len(other)]:
        one, _ = recogniser.listen(chunk, one, "fine")
        two, _ = recogniser.listen(other.pop(0), two, "valence")
    assert one is not two and one.stream is not two.stream
    assert {segment["label"] for segment in two.finished} <= set(recogniser.scales["valence"])
    alone = None
    for chunk in write(tmp_path / "other", AUDIO[2 * RATE :]):
        alone, _ = recogniser.listen(chunk, alone, "valence")
    assert segments_of(alone) == segments_of(two)


def test_a_chunk_that_cannot_be_used_has_a_reason_and_the_stream_goes_on(pipe, chunks, tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    (other,) = write(tmp_path / "other", waveform(0.4, rate=8_000), 8_000)
    recogniser, listener = app.Recogniser(pipe), None
    listener, html = recogniser.listen(chunks[0], listener, "basic")
    assert "seq-reason" not in html
    _, html = recogniser.listen(str(tmp_path / "bad.wav"), listener, "basic")
    assert "A part of the recording cannot be read as audio." in html
    _, html = recogniser.listen(other, listener, "basic")
    assert f"sampling_rate must stay the same in a stream; got 8000 Hz after {RATE} Hz" in html
    _, html = recogniser.listen(chunks[1], listener, "basic")
    assert "seq-reason" not in html and (tmp_path / "bad.wav").exists()
    assert recogniser.listen(None, listener, "basic")[0] is listener
    assert recogniser.stop(None) == (None, page.WAITING)


@pytest.mark.parametrize("size", [0, 100, 0x7FFFFFFF, 0xFFFFFFFF])
def test_the_length_in_the_header_of_a_chunk_is_not_used(size, tmp_path):
    (path,) = write(tmp_path, waveform(0.5))
    data = bytearray(Path(path).read_bytes())
    data[4:8] = data[40:44] = size.to_bytes(4, "little")
    Path(path).write_bytes(data)
    samples, rate = microphone.read_chunk(path)
    assert (len(samples), rate) == (8_000, RATE)
    np.testing.assert_allclose(samples, waveform(0.5), atol=1e-4)


def test_a_chunk_of_more_than_ten_seconds_is_refused(pipe, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(10 * RATE + 1), RATE)
    assert "longer than 10 s" in app.Recogniser(pipe).listen(str(tmp_path / "long.wav"), None, "basic")[1]


def test_the_page_shows_a_bounded_number_of_segments_and_escapes_them(pipe):
    listener = microphone.Listener(pipe, "basic")
    segment = {"event": "segment", "start": 0.0, "end": 1.0, "label": "<b>", "score": 0.5, "intensity": 0.5}
    listener._show([segment] * 100)
    html = page.live({"label": "<i>", "score": 1.0}, listener.finished, {"<b>": "#fff"}, "<u>", True)
    assert html.count("<tr><td>") == 30 and not re.search("<(b|i|u)>", html) and "provisional, 99 %" in html


class Browser:
    """The calls of a browser that records: it uploads chunks, and reads the stream of answers."""

    def __init__(self, server: str, name: str):
        self.server, self.name, self.client = f"{server}gradio_api/", name, httpx.Client(timeout=60)
        config = httpx.get(f"{server}config").json()
        targets = {target[1]: entry["id"] for entry in config["dependencies"] for target in entry["targets"]}
        self.number, self.stop = targets["stream"], targets["stop_recording"]
        self.messages: list[dict] = []

    def chunk(self, samples: np.ndarray, scale: str) -> dict:
        file = io.BytesIO()
        soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
        (path,) = self.client.post(f"{self.server}upload", files={"files": ("audio.wav", file.getvalue())}).json()
        data = [{"path": path, "meta": {"_type": "gradio.FileData"}}, None, scale]
        return {"data": data, "fn_index": self.number, "session_hash": self.name}

    def join(self, body: dict) -> str:
        return self.client.post(f"{self.server}queue/join", json=body).json()["event_id"]

    def read(self):
        with httpx.stream("GET", f"{self.server}queue/data?session_hash={self.name}", timeout=60) as lines:
            for line in lines.iter_lines():
                if line.startswith("data: "):
                    self.messages.append(json.loads(line[6:]))
                    if self.messages[-1]["msg"] in ("process_completed", "close_stream"):
                        return

    def record(self, samples: np.ndarray, scale: str):
        pieces = [samples[at : at + RATE // 2] for at in range(0, len(samples), RATE // 2)]
        event = self.join(self.chunk(pieces[0], scale))
        reader = threading.Thread(target=self.read)
        reader.start()
        for number, piece in enumerate(pieces[1:], start=1):
            while sum("output" in message for message in self.messages) < number:
                time.sleep(0.02)
            self.client.post(f"{self.server}stream/{event}", json=self.chunk(piece, scale))
        while sum("output" in message for message in self.messages) < len(pieces):
            time.sleep(0.02)
        self.client.post(f"{self.server}stream/{event}/close")
        reader.join()
        self.join({"data": [None], "fn_index": self.stop, "session_hash": self.name})
        self.read()

    def shown(self) -> list[str]:
        outputs = [message["output"]["data"][1] for message in self.messages if "output" in message]
        return [html if isinstance(html, str) else json.dumps(html) for html in outputs]


@pytest.mark.slow
def test_two_browsers_at_once_get_their_own_answers_from_the_served_page(folder, tmp_path):
    with serve(folder, tmp_path) as server:
        browsers = [Browser(server, name) for name in ("one", "two")]
        given = ((AUDIO, "basic"), (AUDIO[3 * RATE :], "valence"))
        threads = [
            threading.Thread(target=browser.record, args=each) for browser, each in zip(browsers, given, strict=True)
        ]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        for browser in browsers:
            assert any("provisional" in html for html in browser.shown())
            assert "Finished segments" in browser.shown()[-1] and "the recording has ended" in browser.shown()[-1]
        one, two = (set(re.findall("</span>([a-z]+)</td>", browser.shown()[-1])) for browser in browsers)
        assert one <= set(ESC_SCALES["basic"]) and two <= set(ESC_SCALES["valence"]) and one and two
        assert list((tmp_path / "tmp").rglob("audio.wav")) == []
