"""Claims about experiments: results, resuming, and test speakers that never train."""

import json
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from samples import ROOT, TINY_BACKBONES

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.evaluation import experiment
from speecheq.evaluation.experiment import ExperimentArguments, MethodArguments, main
from speecheq.evaluation.protocols import PROTOCOLS, folds
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.train import parse
from speecheq.training.frozen import HeadArguments
from speecheq.training.recipes import read_recipe

NAMES = [f"synthetic-speaker-kfold-{fold}-seed{seed}.json" for fold in (1, 2, 3) for seed in (0, 1)]


def results_in(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*-seed*"))}


def test_every_recipe_of_an_experiment_parses():
    recipes = [path for path in sorted((ROOT / "recipes").glob("*.yaml")) if "\nprotocol:" in path.read_text()]
    assert "frozen.yaml" in {path.name for path in recipes}
    for path in recipes:
        asked, method, _, _ = read_recipe("x", (ExperimentArguments, MethodArguments, HeadArguments), [str(path)])
        assert asked.protocol in PROTOCOLS and asked.output_dir.startswith("runs/")
        if method.finetune:
            assert parse([str(ROOT / method.finetune)])[0].backbone == method.backbone


def test_every_utterance_is_answered_once_and_the_folds_are_summed_up(run, mini, tmp_path, capsys):
    summary = run("whole")
    found = {name: json.loads(text) for name, text in results_in(tmp_path / "whole").items()}
    assert list(found) == NAMES
    rows = mini[0]
    assert sorted(chain.from_iterable(found[name]["ids"] for name in NAMES[::2])) == sorted(rows["id"])

    of_row = {row["id"]: row for row in rows.remove_columns("audio").to_list()}
    for result in found.values():
        assert result["classes"] == ["angry", "fear", "happy", "neutral", "sad", "surprise"]
        tested = [of_row[name] for name in result["ids"]]
        assert [result["classes"][answer] for answer in result["references"]] == [
            row["native_label"] for row in tested
        ]
        assert result["speakers"] == [row["speaker_id"] for row in tested]
        assert result["gender"] == [["female", "male"].index(row["gender"]) for row in tested]
        assert result["eis_high"] == pytest.approx([row["eis_high"] for row in tested])
        assert result["audit"]["shared_speakers"] == result["audit"]["shared_ids"] == []
        assert list(result["answers"]) == ["0", "2", "-1"]
        for answers in result["answers"].values():
            assert {name: len(values) for name, values in answers.items()} == dict.fromkeys(
                ("esc", "basic", "logits", "eis", "gender"), len(tested)
            )
        assert result["answers"]["-1"]["eis"] != result["answers"]["0"]["eis"]

    assert [(row["known"], row["folds"], row["seeds"], row["utterances"]) for row in summary] == [
        (0, 3, 2, 216), (2, 3, 2, 216), (-1, 3, 2, 216),
    ]  # fmt: skip
    assert json.loads((tmp_path / "whole/results.json").read_text()) == summary
    assert "| synthetic | speaker-kfold | all | 3 × 2 |" in capsys.readouterr().out


def test_a_killed_experiment_goes_on_behind_its_last_fold_to_the_same_end(run, tmp_path, monkeypatch):
    train, trained = experiment.train_heads, []

    def counted(model, known, arguments, seed):
        trained.append(seed)
        if len(trained) == 3:
            raise KeyboardInterrupt
        return train(model, known, arguments, seed)

    monkeypatch.setattr(experiment, "train_heads", counted)
    with pytest.raises(KeyboardInterrupt):
        run("killed")
    complete = results_in(tmp_path / "killed")
    assert len(complete) == 2
    (tmp_path / "killed" / f".{NAMES[-1]}.partial").write_text("torn")

    resumed = run("killed")
    assert len(trained) == 3 + 4  # the two complete ones are not repeated
    assert complete.items() <= results_in(tmp_path / "killed").items()
    monkeypatch.setattr(experiment, "train_heads", train)
    torch.manual_seed(123)  # results do not depend on earlier draws
    assert run("whole") == resumed
    assert results_in(tmp_path / "killed") == results_in(tmp_path / "whole")

    monkeypatch.delattr(experiment, "train_heads")
    monkeypatch.delattr(experiment, "load_statistics")
    assert run("whole") == resumed


def test_seeds_differ(run, tmp_path):
    run("two")
    first, second = (json.loads((tmp_path / "two" / name).read_text()) for name in NAMES[:2])
    assert first["ids"] == second["ids"]
    assert first["answers"]["0"]["eis"] != second["answers"]["0"]["eis"]


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--protocol", "loso"], "protocol"),
        (["--steps", "4"], "steps"),
        (["--known_utterances", "0"], "known_utterances"),
        (["--head-hidden-size", "4"], "head_hidden_size"),
        (["--no_use_votes"], "use_votes"),
    ],
)
def test_another_recipe_is_refused_in_the_same_folder(run, tmp_path, options, changed):
    run("one", seeds=[0], only_folds=["synthetic-speaker-kfold-1"])
    before = results_in(tmp_path / "one")
    assert list(before) == NAMES[:1]
    with pytest.raises(ValueError, match=rf"experiment: output_dir .*; got other values of {changed} in '.*one'\."):
        run("one", *options, seeds=[0], only_folds=["synthetic-speaker-kfold-1"])
    assert results_in(tmp_path / "one") == before


