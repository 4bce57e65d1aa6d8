"""Claims about `import speecheq`: its cost, and that accessing a class registers all classes."""

import subprocess
import sys

import pytest
from fresh_process import run as run_fresh
from samples import ROOT


def run(code: str) -> str:
    """Return the standard output of code in a new process."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout


def test_neither_the_package_nor_a_build_of_seqd_imports_torch_or_transformers():
    code = (
        "import sys, speecheq, speecheq.dataset_scripts.build.builder\n"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )

    assert run(code) == "[]\n"


def test_touching_any_class_registers_all_four_with_the_auto_classes(tmp_path):
    code = """
from speecheq import SpeechEQProcessor
from transformers import AutoConfig, AutoModel, FEATURE_EXTRACTOR_MAPPING, PROCESSOR_MAPPING
import speecheq
backbone = dict(model_type="whisper", d_model=8, encoder_layers=1, encoder_attention_heads=1, encoder_ffn_dim=8)
config = AutoConfig.for_model("speecheq", backbone_config=backbone)
print(type(AutoModel.from_config(config)) is speecheq.SpeechEQModel, type(config) is speecheq.SpeechEQConfig)
print(FEATURE_EXTRACTOR_MAPPING[type(config)] is speecheq.SpeechEQFeatureExtractor)
print(PROCESSOR_MAPPING[type(config)] is SpeechEQProcessor)
"""

    assert run_fresh(code, ROOT, tmp_path, speecheq=True).stdout == "True True\nTrue\nTrue\n"


def test_a_name_that_does_not_exist_is_named():
    import speecheq

    with pytest.raises(AttributeError, match="'SpeechEQModle'"):
        speecheq.SpeechEQModle  # noqa: B018
