import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speecheq.labels_speecheq import ESC_LABELS
from speecheq.metrics import scores as scores_module
from speecheq.metrics.scores import (
    eis_scores,
    esc_scores,
    fold,
    gender_scores,
    intensity_order,
    load_metric,
    phoneme_scores,
    rendition,
    table,
)


def probabilities(*rows: dict[str, float]) -> np.ndarray:
    return np.array([[row.get(label, 0.0) for label in ESC_LABELS] for row in rows])


def test_the_modules_load_offline_in_two_processes_at_once(tmp_path):
    code = (
        "import os, socket, sys\n"
        "def refuse(*args): raise AssertionError('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import evaluate\n"
        "child = os.fork()\n"
        "ints = {'predictions': [0, 1], 'references': [0, 0]}\n"
        "symbols = {'predictions': [['a']], 'references': [['a', 'b']]}\n"
        "modules = {'uar': ints, 'ccc': ints, 'ece': ints, 'per': symbols}\n"
        "results = [evaluate.load(f'{sys.argv[1]}/{name}').compute(**modules[name])[name] for name in modules]\n"
        "os.write(1, f'{results}\\n'.encode())\n"
        "if child: os.waitpid(child, 0)\n"
    )
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(Path(scores_module.__file__).parent)]

    output = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    assert output.stdout.splitlines() == ["[0.5, nan, 0.5, 0.5]"] * 2, output.stderr


def test_a_module_is_loaded_once_and_an_unknown_one_is_refused():
    assert load_metric("uar") is load_metric("uar")
    with pytest.raises(ValueError, match="load_metric: name must be one of uar, ccc, per, ece; got 'wer'"):
        load_metric("wer")


def test_folding_sums_groups_and_renormalises():
    predicted = probabilities({"angry": 0.1, "frustrated": 0.2, "happy": 0.1, "calm": 0.6})

    folded = fold(predicted, [["angry", "frustrated"], ["happy"], ["sad"]], ESC_LABELS)

    np.testing.assert_allclose(folded, [[0.75, 0.25, 0.0]])


def test_a_class_in_two_groups_counts_in_both():
    folded = fold(probabilities({"happy": 0.5, "excited": 0.25}), [["happy"], ["happy", "excited"]], ESC_LABELS)

    np.testing.assert_allclose(folded, [[0.4, 0.6]])


def test_no_probability_in_any_group_is_uniform():
    folded = fold(probabilities({"calm": 1.0}, {"sad": 0.5}), [["angry"], ["sad"]], ESC_LABELS)

    np.testing.assert_allclose(folded, [[0.5, 0.5], [0.0, 1.0]])


def test_the_order_of_the_labels_is_the_order_of_the_columns():
    np.testing.assert_allclose(fold(np.array([[0.2, 0.8]]), [["a"], ["b"]], ["b", "a"]), [[0.8, 0.2]])


def test_folding_refuses_an_unknown_class_and_no_group():
    with pytest.raises(ValueError, match=r"fold: a fine class must be one of angry, .*; got 'joy'"):
        fold(probabilities({"calm": 1.0}), [["joy"]], ESC_LABELS)
    with pytest.raises(ValueError, match="fold: groups must contain at least one group; got none"):
        fold(probabilities({"calm": 1.0}), [], ESC_LABELS)


def test_a_corpus_decides_inside_its_own_labels():
    # The fine argmax of the first row, calm, is no label of the corpus: happy is its most probable one.
    predicted = probabilities({"calm": 0.6, "happy": 0.25, "angry": 0.15}, {"angry": 0.9, "happy": 0.1})

    result = esc_scores(predicted, [["happy"], ["angry"]], ["joy", "anger"], ["nemo", "nemo"])

    assert result["nemo/esc_uar"] == result["nemo/esc_wa"] == result["nemo/esc_macro_f1"] == 1.0
    assert result["esc_fine_uar"] == result["esc_basic_uar"] == result["esc_valence_uar"] == 0.5


