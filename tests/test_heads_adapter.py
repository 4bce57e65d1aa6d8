"""Claims about the adapter between encoder and heads."""

import pytest
import torch
from samples import TINY_BACKBONES, waveform

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.heads_speecheq import FrameAdapter
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor

LOGITS = ("esc_logits", "eis_logits", "phoneme_logits", "gender_logits")


@pytest.fixture
def adapter() -> FrameAdapter:
    torch.manual_seed(0)
    return FrameAdapter(num_states=3, hidden_size=4, adapter_size=6, num_layers=2, dropout=0.5)


@pytest.fixture
def states() -> list[torch.Tensor]:
    return list(torch.randn(3, 2, 9, 4, generator=torch.Generator().manual_seed(1)) * 3 + 2)


def test_padding_never_changes_a_frame(adapter, states):
    mask = torch.arange(9) < torch.tensor([[5], [9]])
    alone = adapter.eval()([state[:1, :5] for state in states], torch.ones(1, 5, dtype=torch.bool))
    in_batch = adapter(states, mask)
    assert in_batch.shape == (2, 9, 6)
    torch.testing.assert_close(in_batch[:1, :5], alone, atol=1e-6, rtol=0)
    assert (in_batch[0, 5:] == 0).all()


def test_its_estimates_are_of_the_speech_frames_alone(adapter, states):
    mask = torch.arange(9) < torch.tensor([[5], [9]])
    states = [state.masked_fill(~mask[..., None], 1e3) for state in states]
    adapter.train()(states, mask)
    heard = torch.cat(states, dim=-1)[[0, 1, 1], [0, 0, 8]]  # every eighth frame
    torch.testing.assert_close(adapter.standardizer.mean, heard.mean(dim=0))
    assert adapter.standardizer.num_batches == 1
    adapter.eval()(states, mask)
    assert adapter.standardizer.num_batches == 1


def test_in_training_a_channel_is_dropped_from_a_whole_utterance(adapter, states):
    dropped = adapter.train()._drop(torch.ones(2, 9, 6))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[:, :1]).all()


@pytest.mark.parametrize("pooling", ["statistics", "attentive"])
def test_a_model_with_an_adapter_pads_learns_and_saves(tmp_path, pooling):
    torch.manual_seed(0)
    config = SpeechEQConfig(
        backbone_config=TINY_BACKBONES["whisper"],
        adapter_size=8,
        pooling=pooling,
        phoneme_labels=["<blank>", "a"],
        initializer_range=0.5,
    )
    model, processor = SpeechEQModel(config), SpeechEQProcessor.for_config(config)
    assert model.standardizer.mean.shape == (1, 16)
    utterances = [waveform(1.0), waveform(2.5, seed=1)]
    labels = {"esc_labels": torch.eye(12)[:2, None], "phoneme_labels": torch.tensor([[1, 1], [1, -100]])}
    model.train()(**processor(utterances, sampling_rate=16_000), **labels).loss.backward()
    for name, parameter in model.adapter.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
    model.eval().save_pretrained(tmp_path)
    loaded = SpeechEQModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        alone = model(**processor(utterances[0], sampling_rate=16_000))
        batch = loaded(**processor(utterances, sampling_rate=16_000))
    for name in LOGITS:
        frames = alone.phoneme_logits.shape[1]
        found = getattr(batch, name)[:1]
        found = found[:, :frames] if name == "phoneme_logits" else found
        torch.testing.assert_close(found, getattr(alone, name), atol=1e-4, rtol=0)


def test_attention_heads_weigh_their_own_channels():
    config = SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"], adapter_size=8, pooling="attentive")
    pooling = SpeechEQModel(config).pooling
    with torch.no_grad():
        pooling.attention[0].bias.fill_(1.0)
        pooling.attention[1].weight.zero_()
        pooling.attention[1].weight[0, 0] = 50.0  # the first head attends to frames with a large first channel
        pooling.attention[1].bias.zero_()
    frames = torch.zeros(1, 4, 8)
    frames[0, 2] = torch.tensor([9.0, 1, 1, 1, 1, 1, 1, 1])
    mean = pooling([frames], torch.ones(1, 4, dtype=torch.bool))[0, 0, :8]
    torch.testing.assert_close(mean, torch.tensor([9.0, 1, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25]), atol=1e-3, rtol=0)
