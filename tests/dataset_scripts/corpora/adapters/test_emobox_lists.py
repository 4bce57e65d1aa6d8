"""The file lists of EmoBox against the real corpora: the same utterances with the same labels."""

import csv
from collections import Counter

import pytest

from speecheq.dataset_scripts.build import emobox
from speecheq.dataset_scripts.corpora.adapters import get_adapter

# What EmoBox calls a label, where it is not the corpus's own word in lower case.
EMODB = {"anger": "W", "boredem": "L", "neutral": "N", "happy": "F", "fear": "A", "sad": "T", "disgust": "E"}
OWN_WORDS = {"emodb": EMODB, "urdu": {letter: letter for letter in "AHNS"}}


@pytest.mark.corpora
@pytest.mark.parametrize("corpus", ["ased", "casia", "emodb", "emovo", "ravdess", "tess", "urdu"])
def test_the_adapter_reads_every_listed_utterance_with_its_listed_label(corpora, corpus):
    with (corpora / f"emobox/{corpus}.csv").open(encoding="utf-8") as file:
        listed = {row["path"]: row["label"] for row in csv.DictReader(file)}
    words = OWN_WORDS.get(corpus, {})
    records = list(get_adapter(corpus).records(corpora / corpus))
    folds = emobox.read_folds(corpora / "emobox", corpus)

    assert len(records) == len(listed) == len(folds)
    # TESS has a misspelt file name, which its adapter corrects in the name of the utterance.
    names = {id(record): record.name if corpus == "tess" else str(record.path) for record in records}
    found = {emobox._end(emobox._components(names[id(record)]), folds.depth): record.label for record in records}
    assert found == {
        emobox._end(emobox._components(path), folds.depth): words.get(label, label.lower())
        for path, label in listed.items()
    }
    assert all(folds.of(record.path, record.name) is not None for record in records)


@pytest.mark.corpora
def test_the_balanced_cross_corpus_test_of_ravdess_has_its_labels(corpora):
    with (corpora / "emobox/ravdess_cross.csv").open(encoding="utf-8") as file:
        listed = {row["path"]: row["label"] for row in csv.DictReader(file)}
    records = {
        f"{record.path.parent.name}/{record.path.stem}": record
        for record in get_adapter("ravdess").records(corpora / "ravdess")
    }

    assert Counter(listed.values()) == dict.fromkeys(("angry", "happy", "neutral", "sad"), 60)
    assert {path: records[path.removesuffix(".wav")].label for path in listed} == listed
