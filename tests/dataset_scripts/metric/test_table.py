from pathlib import Path

import pytest

from speecheq.dataset_scripts.corpora.adapters import ADAPTERS
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric
from speecheq.labels_speecheq import ESC_LABELS

HEADER = "corpus,field,native,esc,eis,source\n"


def record(**fields) -> NativeRecord:
    return NativeRecord(path=Path("x.wav"), speaker="s", language="en", **fields)


def rated(*pairs: tuple, **fields) -> NativeRecord:
    ratings = tuple({"valence": valence, "arousal": arousal, "dominance": None} for valence, arousal in pairs)
    return record(label="A", ratings=ratings, **fields)


def table_of(tmp_path, line: str):
    path = tmp_path / "table.csv"
    path.write_text(HEADER + line)
    return metric.read_table(path)


def test_every_row_of_the_table_is_valid_and_cited():
    table = metric.read_table()

    assert {corpus for corpus, _, _ in table} == set(ADAPTERS)
    assert all(set(row.esc) <= set(ESC_LABELS) and row.source for row in table.values())


@pytest.mark.parametrize(
    ("corpus", "space"),
    [
        (
            "nemo",
            {
                "anger": ["angry"],
                "fear": ["fear"],
                "happiness": ["happy"],
                "neutral": ["neutral"],
                "sadness": ["sad"],
                "surprised": ["surprise"],
            },
        ),
        ("emotale", {"A": ["angry"], "B": ["bored"], "H": ["happy"], "N": ["neutral"], "S": ["sad"]}),
        ("ased", {"a": ["angry"], "f": ["fear"], "h": ["happy"], "n": ["neutral"], "s": ["sad"]}),
        ("urdu", {"A": ["angry"], "H": ["happy"], "N": ["neutral"], "S": ["sad"]}),
        (
            "synthetic",
            {
                "angry": ["angry"],
                "fear": ["fear"],
                "happy": ["happy"],
                "neutral": ["neutral"],
                "sad": ["sad"],
                "surprise": ["surprise"],
            },
        ),
    ],
)
def test_label_space_holds_the_labels_that_the_corpus_documents(corpus, space):
    assert metric.label_space(corpus) == space


def test_label_space_of_an_unknown_corpus_names_the_known_ones():
    with pytest.raises(
        CorpusError, match=r"corpus must be one of nemo, emotale, ased, urdu, synthetic, .* more\); got 'nobody'"
    ):
        metric.label_space("nobody")


def test_unknown_label_names_the_known_ones_and_the_item():
    with pytest.raises(CorpusError, match=r"label must be one of A, H, N, S; got 'X' in 'SM1_F1_X1.wav'. Add a row"):
        metric.esc_set("urdu", "X", "SM1_F1_X1.wav")


def test_a_missing_label_has_no_classes():
    assert metric.esc_set("urdu", None) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("c,tag,x,sad,,s", r"field must be one of label, level; got 'tag' in table.csv, line 2"),
        ("c,label,x,sad|gloomy,,s", r"esc must have only fine classes .*; got 'gloomy' in table.csv, line 2"),
        ("c,label,x,sad|sad,,s", "esc must have each class only once; got 'sad|sad'"),
        ("c,label,x,sad,,", "source must say where the native label is defined"),
        ("c,label,x,sad,1.5,s", "eis must be empty, a point, .*; got '1.5'"),
        ("c,label,x,sad,0.5..0.2,s", "eis must be .*; got '0.5..0.2'"),
        ("c,label,x,sad,-0.1..0.2,s", "eis must be .*; got '-0.1..0.2'"),
        ("c,label,x,sad,loudness,s", "eis must be .*; got 'loudness'"),
        ("c,level,x,sad,0.5,s", "esc must be empty for a level; got 'sad'"),
        ("c,level,x,,level,s", "eis must be a point or an interval for a level; got 'level'"),
        (
            "c,label,x,sad,,s\nc,label,x,fear,,s",
            "native must be unique in its corpus and field; got .* twice in line 3",
        ),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, line, message):
    with pytest.raises(CorpusError, match=message.replace("|", r"\|")):
        table_of(tmp_path, line + "\n")


