"""Claims about temperatures, confidence and abstention. Expected temperatures are solved by hand."""

from math import log

import numpy as np
import pytest
import torch

from speecheq.evaluation.calibration import (
    abstention_threshold,
    area_under_risk_coverage,
    confidences,
    expected_calibration_error,
    fit_class_temperature,
    fit_eis_temperature,
    fit_esc_temperature,
    fit_temperature,
    fold_into_corpora,
    risk_coverage,
)
from speecheq.labels_speecheq import ESC_LABELS
from speecheq.metrics.scores import esc_scores

SPACES = {
    "x": {"joy": ["happy", "excited"], "anger": ["angry"], "fury": ["angry"]},
    "y": {"A": ["angry"], "S": ["sad"], "N": ["neutral"]},
    "one": {"N": ["neutral"]},
}


def fine(rest: float = 0.0, **values: float) -> list[float]:
    """Make a row over the fine classes."""
    return [values.get(label, rest) for label in ESC_LABELS]


def close(temperature: float):
    return pytest.approx(temperature, rel=2e-3)


def test_probabilities_are_folded_into_the_labels_of_each_corpus():
    rows = [fine(angry=0.2, happy=0.3, excited=0.3, sad=0.2)] * 6
    natives, corpora = ["fury", "S", None, "joy", "N", "N"], ["x", "y", "x", "x", "one", "elsewhere"]

    folded = fold_into_corpora(np.array(rows), natives, corpora, SPACES)

    assert list(folded) == ["x", "y"]
    assert folded["x"].classes == [["excited", "happy"], ["angry"]]
    assert folded["x"].rows.tolist() == [0, 3]
    assert folded["x"].references.tolist() == [1, 0]
    assert folded["x"].predictions.tolist() == [0, 0]
    np.testing.assert_allclose(folded["x"].probabilities, [[0.75, 0.25]] * 2)
    np.testing.assert_allclose(folded["y"].probabilities, [[0.5, 0.5, 0]])
    assert folded["y"].references.tolist() == [1]


def test_decisions_are_those_that_are_scored():
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(12), 60)
    corpora = [["x", "y"][row % 2] for row in range(60)]
    natives = [list(SPACES[corpus])[random.integers(3)] for corpus in corpora]
    scores = esc_scores(probabilities, [None] * 60, natives, corpora, label_spaces=SPACES)

    for corpus, part in fold_into_corpora(probabilities, natives, corpora, SPACES).items():
        assert (part.predictions == part.references).mean() == pytest.approx(scores[f"{corpus}/esc_wa"])


def test_the_temperature_gives_the_confidence_that_the_accuracy_deserves():
    # 3 of 4 are class 1: the likelihood is highest where sigmoid(4 / T) = 3/4.
    assert fit_class_temperature([[0, 4]] * 4, [1, 0, 1, 1]) == close(4 / log(3))
    assert fit_class_temperature([[0, 0.4]] * 4, [1, 0, 1, 1]) == close(0.4 / log(3))


def test_rows_without_a_class_do_not_count():
    assert fit_class_temperature([[0, 4]] * 4 + [[90, 0]] * 2, [1, 0, 1, 1, None, -100]) == close(4 / log(3))
    assert fit_class_temperature([[0, 4]] * 2, [None, -100]) == 1.0


def test_a_set_counts_as_the_sum_of_its_members():
    # 9 of 10 lie in a set of two equal classes: 2 exp(4 / T) = 9.
    targets = torch.tensor([[0.0, 1, 1]] * 9 + [[1.0, 0, 0]])
    assert fit_temperature(np.array([[0, 4, 4]] * 10), targets) == close(4 / log(4.5))
    assert fit_temperature(np.array([[0, 4, 4]] * 10), torch.ones(10, 3)) == 1.0


def test_the_esc_temperature_knows_only_the_labels_of_the_corpus():
    # "sad" is not a label of x, so its probability is ignored.
    logits = [fine(rest=-50, angry=0, happy=4, excited=4, sad=50)] * 10
    assert fit_esc_temperature(logits, ["joy"] * 9 + ["fury"], ["x"] * 10, SPACES) == close(4 / log(4.5))


def test_every_labelled_row_of_every_corpus_has_a_part_in_the_esc_temperature():
    x, y = fine(rest=-50, angry=0, happy=4, excited=-50), fine(rest=-50, angry=4, sad=0, neutral=-500)
    logits = [x, y, y, x, y, y]
    natives, corpora = ["anger", "A", None, "joy", "A", "nobody's"], ["x", "y", "y", "x", "y", "y"]
    # 3 of the 4 labelled rows are correct, each with a margin of 4.
    assert fit_esc_temperature(logits, natives, corpora, SPACES) == close(4 / log(3))
    assert fit_esc_temperature(logits, [None] * 6, corpora, SPACES) == 1.0
    assert fit_esc_temperature(logits, ["N"] * 6, ["one"] * 6, SPACES) == 1.0


