"""Live stream of one session of the page: chunks of its microphone in, the answer so far out."""

import io
import struct
from collections import deque
from pathlib import Path

import numpy as np
import soundfile
from transformers import Pipeline

SHOWN = 30  # finished segments on the page
LONGEST = 10  # s, chunk


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
        if self.stream.closed:  # a chunk that was on its way when the recording ended
            return
        try:
            samples, rate = read_chunk(path)
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


def read_chunk(path: str) -> tuple[np.ndarray, int]:
    """Read the samples of a chunk, and their sampling rate in Hz.

    A browser repeats the header of the first chunk in each, so the length in the header is wrong: all bytes count.

    Raises:
        soundfile.LibsndfileError: if the chunk is not audio.
        ValueError: if it is too long.
    """
    data = bytearray(Path(path).read_bytes())
    if data[:4] == b"RIFF" and (place := data.find(b"data", 12, 200)) > 0:
        data[place + 4 : place + 8] = struct.pack("<I", len(data) - place - 8)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        if file.frames > LONGEST * file.samplerate:
            raise ValueError(f"A part of the recording is longer than {LONGEST} s.")
        return file.read(dtype="float32"), file.samplerate


def remove_chunk(path: str, folder: str):
    """Delete the file of a chunk, if it is in the folder of temporary files."""
    if Path(folder).resolve() in Path(path).resolve().parents:
        Path(path).unlink(missing_ok=True)
