import pytest

from speecheq.metrics.scores import load_metric


def ece(predictions, references, **options):
    return load_metric("ece").compute(predictions=predictions, references=references, **options)["ece"]


def test_each_bin_counts_by_its_share():
    # Bin (14/15, 1]: mean confidence 0.96, accuracy 2/3, 3 of 5 rows. Bin (8/15, 9/15]: 0.55, accuracy 1, 2 of 5.
    expected = 3 / 5 * (0.96 - 2 / 3) + 2 / 5 * (1 - 0.55)

    assert ece([0.95, 0.96, 0.97, 0.54, 0.56], [1, 1, 0, 1, 1]) == pytest.approx(expected)


def test_errors_inside_a_bin_cancel_and_between_bins_do_not():
    assert ece([0.5, 0.5], [1, 0]) == pytest.approx(0.0)
    assert ece([0.4, 0.6], [1, 0]) == pytest.approx(0.6)
    assert ece([0.4, 0.6], [1, 0], num_bins=1) == pytest.approx(0.0)


def test_a_bin_holds_its_upper_edge():
    # Two bins: 0.5 shares the first with 0.25. In the second it would leave |1 - 0.5| / 2 + |0 - 0.25| / 2 = 0.375.
    assert ece([0.25, 0.5], [0, 1], num_bins=2) == pytest.approx(0.125)


def test_certain_predictions_lie_in_the_outer_bins():
    assert ece([0.0, 1.0], [0, 1]) == 0.0


def test_a_bad_value_is_named():
    with pytest.raises(ValueError, match=r"ece: predictions must be numbers in \[0, 1\]; got 95.0 in item 1"):
        ece([0.9, 95.0], [1, 1])
    with pytest.raises(ValueError, match="ece: references must be 0 or 1; got 3 in item 0"):
        ece([0.9], [3])
    with pytest.raises(ValueError, match="ece: num_bins must be at least 1; got 0"):
        ece([0.9], [1], num_bins=0)
    with pytest.raises(ValueError, match="ece: predictions must contain at least one confidence; got none"):
        ece([], [])
