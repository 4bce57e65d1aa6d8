"""Claims about scoring a saved model."""

import pytest
from samples import MINI_SEQD

from speecheq.training.data import load_seqd
from speecheq.training.evaluate import evaluate
from speecheq.training.probe import probe_scores


def test_the_saved_model_scores_as_the_run_said(trained_run, capsys):
    folder, scores = trained_run
    assert evaluate(str(folder), MINI_SEQD) == pytest.approx(scores, abs=1e-6)
    assert "Speakers of test that are in train: none." in capsys.readouterr().out


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
