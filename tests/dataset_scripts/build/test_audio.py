import hashlib
import io
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from speecheq.dataset_scripts.build import audio


def decode(flac: bytes) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(flac), dtype="int16")


def write(path, samples, rate=16_000, subtype="PCM_16"):
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def test_sixteen_bit_samples_are_kept_to_the_bit(tmp_path):
    samples = np.array([0, 1, -1, 300, -32768, 32767] * 200, dtype=np.int16)

    flac = audio.encode(audio.load(write(tmp_path / "a.wav", samples)))

    decoded, rate = decode(flac)
    assert rate == 16_000
    np.testing.assert_array_equal(decoded, samples)
    assert soundfile.info(io.BytesIO(flac)).subtype == "PCM_16"
    assert flac[:4] == b"fLaC"


def test_samples_above_full_scale_are_clipped_and_do_not_wrap():
    decoded, _ = decode(audio.encode(np.array([1.5, -1.5] * 500, dtype=np.float32)))

    assert set(decoded.tolist()) == {32767, -32768}


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([np.full(1600, 0.5), np.full(1600, 0.25)], axis=1)

    np.testing.assert_allclose(audio.load(write(tmp_path / "a.wav", stereo)), 0.375, atol=1e-4)


def test_channels_that_cancel_each_other_are_not_silent(tmp_path, caplog):
    tone = 0.5 * np.sin(np.arange(16_000) * 0.1)
    path = write(tmp_path / "a.wav", np.stack([tone, -0.9 * tone], axis=1))

    np.testing.assert_allclose(audio.load(path), tone, atol=1e-4)
    assert caplog.messages[0].startswith(f"{path}: the channels cancel each other.")


@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000])
def test_another_rate_becomes_16_khz_and_keeps_time_and_pitch(tmp_path, rate):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)

    found = audio.load(write(tmp_path / "a.wav", tone, rate))

    assert found.shape == (16_000,)
    assert found.dtype == np.float32
    assert np.abs(np.fft.rfft(found)).argmax() == 440


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(0), r"empty: 0.000 s, at least 0.05 s needed"),
        (np.full(799, 0.5), r"empty: 0.050 s"),
        (np.zeros(1600), r"silent: peak -240 dBFS, at least -60 needed"),
        (np.full(1600, 0.0009), r"silent: peak -61 dBFS"),
        (np.array([0.5, np.nan] * 800), "not finite"),
        (np.array([0.5, np.inf] * 800), "not finite"),
        (np.full(1600, 30_000.0), r"out of range: a peak of 3e\+04; full scale is 1"),
    ],
)
def test_useless_audio_is_refused_with_its_reason(tmp_path, samples, reason):
    with pytest.raises(audio.AudioError, match=reason):
        audio.load(write(tmp_path / "a.wav", samples, subtype="FLOAT"))


def test_the_shortest_and_the_softest_usable_audio_pass(tmp_path):
    assert audio.load(write(tmp_path / "a.wav", np.full(800, 0.00101), subtype="FLOAT")).shape == (800,)


def test_what_is_no_audio_is_unreadable(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"not audio at all")
    (tmp_path / "b.wav").write_bytes(b"")

    for name in ("a.wav", "b.wav", "missing.wav"):
        with pytest.raises(audio.AudioError, match=r"unreadable: .+"):
            audio.load(tmp_path / name)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".mp3", ".ogg"])
