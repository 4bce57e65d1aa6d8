"""Claims about the arguments of an experiment."""

import json
import shutil

import pytest
import yaml
from samples import MINI_SEQD, ROOT

from speecheq.evaluation.experiment import audit_fold, load_rows, main
from speecheq.evaluation.protocols import folds
from speecheq.training.seqd import load_seqd


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpora": []}, "experiment: corpora must be given; got none"),
        ({"dataset": None}, "experiment: dataset must be given; got none"),
        ({"backbone": None}, "experiment: backbone must be the Hub repository or folder of an encoder; got none"),
        ({"method": "magic"}, "experiment: method must be heads, probe or finetune; got 'magic'"),
        ({"method": "finetune"}, "finetune must be given with method finetune, .*; got None with method finetune"),
        ({"finetune": "recipe.yaml"}, "experiment: finetune must be given .*; got 'recipe.yaml' with method heads"),
        ({"class_balance": 3}, r"experiment: class_balance must lie in \[0, 1\]; got 3"),
        (
            {"corpus_shares": {"synthetic": 2}},
            "experiment: corpus_shares must be positive with a sum of at most 1; got",
        ),
        ({"corpus_shares": {"nemo": 0.5}}, "sampling_weights: corpus_shares must be of synthetic; got nemo"),
        ({"loss_weights": "esc=1"}, r"experiment: loss_weights must be a JSON object, such as '\{.*\}'; got 'esc=1'"),
        ({"known_of": "me"}, "experiment: known_of must be one of speaker, corpus; got 'me'"),
        (
            {"protocol": "loso", "only_folds": ["synthetic-loso-ZZ"]},
            r"folds: only_folds must be among synthetic-loso-[^,]*, (.*, ){9}…; got 'synthetic-loso-ZZ'",
        ),
        ({"protocol": "lose"}, "folds: protocol must be among default, .*; got 'lose'"),
    ],
)
def test_wrong_arguments_get_a_clear_error(run, changes, message):
    with pytest.raises(ValueError, match=message):
        run("wrong", **changes)


def test_what_a_method_does_not_read_is_refused_on_the_command_line_and_left_out_of_what_a_recipe_gives(run, tmp_path):
    with pytest.raises(ValueError, match="head_dropout must not be given with method probe, which does not use it"):
        run("refused", "--head_dropout", "0.9", method="probe")
    with pytest.raises(ValueError, match=r"steps must not be given with method finetune.* in the recipe of train\.py"):
        run("refused", "--steps=7", method="finetune", finetune=str(ROOT / "recipes/small.yaml"))
    with pytest.raises(ValueError, match="max_steps must not be given with method heads"):
        run("refused", "--max-steps", "7")
    with pytest.raises(ValueError, match="use_votes must not be given with method probe"):
        run("refused", "--no_use_votes", method="probe")
    run("kept", method="probe", head_dropout=0.9, seeds=[0], only_folds=["synthetic-speaker-kfold-1"])
    assert "head_dropout" not in json.loads((tmp_path / "kept" / "recipe.json").read_text())


def test_speakers_of_a_checkpoint_count_as_seen(trained_run):
    rows, facts = load_rows(MINI_SEQD)
    trained = set(load_seqd(MINI_SEQD)["train"]["speaker_id"])
    (fold, *_) = folds("speaker-kfold", facts, "synthetic", None, 3)
    tested = set(facts["speaker_id"].iloc[fold.test])

    assert audit_fold(fold, rows, facts, None)["shared_speakers"] == []
    found = audit_fold(fold, rows, facts, str(trained_run[0]))
    assert found["shared_speakers"] == sorted(trained & tested) != [] and "not_counted" not in found


def test_a_recipe_that_names_a_checkpoint_needs_no_backbone_and_the_result_says_who_is_not_counted(
    trained_run, run, tmp_path, capsys
):
    without_record = shutil.ignore_patterns("training_data.json", "checkpoints")
    shutil.copytree(trained_run[0], tmp_path / "of" / "run", ignore=without_record)
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({"checkpoint": str(tmp_path / "of" / "run"), "max_steps": 1}))
    chosen = ["--protocol", "speaker-kfold", "--folds", "3", "--only_folds", "synthetic-speaker-kfold-2"]
    asked = ["--method", "finetune", "--finetune", str(tmp_path / "train.yaml"), "--dataset", MINI_SEQD]
    (row,) = main([*asked, *chosen, "--corpora", "synthetic", "--output_dir", str(tmp_path / "alone")])
    assert row["folds"] == 1 and row["not_counted"] == "speakers that the checkpoint run was trained on"
    assert "synthetic: shared does not count speakers that the checkpoint run was" in capsys.readouterr().out
    result = json.loads((tmp_path / "alone" / "synthetic-speaker-kfold-2-seed0.json").read_text())
    assert result["audit"]["not_counted"] == row["not_counted"]

    run("both", *chosen, *asked, "--seeds", "0", "--known_utterances", "0")  # the backbone of its recipe is not used
    assert "backbone" not in json.loads((tmp_path / "both" / "recipe.json").read_text())
    with pytest.raises(ValueError, match="backbone must not be given with method finetune, which does not use it"):
        run("refused", *asked, "--backbone", "openai/whisper-base")


def test_one_speaker_is_loaded_and_is_too_few_for_folds(run, one_speaker):
    rows, facts = load_rows(one_speaker)
    assert len(rows) == len(facts) == 18 and set(facts["split"]) == {"train"}
    with pytest.raises(ValueError, match=r"folds: protocol 'loso' must have at least 2 speakers .*; got 1 in corpus"):
        run("one", dataset=one_speaker, protocol="loso")
    with pytest.raises(ValueError, match="check: test must have an utterance; got none in fold 'synthetic-default'"):
        run("one", dataset=one_speaker, protocol="default")


@pytest.mark.parametrize("folders", [[], ["one"], ["one", "two", "three"]])
def test_other_than_two_experiments_are_not_compared(folders):
    with pytest.raises(ValueError, match="experiment: --compare must have two folders"):
        main(["--compare", *folders])
