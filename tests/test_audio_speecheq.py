"""Claims about reading audio: any file becomes 16 kHz mono, or raises an error with the reason."""

import io
import os
import struct
import sys
import time
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import numpy as np
import pytest
import soundfile
from samples import waveform

from speecheq.audio_speecheq import AudioError, MixDown, masked, read_blocks


def encoded(samples: np.ndarray, rate: int = 16_000, **how) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **{"format": "WAV", "subtype": "FLOAT"} | how)
    return buffer.getvalue()


def read(source) -> np.ndarray:
    blocks = list(read_blocks(source))
    assert all(block.dtype == np.float32 and block.ndim == 1 and len(block) for block in blocks)
    return np.concatenate(blocks)


def sine(seconds: float, rate: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * 200 * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def test_a_path_a_string_and_bytes_are_read_alike(tmp_path):
    samples = waveform(25.0)  # three blocks
    (tmp_path / "speech.wav").write_bytes(encoded(samples))
    for source in (tmp_path / "speech.wav", str(tmp_path / "speech.wav"), encoded(samples)):
        np.testing.assert_array_equal(read(source), samples)
    assert [len(block) for block in read_blocks(encoded(samples))] == [160_000, 160_000, 80_000]


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_another_rate_is_resampled_without_seams(rate):
    found = read(encoded(sine(21.0, rate), rate))
    assert abs(len(found) - 21 * 16_000) <= 1
    np.testing.assert_allclose(found[200:-200], sine(21.0, 16_000)[200 : len(found) - 200], atol=2e-3)


@pytest.mark.parametrize("channels", [2, 6])
def test_channels_are_averaged(channels):
    samples = np.stack([waveform(1.0, seed) for seed in range(channels)], axis=1)
    np.testing.assert_allclose(read(encoded(samples)), samples.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("rate", [16_000, 44_100])
def test_channels_that_cancel_each_other_give_the_loudest_channel_and_a_warning(caplog, rate):
    speech = waveform(1.0)
    read(encoded(np.stack([speech, waveform(1.0, 1)], axis=1), rate))
    read(encoded(np.stack([speech, 0 * speech], axis=1), rate))
    read(encoded(np.stack([speech] + 63 * [0 * speech], axis=1), rate))
    assert not caplog.records

    found = read(encoded(np.stack([-0.95 * speech, speech], axis=1), rate))

    np.testing.assert_array_equal(found, read(encoded(speech, rate)))
    assert caplog.messages == [
        "audio: the channels cancel each other. Channel 2, the loudest, is used instead of their average."
    ]


def test_a_file_whose_channels_cancel_keeps_one_channel_from_there_on(caplog):
    mix, speech = MixDown("a.wav"), waveform(1.0)
    silence = np.zeros((100, 2), np.float32)
    blocks = [np.stack(pair, axis=1) for pair in ((speech, speech), (speech, -speech), (0.5 * speech, speech))]
    found = [mix(block) for block in (silence, *blocks)]
    for one, other in zip(found, (silence[:, 0], speech, speech, 0.5 * speech), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ({"format": "FLAC", "subtype": "PCM_16"}, 1e-4), ({"format": "WAV", "subtype": "PCM_U8"}, 0.02),
        ({"format": "OGG", "subtype": "VORBIS"}, 0.2), ({"format": "OGG", "subtype": "OPUS"}, 0.2),
        ({"format": "MP3", "subtype": "MPEG_LAYER_III"}, 0.2),
    ],
)  # fmt: skip
def test_every_format_of_libsndfile_is_read(how, error):
    samples = sine(2.0, 16_000)
    found = read(encoded(samples, **how))
    assert abs(len(found) - len(samples)) < 2_000
    middle = slice(8_000, 24_000)
    spectrum = np.abs(np.fft.rfft(found[middle]))
    assert spectrum.argmax() == 200 and abs(np.abs(found[middle]).max() - 0.5) < error


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (b"", r"unreadable: 0 bytes"),
        (b"not audio at all" * 20, r"unreadable: .*"),
        (b"\xff\xfb" + b"not audio at all" * 20, r"unreadable: .*"),
        (encoded(np.zeros(0, np.float32)), r"empty: 0\.000 s, at least 0\.05 s needed"),
        (encoded(waveform(0.01)), r"empty: 0\.010 s, at least 0\.05 s needed"),
        (encoded(waveform(1.0))[:-1_000], r"truncated: 63000 of 64000 bytes"),
        (
            encoded(waveform(9.0), format="OGG", subtype="OPUS")[:-1_000],
            r"truncated: \d+ of \d+ bytes of the last page",
        ),
        (encoded(waveform(1.0) * 20), r"out of range: a peak of \d.* before 1\.00 s; full scale is 1"),
        (encoded(np.array([0.1, np.nan] * 8_000, np.float32)), r"not finite: NaN or infinite samples before 1\.00 s"),
        (encoded(waveform(1.0), 1_000), r"no audio: the sampling rate must lie in \[4000, 384000\] Hz; got 1000"),
        (encoded(np.zeros((99, 100), np.float32)), r"no audio: the number of channels must lie in \[1, 64\]; got 100"),
        (encoded(np.full((16_000, 2), 3e38, np.float32)), r"out of range: a peak of inf before 1\.00 s"),
        (encoded(waveform(1.0) * 30_000, 44_100), r"out of range: a peak of \d"),
    ],
    ids=[
        "nothing",
        "text",
        "the first bytes of mp3",
        "no samples",
        "too short",
        "cut",
        "cut ogg",
        "loud",
        "nan",
        "rate",
        "channels",
        "overflow",
        "resampled",
    ],
)
def test_what_is_no_audio_is_refused_with_the_reason(source, message):
    with pytest.raises(AudioError, match=message):
        read(source)


