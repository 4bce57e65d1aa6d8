"""Claims about train.py: recipes, overrides, invalid input, resuming after a kill, and output files."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from datasets import concatenate_datasets, load_dataset
from huggingface_hub import ModelCard
from safetensors import safe_open
from samples import MINI_SEQD, ROOT, TINY_BACKBONES, write_seqd

from speecheq.train import find_checkpoint, main, parse
from speecheq.training.batches import SpeechDataset

SMALL = {
    "dataset": MINI_SEQD, "backbone_config": TINY_BACKBONES["whisper"], "learning_rate": "1e-3",
    "per_device_train_batch_size": 16, "logging_steps": 1, "augment_probability": 0.3, "head_dropout": 0.1,
}  # fmt: skip


def recipe(tmp_path: Path, **changes) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(SMALL | {"output_dir": str(tmp_path / "run")} | changes))
    return str(path)


def command(recipe_path: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), recipe_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def losses(run: Path) -> dict[int, float]:
    state = json.loads((Path(find_checkpoint(run / "checkpoints")) / "trainer_state.json").read_text())
    return {entry["step"]: entry["loss"] for entry in state["log_history"] if "loss" in entry}


def test_every_recipe_parses():
    recipes = [path for path in sorted((ROOT / "recipes").glob("*.yaml")) if "\nprotocol:" not in path.read_text()]
    assert {"quickstart.yaml", "base.yaml"} <= {path.name for path in recipes}  # the others are experiments
    for path in recipes:
        model, data, training, _ = parse([str(path)])
        assert model.tuning in ("frozen", "lora", "full")
        assert data.dataset and training.output_dir.startswith("runs/")


def test_the_command_line_overrides_the_recipe(tmp_path):
    path = recipe(tmp_path, tuning="frozen", loss_weights={"esc": 2.0})
    model, _, training, given = parse([path, "--learning_rate", "5e-4", "--tuning=lora"])
    assert (model.tuning, training.learning_rate) == ("lora", 5e-4)
    assert model.loss_weights == {"esc": 2.0}
    assert given["tuning"] == "lora" and "output_dir" not in given


@pytest.mark.parametrize("start", [["--checkpoint", "."], ["--backbone=openai/whisper-base"]])
def test_a_start_on_the_command_line_replaces_that_of_the_recipe(start, tmp_path):
    model, _, _, given = parse([recipe(tmp_path), *start])
    assert model.backbone_config is None and "backbone_config" not in given
    assert (model.checkpoint or model.backbone) in ("openai/whisper-base", ".")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"learning_rat": 1},
            ValueError,
            r"unknown argument 'learning_rat' in the recipe\. Nearest: \['learning_rate'\]",
        ),
        ({"backbone": "openai/whisper-base"}, ValueError, "exactly one of backbone, backbone_config and checkpoint"),
        ({"dataset": "./nowhere"}, FileNotFoundError, "dataset must be a folder or a Hub repository; got './nowhere'"),
        ({"dataset": None}, ValueError, "dataset must be given"),
        ({"checkpoint": "."}, ValueError, "exactly one of backbone, backbone_config and checkpoint"),
        ({"build": ["nemo"]}, ValueError, "a corpus must be NAME=FOLDER or NAME=FILE.yaml; got 'nemo'"),
        ({"class_balance": 3}, ValueError, r"training: class_balance must lie in \[0, 1\]; got 3"),
        ({"corpus_balance": -1}, ValueError, r"training: corpus_balance must lie in \[0, 1\]; got -1"),
        (
            {"corpus_shares": "a=1"},
            ValueError,
            r"""corpus_shares must be a JSON object, such as '\{"mine": 0.5\}'; got 'a=1'""",
        ),
        (
            {"corpus_shares": {"a": 0.8, "b": 0.3}},
            ValueError,
            r"corpus_shares must be positive with a sum of at most 1; got",
        ),
        ({"corpus_shares": {"a": 0}}, ValueError, r"training: corpus_shares must be positive .*; got \{'a': 0\}"),
        (
            {"corpus_shares": {"nemo": 0.5}},
            ValueError,
            "sampling_weights: corpus_shares must be of synthetic; got nemo",
        ),
        ({"loss_weights": "esc=1"}, ValueError, r"training: loss_weights must be a JSON object, .*\}'; got 'esc=1'\."),
        ({"loss_weights": "[1]"}, ValueError, r"""loss_weights .*, such as '\{"esc": 1, .*\}'; got '\[1\]'\."""),
        ({"tuning": "half"}, ValueError, "tuning must be one of frozen, lora, full; got 'half'"),
        (
            {"cache": "states"},
            ValueError,
            "cache must be used with tuning frozen and without augmentation, .*; "
            r"got tuning 'full', augment_probability 0\.3\.",
        ),
        ({"pooling": "max"}, ValueError, "pooling must be one of statistics, attentive; got 'max'"),
    ],
)
def test_wrong_arguments_get_a_clear_error(changes, error, message, tmp_path):
    with pytest.raises(error, match=message):
        main([recipe(tmp_path, **changes)])


def test_a_missing_recipe_is_named():
    with pytest.raises(FileNotFoundError, match=r"must be an existing YAML file; got 'recipes/nothing\.yaml'"):
        main(["recipes/nothing.yaml"])


def test_other_arguments_do_not_go_on_with_a_run(trained_run):
    path = str(trained_run[0].parent / "recipe.yaml")
    with pytest.raises(ValueError, match=r"got other values of learning_rate in '.*'\. Choose another output_dir"):
        main([path, "--learning_rate", "1e-4"])


def move_a_speaker(splits: dict) -> dict:
    """The same SEQD with the first test speaker in train."""
    speakers = splits["test"]["speaker_id"]
    moved = [index for index, speaker in enumerate(speakers) if speaker == speakers[0]]
    return splits | {"train": concatenate_datasets([splits["train"], splits["test"].select(moved)])}


def test_the_same_command_on_other_data_trains_nothing_and_says_so(tmp_path, capsys):
    splits = {split: rows.select(range(20)) for split, rows in load_dataset(MINI_SEQD, "all").items()}
    folder = write_seqd(tmp_path / "seqd", splits)
    path = recipe(tmp_path, dataset=folder, max_steps=1, load_best_model_at_end=False, eval_strategy="no")
    main([path])
    printed = capsys.readouterr().out
    assert "Test split; its speakers seen in training: none." in printed and "Nothing is left" not in printed
    before = (tmp_path / "run/training_data.json").read_text()
    assert before == (tmp_path / "run/checkpoints/training_data.json").read_text()

    main([path])
    assert "Nothing is left to train: all 1 steps are done." in capsys.readouterr().out
    shutil.rmtree(folder)
    write_seqd(tmp_path / "seqd", move_a_speaker(splits))
    with pytest.raises(ValueError, match=r"got other rows, labels or audio in train in '.*run/checkpoints'\. Choose"):
        main([path])
    assert (tmp_path / "run/training_data.json").read_text() == before


def test_the_speakers_of_the_stage_before_count_as_seen_in_training(trained_run, tmp_path, capsys):
    rows = load_dataset(MINI_SEQD, "all")
    splits = {"train": rows["test"].select(range(8)), "test": rows["train"].select(range(8))}
    options = {"max_steps": 1, "dataset": write_seqd(tmp_path / "seqd", splits), "backbone_config": None}
    main([recipe(tmp_path, **options, checkpoint=str(trained_run[0]))])
    seen = sorted(set(splits["test"]["speaker_id"]))
    assert f"Test split; its speakers seen in training: {', '.join(seen)}.\n" in capsys.readouterr().out
    card = (tmp_path / "run/README.md").read_text()
    assert f"test speakers seen in training: {len(seen)} of synthetic." in card
    assert not any(speaker in card for speaker in seen)

    old = tmp_path / "old"  # a model whose training data is not recorded
    shutil.copytree(trained_run[0], old, ignore=shutil.ignore_patterns("checkpoints", "training_data.json"))
    main([recipe(tmp_path, **options, checkpoint=str(old), output_dir=str(tmp_path / "second"))])
    uncounted = "none (not counted: the speakers of old, whose training data is not recorded)."
    assert f"Test split; its speakers seen in training: {uncounted}" in capsys.readouterr().out
    assert f"test speakers seen in training: {uncounted}" in (tmp_path / "second/README.md").read_text()


def test_a_corpus_without_a_task_and_a_class_absent_from_train_still_train(tmp_path, capsys):
    def strip(row):
        return {"phonemes": None, "esc": None if row["native_label"] == "sad" else row["esc"]}

    splits = load_dataset(MINI_SEQD, "all")
    splits = {split: rows.map(strip, features=rows.features) for split, rows in splits.items()}
    labels = splits["train"]["native_label"]
    splits["train"] = splits["train"].select([index for index, label in enumerate(labels) if label != "fear"])
    folder = write_seqd(tmp_path / "seqd", splits)
    scores = main([recipe(tmp_path, dataset=folder, num_train_epochs=1)])
    printed = capsys.readouterr().out
    assert "phoneme: no labels in synthetic; these corpora train only the other tasks." in printed
    assert "ESC: class 'fear' of synthetic is in test but absent from train." in printed
    assert 0 <= scores["synthetic/esc_uar"] <= 1
    assert "phoneme_per" not in scores


def test_one_speaker_trains_a_model_without_scores_and_two_speakers_one_with(tmp_path, capsys):
    rows = load_dataset(MINI_SEQD, "all")
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir(), two.mkdir()
    dataset = write_seqd(one / "seqd", {"train": rows["train"].select(range(20))})
    assert main([recipe(one, dataset=dataset, num_train_epochs=1, patience=2)]) == {}
    printed = capsys.readouterr().out
    assert (
        "note: validation: no utterances, so the last epoch is kept; a validation split needs three speakers."
        in printed
    )
    assert "note: test: no utterances, so there are no scores; with one speaker all utterances are in" in printed
    assert "No test split, no scores." in printed
    assert "Test split of `seqd (all), which has none`" in (one / "run" / "README.md").read_text()
    assert (one / "run" / "model.safetensors").is_file()

    dataset = write_seqd(two / "seqd", {"train": rows["train"].select(range(20)), "test": rows["test"]})
    assert "synthetic/esc_uar" in main([recipe(two, dataset=dataset, num_train_epochs=1)])
    printed = capsys.readouterr().out
    assert "note: validation: no utterances" in printed and "note: test" not in printed


@pytest.mark.parametrize("tuning", ["frozen", "lora"])
def test_a_run_leaves_a_folder_ready_for_the_hub(tuning, tmp_path):
    scores = main([recipe(tmp_path, num_train_epochs=1, tuning=tuning)])
    run = tmp_path / "run"
    names = {path.name for path in run.iterdir()}
    assert {
        "config.json", "model.safetensors", "processor_config.json", "README.md", "results.json",
        "configuration_speecheq.py", "modeling_speecheq.py", "processing_speecheq.py", "backbones_speecheq.py",
        "heads_speecheq.py",
    } <= names  # fmt: skip
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl"))}
    assert json.loads((run / "config.json").read_text())["auto_map"] == {
        "AutoConfig": "configuration_speecheq.SpeechEQConfig",
        "AutoModel": "modeling_speecheq.SpeechEQModel",
        "AutoModelForAudioClassification": "modeling_speecheq.SpeechEQForAudioClassification",
    }
    with safe_open(run / "model.safetensors", "pt") as weights:
        assert not [name for name in weights.keys() if "lora" in name]  # noqa: SIM118
    card = ModelCard.load(run / "README.md")
    assert "synthetic" in card.text and "Trained on synthetic speech" in card.text
    assert f"{100 * scores['synthetic/esc_uar']:.1f}" in card.text
    assert card.data.library_name == "transformers"
    assert json.loads((run / "results.json").read_text()) == pytest.approx(scores)


def test_a_run_on_kept_states_learns_what_a_run_on_audio_learns(tmp_path):
    changes = {"tuning": "frozen", "augment_probability": 0.0, "num_train_epochs": 1, "adapter_size": 8}
    kept, heard = tmp_path / "kept", tmp_path / "heard"
    kept.mkdir(), heard.mkdir()
    main([recipe(kept, **changes, cache=str(tmp_path / "states"))])
    main([recipe(heard, **changes)])
    expected, found = losses(heard / "run"), losses(kept / "run")
    assert len(list((tmp_path / "states").rglob("*.npy"))) == 126  # utterances of train
    for step, loss in expected.items():
        assert found[step] == pytest.approx(loss, rel=2e-2), step


def test_a_full_disk_is_named_and_the_run_goes_on_from_the_checkpoint_before(tmp_path, monkeypatch, capsys):
    path = recipe(
        tmp_path, num_train_epochs=1, save_strategy="steps", save_steps=3, eval_strategy="steps", eval_steps=3
    )
    save = torch.save

    def full(content, file, *args, **kwargs):
        if "checkpoint-6" in str(file):
            Path(file).write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(content, file, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space left on device"):
            main([path])
    checkpoints = tmp_path / "run" / "checkpoints"
    assert (checkpoints / "checkpoint-6").is_dir()
    assert find_checkpoint(checkpoints) == str(checkpoints / "checkpoint-3")
    before = losses(tmp_path / "run")
    main([path])
    assert "Resumed at step 3 of 8." in capsys.readouterr().out
    after = losses(tmp_path / "run")
    assert max(after) == 8 and {step: after[step] for step in before} == before
    assert (tmp_path / "run" / "model.safetensors").is_file()


def test_a_dead_data_worker_is_named_and_the_run_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    changes = {"num_train_epochs": 1, "save_strategy": "steps", "save_steps": 3, "eval_strategy": "no"}
    path = recipe(tmp_path, **changes, load_best_model_at_end=False, dataloader_num_workers=1)
    read, asked = SpeechDataset.__getitem__, []

    def killed_in_the_seventh_batch(dataset, key):
        asked.append(key)
        if torch.utils.data.get_worker_info() and len(asked) > 6 * 16:
            time.sleep(2)  # until its output is consumed: torch cannot report a worker that dies earlier
            os.kill(os.getpid(), signal.SIGKILL)
        return read(dataset, key)

    with monkeypatch.context() as patch:
        patch.setattr(SpeechDataset, "__getitem__", killed_in_the_seventh_batch)
        with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid.*\) "):
            main([path])
    assert find_checkpoint(tmp_path / "run" / "checkpoints").endswith("checkpoint-3")
    before = losses(tmp_path / "run")
    main([path])
    after = losses(tmp_path / "run")
    assert max(after) == 8 and {step: after[step] for step in before} == before


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_end(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    changes = {
        "num_train_epochs": 2,
        "save_strategy": "steps",
        "save_steps": 3,
        "eval_strategy": "steps",
        "eval_steps": 3,
    }
    whole.mkdir(), killed.mkdir()
    process = command(recipe(whole, **changes))
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-2000:]

    path = recipe(killed, **changes)
    process = command(path)
    deadline = time.time() + 300
    while find_checkpoint(killed / "run" / "checkpoints") is None and time.time() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = max(int(folder.name.split("-")[1]) for folder in (killed / "run/checkpoints").glob("checkpoint-*"))
    torn = killed / "run" / "checkpoints" / "checkpoint-9999"  # killed while saving
    torn.mkdir()
    process = command(path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-2000:]

    expected, resumed = losses(whole / "run"), losses(killed / "run")
    assert reached < max(expected) == max(resumed) == 16
    for step, loss in expected.items():
        assert resumed[step] == pytest.approx(loss, rel=1e-3), step
    before, after = (json.loads((run / "run" / "results.json").read_text()) for run in (whole, killed))
    assert after == pytest.approx(before, abs=1e-4)
