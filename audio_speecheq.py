"""Audio decoding to 16 kHz mono, block by block, so that reading takes constant memory for any length.

soundfile decodes WAV, FLAC, MP3, Ogg and Opus. The FFmpeg libraries, installed by `pip install av`, decode everything else
(AAC, video). This module imports only decoders, so that building SEQD does not need torch.
"""

import io
import logging
import os
import re
import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import urlopen

import numpy as np
import soundfile
import soxr

SAMPLING_RATE = 16_000
MIN_SECONDS = 0.05  # s; shorter than any vowel
SILENT_PEAK = 10 ** (-60 / 20)  # -60 dBFS: below the noise floor of any room
MAX_PEAK = 2.0  # full scale is 1; codecs and resampling can exceed it slightly, larger values are not audio
RATES = (4_000, 384_000)  # Hz, lowest and highest sampling rate
MAX_CHANNELS = 64
MAX_PLANES = 8  # channels of FFmpeg audio: PyAV crashes with more
MAX_DOWNLOAD = 2**31  # bytes
PATIENCE = 30  # s, timeout of a download without data
SLOWEST = 1_000  # bytes per second, lowest speed of a download after the timeout
KEPT = "!$%&'()*+,/:;=?@[]~"  # characters of a URL that stay unquoted, among them existing percent-encoding
# `://user:password@`, also if the password contains characters that a URL must quote.
USER = re.compile(r"://(?:[^/?#@\s]*|[^/?#@\[\s]*:(?!\d*(?:[/?#]|$))[^@\s]*)@(?:[^/?#@\s]*@)*")
SECRET = re.compile(
    r"(?i)([?&][\w.-]*(?:token|signature|sig|password|secret|credential|api_?key|access_?key)=)[^&#\s]+"
)
CANCELLED = 0.1  # RMS of the average of channels, relative to that of uncorrelated channels, below which they cancel
BLOCK_SECONDS = 10
MAX_OGG_PAGE = 27 + 255 + 255 * 255  # bytes
BLOCK_VALUES = 2**24  # values of a block, all channels: 64 MiB; 10 s of mono audio always fit
MAX_CHUNKS = 10_000  # chunks of a WAV file before its data: a file of chunk headers alone would take minutes to read
# Data sizes that a program writes to the header of a WAV file if it cannot seek back: sox 0x7FFFF000, ffmpeg 0xFFFFFFFF.
PLACEHOLDERS = (range(0x7FFF0000, 0x80000001), range(0xFFFF0000, 0x100000000))
UNKNOWN_LENGTH = 2**44  # frames; libsndfile or the padding of `_Padded` gives a larger number if the length is unknown
PADDING = 2**46  # bytes
MPEG = 0x55  # format tag of MP3 in a WAV file
# First bytes of AIFF, CAF, W64 and VOC -> place of the first block, format of its header, alignment.
BLOCKS = {b"FORM": (12, ">4sI", 2), b"caff": (8, ">4sq", 1), b"riff": (40, "<16sQ", 8), b"Crea": (26, "<c3s", 1)}
# Containers that FFmpeg may open: only those that contain audio data. A playlist could make it open other files or URLs.
CONTAINERS = (
    "aac", "ac3", "aiff", "amr", "ape", "asf", "au", "avi", "caf", "eac3", "flac", "flv", "matroska", "mov", "mp3", "mpeg",
    "mpegts", "ogg", "tta", "voc", "w64", "wav", "wv",
)  # fmt: skip

logger = logging.getLogger(__name__)


class AudioError(ValueError):
    """Error for unusable audio."""


