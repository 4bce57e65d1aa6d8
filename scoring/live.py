"""Live audio for the command line: a microphone, or raw samples or WAV from a pipe, and the lines of the events."""

import json
import shutil
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from speecheq.audio_speecheq import PLACEHOLDERS, SAMPLING_RATE

STEP = 0.1  # s of audio per chunk of the microphone
BLOCK = 1 << 16  # bytes, largest chunk of a pipe
ENCODED = (b"ID3", b"OggS", b"fLaC", b"\x1aE\xdf\xa3", b"\xff\xfb", b"\xff\xf3", b"FORM", b"caff")
# Format tags of WAV: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html.
PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
TYPES = {
    (PCM, 8): np.dtype("u1"), (PCM, 16): np.dtype("<i2"), (PCM, 24): np.dtype("V3"), (PCM, 32): np.dtype("<i4"),
    (FLOAT, 32): np.dtype("<f4"), (FLOAT, 64): np.dtype("<f8"),
}  # fmt: skip


class LiveError(ValueError):
    """Error for a live source without usable audio."""


def microphone() -> Iterator[tuple[int, np.ndarray]]:
    """Record the default microphone with ffmpeg.

    Returns:
        `Iterator[tuple]`: the sampling rate in Hz, and the samples of a chunk.

    Raises:
        LiveError: if ffmpeg is not installed; from the iterator, if ffmpeg finds no microphone.
    """
    if shutil.which("ffmpeg") is None:
        raise LiveError(
            "--live: ffmpeg must be installed to record a microphone; got none. Run `apt install ffmpeg` or "
            "`brew install ffmpeg`, or pipe audio into `speecheq --live -`."
        )
    from transformers.pipelines.audio_utils import ffmpeg_microphone

    return _recorded(ffmpeg_microphone(SAMPLING_RATE, STEP, "s16le"))


def _recorded(blocks: Iterator[bytes]) -> Iterator[tuple[int, np.ndarray]]:
    block = b""
    for block in blocks:
        yield SAMPLING_RATE, np.frombuffer(block[: len(block) // 2 * 2], np.int16)
    if not block:
        raise LiveError(
            "--live: ffmpeg must find a microphone; got no audio from the default one. On Linux, `arecord -l` of the package "
            "alsa-utils lists the microphones. Without one, pipe audio into `speecheq --live -`."
        )


def piped(file: BinaryIO, rate: int = SAMPLING_RATE) -> Iterator[tuple[int, np.ndarray]]:
    """Read raw samples (16-bit, little-endian, mono) or WAV from a pipe, as they arrive.

    Args:
        file (`BinaryIO`): the pipe.
        rate (`int`, *optional*): sampling rate of raw samples, in Hz.

    Yields:
        `tuple`: the sampling rate in Hz, and samples, `(samples,)` or `(samples, channels)`.

    Raises:
        LiveError: if the pipe is empty, or contains something else.
    """
    head = file.read(12)
    if not head:
        raise LiveError("--live -: the standard input must contain audio; got 0 bytes.")
    if head.startswith(ENCODED) or head[4:8] == b"ftyp":
        raise LiveError(
            f"--live -: the standard input must be raw 16-bit samples or WAV; got an encoded file, {head[:4]!r}. Decode it: "
            f"`ffmpeg -i FILE -f s16le -ar {SAMPLING_RATE} -ac 1 - | speecheq --live -`."
        )
    kind, channels, left = np.dtype("<i2"), 1, None
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        head, (kind, channels, rate, left) = b"", _read_header(file)
    size, data = channels * kind.itemsize, head
    while True:
        whole = data[: len(data) // size * size]
        if whole:
            samples = _samples(whole, kind)
            yield rate, samples if channels == 1 else samples.reshape(-1, channels)
        new = file.read1(BLOCK if left is None else min(left, BLOCK))  # what has arrived
        if not new:
            return
        left = None if left is None else left - len(new)
        data = data[len(whole) :] + new


def _samples(data: bytes, kind: np.dtype) -> np.ndarray:
    if kind.itemsize != 3:
        return np.frombuffer(data, kind)
    wide = np.zeros((len(data) // 3, 4), np.uint8)  # 24 bits: the upper bytes of 32
    wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0]


def _read_header(file: BinaryIO) -> tuple[np.dtype, int, int, int | None]:
    """Read the chunks of a WAV header up to the data.

    Returns:
        `tuple`: type of a sample, channels, sampling rate, and the bytes of data, `None` if the header does not contain it.
    """
    found = None
    while len(chunk := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", chunk)
        if name == b"data":
            if found is None:
                break
            unknown = not length or any(length in sizes for sizes in PLACEHOLDERS)
            return *found, None if unknown else length
        content = file.read(length + length % 2)
        if name == b"fmt " and len(content) >= 16:
            tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
            tag = struct.unpack("<H", content[24:26])[0] if tag == EXTENSIBLE and len(content) >= 26 else tag
            if (tag, bits) not in TYPES or not channels:
                raise LiveError(
                    f"--live -: WAV must be PCM of 8 to 32 bits or float; got format {tag:#06x} of {bits} bits and {channels} "
                    "channels."
                )
            found = TYPES[tag, bits], channels, rate
    raise LiveError("--live -: WAV must have the chunks `fmt ` and `data`; got an incomplete header.")


def print_events(events: Iterator[dict], form: str):
    """Print an event per line as it comes; `form` is `table` or `jsonl`."""
    for event in events:
        print(json.dumps(event, ensure_ascii=False) if form == "jsonl" else _line(event), flush=True)


def _line(event: dict) -> str:
    if event["event"] == "speech":
        return f"{event['start']:8.2f}            speech begins"
    times = f"{event['start']:8.2f} {event['end']:8.2f}"
    note = "  (provisional)" if event["event"] == "provisional" else ""
    return f"{times}   {event['label']:12} {event['score']:4.2f}   intensity {event['intensity']:4.2f}{note}"
