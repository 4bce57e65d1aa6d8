"""Claims about the ablation: training data of each row, and the table."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from samples import MINI_SEQD

from speecheq.evaluation import ablation, experiment
from speecheq.evaluation.ablation import ROWS, main, share_steps, table, uar_by_seed


@pytest.fixture
def recipe(tmp_path):
    weights = {"esc": 1.0, "eis": 0.5, "phoneme": 0.25, "gender": 0.3}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump({"max_steps": 7, "loss_weights": weights}))
    asked = {
        "dataset": MINI_SEQD, "output_dir": str(tmp_path / "out"), "backbone": "none", "protocol": "default",
        "corpora": ["synthetic"], "seeds": [0, 1], "method": "finetune", "finetune": str(tmp_path / "train.yaml"),
    }  # fmt: skip
    (tmp_path / "ablation.yaml").write_text(yaml.safe_dump(asked))
    return str(tmp_path / "ablation.yaml")


def result(corpus: str, seed: int, esc: list[int]) -> dict:
    return {
        "corpus": corpus, "protocol": "default", "seed": seed, "fold": corpus, "ids": list("abcd"),
        "references": [0, 0, 1, 1], "answers": {"0": {"esc": esc}}, "audit": {"shared_speakers": []},
    }  # fmt: skip


def test_each_row_trains_its_tasks_on_its_corpora(recipe, tmp_path, monkeypatch, capsys):
    asked = {}

    def fake(arguments):
        groups = (experiment.ExperimentArguments, experiment.MethodArguments, experiment.HeadArguments)
        chosen, method, _, _ = experiment.read_recipe("x", groups, arguments)
        folder = Path(chosen.output_dir)
        folder.mkdir(parents=True)
        row = folder.relative_to(tmp_path / "out").parts
        assert row[1:] == (() if chosen.train_corpora else ("synthetic",)) and method.max_steps == 7
        right = [0, 0, 1, 1 if chosen.train_corpora else 0]
        for seed in chosen.seeds:
            (folder / f"synthetic-seed{seed}.json").write_text(json.dumps(result("synthetic", seed, right)))
        asked[row[0]] = (chosen.train_corpora, {task: w for task, w in method.loss_weights.items() if w})

    monkeypatch.setattr(ablation.experiment, "main", fake)
    rates = main([recipe])
    esc, eis, phoneme, gender = {"esc": 1.0}, {"eis": 0.5}, {"phoneme": 0.25}, {"gender": 0.3}
    assert asked == {
        "single_corpus_single_task": (None, esc),
        "and_phonemes": (None, esc | phoneme),
        "and_gender": (None, esc | gender),
        "and_intensity": (None, esc | eis),
        "four_tasks": (None, esc | eis | phoneme | gender),
        "unified_corpora": (["all"], esc),
        "unified_corpora_four_tasks": (["all"], esc | eis | phoneme | gender),
    }
    assert list(rates) == list(ROWS) and rates["unified corpora"].tolist() == [[1.0], [1.0]]
    assert "| unified corpora, four tasks | 100.0 | 100.0 | +25.0 | +25.0 to +25.0 |" in capsys.readouterr().out


def test_the_tasks_of_a_row_reach_the_recipe_of_train(monkeypatch, recipe):
    seen = {}

    def fit(splits, model, data, arguments):
        seen.update(model.loss_weights)
        raise InterruptedError

    monkeypatch.setattr(experiment, "fit", fit)
    with pytest.raises(InterruptedError):
        main([recipe])
    assert seen == {"esc": 1.0, "eis": 0.0, "phoneme": 0.0, "gender": 0.0}


def test_a_corpus_by_itself_has_the_steps_that_it_has_among_all():
    sizes = {"large": 2500.0, "small": 100.0}
    assert share_steps(1200, sizes, corpus_balance=0.5) == {"large": 1000, "small": 200}
    assert share_steps(1200, sizes, corpus_balance=1.0) == {"large": 600, "small": 600}
    assert share_steps(1200, sizes, corpus_balance=0.0) == {"large": 1154, "small": 46}


def test_without_a_budget_there_is_no_comparison(recipe, tmp_path):
    (tmp_path / "train.yaml").write_text("num_train_epochs: 1")
    with pytest.raises(
        ValueError, match=r"ablation: max_steps must be given as the budget of each row; got none in '.*'"
    ):
        main([recipe])


def test_the_table_gives_means_over_seeds_and_the_gain_over_the_first_row():
    rates = {"one": np.array([[0.5, 0.7], [0.6, 0.8]]), "all": np.array([[0.6, 0.8], [0.8, 1.0]])}
    assert table(rates, ["x", "y"]).splitlines()[2:] == [
        "| one | 55.0 | 75.0 | 65.0 |  |  |",
        "| all | 70.0 | 90.0 | 80.0 | +15.0 | -48.5 to +78.5 |",
    ]


def test_the_rates_are_of_each_seed_and_corpus():
    results = [
        result("y", 0, [0, 0, 1, 1]), result("x", 0, [0, 0, 0, 0]), result("x", 1, [0, 1, 1, 1]), result("y", 1, [0, 0, 0, 1])
    ]  # fmt: skip
    assert uar_by_seed(results, ["x", "y"], [0, 1]).tolist() == [[0.5, 1.0], [0.75, 0.75]]


def test_heads_on_a_frozen_encoder_cannot_share_it(recipe):
    Path(recipe).write_text(
        yaml.safe_dump(yaml.safe_load(Path(recipe).read_text()) | {"method": "heads", "finetune": None})
    )
    with pytest.raises(ValueError, match=r"ablation: method must be finetune, .*; got 'heads'"):
        main([recipe])