def test_a_damaged_file_is_not_begun_anew_by_another_decoder():
    damaged = bytearray(encoded(waveform(25.0), format="FLAC", subtype="PCM_16"))
    middle = len(damaged) // 2
    damaged[middle : middle + 40] = bytes(40)
    heard = []
    with pytest.raises(AudioError, match=r"damaged: flac decoder lost sync after 10\.00 s"):
        heard.extend(read_blocks(bytes(damaged)))
    assert [len(block) for block in heard] == [160_000]


def test_what_is_read_at_the_edge_of_the_range_is_within_it():
    square = 1.99 * np.sign(np.sin(np.arange(44_100) / 20)).astype(np.float32)  # resampling overshoots
    with pytest.raises(AudioError, match=r"out of range: a peak of 2\.\d+ before 1\.00 s"):
        read(encoded(square, 44_100))
    assert np.abs(read(encoded(0.5 * square, 44_100))).max() > 1.0


def test_a_name_of_any_bytes_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"speech \xff.wav")
    path.write_bytes(encoded(waveform(1.0)))
    np.testing.assert_array_equal(read(path), waveform(1.0))
    path.write_bytes(b"text")
    with pytest.raises(AudioError, match="unreadable: "):
        read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(AudioError, match="unreadable: there is no file"):
        read("a\0.wav")
    with pytest.raises(AudioError, match=r"unreadable: there is no file '.*gone.wav'"):
        read(tmp_path / "gone.wav")
    with pytest.raises(AudioError, match="unreadable: there is no file"):
        read(tmp_path)


