"""Malformed audio files, made from valid files: the same number and seed give the same damage.

Half of them are made from speech, the others from audio or data without speech, which must never get a label. The damage
imitates broken transfers and hostile uploads; most of a file is kept, so that it passes the first check.
"""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

RATE = 16_000
SECONDS = 1.0
FOLDER = Path(__file__).resolve().parents[1] / "tests" / "speech"  # synthetic
SPEECH = ("angry_high_en.wav", "happy_high_zh.wav", "sad_high_en.wav")
SILENT = ("noise", "tone", "chord", "hum", "silence")  # sounds without speech
FORMATS = {
    ".wav": ("WAV", "PCM_16"), ".8bit.wav": ("WAV", "PCM_U8"), ".float.wav": ("WAV", "FLOAT"),
    ".adpcm.wav": ("WAV", "IMA_ADPCM"), ".rf64.wav": ("RF64", "PCM_16"), ".aiff": ("AIFF", "PCM_16"), ".au": ("AU", "PCM_16"),
    ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS"), ".opus": ("OGG", "OPUS"), ".mp3": ("MP3", "MPEG_LAYER_III"),
}  # fmt: skip
WITH_FFMPEG = {".m4a": ("ipod", "aac"), ".mkv": ("matroska", "aac"), ".ts": ("mpegts", "aac")}
NUMBERS = (0, 1, 2, 3, 255, 0x7FFF, 0x8000, 0xFFFF, 384_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
HEADER = 128  # bytes
MAGICS = (
    b"RIFF",
    b"fLaC",
    b"OggS",
    b"ID3\4",
    b"FORM",
    b"RF64",
    b"\xff\xfb\x90\0",
    b"PK\3\4",
    b"\0\0\0\x20ftyp",
    b"....",
)


class Input(NamedTuple):
    """Malformed file: a description of the damage, its suffix, its bytes, and whether it was made from speech."""

    name: str
    suffix: str
    content: bytes
    speech: bool


def inputs(number: int, seed: int = 0) -> Iterator[Input]:
    """Yield malformed files; a larger number adds files and keeps the first ones.

    Args:
        number (`int`): number of files.
        seed (`int`, *optional*, defaults to 0): seed of the damage.
    """
    for index in range(number):
        rng = np.random.default_rng([seed, index])
        yield _made(rng) if rng.random() < 0.1 else _damaged(rng)


def _damaged(rng: np.random.Generator) -> Input:
    """Create a valid file, and apply one to three kinds of damage."""
    suffixes = list(FORMATS) + (list(WITH_FFMPEG) if _has_ffmpeg() else [])
    suffix = suffixes[rng.integers(len(suffixes))]
    sources = SPEECH if rng.random() < 0.5 else SILENT
    source = sources[rng.integers(len(sources))]
    content, done = encoded(source, suffix), []
    for _ in range(rng.integers(1, 4)):
        fitting = [*ANY, *(RIFF if content[:4] == b"RIFF" else ()), *(FLAC if content[:4] == b"fLaC" else ())]
        damage = fitting[rng.integers(len(fitting))]
        content = damage(content, rng)
        done.append(damage.__name__.strip("_"))
    name, suffix = f"{source}{suffix}, {' then '.join(done)}", "." + suffix.rpartition(".")[2]
    return Input(name, suffix, content, source in SPEECH)


def _made(rng: np.random.Generator) -> Input:
    """Create a file that is malformed from the start."""
    make = MADE[rng.integers(len(MADE))]
    suffix, content = make(rng)
    return Input(make.__name__.strip("_"), suffix, content, False)


@cache
def encoded(source: str, suffix: str) -> bytes:
    """Encode synthetic speech, or a sound without speech, in one of the formats."""
    samples = soundfile.read(FOLDER / source, dtype="float32")[0] if source in SPEECH else sound(source)
    samples = np.resize(samples, int(SECONDS * RATE))
    if suffix in WITH_FFMPEG:
        return _by_ffmpeg(samples, *WITH_FFMPEG[suffix])
    container, subtype = FORMATS[suffix]
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format=container, subtype=subtype)
    return buffer.getvalue()


def sound(name: str) -> np.ndarray:
    """Generate a sound without speech, float32 of shape `(samples,)`."""
    time = np.arange(int(SECONDS * RATE)) / RATE
    waves = {"tone": (440,), "chord": (262, 330, 392, 523), "hum": (50, 100, 150, 200)}
    if name in waves:
        return sum(0.15 * np.sin(2 * np.pi * frequency * time) for frequency in waves[name]).astype(np.float32)
    level = 0.1 if name == "noise" else 0.0
    return (level * np.random.default_rng(0).normal(size=len(time))).astype(np.float32)


