"""Claims about what an experiment is asked for."""

import json

import pytest

from speecheq.training.experiment import load_rows, main


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"corpora": []}, "experiment: corpora must be given"),
        ({"dataset": None}, "experiment: dataset must be given"),
        ({"backbone": None}, "experiment: backbone must be given"),
        ({"method": "magic"}, "experiment: method must be heads, probe or finetune; got 'magic'"),
        ({"method": "finetune"}, "experiment: finetune must be given with that method alone; got None"),
        ({"finetune": "recipe.yaml"}, "experiment: finetune must be given with that method alone; got 'recipe.yaml'"),
        ({"known_of": "me"}, "experiment: known_of must be one of speaker, corpus; got 'me'"),
        ({"protocol": "lose"}, "folds: protocol must be among default, .*; got 'lose'"),
    ],
)
def test_wrong_arguments_get_a_clear_error(run, changes, message):
    with pytest.raises(ValueError, match=message):
        run("wrong", **changes)


def test_what_a_method_does_not_read_is_refused_on_the_command_line_and_left_out_of_what_a_recipe_gives(run, tmp_path):
    with pytest.raises(ValueError, match="head_dropout must not be given with method probe, which does not read it"):
        run("refused", "--head_dropout", "0.9", method="probe")
    with pytest.raises(ValueError, match=r"steps must not be given with method finetune.* in the recipe of train\.py"):
        run("refused", "--steps=7", method="finetune", finetune="recipes/small.yaml")
    with pytest.raises(ValueError, match="max_steps must not be given with method heads"):
        run("refused", "--max-steps", "7")
    with pytest.raises(ValueError, match="use_votes must not be given with method probe"):
        run("refused", "--no_use_votes", method="probe")
    run("kept", method="probe", head_dropout=0.9, seeds=[0], only_folds=["synthetic-speaker-kfold-1"])
    assert "head_dropout" not in json.loads((tmp_path / "kept" / "recipe.json").read_text())


def test_one_speaker_is_loaded_and_is_too_few_for_folds(run, one_speaker):
    rows, facts = load_rows(one_speaker)
    assert len(rows) == len(facts) == 18 and set(facts["split"]) == {"train"}
    with pytest.raises(ValueError, match=r"folds: protocol 'loso' must have 2 or more speakers .*; got 1 in corpus"):
        run("one", dataset=one_speaker, protocol="loso")
    with pytest.raises(ValueError, match="check: test must hold an utterance; got none in fold 'synthetic-default'"):
        run("one", dataset=one_speaker, protocol="default")


@pytest.mark.parametrize("folders", [[], ["one"], ["one", "two", "three"]])
def test_other_than_two_experiments_are_not_compared(folders):
    with pytest.raises(ValueError, match="experiment: --compare must have two folders"):
        main(["--compare", *folders])
