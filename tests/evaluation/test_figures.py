"""Claims about the figures: content, and the same bytes on every run."""

import re

import matplotlib
import numpy as np
import pytest

from speecheq.evaluation import figures
from speecheq.labels_speecheq import ESC_LABELS

SPACES = {
    "x": {"joy": ["happy", "excited"], "anger": ["angry"], "fear": ["fear"]},
    "y": {"S": ["sad"], "A": ["angry"], "A2": ["angry"]},
}
CONFIDENCE, CORRECT = np.array([0.95, 0.96, 0.97, 0.54, 0.56]), np.array([True, True, False, True, True])


def matrices() -> bytes:
    certain = ["angry", "angry", "excited", "happy", "happy", "angry", "sad", "sad"]
    natives = ["anger", "anger", "anger", "joy", "joy", "A", "A2", "S"]
    probabilities = np.array([[float(label == name) for label in ESC_LABELS] for name in certain])
    return figures.confusion_matrices(probabilities, natives, [*"xxxxx", *"yyy"], SPACES)


def scatter() -> bytes:
    low, high = [0.0, 0.5, 1.0, None, 0.0, 0.0, 0.25], [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.25]
    return figures.intensity(np.array([0.0, 0.5, 0.75, 0.9, 0.2, 0.3, 0.25]), low, high, [*"xxxx", *"yy", "x"])


FIGURES = {
    "matrices": matrices,
    "reliability": lambda: figures.reliability((CONFIDENCE, CORRECT), (CONFIDENCE - 0.2, CORRECT)),
    "risk and coverage": lambda: figures.risk_coverage_figure(CONFIDENCE, CORRECT),
    "intensity": scatter,
}


@pytest.fixture
def drawn(monkeypatch) -> list:
    """The figures that were drawn."""
    found, svg = [], figures.svg

    def spy(figure):
        found.append(figure)
        return svg(figure)

    monkeypatch.setattr(figures, "svg", spy)
    return found


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_a_figure_is_the_same_bytes_whatever_the_users_settings_and_its_text_is_text(draw):
    first = draw()
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "lines.linewidth": 9}):
        assert draw() == first
    text = first.decode()
    assert len(re.findall("<text", text)) > 5
    assert 'width="504pt"' in text  # 7 inches
    assert "<dc:date>" not in text


def test_a_panel_per_corpus_shows_what_became_of_each_class(drawn):
    matrices()
    first, second = drawn[0].axes
    shown = {text.get_position(): text.get_text() for text in first.texts}
    assert first.get_title() == "x (n = 5)"
    assert [label.get_text() for label in first.get_xticklabels()] == ["angry", "fear", "happy/excited"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["angry (3)", "fear (0)", "happy/excited (2)"]
    # Columns are predictions, rows are labels; no row has the label "fear".
    assert shown == {(0, 0): "67", (1, 0): "0", (2, 0): "33", (0, 2): "0", (1, 2): "0", (2, 2): "100"}
    np.testing.assert_allclose(first.collections[0].get_array(), [[2 / 3, 0, 1 / 3], [0, 0, 0], [0, 0, 1]])
    assert first.get_ylim() == (2.5, -0.5)
    assert [label.get_text() for label in second.get_yticklabels()] == ["angry (2)", "sad (1)"]
    assert {text.get_position(): text.get_text() for text in second.texts} == {
        (0, 0): "50", (1, 0): "50", (0, 1): "0", (1, 1): "100",
    }  # fmt: skip


def test_reliability_shows_accuracy_by_confidence_with_both_errors(drawn):
    figures.reliability((CONFIDENCE, CORRECT), (np.full(5, 0.8), CORRECT))
    upper, lower = drawn[0].axes
    assert [text.get_text() for text in upper.get_legend().get_texts()] == [
        "perfectly calibrated", "before calibration: ECE 35.6 %", "after calibration: ECE 0.0 %",
    ]  # fmt: skip
    _, before, after = upper.get_lines()
    np.testing.assert_allclose(before.get_xydata(), [[0.55, 1], [0.96, 2 / 3]])
    np.testing.assert_allclose(after.get_xydata(), [[0.8, 0.8]])
    assert lower.patches[0].get_xy()[:, 1].max() == pytest.approx(3 / 5)


def test_reliability_takes_its_error_from_as_many_bins_as_it_shows(drawn):
    figures.reliability((CONFIDENCE, CORRECT), (CONFIDENCE, CORRECT), bins=1)
    assert drawn[0].axes[0].get_legend().get_texts()[1].get_text() == "before calibration: ECE 0.4 %"
    np.testing.assert_allclose(drawn[0].axes[0].get_lines()[1].get_xydata(), [[0.796, 0.8]])


def test_risk_is_drawn_over_coverage_with_its_area(drawn):
    figures.risk_coverage_figure(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))
    axes = drawn[0].axes[0]
    np.testing.assert_allclose(axes.get_lines()[1].get_xydata(), [[0.25, 0], [0.5, 0.5], [0.75, 1 / 3], [1, 0.5]])
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "all answered: 50.0 %", "the surest answered: AURC 0.333",
    ]  # fmt: skip


def test_predicted_intensity_stands_over_that_of_the_raters_where_there_is_something_to_agree_on(drawn):
    scatter()
    (axes,) = drawn[0].axes  # all intervals of y have the same middle
    points = axes.collections[0].get_offsets()
    np.testing.assert_allclose(points, [[0, 0], [0.75, 0.5], [1, 0.75], [0.25, 0.25]])
    # Means 0.5 and 0.375, variances 0.15625 and 0.078125, covariance 0.109375.
    assert axes.get_title() == f"x (n = 4)\nCCC {2 * 0.109375 / (0.15625 + 0.078125 + 0.125**2):.2f}"


def test_nothing_to_draw_is_said():
    with pytest.raises(ValueError, match="confusion_matrices: native_labels must be in label_spaces; got no such row"):
        figures.confusion_matrices(np.full((1, 12), 1 / 12), [None], ["x"], SPACES)
    with pytest.raises(
        ValueError, match="intensity: low and high must have different intervals in some corpus; got none"
    ):
        figures.intensity(np.array([0.1, 0.2]), [0.0, 0.0], [0.0, 0.0], ["x", "x"])
    with pytest.raises(ValueError, match="at least one"):
        figures.risk_coverage_figure(np.array([]), np.array([]))
