"""Claims about `speecheq --live`: raw samples and WAV from a pipe, a microphone, and clear errors."""

import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from samples import ROOT, tiny_pipeline, waveform

from speecheq.scoring import command, live
from speecheq.scoring.command import main
from speecheq.scoring.live import LiveError, microphone, piped
from speecheq.training.saving import save_for_hub

RATE = 16_000
SPEECH = np.concatenate([waveform(3.0), np.zeros(RATE, np.float32), waveform(9.0, 1)])


@pytest.fixture(scope="module")
def tiny():
    return tiny_pipeline()


@pytest.fixture
def pipe(tiny, monkeypatch):
    """Make the command use the tiny pipeline in this process."""
    monkeypatch.setattr(command, "load_pipeline", lambda *given: tiny)
    return tiny


def give(monkeypatch, data: bytes, terminal: bool = False):
    buffer = io.BufferedReader(io.BytesIO(data))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer, isatty=lambda: terminal))


def raw(samples: np.ndarray) -> bytes:
    return (samples * 2**15).astype("<i2").tobytes()


def streamed_wav(
    samples: np.ndarray, subtype: str = "PCM_16", rate: int = RATE, size: int | None = 0xFFFFFFFF
) -> bytes:
    """A WAV file as ffmpeg writes it to a pipe: with a placeholder for the sizes; with its sizes for `size=None`."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    data = bytearray(file.getvalue())
    if size is not None:
        place = data.index(b"data") + 4
        data[4:8] = data[place : place + 4] = struct.pack("<I", size)
    return bytes(data)


def heard(data: bytes) -> tuple[int, np.ndarray]:
    chunks = list(piped(io.BufferedReader(io.BytesIO(data), 100)))
    kinds = {np.dtype("u1"): (128, 128), np.dtype("<i2"): (0, 2**15), np.dtype("<i4"): (0, 2**31)}
    zero, scale = kinds.get(chunks[0][1].dtype, (0, 1))
    return chunks[0][0], (np.concatenate([samples for _, samples in chunks]).astype(np.float64) - zero) / scale


@pytest.mark.parametrize("form", ["raw", "wav"])
def test_the_events_of_a_pipe_are_those_of_a_stream_and_its_segments_those_of_the_file(
    form, pipe, monkeypatch, capsys
):
    give(monkeypatch, raw(SPEECH) if form == "raw" else streamed_wav(SPEECH))
    assert main(["--live", "-", "--no-vad", "--format", "jsonl", "--scale", "basic"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["event"] for event in events} == {"speech", "provisional", "segment"}
    segments = [event for event in events if event["event"] == "segment"]
    expected = pipe({"array": SPEECH, "sampling_rate": RATE}, vad=False, scale="basic")["timeline"]
    assert [(s["start"], s["end"], s["label"]) for s in segments] == [
        (s["start"], s["end"], s["label"]) for s in expected
    ]


def test_the_terminal_shows_a_line_per_event(pipe, monkeypatch, capsys):
    give(monkeypatch, raw(waveform(0.7)))
    assert main(["--live", "-", "--no-vad", "--labels", "angry"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "    0.00            speech begins" and len(lines) == 3
    assert "angry        1.00   intensity 0.5" in lines[1] and lines[1].endswith("(provisional)")
    assert lines[2].startswith("    0.00     0.70   angry        1.00")


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_wav_of_each_kind_is_read(subtype, channels):
    samples = np.stack([waveform(0.3, seed) for seed in range(channels)], axis=1)
    for size in (0, 0x7FFFF000, 0xFFFFFFFF, None):
        rate, found = heard(streamed_wav(samples[:, 0] if channels == 1 else samples, subtype, 22_050, size))
        assert rate == 22_050
        np.testing.assert_allclose(found.reshape(samples.shape), samples, atol=0.01 if subtype == "PCM_U8" else 1e-4)


def test_chunks_after_the_data_of_a_wav_are_no_audio():
    data = streamed_wav(waveform(0.1), size=None) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    assert len(heard(data)[1]) == 1_600


def test_half_a_sample_at_the_end_is_left_out():
    assert len(heard(raw(waveform(0.1))[:-1])[1]) == 1_599
    assert heard(raw(waveform(0.01))[:6])[1].shape == (3,)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the standard input must contain audio; got 0 bytes"),
        (b"ID3\x04" + bytes(100), "got an encoded file, b'ID3.x04'. Decode it: `ffmpeg -i FILE -f s16le"),
        (bytes(4) + b"ftypM4A " + bytes(100), "got an encoded file"),
        (streamed_wav(waveform(0.1), "ULAW"), "WAV must be PCM of 8 to 32 bits or float; got format 0x0007 of 8 bits"),
        (streamed_wav(waveform(0.1))[:30], "WAV must have the chunks `fmt ` and `data`; got an incomplete header"),
    ],
)
def test_a_pipe_without_usable_audio_is_refused(data, message, pipe, monkeypatch, capsys):
    with pytest.raises(LiveError, match=message):
        list(piped(io.BufferedReader(io.BytesIO(data))))
    give(monkeypatch, data)
    assert main(["--live", "-"]) == 2
    assert capsys.readouterr().err.startswith("speecheq: --live -: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--live", "x.wav"], "--live must come without AUDIO for the microphone, or with -; got 'x.wav'."),
        (["--live", "-", "--out", "x"], "--live must come without --out; got x."),
        (["--live", "-", "--top-k", "2"], "--live must come without --top-k; got 2."),
        (["--live", "-", "--channels", "each"], "--live must come with --channels mix; got each."),
        (["--live", "-", "--format", "csv"], "--live must come with --format table or jsonl; got csv."),
        (["--live", "-"], "--live -: the standard input must be a pipe; got a terminal."),
    ],
)
def test_wrong_arguments_are_refused(arguments, message, monkeypatch, capsys):
    give(monkeypatch, b"", terminal=True)
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"speecheq: {message}\n"


def test_no_audio_is_still_an_error(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "the following arguments are required: AUDIO" in capsys.readouterr().err


def test_labels_that_do_not_exist_are_refused(pipe, monkeypatch, capsys):
    give(monkeypatch, raw(waveform(0.7)))
    assert main(["--live", "-", "--labels", "hungry"]) == 2
    assert "--labels must be among" in capsys.readouterr().err


def test_a_missing_ffmpeg_names_its_package(pipe, monkeypatch, capsys):
    monkeypatch.setattr(live.shutil, "which", lambda name: None)
    assert main(["--live"]) == 2
    assert (
        "ffmpeg must be installed to record a microphone; got none. Run `apt install ffmpeg`"
        in capsys.readouterr().err
    )


def recorder(folder, monkeypatch, script: str):
    """Put a program named ffmpeg into the path."""
    path = folder / "ffmpeg"
    path.write_text(f"#!{sys.executable}\nimport sys\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.skipif(sys.platform != "linux", reason="the program in the path is a script")
def test_a_missing_microphone_names_the_package_that_lists_them(tmp_path, pipe, monkeypatch, capsys):
    recorder(tmp_path, monkeypatch, "sys.exit(1)")
    assert main(["--live"]) == 2
    error = capsys.readouterr().err
    assert "ffmpeg must find a microphone; got no audio from the default one" in error and "alsa-utils" in error


@pytest.mark.skipif(sys.platform != "linux", reason="the program in the path is a script")
def test_the_microphone_is_recorded_by_ffmpeg(tmp_path, monkeypatch):
    (tmp_path / "pcm").write_bytes(raw(waveform(1.05)))
    recorder(tmp_path, monkeypatch, f"sys.stdout.buffer.write(open({str(tmp_path / 'pcm')!r}, 'rb').read())")
    chunks = list(microphone())
    assert {rate for rate, _ in chunks} == {RATE} and len(chunks) == 11
    np.testing.assert_allclose(np.concatenate([samples for _, samples in chunks]) / 2**15, waveform(1.05), atol=1e-4)


def test_an_interrupt_ends_the_recording_and_finishes_its_segment(pipe, monkeypatch, capsys, tmp_path):
    def interrupted():
        yield RATE, waveform(0.7)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "microphone", interrupted)
    assert main(["--live", "--no-vad", "--format", "jsonl", "--speaker", str(tmp_path / "speaker")]) == 0
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert events == ["speech", "provisional", "segment"]
    assert pipe.new_speaker(tmp_path / "speaker").num_utterances == 1


@pytest.mark.slow
def test_a_process_answers_while_the_pipe_is_open(tiny, tmp_path):
    model = save_for_hub(tiny.model, tiny.processor, tmp_path / "model")
    arguments = [sys.executable, "-m", "speecheq.scoring.command", "--live", "-", "--model", str(model), "--no-vad"]
    process = subprocess.Popen(
        [*arguments, "--format", "jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=False, cwd=ROOT
    )
    process.stdin.write(raw(waveform(1.0)))
    process.stdin.flush()
    lines = [json.loads(process.stdout.readline())["event"] for _ in range(2)]
    assert lines == ["speech", "provisional"] and process.poll() is None
    rest, _ = process.communicate(timeout=60)
    assert json.loads(rest.splitlines()[-1])["event"] == "segment" and process.returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg")
def test_a_file_through_ffmpeg_is_heard(tiny, tmp_path):
    model = save_for_hub(tiny.model, tiny.processor, tmp_path / "model")
    soundfile.write(tmp_path / "x.flac", SPEECH, RATE)
    command_line = f"{sys.executable} -m speecheq.scoring.command --live - --no-vad --model {model}"
    line = f"ffmpeg -i {tmp_path}/x.flac -f wav - | {command_line}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, cwd=ROOT)
    assert "speech begins" in done.stdout, done.stderr[-1000:]