def test_what_soundfile_cannot_read_goes_through_ffmpeg(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "speech.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=44_100, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.tile(sine(2.0, 44_100), (2, 1)), format="fltp", layout="stereo")
        frame.rate = 44_100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    for source in (tmp_path / "speech.m4a", (tmp_path / "speech.m4a").read_bytes()):
        found = read(source)
        assert abs(len(found) / 16_000 - 2.0) < 0.1
        assert np.abs(np.fft.rfft(found[8_000:24_000])).argmax() == 200


def encoded_by_ffmpeg(path, container: str, codec: str, rate: int = 48_000) -> bytes:
    av = pytest.importorskip("av")
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(sine(1.0, rate)[None], format="fltp", layout="mono")
        frame.rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path.read_bytes()


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n"


@pytest.mark.parametrize("name", ["list.m3u8", "list.m4a", "list.wav"])
@pytest.mark.parametrize("playlist", [HLS, "ffconcat version 1.0\nfile other.ts\n"])
def test_a_playlist_leads_to_no_other_file(tmp_path, monkeypatch, name, playlist):
    encoded_by_ffmpeg(tmp_path / "other.ts", "mpegts", "aac")
    monkeypatch.chdir(tmp_path)
    assert len(read("other.ts")) > 15_000
    (tmp_path / name).write_text(playlist)
    for source in (tmp_path / name, playlist.encode()):
        with pytest.raises(AudioError, match="unreadable: Format not recognised; FFmpeg says"):
            read(source)


def test_sound_of_an_unknown_codec_and_titles_in_no_encoding_are_no_accident(tmp_path):
    content = encoded_by_ffmpeg(tmp_path / "a.mkv", "matroska", "aac")
    with pytest.raises(AudioError, match=r"unreadable: .*; FFmpeg finds no audio stream that it can decode"):
        read(content.replace(b"A_AAC", b"A_XXX"))
    titled = content.replace(b"Lavf", b"L\xa3vf")
    assert titled != content and len(read(titled)) > 15_000


def test_more_channels_than_ffmpeg_s_frames_have_planes_are_refused(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mkv"), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=16_000, layout="hexadecagonal")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16 * 16_000), np.int16), format="s16", layout="hexadecagonal")
        frame.rate = 16_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with pytest.raises(AudioError, match=r"no audio: the number of channels must lie in \[1, 8\]; got 16"):
        read(tmp_path / "a.mkv")


def test_a_wav_of_nothing_but_chunks_is_not_read_for_minutes():
    chunks = b"RIFF\xff\xff\xff\xffWAVE" + (b"junk" + bytes(4)) * 20_000
    with pytest.raises(AudioError, match="unreadable: more than 10000 chunks before the data chunk"):
        read(chunks)


def streamed(data_size: int, riff_size: int) -> bytes:
    """A WAV file of 1 s, with other sizes in its header."""
    content = encoded(waveform(1.0), subtype="PCM_16")
    place = content.index(b"data") + 4
    sizes = (struct.pack("<I", size) for size in (riff_size, data_size))
    return content[:4] + next(sizes) + content[8:place] + next(sizes) + content[place + 4 :]


def streamed_rf64() -> bytes:
    """The same as RF64, with sizes of 0."""
    head = b"RF64" + struct.pack("<I", 0xFFFFFFFF) + b"WAVEds64" + struct.pack("<IQQQI", 28, 0, 0, 0, 0)
    return head + streamed(0xFFFFFFFF, 0)[12:]


def mp3_without_length(seconds: float, mode: str) -> bytes:
    """An MP3 file without the first frame, which has the Xing header with the number of frames."""
    tone = sine(seconds, 16_000) * (np.arange(int(seconds * 16_000)) % 32_000 > 16_000)
    how = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": mode, "compression_level": 0.5}
    content = encoded(tone, **how)
    return content[content.index(content[:2], 40) :]


def mp3_in_wav(content: bytes, size: int) -> bytes:
    layout = struct.pack("<HHIIHHHHIHHH", 0x55, 1, 16_000, 4_000, 1, 0, 12, 1, 2, 1152, 1, 1393)
    return b"RIFF" + struct.pack("<I", size) + b"WAVEfmt " + struct.pack("<I", 30) + layout + b"data" + (
        struct.pack("<I", size) + content
    )  # fmt: skip


def flac_without_length() -> bytes:
    """A FLAC file whose STREAMINFO has 0 samples, which means unknown."""
    content = bytearray(encoded(waveform(12.0), format="FLAC", subtype="PCM_16"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    return bytes(content)


VARIABLE = mp3_without_length(12.0, "VARIABLE")
WITHOUT_LENGTH = {
    "sox": (streamed(0x7FFFF000, 0x7FFFF024), 1.0),
    "ffmpeg": (streamed(0xFFFFFFFF, 0xFFFFFFFF), 1.0),
    "gstreamer": (streamed(0, 0), 1.0),
    "header of an empty file": (streamed(0, 36), 1.0),
    "arecord": (streamed(0x80000000, 0x80000024), 1.0),
    "largest size less the header": (streamed(0x7FFFFFDB, 0x7FFFFFFF), 1.0),
    "rf64": (streamed_rf64(), 1.0),
    "flac": (flac_without_length(), 12.0),
    "mp3": (mp3_without_length(12.0, "CONSTANT"), 12.0),
    "mp3 of a variable bit rate": (VARIABLE, 12.0),
    "mp3 in wav": (mp3_in_wav(VARIABLE, len(VARIABLE)), 12.0),
    "mp3 in wav through a pipe": (mp3_in_wav(VARIABLE, 0xFFFFFFFF), 12.0),
}


@pytest.mark.parametrize(("content", "seconds"), WITHOUT_LENGTH.values(), ids=WITHOUT_LENGTH)
def test_audio_whose_header_has_no_length_is_read_to_its_end(tmp_path, monkeypatch, content, seconds):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "audio").write_bytes(content)
    for source in (content, tmp_path / "audio"):
        assert len(read(source)) / 16_000 == pytest.approx(seconds, abs=0.15)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (streamed(0, 36)[:44], r"empty: 0\.000 s"),
        (streamed(0, 44)[:44] + b"LIST\0\0\0\0", r"empty: 0\.000 s"),
        (streamed(3_000_000_000, 3_000_000_036), r"truncated: 32000 of 3000000000 bytes"),
        (mp3_in_wav(VARIABLE, len(VARIABLE))[:-1_000], r"truncated: \d+ of \d+ bytes"),
    ],
    ids=["empty", "empty before a chunk", "cut", "cut mp3 in wav"],
)
def test_a_length_in_the_header_still_proves_that_a_file_is_empty_or_truncated(content, message):
    with pytest.raises(AudioError, match=message):
        read(content)


CONTAINERS = {
    "au": {"format": "AU"}, "au, little endian": {"format": "AU", "endian": "LITTLE"}, "aiff": {"format": "AIFF"},
    "aifc": {"format": "AIFF", "subtype": "FLOAT"}, "caf": {"format": "CAF"}, "w64": {"format": "W64"},
    "voc": {"format": "VOC"},
}  # fmt: skip


@pytest.mark.parametrize("how", CONTAINERS.values(), ids=CONTAINERS)
def test_a_cut_file_of_every_container_with_a_length_is_refused(tmp_path, monkeypatch, how):
    monkeypatch.setitem(sys.modules, "av", None)
    content = encoded(waveform(1.0), **{"subtype": "PCM_16"} | how)

    assert len(read(content)) == 16_000 <= len(read(content + b"after the end"))
    for cut in (1_000, 31_000):
        (tmp_path / "cut").write_bytes(content[:-cut])
        for source in (content[:-cut], tmp_path / "cut"):
            with pytest.raises(AudioError, match=r"^truncated: \d+ of (320|640)\d\d bytes$"):
                read(source)


@pytest.mark.parametrize(
    ("how", "place", "length"),
    [("au", 8, b"\xff" * 4), ("aiff", 42, b"\x7f\xff\xff\xff"), ("caf", 4_084, b"\xff" * 8), ("w64", 96, b"\xff" * 8)],
)
def test_a_container_that_states_no_length_is_read_to_its_end(how, place, length):
    content = bytearray(encoded(waveform(1.0), subtype="PCM_16", **CONTAINERS[how]))
    assert int.from_bytes(content[place : place + 8], "big") != 2**64 - 1
    content[place : place + len(length)] = length
    assert len(read(bytes(content[:-1_000]))) == 15_500


def test_many_channels_at_a_high_rate_are_read_in_small_blocks():
    silence = encoded(np.zeros((384_000, 64), np.int16), 384_000, format="WAV", subtype="PCM_16")
    tracemalloc.start()
    assert sum(len(block) for block in read_blocks(silence)) == 16_000
    assert tracemalloc.get_traced_memory()[1] < 200 * 2**20  # ten seconds at once would be 983 MB
    tracemalloc.stop()


def test_without_ffmpeg_s_libraries_their_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(AudioError, match=r"unreadable: .*\. AAC and video need FFmpeg: run `pip install av`"):
        read(b"\0\0\0\x20ftypM4A " + bytes(100))


@pytest.fixture
def address():
    """A server with one file, `/speech.wav`; the URL can make it stop early, send slowly, hang or fail."""
    content, over = encoded(waveform(1.0)), Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if "page" in self.path:
                page = b"\n<!doctype html><title>Log in</title>"
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)
                return
            there = self.path.startswith(("/speech.wav", "/%C3%A4%20b.wav?q=%C3%BC&r=%20/"))
            self.send_response(500 if "fail" in self.path else 200 if there else 404)
            self.send_header("Content-Length", str(len(content) + 7 * ("break" in self.path)))
            self.end_headers()
            if "hang" in self.path:
                over.wait(60)
            for byte in content if "drip" in self.path else b"":
                if over.wait(0.01):
                    return
                self.wfile.write(bytes([byte]))
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    over.set()
    server.shutdown()
    server.server_close()


