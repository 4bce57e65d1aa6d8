"""Claims about recordings that are in more than one corpus."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from speecheq.dataset_scripts.build.builder import build
from speecheq.dataset_scripts.build.prints import FILE
from speecheq.dataset_scripts.build.splits import copies, duplicates_to_skip


def corpus(folder: Path, name: str, first_seed: int) -> Path:
    """Write a corpus of three speakers with one recording each; return its YAML file."""
    (folder / name).mkdir()
    rows = ["file_name,label,speaker"]
    for number, speaker in enumerate("abc"):
        noise = np.random.default_rng(first_seed + number).normal(size=16_000) * np.linspace(0.02, 0.1, 16_000)
        soundfile.write(folder / name / f"{number}.wav", noise, 16_000)
        rows.append(f"{number}.wav,{'sad' if number else 'angry'},{speaker}")
    (folder / name / "metadata.csv").write_text("\n".join(rows) + "\n")
    text = f"audio: {name}\ntable: {name}/metadata.csv\nlanguage: de\nlabels: {{sad: sad, angry: angry}}\nlicense: CC0-1.0\n"
    (folder / f"{name}.yaml").write_text(text)
    return folder / f"{name}.yaml"


def splits(out: Path) -> dict[str, str]:
    paths = sorted(out.glob("*/*.parquet"))
    return {row["id"]: row["split"] for path in paths for row in pq.read_table(path).to_pylist()}


@pytest.mark.parametrize("order", [["one", "two"], ["two", "one"]], ids="-".join)
def test_a_recording_in_two_corpora_stays_in_the_split_of_the_corpus_that_was_built_first(order, tmp_path):
    files = {"one": corpus(tmp_path, "one", 0), "two": corpus(tmp_path, "two", 10)}
    with (tmp_path / "two/metadata.csv").open("a") as table:
        for number in range(3):  # the three recordings of "one", one of each split, under one speaker of "two"
            shutil.copy(tmp_path / f"one/{number}.wav", tmp_path / f"two/copy{number}.wav")
            table.write(f"copy{number}.wav,sad,a\n")

    for name in order:
        build({name: files[name]}, tmp_path / "seqd")

    split = splits(tmp_path / "seqd")
    pairs = [(split.get(f"one/{number}"), split.get(f"two/copy{number}")) for number in range(3)]
    assert all(first == second for first, second in pairs if first and second)
    assert sum(None in pair for pair in pairs) == 2 and (None, None) not in pairs
    with (tmp_path / "seqd/report.csv").open() as report:
        reasons = [row["reason"] for row in csv.DictReader(report)]
    assert len(reasons) == 2 and all(f"got a copy of {order[0]}/" in reason for reason in reasons)


def test_the_same_build_again_changes_nothing(tmp_path):
    files = {"one": corpus(tmp_path, "one", 0), "two": corpus(tmp_path, "two", 10)}
    build(files, tmp_path / "seqd")
    before = (tmp_path / "seqd" / FILE).read_bytes()
    build({"one": files["one"]}, tmp_path / "seqd")
    assert (tmp_path / "seqd" / FILE).read_bytes() == before
    assert len(splits(tmp_path / "seqd")) == 6


def test_a_near_duplicate_names_its_original():
    bits = bytes(range(32))
    row = {"id": "new/1", "split": "train", "sha256": "1", "fingerprint": bytes([1, *bits[1:]])}
    other = {"id": "old/1", "split": "test", "sha256": "2", "fingerprint": bits}
    reason = "build: recording must be in one split; got a near duplicate of old/1 (test)"
    assert duplicates_to_skip(copies([row, other]), [row], [other]) == [("new/1", reason)]
    same_split = {**other, "split": "train"}
    assert duplicates_to_skip(copies([row, same_split]), [row], [same_split]) == []
