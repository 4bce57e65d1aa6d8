"""Claims about the training and test parts of each protocol."""

import numpy as np
import pandas as pd
import pytest

from speecheq.evaluation.protocols import (
    FOUR_CLASSES,
    PROTOCOLS,
    Fold,
    audit,
    check,
    class_of,
    folds,
    hold_out_texts,
    share_training,
)

ESC = {"anger": ["angry"], "joy": ["happy"], "sadness": ["sad"], "delight": ["happy", "excited"], "none": None}


def table(rows: list[tuple]) -> pd.DataFrame:
    """Make facts from rows of corpus, speaker, native label, split and fold."""
    return pd.DataFrame(
        [
            {
                "id": f"{corpus}/{number:02}", "corpus": corpus, "speaker_id": f"{corpus}/{speaker}",
                "native_label": label, "esc": ESC.get(label, [label]), "split": split, "fold": fold,
            }
            for number, (corpus, speaker, label, split, fold) in enumerate(rows)
        ]
    )  # fmt: skip


# Two corpora; x/A to x/C with two labels each, x/C with a row without a class, and x/A on both sides of EmoBox's fold 1.
FACTS = table(
    [
        ("x", "A", "anger", "train", 1),  # 0
        ("x", "A", "joy", "train", 0),
        ("x", "B", "anger", "test", 2),
        ("x", "B", "joy", "test", 1),
        ("x", "C", "none", "train", 2),  # 4
        ("x", "C", "joy", "validation", None),
        ("y", "A", "anger", "train", None),
        ("y", "D", "sadness", "test", None),
        ("y", "D", "joy", "validation", None),  # 8
    ]
)
SPACE = {"anger": ["angry"], "joy": ["happy"]}


def sides(found: list[Fold]) -> dict[str, tuple[list[int], list[int]]]:
    return {fold.name: (fold.train.tolist(), fold.test.tolist()) for fold in found}


def test_default_is_the_split_without_validation():
    (fold,) = folds("default", FACTS, "x")
    assert (fold.name, fold.train.tolist(), fold.test.tolist()) == ("x-default", [0, 1, 4], [2, 3])
    assert fold.train.dtype == fold.test.dtype == np.int64
    assert fold.label_space == SPACE
    (fold,) = folds("default", FACTS.assign(split=[*FACTS["split"][:4], "test", *FACTS["split"][5:]]), "x")
    assert (fold.train.tolist(), fold.test.tolist()) == ([0, 1], [2, 3])  # row 4 has no class and is not tested


def test_default_takes_of_other_corpora_their_train_part():
    assert sides(folds("default", FACTS, "x", ["all"])) == {"x-default": ([0, 1, 4, 6], [2, 3])}


def test_emobox_trains_on_listed_rows_of_other_folds_and_reports_shared_speakers():
    found = folds("emobox", FACTS, "x")
    assert sides(found) == {"x-emobox-1": ([1, 2, 4], [0, 3]), "x-emobox-2": ([0, 1, 3], [2])}
    assert audit(found[0], FACTS) == {
        "shared_speakers": ["x/A", "x/B"], "shared_ids": [], "train_speakers": 3, "test_speakers": 2,
        "train_utterances": 3, "test_utterances": 2,
    }  # fmt: skip
    assert folds("emobox", FACTS, "x", ["x", "y"])[0].train.tolist() == [1, 2, 4, 6, 7, 8]


def test_loso_tests_each_speaker_once_and_trains_on_everybody_else():
    assert sides(folds("loso", FACTS, "x")) == {
        "x-loso-A": ([2, 3, 4, 5], [0, 1]),
        "x-loso-B": ([0, 1, 4, 5], [2, 3]),
        "x-loso-C": ([0, 1, 2, 3], [5]),  # row 4 has no class: not tested, and its speaker is not trained on
    }


def test_a_speaker_without_a_class_is_never_tested_but_trains():
    said = [("A", "anger"), ("A", "joy"), ("B", "anger"), ("B", "joy"), ("C", "none")]
    facts = table([("x", speaker, label, "train", None) for speaker, label in said])
    assert sides(folds("loso", facts, "x")) == {"x-loso-A": ([2, 3, 4], [0, 1]), "x-loso-B": ([0, 1, 4], [2, 3])}


def test_all_rows_of_other_corpora_train_in_unified_training():
    assert sides(folds("loso", FACTS, "x", ["all"]))["x-loso-A"] == ([2, 3, 4, 5, 6, 7, 8], [0, 1])
    assert sides(folds("loso", FACTS, "y", ["y", "x"]))["y-loso-D"] == ([0, 1, 2, 3, 4, 5, 6], [7, 8])


