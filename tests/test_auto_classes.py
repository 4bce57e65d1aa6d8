"""Claims about `trust_remote_code`: a saved folder, and the repository itself, work if `speecheq` cannot be imported."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fresh_process import run
from samples import ROOT, TINY_BACKBONES, waveform

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.saving import save_for_hub

LOGITS = ("esc_logits", "eis_logits", "phoneme_logits", "gender_logits")


@pytest.fixture(params=["whisper", "wav2vec2", "wav2vec2-bert", "whisper in 8 bits"])
def saved(request, tmp_path) -> tuple[SpeechEQModel, SpeechEQProcessor, Path]:
    torch.manual_seed(0)
    name, small, _ = request.param.partition(" in ")
    config = SpeechEQConfig(backbone_config=dict(TINY_BACKBONES[name]), phoneme_labels=["<blank>", "a"])
    model = SpeechEQModel(config).eval()
    processor = SpeechEQProcessor.for_config(model.config)
    folder = save_for_hub(model, processor, tmp_path / "saved", int8_weights=bool(small))
    return (SpeechEQModel.from_pretrained(folder).eval() if small else model), processor, folder


def test_the_auto_classes_give_the_same_logits_without_speecheq(saved, tmp_path):
    model, processor, folder = saved
    audio = waveform(1.0)
    np.save(tmp_path / "audio.npy", audio)
    code = f"""
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
assert config.phoneme_labels == ["<blank>", "a"] == processor.phoneme_labels
audio = np.load("audio.npy")
inputs = processor(audio, sampling_rate=16000)
same = extractor(audio, sampling_rate=16000)
assert all(inputs[name].equal(same[name]) for name in same)
with torch.no_grad():
    output = model(**inputs)
np.savez("logits.npz", **{{name: getattr(output, name).numpy() for name in {LOGITS!r}}})
print([type(thing).__module__.split(".")[0] for thing in (model, processor, extractor)])
"""
    result = run(code, folder, tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "['transformers_modules', 'transformers_modules', 'transformers_modules']" in result.stdout
    with torch.no_grad():
        expected = model(**processor(audio, sampling_rate=16_000))
    logits = np.load(tmp_path / "logits.npz")
    for name in LOGITS:
        np.testing.assert_allclose(logits[name], getattr(expected, name).numpy(), atol=1e-5)


@pytest.mark.parametrize("source_is_gone", [False, True])
def test_save_pretrained_of_the_auto_classes_gives_a_folder_that_pipeline_opens(
    tmp_path, whisper_config, source_is_gone
):
    model = SpeechEQModel(SpeechEQConfig(backbone_config=whisper_config, phoneme_labels=["<blank>", "a"]))
    folder = save_for_hub(model, SpeechEQProcessor.for_config(model.config), tmp_path / "source", int8_weights=True)
    code = f"""
import shutil
from transformers import AutoModelForAudioClassification
models = {{}}
for auto in (AutoModel, AutoModelForAudioClassification):
    models[auto.__name__] = auto.from_pretrained(folder, trust_remote_code=True)
models["own"] = AutoModelForAudioClassification.from_pretrained(
    folder, trust_remote_code=True, num_labels=2, ignore_mismatched_sizes=True)
if {source_is_gone}:
    shutil.rmtree(folder)
for name, model in models.items():
    model.save_pretrained(name)
"""
    result = run(code, folder, tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    if source_is_gone:
        assert (
            "AutoModel has no code of processor and pipeline, so that `pipeline(model='AutoModel')` fails"
            in result.stderr
        )
        return
    shutil.rmtree(folder)
    code = """
from transformers import pipeline
for name in ("AutoModel", "AutoModelForAudioClassification"):
    print(len(pipeline(model=name, trust_remote_code=True)((np.ones(16000, np.float32) / 10, 16000), vad=False)["emotion"]))
for name in ("AutoModel", "AutoModelForAudioClassification", "own"):
    pipe = pipeline("audio-classification", model=name, trust_remote_code=True)
    print(len(pipe(np.ones(16000, np.float32) / 10, top_k=None)))
"""
    (elsewhere := tmp_path / "elsewhere").mkdir()
    for name in ("AutoModel", "AutoModelForAudioClassification", "own"):
        (tmp_path / name).rename(elsewhere / name)
    result = run(code, folder, elsewhere)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split() == ["12", "12", "12", "12", "2"]


def test_save_pretrained_keeps_a_processor_and_pushes_what_it_saves(tmp_path, whisper_config, monkeypatch):
    model = SpeechEQModel(SpeechEQConfig(backbone_config=whisper_config))
    processor = SpeechEQProcessor(SpeechEQProcessor.for_config(model.config).feature_extractor, ["<blank>", "own"])
    processor.save_pretrained(tmp_path / "model")
    pushed = []
    monkeypatch.setattr(
        SpeechEQModel, "push_to_hub", lambda self, repo_id, **options: pushed.append((repo_id, options))
    )
    model.save_pretrained(tmp_path / "model", push_to_hub=True, private=True)
    model.save_pretrained(tmp_path / "model")

    kept = json.loads((tmp_path / "model" / "processor_config.json").read_text())
    assert kept["phoneme_labels"] == ["<blank>", "own"]
    assert {path.name for path in (tmp_path / "model").glob("*.py")} == {
        path.name for path in ROOT.glob("*_speecheq.py")
    }
    assert pushed == [("model", {"token": None, "private": True})]


def test_the_repository_root_loads_as_it_lies(tmp_path):
    code = """
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
model = AutoModel.from_config(config, trust_remote_code=True).eval()
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
assert extractor.to_dict() == processor.feature_extractor.to_dict()
output = model(**processor(np.ones(8000, np.float32) / 10, sampling_rate=16000))
print(output.esc_logits.shape, output.phoneme_logits.shape[-1] == len(config.phoneme_labels))
"""
    result = run(code, ROOT, tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "torch.Size([1, 12]) True" in result.stdout


@pytest.mark.parametrize("place", ["file", "argument"])
def test_a_misspelt_field_is_named(place, whisper_config, tmp_path):
    model = SpeechEQModel(SpeechEQConfig(backbone_config=whisper_config))
    folder = save_for_hub(model, SpeechEQProcessor.for_config(model.config), tmp_path / "saved")
    argument = ", poolin='attentive'" if place == "argument" else ""
    if place == "file":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"poolin": "attentive"}))
    result = run(f"AutoModel.from_pretrained(folder, trust_remote_code=True{argument})", folder, tmp_path)
    assert result.returncode != 0
    assert "'poolin'" in result.stderr.splitlines()[-1]
