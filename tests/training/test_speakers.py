"""Claims about speaker statistics during training."""

import json
from pathlib import Path

import pytest
import torch
import yaml
from datasets import Dataset
from samples import MINI_SEQD, TINY_BACKBONES, waveform
from transformers import TrainingArguments

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.pooling_speecheq import RunningStandardizer, SpeakerStatistics
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.train import find_checkpoint, main
from speecheq.training import speakers
from speecheq.training.seqd import load_seqd
from speecheq.training.speakers import SpeakerMemory, speakers_to_know
from speecheq.training.trainer import SpeechEQTrainer, prepare_tuning


def corpus(mean: float = 5.0, variance: float = 4.0) -> RunningStandardizer:
    """The standardizer of a model with one state of one channel."""
    standardizer = RunningStandardizer(1, 1).eval()
    standardizer.mean.fill_(mean)
    standardizer.variance.fill_(variance)
    return standardizer


def memory(probability: float = 1.0, prior: float = 3.0, heard: list[float] | None = None) -> SpeakerMemory:
    """Make a memory of the speakers a and b, with utterances of b."""
    remembered = SpeakerMemory(["a", "b"], corpus(), prior, probability)
    for value in heard or []:
        remembered.update(["b"], torch.full((1, 1, 1), value))
    return remembered


def test_a_speaker_is_known_who_has_ten_utterances_and_half_of_the_classes():
    utterances = {
        ("x", "x/enough"): ["sad"] * 9 + ["happy"],
        ("x", "x/nine"): ["sad"] * 8 + ["happy"],
        ("x", "x/one class of four"): ["sad"] * 20,
        ("x", "x/unlabelled too"): ["angry", "fear"] + [None] * 8,
        ("x", "x/never labelled"): [None] * 20,
        ("y", "y/one class of two"): ["sad"] * 10,
        ("y", "y/other"): ["happy"],
    }
    rows = [(*who, label) for who, labels in utterances.items() for label in labels]
    rows = rows[::-1]
    names = ("corpus", "speaker_id", "native_label")
    rows = Dataset.from_dict({name: list(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)})
    assert speakers_to_know(rows) == ["x/enough", "x/unlabelled too", "y/one class of two"]


def test_the_memory_keeps_mean_and_variance_of_each_speaker():
    remembered = memory()
    batch = torch.tensor([[[1.0]], [[10.0]], [[99.0]], [[3.0]], [[8.0]]])
    remembered.update(["a", "b", "stranger", "a", "a"], batch)
    assert remembered.state["heard"].tolist() == [3, 1]
    torch.testing.assert_close(remembered.state["mean"][:, 0, 0], torch.tensor([4.0, 10.0]))
    torch.testing.assert_close(remembered.state["variance"][:, 0, 0], torch.tensor([26 / 3, 0.0]))  # 9 + 1 + 16 by 3


def test_the_memory_forgets_what_an_old_encoder_said():
    remembered = memory(heard=[0.0] * 50 + [1.0])
    assert remembered.state["mean"][1].item() == pytest.approx(0.02)  # 1/51 would be 0.0196
    remembered = memory(heard=[0.0] * 50 + [1.0] * 300)
    assert remembered.state["mean"][1].item() == pytest.approx(1, abs=0.003)
    assert remembered.state["variance"][1].item() == pytest.approx(0, abs=0.003)


@pytest.mark.parametrize(
    ("probability", "heard", "speaker"),
    [(0.0, 10, "b"), (1.0, 9, "b"), (1.0, 10, "a"), (1.0, 10, "stranger")],
    ids=["not drawn", "heard too little", "never heard", "not to be known"],
)
def test_of_others_the_training_corpus_is_assumed(probability, heard, speaker):
    mean, std = memory(probability, heard=[7.0, 9.0] * 5 if heard == 10 else [7.0] * 9).draw([speaker] * 20)
    torch.testing.assert_close(mean, torch.full((20, 1, 1), 5.0))
    torch.testing.assert_close(std, torch.full((20, 1, 1), 2.0))


def test_a_speaker_heard_at_length_is_the_own_mean_and_deviation(monkeypatch):
    monkeypatch.setattr(speakers, "HEARD", (float("inf"),))
    mean, std = memory(heard=[7.0, 9.0] * 5).draw(["b", "a"])
    torch.testing.assert_close(mean[:, 0, 0], torch.tensor([8.0, 5.0]))
    torch.testing.assert_close(std[:, 0, 0], torch.tensor([1.0, 2.0]))


@pytest.mark.parametrize("heard", [1, 5])
def test_what_is_drawn_is_as_if_so_many_utterances_had_been_heard(heard, monkeypatch):
    monkeypatch.setattr(speakers, "HEARD", (heard,))
    torch.manual_seed(0)
    remembered = memory(heard=[7.0, 9.0] * 25)
    mean, std = remembered.draw(["b"] * 5000)
    spoken = 8 + torch.randn(5000, heard, 1, 1)
    known = [SpeakerStatistics(remembered.standardizer, prior=3.0).update(few) for few in spoken]
    expected = torch.stack([speaker.mean for speaker in known])
    torch.testing.assert_close(mean.mean(), expected.mean(), atol=0.02, rtol=0)
    torch.testing.assert_close(mean.std(), expected.std(), atol=0.02, rtol=0)
    variance = torch.stack([speaker.std for speaker in known]).square().mean()
    torch.testing.assert_close(std.square().mean(), variance, atol=0.1, rtol=0)