def test_an_address_is_downloaded(address):
    np.testing.assert_array_equal(read(f"{address}/speech.wav?token=1"), waveform(1.0))
    with pytest.raises(AudioError, match=r"unreadable: 'http://127.*/gone.wav' fails with .*404"):
        read(f"{address}/gone.wav")


def test_a_web_page_is_named_with_its_address(address):
    message = r"unreadable: 'http://127.*/page\?token=\*\*\*' returned a web page \(text/html\), not audio"
    with pytest.raises(AudioError, match=message):
        read(f"{address}/page?token=abc")


def test_unusable_audio_is_named_with_its_address(address, monkeypatch):
    monkeypatch.setattr("speecheq.audio_speecheq.MIN_SECONDS", 9)
    with pytest.raises(AudioError, match=r"empty: 1\.000 s, at least 9 s needed, from 'http://127.*/speech\.wav'"):
        read(f"{address}/speech.wav")


PASSWORDS = ["user:password@", "user:pass/word@", "user:pass@word@", "user:pass#word@", "password@"]


@pytest.mark.parametrize("user", PASSWORDS)
@pytest.mark.parametrize("scheme", ["http", "HTTPS", "ftp"])
def test_a_password_in_an_address_is_never_printed(scheme, user):
    with pytest.raises(AudioError, match=r"unreadable: .*'\w+://\*\*\*@127.0.0.1:9/a@b.wav'") as caught:
        read(f"{scheme}://{user}127.0.0.1:9/a@b.wav")
    assert "pass" not in str(caught.value) and "word" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://h/x.wav?X-Amz-Signature=abc&v=1", "http://h/x.wav?X-Amz-Signature=***&v=1"),
        ("http://h/x.wav?a=1&access_token=abc#t", "http://h/x.wav?a=1&access_token=***#t"),
        ("http://h:80/a@b.wav", "http://h:80/a@b.wav"),
        ("http://[::1]:80/a@b.wav", "http://[::1]:80/a@b.wav"),
        ("a@b.wav", "a@b.wav"),
    ],
)
def test_only_secrets_of_an_address_are_masked(text, shown):
    assert masked(text) == shown


