"""Claims about the training benchmark: contestants differ only as documented."""

import fine_tuning
import pytest
from samples import MINI_SEQD, ROOT, TINY_BACKBONES

from speecheq import SpeechEQConfig, SpeechEQModel
from speecheq.training.seqd import load_seqd
from speecheq.training.trainer import SpeechEQTrainer


@pytest.fixture(scope="module")
def rows():
    return load_seqd(MINI_SEQD)["train"].select(range(12))


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    config = SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"])
    monkeypatch.setattr(SpeechEQModel, "from_pretrained", lambda folder: SpeechEQModel(config))


def batches(trainer) -> list[tuple[int, ...]]:
    return [tuple(batch["input_features"].shape) for batch in trainer.get_train_dataloader()]


def test_ours_pads_to_the_longest_of_a_batch_and_unsorted_to_that_of_the_set(rows):
    ours, unsorted = (batches(fine_tuning.ours(of, rows, 4)) for of in (SpeechEQTrainer, fine_tuning.UnsortedTrainer))
    longest = round(100 * max(rows["duration"])) + 1

    assert unsorted == [(4, 80, longest)] * 3
    assert len(ours) == 3 and len(set(ours)) > 1 and max(shape[2] for shape in ours) <= longest


def test_an_epoch_of_each_says_its_rate(rows):
    for of in (SpeechEQTrainer, fine_tuning.UnsortedTrainer):
        trainer = fine_tuning.ours(of, rows, 4)
        assert trainer.train().metrics["train_samples_per_second"] > 0
        assert trainer.state.global_step == 3


def test_the_usual_loop_hears_30_seconds_and_has_the_classes_of_the_set(rows):
    trainer = fine_tuning.stock(rows, 4)

    assert batches(trainer) == [(4, 80, 3000)] * 3
    assert trainer.model.classifier.out_features == len(set(rows["native_label"]))
    assert {int(label) for batch in trainer.get_train_dataloader() for label in batch["labels"]} <= set(range(12))


def test_the_command_prints_how_many_times_as_fast_ours_is(monkeypatch, capsys):
    monkeypatch.setattr(fine_tuning, "measure", lambda *given: {"speecheq": 30.0, "unsorted": 10.0})

    fine_tuning.main([])

    assert "| unsorted | 10.0 | 3.00 |" in capsys.readouterr().out.splitlines()
    assert (ROOT / "dataset_scripts/seqd_mini").is_dir()