def test_names_are_safe_as_files_and_stay_apart():
    names = folds(
        "loso", table([("x", speaker, label, "", None) for speaker in ("é/1", "e 1") for label in SPACE]), "x"
    )
    assert [fold.name for fold in names] == ["x-loso-e%201", "x-loso-%C3%A9%2F1"]


def speakers_with(labels: dict[str, str]) -> pd.DataFrame:
    """Make facts with one row for each letter: a for anger, j for joy."""
    names = {"a": "anger", "j": "joy"}
    return table([("x", speaker, names[letter], "train", None) for speaker in labels for letter in labels[speaker]])


def test_speaker_kfold_puts_each_speaker_in_one_fold_and_spreads_the_labels():
    facts = speakers_with({"A": "aa", "B": "aa", "C": "jj", "D": "jj"})
    found = folds("speaker-kfold", facts, "x", number=2)
    assert [fold.name for fold in found] == ["x-speaker-kfold-1", "x-speaker-kfold-2"]
    for fold in found:
        assert sorted(facts["native_label"][fold.test]) == ["anger", "anger", "joy", "joy"]
        assert facts["speaker_id"][fold.test].nunique() == 2
        assert sorted([*fold.train, *fold.test]) == list(range(8))


def test_speaker_kfold_has_five_folds_whatever_the_order_of_the_rows():
    facts = speakers_with({name: "aaj" if name < "F" else "ajj" for name in "ABCDEFGHIJK"})
    shuffled = facts.sample(frac=1, random_state=3)

    def tested(facts):
        return [sorted(facts["id"].iloc[fold.test]) for fold in folds("speaker-kfold", facts, "x")]

    assert len(tested(facts)) == 5
    assert tested(facts) == tested(shuffled)


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_a_row_without_a_class_trains_only_where_its_speaker_is_not_tested():
    found = folds("speaker-kfold", FACTS, "x", number=3)
    c = next(fold for fold in found if 5 in fold.test)
    assert c.test.tolist() == [5] and c.train.tolist() == [0, 1, 2, 3]
    assert all(4 in fold.train for fold in found if fold is not c)


SESSIONS = table(
    [
        ("iemocap", "F1", "angry", "train", 1),  # 0
        ("iemocap", "M1", "excited", "test", 1),
        ("iemocap", "M1", "frustrated", "test", 1),  # 2: not one of the four
        ("iemocap", "F2", "happy", "train", 2),
        ("iemocap", "M2", "none", "train", 2),  # 4: no majority
        ("iemocap", "M2", "neutral", "train", 2),
        ("iemocap", "F3", "sad", "train", 3),  # 6
        ("iemocap", "F3", "delight", "train", 3),
        ("iemocap", "F4", "sad", "train", None),  # 8: of no session
        ("x", "A", "frustrated", "train", None),
        ("x", "A", "none", "train", None),
    ]
)


def test_session_kfold_leaves_a_session_out_and_only_four_classes_take_part():
    found = folds("session-kfold", SESSIONS, "iemocap")
    assert sides(found) == {
        "iemocap-session-kfold-1": ([3, 5, 6, 7], [0, 1]),
        "iemocap-session-kfold-2": ([0, 1, 6, 7], [3, 5]),
        "iemocap-session-kfold-3": ([0, 1, 3, 5], [6, 7]),
    }
    assert found[0].label_space == {
        "angry": ["angry"], "happy": ["happy", "excited"], "neutral": ["neutral"], "sad": ["sad"],
    }  # fmt: skip
    assert folds("session-kfold", SESSIONS, "iemocap", ["all"])[0].train.tolist() == [3, 5, 6, 7, 9, 10]


def test_a_row_belongs_to_the_class_that_holds_its_whole_set():
    def four(esc):
        return class_of(esc, "whatever", FOUR_CLASSES)

    assert [four(["excited"]), four(["happy", "excited"]), four(np.array(["sad"]))] == ["happy", "happy", "sad"]
    assert [four(["happy", "surprise"]), four(["frustrated"]), four([]), four(None), four(float("nan"))] == [None] * 5
    assert class_of(["happy"], "joy", SPACE) == "joy"
    assert class_of(["sad"], "sadness", SPACE) is None
    assert class_of(None, "joy", SPACE) is None


def test_a_label_space_is_a_copy():
    folds("session-kfold", SESSIONS, "iemocap")[0].label_space["happy"].append("calm")
    assert FOUR_CLASSES["happy"] == ["happy", "excited"]


