"""One short run on the mini SEQD, shared by the tests that need a trained folder."""

from pathlib import Path

import pytest
import yaml
from datasets import load_dataset
from samples import MINI_SEQD, TINY_BACKBONES, write_seqd

from speecheq.train import main


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
