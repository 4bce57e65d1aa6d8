"""Claim: the pipeline of the checkpoint, without the `speecheq` package, predicts for any audio or reports the reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from fresh_process import run as run_without_speecheq
from samples import ROOT, waveform

SPEECH = ROOT / "tests/speech/sad_then_angry_en.wav"
RATES = (8_000, 16_000, 44_100, 48_000, 96_000)
ANSWERED = """
import json, sys
from transformers import pipeline
pipe = pipeline(model=folder, trust_remote_code=True)
files = json.load(open("files.json"))
alone = [pipe(file, on_error="return") for file in files]
together = pipe(files, batch_size=32)
sys.modules["av"] = None
lacking = pipe("speech.m4a", on_error="return")
print(json.dumps([type(pipe).__module__.split(".")[0], alone, together, lacking]))
"""
REASONS = {
    "nan.wav": "not finite: NaN or infinite samples before 3.00 s",
    "loud.wav": "out of range: a peak of 5",
    "no_samples.wav": "empty: 0.000 s",
    "nothing.wav": "unreadable: 0 bytes",
    "text.wav": "unreadable: Format not recognised",
    "cut.wav": "truncated: 48000 of 96000 bytes",
    "cut.flac": "unreadable: flac decoder lost sync",
    "cut.mp3": "truncated: ",
    "cut.ogg": "truncated: ",
    "cut.opus": "truncated: ",
}
ABSTAINED = {"silence.wav": "silence", "noise.wav": "no speech", "tones.wav": "no speech", "0.05s.wav": "no speech"}


def write(name: str, samples: np.ndarray, rate: int = 16_000, **how):
    if name.endswith(".opus"):
        how = {"format": "OGG", "subtype": "OPUS"}
    soundfile.write(name, samples, rate, **how)


def write_m4a(name: str, samples: np.ndarray):
    av = pytest.importorskip("av")
    with av.open(name, "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def write_all():
    """Write three seconds of speech in every format, and audio without speech."""
    speech = soundfile.read(SPEECH, dtype="float32")[0][: 3 * 16_000]
    for rate in RATES:
        resampled = soxr.resample(speech, 16_000, rate)
        for channels in (1, 2, 6):
            write(f"{rate}_{channels}.flac", np.repeat(resampled[:, None], channels, axis=1), rate)
    for suffix in ("wav", "mp3", "ogg", "opus"):
        write(f"speech.{suffix}", speech)
    for suffix in ("wav", "mp3", "ogg", "opus", "flac"):
        content = Path("16000_1.flac" if suffix == "flac" else f"speech.{suffix}").read_bytes()
        Path(f"cut.{suffix}").write_bytes(content[: len(content) // 2 + 22])
    write_m4a("speech.m4a", speech)
    write("float64.wav", speech.astype(float), subtype="DOUBLE")
    write("nan.wav", np.where(np.arange(len(speech)) == 999, np.nan, speech), subtype="FLOAT")
    write("loud.wav", 5 * speech / np.abs(speech).max(), subtype="FLOAT")
    write("no_samples.wav", speech[:0])
    Path("nothing.wav").write_bytes(b"")
    Path("text.wav").write_text("no sound\n" * 99)
    write("silence.wav", 0 * speech)
    write("noise.wav", waveform(3.0))
    times = np.arange(48_000) / 16_000
    notes = (np.sin(2 * np.pi * note * times) for note in (220, 277, 330))
    write("tones.wav", 0.1 * sum(notes) * np.exp(-4 * (times % 0.5)))
    write("0.05s.wav", speech[8_000:8_800])


def assert_close(one, other, path: str):
    """Assert that two values are equal, with a tolerance of 1e-4 for numbers."""
    if isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-4), path
    elif isinstance(one, (dict, list)):
        assert len(one) == len(other), path
        for key in one if isinstance(one, dict) else range(len(one)):
            assert_close(one[key], other[key], f"{path}/{key}")
    else:
        assert one == other, path


@pytest.mark.slow
def test_every_audio_is_answered_alone_as_in_a_batch_or_refused_with_its_reason(tmp_path, monkeypatch):
    pytest.importorskip("silero_vad")
    monkeypatch.chdir(tmp_path)
    write_all()
    names = sorted(path.name for path in tmp_path.iterdir())
    (tmp_path / "files.json").write_text(json.dumps(names))

    result = run_without_speecheq(ANSWERED, ROOT, tmp_path)

    assert result.returncode == 0, result.stderr[-2000:]
    module, alone, together, lacking = json.loads(result.stdout.splitlines()[-1])
    assert module == "transformers_modules" and len(names) == 35
    assert_close(alone, together, "")
    found = dict(zip(names, alone, strict=True))
    assert {
        name: answer["error"][: len(REASONS[name])] for name, answer in found.items() if "error" in answer
    } == REASONS
    heard = {name: answer for name, answer in found.items() if "error" not in answer}
    assert {name: heard.pop(name)["abstained"] for name in ABSTAINED} == ABSTAINED
    assert len(heard) == 21 and {len(answer["emotion"]) for answer in heard.values()} == {12}
    for name, answer in heard.items():
        assert answer["duration"] == pytest.approx(3.0, abs=0.1) and answer["timeline"], name
        if not name.startswith("8000_"):  # the gender of this synthetic voice is unsure without its upper half
            assert answer["gender"]["label"] == heard["16000_1.flac"]["gender"]["label"], name
    for name in ("16000_2.flac", "16000_6.flac", "speech.wav", "float64.wav"):
        assert_close(heard[name]["emotion"], heard["16000_1.flac"]["emotion"], name)
    assert lacking["error"].endswith("AAC and video need FFmpeg: run `pip install av`")
