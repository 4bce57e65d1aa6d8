"""Fixtures for all tests: the tiny encoders, and the folder of real speech if there is one."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hub_endpoint import HubEndpoint
from samples import SHARED, TINY_BACKBONES

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
