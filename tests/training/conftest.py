"""One short run on the mini SEQD, for the tests that need a trained folder, and small experiments."""

from pathlib import Path

import pytest
import torch
import yaml
from datasets import load_dataset
from samples import MINI_SEQD, TINY_BACKBONES, write_seqd
from transformers import WhisperConfig, WhisperModel

from speecheq.evaluation import experiment
from speecheq.train import main

EXPERIMENT = {
    "dataset": MINI_SEQD, "protocol": "speaker-kfold", "folds": 3, "corpora": ["synthetic"], "seeds": [0, 1],
    "known_utterances": [0, 2, -1], "enrolments": [0, 3], "head_hidden_size": 8, "steps": 9,
}  # fmt: skip


@pytest.fixture(scope="session")
def one_speaker(tmp_path_factory) -> str:
    """A SEQD of one speaker: all of it is train."""
    rows = load_dataset(MINI_SEQD, "all", split="train")
    speakers = rows["speaker_id"]
    first = rows.select([index for index, speaker in enumerate(speakers) if speaker == speakers[0]])
    return write_seqd(tmp_path_factory.mktemp("one_speaker") / "seqd", {"train": first})


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> tuple[Path, dict[str, float]]:
    """Folder and test scores of a run of one epoch."""
    folder = tmp_path_factory.mktemp("trained")
    recipe = {
        "dataset": MINI_SEQD, "backbone_config": TINY_BACKBONES["whisper"], "num_train_epochs": 1,
        "output_dir": str(folder / "run"), "head_hidden_size": 8, "pooling": "attentive",
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "run", main([str(folder / "recipe.yaml")])


@pytest.fixture(scope="session")
def places(tmp_path_factory) -> dict[str, str]:
    """A tiny encoder with random weights, and where its statistics are kept."""
    folder = tmp_path_factory.mktemp("frozen")
    torch.manual_seed(0)
    WhisperModel(WhisperConfig(**TINY_BACKBONES["whisper"])).save_pretrained(folder / "encoder")
    return {"backbone": str(folder / "encoder"), "cache": str(folder / "cache")}


@pytest.fixture
def run(places, tmp_path):
    """Runs an experiment in a folder of this name."""

    def run(name: str, *options: str, **changes) -> list[dict]:
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(EXPERIMENT | places | {"output_dir": str(tmp_path / name)} | changes))
        return experiment.main([str(path), *options])

    return run