def test_all_and_only_the_promised_esc_scores_are_given():
    predicted = probabilities({"happy": 1.0}, {"angry": 1.0})

    result = esc_scores(predicted, [["happy"], ["angry"]], ["joy", "anger"], ["nemo", "nemo"])

    rates = ("uar", "wa", "macro_f1")
    assert set(result) == {
        *(f"esc_{scale}_{rate}" for scale in ("fine", "basic", "valence") for rate in rates),
        *(f"nemo/esc_{rate}" for rate in rates),
        "esc_uar",
    }


def test_a_set_counts_at_the_scales_where_it_is_one_class():
    predicted = probabilities(
        {"happy": 0.3, "excited": 0.3, "angry": 0.4},  # basic happy 0.6, though angry is the fine argmax
        {"sad": 0.9, "angry": 0.1},  # {angry, sad} is two basic classes but one of valence
        {"surprise": 1.0},  # {surprise, happy} is one class at no scale
        {"fear": 1.0},
    )
    sets = [["happy", "excited"], ["angry", "sad"], ["surprise", "happy"], ["angry"]]

    result = esc_scores(predicted, sets, [None] * 4, ["a"] * 4)

    assert result["esc_fine_wa"] == 0.0  # the last row
    assert result["esc_basic_wa"] == 0.5  # the first and the last
    assert result["esc_valence_wa"] == 1.0  # all but the third
    assert result["esc_valence_uar"] == 1.0
    assert not [name for name in result if "/" in name]


def test_a_set_valued_native_label_is_scored_in_its_corpus():
    predicted = probabilities({"surprise": 0.3, "happy": 0.3, "angry": 0.4}, {"angry": 0.4, "sad": 0.6})

    result = esc_scores(predicted, [["surprise", "happy"], ["angry"]], ["elation", "anger"], ["a", "a"])

    assert result["a/esc_wa"] == 1.0
    assert result["esc_fine_wa"] == 0.0


def test_native_labels_with_one_set_are_one_class():
    # Two classes: {angry} of cold and hot anger, recall 2/2; {sad}, recall 0/1.
    predicted = probabilities({"angry": 1.0}, {"angry": 1.0}, {"angry": 1.0})

    result = esc_scores(predicted, [["angry"], ["angry"], ["sad"]], ["cold", "hot", "sad"], ["a"] * 3)

    assert result["a/esc_uar"] == 0.5
    assert result["a/esc_wa"] == pytest.approx(2 / 3)
    assert "a/esc_uar" not in esc_scores(predicted[:2], [["angry"], ["angry"]], ["cold", "hot"], ["a"] * 2)


def test_the_emotion_score_is_the_mean_of_the_corpora():
    # a: recalls 3/3 and 0/1. b: recalls 1 and 1. c has one class, so nothing to decide and no score.
    predicted = probabilities(*[{"angry": 1.0}] * 4, {"angry": 1.0}, {"sad": 1.0}, {"sad": 1.0})
    natives = ["angry", "angry", "angry", "sad", "angry", "sad", "neutral"]

    result = esc_scores(predicted, [[native] for native in natives], natives, ["a"] * 4 + ["b"] * 2 + ["c"])

    assert (result["a/esc_uar"], result["b/esc_uar"], result["esc_uar"]) == (0.5, 1.0, 0.75)
    assert result["a/esc_wa"] == 0.75
    assert "c/esc_uar" not in result


def test_missing_emotions_are_left_out():
    predicted = probabilities({"angry": 1.0}, {"sad": 1.0}, {"fear": 1.0}, {"fear": 1.0})

    result = esc_scores(predicted, [["angry"], ["sad"], None, ["sad"]], ["angry", "sad", "other", None], ["a"] * 4)

    assert result["a/esc_wa"] == 1.0
    assert result["esc_fine_wa"] == pytest.approx(2 / 3)
    assert esc_scores(predicted, [None] * 4, ["other"] * 4, ["a"] * 4) == {}


def test_a_given_label_space_holds_classes_that_no_row_has():
    # The rows know angry and sad only, where angry wins; with fear in the space the row is decided wrongly.
    # The label other means no fine class: its row is left out.
    predicted = probabilities({"angry": 0.3, "fear": 0.7}, {"sad": 1.0}, {"sad": 1.0})
    rows = (predicted, [["angry"], ["sad"], None], ["angry", "sad", "other"], ["a"] * 3)
    space = {"angry": ["angry"], "sad": ["sad"], "fear": ["fear"], "other": []}

    assert esc_scores(*rows)["a/esc_wa"] == 1.0
    assert esc_scores(*rows, label_spaces={"a": space})["a/esc_wa"] == 0.5