def read_blocks(source: str | os.PathLike | bytes, mix=None) -> Iterator[np.ndarray]:
    """Decode a file, average its channels and resample it with soxr (quality HQ).

    Args:
        source (`str`, `Path` or `bytes`): a path, an `http(s)` URL, which is downloaded to a temporary file, or the content
            of a file.
        mix ([`MixDown`] or [`OneChannel`], *optional*): conversion of the channels to one; by default a new [`MixDown`].

    Yields:
        `np.ndarray` of shape `(samples,)`: blocks of up to 10 s, float32, 16 kHz.

    Raises:
        AudioError: if the source is not audio, empty, truncated, not finite, or its sampling rate, number of channels or peak
            is out of range.
    """
    if isinstance(source, str) and is_address(source):
        yield from _read_address(source, mix)
        return
    encoded = isinstance(source, (bytes, bytearray, memoryview))
    file, name = (io.BytesIO(source), "audio") if encoded else (os.fspath(source), str(source))
    if not encoded and not Path(os.fsdecode(file)).is_file():
        raise AudioError(f"unreadable: there is no file {masked(name)!r}")
    try:
        with open_sound(file) as sound:
            yield from _to_16khz(_soundfile_blocks(sound), mix or MixDown(name))
        return
    except soundfile.LibsndfileError as error:  # before the first block, so FFmpeg can try
        reason = f"unreadable: {_message(error)}"
    if encoded:
        file.seek(0)
    yield from _to_16khz(_av_blocks(file, reason), mix or MixDown(name))


def is_address(source: str) -> bool:
    """Return whether a string is an `http(s)` URL."""
    return source[:8].lower().startswith(("http://", "https://"))


def masked(text: str) -> str:
    """Replace user name and password, and the values of secret parameters such as `token`, in the addresses of a text."""
    return SECRET.sub(r"\1***", USER.sub("://***@", text))


class Sound(soundfile.SoundFile):
    """Sound file without seeks between blocks, which fail at the end of a FLAC file without a length."""

    def seekable(self) -> bool:
        return False

    def close(self):
        super().close()
        if isinstance(self.name, _Padded):
            self.name.close_file()

    @property
    def length(self) -> int | None:
        """Number of frames, `None` if the header does not contain it."""
        return self.frames if self.frames < UNKNOWN_LENGTH else None


class _Padded:
    """View of a binary file that replaces bytes of its header, and claims to be `PADDING` bytes longer.

    libsndfile estimates the length of an MP3 file from its size, and reads no more: the padding makes the estimate too long.
    Reading ends at the end of the file. Only the last 128 bytes of the padding exist: the decoder searches them for a tag.
    """

    def __init__(self, file, size: int, patches: dict[int, bytes]):
        self._file, self._size, self._patches, self._position = file, size, patches, 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size + PADDING}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        return self._position

    def close_file(self):
        if not isinstance(self._file, io.BytesIO):
            self._file.close()

    def read(self, count: int) -> bytes:
        if self._position >= (end := self._size + PADDING) - 128:
            content = bytes(min(count, end - self._position))
        else:
            self._file.seek(self._position)
            content = bytearray(self._file.read(count))
        for place, patch in self._patches.items():
            for index, value in enumerate(patch, start=place - self._position):
                if 0 <= index < len(content):
                    content[index] = value
        self._position += len(content)
        return bytes(content)


def open_sound(source: str | bytes | os.PathLike | io.BytesIO) -> Sound:
    """Open a file with soundfile, and refuse an empty or truncated one, which libsndfile reads without an error.

    A file that was written to a pipe has a placeholder for its size, and libsndfile only estimates the length of MP3 without
    a Xing header. Neither proves that the file is truncated: both are read to the end.

    Args:
        source (`str`, `bytes`, `Path` or `io.BytesIO`): a path, or a file in memory.

    Returns:
        [`Sound`]: the open file.

    Raises:
        AudioError: if the file is empty or has too many chunks, or if a WAV, Ogg, AU, AIFF, CAF, W64 or VOC file is truncated.
        soundfile.LibsndfileError: if soundfile cannot read the file.
    """
    with nullcontext(source) if isinstance(source, io.BytesIO) else open(source, "rb") as file:
        size = file.seek(0, io.SEEK_END)
        patches = _check_header(file, size)
        file.seek(0)
    if patches is not None:
        return Sound(_Padded(source if file is source else open(source, "rb"), size, patches))
    # The path as bytes: Linux allows any bytes in a name, but soundfile accepts only UTF-8 strings.
    return Sound(source if file is source else os.fsencode(source))


