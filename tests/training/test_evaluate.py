"""Claims about scoring a saved model."""

import pytest
from samples import MINI_SEQD

from speecheq.training.evaluate import evaluate


def test_the_saved_model_scores_as_the_run_said(trained_run, capsys):
    folder, scores = trained_run
    assert evaluate(str(folder), MINI_SEQD) == pytest.approx(scores, abs=1e-6)
    assert "Speakers of test that are in train: none." in capsys.readouterr().out
