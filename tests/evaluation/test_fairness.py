"""Claims about groups of speakers."""

import numpy as np
import pytest
from datasets import Dataset

from speecheq.evaluation.fairness import decade, group_scores, table
from speecheq.labels_speecheq import ESC_LABELS

SPACES = {
    "x": {"joy": ["happy", "excited"], "anger": ["angry"]},
    "y": {"A": ["angry"], "S": ["sad"]},
    "z": {"A": ["angry"], "S": ["sad"]},
}


def group(corpus: str, right: dict[str, int], wrong: dict[str, int], **attributes) -> list[tuple[dict, list[float]]]:
    """Make rows of one group, with the given numbers of correct and wrong predictions per label."""
    found = []
    for good, counts in ((True, right), (False, wrong)):
        for label, count in counts.items():
            fine = next(sets[0] for native, sets in SPACES[corpus].items() if (native == label) == good)
            row = {"corpus": corpus, "native_label": label, "speaker_id": "s", **attributes}
            found += [(row, [float(name == fine) for name in ESC_LABELS])] * count
    return found


def scored(*groups: list) -> dict:
    rows, probabilities = zip(*(row for rows in groups for row in rows), strict=True)
    return group_scores(np.array(probabilities), Dataset.from_list(list(rows)), SPACES)


def test_a_group_has_the_uar_of_its_own_labels_and_its_sizes():
    scores = scored(
        group("x", {"joy": 6, "anger": 2}, {"anger": 2}, gender="female", speaker_id="a"),
        group("x", {"joy": 2}, {"joy": 0}, gender="female", speaker_id="b"),
        group("x", {"joy": 9}, {"joy": 3}, gender="male", speaker_id="c"),
    )
    assert scores["gender"] == {
        "x": {
            "groups": {
                "female": {"uar": pytest.approx((1 + 0.5) / 2), "utterances": 12, "speakers": 2},
                "male": {"uar": pytest.approx(0.75), "utterances": 12, "speakers": 1},
            },
            "left_out": 0,
        }
    }
    assert scores["speaker_id"]["x"] == {
        "groups": {
            "a": {"uar": pytest.approx(0.75), "utterances": 10, "speakers": 1},
            "c": {"uar": pytest.approx(0.75), "utterances": 12, "speakers": 1},
        },
        "left_out": 1,
    }
    assert list(scores) == ["gender", "speaker_id"]


def test_ages_are_decades_and_rows_without_a_value_or_a_label_are_in_no_group():
    scores = scored(
        group("y", {"A": 5, "S": 5}, {}, age=20.0, language="pl"),
        group("y", {"A": 5, "S": 4}, {"S": 1}, age=29.5, language="pl"),
        group("y", {"A": 10}, {}, age=None, language=None),
        group("y", {}, {}, age=50.0, language="pl"),
        [({**row, "native_label": None}, values) for row, values in group("y", {"A": 9}, {}, age=31.0, language="pl")],
    )
    assert scores["age"]["y"]["groups"] == {
        "20-29": {"uar": pytest.approx((1 + 0.9) / 2), "utterances": 20, "speakers": 1}
    }
    assert scores["age"]["y"]["left_out"] == 0
    assert list(scores["language"]["y"]["groups"]) == ["pl"]
    assert [decade(9), decade(10), decade(39.9)] == ["0-9", "10-19", "30-39"]


def test_the_mean_over_corpora_is_of_those_that_have_every_group():
    y = (
        group("y", {"A": 10}, {}, gender="female", speaker_id="a"),
        group("y", {"A": 5}, {"A": 5}, gender="male", speaker_id="b"),
    )
    z = (
        group("z", {"S": 16}, {"S": 4}, gender="female", speaker_id="c"),
        group("z", {"S": 5, "A": 9}, {"S": 5, "A": 1}, gender="male", speaker_id="d"),
    )
    x = group("x", {}, {"joy": 30}, gender="female", speaker_id="e"), group("x", {"joy": 9}, {}, gender="male")
    scores = scored(*x, *y, *z)

    assert list(scores["gender"]) == ["x", "y", "z", "all"]
    assert scores["gender"]["all"] == {
        "groups": {
            "female": {"uar": pytest.approx((1 + 0.8) / 2), "utterances": 30, "speakers": 2},
            "male": {"uar": pytest.approx((0.5 + 0.7) / 2), "utterances": 30, "speakers": 2},
        },
        "left_out": 1,
    }
    assert "all" not in scores["speaker_id"]
    assert "all" not in scored(*x, *y)["gender"]


def test_the_table_names_the_worst_and_the_best_group_and_the_gap():
    scores = scored(
        group("x", {"joy": 10}, {}, gender="male", speaker_id="a"),
        group("x", {"joy": 15}, {"joy": 5}, gender="female", speaker_id="b"),
        group("x", {"joy": 9}, {}, gender=None, speaker_id="c"),
        group("y", {"A": 10}, {}, gender="male", speaker_id="d"),
        group("y", {"A": 4}, {}, gender="female", speaker_id="d"),
        group("z", {"A": 10}, {}, gender="male", speaker_id="f"),
    )
    assert table(scores).splitlines() == [
        "| attribute | corpus | groups | left out | worst | best | gap |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
        "| gender | x | 2 | 0 | female: 75.0 (n = 20) | male: 100.0 (n = 10) | 25.0 |",
        "| gender | y | 1 | 1 |  |  |  |",
        "| speaker_id | x | 2 | 1 | b: 75.0 (n = 20) | a: 100.0 (n = 10) | 25.0 |",
    ]


def test_as_many_probabilities_as_rows_are_asked_for():
    rows = Dataset.from_list([row for row, _ in group("x", {"joy": 3}, {})])
    with pytest.raises(ValueError, match="labels and corpora must have 2 items, one per row; got 3"):
        group_scores(np.zeros((2, 12)), rows, SPACES)