def _check_header(file, size: int) -> dict[int, bytes] | None:
    """Refuse a truncated file, and find a missing length.

    An Ogg page has a 27-byte header, segment sizes and segments (https://www.rfc-editor.org/rfc/rfc3533#section-6). AU starts
    with place and length of its audio. For the other formats see [`_blocks`].

    Returns:
        `dict`: bytes of the header to replace, by their place; `None` if the header is complete.
    """
    if not size:
        raise AudioError("unreadable: 0 bytes")
    file.seek(0)
    head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE":
        return _check_wav(file, size, struct.unpack("<I", head[4:8])[0])
    if head[:4] == b"OggS":
        file.seek(max(0, size - MAX_OGG_PAGE))
        last = (last := file.read())[max(0, last.rfind(b"OggS")) :]
        length = 27 + last[26] + sum(last[27 : 27 + last[26]]) if len(last) > 26 else 27
        if len(last) < length:
            raise AudioError(f"truncated: {len(last)} of {length} bytes of the last page")
    elif head[:3] == b"ID3" or (head[0] == 0xFF and head[1:2] and head[1] & 0xE6 == 0xE2):
        return None if _counts_frames(file, head) else {}
    elif head[:4] in (b".snd", b"dns.") and len(head) > 11:
        begin, length = struct.unpack(">II" if head[:1] == b"." else "<II", head[4:12])
        _refuse_cut(size - begin, length)
    elif head[:4] in BLOCKS:
        for name, begin, length in _blocks(file, *BLOCKS[head[:4]]):
            if name[:4] in (b"data", b"SSND", b"\x01", b"\x09"):  # the last two: VOC
                _refuse_cut(size - begin, length)
                break
    return None


