"""One short run on the mini SEQD, shared by the tests that need a trained folder."""

from pathlib import Path

import pytest
import yaml
from samples import MINI_SEQD, TINY_BACKBONES

from speecheq.train import main


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
