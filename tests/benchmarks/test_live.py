from pathlib import Path

import live
import numpy as np
import pytest
import soundfile
from samples import tiny_pipeline, utterances, waveform

RATE = 16_000


@pytest.fixture
def recordings(tmp_path) -> list[Path]:
    files = [tmp_path / "speech" / name for name in ("a.wav", "b.flac")]
    files[0].parent.mkdir()
    for seed, file in enumerate(files):
        quiet = np.zeros(RATE // 4, np.float32)
        soundfile.write(file, np.concatenate([quiet, waveform(0.5, seed), quiet]), RATE)
    return files


def event(name: str, start: float, end: float = 0.0) -> dict:
    return {"event": name, "start": start, "end": end, "label": "sad"}


def test_recordings_follow_each_other_with_pauses_and_the_moments_of_their_speech(recordings, tmp_path):
    spans = live.write_audio(tmp_path / "made.flac", recordings, minutes=5 / 60)

    made, rate = soundfile.read(tmp_path / "made.flac", dtype="float32")
    assert (rate, len(made)) == (RATE, 5 * RATE)
    assert spans == [pytest.approx((0.25, 0.75), abs=0.01), pytest.approx((1.75, 2.25), abs=0.01)]
    assert not made[RATE : int(1.7 * RATE)].any() and not made[3 * RATE :].any()


def test_chunks_have_other_sizes_each_minute(tmp_path):
    soundfile.write(tmp_path / "made.flac", np.zeros(200 * RATE), RATE)
    sizes = [len(chunk) / RATE for chunk in live.chunks_of(tmp_path / "made.flac")]
    assert sum(sizes) == pytest.approx(200) and sizes == [0.02] * 3000 + [2.0] * 30 + [0.1] * 600 + [0.5] * 40


def test_latencies_are_from_the_speech_to_the_next_answers():
    events = [
        (1.3, 0.1, event("speech", 0.9)), (1.6, 0.1, event("provisional", 0.9, 1.5)),
        (2.1, 0.1, event("provisional", 0.9, 2.0)), (2.4, 0.1, event("segment", 0.9, 2.1)),
        (9.0, 2.0, event("provisional", 7.0, 8.0)), (9.0, 2.0, event("segment", 7.0, 8.0)),
    ]  # fmt: skip
    first, last = live.latencies(events, [(1.0, 2.0), (7.0, 8.0)])  # chunks of 2 s do not count
    assert (first, last) == ([pytest.approx(0.6)], [pytest.approx(0.4)])


def test_timelines_are_compared_by_times_and_labels():
    assert live.different([event("segment", 1, 2), event("segment", 3, 4)], [event("segment", 1, 2)]) == 1
    assert live.different([event("segment", 1, 2)], [event("segment", 1, 2) | {"score": 0.5}]) == 0


def test_the_command_measures_a_model_and_finds_the_segments_of_the_file(tmp_path, monkeypatch, capsys):
    pytest.importorskip("silero_vad")
    tiny = tiny_pipeline()
    tiny._preprocess_params["sampling_rate"] = RATE
    monkeypatch.setattr("transformers.pipeline", lambda **given: tiny)
    (tmp_path / "speech").mkdir()
    soundfile.write(tmp_path / "speech/a.wav", np.concatenate(utterances(5)), RATE)
    options = ["--speech", str(tmp_path / "speech"), "--minutes", "0.5", "--streams", "2", "--seconds", "1"]
    live.main(["model", *options])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| live stream |") and "segments that differ from the file pipeline" in "".join(lines)
    assert next(line for line in lines if "differ" in line).endswith("| 0 | 0 |")


def test_a_folder_without_recordings_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        live.main(["model", "--speech", str(tmp_path)])
    assert "--speech must be a folder with wav, flac, ogg, opus or mp3 files; got" in capsys.readouterr().err