def _blocks(file, place: int, form: str, align: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place and length of the blocks of a file; `form` is the format of name and length.

    Formats: http://soundfile.sapp.org/doc/WaveFormat and https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats (all others).
    """
    header = struct.Struct(form)
    for _ in range(MAX_CHUNKS):
        file.seek(min(place, UNKNOWN_LENGTH))
        if len(content := file.read(header.size)) < header.size:
            return
        name, length = header.unpack(content)
        length = int.from_bytes(length, "little") if isinstance(length, bytes) else length
        length -= header.size if header.size == 24 else 0  # W64 counts the header
        yield name, place + header.size, length
        place += header.size + max(0, length) + -length % align
    raise AudioError(f"unreadable: more than {MAX_CHUNKS} chunks before the data chunk")


def _refuse_cut(left: int, length: int):
    if left < length < UNKNOWN_LENGTH and not any(length in sizes for sizes in PLACEHOLDERS):
        raise AudioError(f"truncated: {max(0, left)} of {length} bytes")


def _check_wav(file, size: int, riff: int) -> dict[int, bytes] | None:
    ds64, stated, mpeg = None, 0, False
    for name, begin, length in _blocks(file, 12, "<4sI", 2):
        if name == b"data":
            in_ds64 = ds64 is not None and length == 0xFFFFFFFF
            break
        if name == b"ds64":  # RF64: sizes of 64 bits (EBU Tech 3306)
            ds64, (riff, stated) = begin, struct.unpack("<QQ", file.read(16).ljust(16, b"\0"))
        mpeg = file.read(2) == MPEG.to_bytes(2, "little") if name == b"fmt " else mpeg
    else:
        return None
    left = size - begin
    length = stated if in_ds64 else length
    # A data chunk of size 0 is empty only if the size of the whole file is right.
    if any(length in sizes for sizes in PLACEHOLDERS) or (length == 0 and left and abs(riff + 8 - size) > 1):
        patch = struct.pack("<QQ", size - 8, left) if in_ds64 else struct.pack("<I", min(left, 0xFFFFFFFF))
        place = ds64 if in_ds64 else begin - 4
        return {place: patch}
    _refuse_cut(left, length)
    return {} if mpeg else None


def _counts_frames(file, head: bytes) -> bool:
    """Return whether an MP3 file has the number of its frames, in a Xing header in the first frame after a tag.

    Formats: https://id3.org/id3v2.4.0-structure and http://gabriel.mp3-tech.org/mp3infotag.html.
    """
    file.seek(0)
    if head[:3] == b"ID3":
        file.seek(10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True)))
    frame = file.read(4096)
    place = max(frame.find(b"Xing"), frame.find(b"Info"))
    return place >= 0 and len(frame) > place + 7 and bool(frame[place + 7] & 1)


def _soundfile_blocks(sound: soundfile.SoundFile) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the sampling rate and blocks of shape `(samples, channels)`, decoded by soundfile."""
    _check_format(sound.samplerate, sound.channels)
    read = 0
    size = min(BLOCK_SECONDS * sound.samplerate, BLOCK_VALUES // sound.channels)
    try:
        while len(block := sound.read(size, dtype="float32", always_2d=True)):
            read += len(block)
            yield sound.samplerate, block
    except soundfile.LibsndfileError as error:
        if not read:
            raise
        # No retry with FFmpeg: it would repeat the blocks that were already yielded.
        raise AudioError(f"damaged: {_message(error)} after {read / sound.samplerate:.2f} s") from None
    if sound.length is not None and read < sound.length:
        raise AudioError(f"truncated: {read} of {sound.length} frames")


def _message(error: soundfile.LibsndfileError) -> str:
    return error.error_string.removeprefix("Error : ").rstrip(".")


def _av_blocks(file, reason: str) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the same as [`_soundfile_blocks`], decoded by FFmpeg; `reason` is the error of soundfile."""
    try:
        import av
    except ImportError:
        raise AudioError(f"{reason}. AAC and video need FFmpeg: run `pip install av`") from None
    try:
        allowed = {"format_whitelist": ",".join(CONTAINERS)}
        with av.open(file, container_options=allowed, metadata_errors="replace") as container:
            stream = next((stream for stream in container.streams.audio if stream.codec_context), None)
            if stream is None:
                raise AudioError(f"{reason}; FFmpeg finds no audio stream that it can decode")
            _check_format(stream.rate, stream.channels, MAX_PLANES)
            to_float = av.AudioResampler(format="fltp")
            for frame in container.decode(stream):
                if frame.sample_rate != stream.rate:
                    raise AudioError(
                        f"unreadable: the sampling rate changes from {stream.rate} to {frame.sample_rate} Hz"
                    )
                if frame.layout.nb_channels > MAX_PLANES:
                    raise AudioError(f"unreadable: the number of channels changes to {frame.layout.nb_channels}")
                for part in to_float.resample(frame):
                    yield stream.rate, part.to_ndarray().T
    except AudioError:
        raise
    except (av.FFmpegError, ValueError) as error:  # ValueError: the number of channels changes within the stream
        raise AudioError(f"{reason}; FFmpeg says {getattr(error, 'strerror', None) or str(error)!r}") from None


def _check_format(rate: int, channels: int, most: int = MAX_CHANNELS):
    low, high = RATES
    if not low <= rate <= high:
        raise AudioError(f"no audio: the sampling rate must lie in [{low}, {high}] Hz; got {rate}")
    if not 1 <= channels <= most:
        raise AudioError(f"no audio: the number of channels must lie in [1, {most}]; got {channels}")


class MixDown:
    """Average of the channels of one file, block by block; the loudest channel if the channels cancel each other.

    Channels cancel each other if the RMS of their average is below 10 % of the RMS that uncorrelated channels would give, for
    example if one is the inverse of the other. The loudest channel of the first such block is used for the rest of the file.

    Args:
        name (`str`, *optional*): file name for the warning.
    """

    def __init__(self, name: str = "audio"):
        self.channel = None  # the loudest channel, from 1, if the channels cancel each other
        self._name = name

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Convert a block of shape `(samples, channels)` to `(samples,)`, float32."""
        if block.shape[1] == 1:
            return block[:, 0]
        mean = block.mean(axis=1, dtype=np.float32)
        if self.channel is None:
            powers = [float(np.dot(channel, channel)) for channel in block.T]
            if float(np.dot(mean, mean)) < CANCELLED**2 * sum(powers) / len(powers) ** 2:
                self.channel = int(np.argmax(powers)) + 1
                text = "%s: the channels cancel each other. Channel %d, the loudest, is used instead of their average."
                logger.warning(text, self._name, self.channel)
        return mean if self.channel is None else block[:, self.channel - 1]


class OneChannel:
    """Selection of one channel, in place of [`MixDown`].

    Args:
        number (`int`): the channel, from 1.
        total (`int`, *optional*): number of channels; by default that of the first block.
    """

    def __init__(self, number: int, total: int | None = None):
        self.number, self.total = number, total

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Convert a block of shape `(samples, channels)` to `(samples,)`."""
        self.total = self.total or block.shape[1]
        return np.ascontiguousarray(block[:, self.number - 1])


def _to_16khz(blocks: Iterator[tuple[int, np.ndarray]], mix) -> Iterator[np.ndarray]:
    resampler, seconds = None, 0.0
    for rate, block in blocks:
        seconds += len(block) / rate
        if not np.isfinite(block).all():
            raise AudioError(f"not finite: NaN or infinite samples before {seconds:.2f} s")
        mono = mix(block)
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
    if not (peak := float(np.abs(mono).max())) <= MAX_PEAK:  # `not <=` also catches NaN from an overflow
        raise AudioError(f"out of range: a peak of {peak:.3g} before {seconds:.2f} s; full scale is 1")
    return mono


def _read_address(address: str, mix) -> Iterator[np.ndarray]:
    shown = repr(masked(address))
    if USER.search(address):
        raise AudioError(f"unreadable: {shown} has a user name, but SpeechEQ logs in nowhere. Download the file first")
    with _downloaded(address, shown) as (path, kind):
        try:
            yield from read_blocks(path, mix)
        except AudioError as error:
            with open(path, "rb") as file:
                if file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
                    raise AudioError(f"unreadable: {shown} returned a web page ({kind}), not audio") from None
            raise AudioError(f"{error}, from {shown}") from None


@contextmanager
def _downloaded(address: str, shown: str) -> Iterator[tuple[str, str]]:
    """Download the file at a URL to a temporary file, and yield its path and its media type."""
    try:
        parts = urlsplit(address)
        path = quote(parts.path, safe=KEPT)
        quoted = parts._replace(path=path, query=quote(parts.query, safe=KEPT), fragment="").geturl()
    except ValueError as error:
        raise AudioError(f"unreadable: {shown} is not a valid URL: {error}") from None
    with tempfile.NamedTemporaryFile(suffix=Path(path).suffix[:8]) as file:
        try:
            begin = time.monotonic()
            with urlopen(quoted, timeout=PATIENCE) as response:  # the caller ensures an http(s) URL
                kind = response.headers.get_content_type()
                while chunk := response.read1(1 << 20):
                    file.write(chunk)
                    if file.tell() > MAX_DOWNLOAD:
                        raise AudioError(f"unreadable: more than {MAX_DOWNLOAD >> 20} MiB at {shown}")
                    if time.monotonic() - begin > PATIENCE + file.tell() / SLOWEST:
                        raise AudioError(f"unreadable: {shown} sends less than {SLOWEST} bytes per second")
                if response.length:
                    raise AudioError(f"truncated: {shown} ends {response.length} bytes early")
        except AudioError:
            raise
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a host name that has no ASCII form
            raise AudioError(f"unreadable: {shown} fails with {str(error) or type(error).__name__}") from None
        file.flush()
        yield file.name, kind
