"""Evaluation protocols: the training and test utterances of each fold.

All protocols except `emobox` are speaker-disjoint.

| protocol | folds | training part | test part |
|---|---|---|---|
| `default` | one | split `train` | split `test` |
| `emobox` | numbers in `fold` | listed utterances with another number | utterances with this number |
| `loso` | one per speaker | other speakers | the speaker |
| `speaker-kfold` | `number` | other speakers | a share of the speakers |
| `session-kfold` | sessions in `fold` | other sessions, four classes | the session, four classes |
| `cross-corpus` | one | other corpora | the whole corpus |

Other training corpora contribute all their utterances; in `default`, only their split `train`. Utterances of the test corpus
outside both parts are not used. An utterance without an ESC label is used to train the other tasks, and never to test; in
`session-kfold` it is not used, so that IEMOCAP has its usual 5,531 turns. Models are selected on a part of `train`, never on
`test`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

# The classes of most published IEMOCAP results, as sets of fine classes.
FOUR_CLASSES = {"angry": ["angry"], "happy": ["happy", "excited"], "neutral": ["neutral"], "sad": ["sad"]}
COLUMNS = ("id", "corpus", "speaker_id", "native_label", "esc", "split", "fold")


class Fold(NamedTuple):
    """One fold of a protocol.

    Args:
        name (`str`): corpus, protocol and part, safe as a file name: `nemo-loso-EB0`.
        train, test (`np.ndarray` of shape `(rows,)`, int64): row numbers, ascending.
        label_space (`dict[str, list[str]]`): of the test corpus: native label -> fine classes. [`class_of`] returns the
            class of a row.
    """

    name: str
    train: np.ndarray
    test: np.ndarray
    label_space: dict[str, list[str]]


def folds(
    protocol: str, facts: pd.DataFrame, corpus: str, train_corpora: Sequence[str] | None = None, number: int = 5
) -> list[Fold]:
    """Make the folds of a protocol, and [`check`] them.

    Args:
        protocol (`str`): one of [`PROTOCOLS`].
        facts (`pd.DataFrame`): SEQD rows of all splits without audio: `id`, `corpus`, `speaker_id`, `native_label`, `esc`,
            `split` and `fold`. Row numbers are positions.
        corpus (`str`): the test corpus.
        train_corpora (`Sequence[str]`, *optional*): training corpora, `["all"]` for all. They must include the test corpus,
            which is the default; for `cross-corpus` they must not, and the default (also `["all"]`) is all others.
        number (`int`, *optional*, defaults to 5): folds of `speaker-kfold`.

    Returns:
        `list[Fold]`: sorted by part name or number.

    Raises:
        ValueError: if the protocol or a corpus is unknown, a column is missing, the test corpus has no fold numbers that
            the protocol needs or fewer speakers than folds, or a fold does not pass [`check`].
    """
    choose("protocol", [protocol], list(PROTOCOLS))
    absent = [f"no {column}" for column in COLUMNS if column not in facts.columns]
    if absent or facts["speaker_id"].isna().any():
        got = ", ".join(absent) or "a row without speaker_id"
        raise ValueError(f"folds: facts must have the columns {', '.join(COLUMNS)}; got {got}. Load them from a SEQD.")
    trains = _training_corpora(protocol, corpus, train_corpora, sorted(set(facts["corpus"])))
    table = _Table.of(facts, protocol, corpus, trains)
    found = []
    for part, train, test in PROTOCOLS[protocol](table, number):
        name = quote("-".join(filter(None, (corpus, protocol, part))), safe="")
        space = {label: list(fine) for label, fine in table.label_space.items()}
        found.append(Fold(name, np.flatnonzero(train), np.flatnonzero(test), space))
        check(found[-1], facts, allow_shared=protocol == "emobox")
    return found


def hold_out_texts(fold: Fold, facts: pd.DataFrame, share: float) -> Fold:
    """Restrict a fold to test texts that are not in its training part, for corpora whose speakers read the same texts.

    Args:
        fold ([`Fold`]): to restrict.
        facts (`pd.DataFrame`): rows of the fold, with the column `text`.
        share (`float`): share of the texts to hold out, selected by hash. Test utterances with another text and training
            utterances with a held-out text are removed. 0 returns the fold unchanged.

    Returns:
        [`Fold`]: the restricted fold.

    Raises:
        ValueError: if a part is empty.
    """
    if not share:
        return fold
    held_out = facts["text"].map(lambda text: pd.notna(text) and _hash(text.casefold()) < share).to_numpy(dtype=bool)
    reduced = fold._replace(train=fold.train[~held_out[fold.train]], test=fold.test[held_out[fold.test]])
    check(reduced, facts, allow_shared=True)  # its speakers were checked before
    return reduced


def share_training(folds: dict[str, list[Fold]], facts: pd.DataFrame, models: int) -> dict[str, list[Fold]]:
    """Share models between folds: fold `i` of each corpus uses model `i % models`.

    A model is trained on the rows that are in the training parts of all its folds, so it never sees their test speakers.

    Args:
        folds (`dict[str, list[Fold]]`): of each test corpus.
        facts (`pd.DataFrame`): rows of the folds.
        models (`int`): number of models; 0 trains one model per fold.

    Returns:
        `dict[str, list[Fold]]`: the folds with their shared training parts.

    Raises:
        ValueError: if `models` is negative, or a training part is empty.
    """
    if models < 0:
        raise ValueError(f"share_training: models must be 0 or more; got {models}.")
    if not models:
        return folds
    trains = [[part.train for parts in folds.values() for part in parts[number::models]] for number in range(models)]
    shared = [reduce(np.intersect1d, of_model, np.arange(len(facts))) for of_model in trains]
    found = {
        corpus: [part._replace(train=shared[index % models]) for index, part in enumerate(parts)]
        for corpus, parts in folds.items()
    }
    for part in chain.from_iterable(found.values()):
        check(part, facts, allow_shared=True)  # its speakers were checked before
    return found


def class_of(esc: Sequence[str] | None, native_label: str | None, label_space: dict[str, list[str]]) -> str | None:
    """Return the class of a row in the label space of a [`Fold`].

    Args:
        esc (`Sequence[str]` or `None`): fine classes of the row.
        native_label (`str` or `None`): native label of the row.
        label_space (`dict[str, list[str]]`): of the fold.

    Returns:
        `str` or `None`: the native label; in [`FOUR_CLASSES`] the class that contains all of `esc`. `None` if there is no
        such class, or `esc` is missing or empty.
    """
    if not _labelled(esc):
        return None
    if label_space == FOUR_CLASSES:
        return next((name for name, fine in FOUR_CLASSES.items() if set(esc) <= set(fine)), None)
    return native_label if native_label in label_space else None


def choose(field: str, given: Sequence[str], known: list[str]) -> None:
    """Check that all given names are known.

    Raises:
        ValueError: if a name in `given` is not in `known`.
    """
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ValueError(f"folds: {field} must be among {_listed(known)}; got {', '.join(map(repr, unknown))}.")


def audit(fold: Fold, facts: pd.DataFrame) -> dict:
    """Report the overlap and the sizes of the training and test parts.

    Returns:
        `dict`: `shared_speakers` and `shared_ids` (`list[str]`, sorted), and the counts `train_speakers`,
        `test_speakers`, `train_utterances` and `test_utterances`.
    """
    speakers, ids = facts["speaker_id"].to_numpy(), facts["id"].to_numpy()
    train, test = set(speakers[fold.train]), set(speakers[fold.test])
    return {
        "shared_speakers": sorted(train & test),
        "shared_ids": sorted(set(ids[fold.train]) & set(ids[fold.test])),
        "train_speakers": len(train),
        "test_speakers": len(test),
        "train_utterances": len(fold.train),
        "test_utterances": len(fold.test),
    }


def check(fold: Fold, facts: pd.DataFrame, allow_shared: bool = False) -> None:
    """Check that a fold can be evaluated.

    Args:
        fold ([`Fold`]): to check.
        facts (`pd.DataFrame`): rows of the fold.
        allow_shared (`bool`, *optional*, defaults to `False`): whether a speaker may be in both parts.

    Raises:
        ValueError: if a part is empty, the label space has fewer than two classes, or an utterance, or a speaker unless
            allowed, is in both parts.
    """
    for side, rows in {"train": fold.train, "test": fold.test}.items():
        if not len(rows):
            raise ValueError(f"check: {side} must have an utterance; got none in fold {fold.name!r}.")
    if len({frozenset(fine) for fine in fold.label_space.values()}) < 2:
        labels = _listed(list(fold.label_space))
        raise ValueError(f"check: label_space must have at least two classes; got {labels} in fold {fold.name!r}.")
    found = audit(fold, facts)
    if found["shared_ids"]:
        shared = _listed(found["shared_ids"])
        raise ValueError(
            f"check: an utterance must not be in both train and test; got {shared} in fold {fold.name!r}."
        )
    if found["shared_speakers"] and not allow_shared:
        shared = _listed(found["shared_speakers"])
        raise ValueError(
            f"check: a speaker must not be in both train and test; got {shared} in fold {fold.name!r}. "
            "Correct the columns speaker_id, split or fold."
        )


@dataclass(frozen=True)
class _Table:
    """Input of the protocols; each array has one item per row."""

    protocol: str
    corpus: str
    own: np.ndarray  # bool, of the test corpus
    others: np.ndarray  # bool, of the other training corpora
    tested: np.ndarray  # bool, of the test corpus with a class in the label space
    ids: np.ndarray
    speakers: np.ndarray
    labels: np.ndarray
    splits: np.ndarray
    numbers: np.ndarray  # float, of the column `fold`; NaN if missing
    label_space: dict[str, list[str]]

    @classmethod
    def of(cls, facts: pd.DataFrame, protocol: str, corpus: str, trains: list[str]) -> "_Table":
        corpora = facts["corpus"].to_numpy(dtype=object)
        own, others = corpora == corpus, np.isin(corpora, [name for name in trains if name != corpus])
        rows = list(zip(facts["esc"], facts["native_label"].astype(object), strict=True))
        of_corpus = [rows[row] for row in np.flatnonzero(own)]
        space = FOUR_CLASSES if protocol == "session-kfold" else _label_space(of_corpus)
        if protocol == "cross-corpus":
            taught = {fine for row in np.flatnonzero(others) if _labelled(rows[row][0]) for fine in rows[row][0]}
            space = {label: fine for label, fine in space.items() if set(fine) <= taught}
        tested = [mine and class_of(*row, space) is not None for mine, row in zip(own, rows, strict=True)]
        return cls(
            protocol=protocol,
            corpus=corpus,
            own=own,
            others=others,
            tested=np.array(tested, dtype=bool),
            ids=facts["id"].to_numpy(dtype=object),
            speakers=facts["speaker_id"].to_numpy(dtype=object),
            labels=facts["native_label"].to_numpy(dtype=object),
            splits=facts["split"].to_numpy(dtype=object),
            numbers=pd.to_numeric(facts["fold"]).to_numpy(dtype=np.float64, na_value=np.nan),
            label_space=space,
        )

    def tested_numbers(self, least: int, hint: str) -> list[int]:
        """Return the positive numbers in the column `fold` of the test rows, ascending."""
        found = sorted({int(value) for value in self.numbers[self.tested & (self.numbers > 0)]})
        if len(found) < least:
            raise ValueError(
                f"folds: protocol {self.protocol!r} must have {least} or more positive numbers in the column fold; got "
                f"{len(found)} in corpus {self.corpus!r}. {hint}"
            )
        return found

    def tested_speakers(self, least: int) -> list[str]:
        """Return the test speakers, sorted."""
        found = sorted(set(self.speakers[self.tested]))
        if len(found) < least:
            raise ValueError(
                f"folds: protocol {self.protocol!r} must have at least {least} speakers with labels, one per fold; "
                f"got {len(found)} in corpus {self.corpus!r}."
            )
        return found


_Parts = Iterator[tuple[str, np.ndarray, np.ndarray]]  # the part's name, and masks of train and test


def _default(table: _Table, number: int) -> _Parts:
    yield "", (table.own | table.others) & (table.splits == "train"), table.tested & (table.splits == "test")


def _emobox(table: _Table, number: int) -> _Parts:
    listed = table.own & ~np.isnan(table.numbers)
    for fold in table.tested_numbers(1, "Build SEQD with --emobox to add the EmoBox lists."):
        yield str(fold), listed & (table.numbers != fold) | table.others, table.tested & (table.numbers == fold)


def _loso(table: _Table, number: int) -> _Parts:
    for speaker in table.tested_speakers(least=2):
        spoken = table.speakers == speaker
        yield speaker.removeprefix(f"{table.corpus}/"), table.own & ~spoken | table.others, table.tested & spoken


def _speaker_kfold(table: _Table, number: int) -> _Parts:
    if number < 2:
        raise ValueError(f"folds: number must be at least 2 for protocol {table.protocol!r}; got {number}.")
    table.tested_speakers(least=number)
    rows = np.flatnonzero(table.tested)
    rows = rows[np.argsort(table.ids[rows], kind="stable")]  # folds depend only on the ids
    labels = np.unique(table.labels[rows], return_inverse=True)[1]
    splits = StratifiedGroupKFold(number).split(rows, labels, table.speakers[rows])
    for fold, (_, test) in enumerate(splits, start=1):
        spoken = np.isin(table.speakers, table.speakers[rows[test]])
        yield str(fold), table.own & ~spoken | table.others, table.tested & spoken


def _session_kfold(table: _Table, number: int) -> _Parts:
    of_session = table.tested & (table.numbers > 0)
    for session in table.tested_numbers(2, "Only IEMOCAP has sessions there."):
        recorded = table.numbers == session
        yield str(session), of_session & ~recorded | table.others, of_session & recorded


def _cross_corpus(table: _Table, number: int) -> _Parts:
    yield "", table.others, table.tested


PROTOCOLS = {
    "default": _default,
    "emobox": _emobox,
    "loso": _loso,
    "speaker-kfold": _speaker_kfold,
    "session-kfold": _session_kfold,
    "cross-corpus": _cross_corpus,
}


def _training_corpora(protocol: str, corpus: str, given: Sequence[str] | None, known: list[str]) -> list[str]:
    choose("corpus", [corpus], known)
    across = protocol == "cross-corpus"
    if given is None or (across and list(given) == ["all"]):
        return [name for name in known if name != corpus] if across else [corpus]
    trains = known if list(given) == ["all"] else list(given)
    choose("train_corpora", trains, known)
    if (corpus in trains) == across:
        rule = "not include the test corpus" if across else "include the test corpus (or use cross-corpus)"
        raise ValueError(
            f"folds: train_corpora must {rule} for protocol {protocol!r}; got {_listed(list(given))} for {corpus!r}."
        )
    return trains


def _label_space(rows: list[tuple]) -> dict[str, list[str]]:
    """Return the native labels of a corpus that have fine classes, sorted."""
    space = {label: list(esc) for esc, label in rows if _labelled(esc) and pd.notna(label)}
    return dict(sorted(space.items()))


def _labelled(esc) -> bool:
    return pd.api.types.is_list_like(esc) and len(esc) > 0


def _listed(names: list[str]) -> str:
    return (", ".join(names[:10]) + ", …" * (len(names) > 10)) or "none"


def _hash(text: str) -> float:
    """Hash a text to a number in [0, 1)."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