def test_an_address_in_any_letters_is_asked_for_as_a_server_knows_it(address):
    np.testing.assert_array_equal(read(f"{address}/ä b.wav?q=ü&r=%20/#t=1"), waveform(1.0))
    np.testing.assert_array_equal(read(f"{address}/speech.wav".replace("http", "HTTP")), waveform(1.0))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("http://[::1/x.wav", r"unreadable: 'http://\[::1/x.wav' is not a valid URL: Invalid IPv6 URL"),
        ("http://h/\udcff.wav", "unreadable: .* is not a valid URL: 'utf-8' codec can't encode"),
        (f"http://{'ä' * 99}/x.wav", "unreadable: .* fails with .*label.* too long"),
        ("http://127.0.0.1:port/x.wav", "unreadable: .* fails with nonnumeric port: 'port'"),
    ],
)
def test_an_address_that_is_none_is_named(wrong, message):
    with pytest.raises(AudioError, match=message):
        read(wrong)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("fail", "unreadable: 'http://127.*' fails with .*500"),
        ("break", "truncated: 'http://127.*' ends 7 bytes early"),
        ("hang", "unreadable: 'http://127.*' fails with .*timed out"),
        ("drip", "unreadable: 'http://127.*' sends less than 1000 bytes per second"),
    ],
)
def test_a_server_that_fails_or_hangs_is_not_waited_for(address, monkeypatch, how, message):
    monkeypatch.setattr("speecheq.audio_speecheq.PATIENCE", 0.5)
    start = time.perf_counter()
    with pytest.raises(AudioError, match=message):
        read(f"{address}/speech.wav?{how}")
    assert time.perf_counter() - start < 5


def test_a_server_that_is_not_there_is_named():
    with pytest.raises(AudioError, match=r"unreadable: 'http://127.0.0.1:9/a.wav' fails with"):
        read("http://127.0.0.1:9/a.wav")


def test_a_download_has_a_largest_size(address, monkeypatch):
    monkeypatch.setattr("speecheq.audio_speecheq.MAX_DOWNLOAD", 1_000)
    with pytest.raises(AudioError, match="unreadable: more than 0 MiB at"):
        read(f"{address}/speech.wav")
