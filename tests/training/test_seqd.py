"""Claims about loading a SEQD: splits, label spaces and what is missing."""

import pytest
from datasets import Dataset
from samples import MINI_SEQD, write_seqd

from speecheq.training.seqd import describe_labels, label_spaces, load_seqd, phoneme_inventory, shared_speakers


def test_the_mini_seqd_loads_with_disjoint_speakers():
    splits = load_seqd(MINI_SEQD)
    assert list(splits) == ["train", "validation", "test"]
    speakers = [set(rows["speaker_id"]) for rows in splits.values()]
    assert not speakers[0] & speakers[1] and not speakers[0] & speakers[2] and not speakers[1] & speakers[2]
    assert phoneme_inventory(splits["train"])[0] == "<blank>"
    assert describe_labels(splits) == []
    assert label_spaces(splits)["synthetic"]["angry"] == ["angry"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"name_or_path": "./nowhere"}, FileNotFoundError, "dataset must be a folder or a Hub repository; got './now"),
        ({"config": "casia"}, ValueError, "dataset_config must be one of all, synthetic; got 'casia'"),
        ({"corpora": ["casia"]}, ValueError, "corpora must be among synthetic; got casia"),
        ({"max_seconds": 0.01}, ValueError, "split 'train' must not be empty; got no rows. Raise max_seconds"),
    ],
)
def test_a_wrong_dataset_gets_a_clear_error(arguments, error, message):
    with pytest.raises(error, match=message):
        load_seqd(**{"name_or_path": MINI_SEQD} | arguments)


def test_a_folder_without_the_columns_of_seqd_is_refused(tmp_path):
    for split in ("train", "validation", "test"):
        Dataset.from_dict({"audio": ["x"], "emotion": ["sad"]}).to_parquet(tmp_path / f"{split}.parquet")
    with pytest.raises(ValueError, match=r"must have the columns of SEQD; corpus, speaker_id, .* are missing"):
        load_seqd(str(tmp_path), "default")


def test_a_seqd_has_the_splits_that_its_speakers_allow_and_needs_train(one_speaker, tmp_path):
    splits = load_seqd(one_speaker)
    assert list(splits) == ["train"] and shared_speakers(splits) == []
    assert len(label_spaces(splits)["synthetic"]) == 6
    rows = splits["train"]
    other = rows.remove_columns("corpus").add_column("corpus", ["other"] * len(rows))
    two = write_seqd(tmp_path / "two", {"train": rows, "validation": other, "test": rows})
    assert list(load_seqd(two)) == ["train", "validation", "test"]
    assert list(load_seqd(two, corpora=["synthetic"])) == ["train", "test"]
    message = (
        r"load_seqd: dataset must have the split 'train'; got test\. .* with one speaker all utterances are in train"
    )
    with pytest.raises(ValueError, match=message):
        load_seqd(write_seqd(tmp_path / "tested", {"test": rows}))


def test_missing_tasks_and_absent_classes_are_said():
    train = Dataset.from_dict(
        {"corpus": ["x", "x", "y"], "native_label": ["a", "b", "a"], "gender": ["female", None, None],
         "eis_low": [0.0, None, None], "phonemes": [None, None, None]}
    )  # fmt: skip
    test = Dataset.from_dict({"corpus": ["x"], "native_label": ["c"]})
    notes = describe_labels({"train": train, "validation": test, "test": test})
    assert "ESC: no labels in x, y; these corpora train only the other tasks." in notes
    assert "EIS: no labels in y; these corpora train only the other tasks." in notes
    assert "phoneme: no labels in x, y; these corpora train only the other tasks." in notes
    assert "ESC: class 'c' of x is in test but absent from train." in notes