def test_a_row_may_hold_a_set_of_classes_an_interval_or_nothing(tmp_path):
    table = table_of(tmp_path, "c,label,x,happy|excited,0.25..0.5,s\nc,label,y,,,s\n")

    assert table["c", "label", "x"].esc == ("happy", "excited")
    assert table["c", "label", "x"].eis == (0.25, 0.5)
    assert table["c", "label", "y"].esc == ()
    assert table["c", "label", "y"].eis is None


@pytest.mark.parametrize(
    ("valence", "arousal", "scale", "expected"),
    [
        (1, 5, (1, 5), 1.0),
        (5, 5, (1, 5), 1.0),
        (3, 3, (1, 5), 0.0),
        (3, 5, (1, 5), 0.70710678),
        (2, 3, (1, 5), 0.35355339),
        (7, 1, (1, 7), 1.0),
        (4, 5.5, (1, 7), 0.35355339),
    ],
)
def test_intensity_is_the_distance_from_the_neutral_centre(valence, arousal, scale, expected):
    assert metric.valence_arousal(valence, arousal, scale) == pytest.approx(expected)


def test_intensity_is_taken_per_rater_and_then_averaged():
    """Opposite ratings have the same intensity; their mean rating would be neutral."""
    assert metric.intensity("emotale", rated((1, 5), (5, 1))) == (pytest.approx(1.0), pytest.approx(1.0))
    assert metric.intensity("emotale", rated((1, 5), (3, 3))) == (pytest.approx(0.5), pytest.approx(0.5))


def test_a_rater_without_both_dimensions_does_not_count():
    assert metric.intensity("emotale", rated((1, 5), (3, None))) == (pytest.approx(1.0), pytest.approx(1.0))
    assert metric.intensity("emotale", rated((None, 5))) is None
    assert metric.intensity("emotale", record(label="A")) is None


def test_a_rating_outside_its_scale_is_refused():
    with pytest.raises(CorpusError, match=r"arousal must be from 1 to 5; got 6 in 'x.wav'"):
        metric.intensity("emotale", rated((3, 6)))
    with pytest.raises(CorpusError, match=r"valence must be from 1 to 5; got 0.5 in 'x.wav'"):
        metric.dimensions(rated((0.5, 3)))


def test_neutral_and_nothing_else_is_the_lowest_level_and_other_labels_are_missing():
    assert metric.intensity("nemo", record(label="neutral")) == (0.0, 0.0)
    assert metric.intensity("ased", record(label="n")) == (0.0, 0.0)
    assert metric.intensity("urdu", record(label="N")) == (0.0, 0.0)
    assert metric.intensity("nemo", record(label="anger")) is None


@pytest.mark.parametrize(
    ("label", "level", "interval"),
    [
        ("angry", "low", (0.125, 0.375)),
        ("sad", "moderate", (0.375, 0.625)),
        ("fear", "high", (0.625, 0.875)),
        ("happy", None, None),
        ("neutral", "normal", (0, 0)),
        ("neutral", None, (0, 0)),
        (None, "low", (0.125, 0.375)),
    ],
)
def test_a_level_acted_on_instruction_is_an_interval(label, level, interval):
    assert metric.intensity("synthetic", record(label=label, level=level)) == interval


def test_unknown_levels_are_refused():
    with pytest.raises(CorpusError, match=r"level must be one of normal, low, moderate, high; got 'loud' in 'x.wav'"):
        metric.intensity("synthetic", record(label="angry", level="loud"))
    with pytest.raises(CorpusError, match=r"level must be of a corpus in the table .*; got 'low'"):
        metric.intensity("nemo", record(label="neutral", level="low"))


def test_votes_become_a_distribution_in_the_order_of_the_classes():
    votes = metric.esc_votes("emotale", ["S", "A", "S", "N"])

    assert votes == [
        {"esc": ["angry"], "weight": 0.25},
        {"esc": ["sad"], "weight": 0.5},
        {"esc": ["neutral"], "weight": 0.25},
    ]
    assert metric.esc_votes("emotale", []) is None


def test_dimensions_are_means_rescaled_to_plus_minus_one():
    ratings = ({"valence": 1, "arousal": 5, "dominance": None}, {"valence": 2, "arousal": 5, "dominance": 3})

    found = metric.dimensions(record(label="A", ratings=ratings))

    assert found == {"valence": -0.75, "arousal": 1.0, "dominance": 0.0}
    assert metric.dimensions(record(label="A")) == {"valence": None, "arousal": None, "dominance": None}