def test_the_known_utterances_are_the_speakers_own_or_anyones_of_the_corpus(run, monkeypatch):
    of_whom, score = [], experiment.score_heads

    def spied(model, statistics, speakers, *given):
        of_whom.append(set(speakers))
        return score(model, statistics, speakers, *given)

    monkeypatch.setattr(experiment, "score_heads", spied)
    changes = {"seeds": [0], "only_folds": ["synthetic-speaker-kfold-1"], "known_utterances": [2]}
    run("own", **changes)
    run("anyone", known_of="corpus", **changes)
    speakers, corpus = of_whom
    assert len(speakers) > 1 and corpus == {"synthetic"}


def test_heads_are_compared_with_the_probe_utterance_by_utterance(run, tmp_path, capsys):
    changes = {"seeds": [0], "only_folds": ["synthetic-speaker-kfold-1", "synthetic-speaker-kfold-2"]}
    (heads,) = run("heads", known_utterances=[0], **changes)
    (probe,) = run("probe", method="probe", **changes)
    answers = json.loads((tmp_path / "probe" / NAMES[0]).read_text())["answers"]
    assert list(answers) == ["0"] and set(answers["0"]) == {"esc", "layer"} and answers["0"]["layer"] in (0, 1, 2)
    assert probe["uar"] > 1.5 / 6 and "eis_ccc" not in probe
    (found,) = main(["--compare", str(tmp_path / "heads"), str(tmp_path / "probe")])
    assert found["difference"] == pytest.approx(probe["uar"] - heads["uar"])
    assert f"| synthetic | speaker-kfold | 0 | 0 | {100 * found['difference']:+.1f} |" in capsys.readouterr().out


@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_a_recipe_of_train_is_evaluated_in_a_fold(run, tmp_path, tuning):
    (tmp_path / "train.yaml").write_text(
        f"num_train_epochs: 1\ntuning: {tuning}\naugment_probability: 0.0\npatience: 2\n"
    )
    changes = {
        "method": "finetune",
        "finetune": str(tmp_path / "train.yaml"),
        "known_utterances": [0, -1],
        "seeds": [0],
    }
    summary = run("tuned", only_folds=["synthetic-speaker-kfold-1"], **changes)
    (result,) = (json.loads(text) for text in results_in(tmp_path / "tuned").values())
    assert len(result["heard_phonemes"]) == len(result["phonemes"]) == len(result["answers"]["-1"]["esc"]) == 72
    assert result["phonemes"][0] and all(isinstance(symbol, str) for symbol in result["phonemes"][0])
    assert [row["known"] for row in summary] == [0, -1]
    assert all(row["phoneme_per"] > 0 for row in summary)
    assert {path.name for path in (tmp_path / "tuned").iterdir()} == {NAMES[0], "recipe.json", "results.json"}


