import math

import pytest

from speecheq.metrics.scores import load_metric


def test_ccc_is_that_of_lin():
    # Means 0.4 and 0.5, covariance 0.075, variances 0.09 and 0.125: 0.15 / (0.09 + 0.125 + 0.01) = 2/3.
    result = load_metric("ccc").compute(predictions=[0.1, 0.1, 0.7, 0.7], references=[0.0, 0.5, 0.5, 1.0])

    assert result["ccc"] == pytest.approx(2 / 3)
    assert result["mae"] == pytest.approx(0.25)


def test_a_shift_costs_ccc_though_the_correlation_is_perfect():
    # Variances and covariance 0.0625, means 0.25 apart: 0.125 / (0.125 + 0.0625) = 2/3.
    result = load_metric("ccc").compute(predictions=[0.25, 0.75], references=[0.0, 0.5])

    assert result["ccc"] == pytest.approx(2 / 3)


def test_qwk_squares_the_distance_between_levels():
    # Levels 0 1 2 4 against 0 2 2 4. Observed: 1 step, 1. Expected: sum over all pairs of (i - j)^2 / 4:
    # rows 0: 0+4+4+16, 1: 1+1+1+9, 2: 4+0+0+4, 4: 16+4+4+0; 68/4 = 17. Kappa = 1 - 1/17.
    result = load_metric("ccc").compute(predictions=[0.0, 0.3, 0.5, 1.0], references=[0.0, 0.5, 0.5, 1.0])

    assert result["qwk"] == pytest.approx(16 / 17)


def test_a_value_between_two_levels_rounds_up():
    # 0.125 is half-way between levels 0 and 1 of 5, 0.625 between 2 and 3. Banker's rounding would give 0 and 2.
    result = load_metric("ccc").compute(predictions=[0.125, 0.625], references=[0.25, 0.75])

    assert result["qwk"] == pytest.approx(1.0)


def test_the_number_of_levels_decides_what_agrees():
    values = {"predictions": [0.3, 0.0, 0.9], "references": [0.0, 0.0, 1.0]}

    assert load_metric("ccc").compute(**values, num_levels=2)["qwk"] == pytest.approx(1.0)
    assert load_metric("ccc").compute(**values, num_levels=5)["qwk"] < 1
    with pytest.raises(ValueError, match="num_levels must be at least 2; got 1"):
        load_metric("ccc").compute(**values, num_levels=1)


def test_constant_references_have_no_ccc_but_an_error():
    result = load_metric("ccc").compute(predictions=[0.0, 0.1], references=[0.0, 0.0])

    assert math.isnan(result["ccc"])
    assert math.isnan(result["qwk"])
    assert result["mae"] == pytest.approx(0.05)


def test_constant_predictions_have_a_ccc_of_0():
    assert load_metric("ccc").compute(predictions=[0.5, 0.5], references=[0.0, 1.0])["ccc"] == 0.0


def test_a_rounding_error_outside_the_interval_is_forgiven_and_another_scale_is_not():
    assert load_metric("ccc").compute(predictions=[1.004, -0.004], references=[1.0, 0.0])["mae"] == 0.0
    with pytest.raises(ValueError, match=r"ccc: predictions must be numbers in \[0, 1\]; got 70.0 in item 1"):
        load_metric("ccc").compute(predictions=[0.5, 70.0], references=[0.5, 0.7])
    with pytest.raises(ValueError, match=r"ccc: references must be numbers in \[0, 1\]; got nan in item 0"):
        load_metric("ccc").compute(predictions=[0.5], references=[float("nan")])
    with pytest.raises(ValueError, match="ccc: predictions must contain at least one value; got none"):
        load_metric("ccc").compute(predictions=[], references=[])
