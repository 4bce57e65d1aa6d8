"""Default split: speaker-disjoint, stratified by class and gender as well as speakers allow.

All utterances of a speaker are in one split. The search minimises a cost: squared distances of the shares (of utterances,
of each class and gender) from their targets, plus a penalty for each class or gender missing from a split. It is greedy,
then (up to 150 speakers) moves and swaps speakers until the cost does not improve. A hash of the speaker id breaks ties, so
the split depends only on the rows, not on their order.
"""

import hashlib
from collections import Counter, defaultdict

import numpy as np

from speecheq.dataset_scripts.build.fingerprint import near_duplicates

SPLITS = ("train", "validation", "test")
SHARES = (0.60, 0.15, 0.25)
EMPTY = (8.0, 8.0, 8.0)  # penalty for an empty train, validation and test split
MISSING_CLASS = (4.0, 1.0, 2.0)
MISSING_GENDER = (4.0, 0.5, 2.0)
MAX_SEARCHED = 150  # with more speakers than this, the greedy assignment alone reaches the targets
IMPROVEMENT = 1e-9
AUDITED = ("id", "split", "speaker_id", "text", "sha256", "fingerprint")  # columns of `audit`


def default_split(rows: list[dict]) -> dict[str, str]:
    """Assign every speaker of one corpus to a split.

    Args:
        rows (`list[dict]`): `speaker_id`, `gender` and `native_label` of each utterance.

    Returns:
        `dict[str, str]`: speaker_id -> `"train"`, `"validation"` or `"test"`. One speaker is in train; of two, one is in
        train and one in test.
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
    """Return a note about missing splits, or `None`."""
    if len(split) == 1:
        return "one speaker: all utterances are in train, because splits are speaker-disjoint"
    if len(split) == 2:
        return "two speakers: there is no validation split"
    return None


def audit(rows: list[dict]) -> dict:
    """Find leaks between the splits.

    Args:
        rows (`list[dict]`): `id`, `split`, `speaker_id`, `text`, `sha256` of the audio and `fingerprint` of each utterance.

    Returns:
        `dict`: overlap between splits: `speakers` (ids; must be empty), `texts` (number; common in corpora with fixed
        sentences, and it affects phoneme scores), `audio` (pairs of ids with equal audio) and `near_duplicates` (pairs of
        ids with similar audio, see [`~speecheq.dataset_scripts.build.fingerprint.near_duplicates`]).
    """
    return {"speakers": sorted(_shared(rows, "speaker_id")), "texts": len(_shared(rows, "text")), **copies(rows)}


def copies(rows: list[dict]) -> dict:
    """Find recordings that are in two splits: `audio` and `near_duplicates` of [`audit`].

    Args:
        rows (`list[dict]`): `id`, `split`, `sha256` and `fingerprint` of each utterance, possibly of several corpora.
    """
    same = []
    for ids in _shared(rows, "sha256").values():
        first = ids[0]
        same += [(first[0], name) for name, split in ids[1:] if split != first[1]]
    near = near_duplicates((row["id"], row["split"], row["fingerprint"]) for row in rows)
    return {"audio": sorted(same), "near_duplicates": sorted(set(near) - set(same))}


def duplicates_to_skip(copies: dict, rows: list[dict], others: list[dict] = ()) -> list[tuple[str, str]]:
    """Choose the utterances to skip so that no recording is in two splits: test keeps it, then validation.

    Args:
        copies (`dict`): from [`copies`].
        rows (`list[dict]`): `id` and `split` of each utterance.
        others (`list[dict]`, *optional*): the same of utterances that are never skipped: those of corpora that are built.

    Returns:
        `list[tuple[str, str]]`: ids and reasons.
    """
    split, kept = {row["id"]: row["split"] for row in [*rows, *others]}, {row["id"] for row in others}
    skipped = {}
    for kind, pairs in (("copy", copies["audio"]), ("near duplicate", copies["near_duplicates"])):
        for pair in pairs:
            less, more = sorted(pair, key=lambda name: (name in kept, SPLITS.index(split[name])))
            if less not in kept:
                skipped.setdefault(
                    less, f"build: recording must be in one split; got a {kind} of {more} ({split[more]})"
                )
    return sorted(skipped.items())


def _shared(rows: list[dict], field: str) -> dict[str, list[tuple[str, str]]]:
    """Return the values of a field that are in more than one split -> (id, split) of their rows, sorted by id."""
    seen = defaultdict(list)
    for row in rows:
        if row[field] is not None:
            seen[row[field]].append((row["id"], row["split"]))
    return {value: sorted(found) for value, found in seen.items() if len({split for _, split in found}) > 1}


def _in_order(rows: list[dict]) -> list[str]:
    counts = Counter(row["speaker_id"] for row in rows)
    return sorted(counts, key=lambda speaker: (-counts[speaker], hashlib.sha256(speaker.encode()).hexdigest()))


def _features(rows: list[dict], speakers: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Compute each speaker's share of all utterances, of each class and of each gender.

    Returns:
        `tuple[np.ndarray, np.ndarray]`: shares `(speakers, features)`, and penalties `(3, features)` for a split without
        them.
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
    """Assign each speaker, the largest first, to the split with the lowest cost so far."""
    assigned: list[int] = []
    for place in range(len(features)):
        known = features[: place + 1]
        costs = [round(_cost([*assigned, split], known, prices), 9) for split in allowed]
        assigned.append(allowed[int(np.argmin(costs))])
    return assigned


def _improve(assigned: list[int], features: np.ndarray, prices: np.ndarray, allowed: tuple[int, ...]) -> list[int]:
    """Apply the best move of one speaker or swap of two until the cost does not improve."""
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
    """Yield every assignment that is one move or one swap away."""
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
