"""Claims about scoring a saved model."""

import re
import shutil

import pytest
import yaml
from samples import MINI_SEQD, TINY_BACKBONES, write_seqd

from speecheq import train
from speecheq.evaluation.evaluate import evaluate, main, speakers_seen
from speecheq.evaluation.probe import probe_scores
from speecheq.metrics.scores import table
from speecheq.training.seqd import load_seqd


def test_the_saved_model_scores_as_the_run_said(trained_run, capsys):
    folder, scores = trained_run
    assert evaluate(str(folder), MINI_SEQD) == pytest.approx(scores, abs=1e-6)
    assert "Speakers of test that were seen in training: none." in capsys.readouterr().out


def test_known_utterances_of_the_speaker_or_the_corpus_change_the_scores(trained_run):
    folder, scores = str(trained_run[0]), trained_run[1]
    same = evaluate(folder, MINI_SEQD, known_utterances=0, known_of="corpus")
    of_speaker = evaluate(folder, MINI_SEQD, known_utterances=-1)
    of_corpus = evaluate(folder, MINI_SEQD, known_utterances=-1, known_of="corpus")
    assert same == pytest.approx(scores, abs=1e-6)
    assert of_speaker.keys() == of_corpus.keys() == scores.keys()
    for name in ("phoneme_per", "gender_uar"):  # know nothing of the speaker
        assert of_speaker[name] == of_corpus[name] == pytest.approx(scores[name], abs=1e-6)
    mae = [found["eis_mae"] for found in (scores, of_speaker, of_corpus)]
    assert len(set(mae)) == 3
    for wrong in ({"known_utterances": -2}, {"known_utterances": 1, "known_of": "room"}):
        with pytest.raises(
            ValueError, match=r"evaluate: known_utterances must be -1, 0 or more, of speaker or corpus"
        ):
            evaluate(folder, MINI_SEQD, **wrong)


def test_speakers_that_an_earlier_stage_has_seen_are_counted_and_a_missing_record_is_said(trained_run, tmp_path):
    rows = load_seqd(MINI_SEQD)
    trained = sorted(set(rows["train"]["speaker_id"]))
    others = {"train": rows["test"], "test": rows["train"]}

    assert speakers_seen(str(trained_run[0]), others) == (trained, [])
    assert speakers_seen(str(trained_run[0]), rows) == ([], [])
    shutil.copytree(
        trained_run[0], tmp_path / "run", ignore=shutil.ignore_patterns("training_data.json", "checkpoints")
    )
    assert speakers_seen(str(tmp_path / "run"), others) == ([], ["run"])


def test_the_command_on_a_card_scores_the_corpora_that_were_kept(tmp_path, monkeypatch, capsys):
    rows = load_seqd(MINI_SEQD)
    of_both = {}
    for split, part in rows.items():
        part = part.select(range(0, len(part), 2))
        names = ["own" if index % 2 else "synthetic" for index in range(len(part))]
        of_both[split] = part.remove_columns("corpus").add_column("corpus", names)
    recipe = {"dataset": write_seqd(tmp_path / "seqd", of_both), "backbone_config": TINY_BACKBONES["whisper"],
              "output_dir": str(tmp_path / "run"), "max_steps": 1, "corpora": ["own"]}  # fmt: skip
    (tmp_path / "recipe.yaml").write_text(
        yaml.safe_dump(recipe | {"eval_strategy": "no", "load_best_model_at_end": False})
    )
    scores = train.main([str(tmp_path / "recipe.yaml")])
    card = (tmp_path / "run" / "README.md").read_text()
    assert "Test split of `seqd (own)`" in card
    command = re.search(r"Measure again with `python -m speecheq.evaluation.evaluate (.*)`", card)[1]
    assert command.endswith(" --dataset_config all --corpora own")
    monkeypatch.setattr("sys.argv", ["evaluate", *command.split()])
    capsys.readouterr()
    main()
    assert table(scores) in capsys.readouterr().out
    assert "own/esc_uar" in scores and "synthetic/esc_uar" not in scores


def test_a_split_that_is_missing_is_named(trained_run, one_speaker):
    folder, _ = trained_run
    with pytest.raises(
        ValueError, match=r"evaluate: dataset must have the split 'test'; got train\. Splits are speaker-"
    ):
        evaluate(str(folder), one_speaker)
    assert "synthetic/esc_uar" in evaluate(str(folder), one_speaker, split="train")
    splits = load_seqd(one_speaker)
    with pytest.raises(ValueError, match="probe_scores: dataset must have the split 'validation'; got train"):
        probe_scores("never read", splits)
