"""Convert audio files to 16 kHz mono FLAC, or report why a file cannot be used.

soundfile decodes most formats. FFmpeg decodes AAC and video: the program `ffmpeg` on the path, or the one in
`imageio-ffmpeg`.
"""

import hashlib
import io
import os
import shutil
import subprocess
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
import soxr

from speecheq.audio_speecheq import (
    CONTAINERS,
    MAX_PEAK,
    MIN_SECONDS,
    SAMPLING_RATE,
    SILENT_PEAK,
    UNKNOWN_LENGTH,
    AudioError,
    MixDown,
    open_sound,
)
from speecheq.dataset_scripts.build.fingerprint import fingerprint
from speecheq.dataset_scripts.corpora.records import FFMPEG_SUFFIXES, PARQUET_AUDIO

MAX_SECONDS = 600.0  # longer than any utterance; the longest of MELD, a segmentation error, is 305 s
TRIM_BELOW_PEAK = 40.0  # dB
TRIM_FRAME = SAMPLING_RATE // 50
LOUDNESS_BLOCK = 0.4  # s, ITU-R BS.1770-4


class Source(NamedTuple):
    """Location of an utterance's audio: a file or a row of a Parquet file, and optionally start and end in seconds."""

    path: str
    parquet_row: int | None = None
    start: float | None = None
    end: float | None = None


class Preparation(NamedTuple):
    """Optional processing of every utterance: trimming of silence at both ends, loudness normalisation in LUFS."""

    trim: bool = False
    loudness: float | None = None


class Clip(NamedTuple):
    """Converted utterance: FLAC (`None` if the source file already is that FLAC), length in samples at 16 kHz, SHA-256 of
    the FLAC, and audio fingerprint."""

    flac: bytes | None
    samples: int
    sha256: str
    fingerprint: bytes


def convert(task: tuple[Source, Preparation]) -> Clip | str:
    """Convert one utterance for the builder.

    Returns:
        [`Clip`] or `str`: the clip, or the reason why the utterance is skipped.
    """
    source, preparation = task
    try:
        samples = prepare(load(source), preparation)
    except AudioError as error:
        return str(error)
    ready = preparation == Preparation() and _is_ready(source)
    flac = Path(source.path).read_bytes() if ready else encode(samples)
    sha256 = hashlib.sha256(flac).hexdigest()
    return Clip(None if ready else flac, len(samples), sha256, fingerprint(samples))


def load(source: Source | Path) -> np.ndarray:
    """Decode an utterance as 16 kHz mono.

    Channels are averaged, see [`MixDown`]; soxr resamples other rates with quality HQ.

    Returns:
        `np.ndarray` of shape `(samples,)`, float32.

    Raises:
        AudioError: if the audio is unreadable, truncated, shorter than 0.05 s, longer than 10 minutes, not finite,
            silent (peak below -60 dBFS), or louder than twice full scale.
    """
    if not isinstance(source, Source):
        source = Source(str(source))
    try:
        channels, rate = _decode(source)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(f"unreadable: {getattr(error, 'error_string', None) or error.strerror}") from error
    if len(channels) < MIN_SECONDS * rate:
        raise AudioError(f"empty: {len(channels) / rate:.3f} s, at least {MIN_SECONDS} s needed")
    if not np.isfinite(channels).all():
        raise AudioError("not finite: NaN or infinite samples")
    mono = MixDown(source.path)(channels)
    peak = float(np.abs(mono).max())
    if peak < SILENT_PEAK:
        raise AudioError(f"silent: peak {20 * np.log10(max(peak, 1e-12)):.0f} dBFS, at least -60 needed")
    if not peak <= MAX_PEAK:
        raise AudioError(f"out of range: a peak of {peak:.3g}; full scale is 1")
    return mono if rate == SAMPLING_RATE else soxr.resample(mono, rate, SAMPLING_RATE, quality="HQ")


def prepare(samples: np.ndarray, preparation: Preparation) -> np.ndarray:
    """Trim silence and normalise loudness, as `preparation` says.

    Args:
        samples (`np.ndarray` of shape `(samples,)`): 16 kHz mono.
        preparation ([`Preparation`]): `trim` cuts frames of 20 ms at both ends that are more than 40 dB below the
            loudest one; `loudness` scales the utterance to that many LUFS (ITU-R BS.1770-4, by pyloudnorm), or as far as
            it does not clip.

    Returns:
        `np.ndarray` of shape `(new_samples,)`: 16 kHz mono.

    Raises:
        AudioError: if `loudness` is given and the utterance is too quiet to measure.
    """
    if preparation.trim:
        samples = _trim(samples)
    return samples if preparation.loudness is None else _normalise(samples, preparation.loudness)


