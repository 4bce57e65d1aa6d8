"""Claims about the record of the training data: what changes it, whose speakers it counts, and which runs it refuses."""

import json

import pytest
from datasets import Audio, Dataset
from samples import MINI_SEQD, wav_bytes, waveform

from speecheq.training.provenance import (
    FILE,
    keep_record,
    read_record,
    rows_digest,
    seen_speakers,
    training_record,
    write_record,
)
from speecheq.training.seqd import load_seqd

ROW = {"id": "x/1", "corpus": "x", "speaker_id": "x/a", "duration": 0.2, "esc": ["sad"], "gender": None}


def seqd(*speakers: str, **changes) -> Dataset:
    rows = [
        ROW | {"id": f"{speaker}-{number}", "corpus": speaker.split("/")[0], "speaker_id": speaker} | changes
        for number, speaker in enumerate(speakers)
    ]
    audio = {"audio": {"bytes": wav_bytes(waveform(0.2)), "path": "1.wav"}}
    return Dataset.from_list([audio | row for row in rows]).cast_column("audio", Audio(decode=False))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "x/2"},
        {"esc": ["fear"]},
        {"gender": "male"},
        {"speaker_id": "x/b"},
        {"audio": {"bytes": wav_bytes(waveform(0.3)), "path": "1.wav"}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_label_id_speaker_or_audio_is_other_data(changes):
    assert rows_digest(seqd("x/a")) == rows_digest(seqd("x/a"))
    assert rows_digest(seqd("x/a")) != rows_digest(seqd("x/a", **changes))


def test_a_flac_file_with_other_samples_of_the_same_size_is_other_data():
    rows = load_seqd(MINI_SEQD)["test"].select([0])
    audio = rows[0]["audio"]
    assert audio["bytes"][:4] == b"fLaC" and any(audio["bytes"][26:42])  # the MD5 of the samples
    changed = audio["bytes"][:26] + bytes(16) + audio["bytes"][42:]

    def replace(row):
        return {"audio": {"bytes": changed, "path": audio["path"]}}

    assert rows_digest(rows) != rows_digest(rows.map(replace, features=rows.features))


def test_audio_in_a_file_counts_as_the_same_audio_in_the_row(tmp_path):
    (tmp_path / "moved.wav").write_bytes(wav_bytes(waveform(0.2)))
    outside = seqd("x/a", audio={"bytes": None, "path": str(tmp_path / "moved.wav")})
    assert rows_digest(outside) == rows_digest(seqd("x/a"))
    (tmp_path / "moved.wav").write_bytes(wav_bytes(waveform(0.3)))
    assert rows_digest(outside) != rows_digest(seqd("x/a"))


def test_the_order_and_number_of_rows_belong_to_the_data():
    rows = seqd("x/a", "x/b", "x/c")
    assert rows_digest(rows) != rows_digest(rows.select([1, 0, 2])) != rows_digest(rows.select([0, 1]))
    assert rows_digest(rows.select([2, 0, 1]).select([1, 2, 0])) == rows_digest(rows)


def test_the_record_has_no_names_of_speakers_and_still_counts_them():
    record = training_record({"train": seqd("x/anna", "x/bert", "y/carl"), "test": seqd("x/anna")})
    assert [len(digests) for digests in record["speakers"].values()] == [2, 1]
    assert list(record["rows"]) == ["train"] and record["rows"]["train"]["utterances"] == 3
    text = json.dumps(record)
    assert not any(name in text for name in ("anna", "bert", "carl"))
    tested = seqd("x/dora", "x/anna", "y/carl", "x/anna")
    assert seen_speakers(record, tested) == {"x": ["x/anna"], "y": ["y/carl"]}


def test_a_chain_of_stages_counts_the_speakers_of_all(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    write_record(first, training_record({"train": seqd("x/a", "x/b")}))
    write_record(second, training_record({"train": seqd("x/b", "y/c")}, str(first)))
    third = training_record({"train": seqd("z/d")}, str(second))
    assert {corpus: len(digests) for corpus, digests in third["speakers"].items()} == {"x": 2, "y": 1, "z": 1}
    assert third["unknown"] == []
    assert seen_speakers(third, seqd("x/a", "y/c", "y/e", "z/d")) == {"x": ["x/a"], "y": ["y/c"], "z": ["z/d"]}


def test_a_stage_without_a_record_is_named_in_all_later_stages(tmp_path):
    (tmp_path / "old").mkdir()
    record = training_record({"train": seqd("x/a")}, str(tmp_path / "old"))
    assert record["unknown"] == ["old"] and len(record["speakers"]["x"]) == 1
    write_record(tmp_path / "new", record)
    assert training_record({"train": seqd("x/a")}, str(tmp_path / "new"))["unknown"] == ["old"]


def test_a_checkpoint_of_the_trainer_has_the_record_beside_it(tmp_path):
    record = training_record({"train": seqd("x/a")})
    write_record(tmp_path, record)
    (tmp_path / "checkpoint-8").mkdir()
    (tmp_path / "other").mkdir()
    assert read_record(str(tmp_path / "checkpoint-8")) == read_record(str(tmp_path)) == record
    assert read_record(str(tmp_path / "other")) is None


def test_checkpoints_of_other_data_are_refused_with_the_way_out(tmp_path):
    before = training_record({"train": seqd("x/a"), "validation": seqd("x/b")})
    keep_record(tmp_path, before, begun=False)
    keep_record(tmp_path, before, begun=True)

    def refused(record: dict, got: str):
        message = (
            rf"training: output_dir must hold a run on the same data; got {got} in '.*'\. "
            "Choose another output_dir, or delete this folder to train from the start"
        )
        with pytest.raises(ValueError, match=message):
            keep_record(tmp_path, record, begun=True)

    other = training_record({"train": seqd("x/c"), "validation": seqd("x/b")})
    refused(other, "other rows, labels or audio in train")
    refused(training_record({"train": seqd("x/a")}), "other rows, labels or audio in validation")
    refused(before | {"unknown": ["old"]}, "other rows, labels or audio in the starting model")
    assert read_record(str(tmp_path)) == before
    keep_record(tmp_path, other, begun=False, write=False)
    assert read_record(str(tmp_path)) == before
    keep_record(tmp_path, other, begun=False)
    assert read_record(str(tmp_path)) == other
    (tmp_path / FILE).unlink()
    refused(other, f"checkpoints without {FILE}, which tells their data,")


@pytest.mark.parametrize("text", ["{", "[]", '{"rows": {}}', '{"rows": {}, "speakers": 1, "unknown": []}'])
def test_a_damaged_record_is_refused(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=rf"training: {FILE} must hold rows, speakers and unknown; got .* Copy the"):
        read_record(str(tmp_path))