def test_something_is_known_as_often_as_the_probability_says():
    torch.manual_seed(0)
    mean, _ = memory(probability=0.3, heard=[7.0, 9.0] * 5).draw(["b"] * 2000)
    assert (mean != 5).float().mean().item() == pytest.approx(0.3, abs=0.03)


def test_all_numbers_of_utterances_are_drawn_equally_often():
    torch.manual_seed(0)
    mean, _ = memory(prior=5.0, heard=[8.0] * 10).draw(["b"] * 4000)
    values, counts = torch.unique(mean.round(decimals=3), return_counts=True)
    # 1, 5, 20 and all utterances: 1/6, 1/2, 4/5 and all of the way from the corpus's 5 to the speaker's 8.
    torch.testing.assert_close(values, torch.tensor([5.5, 6.5, 7.4, 8.0]))
    torch.testing.assert_close(counts / 4000, torch.full((4,), 0.25), atol=0.03, rtol=0)


def test_what_is_saved_beside_a_checkpoint_is_known_again(tmp_path):
    before, after = memory(heard=[7.0, 9.0, 4.0]), memory()
    before.save(tmp_path)
    after.load(tmp_path)
    assert (tmp_path / "speakers.safetensors").is_file()
    assert after.state["heard"].tolist() == [0, 3]
    assert {name: value.tolist() for name, value in after.state.items()} == {
        name: value.tolist() for name, value in before.state.items()
    }


def test_inside_an_adapter_the_estimates_that_learn_are_read(whisper_config):
    model = prepare_tuning(SpeechEQModel(SpeechEQConfig(backbone_config=whisper_config)), "lora")
    remembered = SpeakerMemory([], model.standardizer, prior=3.0, probability=1.0)
    inputs = SpeechEQProcessor.for_config(model.config)(waveform(0.5), sampling_rate=16_000)
    heard = model.train()(**inputs).statistics
    torch.testing.assert_close(remembered.draw(["stranger"])[0], heard.detach())  # the mean of the first batch
    assert heard.abs().sum() > 1


@pytest.mark.parametrize("probability", [0.0, 0.5])
def test_speakers_are_told_in_training_and_never_in_evaluation(probability, tmp_path):
    splits = {name: rows.select(range(18)) for name, rows in load_seqd(MINI_SEQD).items()}
    model = SpeechEQModel(SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"]))
    told = []
    model.register_forward_pre_hook(
        lambda model, args, kwargs: told.append((model.training, "speaker_mean" in kwargs)), with_kwargs=True
    )
    arguments = TrainingArguments(
        str(tmp_path), max_steps=2, per_device_train_batch_size=6, report_to="none", dataloader_pin_memory=False,
        eval_strategy="steps", eval_steps=2, save_strategy="no",
    )  # fmt: skip
    trainer = SpeechEQTrainer(
        model, arguments, SpeechEQProcessor.for_config(model.config), train_rows=splits["train"],
        eval_rows=splits["validation"], enrolment_probability=probability,
    )  # fmt: skip
    trainer.train()
    assert set(told) == {(True, probability > 0), (False, False)}


def run(folder: Path, tuning: str) -> dict[int, float]:
    """Train or resume; speaker statistics are used from the second epoch. Return the loss of each step."""
    recipe = {
        "dataset": MINI_SEQD, "backbone_config": TINY_BACKBONES["whisper"], "tuning": tuning, "num_train_epochs": 3,
        "enrolment_probability": 0.5, "augment_probability": 0.0, "logging_steps": 1, "save_strategy": "steps",
        "save_steps": 12, "eval_strategy": "steps", "eval_steps": 12, "output_dir": str(folder / "run"),
    }  # fmt: skip
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    main([str(folder / "recipe.yaml")])
    state = json.loads((Path(find_checkpoint(folder / "run/checkpoints")) / "trainer_state.json").read_text())
    return {entry["step"]: entry["loss"] for entry in state["log_history"] if "loss" in entry}


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_run_that_knows_speakers_goes_on_to_the_same_losses(tuning, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole", tuning)
    assert list(whole) == list(range(1, 25))

    update, steps = SpeakerMemory.update, []

    def stopped_in_step_15(self, heard, statistics):
        steps.append(len(heard))
        if len(steps) == 15:
            assert (self.state["heard"] >= 10).any()  # otherwise no statistics are used yet
            raise KeyboardInterrupt
        update(self, heard, statistics)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(SpeakerMemory, "update", stopped_in_step_15)
        run(tmp_path / "stopped", tuning)
    assert Path(find_checkpoint(tmp_path / "stopped/run/checkpoints")).name == "checkpoint-12"
    assert run(tmp_path / "stopped", tuning) == pytest.approx(whole, rel=1e-4)