def encode(samples: np.ndarray) -> bytes:
    """Encode 16 kHz mono samples as 16-bit FLAC; lossless for 16-bit sources."""
    integers = np.clip(np.rint(samples.astype(np.float64) * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, integers, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


@cache
def ffmpeg() -> str | None:
    """Find the FFmpeg program; `None` if it is not installed."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return None


def _is_ready(source: Source) -> bool:
    """Return whether a whole file is used and is already 16 kHz mono 16-bit FLAC, so that it need not be encoded."""
    if source[1:] != (None, None, None) or Path(source.path).suffix.lower() != ".flac":
        return False
    about = soundfile.info(source.path)
    kind = (about.format, about.subtype, about.samplerate, about.channels)
    return kind == ("FLAC", "PCM_16", SAMPLING_RATE, 1) and about.frames < UNKNOWN_LENGTH


def _decode(source: Source) -> tuple[np.ndarray, int]:
    """Decode the stored samples, `(samples, channels)`, and their sampling rate in Hz."""
    if source.parquet_row is not None:
        return _read(io.BytesIO(_parquet_bytes(source)), source)
    if Path(source.path).suffix.lower() in FFMPEG_SUFFIXES:
        return _decode_ffmpeg(source)
    return _read(source.path, source)


def _read(file: str | io.BytesIO, source: Source) -> tuple[np.ndarray, int]:
    with open_sound(file) as sound:
        rate, start = sound.samplerate, round((source.start or 0) * sound.samplerate)
        known = sound.length is not None or source.end is not None
        stop = sound.frames if source.end is None else min(sound.frames, round(source.end * rate))
        wanted = stop - start
        if wanted < 0 or start < 0:
            raise AudioError(f"outside the file: from {source.start} to {source.end} s of {sound.frames / rate:.3f} s")
        most = round(MAX_SECONDS * rate)
        if known and wanted > most:
            raise AudioError(f"too long: {wanted / rate:.0f} s, at most {MAX_SECONDS:.0f} s for one utterance")
        if start:
            sound.seek(start)
        channels = sound.read(min(wanted, most + 1), dtype="float32", always_2d=True)
    if len(channels) > most:
        raise AudioError(f"too long: over {MAX_SECONDS:.0f} s, at most {MAX_SECONDS:.0f} s for one utterance")
    if known and len(channels) < wanted:
        raise AudioError(f"truncated: {len(channels)} of {wanted} frames")
    return channels, rate


def _parquet_bytes(source: Source) -> bytes:
    file = pq.ParquetFile(source.path)
    row = source.parquet_row
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if row < rows:
            return _row_group(source.path, os.stat(source.path).st_mtime_ns, group)[row].as_py()["bytes"] or b""
        row -= rows
    raise AudioError(f"unreadable: no row {source.parquet_row} in the Parquet file")


@lru_cache(maxsize=1)
def _row_group(path: str, changed: int, group: int) -> pa.ChunkedArray:
    """Read and cache the audio of one row group; rows come in order, so the next row usually needs it too."""
    file = pq.ParquetFile(path)
    column = next(name for name in PARQUET_AUDIO if name in file.schema_arrow.names)
    return file.read_row_group(group, columns=[f"{column}.bytes"]).column(column)


def _decode_ffmpeg(source: Source) -> tuple[np.ndarray, int]:
    seek = [] if source.start is None else ["-ss", f"{source.start:.6f}"]
    length = MAX_SECONDS + 1 if source.end is None else source.end - (source.start or 0)
    taken = [*seek, "-i", source.path, "-t", f"{length:.6f}", "-map", "0:a:0"]
    program = [ffmpeg() or "ffmpeg", "-nostdin", "-v", "error", "-xerror", "-format_whitelist", ",".join(CONTAINERS)]
    command = [*program, *taken, "-f", "wav", "-c:a", "pcm_f32le", "pipe:1"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise AudioError(f"unreadable: FFmpeg says {lines[-1].replace(source.path, Path(source.path).name)!r}")
    channels, rate = soundfile.read(io.BytesIO(done.stdout), dtype="float32", always_2d=True)
    if len(channels) > MAX_SECONDS * rate:
        raise AudioError(f"too long: over {MAX_SECONDS:.0f} s, the most for one utterance")
    return channels, rate


def _trim(samples: np.ndarray) -> np.ndarray:
    frames = samples[: len(samples) // TRIM_FRAME * TRIM_FRAME].reshape(-1, TRIM_FRAME)
    power = (frames.astype(np.float64) ** 2).mean(axis=1)
    if not power.size:
        return samples
    loud = np.flatnonzero(power >= power.max() * 10 ** (-TRIM_BELOW_PEAK / 10))
    last = len(samples) if loud[-1] == len(power) - 1 else (loud[-1] + 1) * TRIM_FRAME
    return samples[loud[0] * TRIM_FRAME : last]


def _normalise(samples: np.ndarray, loudness: float) -> np.ndarray:
    import pyloudnorm

    block = min(LOUDNESS_BLOCK, len(samples) / SAMPLING_RATE)
    measured = pyloudnorm.Meter(SAMPLING_RATE, block_size=block).integrated_loudness(samples.astype(np.float64))
    if not np.isfinite(measured):
        raise AudioError("silent: below the gate of BS.1770 (-70 LUFS)")
    gain = min(10 ** ((loudness - measured) / 20), 1 / float(np.abs(samples).max()))
    return (samples * gain).astype(np.float32)
