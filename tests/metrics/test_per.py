import math

import pytest

from speecheq.metrics.scores import load_metric


def per(predictions, references):
    return load_metric("per").compute(predictions=predictions, references=references)["per"]


def test_a_substitution_and_a_deletion_in_six_symbols_are_a_third():
    assert per([["h", "ə", "l", "ʊ", "s"]], [["h", "ə", "l", "o", "ʊ", "s"]]) == pytest.approx(1 / 6)
    assert per([["k", "ə", "l", "ʊ", "s"]], [["h", "ə", "l", "o", "ʊ", "s"]]) == pytest.approx(2 / 6)


def test_the_rate_is_of_the_corpus_not_the_mean_of_its_utterances():
    # 1 edit in 1 symbol and 0 in 4: 1/5, where the mean of the utterances would be 1/2.
    assert per([["a"], ["m", "a", "m", "a"]], [["o"], ["m", "a", "m", "a"]]) == pytest.approx(0.2)


def test_insertions_count_even_where_the_reference_is_empty():
    assert per([["a", "b", "a"], ["c"]], [["a"], []]) == pytest.approx(3.0)


def test_nothing_recognised_is_all_deletions():
    assert per([[]], [["a", "b"]]) == 1.0


def test_a_symbol_of_several_characters_is_one_symbol():
    assert per([["tʃʰ", "a˥˩"]], [["tʃ", "a˥˩"]]) == 0.5
    assert per([["a b", "c"]], [["a b", "d"]]) == 0.5


def test_no_reference_symbol_has_no_rate():
    assert math.isnan(per([["a"]], [[]]))
    assert math.isnan(per([], []))
