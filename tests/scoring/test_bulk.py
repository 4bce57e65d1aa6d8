"""Claims about bulk scoring: it matches the pipeline, with each row once, after damage or kills."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from samples import MINI_SEQD, tiny_pipeline, wav_bytes, waveform

from speecheq.pipeline_speecheq import SpeechEQPipeline
from speecheq.scoring import bulk, sources, workers
from speecheq.scoring.bulk import main
from speecheq.scoring.shards import SCHEMA
from speecheq.training.saving import save_for_hub


@pytest.fixture(scope="module")
def tiny() -> SpeechEQPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def model(tiny, tmp_path_factory) -> str:
    """The tiny model, for separate processes."""
    return str(save_for_hub(tiny.model, tiny.processor, tmp_path_factory.mktemp("tiny") / "model"))


@pytest.fixture
def pipe(tiny, monkeypatch) -> SpeechEQPipeline:
    """Make the command use the tiny pipeline in this process."""
    monkeypatch.setattr(workers, "load_pipeline", lambda *given: tiny)
    return tiny


def sound(number: int) -> bytes:
    return wav_bytes(waveform(0.4 + number / 20, number))


def parquet(path: Path, number: int, group: int = 3, **columns) -> Path:
    """Write a Parquet file of recordings, in row groups."""
    rows = [{"id": f"u{index}", "audio": {"bytes": sound(index), "path": f"{index}.wav"}} for index in range(number)]
    for index, row in enumerate(rows):
        row |= {name: values[index] for name, values in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


def tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def answers(out: Path) -> list[dict]:
    return [row for path in sorted(out.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def places(out: Path) -> list[tuple]:
    return [(row["file"], row["row"], row["id"]) for row in answers(out)]


def test_a_row_of_seqd_gets_the_answer_of_the_pipeline(pipe, tmp_path, capsys):
    source = next(Path(MINI_SEQD).rglob("test-*.parquet"))
    options = [
        "--no-vad",
        "--scale",
        "basic",
        "--labels",
        "angry,happy",
        "--abstain-below",
        "0.9",
        "--batch-size",
        "4",
    ]
    assert main([str(source), "--out", str(tmp_path / "out"), *options]) == 0

    rows = pq.read_table(source).to_pylist()
    asked = {
        "scale": "basic",
        "candidate_labels": ["angry", "happy"],
        "abstain_below": 0.9,
        "vad": False,
        "batch_size": 4,
    }
    expected = pipe([row["audio"] for row in rows], **asked)
    found = answers(tmp_path / "out")
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    for answer, row in zip(expected, found, strict=True):
        assert row["file"] == source.name and row["error"] is None
        typed = pa.Table.from_pylist([answer], schema=SCHEMA).to_pylist()[0]
        assert {name: row[name] for name in answer} == {name: typed[name] for name in answer}
    assert found[0]["phonemes"] and found[0]["timeline"] and len(found[0]["emotion"]) == 2
    printed = capsys.readouterr().out
    assert printed.startswith(f"{len(rows)} rows, 0 of them failed.\n") and " core-hours." in printed


def test_a_recording_may_be_its_own_speaker(pipe, tmp_path, monkeypatch, capsys):
    (tmp_path / "long.wav").write_bytes(wav_bytes(waveform(12.0)))
    assert main([str(tmp_path / "long.wav"), "--out", str(tmp_path / "out"), "--no-vad", "--speaker", "auto"]) == 0
    (found,) = answers(tmp_path / "out")
    scores = {
        one["label"]: one["score"] for one in pipe(str(tmp_path / "long.wav"), vad=False, speaker="auto")["emotion"]
    }
    assert {one["label"]: one["score"] for one in found["emotion"]} == pytest.approx(scores, abs=1e-6)
    monkeypatch.delattr(type(pipe.model), "score_statistics")
    assert main([str(tmp_path / "long.wav"), "--out", str(tmp_path / "onnx"), "--speaker", "auto"]) == 2
    assert "--speaker must not be auto with an ONNX model (--int8)" in capsys.readouterr().err


def test_a_sample_of_the_source_gives_the_statistics_of_every_recording(pipe, tmp_path, monkeypatch, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(5):
        (source / f"{number}.wav").write_bytes(wav_bytes(waveform(1.0, seed=number)))
    (source / "bad.wav").write_bytes(b"not audio")
    monkeypatch.setattr("speecheq.scoring.workers.SAMPLE_ROWS", 4)
    options = [str(source), "--no-vad", "--rows-per-shard", "2"]
    assert main([*options, "--speaker", "source", "--out", str(out)]) == 1
    file = out / "source.safetensors"
    assert 2 <= pipe.new_speaker(file).num_utterances <= 4
    assert main([*options, "--speaker", str(file), "--out", str(tmp_path / "file")]) == 1
    found = answers(out)
    assert found == answers(tmp_path / "file") and found != []
    assert main([*options, "--out", str(tmp_path / "none")]) == 1
    assert found != answers(tmp_path / "none")
    before = file.read_bytes()
    (out / "answers-00000.parquet").unlink(missing_ok=True)
    assert main([*options, "--speaker", "source", "--out", str(out)]) == 1  # resumes with the same sample
    assert file.read_bytes() == before and answers(out) == found
    for name in source.glob("[0-9].wav"):
        name.write_bytes(b"not audio either")
    assert main([*options, "--speaker", "source", "--out", str(tmp_path / "silent")]) == 2
    assert "--speaker source: the sample of the source must have speech" in capsys.readouterr().err
    assert main([*options, "--speaker", "source", "--channels", "each", "--out", str(tmp_path / "each")]) == 2
    assert "--speaker source must not be given with --channels each" in capsys.readouterr().err


def test_a_sample_takes_rows_of_every_kind_of_file_at_random(tmp_path):
    rows = [{"audio": {"bytes": f"{number}".encode(), "path": None}, "id": str(number)} for number in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet", row_group_size=10)
    for number in range(50):
        (tmp_path / f"{number}.wav").touch()
    found = list(sources.find_pieces([str(tmp_path)], tmp_path, 25, "audio"))
    drawn = list(sources.sample_rows(found, 20, tmp_path, "audio", "id"))
    assert drawn == list(sources.sample_rows(found, 20, tmp_path, "audio", "id"))
    assert len({(row.file, row.row) for row in drawn}) == 20
    assert len([row for row in drawn if row.file == "rows.parquet"]) == 10
    assert [row.row for row in drawn if row.file == "rows.parquet"][:5] != list(range(5))
    assert len(list(sources.sample_rows(found, 500, tmp_path, "audio", "id"))) == 100
    assert list(sources.sample_rows([], 20, tmp_path, "audio", "id")) == []


def test_the_statistics_of_a_source_are_the_same_for_every_recording_and_stay_as_they_are(pipe, tmp_path, capsys):
    source, out, file = tmp_path / "in", tmp_path / "out", tmp_path / "source.safetensors"
    source.mkdir()
    for number in range(3):
        (source / f"{number}.wav").write_bytes(wav_bytes(waveform(1.0 + number, seed=number)))
    speaker = pipe.new_speaker()
    for path in source.iterdir():
        pipe(str(path), vad=False, speaker=speaker)
    speaker.save(file)
    before = file.read_bytes()
    options = [str(source), "--no-vad", "--speaker", str(file)]
    assert main([*options, "--out", str(out), "--rows-per-shard", "1"]) == 0
    assert main([*options, "--out", str(tmp_path / "one")]) == 0
    assert file.read_bytes() == before
    found = {row["file"]: row["emotion"] for row in answers(out)}
    assert found == {row["file"]: row["emotion"] for row in answers(tmp_path / "one")}
    for name, emotion in found.items():
        alone = pipe.new_speaker(file)
        expected = pipe(str(source / name), vad=False, speaker=alone)["emotion"]
        assert {one["label"]: one["score"] for one in emotion} == pytest.approx(
            {one["label"]: one["score"] for one in expected}, abs=1e-6
        )
    speaker.merge(speaker).save(file)  # the file has changed since the first run
    assert main([*options, "--out", str(out), "--rows-per-shard", "1"]) == 2
    assert "--out must have the settings of this run; got speaker" in capsys.readouterr().err
    for wrong in ("gone.safetensors", str(source / "0.wav")):
        assert main([str(source), "--speaker", wrong, "--out", str(tmp_path / "none")]) == 2
        assert "--speaker must be a file that speecheq --speaker wrote with the same model" in capsys.readouterr().err
    assert main([*options, "--channels", "each", "--out", str(tmp_path / "none")]) == 2
    assert '--speaker must be None with channels="each"' in capsys.readouterr().err


def test_each_channel_of_a_recording_gets_a_row(pipe, tmp_path, caplog):
    (tmp_path / "in").mkdir()
    loud = waveform(1.0)
    (tmp_path / "in/call.wav").write_bytes(wav_bytes(np.stack([0 * loud, loud], axis=1)))
    (tmp_path / "in/inverse.wav").write_bytes(wav_bytes(np.stack([loud, -0.95 * loud], axis=1)))
    tar(tmp_path / "in/t.tar", {"u1.wav": b"broken"})
    command = [str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--no-vad"]
    assert main([*command, "--channels", "each"]) == 1

    found = {(row["file"], row["channel"]): row for row in answers(tmp_path / "out")}
    assert list(found) == [("t.tar", None), ("call.wav", 1), ("call.wav", 2), ("inverse.wav", 1), ("inverse.wav", 2)]
    assert found["call.wav", 1]["abstained"] == "silence" and found["t.tar", None]["error"].startswith("unreadable: ")
    assert [part["channel"] for part in found["call.wav", 2]["timeline"]] == [2]
    assert caplog.messages == []
    assert main(command) == 2  # other settings

    assert main([*command[:2], str(tmp_path / "mix"), "--no-vad"]) == 1
    (inverse,) = (row for row in answers(tmp_path / "mix") if row["file"] == "inverse.wav")
    assert inverse["channel"] is None and inverse["label"] == found["call.wav", 2]["label"]
    assert "inverse.wav: the channels cancel each other. Channel 1, the loudest, is used" in caplog.text


def test_parquet_tar_and_recordings_of_one_folder_are_all_scored(pipe, tmp_path):
    parquet(tmp_path / "in/p/x.parquet", 5, group=2)
    tar(tmp_path / "in/t.tar", {"a/u1.wav": sound(1), "a/u1.json": b"{}", "u2.take.flac": sound(2), "._u3.wav": b""})
    for name in ("b.wav", "a.WAV", ".hidden.wav", "notes.txt", ".cache/c.wav"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(sound(3))
    assert main([str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--no-vad", "--rows-per-shard", "3"]) == 0
    assert places(tmp_path / "out") == [
        ("t.tar", 0, "a/u1"), ("t.tar", 1, "u2"),
        *(("p/x.parquet", row, f"u{row}") for row in range(5)),
        ("a.WAV", 0, "a.WAV"), ("b.wav", 0, "b.wav"),
    ]  # fmt: skip
    sizes = [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert sizes == [2, 4, 1, 2]  # a row group is never split


def test_what_is_broken_is_a_row_with_its_error_and_costs_no_other(pipe, tmp_path, capsys):
    folder = tmp_path / "in"
    whole = tar(folder / "b.tar", {f"u{index}.wav": sound(index) for index in range(3)}).read_bytes()
    (folder / "b.tar").write_bytes(whole[: 2 * 20_000])  # in the middle of the second recording
    (folder / "c.parquet").write_bytes(b"no Parquet")
    (folder / "d.wav").write_text("no audio")
    rows = [
        {"audio": None},
        {"audio": {"bytes": sound(0), "path": None}},
        {"audio": {"bytes": None, "path": "gone.wav"}},
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "a.parquet")
    assert main([str(folder), "--out", str(tmp_path / "out"), "--no-vad"]) == 1

    found = answers(tmp_path / "out")
    failed = {(row["file"], row["row"]): row["error"] for row in found if row["error"]}
    assert [(row["file"], row["row"]) for row in found if not row["error"]] == [
        ("a.parquet", 1),
        ("b.tar", 0),
        ("b.tar", 1),
    ]
    assert set(failed) == {("a.parquet", 0), ("a.parquet", 2), ("b.tar", 2), ("c.parquet", 0), ("d.wav", 0)}
    assert failed["a.parquet", 0].endswith("must have array, path or bytes; got nothing.")
    assert failed["a.parquet", 2].endswith(f"there is no file '{folder / 'gone.wav'}'")
    assert failed["b.tar", 2] == "unreadable from row 2 on: unexpected end of data"
    assert failed["c.parquet", 0].startswith("unreadable from row 0 on: ")
    assert failed["d.wav", 0].startswith("unreadable: ")
    assert capsys.readouterr().out.startswith("8 rows, 5 of them failed.\n")


def test_a_parquet_file_names_no_recording_outside_of_its_folder_and_a_tar_holds_none_without_bounds(
    pipe, tmp_path, monkeypatch
):
    folder = tmp_path / "in"
    folder.mkdir()
    for path in (tmp_path / "secret.wav", folder / "near.wav"):
        path.write_bytes(sound(0))
    (folder / "link.wav").symlink_to(tmp_path / "secret.wav")
    names = ["../secret.wav", str(tmp_path / "secret.wav"), "link.wav", "near.wav"]
    pq.write_table(
        pa.Table.from_pylist([{"audio": {"bytes": None, "path": name}} for name in names]), folder / "a.parquet"
    )
    tar(folder / "b.tar", {"large.wav": sound(9), "small.wav": sound(0)})
    monkeypatch.setattr(sources, "MAX_MEMBER", len(sound(9)) - 1)

    assert main([str(folder / "a.parquet"), str(folder / "b.tar"), "--out", str(tmp_path / "out"), "--no-vad"]) == 1

    errors = [row["error"] for row in answers(tmp_path / "out")]
    assert errors[:3] == [f"unreadable: {name!r} is outside the folder of a.parquet" for name in names[:3]]
    assert errors[3:] == [None, "unreadable: more than 0 MiB in a tar file", None]


def test_every_row_of_a_row_group_that_is_lost_is_reported(pipe, tmp_path):
    path = parquet(tmp_path / "x.parquet", 6)
    start = pq.read_metadata(path).row_group(1).column(1).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    assert main([str(path), "--out", str(tmp_path / "out"), "--no-vad", "--rows-per-shard", "3"]) == 1
    found = answers(tmp_path / "out")
    assert [row["row"] for row in found] == [0, 1, 2, 3, 4, 5]
    assert [row["error"] is None for row in found] == [True] * 3 + [False] * 3


def test_only_what_has_no_shard_is_scored_again_and_counts_are_of_all(pipe, tmp_path, monkeypatch, capsys):
    command = [
        str(parquet(tmp_path / "x.parquet", 9)),
        "--out",
        str(tmp_path / "out"),
        "--no-vad",
        "--rows-per-shard",
        "3",
    ]
    assert main(command) == 0
    shards = sorted((tmp_path / "out").glob("*.parquet"))
    whole = [path.read_bytes() for path in shards]
    shards[1].unlink()
    (tmp_path / "out/.answers-000001.parquet.1.partial").write_bytes(whole[1][:50])
    capsys.readouterr()
    assert main(command) == 0
    assert [path.read_bytes() for path in shards] == whole
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "answers-000000.parquet", "answers-000001.parquet", "answers-000002.parquet", "manifest.json", "plan.jsonl",
    ]  # fmt: skip
    first, now = capsys.readouterr().out.splitlines()[:2]
    assert first == "9 rows, 0 of them failed." and now.startswith("This run: 3 rows")
    monkeypatch.setattr(workers.Scorer, "score", None)  # must not be called
    assert main(command) == 0


def test_a_run_goes_on_only_with_the_same_model_options_and_files(pipe, tmp_path, capsys):
    source = parquet(tmp_path / "in/x.parquet", 3)
    command = [str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--no-vad"]
    assert main(command) == 0
    assert main([*command, "--scale", "basic"]) == 2
    assert (
        "--out must have the settings of this run; got scale 'fine' instead of 'basic' in '" in capsys.readouterr().err
    )
    head = pipe.model.gender_head.classifier.bias.data
    head += 1
    try:
        assert main(command) == 2
    finally:
        head -= 1
    assert "got weights_sha256 '" in capsys.readouterr().err
    parquet(source, 4)
    assert main(command) == 2
    assert "--out must have the source files of this run; got other files in '" in capsys.readouterr().err
    parquet(source, 3)
    assert main(command) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_of_any_precision_have_their_digest(dtype, monkeypatch):
    pipe = tiny_pipeline()
    pipe.model.to(dtype)
    monkeypatch.setattr(workers, "load_pipeline", lambda *given: pipe)
    scorer = workers.Scorer(None, None, False, "", "", ("audio", "id"), {})
    before = scorer.weights_sha256()
    assert before == scorer.weights_sha256() and len(before) == 64
    with torch.no_grad():
        pipe.model.esc_head.classifier.weight[0, 0] += 1
    assert scorer.weights_sha256() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], r"SOURCE must be a file or a folder on this machine; got 'gone'."),
        (["in", "in/x.parquet"], "SOURCE must not be inside another source; got 'in/x.parquet'."),
        (["in", "--out", "in/answers"], "--out must not be inside a source; got 'in/answers'."),
        (["in", "--out", "other"], "--out must be a new folder, or an output of this command; got "),
        (["in", "--audio-column", "sound"], "got 'sound', but 'x.parquet' has the columns id, audio."),
        (["in", "--labels", "glad"], "--labels must be among "),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_scored(
    arguments, message, pipe, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    parquet(tmp_path / "in/x.parquet", 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/mine.txt").touch()
    monkeypatch.setattr(workers.Scorer, "score", None)
    assert main(["--out", "out", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_without_ray_its_option_says_what_to_install(pipe, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    assert main([str(parquet(tmp_path / "x.parquet", 1)), "--out", str(tmp_path / "out"), "--ray"]) == 2
    wrong = '--ray: Ray must be installed; got no ray module. Run `pip install "speecheq[scale]"`.'
    assert wrong in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_write_what_one_writes(pipe, model, tmp_path):
    command = [str(parquet(tmp_path / "x.parquet", 9)), "--no-vad", "--rows-per-shard", "3", "--model", model]
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    assert main([*command, "--out", str(tmp_path / "two"), "--workers", "2"]) == 0
    assert len(list((tmp_path / "two").glob("*.parquet"))) == 3
    for one, two in zip(answers(tmp_path / "one"), answers(tmp_path / "two"), strict=True):
        assert [two[name] for name in ("file", "row", "id", "label")] == [
            one[name] for name in ("file", "row", "id", "label")
        ]
        assert two["score"] == pytest.approx(one["score"], abs=1e-5)


def test_a_process_that_is_killed_is_named(pipe, tmp_path, monkeypatch, capsys):
    def killed(*arguments):
        raise workers.BrokenProcessPool

    monkeypatch.setattr(workers.ProcessPoolExecutor, "submit", killed)
    source = str(parquet(tmp_path / "x.parquet", 9))
    assert main([source, "--no-vad", "--rows-per-shard", "3", "--out", str(tmp_path / "out"), "--workers", "2"]) == 2
    assert "--workers: a process was killed, possibly because memory ran out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_command_that_was_killed_goes_on_to_each_row_once(model, tmp_path):
    source = parquet(tmp_path / "x.parquet", 60)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "speecheq.scoring.bulk", str(source), "--out", str(out), "--model", model]
    command += ["--no-vad", "--rows-per-shard", "3", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.time() + 120
    while len(list(out.glob("*.parquet"))) < 3:
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stderr.read()  # returns at the end of all child processes
    reached = len(list(out.glob("*.parquet")))
    assert reached < 20
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert places(out) == [("x.parquet", row, f"u{row}") for row in range(60)]
    assert done.stdout.startswith("60 rows, 0 of them failed.\nThis run: ")
    assert json.loads((out / "manifest.json").read_text())["rows_per_shard"] == 3


def test_an_interrupt_says_that_the_command_goes_on(pipe, tmp_path, monkeypatch, capsys):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(bulk.Scorer, "score", interrupted)
    assert main([str(parquet(tmp_path / "x.parquet", 1)), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err.endswith("speecheq: interrupted. Repeat the command to resume.\n")
