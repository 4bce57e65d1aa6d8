"""Claims about intervals and differences."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import recall_score

from speecheq.evaluation.comparison import mean_interval, paired_difference


def test_three_values_have_their_mean_and_t_interval():
    # t of 2 degrees of freedom at 0.975 is 4.303, the standard error 0.1 / sqrt(3).
    assert mean_interval([0.6, 0.7, 0.8]) == pytest.approx((0.7, 0.7 - 0.2484, 0.7 + 0.2484), abs=1e-4)
    assert mean_interval([0.6, 0.7, 0.8], level=0.5) == pytest.approx((0.7, 0.6529, 0.7471), abs=1e-4)


def test_equal_values_have_an_interval_of_no_width_and_one_value_has_none():
    assert mean_interval([0.5, 0.5]) == (0.5, 0.5, 0.5)
    mean, low, high = mean_interval([0.7])
    assert mean == 0.7 and math.isnan(low) and math.isnan(high)


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, r"values must be finite numbers, at least one; got \[\]"),
        ([0.5, float("nan")], 0.95, r"values must be finite numbers, at least one; got \[0.5, nan\]"),
        ([0.5, 0.6], 95, r"level must lie in \(0, 1\); got 95"),
    ],
)
def test_values_without_a_mean_are_refused(values, level, message):
    with pytest.raises(ValueError, match=f"mean_interval: {message}"):
        mean_interval(values, level)


def runs(speakers: int, better: float = 0.0, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Simulate two runs with 60 utterances per speaker and three unequal classes; accuracy differs by run and speaker."""
    random = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(speakers), 60)
    references = np.tile([0] * 30 + [1] * 20 + [2] * 10, speakers)
    rates = 0.5 + 0.08 * random.normal(size=(2, speakers)) + np.array([[0.0], [better]])
    right = random.random((2, len(speaker))) < rates[:, speaker]
    first, second = np.where(right, references, (references + 1) % 3)
    return first, second, references, np.array([f"x/{number}" for number in speaker])


def test_the_difference_is_that_of_the_two_uars_whatever_is_drawn():
    first, second, references, speakers = runs(6)
    expected = recall_score(references, second, average="macro") - recall_score(references, first, average="macro")
    assert paired_difference(first, second, references, speakers)["difference"] == pytest.approx(expected)
    assert paired_difference(second, first, references, speakers)["difference"] == pytest.approx(-expected)
    # The second run gains two of four 0s and the only 1: recalls 0.5 and 0 become 1 and 1.
    found = paired_difference([0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1], list("abcde"))
    assert found["difference"] == 0.75


def test_a_run_does_not_differ_from_itself():
    first, _, references, speakers = runs(6)
    found = paired_difference(first, first, references, speakers)
    assert found == {"difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_equal_gains_of_five_speakers_have_no_width_and_the_smallest_p_that_the_draws_allow():
    # Of each speaker's four utterances, the second run gains one: half of the recall of class 1.
    found = paired_difference([0, 0, 1, 0] * 5, [0, 0, 1, 1] * 5, [0, 0, 1, 1] * 5, np.repeat(list("abcde"), 4))
    assert found["difference"] == found["low"] == found["high"] == 0.25
    assert found["p"] == pytest.approx(2 * stats.t.cdf(stats.norm.ppf(1 / 2001) * math.sqrt(4 / 5), df=4))
    assert found["p"] == pytest.approx(0.0423, abs=1e-4)


def test_the_interval_is_about_the_t_interval_over_speakers():
    # Classes are equally frequent for all speakers, so the UAR of a draw is the mean over its speakers.
    first, second, references, speakers = runs(9, better=0.1, seed=7)
    gains = []
    for name in np.unique(speakers):
        his = speakers == name
        uars = [recall_score(references[his], run[his], average="macro") for run in (first, second)]
        gains.append(uars[1] - uars[0])
    found = paired_difference(first, second, references, speakers, draws=20000)
    assert (found["difference"], found["low"], found["high"]) == pytest.approx(mean_interval(gains), abs=0.006)
    assert found["p"] == pytest.approx(stats.ttest_1samp(gains, 0).pvalue, abs=0.006)


def test_utterances_are_drawn_too_when_speakers_are_few():
    # Both speakers gain 15 of 60 zeros. Resampling only speakers would give an interval of width 0. With utterances
    # the share of 120 has the standard deviation sqrt(0.25 * 0.75 / 120) = 0.0395, and UAR over two classes half of that.
    first = np.array(([0] * 45 + [1] * 15 + [1] * 60) * 2)
    references = np.array(([0] * 60 + [1] * 60) * 2)
    found = paired_difference(first, references, references, np.repeat(["a", "b"], 120), draws=20000)
    assert found["difference"] == 0.125
    assert found["low"] == pytest.approx(0.125 - 1.96 * 0.0395 / 2, abs=0.003)
    assert found["high"] == pytest.approx(0.125 + 1.96 * 0.0395 / 2, abs=0.003)
    assert found["p"] == pytest.approx(2 / 20001)


def test_speakers_are_drawn_when_they_are_few():
    # One of two speakers gains everything, the other nothing: a quarter of the draws contain only the first.
    first, references = np.array([1, 0] * 10 + [0, 1] * 10), np.array([0, 1] * 20)
    found = paired_difference(first, references, references, np.repeat(["a", "b"], 20))
    assert (found["difference"], found["low"], found["high"]) == (0.5, 0.0, 1.0)
    assert 0.3 < found["p"] < 0.7


def test_a_class_that_a_draw_lacks_is_left_out_of_it():
    # Only speaker e has class 1, which the second run gains: a draw without e has difference 0, one with e 0.5.
    found = paired_difference([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1], list("abcdee"))
    assert (found["difference"], found["low"], found["high"]) == (0.5, 0.0, 0.5)


def test_false_alarms_are_rare_and_true_differences_found():
    equal = [paired_difference(*runs(9, seed=seed), draws=500)["p"] < 0.05 for seed in range(100)]
    better = [paired_difference(*runs(9, better=0.2, seed=seed))["p"] < 0.05 for seed in range(40)]
    assert np.mean(equal) <= 0.1
    assert np.mean(better) > 0.9


def test_p_is_small_just_where_the_interval_leaves_zero_out():
    for speakers in (3, 12):
        for seed in range(30):
            found = paired_difference(*runs(speakers, better=0.08, seed=seed))
            if not 0.04 < found["p"] < 0.06:
                assert (found["p"] < 0.05) == (found["low"] > 0 or found["high"] < 0)


def test_the_draws_follow_from_the_seed():
    arguments = runs(7)
    assert paired_difference(*arguments, seed=1) == paired_difference(*arguments, seed=1)
    assert paired_difference(*arguments, seed=1) != paired_difference(*arguments, seed=2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"first": [0]}, "first must have as many items as references, at least one; got 1 and 2"),
        ({"speakers": ["a"] * 3}, "speakers must have as many items as references, at least one; got 3 and 2"),
        ({name: [] for name in ("first", "second", "references", "speakers")}, "at least one; got 0 and 0"),
        (
            {"references": [0, -100]},
            "references must be class ids of 0 or more; got 1 negative ones. Remove utterances",
        ),
        ({"draws": 0}, "draws must be at least 1; got 0"),
    ],
)
def test_columns_that_do_not_belong_together_are_refused(changed, message):
    arguments = {"first": [0, 1], "second": [0, 1], "references": [0, 1], "speakers": ["a", "b"]}
    with pytest.raises(ValueError, match=f"paired_difference: .*{message}"):
        paired_difference(**arguments | changed)
