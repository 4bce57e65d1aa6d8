import io

import numpy as np
import pytest
import soundfile

from speecheq.dataset_scripts import audio


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


def test_a_wav_written_into_a_pipe_is_read_to_its_end(tmp_path):
    path = write(tmp_path / "a.wav", np.full(1600, 0.5))
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff\xff\xff\xff"
    path.write_bytes(data)

    assert len(audio.load(path)) == 1600


def test_spool_gives_a_clip_or_a_reason(tmp_path):
    path = write(tmp_path / "a.wav", np.full(1600, 0.5))
    (tmp_path / "bad.wav").write_bytes(b"x")

    clip = audio.spool((str(path), str(tmp_path / "a.flac")))

    assert clip.samples == 1600
    assert clip.flac == str(tmp_path / "a.flac")
    assert len(clip.sha256) == 64
    assert audio.spool((str(tmp_path / "bad.wav"), str(tmp_path / "bad.flac"))).startswith("unreadable: ")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["a.flac", "a.wav", "bad.wav"]


def test_spool_takes_a_finished_flac_without_decoding_again(tmp_path):
    path = write(tmp_path / "a.wav", np.full(1600, 0.5))
    first = audio.spool((str(path), str(tmp_path / "a.flac")))
    path.unlink()

    assert audio.spool((str(path), str(tmp_path / "a.flac"))) == first
