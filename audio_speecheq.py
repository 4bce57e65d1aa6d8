"""Audio of any kind as 16 kHz mono, block by block, so that a file of any length is read in constant memory.

soundfile decodes WAV, FLAC, MP3, Ogg and Opus; what it cannot read (AAC, video) goes through FFmpeg's libraries, which
`pip install av` carries. Nothing is imported here but what decodes, for a build of SEQD needs no torch.
"""

import io
import os
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import numpy as np
import soundfile
import soxr

SAMPLING_RATE = 16_000
MIN_SECONDS = 0.05  # shorter than any vowel
SILENT_PEAK = 10 ** (-60 / 20)  # -60 dBFS: below the noise floor of any room
MAX_PEAK = 2.0  # full scale is 1; codecs, resampling and floats go somewhat over it, other numbers are no audio
RATES = (4_000, 384_000)  # Hz, of audio
MAX_CHANNELS = 64
MAX_PLANES = 8  # channels of what FFmpeg decodes: PyAV reads no further, and dies of more
MAX_DOWNLOAD = 2**31  # bytes
PATIENCE = 30  # s without a byte of a download
SLOWEST = 1_000  # bytes a second of a download, beyond that patience
KEPT = "!$%&'()*+,/:;=?@[]~"  # of a path and a query of a download: what is ASCII, or percent-encoded, says what it should
BLOCK_SECONDS = 10
MAX_OGG_PAGE = 27 + 255 + 255 * 255  # bytes
BLOCK_VALUES = 2**24  # of all channels together: 64 MiB, which ten seconds of mono have at no rate
MAX_CHUNKS = 10_000  # of a WAV before its data; a file of nothing but headers of chunks would be read for minutes
UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # what a writer into a pipe leaves in a RIFF header
# What FFmpeg may read: containers that hold the sound themselves. A playlist would lead it to other files and addresses.
CONTAINERS = (
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "matroska", "mov", "mp3", "mpeg",
    "mpegts", "ogg", "tta", "voc", "w64", "wav", "wv",
)  # fmt: skip


class AudioError(ValueError):
    """Audio that cannot be used."""


def read_blocks(source: str | os.PathLike | bytes) -> Iterator[np.ndarray]:
    """Decode a file, channels averaged, resampled by soxr at its quality HQ.

    Args:
        source (`str`, `Path` or `bytes`): a path, an `http(s)` address, which is downloaded to a temporary file, or a whole
            file in memory.

    Yields:
        `np.ndarray` of shape `(samples,)`, float32, 16 kHz: 10 s each, the last one what is left.

    Raises:
        AudioError: if the source is no audio, empty, truncated, not finite, or of a rate, a number of channels or a peak that
            no recording has.
    """
    if isinstance(source, str) and is_address(source):
        with _downloaded(source) as path:
            yield from read_blocks(path)
        return
    if isinstance(source, (bytes, bytearray, memoryview)):
        file = io.BytesIO(source)
        refuse_truncated(file, len(source))
    else:
        file = os.fspath(source)
        if not _is_file(file):
            raise AudioError(f"unreadable: there is no file {str(file)!r}")
        with open(file, "rb") as opened:
            refuse_truncated(opened, os.fstat(opened.fileno()).st_size)
    try:
        # A path as bytes: Linux takes any as a name, and soundfile only those that are UTF-8.
        with soundfile.SoundFile(os.fsencode(file) if isinstance(file, str) else file) as sound:
            yield from _to_16khz(_soundfile_blocks(sound))
        return
    except soundfile.LibsndfileError as error:  # nothing was heard yet
        reason = f"unreadable: {_said(error)}"
    if isinstance(file, io.BytesIO):
        file.seek(0)
    yield from _to_16khz(_av_blocks(file, reason))


def is_address(source: str) -> bool:
    """Whether it is an `http(s)` address."""
    return source[:8].lower().startswith(("http://", "https://"))


def _is_file(path: str | bytes) -> bool:
    try:
        return os.path.isfile(path)
    except ValueError:  # a zero byte in it
        return False


def refuse_truncated(file, size: int):
    """libsndfile reads what is left of a cut file without a word; the header of a WAV and the last page of an Ogg tell.

    Formats: chunks of a four-letter name, a little-endian size and the data, http://soundfile.sapp.org/doc/WaveFormat; pages
    of a 27-byte header, the sizes of their segments and these, https://www.rfc-editor.org/rfc/rfc3533#section-6.

    Args:
        file (binary file): at its beginning, and left there.
        size (`int`): of the file, in bytes.

    Raises:
        AudioError: if the file is empty, or a WAV or an Ogg that ends before its data do, or a WAV has too many chunks.
    """
    if not size:
        raise AudioError("unreadable: 0 bytes")
    head = file.read(12)
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        _refuse_truncated_wav(file, size)
    elif head[:4] == b"OggS":
        file.seek(max(0, size - MAX_OGG_PAGE))
        last = (last := file.read())[max(0, last.rfind(b"OggS")) :]
        length = 27 + last[26] + sum(last[27 : 27 + last[26]]) if len(last) > 26 else 27
        if len(last) < length:
            raise AudioError(f"truncated: {len(last)} of {length} bytes of the last page")
    file.seek(0)


def _refuse_truncated_wav(file, size: int):
    for _ in range(MAX_CHUNKS):
        chunk = file.read(8)
        name, length = struct.unpack("<4sI", chunk) if len(chunk) == 8 else (b"", 0)
        if name == b"data" and length not in UNKNOWN_SIZES and (left := size - file.tell()) < length:
            raise AudioError(f"truncated: {left} of {length} bytes")
        if name in (b"", b"data"):
            return
        file.seek(length + length % 2, os.SEEK_CUR)
    raise AudioError(f"unreadable: more than {MAX_CHUNKS} chunks before its data")