def test_a_given_label_space_merges_and_leaves_out():
    # Four-class IEMOCAP: excited joins happy, frustrated leaves.
    space = {"happy": ["happy", "excited"], "excited": ["happy", "excited"], "sad": ["sad"]}
    predicted = probabilities({"excited": 1.0}, {"happy": 1.0}, {"sad": 1.0}, {"sad": 1.0})
    natives = ["happy", "excited", "sad", "frustrated"]

    result = esc_scores(predicted, [[n] for n in natives], natives, ["iemocap"] * 4, label_spaces={"iemocap": space})

    assert result["iemocap/esc_uar"] == result["iemocap/esc_wa"] == 1.0


def test_a_native_label_with_two_sets_is_refused():
    predicted = probabilities({"angry": 1.0}, {"sad": 1.0})

    with pytest.raises(ValueError, match=r"one set .*; got \['angry'\] and \['sad'\] in 'upset' of 'a'"):
        esc_scores(predicted, [["angry"], ["sad"]], ["upset", "upset"], ["a", "a"])


def test_an_unknown_fine_class_is_refused():
    with pytest.raises(ValueError, match=r"esc_scores: a fine class must be one of angry, .*; got 'joy'"):
        esc_scores(probabilities({"angry": 1.0}), [["joy"]], ["joy"], ["a"])


def test_the_order_of_intensities_counts_pairs_of_one_rendition_and_a_tie_counts_half():
    values, low = np.array([0.2, 0.6, 0.6, 0.1, 0.9]), [0.0, 0.25, 0.75, 0.5, None]
    result = intensity_order(values, low, low, ["a", "a", "a", "b", "a"])
    assert result == {"eis_order": pytest.approx(2.5 / 3), "eis_pairs": 3}
    assert intensity_order(values, low, low, [None] * 5) == {}
    with pytest.raises(ValueError, match="intensity_order"):
        intensity_order(values, low, low, ["a"])


def test_intervals_have_an_order_unless_one_contains_the_other():
    values, same = np.array([0.3, 0.1]), ["a", "a"]
    assert intensity_order(values, [0.0, 0.0], [0.375, 0.0], same) == {}
    assert intensity_order(values, [0.25, 0.25], [0.5, 0.75], same) == {}
    assert intensity_order(values, [0.5, 0.25], [0.75, 0.5], same) == {"eis_order": 1, "eis_pairs": 1}
    assert intensity_order(values, [0.25, 0.5], [0.5, 1.0], same) == {"eis_order": 0, "eis_pairs": 1}


def test_a_rendition_is_speaker_emotion_and_text_and_none_without_a_text():
    row = {"speaker_id": "x/a", "native_label": None, "text": "Yes"}
    assert rendition(row) == rendition(dict(row)) != rendition(row | {"speaker_id": "x/b"})
    assert rendition(row | {"text": None}) is rendition(row | {"text": float("nan")}) is None


def test_intensity_is_compared_with_the_midpoint_corpus_by_corpus():
    # a: midpoints 0 and 0.5, predictions 0.25 and 0.75: CCC 0.125 / (0.125 + 0.0625) = 2/3, levels 1 3 against 0 2:
    # kappa 1 - (1 + 1) / ((1 + 1 + 9 + 1) / 2) = 2/3. b: perfect. c: neutral only.
    result = eis_scores(
        np.array([0.25, 0.75, 0.0, 1.0, 0.1, 0.3, 0.9]),
        [0.0, 0.25, 0.0, 1.0, 0.0, 0.0, None],
        [0.0, 0.75, 0.0, 1.0, 0.0, 0.0, None],
        ["a", "a", "b", "b", "c", "c", "c"],
    )

    assert result == pytest.approx(
        {
            "eis_ccc": (2 / 3 + 1) / 2,
            "eis_mae": (0.25 + 0.25 + 0.1 + 0.3) / 6,
            "eis_qwk": (2 / 3 + 1) / 2,
            "a/eis_ccc": 2 / 3,
            "a/eis_mae": 0.25,
            "a/eis_qwk": 2 / 3,
            "b/eis_ccc": 1.0,
            "b/eis_mae": 0.0,
            "b/eis_qwk": 1.0,
            "c/eis_mae": 0.2,
        }
    )


