"""Claims about the start of a run: model, checkpoints and validation."""

import json
from zipfile import ZipFile

import numpy as np
import pytest
import soundfile
import torch
import yaml
from datasets import Dataset, load_dataset
from safetensors.torch import save_file
from samples import MINI_SEQD, TINY_BACKBONES, write_seqd

from speecheq import SpeechEQConfig, SpeechEQModel, SpeechEQProcessor
from speecheq.train import main
from speecheq.training.arguments import ModelArguments
from speecheq.training.fit import build_model, can_choose, find_checkpoint
from speecheq.training.saving import save_for_hub

CONFIG = {"backbone_config": TINY_BACKBONES["whisper"], "phoneme_labels": ["<blank>", "a", "b"], "head_hidden_size": 8}


def test_a_trained_model_keeps_what_it_knows_and_learns_new_phonemes(tmp_path):
    torch.manual_seed(0)
    before = SpeechEQModel(SpeechEQConfig(**CONFIG, head_dropout=0.3, temperatures={"esc": 2.0}, abstain_below=0.5))
    save_for_hub(before, SpeechEQProcessor.for_config(before.config), tmp_path / "trained")
    weights = {"esc": 1.0, "eis": 0.0, "phoneme": 0.5, "gender": 0.0}
    arguments = ModelArguments(checkpoint=str(tmp_path / "trained"), loss_weights=weights)
    after = build_model(arguments, ["<blank>", "b", "t", "a", "k"])

    assert after.config.phoneme_labels == ["<blank>", "a", "b", "t", "k"]
    assert after.phoneme_head.classifier.weight.shape == (5, 16)
    assert after.config.loss_weights == weights
    assert (after.config.head_hidden_size, after.config.head_dropout, after.esc_head.dropout.p) == (8, 0.3, 0.3)
    assert after.config.temperatures == {"esc": 1.0, "eis": 1.0, "gender": 1.0} and after.config.abstain_below == 0.0
    known = after.state_dict()
    for name, weight in before.state_dict().items():
        torch.testing.assert_close(known[name][: len(weight)] if weight.ndim else known[name], weight, msg=name)
    assert after.phoneme_head.classifier.weight[3:].abs().sum() > 0


def test_what_is_given_beside_a_checkpoint_counts_whatever_the_usual_value(tmp_path):
    torch.manual_seed(0)
    before = SpeechEQModel(SpeechEQConfig(**CONFIG, head_dropout=0.3, shallow_states=2))
    save_for_hub(before, SpeechEQProcessor.for_config(before.config), tmp_path / "trained")
    usual = ModelArguments(checkpoint=str(tmp_path / "trained"), head_dropout=0.1, shallow_states=0)
    after = build_model(usual, ["<blank>", "a", "b"])
    assert (after.config.head_dropout, after.config.shallow_states, after.esc_shallow_head) == (0.1, 0, None)
    with pytest.raises(ValueError, match="backbone_layers must be used with backbone; got 3 without it"):
        ModelArguments(checkpoint=str(tmp_path / "trained"), backbone_layers=3)
    for name, value in {"head_hidden_size": 4, "adapter_size": 8, "pooling": "attentive", "shallow_states": 1}.items():
        with pytest.raises(ValueError, match=f"training: {name} must be .*, as in the checkpoint; got {value!r}"):
            build_model(ModelArguments(checkpoint=str(tmp_path / "trained"), **{name: value}), ["<blank>", "a"])


def test_a_random_encoder_takes_all_fields():
    arguments = ModelArguments(backbone_config=TINY_BACKBONES["whisper"], pooling="attentive")
    model = build_model(arguments, ["<blank>", "a"])
    assert model.config.pooling == "attentive" and model.config.phoneme_labels == ["<blank>", "a"]


