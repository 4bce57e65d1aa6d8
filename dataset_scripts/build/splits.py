"""The default split: speaker-disjoint, stratified by class and gender as well as speakers allow.

Whole speakers go to train, validation or test. The search lowers one cost: the squared distance of every share
(utterances, each class, each gender) from its target, and a price for each class or gender that a split lacks. It is
greedy, then (up to 150 speakers) moves and swaps speakers until nothing helps. Ties fall by the hash of the speaker's
id, so the split follows from the rows alone, in whatever order they come.
"""

import hashlib
from collections import Counter, defaultdict

import numpy as np

from speecheq.dataset_scripts.build.fingerprint import near_duplicates

SPLITS = ("train", "validation", "test")
SHARES = (0.60, 0.15, 0.25)
EMPTY = (8.0, 8.0, 8.0)  # price of an empty train, validation and test split
MISSING_CLASS = (4.0, 1.0, 2.0)  # of a class that it lacks
MISSING_GENDER = (4.0, 0.5, 2.0)
MAX_SEARCHED = 150  # with more speakers than this, the greedy assignment alone reaches the targets
IMPROVEMENT = 1e-9


def default_split(rows: list[dict]) -> dict[str, str]:
    """Assign every speaker of one corpus to a split.

    Args:
        rows (`list[dict]`): `speaker_id`, `gender` and `native_label` of each utterance.

    Returns:
        `dict[str, str]`: speaker_id -> `"train"`, `"validation"` or `"test"`. With one speaker all is train; with two,
        train and test.
    """
    speakers = _in_order(rows)
    if len(speakers) < 2:
        return dict.fromkeys(speakers, "train")
    features, prices = _features(rows, speakers)
    allowed = (0, 2) if len(speakers) == 2 else (0, 1, 2)
    assigned = _greedy(features, prices, allowed)
    if len(speakers) <= MAX_SEARCHED:
        assigned = _improve(assigned, features, prices, allowed)
    return {speaker: SPLITS[index] for speaker, index in zip(speakers, assigned, strict=True)}


def note(split: dict[str, str]) -> str | None:
    """What a reader of a split must know of it, or `None`."""
    if len(split) == 1:
        return "one speaker: all utterances are in train, since no other split could be speaker-disjoint"
    if len(split) == 2:
        return "two speakers: there is no validation split"
    return None


def audit(rows: list[dict]) -> dict:
    """Look for leaks between the splits.

    Args:
        rows (`list[dict]`): `id`, `split`, `speaker_id`, `text`, `sha256` of the audio and `fingerprint` of each utterance.

    Returns:
        `dict`: what stands in more than one split: `speakers` (their ids; must be none), `texts` (how many; common in a
        corpus with a fixed list of sentences, and it matters to phoneme scores), `audio` (pairs of ids with the same
        samples) and `near_duplicates` (pairs of ids that sound like one recording, see
        [`~speecheq.dataset_scripts.build.fingerprint.near_duplicates`]).
    """
    same = []
    for ids in _shared(rows, "sha256").values():
        first = ids[0]
        same += [(first[0], name) for name, split in ids[1:] if split != first[1]]
    near = near_duplicates((row["id"], row["split"], row["fingerprint"]) for row in rows)
    return {
        "speakers": sorted(_shared(rows, "speaker_id")),
        "texts": len(_shared(rows, "text")),
        "audio": sorted(same),
        "near_duplicates": sorted(set(near) - set(same)),
    }


def _shared(rows: list[dict], field: str) -> dict[str, list[tuple[str, str]]]:
    """Values of a field that stand in more than one split -> (id, split) of their rows, in the order of the ids."""
    seen = defaultdict(list)
    for row in rows:
        if row[field] is not None:
            seen[row[field]].append((row["id"], row["split"]))
    return {value: sorted(found) for value, found in seen.items() if len({split for _, split in found}) > 1}


def _in_order(rows: list[dict]) -> list[str]:
    counts = Counter(row["speaker_id"] for row in rows)
    return sorted(counts, key=lambda speaker: (-counts[speaker], hashlib.sha256(speaker.encode()).hexdigest()))


def _features(rows: list[dict], speakers: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Counts per speaker of all utterances, of each class and of each gender, as shares of the corpus.

    Returns:
        `(speakers, features)` shares, and `(3, features)` prices of having none.
    """
    columns: dict[tuple, np.ndarray] = {}
    index = {speaker: place for place, speaker in enumerate(speakers)}
    for row in rows:
        keys = (("all",), ("class", row["native_label"]), ("gender", row["gender"]))
        for key in keys:
            if key[-1] is not None:
                columns.setdefault(key, np.zeros(len(speakers)))[index[row["speaker_id"]]] += 1
    keys = sorted(columns)
    features = np.stack([columns[key] / columns[key].sum() for key in keys], axis=1)
    price = {"all": EMPTY, "class": MISSING_CLASS, "gender": MISSING_GENDER}
    return features, np.array([price[key[0]] for key in keys]).T


def _cost(assigned: list[int], features: np.ndarray, prices: np.ndarray) -> float:
    shares = np.zeros((len(SPLITS), features.shape[1]))
    np.add.at(shares, assigned, features)
    distance = (shares - np.array(SHARES)[:, None]) ** 2
    return float(distance.mean(axis=1).sum() + distance[:, 0].sum() + (prices * (shares == 0)).sum())


def _greedy(features: np.ndarray, prices: np.ndarray, allowed: tuple[int, ...]) -> list[int]:
    """The largest speaker first, each to the split that costs least so far."""
    assigned: list[int] = []
    for place in range(len(features)):
        known = features[: place + 1]
        costs = [round(_cost([*assigned, split], known, prices), 9) for split in allowed]
        assigned.append(allowed[int(np.argmin(costs))])
    return assigned


def _improve(assigned: list[int], features: np.ndarray, prices: np.ndarray, allowed: tuple[int, ...]) -> list[int]:
    """Take the best move of one speaker or swap of two until none helps."""
    cost = _cost(assigned, features, prices)
    while True:
        costs = [
            (round(_cost(other, features, prices), 9), place) for place, other in enumerate(_near(assigned, allowed))
        ]
        best, place = min(costs)
        if best >= cost - IMPROVEMENT:
            return assigned
        assigned, cost = list(_near(assigned, allowed))[place], best


def _near(assigned: list[int], allowed: tuple[int, ...]):
    """Every assignment that is one move or one swap away."""
    for place, split in enumerate(assigned):
        for other in allowed:
            if other != split:
                yield [*assigned[:place], other, *assigned[place + 1 :]]
    for first in range(len(assigned)):
        for second in range(first):
            if assigned[first] != assigned[second]:
                swapped = list(assigned)
                swapped[first], swapped[second] = assigned[second], assigned[first]
                yield swapped
