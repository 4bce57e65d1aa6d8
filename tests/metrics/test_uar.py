import pytest

from speecheq.metrics.scores import load_metric


def test_uar_weighs_classes_and_wa_weighs_rows():
    # Recalls: 8/8 and 1/2. F1: 2*8/(9+8) = 16/17 and 2*1/(1+2) = 2/3.
    result = load_metric("uar").compute(predictions=[0] * 9 + [1], references=[0] * 8 + [1] * 2)

    assert result == pytest.approx({"uar": 0.75, "wa": 0.9, "macro_f1": (16 / 17 + 2 / 3) / 2})


def test_a_predicted_class_without_references_is_wrong_but_no_class_of_the_mean():
    # Recalls of 0 and 1: 1/2 and 1. F1: 2/3 and 1. A mean over three classes would be 0.5.
    result = load_metric("uar").compute(predictions=[0, 7, 1], references=[0, 0, 1])

    assert result == pytest.approx({"uar": 0.75, "wa": 2 / 3, "macro_f1": 5 / 6})


def test_no_reference_is_refused():
    with pytest.raises(ValueError, match="uar: references must contain at least one class id; got none"):
        load_metric("uar").compute(predictions=[], references=[])