@pytest.fixture
def watched(mini, monkeypatch, tmp_path) -> SimpleNamespace:
    """`facts` of two corpora, and `trained`, the row numbers of each training. Training and encoder are replaced: the
    statistics of a row are its number."""
    rows, facts = mini[0], mini[1].copy()
    speakers = sorted(set(facts["speaker_id"]))
    facts["corpus"] = np.where(facts["speaker_id"].isin(speakers[::2]), "made", "synthetic")
    facts["fold"] = facts["speaker_id"].map(speakers.index) // 4 + 1
    numbers = torch.arange(len(facts)).float()[:, None, None].expand(-1, 3, 32)
    config = SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"])
    row_of = {name: row for row, name in enumerate(facts["id"])}
    handed = []

    def train_heads(model, known, arguments, seed):
        handed.append(known.statistics[:, 0, 0].numpy().astype(int))
        assert known.speakers.tolist() == facts["speaker_id"].iloc[handed[-1]].tolist()
        return model.eval()

    def fit_probe(features, classes, speakers):
        handed.append(features[:, 0, 0].astype(int))
        assert speakers.tolist() == facts["speaker_id"].iloc[handed[-1]].tolist()
        return SimpleNamespace(layer=0, predict=lambda features: np.zeros(len(features), dtype=int))

    def fit(splits, model, data, arguments):
        handed.append(np.array([row_of[name] for split in splits.values() for name in split["id"]]))
        Path(arguments.output_dir).mkdir(parents=True)
        model = SpeechEQModel(config)
        accelerator = SimpleNamespace(unwrap_model=lambda model: model)
        return SimpleNamespace(model=model, processor=SpeechEQProcessor.for_config(config), accelerator=accelerator)

    def answer_rows(model, processor, rows):
        return {"statistics": numbers[: len(rows)], "phonemes": [[]] * len(rows)}

    fakes = {"train_heads": train_heads, "fit_probe": fit_probe, "fit": fit, "answer_rows": answer_rows}
    fakes["load_rows"] = lambda dataset: (rows, facts)
    fakes["load_statistics"] = lambda *arguments: (numbers, config.backbone_config)
    for name, fake in fakes.items():
        monkeypatch.setattr(experiment, name, fake)
    (tmp_path / "train.yaml").write_text("num_train_epochs: 1\n")
    return SimpleNamespace(facts=facts, trained=handed)


def options(protocol: str, method: str, tmp_path: Path) -> dict:
    chosen = {"protocol": protocol, "method": method, "seeds": [0], "known_utterances": [0], "corpora": ["made"]}
    return chosen | ({"finetune": str(tmp_path / "train.yaml")} if method == "finetune" else {})


@pytest.mark.parametrize("method", ["heads", "probe", "finetune"])
@pytest.mark.parametrize("train_corpora", [None, ["all"]], ids=["alone", "unified"])
@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"emobox"}))
def test_no_tested_speaker_is_in_what_is_handed_to_training(run, watched, tmp_path, protocol, train_corpora, method):
    facts, trained = watched.facts, watched.trained
    if protocol == "cross-corpus" and train_corpora:
        train_corpora = ["synthetic"]
    run("x", train_corpora=train_corpora, **options(protocol, method, tmp_path))
    parts = folds(protocol, facts, "made", train_corpora, 3)
    assert len(parts) == len(trained) == {"loso": 6, "speaker-kfold": 3, "session-kfold": 3}.get(protocol, 1)
    for part, rows in zip(parts, trained, strict=True):
        result = json.loads((tmp_path / "x" / f"{part.name}-seed0.json").read_text())
        tested = facts["speaker_id"].iloc[part.test].tolist()
        assert result["speakers"] == tested
        assert len(rows) == result["audit"]["train_utterances"] > 0
        assert not set(facts["speaker_id"].iloc[rows]) & set(tested)


@pytest.mark.parametrize(("method", "trainings"), [("heads", 1), ("finetune", 1), ("probe", 2)])
def test_corpora_that_are_tested_after_the_same_training_share_it(run, watched, tmp_path, method, trainings):
    facts, trained = watched.facts, watched.trained
    chosen = options("default", method, tmp_path) | {"corpora": ["made", "synthetic"], "train_corpora": ["all"]}
    assert [row["corpus"] for row in run("x", **chosen)] == ["made", "synthetic"]
    assert len(trained) == trainings
    assert all(sorted(rows) == np.flatnonzero(facts["split"] == "train").tolist() for rows in trained)
    for corpus in ("made", "synthetic"):
        result = json.loads((tmp_path / "x" / f"{corpus}-default-seed0.json").read_text())
        tested = facts[(facts["corpus"] == corpus) & (facts["split"] == "test")]
        assert result["ids"] == tested["id"].tolist()
    assert not (tmp_path / "x" / "checkpoints").exists()