@cache
def _has_ffmpeg() -> bool:
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def _by_ffmpeg(samples: np.ndarray, container: str, codec: str) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.rate = RATE
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


# Damage to any file


def _cut(content: bytes, rng) -> bytes:
    return content[: rng.integers(1, len(content) + 1)]


def _bits_flipped(content: bytes, rng) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(len(changed), size=2 ** rng.integers(0, 7)):
        changed[place] ^= 1 << rng.integers(8)
    return bytes(changed)


def _header_bytes_changed(content: bytes, rng) -> bytes:
    changed = bytearray(content)
    for place in rng.integers(min(HEADER, len(changed)), size=rng.integers(1, 9)):
        changed[place] = rng.integers(256)
    return bytes(changed)


def _header_number_changed(content: bytes, rng) -> bytes:
    """Change a number of 2 or 4 bytes, in either byte order, anywhere in the header."""
    order, size = "<>"[rng.integers(2)], (2, 4)[rng.integers(2)]
    value = NUMBERS[rng.integers(len(NUMBERS))] & (0xFFFF if size == 2 else 0xFFFFFFFF)
    return _put(content, int(rng.integers(min(HEADER, len(content)))), struct.pack(order + " HI"[size // 2], value))


def _zeroed(content: bytes, rng) -> bytes:
    start, stop = _part(content, rng)
    return content[:start] + bytes(stop - start) + content[stop:]


def _part_lost(content: bytes, rng) -> bytes:
    start, stop = _part(content, rng)
    return content[:start] + content[stop:] or b"\0"


def _part_doubled(content: bytes, rng) -> bytes:
    start, stop = _part(content, rng)
    return content[:stop] + content[start:]


def _halves_swapped(content: bytes, rng) -> bytes:
    middle = int(rng.integers(len(content)))
    return content[middle:] + content[:middle]


def _junk_before(content: bytes, rng) -> bytes:
    return rng.bytes(int(2 ** rng.integers(0, 13))) + content


def _junk_behind(content: bytes, rng) -> bytes:
    return content + rng.bytes(int(2 ** rng.integers(0, 13)))


def _twice(content: bytes, rng) -> bytes:
    return content + content


def _another_behind(content: bytes, rng) -> bytes:
    return content + encoded("noise", list(FORMATS)[rng.integers(len(FORMATS))])


def _other_magic(content: bytes, rng) -> bytes:
    return _put(content, 0, MAGICS[rng.integers(len(MAGICS))])


def _random_tail(content: bytes, rng) -> bytes:
    """Keep the header of the format, and replace the data with noise."""
    return content[:HEADER] + rng.bytes(max(len(content) - HEADER, 0))


ANY: list[Callable] = [
    _cut, _bits_flipped, _header_bytes_changed, _header_number_changed, _header_number_changed, _zeroed, _part_lost,
    _part_doubled, _halves_swapped, _junk_before, _junk_behind, _twice, _another_behind, _other_magic, _random_tail,
]  # fmt: skip


# Damage to the chunks of a WAV file, http://soundfile.sapp.org/doc/WaveFormat


def _wav_field(content: bytes, rng) -> bytes:
    """Change a field of the chunk `fmt `: tag, channels, rate, bytes per second, block align or bits."""
    values = {20: "<H", 22: "<H", 24: "<I", 28: "<I", 32: "<H", 34: "<H"}
    place = list(values)[rng.integers(len(values))]
    value = NUMBERS[rng.integers(len(NUMBERS))] & (0xFFFF if values[place] == "<H" else 0xFFFFFFFF)
    return _put(content, place, struct.pack(values[place], value))


def _wav_sizes_of_4_gb(content: bytes, rng) -> bytes:
    size = struct.pack("<I", (0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFF0, 0x80000000)[rng.integers(4)])
    data = content.find(b"data")
    return _put(_put(content, 4, size), data + 4, size) if data > 0 else _put(content, 4, size)


def _wav_chunks_swapped(content: bytes, rng) -> bytes:
    chunks = _chunks(content)
    return content[:12] + b"".join(chunks[place] for place in rng.permutation(len(chunks)))


def _wav_chunk_doubled(content: bytes, rng) -> bytes:
    chunks = _chunks(content)
    return content + (chunks[rng.integers(len(chunks))] if chunks else b"")


def _wav_in_its_data(content: bytes, rng) -> bytes:
    return content[:12] + b"".join(_chunks(content)[:1]) + b"data" + struct.pack("<I", len(content)) + content


def _wav_many_chunks(content: bytes, rng) -> bytes:
    return content[:12] + (b"junk" + bytes(4)) * int(rng.integers(1, 20_000)) + content[12:]


RIFF: list[Callable] = [
    _wav_field, _wav_field, _wav_sizes_of_4_gb, _wav_chunks_swapped, _wav_chunk_doubled, _wav_in_its_data, _wav_many_chunks,
]  # fmt: skip


def _flac_streaminfo(content: bytes, rng) -> bytes:
    """Change rate, channels, bits and number of samples, https://www.rfc-editor.org/rfc/rfc9639#section-8.2."""
    rate = (1, 16_000, 384_000, 655_350, 2**20 - 1)[rng.integers(5)]
    samples = (0, 1, 2**32, 2**36 - 1)[rng.integers(4)]
    packed = (rate << 44) | (int(rng.integers(8)) << 41) | (int(rng.integers(32)) << 36) | samples
    return _put(content, 18, packed.to_bytes(8, "big"))


def _flac_block_sizes(content: bytes, rng) -> bytes:
    return _put(content, 8, rng.bytes(10))


FLAC: list[Callable] = [_flac_streaminfo, _flac_block_sizes]


# Files that are malformed from the start


def _text(rng) -> tuple[str, bytes]:
    return ".wav", b"This is no sound. " * int(rng.integers(1, 1000))


def _random_bytes(rng) -> tuple[str, bytes]:
    return (".wav", ".mp3", ".flac", ".m4a")[rng.integers(4)], rng.bytes(int(2 ** rng.integers(0, 16)))


def _zip_bomb(rng) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("speech.wav"), bytes(4 << 20), zipfile.ZIP_DEFLATED)
    return ".wav", buffer.getvalue()


def _gzip_bomb(rng) -> tuple[str, bytes]:
    return ".wav", gzip.compress(bytes(4 << 20), mtime=0)


def _not_finite(rng) -> tuple[str, bytes]:
    """Create a float WAV file with NaN, infinite or very large samples."""
    samples = sound("noise")
    samples[rng.integers(len(samples), size=10)] = (np.nan, np.inf, -np.inf, 3e38, 1e10)[rng.integers(5)]
    return ".wav", _floats(samples)


def _huge(rng) -> tuple[str, bytes]:
    return ".wav", _floats(sound("chord") * 10.0 ** int(rng.integers(1, 30)))


def _mp3_with_a_false_length(rng) -> tuple[str, bytes]:
    """Create an MP3 file whose Xing header claims hours, http://gabriel.mp3-tech.org/mp3infotag.html."""
    content = encoded("tone", ".mp3")
    place = max(content.find(b"Xing"), content.find(b"Info"), 36)
    return ".mp3", _put(content, place, b"Xing" + struct.pack(">III", 3, 2 ** int(rng.integers(1, 31)), 2**31))


def _playlist(rng) -> tuple[str, bytes]:
    """Create a playlist that FFmpeg could follow to other files."""
    kinds = (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 49170 RTP/AVP 0\n",
    )
    return (".m4a", ".wav")[rng.integers(2)], kinds[rng.integers(len(kinds))]


def _long_silence_in_little(rng) -> tuple[str, bytes]:
    """Create a minute of silence in 3 kilobytes of FLAC, complete or cut."""
    content = long_silence(60)
    return ".flac", content[: len(content) - int(rng.integers(2)) * 1000]


MADE: list[Callable] = [
    _text, _random_bytes, _random_bytes, _zip_bomb, _gzip_bomb, _not_finite, _huge, _mp3_with_a_false_length, _playlist,
    _long_silence_in_little,
]  # fmt: skip


@cache
def long_silence(seconds: int, rate: int = RATE) -> bytes:
    """Encode seconds of silence as FLAC: an hour takes about 100 kilobytes."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, 1, "PCM_16", format="FLAC") as file:
        for _ in range(seconds // 60):
            file.write(np.zeros(60 * rate, np.int16))
    return buffer.getvalue()


def _floats(samples: np.ndarray) -> bytes:
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, RATE, 4 * RATE, 4, 32)
    return b"RIFF" + struct.pack("<I", 28 + len(data)) + b"WAVE" + form + b"data" + struct.pack("<I", len(data)) + data


def _chunks(content: bytes) -> list[bytes]:
    """Split the chunks of a WAV file, up to the first incomplete header."""
    chunks, place = [], 12
    while len(head := content[place : place + 8]) == 8 and len(chunks) < 100:
        size = 8 + struct.unpack("<I", head[4:])[0]
        chunks.append(content[place : place + size])
        place += size + size % 2
    return chunks


def _part(content: bytes, rng) -> tuple[int, int]:
    start = int(rng.integers(len(content)))
    return start, min(len(content), start + int(2 ** rng.integers(0, 14)))


def _put(content: bytes, place: int, value: bytes) -> bytes:
    return content[:place] + value + content[place + len(value) :]
