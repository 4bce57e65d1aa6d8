from pathlib import Path

import memory
import numpy as np
import pytest
import soundfile
from samples import tiny_pipeline, waveform

from speecheq.training.saving import save_for_hub


@pytest.fixture
def recordings(tmp_path) -> list[Path]:
    files = [tmp_path / "speech" / name for name in ("a.wav", "b.flac")]
    for seed, file in enumerate(files):
        file.parent.mkdir(exist_ok=True)
        soundfile.write(file, waveform(0.5, seed), 16_000)
    return files


def test_recordings_follow_each_other_with_pauses_until_it_is_long_enough(recordings, tmp_path):
    memory.make_recording(tmp_path / "made.flac", recordings, minutes=4 / 60, pause=1.0)

    made, rate = soundfile.read(tmp_path / "made.flac", dtype="float32")
    assert (rate, len(made)) == (16_000, 64_000)
    for start, seed in ((0, 0), (24_000, 1), (48_000, 0)):
        np.testing.assert_allclose(made[start : start + 8_000], waveform(0.5, seed), atol=1e-4)
        assert not made[start + 8_000 : start + 24_000].any()


def test_the_command_prints_memory_and_its_ratio_for_each_kind_of_recording(recordings, monkeypatch, capsys):
    peaks = iter([500.0, 600.0, 500.0, 550.0])
    monkeypatch.setattr(memory, "listen", lambda model, path: memory.Measurement(next(peaks), 12.0, 120.0, 90.0, 7))

    memory.main(["model", "--speech", str(recordings[0].parent), "--minutes", "0.01", "0.02"])

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[2:] == [
        ["with", "pauses", "0.01", "500", "6.00", "1.5", "7"],
        ["with", "pauses", "0.02", "600", "6.00", "1.5", "7"],
        ["with", "pauses", "ratio", "1.20"],
        ["without", "0.01", "500", "6.00", "1.5", "7"],
        ["without", "0.02", "550", "6.00", "1.5", "7"],
        ["without", "ratio", "1.10"],
    ]


def test_a_folder_without_recordings_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        memory.main(["model", "--speech", str(tmp_path)])
    assert "--speech must be a folder with wav, flac, ogg, opus or mp3 files; got" in capsys.readouterr().err


@pytest.mark.slow
def test_a_fresh_process_without_speecheq_is_measured(recordings, tmp_path):
    tiny = tiny_pipeline()
    model = save_for_hub(tiny.model, tiny.processor, tmp_path / "model")
    memory.make_recording(tmp_path / "made.flac", recordings, minutes=0.2, pause=0.5)

    heard = memory.listen(str(model), tmp_path / "made.flac")

    assert 200 < heard.peak < 1_500 and heard.seconds > 0
    assert heard.duration == 12.0 and 0 <= heard.speech <= 12.0


def test_a_model_that_fails_shows_what_it_wrote(monkeypatch):
    monkeypatch.setattr(memory, "LISTEN", "import sys; sys.exit('no model ' + sys.argv[1])")
    with pytest.raises(RuntimeError, match=r"memory: gone must predict for made.flac; got 1\.\nno model gone"):
        memory.listen("gone", Path("made.flac"))
