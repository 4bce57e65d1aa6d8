"""Claims about the linear probe."""

import numpy as np
import pytest
import torch
from samples import MINI_SEQD, TINY_BACKBONES
from transformers import WhisperConfig, WhisperModel

from speecheq.backbones_speecheq import backbone_from_pretrained
from speecheq.training.data import load_seqd
from speecheq.training.probe import pooled_states, probe_scores


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    WhisperModel(WhisperConfig(**TINY_BACKBONES["whisper"])).save_pretrained(folder)
    return str(folder)


def test_features_are_in_the_order_of_the_rows_whatever_the_batch(encoder):
    rows = load_seqd(MINI_SEQD)["validation"].select(range(7))
    backbone = backbone_from_pretrained(encoder).eval()
    together, alone = pooled_states(backbone, rows, batch_size=4), pooled_states(backbone, rows, batch_size=1)
    assert together.shape == (7, 3, 32)
    np.testing.assert_allclose(together, alone, atol=1e-4)


def test_the_probe_beats_chance_and_names_its_layer(encoder):
    scores = probe_scores(encoder, load_seqd(MINI_SEQD))
    assert set(scores) == {"synthetic/esc_uar", "synthetic/esc_wa", "synthetic/layer"}
    assert scores["synthetic/esc_uar"] > 2 / 6
    assert scores["synthetic/layer"] in (0, 1, 2)
