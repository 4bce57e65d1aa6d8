"""Claims about training on several processes: the same rows in each step, and the same loss as one process."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from samples import MINI_SEQD, ROOT, TINY_BACKBONES

from speecheq.train import find_checkpoint
from speecheq.training.batches import BalancedLengthSampler

TASK_LOSSES = ("esc_loss", "eis_loss", "phoneme_loss", "gender_loss")


def train(folder: Path, processes: int) -> list[dict]:
    """Return the log of each step of a run of three epochs with 7 steps of 16 rows."""
    recipe = {
        "dataset": MINI_SEQD, "output_dir": str(folder / "run"), "backbone_config": TINY_BACKBONES["whisper"],
        "num_train_epochs": 3, "per_device_train_batch_size": 16 // processes, "dataloader_drop_last": True,
        "learning_rate": "5e-3", "head_dropout": 0.0, "augment_probability": 0.5, "logging_steps": 1,
        "eval_strategy": "no", "load_best_model_at_end": False,
    }  # fmt: skip
    folder.mkdir()
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"] if processes > 1 else []
    )
    done = subprocess.run(
        [sys.executable, *launcher, str(ROOT / "train.py"), str(folder / "recipe.yaml")],
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    state = json.loads((Path(find_checkpoint(folder / "run/checkpoints")) / "trainer_state.json").read_text())
    return [entry for entry in state["log_history"] if "loss" in entry]


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one_with_the_same_global_batch(tmp_path):
    one, two = train(tmp_path / "one", 1), train(tmp_path / "two", 2)

    assert [entry["step"] for entry in one] == [entry["step"] for entry in two] == list(range(1, 22))
    assert one[0]["loss"] > 1.05 * one[-1]["loss"]  # the loss falls, so equal losses are not trivial
    for expected, found in zip(one, two, strict=True):
        for name in ("loss", "grad_norm", *TASK_LOSSES):
            assert found[name] == pytest.approx(expected[name], rel=1e-3), (name, expected["step"])


def test_the_processes_share_out_each_batch_of_one_process_long_and_short_rows_alike():
    lengths = np.random.default_rng(0).uniform(1, 9, size=101)
    alone = list(BalancedLengthSampler(lengths, np.ones(101), 12, seed=3))
    shared = list(BalancedLengthSampler(lengths, np.ones(101), 12, seed=3, num_processes=3))

    for start in range(0, 96, 12):
        batch = alone[start : start + 12]
        assert shared[start : start + 12] == batch[0::3] + batch[1::3] + batch[2::3]
    assert shared[96:] == alone[96:]