def test_one_command_fine_tunes_a_trained_model_on_a_folder_of_one_s_own(trained_run, tmp_path, capsys):
    random = np.random.default_rng(0)
    for speaker in "abcdefgh":
        for label in ("cross", "glad"):
            path = tmp_path / "mine" / f"{speaker}_{label}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, 0.1 * random.normal(size=8_000), 16_000)
    names = [f"{path.name},{path.stem[0]},{path.stem[2:]}" for path in sorted((tmp_path / "mine").glob("*.wav"))]
    (tmp_path / "mine/metadata.csv").write_text("\n".join(["file_name,speaker,label", *names]) + "\n")
    (tmp_path / "mine/mine.yaml").write_text("language: en\nlabels: {cross: angry, glad: happy}\n")
    options = ["--checkpoint", str(trained_run[0]), "--output_dir", str(tmp_path / "run"), "--num_train_epochs", "1"]
    scores = main([*options, "--build", f"mine={tmp_path / 'mine/mine.yaml'}", "--shallow_states", "2"])
    assert "mine/esc_uar" in scores
    assert "the shallow heads read trainable layers. Set frozen_layers to 1 to freeze them." in capsys.readouterr().out
    assert (tmp_path / "run/seqd/mine").is_dir()
    before, after = (json.loads((run / "config.json").read_text()) for run in (trained_run[0], tmp_path / "run"))
    assert after["phoneme_labels"] == before["phoneme_labels"] and after["head_hidden_size"] == 8
    assert "Started from the trained model `run`" in (tmp_path / "run/README.md").read_text()


@pytest.mark.parametrize("kept", [["angry"], []], ids=["one class", "no label"])
def test_without_two_classes_in_validation_the_last_epoch_is_kept(tmp_path, capsys, kept):
    rows = load_dataset(MINI_SEQD, "all")

    def strip(row):
        return {"esc": row["esc"]} if row["native_label"] in kept else {"esc": None, "native_label": None}

    splits = {split: part.select(range(20)).map(strip, features=part.features) for split, part in rows.items()}
    recipe = {"dataset": write_seqd(tmp_path / "seqd", splits), "backbone_config": TINY_BACKBONES["whisper"],
              "output_dir": str(tmp_path / "run"), "num_train_epochs": 2, "patience": 1}  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    scores = main([str(tmp_path / "recipe.yaml")])
    printed = capsys.readouterr().out
    assert "esc_uar" not in scores and "eis_mae" in scores
    assert "note: ESC: no corpus has two classes in validation, so the last epoch is kept." in printed
    assert ("note: ESC: no labels in synthetic" in printed) == (not kept)
    state = json.loads((tmp_path / "run/checkpoints/checkpoint-4/trainer_state.json").read_text())
    assert state["epoch"] == 2 and state["best_model_checkpoint"] is None


def test_one_class_in_each_of_two_corpora_leaves_nothing_to_choose_by():
    rows = {
        "corpus": ["x", "x", "y", "y"],
        "native_label": ["a", "a", "b", None],
        "esc": [["sad"], ["sad"], ["fear"], None],
    }
    alone = Dataset.from_dict(rows)
    assert not can_choose(alone, "esc_uar") and not can_choose(alone, "eval_esc_uar") and not can_choose(None, "loss")
    assert can_choose(alone, "loss")
    assert can_choose(Dataset.from_dict(rows | {"corpus": ["x", "x", "x", "y"]}), "esc_uar")


def checkpoint(folder, step: int):
    """Write a checkpoint like the Trainer."""
    place = folder / f"checkpoint-{step}"
    place.mkdir(parents=True)
    save_file({"weight": torch.ones(100)}, place / "model.safetensors")
    for name in ("optimizer.pt", "rng_state.pth"):
        with ZipFile(place / name, "w") as file:
            file.writestr("archive/data", bytes(100))
    (place / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return place


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"])
def test_of_a_checkpoint_cut_short_nothing_is_taken_and_the_one_before_is_kept(tmp_path, name):
    before, last = checkpoint(tmp_path, 9), checkpoint(tmp_path, 10)
    assert find_checkpoint(tmp_path) == str(last)
    for size in (len((last / name).read_bytes()) - 5, 0):
        (last / name).write_bytes((last / name).read_bytes()[:size])
        assert find_checkpoint(tmp_path) == str(before)
    (before / "trainer_state.json").unlink()
    assert find_checkpoint(tmp_path) is None
