"""An audio file of any kind to 16 kHz mono FLAC, or the reason why not."""

import hashlib
import io
import os
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

SAMPLING_RATE = 16_000
MIN_SECONDS = 0.05  # shorter than any vowel
SILENT_PEAK = 10 ** (-60 / 20)  # -60 dBFS: below the noise floor of any room
UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # what a writer into a pipe leaves in a RIFF header


class AudioError(ValueError):
    """Audio that cannot be used."""


class Clip(NamedTuple):
    """One accepted file: where its FLAC lies, its length in samples at 16 kHz and the SHA-256 of the FLAC."""

    flac: str
    samples: int
    sha256: str


def load(path: Path) -> np.ndarray:
    """Decode a file as 16 kHz mono.

    Channels are averaged; another rate is resampled by soxr at its quality HQ.

    Returns:
        `np.ndarray` of shape `(samples,)`, float32.

    Raises:
        AudioError: if the file is unreadable, truncated, shorter than 0.05 s, not finite, or silent (peak below -60
            dBFS).
    """
    try:
        _refuse_truncated_wav(path)
        with soundfile.SoundFile(path) as file:
            rate, frames = file.samplerate, file.frames
            channels = file.read(dtype="float32", always_2d=True)  # (samples, channels)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"unreadable: {getattr(error, 'error_string', None) or error.strerror}") from error
    if len(channels) < frames < 2**62:  # libsndfile's mark of an unknown length is near 2**63
        raise AudioError(f"truncated: {len(channels)} of {frames} frames")
    if len(channels) < MIN_SECONDS * rate:
        raise AudioError(f"empty: {len(channels) / rate:.3f} s, at least {MIN_SECONDS} s needed")
    if not np.isfinite(channels).all():
        raise AudioError("not finite: NaN or infinite samples")
    mono = channels.mean(axis=1)
    peak = float(np.abs(mono).max())
    if peak < SILENT_PEAK:
        raise AudioError(f"silent: peak {20 * np.log10(max(peak, 1e-12)):.0f} dBFS, at least -60 needed")
    return mono if rate == SAMPLING_RATE else soxr.resample(mono, rate, SAMPLING_RATE, quality="HQ")


def encode(samples: np.ndarray) -> bytes:
    """16 kHz mono samples as 16-bit FLAC; what was 16-bit before is kept to the bit."""
    integers = np.clip(np.rint(samples.astype(np.float64) * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, integers, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def spool(task: tuple[str, str]) -> Clip | str:
    """Convert one file for the builder.

    Args:
        task (`tuple[str, str]`): the audio file, and where its FLAC goes. One that lies there already is taken.

    Returns:
        [`Clip`], or the reason why the file is skipped (`str`).
    """
    source, target = Path(task[0]), Path(task[1])
    if not target.exists():
        try:
            flac = encode(load(source))
        except AudioError as error:
            return str(error)
        partial = target.with_suffix(".part")
        partial.write_bytes(flac)
        os.replace(partial, target)
    flac = target.read_bytes()
    return Clip(str(target), soundfile.info(io.BytesIO(flac)).frames, hashlib.sha256(flac).hexdigest())


def _refuse_truncated_wav(path: Path):
    """libsndfile reads what is left of a cut WAV without a word; its header tells.

    Format: chunks of a four-letter name, a little-endian size and the data, http://soundfile.sapp.org/doc/WaveFormat.
    """
    with open(path, "rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return
        end = os.fstat(file.fileno()).st_size
        while len(chunk := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                left = end - file.tell()
                if size not in UNKNOWN_SIZES and left < size:
                    raise AudioError(f"truncated: {left} of {size} bytes")
                return
            file.seek(size + size % 2, os.SEEK_CUR)