def test_cross_corpus_tests_all_of_a_corpus_inside_what_the_others_teach():
    facts = table(
        [
            *(("x", "A", label, "train", None) for label in ("anger", "joy", "sadness", "delight", "none")),  # 0 to 4
            *(("y", "B", label, "test", None) for label in ("happy", "excited", "none")),  # 5 to 7
            *(("z", "C", label, "validation", None) for label in ("anger", "joy")),  # 8 and 9
        ]
    )
    (fold,) = folds("cross-corpus", facts, "x")
    assert (fold.name, fold.train.tolist(), fold.test.tolist()) == ("x-cross-corpus", [5, 6, 7, 8, 9], [0, 1, 3])
    assert fold.label_space == {"anger": ["angry"], "delight": ["happy", "excited"], "joy": ["happy"]}
    (fold,) = folds("cross-corpus", facts, "x", ["z"])
    assert (fold.train.tolist(), fold.test.tolist()) == ([8, 9], [0, 1])
    assert list(fold.label_space) == ["anger", "joy"]


def test_rows_are_numbered_by_place_and_a_fold_may_be_of_any_integer_type():
    moved = FACTS.set_index(FACTS.index[::-1])
    for fold in (FACTS["fold"].astype("Int32"), FACTS["fold"].astype(object).where(FACTS["fold"].notna(), None)):
        facts = moved.assign(fold=fold.to_numpy() if fold.dtype == object else fold.array)
        assert sides(folds("emobox", facts, "x"))["x-emobox-1"] == ([1, 2, 4], [0, 3])


def with_shared_speaker(protocol: str) -> pd.DataFrame:
    """Make facts with four utterances of x/A, over all splits, folds and sessions, and the same of x/B; y/A is x/A."""
    rows = [("x", name, label, split, fold) for name in "AB" for label, split, fold in (
        ("angry", "train", 1), ("sad", "test", 1), ("sad", "train", 2), ("angry", "test", 2))]  # fmt: skip
    facts = table([*rows, ("y", "A", "angry", "train", 1), ("y", "A", "sad", "train", 1)])
    return facts.assign(speaker_id=facts["speaker_id"].str.replace("y/", "x/"))


@pytest.mark.parametrize("protocol", sorted(set(PROTOCOLS) - {"emobox"}))
def test_no_protocol_but_emobox_gives_a_fold_with_a_shared_speaker(protocol):
    """A speaker in two parts, or an id in two corpora, raises an error or is not in the folds."""
    facts = with_shared_speaker(protocol)
    trains = None if protocol == "cross-corpus" else ["all"]
    with pytest.raises(
        ValueError, match=rf"a speaker must not be in both train and test; got x/A.* in fold 'x-{protocol}"
    ):
        folds(protocol, facts, "x", trains, number=2)
    if protocol in ("default", "session-kfold"):
        with pytest.raises(
            ValueError, match=r"got x/A, x/B in fold .*\. Correct the columns speaker_id, split or fold"
        ):
            folds(protocol, facts, "x")
    elif protocol != "cross-corpus":
        assert [audit(fold, facts)["shared_speakers"] for fold in folds(protocol, facts, "x", number=2)] == [[], []]


def test_emobox_alone_gives_folds_with_shared_speakers():
    facts = with_shared_speaker("emobox")
    assert [audit(fold, facts)["shared_speakers"] for fold in folds("emobox", facts, "x")] == [["x/A", "x/B"]] * 2


def test_an_utterance_on_both_sides_is_always_an_error():
    facts = FACTS.assign(id=["same", *FACTS["id"][1:3], "same", *FACTS["id"][4:]])
    fold = Fold("x-made", np.array([0, 1]), np.array([2, 3]), SPACE)
    assert audit(fold, facts)["shared_ids"] == ["same"]
    with pytest.raises(
        ValueError, match="check: an utterance must not be in both train and test; got same in fold 'x-made'"
    ):
        check(fold, facts, allow_shared=True)
    assert check(fold, FACTS) is None


@pytest.mark.parametrize(
    ("train", "test", "space", "message"),
    [
        ([], [2], SPACE, "check: train must have an utterance; got none in fold 'x-made'"),
        ([0], [], SPACE, "check: test must have an utterance; got none in fold 'x-made'"),
        ([0], [2], {"joy": ["happy"]}, "label_space must have at least two classes; got joy in fold 'x-made'"),
        ([0], [2], {"joy": ["happy"], "glee": ["happy"]}, "must have at least two classes; got joy, glee in fold"),
    ],
)
def test_a_fold_that_says_nothing_is_refused(train, test, space, message):
    with pytest.raises(ValueError, match=message):
        check(Fold("x-made", np.array(train, dtype=int), np.array(test, dtype=int), space), FACTS)


