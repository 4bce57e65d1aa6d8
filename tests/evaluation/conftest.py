"""Small experiments on the mini SEQD, with a tiny encoder."""

import pandas as pd
import pytest
import torch
import yaml
from datasets import Dataset
from samples import MINI_SEQD, TINY_BACKBONES
from transformers import WhisperConfig, WhisperModel

from speecheq.evaluation import experiment

EXPERIMENT = {
    "dataset": MINI_SEQD, "protocol": "speaker-kfold", "folds": 3, "corpora": ["synthetic"], "seeds": [0, 1],
    "known_utterances": [0, 2, -1], "enrolments": [0, 3], "head_hidden_size": 8, "steps": 9,
}  # fmt: skip


@pytest.fixture(scope="session")
def places(tmp_path_factory) -> dict[str, str]:
    """A tiny encoder with random weights, and the folder of its statistics."""
    folder = tmp_path_factory.mktemp("frozen")
    torch.manual_seed(0)
    WhisperModel(WhisperConfig(**TINY_BACKBONES["whisper"])).save_pretrained(folder / "encoder")
    return {"backbone": str(folder / "encoder"), "cache": str(folder / "cache")}


@pytest.fixture(scope="session")
def mini() -> tuple[Dataset, pd.DataFrame]:
    """All rows of the mini SEQD, with audio and without."""
    return experiment.load_rows(MINI_SEQD)


@pytest.fixture
def run(places, mini, tmp_path, monkeypatch):
    """Function that runs an experiment in a folder of the given name. The mini SEQD is read once for all experiments."""
    load_rows = experiment.load_rows
    monkeypatch.setattr(
        experiment,
        "load_rows",
        lambda dataset: (mini[0], mini[1].copy()) if dataset == MINI_SEQD else load_rows(dataset),
    )

    def run(name: str, *options: str, **changes) -> list[dict]:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(EXPERIMENT | places | {"output_dir": str(tmp_path / name)} | changes))
        return experiment.main([str(path), *options])

    return run