def test_a_file_cut_in_half_is_refused(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    soundfile.write(path, 0.5 * np.sin(np.arange(16_000) * 0.1), 16_000)
    assert len(audio.load(path)) == 16_000
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(audio.AudioError, match=r"truncated: \d+ of \d+|unreadable: "):
        audio.load(path)


def test_a_wav_that_lacks_its_last_sample_is_refused(tmp_path):
    path = write(tmp_path / "a.wav", np.full(1600, 0.5))
    path.write_bytes(path.read_bytes()[:-2])

    with pytest.raises(audio.AudioError, match="truncated: 3198 of 3200 bytes"):
        audio.load(path)


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_written_into_a_pipe_is_read_to_its_end(tmp_path, size):
    path = write(tmp_path / "a.wav", np.full(1600, 0.5))
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = size.to_bytes(4, "little")
    path.write_bytes(data)

    assert len(audio.load(path)) == 1600


def test_a_flac_written_into_a_pipe_is_read_to_its_end_and_gets_a_length(tmp_path):
    path = tmp_path / "a.flac"
    path.write_bytes(audio.encode(np.full(32_000, 0.5)))
    data = bytearray(path.read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 0, 0])  # 0 samples means unknown
    path.write_bytes(data)

    assert len(audio.load(audio.Source(str(path), start=0.5, end=1.5))) == 16_000
    clip = audio.convert((audio.Source(str(path)), audio.Preparation()))
    assert clip.samples == 32_000 and soundfile.info(io.BytesIO(clip.flac)).frames == 32_000


def test_convert_gives_a_clip_or_a_reason(tmp_path):
    path = write(tmp_path / "a.wav", np.full(1600, 0.5))
    (tmp_path / "bad.wav").write_bytes(b"x")

    clip = audio.convert((audio.Source(str(path)), audio.Preparation()))

    assert clip.samples == 1600
    np.testing.assert_array_equal(decode(clip.flac)[0], np.full(1600, 16384))
    assert clip.sha256 == hashlib.sha256(clip.flac).hexdigest()
    assert clip.fingerprint == b""  # too short for one
    assert audio.convert((audio.Source(str(tmp_path / "bad.wav")), audio.Preparation())).startswith("unreadable: ")


@pytest.mark.parametrize(
    ("name", "rate", "subtype", "kept"),
    [
        ("a.flac", 16_000, "PCM_16", True),
        ("a.FLAC", 16_000, "PCM_16", True),
        ("a.flac", 8_000, "PCM_16", False),
        ("a.flac", 16_000, "PCM_24", False),
        ("a.wav", 16_000, "PCM_16", False),
    ],
)
def test_what_is_16_khz_mono_16_bit_flac_already_stays_where_it_is(tmp_path, name, rate, subtype, kept):
    samples = 0.1 * np.random.default_rng(0).normal(size=4000)
    path = tmp_path / name
    soundfile.write(path, samples, rate, subtype=subtype, format=path.suffix[1:].upper())
    source = audio.Source(str(path))

    clip = audio.convert((source, audio.Preparation()))

    assert (clip.flac is None) is kept
    assert (clip.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()) is kept
    assert audio.convert((source._replace(end=0.1), audio.Preparation())).flac[:4] == b"fLaC"
    assert audio.convert((source, audio.Preparation(trim=True))).flac[:4] == b"fLaC"


def test_stereo_flac_becomes_mono(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.full((4000, 2), 0.5), 16_000)

    clip = audio.convert((audio.Source(str(tmp_path / "a.flac")), audio.Preparation()))

    assert soundfile.info(io.BytesIO(clip.flac)).channels == 1


def test_a_part_of_a_file_is_read_from_start_to_end(tmp_path):
    path = str(write(tmp_path / "a.wav", np.arange(16_000) / 16_000))

    part = audio.load(audio.Source(path, start=0.25, end=0.5))

    assert part.shape == (4000,)
    np.testing.assert_allclose(part[[0, -1]], [0.25, 0.5], atol=1e-3)
    assert audio.load(audio.Source(path, start=0.75)).shape == (4000,)
    assert audio.load(audio.Source(path, end=9.0)).shape == (16_000,)
    with pytest.raises(audio.AudioError, match=r"outside the file: from 2 to 3 s of 1\.000 s"):
        audio.load(audio.Source(path, start=2, end=3))


def test_what_is_longer_than_an_utterance_is_refused_but_its_parts_are_read(tmp_path):
    path = str(write(tmp_path / "a.flac", np.full(601 * 8000, 0.5), rate=8000))

    with pytest.raises(audio.AudioError, match="too long: 601 s, at most 600 s for one utterance"):
        audio.load(audio.Source(path))
    assert audio.load(audio.Source(path, start=300, end=301)).shape == (16_000,)