@pytest.mark.parametrize(("method", "trainings"), [("heads", 2), ("finetune", 2)])
def test_folds_that_share_a_model_never_train_on_a_speaker_of_any_of_them(run, watched, tmp_path, method, trainings):
    facts, trained = watched.facts, watched.trained
    chosen = options("loso", method, tmp_path) | {"corpora": ["made", "synthetic"], "train_corpora": ["all"]}
    run("x", models=2, **chosen)
    assert len(trained) == trainings
    tested = []
    for corpus in ("made", "synthetic"):
        for index, part in enumerate(folds("loso", facts, corpus, ["all"])):
            result = json.loads((tmp_path / "x" / f"{part.name}-seed0.json").read_text())
            tested += result["ids"]
            heard = set(facts["speaker_id"].iloc[trained[index % 2]])
            assert result["audit"]["train_utterances"] == len(trained[index % 2])
            assert heard and not heard & set(result["speakers"])
    assert sorted(tested) == sorted(facts["id"])


def test_a_stopped_fold_goes_on_from_its_own_checkpoint_and_no_other_seed_from_it(run, watched, tmp_path, monkeypatch):
    fit, folders = experiment.fit, []

    def stopped_in_the_second(splits, model, data, arguments):
        folder = Path(arguments.output_dir)
        folders.append((folder.name, folder.exists()))
        if len(folders) == 2:
            folder.mkdir(parents=True)
            raise KeyboardInterrupt
        folder.exists() and folder.rmdir()
        return fit(splits, model, data, arguments)

    monkeypatch.setattr(experiment, "fit", stopped_in_the_second)
    chosen = options("speaker-kfold", "finetune", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run("x", **chosen)
    run("x", **chosen | {"seeds": [0, 1]})
    assert folders[1:4] == [
        ("made-speaker-kfold-2-seed0", False), ("made-speaker-kfold-2-seed0", True), ("made-speaker-kfold-3-seed0", False),
    ]  # fmt: skip
    assert folders[4] == ("made-speaker-kfold-1-seed1", False)
    assert not (tmp_path / "x" / "checkpoints").exists()


def test_a_row_is_of_the_smallest_class_that_holds_it():
    sets = [frozenset({"happy", "excited"}), frozenset({"happy"})]
    found = [experiment._class_index(esc, sets) for esc in (["happy"], ["excited"], ["happy", "sad"], [], None)]
    assert found == [1, 0, None, None, None]


def test_the_speakers_that_emobox_shares_are_named(run, watched, tmp_path):
    facts, trained = watched.facts, watched.trained
    facts["fold"] = np.arange(len(facts)) % 2 + 1
    (row,) = run("x", **options("emobox", "heads", tmp_path))
    shared = set(facts["speaker_id"].iloc[trained[0]]) & set(facts["speaker_id"][facts["corpus"] == "made"])
    assert row["shared_speakers"] == sorted(shared) and len(shared) == 6


@pytest.mark.parametrize("method", ["heads", "probe", "finetune"])
@pytest.mark.parametrize("protocol", ["default", "session-kfold", "cross-corpus"])
def test_columns_that_put_a_speaker_on_both_sides_train_nothing(run, watched, tmp_path, protocol, method):
    facts, trained = watched.facts, watched.trained
    row = facts.index[(facts["corpus"] == "made") & (facts["split"] == "test") & (facts["native_label"] == "sad")][0]
    changed = {"default": ("split", "train"), "session-kfold": ("fold", facts["fold"][row] % 3 + 1)}
    column, value = changed.get(protocol, ("corpus", "synthetic"))
    facts.loc[row, column] = value
    with pytest.raises(
        ValueError, match=f"a speaker must not be in both train and test; got {facts['speaker_id'][row]} in"
    ):
        run("x", **options(protocol, method, tmp_path))
    assert trained == []
    assert results_in(tmp_path / "x") == {}


def test_a_text_that_is_tested_is_not_handed_to_training(run, watched, tmp_path):
    facts, trained = watched.facts, watched.trained
    facts["text"] = [f"sentence {number % 10}" for number in range(len(facts))]
    run("x", unseen_texts=0.3, **options("loso", "heads", tmp_path))
    assert len(trained) == 6
    for part, rows in zip(folds("loso", facts, "made"), trained, strict=True):
        tested = json.loads((tmp_path / "x" / f"{part.name}-seed0.json").read_text())["ids"]
        texts = set(facts["text"][facts["id"].isin(tested)])
        assert texts and not texts & set(facts["text"].iloc[rows])
        assert not set(facts["speaker_id"].iloc[rows]) & set(facts["speaker_id"].iloc[part.test])