def test_the_eis_temperature_reads_intervals_as_training_does():
    missing = [[90, 0]] * 2
    # Two levels, 0 and 1: the points 1, 0, 1, 1, and the same as a point between the levels.
    assert fit_eis_temperature([[0, 4]] * 4 + missing, [1, 0, 1, 1, None, 0], [1, 0, 1, 1, 0, None]) == close(
        4 / log(3)
    )
    assert fit_eis_temperature([[0, 4]], [0.75], [0.75]) == close(4 / log(3))
    # Three levels: the interval holds the upper two.
    assert fit_eis_temperature([[0, 4, 4]] * 10, [0.5] * 9 + [0], [1] * 9 + [0]) == close(4 / log(4.5))
    assert fit_eis_temperature(missing, [None, None], [None, 1]) == 1.0


def test_a_split_without_an_error_takes_the_lower_end_and_one_without_skill_the_upper():
    assert fit_class_temperature([[0, 0.4], [0.4, 0]], [1, 0]) == close(0.1)
    assert fit_class_temperature([[0, 4], [4, 0]], [0, 1]) == close(10)


def test_confidence_is_that_of_the_decision_inside_the_corpus_in_the_order_of_the_rows():
    rows = [
        fine(angry=0.2, happy=0.3, excited=0.3, sad=0.2),
        fine(angry=0.1, sad=0.3, neutral=0.1, fear=0.5),
        fine(angry=1),
        fine(angry=0.4, happy=0.1, fear=0.5),
    ]
    confidence, correct = confidences(np.array(rows), ["joy", "A", None, "fury"], ["x", "y", "x", "x"], SPACES)
    np.testing.assert_allclose(confidence, [0.75, 0.6, 0.8])
    assert correct.tolist() == [True, False, True]


def test_ece_weighs_each_bin_by_its_share():
    # Bin (14/15, 1]: mean confidence 0.96, accuracy 2/3, 3 of 5 rows. Bin (8/15, 9/15]: 0.55, accuracy 1, 2 of 5.
    confidence, correct = np.array([0.95, 0.96, 0.97, 0.54, 0.56]), np.array([True, True, False, True, True])
    assert expected_calibration_error(confidence, correct) == pytest.approx(3 / 5 * (0.96 - 2 / 3) + 2 / 5 * 0.45)
    assert expected_calibration_error(confidence, correct, bins=1) == pytest.approx(0.8 - 0.796)


def test_risk_grows_as_less_sure_rows_are_answered_and_equal_ones_come_together():
    coverage, risk = risk_coverage([0.8, 0.6, 0.9, 0.8], [False, False, True, True])
    np.testing.assert_allclose(coverage, [0.25, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 1 / 3, 1 / 2])


def test_the_area_is_the_mean_risk_over_all_coverages():
    assert area_under_risk_coverage([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0]) == pytest.approx(
        (0 + 1 / 2 + 1 / 3 + 1 / 2) / 4
    )
    assert area_under_risk_coverage([0.8, 0.6, 0.9, 0.8], [0, 0, 1, 1]) == pytest.approx(1 / 3 / 2 + 1 / 2 / 4)


@pytest.mark.parametrize(("risk", "threshold"), [(0.2, None), (0.25, 0.6), (0.3, 0.6), (0.4, 0.5)])
def test_the_threshold_is_the_lowest_that_keeps_the_risk(risk, threshold):
    # Risks, most confident first: 1, 1/2, 1/3, 1/4, 2/5.
    confidence, correct = [0.9, 0.8, 0.7, 0.6, 0.5], [False, True, True, True, False]
    assert abstention_threshold(confidence, correct, risk) == threshold


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"fold_into_corpora: model outputs must have shape \(n, 12\); got \(2, 3\)"):
        fold_into_corpora(np.zeros((2, 3)), ["joy"] * 2, ["x"] * 2, SPACES)
    with pytest.raises(
        ValueError, match="fit_esc_temperature: labels and corpora must have 2 items, one per row; got 1"
    ):
        fit_esc_temperature(np.zeros((2, 12)), ["joy"], ["x"] * 2, SPACES)
    with pytest.raises(ValueError, match="model outputs must be finite; got NaN or infinity in 1 of 2 rows"):
        fit_class_temperature([[0, 1], [np.nan, 1]], [0, 1])
    with pytest.raises(ValueError, match=r"fit_class_temperature: ids must lie in \[0, 2\); got 2 in row 1"):
        fit_class_temperature([[0, 1], [1, 0]], [0, 2])
    with pytest.raises(
        ValueError, match="fit_eis_temperature: labels and corpora must have 2 items, one per row; got 3"
    ):
        fit_eis_temperature(np.zeros((2, 5)), [0, 1], [0, 1, 1])
    with pytest.raises(ValueError, match=r"must have the same number of rows, at least one; got \(0,\) and \(0,\)"):
        risk_coverage([], [])
    with pytest.raises(ValueError, match=r"must have the same number of rows, at least one; got \(2,\) and \(1,\)"):
        abstention_threshold([0.5, 0.6], [True], 0.1)
