"""Claims about the inference benchmark: contestants get the same input, in turns, and the table matches the times."""

import re

import inference
import machine
import numpy as np
import pytest
import soundfile
import torch
from samples import ROOT, tiny_pipeline, waveform

EXAMPLES = ROOT / "space" / "examples"


def test_contestants_take_turns_and_the_first_call_does_not_count(monkeypatch):
    clock, order = [0.0], []
    monkeypatch.setattr(machine.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(machine.time, "sleep", lambda seconds: None)

    def contestant(name, durations):
        def call():
            order.append(name)
            clock[0] += durations.pop(0)

        return call

    found = machine.time_in_turns({"a": contestant("a", [9, 1, 3, 2]), "b": contestant("b", [9, 7, 5, 5])}, repeats=3)

    assert order == ["a", "b"] * 4
    assert found == {"a": 2, "b": 5}


def test_the_machine_is_named():
    assert re.match(r"\d+ cores of .+, \d+ GiB; Python 3\.\d+\.\d+, torch \d+", machine.describe())


def test_speech_is_cut_and_joined_to_a_length(tmp_path):
    for name, value in (("a.wav", 0.1), ("b.wav", 0.2)):
        soundfile.write(tmp_path / name, np.full((8_000, 2), value), 8_000)
    files = inference.speech(tmp_path, 5)

    assert [file.name for file in files] == ["a.wav", "b.wav", "a.wav", "b.wav", "a.wav"]
    assert inference.of_length(files, 0.25).shape == (4_000,)
    assert inference.of_length(files, 1.5)[[8_000, 20_000]] == pytest.approx([0.1, 0.2], abs=0.01)
    assert inference.of_length(files[:1], 3.0).shape == (48_000,)
    with pytest.raises(ValueError, match=r"--audio must be a folder with \.wav, \.flac, .* files; got"):
        inference.speech(tmp_path / "none", 1)


def test_the_stock_classifier_has_the_encoder_of_the_checkpoint_and_hears_30_seconds():
    model, extractor = inference.whisper()
    heard = []
    model.encoder.register_forward_pre_hook(lambda module, given: heard.append(given[0].shape))

    found = inference.stock(model, extractor)([waveform(1.0), waveform(2.0)])

    assert (model.config.d_model, model.config.encoder_layers) == (512, 6)
    assert heard == [(2, 80, 3000)]
    assert found.shape == (2, 7) and found.sum(dim=-1).tolist() == pytest.approx([1, 1])


def test_ours_answers_all_four_tasks():
    pipe = tiny_pipeline()
    esc, eis, gender, phonemes = inference.ours(pipe.model)([waveform(1.0), waveform(2.0)])

    assert esc.shape == (2, 12) and eis.shape == gender.shape == (2,) and len(phonemes) == 2
    assert torch.allclose(esc.sum(dim=-1), torch.ones(2))


def test_all_files_are_answered(monkeypatch):
    heard = []
    inference._all_of(lambda inputs, **options: map(heard.append, inputs), ["a", "b"], batch_size=2)

    assert heard == ["a", "b"]


def test_a_new_process_that_fails_says_why():
    inference._run_script("import speecheq")
    with pytest.raises(RuntimeError, match=r"a new process must succeed; got (.|\n)*no luck"):
        inference._run_script("raise SystemExit('no luck')")


def test_the_tables_and_the_figure_say_the_times(monkeypatch, capsys, tmp_path):
    found = {"one": {"speecheq, ONNX int8": 0.02, "whisper (30 s)": 0.5}, "start": {"import speecheq": 0.1}}
    monkeypatch.setattr(inference, "measure", lambda *arguments: iter(found.items()))

    inference.main(["--figure", str(tmp_path / "one.svg")])

    lines = capsys.readouterr().out.splitlines()
    assert "| speecheq, ONNX int8 | 20.0 | 1.00 |" in lines and "| whisper (30 s) | 500.0 | 25.00 |" in lines
    assert (
        "| a new process to its first answer | s | times the first |" in lines
        and "| import speecheq | 0.1 | 1.00 |" in lines
    )
    drawn = (tmp_path / "one.svg").read_text()
    assert "whisper (30 s)" in drawn and ">500<" in drawn
