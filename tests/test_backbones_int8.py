"""Claims about weights stored as 8-bit integers."""

import json

import pytest
import torch
from safetensors.torch import load_file
from samples import waveform

from speecheq import SpeechEQConfig, SpeechEQModel, SpeechEQProcessor
from speecheq.backbones_speecheq import INT8_SCALE, dequantize, is_quantized, quantize
from speecheq.training.saving import save_for_hub


@pytest.fixture
def model(whisper_config) -> SpeechEQModel:
    torch.manual_seed(0)
    return SpeechEQModel(SpeechEQConfig(backbone_config=whisper_config, phoneme_labels=["<blank>", "a"])).eval()


@pytest.fixture
def stored(model, tmp_path):
    """Folder of the model with 8-bit weights."""
    return save_for_hub(model, SpeechEQProcessor.for_config(model.config), tmp_path / "stored", int8_weights=True)


def test_each_row_has_its_own_step_and_its_largest_value_is_kept():
    weights = {
        "matrix": torch.tensor([[127.0, -63.4], [0.5, 0.25]]),
        "vector": torch.ones(2),
        "buffer": torch.ones(2, 2),
    }
    small = quantize(weights, parameters={"matrix", "vector"})
    assert small["matrix"].tolist() == [[127, -63], [127, 64]]
    torch.testing.assert_close(small["matrix" + INT8_SCALE], torch.tensor([1.0, 0.5 / 127]))
    assert (small["vector"].dtype, small["buffer"].dtype) == (torch.float16, torch.float32)
    restored = dequantize(small)
    assert set(restored) == set(weights)
    torch.testing.assert_close(restored["matrix"], torch.tensor([[127.0, -63.0], [0.5, 0.25197]]), atol=1e-5, rtol=0)


def test_a_row_of_zeros_stays_one():
    zeros = torch.zeros(2, 3, 4)
    assert dequantize(quantize({"w": zeros}, {"w"}))["w"].equal(zeros)


def test_no_weight_moves_by_more_than_half_a_step(model, stored):
    loaded = SpeechEQModel.from_pretrained(stored).state_dict()
    for name, weight in model.state_dict().items():
        rows = weight.float().reshape(len(weight), -1) if weight.ndim else weight.float().reshape(1, 1)
        half_a_step = rows.abs().amax(dim=1) / 127 / 2
        moved = (loaded[name].float().reshape(rows.shape) - rows).abs().amax(dim=1)
        assert (moved <= half_a_step + 1e-3 * rows.abs().amax(dim=1) + 1e-7).all(), name
        assert loaded[name].dtype == torch.float32


def test_the_file_holds_integers_and_the_configuration_says_so(stored):
    weights = load_file(stored / "model.safetensors")
    matrices = {name for name, weight in weights.items() if weight.dtype == torch.int8}
    assert "backbone.layers.0.fc1.weight" in matrices and "esc_head.classifier.weight" in matrices
    assert weights["backbone.embed_positions.weight"].dtype == torch.float16
    assert json.loads((stored / "config.json").read_text())["int8_weights"] is True


def test_what_was_loaded_is_saved_in_full_and_loads_again(stored, tmp_path):
    loaded = SpeechEQModel.from_pretrained(stored)
    loaded.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text())["int8_weights"] is False
    again = SpeechEQModel.from_pretrained(tmp_path / "again")
    for name, weight in loaded.state_dict().items():
        assert again.state_dict()[name].equal(weight), name


def test_the_file_says_what_it_holds_and_not_the_configuration_that_is_given(model, stored, tmp_path):
    model.save_pretrained(tmp_path / "float")
    assert is_quantized(stored / "model.safetensors") and not is_quantized(tmp_path / "float" / "model.safetensors")
    assert model.config.int8_weights is False
    restored = SpeechEQModel.from_pretrained(stored, config=model.config)
    weight = model.esc_head.classifier.weight
    torch.testing.assert_close(restored.esc_head.classifier.weight, weight, atol=1e-3, rtol=0)


def test_arguments_of_from_pretrained_still_count(stored):
    model, info = SpeechEQModel.from_pretrained(
        stored, head_dropout=0.25, dtype=torch.bfloat16, output_loading_info=True
    )
    assert model.config.head_dropout == 0.25
    assert model.esc_head.classifier.weight.dtype == torch.bfloat16
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with pytest.raises(TypeError, match="'head_dropuot'"):
        SpeechEQModel.from_pretrained(stored, head_dropuot=0.25)


def test_the_answers_stay_close(model, stored):
    inputs = SpeechEQProcessor.from_pretrained(stored)([waveform(0.5)], sampling_rate=16_000)
    loaded = SpeechEQModel.from_pretrained(stored).eval()
    torch.testing.assert_close(loaded(**inputs).esc_logits, model(**inputs).esc_logits, atol=0.02, rtol=0)