def test_audio_inside_a_parquet_file_is_read_by_its_row(tmp_path):
    rows = []
    for place in range(5):
        write(tmp_path / "a.wav", np.full(1600 + place, 0.5))
        rows.append({"audio": {"bytes": (tmp_path / "a.wav").read_bytes(), "path": "a.wav"}, "text": "x"})
    rows.append({"audio": {"bytes": None, "path": "b.wav"}, "text": "x"})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=2)
    path = str(tmp_path / "a.parquet")

    assert [len(audio.load(audio.Source(path, place))) for place in range(5)] == [1600, 1601, 1602, 1603, 1604]
    with pytest.raises(audio.AudioError, match="unreadable"):
        audio.load(audio.Source(path, 5))
    with pytest.raises(audio.AudioError, match="no row 6 in the Parquet file"):
        audio.load(audio.Source(path, 6))


def test_a_row_group_of_a_parquet_file_is_read_once_for_its_rows(tmp_path, monkeypatch):
    write(tmp_path / "a.wav", np.full(1600, 0.5))
    rows = [{"audio": {"bytes": (tmp_path / "a.wav").read_bytes(), "path": "a.wav"}}] * 6
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet", row_group_size=3)
    read, groups = pq.ParquetFile.read_row_group, []
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda file, i, **k: groups.append(i) or read(file, i, **k))

    for row in range(6):
        audio.load(audio.Source(str(tmp_path / "a.parquet"), row))

    assert groups == [0, 1]


@pytest.mark.skipif(audio.ffmpeg() is None, reason="no FFmpeg: pip install imageio-ffmpeg")
@pytest.mark.parametrize("suffix", [".m4a", ".mp4"])
def test_what_soundfile_cannot_read_goes_through_ffmpeg(tmp_path, suffix):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    write(tmp_path / "a.wav", np.stack([tone, tone], axis=1), 48_000)
    path = tmp_path / f"a{suffix.upper()}"
    subprocess.run([audio.ffmpeg(), "-v", "error", "-i", tmp_path / "a.wav", path], check=True)

    found = audio.load(path)
    part = audio.load(audio.Source(str(path), start=0.25, end=0.75))

    assert abs(len(found) - 16_000) < 1600
    assert np.abs(np.fft.rfft(found[:16_000], 16_000)).argmax() == 440
    assert abs(len(part) - 8000) < 400
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(audio.AudioError, match="unreadable: FFmpeg says"):
        audio.load(path)


@pytest.mark.skipif(audio.ffmpeg() is None, reason="no FFmpeg: pip install imageio-ffmpeg")
def test_a_playlist_with_the_name_of_a_video_leads_to_no_other_file(tmp_path):
    write(tmp_path / "other.wav", np.full(16_000, 0.5))
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile other.wav\n")
    with pytest.raises(audio.AudioError, match="unreadable: FFmpeg says"):
        audio.load(tmp_path / "a.mp4")


def test_trimming_cuts_silence_at_both_ends_and_nothing_between():
    speech = np.sin(np.arange(3200) * 0.3)
    samples = np.concatenate([np.zeros(1600), speech, np.zeros(1600), speech, 1e-4 * speech]).astype(np.float32)

    trimmed = audio.prepare(samples, audio.Preparation(trim=True))

    np.testing.assert_array_equal(trimmed, samples[1600:9600])
    np.testing.assert_array_equal(audio.prepare(samples, audio.Preparation()), samples)


def test_loudness_is_set_in_lufs_and_never_clips():
    pyloudnorm = pytest.importorskip("pyloudnorm")
    samples = (0.02 * np.random.default_rng(0).normal(size=32_000)).astype(np.float32)

    quiet = audio.prepare(samples, audio.Preparation(loudness=-23.0))
    loud = audio.prepare(samples, audio.Preparation(loudness=0.0))
    short = audio.prepare(samples[:1600], audio.Preparation(loudness=-23.0))

    assert pyloudnorm.Meter(16_000).integrated_loudness(quiet) == pytest.approx(-23.0, abs=0.01)
    assert np.abs(loud).max() == pytest.approx(1.0)
    assert short.shape == (1600,)
    assert np.isfinite(short).all()