def _soundfile_blocks(sound: soundfile.SoundFile) -> Iterator[tuple[int, np.ndarray]]:
    """The rate and blocks of shape `(samples, channels)` as they are stored."""
    _check_format(sound.samplerate, sound.channels)
    frames, read = sound.frames, 0
    size = min(BLOCK_SECONDS * sound.samplerate, BLOCK_VALUES // sound.channels)
    try:
        while len(block := sound.read(size, dtype="float32", always_2d=True)):
            read += len(block)
            yield sound.samplerate, block
    except soundfile.LibsndfileError as error:
        if not read:
            raise
        # FFmpeg would begin anew, and what was heard would be heard twice.
        raise AudioError(f"damaged: {_said(error)} after {read / sound.samplerate:.2f} s") from None
    if frames < 2**62 and read < frames:  # libsndfile's mark of an unknown length is near 2**63
        raise AudioError(f"truncated: {read} of {frames} frames")


def _said(error: soundfile.LibsndfileError) -> str:
    return error.error_string.removeprefix("Error : ").rstrip(".")


def _av_blocks(file, reason: str) -> Iterator[tuple[int, np.ndarray]]:
    """The same by FFmpeg's libraries; `reason` says why soundfile did not."""
    try:
        import av
    except ImportError:
        raise AudioError(f"{reason}. AAC and video need FFmpeg: `pip install av` carries it") from None
    try:
        allowed = {"format_whitelist": ",".join(CONTAINERS)}
        with av.open(file, container_options=allowed, metadata_errors="replace") as container:
            stream = next((stream for stream in container.streams.audio if stream.codec_context), None)
            if stream is None:
                raise AudioError(f"{reason}; and there is no sound in it that can be decoded")
            _check_format(stream.rate, stream.channels, MAX_PLANES)
            to_float = av.AudioResampler(format="fltp")
            for frame in container.decode(stream):
                if frame.sample_rate != stream.rate:
                    raise AudioError(f"unreadable: its rate changes from {stream.rate} to {frame.sample_rate} Hz")
                if frame.layout.nb_channels > MAX_PLANES:
                    raise AudioError(f"unreadable: its channels change to {frame.layout.nb_channels}")
                for part in to_float.resample(frame):
                    yield stream.rate, part.to_ndarray().T
    except AudioError:
        raise
    except (av.FFmpegError, ValueError) as error:  # ValueError: its channels change within
        raise AudioError(f"{reason}; FFmpeg says {getattr(error, 'strerror', None) or str(error)!r}") from None


def _check_format(rate: int, channels: int, most: int = MAX_CHANNELS):
    low, high = RATES
    if not low <= rate <= high:
        raise AudioError(f"no audio: its rate must lie in [{low}, {high}] Hz; got {rate}")
    if not 1 <= channels <= most:
        raise AudioError(f"no audio: it must have at most {most} channels; got {channels}")


def _to_16khz(blocks: Iterator[tuple[int, np.ndarray]]) -> Iterator[np.ndarray]:
    resampler, seconds = None, 0.0
    for rate, block in blocks:
        seconds += len(block) / rate
        if not np.isfinite(block).all():
            raise AudioError(f"not finite: NaN or infinite samples before {seconds:.2f} s")
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        if rate != SAMPLING_RATE:
            resampler = resampler or soxr.ResampleStream(rate, SAMPLING_RATE, 1, dtype="float32", quality="HQ")
            mono = resampler.resample_chunk(np.ascontiguousarray(mono))
        if len(mono):
            yield _in_range(mono, seconds)
    if resampler is not None and len(rest := resampler.resample_chunk(np.zeros(0, np.float32), last=True)):
        yield _in_range(rest, seconds)
    if seconds < MIN_SECONDS:
        raise AudioError(f"empty: {seconds:.3f} s, at least {MIN_SECONDS} s needed")


def _in_range(mono: np.ndarray, seconds: float) -> np.ndarray:
    if not (peak := float(np.abs(mono).max())) <= MAX_PEAK:  # a mean of channels may have overflown
        raise AudioError(f"out of range: a peak of {peak:.3g} before {seconds:.2f} s; full scale is 1")
    return mono


@contextmanager
def _downloaded(address: str) -> Iterator[str]:
    """The file behind an address, as a temporary one."""
    try:
        parts = urlsplit(address)
        path = quote(parts.path, safe=KEPT)
        asked = parts._replace(path=path, query=quote(parts.query, safe=KEPT), fragment="").geturl()
    except ValueError as error:
        raise AudioError(f"unreadable: {address!r} is no address: {error}") from None
    with tempfile.NamedTemporaryFile(suffix=Path(path).suffix[:8]) as file:
        try:
            begin = time.monotonic()
            with urlopen(asked, timeout=PATIENCE) as response:  # an http(s) address: its caller has seen to that
                while chunk := response.read1(1 << 20):
                    file.write(chunk)
                    if file.tell() > MAX_DOWNLOAD:
                        raise AudioError(f"unreadable: more than {MAX_DOWNLOAD >> 20} MiB behind {address!r}")
                    if time.monotonic() - begin > PATIENCE + file.tell() / SLOWEST:
                        raise AudioError(f"unreadable: {address!r} gives less than {SLOWEST} bytes a second")
                if response.length:
                    raise AudioError(f"truncated: {address!r} ends {response.length} bytes early")
        except AudioError:
            raise
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a host that cannot be written in ASCII
            raise AudioError(f"unreadable: {address!r} answers {str(error) or type(error).__name__}") from None
        file.flush()
        yield file.name
