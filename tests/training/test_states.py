"""Claims about the cached statistics and states of a frozen encoder."""

from itertools import chain

import numpy as np
import pytest
import torch
from datasets import Audio
from samples import MINI_SEQD, TINY_BACKBONES

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training import states as features
from speecheq.training.batches import Collator, SpeechDataset
from speecheq.training.seqd import load_seqd
from speecheq.training.states import EncoderStates, utterance_statistics


def build(seed: int = 0) -> SpeechEQModel:
    torch.manual_seed(seed)
    return SpeechEQModel(SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"])).eval()


@pytest.fixture(scope="module")
def model() -> SpeechEQModel:
    return build()


@pytest.fixture(scope="module")
def rows():
    """Seven utterances, not sorted by length."""
    chosen = load_seqd(MINI_SEQD)["validation"].select(range(7))
    assert list(chosen["duration"]) != sorted(chosen["duration"])
    return chosen


@pytest.fixture
def batches(monkeypatch) -> list[list[int]]:
    """Record the rows of each encoded batch; parts have three utterances."""
    heard, encode = [], features._encode

    def counted(backbone, pooling, extractor, items, batch):
        heard.append(batch.tolist())
        return encode(backbone, pooling, extractor, items, batch)

    monkeypatch.setattr(features, "_encode", counted)
    monkeypatch.setattr(features, "ROWS_PER_PART", 3)
    return heard


def test_the_statistics_are_those_of_the_model_in_the_order_of_the_rows(model, rows):
    processor = SpeechEQProcessor.for_config(model.config)
    items = SpeechDataset(rows)
    with torch.no_grad():
        alone = [model(**processor(items[row]["waveform"], sampling_rate=16_000)).statistics for row in range(7)]
    for batch_size in (1, 4):
        together = utterance_statistics(model.backbone, model.pooling, rows, batch_size=batch_size)
        assert together.shape == (7, 3, 32)
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_a_killed_run_goes_on_behind_its_last_part(model, rows, batches, tmp_path, monkeypatch):
    whole = utterance_statistics(model.backbone, model.pooling, rows, batch_size=2)
    assert [len(batch) for batch in batches] == [2, 1, 2, 1, 1]
    lengths = np.array(rows["duration"])[list(chain(*batches))]
    assert (lengths[1:] >= lengths[:-1]).all()  # sorted by length

    batches.clear()
    counted = features._encode

    def killed(*arguments):
        if len(batches) == 3:
            raise KeyboardInterrupt
        return counted(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(features, "_encode", killed)
        utterance_statistics(model.backbone, model.pooling, rows, tmp_path, batch_size=2)
    (folder,) = tmp_path.iterdir()
    assert [path.name for path in folder.iterdir()] == ["0000000.npy"]
    (folder / "0000003.1.partial.npy").write_bytes(b"torn")

    batches.clear()
    resumed = utterance_statistics(model.backbone, model.pooling, rows, tmp_path, batch_size=2)
    assert [len(batch) for batch in batches] == [2, 1, 1]
    torch.testing.assert_close(resumed, whole, atol=0, rtol=0)
    assert {path.name for path in folder.iterdir()} >= {"0000000.npy", "0000003.npy", "0000006.npy"}


def test_the_same_encoder_does_not_hear_the_same_audio_twice(model, rows, batches, tmp_path):
    first = utterance_statistics(model.backbone, model.pooling, rows, tmp_path)
    batches.clear()
    again = utterance_statistics(build().backbone, model.pooling, rows.remove_columns("text"), tmp_path)
    assert batches == []
    torch.testing.assert_close(again, first, atol=0, rtol=0)


def test_audio_in_a_file_is_the_same_audio(model, rows, batches, tmp_path):
    first = utterance_statistics(model.backbone, model.pooling, rows, tmp_path / "cache")
    batches.clear()
    paths = []
    for number, audio in enumerate(rows["audio"]):
        paths.append(str(tmp_path / f"{number}.flac"))
        (tmp_path / f"{number}.flac").write_bytes(audio["bytes"])
    outside = rows.remove_columns("audio").add_column("audio", paths).cast_column("audio", Audio(decode=False))
    again = utterance_statistics(model.backbone, model.pooling, outside, tmp_path / "cache")
    assert batches == []
    torch.testing.assert_close(again, first, atol=0, rtol=0)


@pytest.mark.parametrize("other", ["weights", "rows", "order"])
def test_another_encoder_or_other_audio_has_a_place_of_its_own(model, rows, batches, tmp_path, other):
    encoder = build(seed=1) if other == "weights" else model
    chosen = {"rows": rows.select(range(3)), "order": rows.select([1, 0, *range(2, 7)])}.get(other, rows)
    first = utterance_statistics(model.backbone, model.pooling, rows, tmp_path)
    batches.clear()
    second = utterance_statistics(encoder.backbone, model.pooling, chosen, tmp_path)
    assert len(list(chain(*batches))) == len(chosen)
    assert len(list(tmp_path.iterdir())) == 2
    if other in ("rows", "order"):
        expected = first[:3] if other == "rows" else first[[1, 0, *range(2, 7)]]
        torch.testing.assert_close(second, expected, atol=1e-4, rtol=1e-4)
    else:
        assert not torch.allclose(second, first, atol=1e-2)


def test_kept_states_give_what_the_audio_gives(model, rows, tmp_path):
    states = EncoderStates(model.backbone, tmp_path)
    states.fill(rows, batch_size=3)
    processor = SpeechEQProcessor.for_config(model.config)
    collate = Collator(processor, model.config)
    kept = collate([SpeechDataset(rows, states=states)[row] for row in range(7)])
    heard = collate([SpeechDataset(rows)[row] for row in range(7)])
    assert kept["encoder_states"].dtype == torch.float16
    assert "input_features" not in kept
    for batch in (kept, heard):
        batch.pop("speakers")
    with torch.no_grad():
        from_kept, from_heard = model(**kept), model(**heard)
    assert from_kept.frame_lengths.tolist() == from_heard.frame_lengths.tolist()
    spoken = kept["attention_mask"].bool()
    for output in (from_kept, from_heard):
        output.phoneme_logits = output.phoneme_logits[spoken]
    for name in ("loss", "esc_logits", "phoneme_logits", "statistics"):
        torch.testing.assert_close(from_kept[name], from_heard[name], atol=5e-3, rtol=5e-3)


def test_states_are_made_once_whatever_rows_ask_for_them(model, rows, tmp_path, monkeypatch):
    heard, encode = [], features.encode

    def counted(backbone, inputs, lengths):
        heard.append(len(inputs))
        return encode(backbone, inputs, lengths)

    monkeypatch.setattr(features, "encode", counted)
    EncoderStates(model.backbone, tmp_path).fill(rows.select(range(4)), batch_size=2)
    EncoderStates(build().backbone, tmp_path).fill(rows, batch_size=2)
    EncoderStates(model.backbone, tmp_path).fill(rows)
    assert heard == [2, 2, 2, 1]
    EncoderStates(build(seed=1).backbone, tmp_path).fill(rows.select([0]))
    assert heard == [2, 2, 2, 1, 1]
