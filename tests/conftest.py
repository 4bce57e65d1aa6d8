"""Fixtures of all tests: each encoder in turn, and the folder of real speech where there is one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub_endpoint import HubEndpoint
from samples import SHARED, TINY_BACKBONES

os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Tests that run side by side share out the cores, and so do the processes that they start.
threads = max(1, (os.cpu_count() or 1) // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))
os.environ.setdefault("OMP_NUM_THREADS", str(threads))
torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(params=TINY_BACKBONES)
def backbone_config(request) -> dict:
    """The configuration of each supported encoder in turn, tiny."""
    return dict(TINY_BACKBONES[request.param])


@pytest.fixture
def whisper_config() -> dict:
    return dict(TINY_BACKBONES["whisper"])


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real speech and encoders."""
    if not SHARED.is_dir():
        pytest.skip(f"no folder {SHARED}; set SPEECHEQ_SHARED")
    return SHARED


@pytest.fixture(scope="session")
def corpora(shared) -> Path:
    """The folder that holds the real corpora, one folder each."""
    return shared / "corpora"


@pytest.fixture(scope="session")
def hub_endpoint() -> Iterator[HubEndpoint]:
    """A Hub on this machine, for clients in processes of their own: `env=hub_endpoint.environment(tmp_path)`."""
    with HubEndpoint() as endpoint:
        yield endpoint
