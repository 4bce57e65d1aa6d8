"""Claims about the heads beyond the tests of the model."""

import pytest
import torch
from samples import TINY_BACKBONES

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.heads_speecheq import OrdinalHead


def test_ordinal_levels_start_equal_and_shift_with_the_location():
    head = OrdinalHead(SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"]))
    first, steps = head.initial_thresholds()
    head.first_threshold.data, head.log_steps.data = first, steps
    statistics = torch.zeros(1, 3, 32)
    torch.nn.init.zeros_(head.classifier.weight)
    torch.nn.init.zeros_(head.classifier.bias)
    torch.testing.assert_close(head.eval()(statistics).exp(), torch.full((1, 5), 0.2))
    head.classifier.bias.data += 30
    extreme = head(statistics)
    assert extreme.exp()[0].tolist() == pytest.approx([0, 0, 0, 0, 1], abs=1e-6)
    assert extreme.isfinite().all()
