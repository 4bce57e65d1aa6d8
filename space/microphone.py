"""Live stream of one session of the page: chunks of its microphone in, the answer so far out."""

from collections import deque
from pathlib import Path

import soundfile
from transformers import Pipeline

SHOWN = 30  # finished segments on the page


class Listener:
    """Stream of one session, and what the page shows of it.

    Args:
        pipe (`SpeechEQPipeline`): pipeline of the page.
        scale (`str`): `fine`, `basic` or `valence`.
    """

    def __init__(self, pipe: Pipeline, scale: str):
        self.stream, self.scale = pipe.stream(scale=scale), scale
        self.finished: deque[dict] = deque(maxlen=SHOWN)  # segments
        self.now: dict | None = None  # last event of the speech that goes on
        self.reason: str | None = None  # why the last chunk was not used

    def __deepcopy__(self, memo) -> "Listener":
        """Return this object: a session has one stream, and gradio copies states."""
        return self

    def feed(self, path: str):
        """Process the file of the next chunk; an unusable one has a reason, and the stream goes on."""
        try:
            samples, rate = soundfile.read(path, dtype="float32")
            self._show(self.stream.feed((rate, samples)))
            self.reason = None
        except soundfile.LibsndfileError:
            self.reason = "A part of the recording cannot be read as audio."
        except ValueError as error:
            self.reason = str(error).removeprefix("SpeechStream: ")

    def close(self):
        """End the stream."""
        self._show(self.stream.close())

    def _show(self, events: list[dict]):
        for event in events:
            self.now = None if event["event"] == "segment" else event
            if event["event"] == "segment":
                self.finished.append(event)


def remove_chunk(path: str, folder: str):
    """Delete the file of a chunk, if it is in the folder of temporary files."""
    if Path(folder).resolve() in Path(path).resolve().parents:
        Path(path).unlink(missing_ok=True)
