import random
from collections import Counter

import pytest

from speecheq.dataset_scripts.build import splits


def rows(speakers: int, per_class: int = 4, classes: str = "ab") -> list[dict]:
    """Make rows with balanced genders and classes."""
    return [
        {"speaker_id": f"c/{number}", "gender": ("female", "male")[number % 2], "native_label": label}
        for number in range(speakers)
        for label in classes
        for _ in range(per_class)
    ]


def shares(found: list[dict], assigned: dict[str, str]) -> dict[str, float]:
    counts = Counter(assigned[row["speaker_id"]] for row in found)
    return {split: counts[split] / len(found) for split in splits.SPLITS}


def test_twenty_equal_speakers_give_the_exact_shares():
    found = rows(20)

    assigned = splits.default_split(found)

    assert shares(found, assigned) == {"train": 0.6, "validation": 0.15, "test": 0.25}
    assert set(assigned) == {f"c/{number}" for number in range(20)}


def test_the_split_depends_on_the_rows_and_not_on_their_order():
    found = rows(13)
    shuffled = list(found)
    random.Random(0).shuffle(shuffled)

    assert splits.default_split(found) == splits.default_split(shuffled)


def test_equal_speakers_are_told_apart_by_the_hash_of_their_id():
    assert splits.default_split(rows(5)) == {
        "c/0": "validation",
        "c/1": "train",
        "c/2": "test",
        "c/3": "test",
        "c/4": "train",
    }


def test_test_and_validation_hold_both_genders():
    found = rows(9)

    assigned = splits.default_split(found)

    genders = {(assigned[row["speaker_id"]], row["gender"]) for row in found}
    assert len(genders) == 6


def test_the_only_two_speakers_of_a_gender_go_to_train_and_test():
    found = [row | {"gender": "female" if row["speaker_id"] in ("c/3", "c/4") else "male"} for row in rows(10)]

    assigned = splits.default_split(found)

    assert {assigned["c/3"], assigned["c/4"]} == {"train", "test"}


def test_a_rare_class_reaches_every_split_when_three_speakers_have_it():
    found = rows(12) + [
        {"speaker_id": f"c/{number}", "gender": "female", "native_label": "rare"} for number in (0, 2, 4)
    ]

    assigned = splits.default_split(found)

    assert {assigned["c/0"], assigned["c/2"], assigned["c/4"]} == {"train", "validation", "test"}


def test_unequal_speakers_still_give_about_the_shares():
    sizes = [540, 540, 540, 539, 539, 539, 538, 450, 256]
    found = [
        {"speaker_id": f"n/{number}", "gender": ("female", "male")[number % 2], "native_label": "ab"[place % 2]}
        for number, size in enumerate(sizes)
        for place in range(size)
    ]

    assert shares(found, splits.default_split(found)) == {
        "train": pytest.approx(0.60, abs=0.02),
        "validation": pytest.approx(0.15, abs=0.02),
        "test": pytest.approx(0.25, abs=0.02),
    }


def test_many_speakers_are_split_without_a_search():
    found = rows(400, per_class=1)

    assert shares(found, splits.default_split(found)) == {
        "train": pytest.approx(0.60, abs=0.01),
        "validation": pytest.approx(0.15, abs=0.01),
        "test": pytest.approx(0.25, abs=0.01),
    }


def test_missing_gender_and_label_are_no_obstacle():
    found = [row | {"gender": None, "native_label": None} for row in rows(20)]

    assert shares(found, splits.default_split(found)) == {"train": 0.6, "validation": 0.15, "test": 0.25}


def test_one_speaker_is_all_train_and_the_note_says_why():
    assigned = splits.default_split(rows(1))

    assert assigned == {"c/0": "train"}
    assert "one speaker: all utterances are in train" in splits.note(assigned)


def test_two_speakers_are_train_and_test():
    assigned = splits.default_split(rows(2))

    assert sorted(assigned.values()) == ["test", "train"]
    assert splits.note(assigned) == "two speakers: there is no validation split"
    assert splits.note(splits.default_split(rows(3))) is None


def test_three_speakers_fill_three_splits():
    assert sorted(splits.default_split(rows(3)).values()) == ["test", "train", "validation"]


def utterance(name: str, split: str, speaker: str, text: str | None, sha256: str, fingerprint: bytes) -> dict:
    return {
        "id": name, "split": split, "speaker_id": speaker, "text": text, "sha256": sha256, "fingerprint": fingerprint,
    }  # fmt: skip


def test_audit_names_what_stands_in_two_splits():
    first, second = bytes(range(32)), bytes(range(100, 132))
    nearly_first = bytes([7, *range(1, 32)])
    found = [
        utterance("c/b", "train", "c/1", "yes", "00", first),
        utterance("c/a", "train", "c/1", "no", "11", second),
        utterance("c/c", "test", "c/2", "yes", "00", first),
        utterance("c/d", "test", "c/1", None, "22", nearly_first),
        utterance("c/e", "validation", "c/3", None, "33", bytes(reversed(second))),
    ]

    assert splits.audit(found) == {
        "speakers": ["c/1"],
        "texts": 1,
        "audio": [("c/b", "c/c")],
        "near_duplicates": [("c/b", "c/d")],
    }
    assert splits.audit(found[:2]) == {"speakers": [], "texts": 0, "audio": [], "near_duplicates": []}


def test_of_two_copies_the_one_in_the_more_tested_split_stays():
    rows = [{"id": name, "split": split} for name, split in (("a", "train"), ("b", "test"), ("c", "validation"))]
    audit = {"audio": [("a", "b")], "near_duplicates": [("a", "c"), ("b", "c")]}

    assert splits.duplicates_to_skip(audit, rows) == [
        ("a", "build: recording must be in one split; got a copy of b (test)"),
        ("c", "build: recording must be in one split; got a near duplicate of b (test)"),
    ]