def test_all_corpora_of_cross_corpus_are_all_others():
    (part,), (usual,) = (folds("cross-corpus", FACTS, "x", trains) for trains in (["all"], None))
    assert part.train.tolist() == usual.train.tolist() and set(FACTS["corpus"].iloc[part.train]) == {"y"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "kfold"}, "protocol must be among default, emobox, loso, speaker-kfold, .*; got 'kfold'"),
        ({"corpus": "casia"}, "corpus must be among x, y; got 'casia'"),
        ({"train_corpora": ["x", "esd"]}, "train_corpora must be among x, y; got 'esd'"),
        ({"train_corpora": ["y"]}, r"must include the test corpus \(or use cross-corpus\) .*'loso'; got y for 'x'"),
        (
            {"protocol": "cross-corpus", "train_corpora": ["x", "y"]},
            "must not include the test corpus .*; got x, y for",
        ),
        (
            {"protocol": "emobox", "corpus": "y"},
            "'emobox' must have 1 or more positive numbers .*; got 0 in corpus 'y'. .*--emobox",
        ),
        (
            {"protocol": "session-kfold", "corpus": "y"},
            "'session-kfold' must have 2 or more .*; got 0 in corpus 'y'. Only IEMOCAP",
        ),
        ({"protocol": "session-kfold", "facts": FACTS[:1]}, "got 1 in corpus 'x'. Only IEMOCAP has sessions there"),
        ({"protocol": "speaker-kfold"}, "'speaker-kfold' must have at least 5 speakers with .*; got 3 in corpus 'x'"),
        ({"protocol": "speaker-kfold", "number": 1}, "number must be at least 2 for protocol 'speaker-kfold'; got 1"),
        ({"facts": FACTS.drop(columns=["esc", "split"])}, "facts must have the columns id, .*; got no esc, no split"),
        ({"facts": FACTS.assign(speaker_id=[None, *FACTS["speaker_id"][1:]])}, "got a row without speaker_id"),
        (
            {"facts": FACTS[FACTS["speaker_id"] == "x/A"]},
            "'loso' must have at least 2 speakers .*; got 1 in corpus 'x'",
        ),
    ],
)
def test_an_error_names_protocol_corpus_and_what_is_missing(arguments, message):
    with pytest.raises(ValueError, match=f"folds: .*{message}"):
        folds(**{"protocol": "loso", "facts": FACTS, "corpus": "x"} | arguments)


def test_more_than_ten_names_are_cut():
    facts = table([(f"c{number:02}", "A", "joy", "train", None) for number in range(12)])
    with pytest.raises(ValueError, match=r"corpus must be among c00, .*, c09, …; got 'x'"):
        folds("loso", facts, "x")


def test_held_out_texts_are_tested_and_never_trained_on():
    said = [f"Sentence {number}." for number in range(40)]
    labels = ("anger", "joy")
    facts = table([("x", speaker, labels[number % 2], "train", None) for speaker in "AB" for number in range(40)])
    facts["text"] = said + [text.upper() for text in said]
    whole = Fold("x-made", np.arange(40), np.arange(40, 80), SPACE)
    fold = hold_out_texts(whole, facts, 0.3)
    trained, tested = (set(facts["text"].iloc[rows].str.lower()) for rows in (fold.train, fold.test))
    assert not trained & tested
    assert trained | tested == {text.lower() for text in said}
    assert 4 <= len(tested) <= 20
    assert hold_out_texts(whole, facts, 0.0) is whole


def test_an_utterance_without_a_text_may_train_and_is_not_tested_where_texts_are_held_out():
    with pytest.raises(ValueError, match="test must have an utterance; got none"):
        hold_out_texts(
            Fold("x-made", np.array([0]), np.array([2]), SPACE), FACTS.assign(text=[*[None] * 8, "spoken"]), 0.9
        )


def test_folds_that_share_a_model_are_trained_on_what_all_of_them_allow():
    labels = ("anger", "joy")
    facts = table(
        [(c, speaker, label, "train", None) for c in "xy" for speaker in "ABCD"[: 4 - (c == "y")] for label in labels]
    )
    apart = {corpus: folds("loso", facts, corpus, ["all"]) for corpus in "xy"}
    shared = share_training(apart, facts, 2)
    heard = {part.name: set(facts["speaker_id"].iloc[part.train]) for parts in shared.values() for part in parts}
    first, second = {"x/B", "x/D", "y/B"}, {"x/A", "x/C", "y/A", "y/C"}
    assert heard == {
        "x-loso-A": first, "x-loso-C": first, "y-loso-A": first, "y-loso-C": first,
        "x-loso-B": second, "x-loso-D": second, "y-loso-B": second,
    }  # fmt: skip
    for corpus in "xy":
        assert [part.test.tolist() for part in shared[corpus]] == [part.test.tolist() for part in apart[corpus]]
    assert share_training(apart, facts, 0) is apart


@pytest.mark.parametrize(
    ("models", "message"),
    [(-1, "share_training: models must be 0 or more; got -1"), (1, "train must have an utterance; got none in fold")],
)
def test_folds_that_cannot_share_a_model_are_refused(models, message):
    facts = table([("x", speaker, label, "train", None) for speaker in "AB" for label in ("anger", "joy")])
    with pytest.raises(ValueError, match=message):
        share_training({"x": folds("loso", facts, "x")}, facts, models)
