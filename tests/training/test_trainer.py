"""Claims about tuning, scoring and the Trainer."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import PeftModel
from samples import MINI_SEQD, TINY_BACKBONES, waveform
from transformers import TrainingArguments

from speecheq.backbones_speecheq import encoder_layers
from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.seqd import load_seqd, phoneme_inventory
from speecheq.training.trainer import SpeechEQTrainer, prepare_tuning, score


def build(backbone_config: dict, **fields) -> SpeechEQModel:
    torch.manual_seed(0)
    return SpeechEQModel(SpeechEQConfig(backbone_config=backbone_config, **fields))


def learning(model) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_frozen_leaves_the_encoder_alone(backbone_config):
    names = learning(prepare_tuning(build(backbone_config), "frozen"))
    assert names and not any(name.startswith("backbone") for name in names)


def test_full_with_frozen_layers_trains_the_last_ones(backbone_config):
    model = prepare_tuning(build(backbone_config), "full", frozen_layers=1)
    first, last = encoder_layers(model.backbone)
    assert not any(parameter.requires_grad for parameter in first.parameters())
    assert all(parameter.requires_grad for parameter in last.parameters())


def test_lora_reaches_every_adapter_and_all_heads(backbone_config):
    fields = {"uncertainty_weighting": True, "shallow_states": 2, "head_dropout": 0.0}
    model = prepare_tuning(build(backbone_config, **fields), "lora", lora_rank=2)
    processor = SpeechEQProcessor.for_config(model.config)
    inputs = processor([waveform(0.5), waveform(1.0)], sampling_rate=16_000)
    labels = {"esc_labels": torch.eye(12)[:2], "eis_labels": torch.tensor([[0.3, 0.3], [1.0, 1.0]]),
              "gender_labels": torch.tensor([0, 1]), "phoneme_labels": torch.full((2, 1), -100)}  # fmt: skip
    for name, parameter in model.named_parameters():  # B is zero at first, so A would have no gradient
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    model(**inputs, **labels).loss.backward()
    adapters = [name for name in learning(model) if "lora_A" in name]
    assert adapters
    for name, parameter in model.named_parameters():
        if "lora_A" in name:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    heads = ("esc_head", "eis_head", "phoneme_head", "gender_head", "shallow_head", "uncertainty_weights")
    assert all(any(head in name for name in learning(model)) for head in heads)


def test_a_merged_lora_model_answers_as_the_adapted_one(whisper_config):
    model = prepare_tuning(build(whisper_config), "lora")
    assert isinstance(model, PeftModel)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.eval()
    inputs = SpeechEQProcessor.for_config(model.config)(waveform(1.0), sampling_rate=16_000)
    with torch.no_grad():
        adapted = model(**inputs).esc_logits
        torch.testing.assert_close(model.merge_and_unload()(**inputs).esc_logits, adapted, atol=1e-5, rtol=1e-4)


def test_a_wrong_tuning_is_refused(whisper_config):
    with pytest.raises(ValueError, match="tuning must be one of frozen, lora, full; got 'half'"):
        prepare_tuning(build(whisper_config), "half")
    with pytest.raises(ValueError, match=r"frozen_layers must lie in \[0, 2\] with tuning full; got 3"):
        prepare_tuning(build(whisper_config), "full", frozen_layers=3)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\] with tuning lora; got 2\. .* use tuning frozen"):
        prepare_tuning(build(whisper_config), "lora", frozen_layers=2)


def test_all_four_tasks_are_scored_with_literal_values(whisper_config):
    config = SpeechEQConfig(backbone_config=whisper_config)
    rows = Dataset.from_dict(
        {
            "corpus": ["x", "x", "x", "y"],
            "esc": [["angry"], ["angry"], ["happy", "excited"], ["sad"]],
            "native_label": ["A", "A", "H", "S"],
            "eis_low": [0.0, 0.5, 1.0, None],
            "eis_high": [0.0, 0.5, 1.0, None],
            "phonemes": [["a", "b"], None, None, ["a"]],
            "gender": ["female", "male", "male", None],
        }
    )
    esc = np.zeros((4, 12))
    esc[0, 0], esc[1, 11], esc[2, 11], esc[3, 0] = 1, 1, 1, 1
    predictions = (esc, np.array([0.0, 0.5, 1.0, 0.3]), [["a"], [], [], ["a"]], np.array([0, 1, 0, 0]))
    scores = score(predictions, rows, config, decode_phonemes=list)
    assert scores["x/esc_uar"] == pytest.approx((0.5 + 1) / 2)
    assert scores["x/esc_wa"] == pytest.approx(2 / 3)
    assert scores["x/eis_ccc"] == pytest.approx(1)
    assert scores["phoneme_per"] == pytest.approx(1 / 3)
    assert scores["gender_uar"] == pytest.approx((1 + 0.5) / 2)


def test_training_moves_every_part_and_logs_every_task(tmp_path):
    splits = load_seqd(MINI_SEQD)
    small = {name: rows.select(range(12)) for name, rows in splits.items()}
    config = TINY_BACKBONES["whisper"]
    model = build(config, phoneme_labels=phoneme_inventory(splits["train"]))
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    arguments = TrainingArguments(
        str(tmp_path), max_steps=3, per_device_train_batch_size=4, logging_steps=1, learning_rate=1e-2,
        report_to="none", dataloader_pin_memory=False, eval_strategy="steps", eval_steps=3, save_strategy="no",
    )  # fmt: skip
    processor = SpeechEQProcessor.for_config(model.config)
    trainer = SpeechEQTrainer(
        model, arguments, processor, train_rows=small["train"], eval_rows=small["validation"],
        backbone_learning_rate=1e-3,
    )  # fmt: skip
    trainer.train()
    frozen = {"backbone.embed_positions.weight"}
    still = {name for name, parameter in model.named_parameters() if parameter.equal(before[name])}
    assert still <= frozen
    first = trainer.state.log_history[0]
    assert {"esc_loss", "eis_loss", "phoneme_loss", "gender_loss"} <= first.keys()
    total = sum(first[f"{task}_loss"] for task in ("esc", "eis", "phoneme", "gender"))
    assert first["loss"] == pytest.approx(total, rel=1e-3)
    evaluation = next(entry for entry in trainer.state.log_history if "eval_loss" in entry)
    assert {"eval_esc_uar", "eval_eis_ccc", "eval_phoneme_per", "eval_gender_uar"} <= evaluation.keys()
    rates = {group["initial_lr"] for group in trainer.optimizer.param_groups}
    assert rates == {1e-2, 1e-3}


def test_scores_do_not_depend_on_the_order_of_the_rows(tmp_path):
    rows = load_seqd(MINI_SEQD)["validation"]
    model = build(TINY_BACKBONES["whisper"])
    arguments = TrainingArguments(
        str(tmp_path), report_to="none", dataloader_pin_memory=False, per_device_eval_batch_size=5
    )
    trainer = SpeechEQTrainer(model, arguments, SpeechEQProcessor.for_config(model.config))
    forward = trainer.score_rows(rows)
    backward = trainer.score_rows(rows.select(range(len(rows))[::-1]))
    assert forward.keys() == backward.keys()
    assert forward == pytest.approx(backward, abs=1e-6)
