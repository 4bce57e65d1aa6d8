"""Fixtures with a small root: a tiny model with a card, and a Space for it."""

import shutil
from pathlib import Path

import pytest
import torch
from samples import ROOT, TINY_BACKBONES

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.saving import save_for_hub

CARD = """---
library_name: transformers
pipeline_tag: audio-classification
license: cc-by-nc-sa-4.0
language:
- pl
- en
tags:
- speech-emotion-recognition
model-index:
- name: SpeechEQ
  results:
  - task: {type: audio-classification}
    dataset: {type: seqd, name: SEQD}
    metrics:
    - {type: uar, value: 0.5}
---

# SpeechEQ

```python
pipe = pipeline(model=".", trust_remote_code=True)
model = AutoModel.from_pretrained(".", trust_remote_code=True)
```

![Confusion](results/confusion.svg) [results](results/README.md) [the page](docs/page.md#classes) [paper](https://arxiv.org/abs/2206.13101)
[above](#speecheq)
"""
SPACE_CARD = """---
title: SpeechEQ
emoji: 🎙️
colorFrom: blue
colorTo: gray
sdk: gradio
sdk_version: 6.0.0
app_file: app.py
license: apache-2.0
models:
- someone/model
---

# SpeechEQ

It shows [someone/model](https://huggingface.co/someone/model).
"""
APP = """import os
from pathlib import Path

from helper import NAME

MODEL = os.environ.get("SPEECHEQ_MODEL", "someone/model")
if not Path(MODEL, "model.safetensors").is_file() or not Path("examples/one.wav").is_file():
    raise FileNotFoundError(MODEL)
Path("written.txt").write_text(NAME)
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def released_root(tmp_path_factory) -> Path:
    """The root that the tests copy."""
    torch.manual_seed(0)
    model = SpeechEQModel(SpeechEQConfig(backbone_config=dict(TINY_BACKBONES["whisper"])))
    folder = save_for_hub(model, SpeechEQProcessor.for_config(model.config), tmp_path_factory.mktemp("root") / "root")
    write(
        folder,
        {
            "README.md": CARD,
            "LICENSE": "Apache License",
            "docs/page.md": '# Page\n\n<img src="a%20picture.svg"> [back](../README.md)\n',
            "docs/a picture.svg": "<svg/>",
            "docs/other.md": "# Not linked\n",
            "docs/protocols.md": "# Linked by a page of results/\n",
            "train.py": "raise SystemExit\n",
            "results/README.md": "# Results\n\n[protocols](../docs/protocols.md) [card](../README.md)\n",
            "results/confusion.svg": "<svg/>",
            "results/results.json": "{}",
            "results/.cache/secret.txt": "mine",
            "space/README.md": SPACE_CARD,
            "space/app.py": APP,
            "space/helper.py": 'NAME = "helper"\n',
            "space/requirements.txt": "# with transformers\ntransformers>=5.0  # the model\n\ntorch\n",
            "space/__pycache__/app.pyc": "compiled",
            "space/app.pyi": "of gradio",
        },
    )
    (folder / "space/examples").mkdir()
    shutil.copyfile(ROOT / "tests/speech/angry_high_en.wav", folder / "space/examples/one.wav")
    (folder / "space/examples/ATTRIBUTION.md").write_text("| `one.wav` | synthetic |\n")
    return folder


@pytest.fixture
def root(released_root, tmp_path) -> Path:
    """A copy of the root that a test may change."""
    return shutil.copytree(released_root, tmp_path / "root")
