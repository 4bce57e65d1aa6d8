"""Claims about what the training arguments adapt to the machine."""

import pytest
import torch

from speecheq.training.arguments import SpeechEQTrainingArguments, has_bfloat16_instructions
from speecheq.training.recipes import read_recipe

NOTE = "note: this CPU has no bfloat16 instructions, so bf16 is off: float32 is faster.\n"


@pytest.fixture
def on_cpu_with(monkeypatch):
    """Replace the capabilities of the CPU: `on_cpu_with("avx2")`."""

    def replace(*capabilities: str):
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
        found = dict.fromkeys(capabilities, True)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found | {"amx_int8": False}, raising=False)

    return replace


@pytest.mark.parametrize("capability", ["avx512_bf16", "amx_bf16", "bf16", "sve_bf16"])
def test_bf16_stays_on_with_instructions_for_it(capability, on_cpu_with, tmp_path, capsys):
    on_cpu_with("avx2", capability)
    assert SpeechEQTrainingArguments(str(tmp_path), bf16=True).bf16
    assert capsys.readouterr().out == ""


def test_without_instructions_for_it_bf16_is_off_and_one_note_says_so(on_cpu_with, tmp_path, capsys):
    on_cpu_with("avx2", "avx512_f", "amx_tile")
    arguments = SpeechEQTrainingArguments(str(tmp_path), bf16=True)
    assert not arguments.bf16 and arguments.mixed_precision == "no"
    assert capsys.readouterr().out == NOTE
    assert not SpeechEQTrainingArguments(str(tmp_path), bf16=False).bf16
    assert capsys.readouterr().out == ""


def test_the_recipe_of_a_run_keeps_the_bf16_that_was_given(on_cpu_with, tmp_path):
    on_cpu_with("avx2")
    (tmp_path / "recipe.yaml").write_text("bf16: true\n")
    for options in ([str(tmp_path / "recipe.yaml")], ["--bf16", "true"]):
        arguments, given = read_recipe("train.py", (SpeechEQTrainingArguments,), options)
        assert not arguments.bf16 and given == {"bf16": True}


@pytest.mark.parametrize(
    ("checks", "fast"),
    [
        ({"_is_avx512_bf16_supported": False, "_is_amx_tile_supported": False}, False),
        ({"_is_avx512_bf16_supported": True, "_is_amx_tile_supported": False}, True),
        ({"_is_avx512_bf16_supported": False, "_is_amx_tile_supported": True}, True),
        ({}, False),
    ],
)
def test_an_older_torch_is_asked_by_its_private_checks(checks, fast, monkeypatch):
    for name in ("get_capabilities", "_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    for name, answer in checks.items():
        monkeypatch.setattr(torch.cpu, name, lambda answer=answer: answer, raising=False)
    assert has_bfloat16_instructions() == fast
