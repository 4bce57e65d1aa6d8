"""Claims about the timeline: windows are merged into segments."""

import numpy as np
import pytest

from speecheq.pooling_speecheq import Answer, segments

LABELS = ["angry", "happy"]


def answer(start: float, end: float, angry: float, starts_region: bool = False, intensity: float = 0.5) -> Answer:
    return Answer(start, end, starts_region, np.array([angry, 1 - angry]), intensity)


def spans(found: list[dict]) -> list[tuple[float, float, str]]:
    return [(segment["start"], segment["end"], segment["label"]) for segment in found]


def test_a_region_of_one_window_is_one_segment():
    (found,) = segments([answer(1.0, 3.0, 0.9, starts_region=True, intensity=0.25)], LABELS, change=2.0)
    assert found == {
        "start": 1.0,
        "end": 3.0,
        "label": "angry",
        "score": pytest.approx(0.9),
        "intensity": pytest.approx(0.25),
    }


def test_regions_of_the_same_label_stay_apart():
    found = segments(
        [answer(0.0, 2.0, 0.9, starts_region=True), answer(2.5, 4.0, 0.8, starts_region=True)], LABELS, change=2.0
    )
    assert spans(found) == [(0.0, 2.0, "angry"), (2.5, 4.0, "angry")]


def test_the_label_changes_where_the_windows_do():
    windows = [
        answer(start, start + 4.0, 0.95 if start < 8 else 0.05, starts_region=start == 0) for start in range(17)
    ]
    first, second = segments(windows, LABELS, change=2.0)
    assert (first["start"], first["label"], second["end"], second["label"]) == (0.0, "angry", 20.0, "happy")
    assert first["end"] == second["start"] == pytest.approx(9.5, abs=0.5)
    assert first["score"] > 0.85 and second["score"] > 0.85


def test_one_unsure_window_does_not_break_a_segment_and_without_a_cost_it_does():
    windows = [
        answer(float(start), start + 1.0, 0.4 if start == 5 else 0.9, starts_region=start == 0) for start in range(10)
    ]
    assert spans(segments(windows, LABELS, change=2.0)) == [(0.0, 10.0, "angry")]
    assert spans(segments(windows, LABELS, change=0.0)) == [
        (0.0, 5.0, "angry"), (5.0, 6.0, "happy"), (6.0, 10.0, "angry")
    ]  # fmt: skip


def test_overlapping_windows_count_by_how_much_of_a_step_they_cover():
    windows = [answer(0.0, 0.5, 1.0, starts_region=True, intensity=0.0), answer(0.25, 0.5, 0.0, intensity=0.9)]
    (found,) = segments(windows, LABELS, change=2.0)
    assert found["score"] == pytest.approx(2 / 3) and found["intensity"] == pytest.approx(0.3)


def test_nothing_heard_is_no_segment():
    assert segments([], LABELS, change=2.0) == []
