"""Fixtures of all tests: each encoder in turn, a trained run, the folder of real speech, and a local Hub."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import yaml
from hub_endpoint import HubEndpoint
from samples import MINI_SEQD, SHARED, TINY_BACKBONES, write_seqd

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Parallel tests and the processes that they start share the cores.
threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))
os.environ.setdefault("OMP_NUM_THREADS", str(threads))
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(params=TINY_BACKBONES)
def backbone_config(request) -> dict:
    """The tiny configuration of each supported encoder."""
    return dict(TINY_BACKBONES[request.param])


@pytest.fixture
def whisper_config() -> dict:
    return dict(TINY_BACKBONES["whisper"])


@pytest.fixture(scope="session")
def one_speaker(tmp_path_factory) -> str:
    """A SEQD of one speaker: every utterance is in train."""
    from datasets import load_dataset

    rows = load_dataset(MINI_SEQD, "all", split="train")
    speakers = rows["speaker_id"]
    first = rows.select([index for index, speaker in enumerate(speakers) if speaker == speakers[0]])
    return write_seqd(tmp_path_factory.mktemp("one_speaker") / "seqd", {"train": first})


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory) -> tuple[Path, dict[str, float]]:
    """Folder and test scores of a run of one epoch on the mini SEQD."""
    from speecheq.train import main

    folder = tmp_path_factory.mktemp("trained")
    recipe = {
        "dataset": MINI_SEQD, "backbone_config": TINY_BACKBONES["whisper"], "num_train_epochs": 1,
        "output_dir": str(folder / "run"), "head_hidden_size": 8, "pooling": "attentive",
    }  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "run", main([str(folder / "recipe.yaml")])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real speech and encoders."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED}; set SPEECHEQ_SHARED")
    return SHARED


@pytest.fixture(scope="session")
def corpora(shared) -> Path:
    """The folder of the real corpora, with one subfolder each."""
    return shared / "corpora"


@pytest.fixture(scope="session")
def hub_endpoint() -> Iterator[HubEndpoint]:
    """A local Hub server, for clients in separate processes: `env=hub_endpoint.environment(tmp_path)`."""
    with HubEndpoint() as endpoint:
        yield endpoint