def test_no_intensity_reference_yields_nothing():
    assert eis_scores(np.array([0.5]), [None], [None], ["a"]) == {}


def test_phoneme_errors_are_pooled_over_symbols():
    # a: 2 edits in 6 symbols, b: none in 2. Together 2/8, where the mean of the corpora would be 1/6.
    result = phoneme_scores(
        [["k", "ə", "l", "ʊ", "s"], ["m", "a"], ["x"]],
        [["h", "ə", "l", "o", "ʊ", "s"], ["m", "a"], None],
        ["a", "b", "c"],
    )

    assert result == pytest.approx({"phoneme_per": 0.25, "a/phoneme_per": 1 / 3, "b/phoneme_per": 0.0})
    assert phoneme_scores([["x"]], [None], ["a"]) == {}
    assert phoneme_scores([["x"]], [[]], ["a"]) == {}


def test_gender_is_scored_over_all_and_by_corpus():
    # All: recalls 3/3 and 1/2. a: 2/2 and 0/1. b: 1/1 and 1/1.
    result = gender_scores(np.array([0, 0, 0, 0, 1, 1]), [0, 0, 1, 0, 1, None], ["a", "a", "a", "b", "b", "b"])

    assert result == pytest.approx(
        {
            "gender_uar": 0.75,
            "gender_wa": 0.8,
            "a/gender_uar": 0.5,
            "a/gender_wa": 2 / 3,
            "b/gender_uar": 1.0,
            "b/gender_wa": 1.0,
        }
    )
    assert gender_scores(np.array([0]), [None], ["a"]) == {}


def test_predictions_that_are_no_numbers_are_refused_with_their_count():
    nan = float("nan")
    with pytest.raises(ValueError, match="esc_scores: predictions must be finite; got NaN or infinity in 1 of 2 rows"):
        esc_scores(probabilities({"angry": nan, "sad": nan}, {"sad": 1.0}), [None] * 2, [None] * 2, ["a"] * 2)
    with pytest.raises(ValueError, match="eis_scores: predictions must be finite; got NaN or infinity in 2 of 3 rows"):
        eis_scores(np.array([nan, 0.5, np.inf]), [0.5] * 3, [0.5] * 3, ["a"] * 3)
    with pytest.raises(ValueError, match=r"gender_scores: predictions must be finite; .* in 1 of 1 rows"):
        gender_scores(np.array([nan]), [0], ["a"])


def test_predictions_of_another_shape_or_length_are_refused():
    with pytest.raises(ValueError, match=r"esc_scores: predictions must be of shape \(n, 12\); got \(1, 7\)"):
        esc_scores(np.ones((1, 7)), [None], [None], ["a"])
    with pytest.raises(ValueError, match=r"eis_scores: predictions must be of shape \(n,\); got \(1, 5\)"):
        eis_scores(np.ones((1, 5)), [None], [None], ["a"])
    with pytest.raises(ValueError, match="phoneme_scores: corpora must have 1 items, one per row; got 2"):
        phoneme_scores([["a"]], [["a"]], ["a", "a"])
    with pytest.raises(ValueError, match="gender_scores: references must have 2 items, one per row; got 1"):
        gender_scores(np.array([0, 1]), [0], ["a", "a"])


def test_the_table_has_a_row_a_corpus_and_a_column_a_metric():
    written = table({"esc_uar": 0.71249, "eis_mae": 0.2, "nemo/esc_uar": 0.5, "casia/eis_ccc": 0.66666})

    assert written.splitlines() == [
        "| corpus | esc_uar (%) | eis_mae | eis_ccc |",
        "| --- | ---: | ---: | ---: |",
        "| nemo | 50.0 |  |  |",
        "| casia |  |  | 0.667 |",
        "| all | 71.2 | 0.200 |  |",
    ]


def test_the_table_shows_an_undefined_score_as_missing():
    assert table({"a/eis_ccc": float("nan")}).splitlines()[-1] == "| a |  |"
