"""Claims about the command: it finds audio, isolates failures and resumes."""

import csv
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import transformers.pipelines
from praatio.textgrid import openTextgrid
from samples import ROOT, tiny_pipeline, waveform

from speecheq import pipeline_speecheq
from speecheq.dataset_scripts.corpora.records import AUDIO_SUFFIXES
from speecheq.pipeline_speecheq import SpeechEQPipeline
from speecheq.scoring import command
from speecheq.scoring.command import CommandError, find_audio, main, text_grid_paths
from speecheq.scoring.formats import Csv, JsonLines, Rows
from speecheq.scoring.sources import find_pieces
from speecheq.training.saving import save_for_hub

SPEECH = str(ROOT / "tests/speech/angry_high_en.wav")


@pytest.fixture(scope="module")
def tiny() -> SpeechEQPipeline:
    return tiny_pipeline()


@pytest.fixture
def pipe(tiny, monkeypatch) -> SpeechEQPipeline:
    """Make the command use the tiny pipeline in this process."""
    monkeypatch.setattr(command, "load_pipeline", lambda *given: tiny)
    return tiny


@pytest.fixture
def recordings(tmp_path, monkeypatch) -> Path:
    """Current folder with two folders of the same name, a file that is not audio, and files to ignore."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    for number, name in enumerate(["b/x.wav", "a/x.wav", "a/ü, y.FLAC"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, waveform(0.4 + number / 10, number), 16_000)
    (folder / "a/broken.wav").write_text("no audio")
    for name in ("a/._x.wav", "a/notes.txt"):
        (folder / name).write_text("no audio")
    return folder


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_folder_is_searched_in_order_for_audio(recordings):
    files, folder = find_audio(["in"])
    assert files == ["in/a/broken.wav", "in/a/x.wav", "in/a/ü, y.FLAC", "in/b/x.wav"]
    assert folder == recordings


def test_arguments_keep_their_order_and_no_file_comes_twice(recordings):
    arguments = ["in/b/x.wav", "https://host/a*.wav", "./in/*/x.wav", "in/b", "gone.wav"]
    files, folder = find_audio(arguments)
    assert files == ["in/b/x.wav", "https://host/a*.wav", "in/a/x.wav", "gone.wav"]
    assert folder == recordings.parent
    assert find_audio(["in/**/*.FLAC"])[0] == ["in/a/ü, y.FLAC"]
    assert find_audio(["in/*"])[0] == find_audio(["in/a", "in/b"])[0]
    (recordings / "take [1].wav").touch()
    assert find_audio(["in/take [1].wav"])[0] == ["in/take [1].wav"]
    assert find_audio(["http://host/x.wav"]) == (["http://host/x.wav"], None)


def test_a_folder_is_searched_for_the_formats_of_the_builder_and_names_the_others(tmp_path, caplog):
    names = {f"a{suffix}" for suffix in AUDIO_SUFFIXES}
    for name in (*names, "b.mid", ".c.mid"):
        (tmp_path / name).touch()

    files = {Path(file).name for file in find_audio([str(tmp_path)])[0]}
    pieces = {name for piece in find_pieces([str(tmp_path)], tmp_path, 9, "audio") for name in piece.files}

    assert files == pieces == names
    note = f"1 files look like audio, but their format is not read: {tmp_path / 'b.mid'}. Convert them, for example to WAV."
    assert caplog.messages == [note, note]


@pytest.mark.parametrize("form", [JsonLines, Csv])
def test_a_password_in_an_address_is_not_written(form, tmp_path):
    address = "http://user:password@host/a.wav?token=abc"
    for _ in range(2):
        output = Rows(form(), tmp_path / "out")
        if output.failed(address) is None:
            with output.opened():
                output.write(address, {"error": "unreadable"})
    written = (tmp_path / "out").read_text()
    assert written.count("http://***@host/a.wav?token=***") == 1 and "password" not in written and "abc" not in written


@pytest.mark.parametrize("argument", ["*.mp3", "empty"])
def test_nothing_found_is_an_error(argument, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/notes.txt").touch()
    with pytest.raises(
        CommandError, match=r"AUDIO must be a folder or a pattern with audio \(\.wav, .*; got none in '"
    ):
        find_audio([argument])


def test_every_text_grid_has_a_place_of_its_own(recordings):
    files = [
        "in/a/x.wav",
        "in/b/x.wav",
        "in/b/x.mp3",
        "in/b/x.mp3.wav",
        "https://h.org/../c/x.wav?k=1",
        "HTTP://h.org/c/x",
    ]
    files += ["in/b/X.ogg", "http://[::1/x.wav"]
    places = text_grid_paths(files, recordings, Path("out"))
    assert [str(place) for place in places.values()] == [
        "out/a/x.TextGrid", "out/b/x.TextGrid", "out/b/x.mp3.TextGrid", "out/b/x.mp3.wav.TextGrid",
        "out/h.org/c/x.TextGrid", "out/h.org/c/x-2.TextGrid", "out/b/X.ogg.TextGrid",
        "out/address.TextGrid",
    ]  # fmt: skip
    assert text_grid_paths(["in/a/x.wav"], recordings / "a", Path("out")) == {"in/a/x.wav": Path("out/x.TextGrid")}


def test_the_table_has_a_row_for_each_file_and_the_end_says_what_failed(pipe, recordings, capsys):
    assert main(["in", "gone.wav", "--no-vad"]) == 1
    found, errors = capsys.readouterr()
    head, broken, x, y, other, gone = found.splitlines()
    assert head.split() == ["file", "label", "score", "intensity", "gender", "duration"]
    assert broken.startswith("in/a/broken.wav  error: unreadable: ")
    assert gone == "gone.wav         error: unreadable: there is no file 'gone.wav'"
    answer = pipe("in/a/x.wav", vad=False)
    assert x.split() == [
        "in/a/x.wav", answer["label"], f"{answer['score']:.2f}", f"{answer['intensity']['value']:.2f}",
        answer["intensity"]["level"], answer["gender"]["label"], "0.5", "s",
    ]  # fmt: skip
    assert y.startswith("in/a/ü, y.FLAC") and other.startswith("in/b/x.wav") and other.endswith("0.4 s")
    assert errors == "speecheq: 2 of 5 files failed.\n"
    assert main(["in/a/x.wav", "--no-vad"]) == 0
    assert capsys.readouterr().err == ""


def test_json_lines_hold_the_answers_of_the_pipeline(pipe, recordings, capsys):
    options = ["--no-vad", "--scale", "valence", "--labels", "angry, happy", "--top-k", "1", "--abstain-below", "1"]
    assert main(["in/b/x.wav", "in/a/x.wav", "--format", "jsonl", "--batch-size", "2", *options]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row.pop("file") for row in found] == ["in/b/x.wav", "in/a/x.wav"]
    asked = {
        "scale": "valence",
        "candidate_labels": ["angry", "happy"],
        "top_k": 1,
        "abstain_below": 1.0,
        "vad": False,
    }
    expected = pipe(["in/b/x.wav", "in/a/x.wav"], batch_size=2, **asked)
    assert found == expected
    assert found[0]["abstained"] == "low confidence" and found[0]["timeline"] and found[0]["phonemes"]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_run_that_was_cut_anywhere_goes_on_to_the_same_bytes(kind, pipe, recordings):
    arguments = ["in", "--no-vad", "--format", kind, "--out"]
    assert main([*arguments, "whole"]) == 1
    whole = Path("whole").read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 4 + (kind == "csv")
    umlaut = whole.index("ü".encode()) + 1
    for cut in sorted({0, 5, *ends, ends[0] + 1, ends[1] - 1, ends[-2] + 20, ends[-1] - 1, umlaut}):
        Path("cut").write_bytes(whole[:cut])
        assert main([*arguments, "cut"]) == 1
        assert Path("cut").read_bytes() == whole


def test_a_file_that_stands_in_the_output_is_not_scored_again(pipe, recordings, monkeypatch, capsys):
    Path("out.jsonl").write_text(
        '{"file": "in/a/x.wav", "label": "angry", "note": "mine"}\n{"file": "in/a/broken.wav", "error": "old"}\n'
    )
    assert main(["in", "--no-vad", "--format", "jsonl", "--out", "out.jsonl"]) == 1
    found = rows(Path("out.jsonl"))
    assert [row["file"] for row in found] == ["in/a/x.wav", "in/a/broken.wav", "in/a/ü, y.FLAC", "in/b/x.wav"]
    assert found[0]["note"] == "mine" and found[1]["error"] == "old" and len(found[3]["emotion"]) == 12
    assert capsys.readouterr().err == "speecheq: 1 of 4 files failed.\n"
    monkeypatch.setattr(command, "load_pipeline", None)  # must not be called
    assert main(["in", "--format", "jsonl", "--out", "out.jsonl"]) == 1
    assert rows(Path("out.jsonl")) == found


@pytest.mark.parametrize(
    ("kind", "before", "now"),
    [
        ("jsonl", [], ["--scale", "valence"]),
        ("jsonl", ["--scale", "basic"], []),  # basic class names are also fine class names
        ("jsonl", [], ["--labels", "angry,happy"]),
        ("csv", [], ["--scale", "valence"]),
    ],
)
def test_rows_with_other_labels_are_not_mixed(kind, before, now, pipe, recordings, capsys):
    arguments = ["--no-vad", "--format", kind, "--out", "k"]
    main(["in/b/x.wav", *arguments, *before])
    kept = Path("k").read_bytes()
    assert main(["in", *arguments, *now]) == 2
    assert Path("k").read_bytes() == kept
    found = capsys.readouterr().err
    assert re.search(
        r"--out must be a new file, or have rows of the same --scale, .*; got a row with \w+.* in 'k'\. Pass another file",
        found,
    )
    main(["in", *arguments, *before])
    assert len(Path("k").read_bytes()) > len(kept)


@pytest.mark.parametrize(("form", "parse"), [("jsonl", rows), ("csv", lambda path: list(csv.DictReader(path.open())))])
def test_each_channel_of_a_file_has_a_row_and_the_run_resumes(pipe, tmp_path, monkeypatch, form, parse):
    monkeypatch.chdir(tmp_path)
    quiet, loud = np.zeros(16_000, np.float32), waveform(1.0)
    soundfile.write("call.wav", np.stack([quiet, loud], axis=1), 16_000)
    soundfile.write("mono.wav", loud, 16_000)
    arguments = ["call.wav", "gone.wav", "--no-vad", "--channels", "each", "--format", form, "--out", "out"]
    assert main(arguments) == 1
    assert main(["mono.wav", *arguments]) == 1

    found = parse(Path("out"))
    assert [(row["file"], str(row["channel"] or "")) for row in found] == [
        ("call.wav", "1"), ("call.wav", "2"), ("gone.wav", ""), ("mono.wav", "1"),
    ]  # fmt: skip
    assert found[0]["abstained"] == "silence" and found[1]["label"] == found[3]["label"] != ""
    assert found[2]["error"].startswith("unreadable: there is no file")
    if form == "jsonl":
        assert {part["channel"] for part in found[1]["timeline"]} == {2}


def test_each_channel_and_one_speaker_are_refused(pipe, recordings, capsys):
    assert main(["in", "--channels", "each", "--speaker", "s.safetensors"]) == 2
    assert "--speaker must come with --channels mix; got each" in capsys.readouterr().err


def test_files_are_read_one_by_one_and_each_row_is_written_before_the_next(pipe, recordings, monkeypatch, capsys):
    read, out = [], Path("out.jsonl")
    blocks = pipeline_speecheq.blocks_of

    def interrupted(audio, rate, mix=None):
        read.append((audio, len(rows(out)) if out.exists() else 0))
        if audio == "in/b/x.wav":
            raise KeyboardInterrupt
        return blocks(audio, rate)

    monkeypatch.setattr(pipeline_speecheq, "blocks_of", interrupted)
    assert main(["in", "--no-vad", "--format", "jsonl", "--out", "out.jsonl"]) == 130
    assert read == [("in/a/broken.wav", 0), ("in/a/x.wav", 1), ("in/a/ü, y.FLAC", 2), ("in/b/x.wav", 3)]
    assert capsys.readouterr().err == "speecheq: interrupted. Repeat the command to resume.\n"


def test_csv_has_the_phonemes_and_the_error(pipe, recordings):
    assert main(["in", "--no-vad", "--format", "csv", "--out", "out.csv"]) == 1
    with open("out.csv", encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    answers = pipe(["in/a/x.wav", "in/a/ü, y.FLAC"], vad=False)
    assert [row["file"] for row in found] == find_audio(["in"])[0]
    assert found[0]["error"].startswith("unreadable: ") and not found[0]["label"]
    for row, answer in zip(found[1:3], answers, strict=True):
        assert (row["label"], row["score"]) == (answer["label"], f"{answer['score']:.4f}") and row["error"] == ""
        assert row["phonemes"].split() == [entry["phoneme"] for entry in answer["phonemes"]] != []


def test_text_grids_keep_the_folders_and_those_that_exist(pipe, recordings, capsys):
    grids = ["--no-vad", "--format", "textgrid", "--out", "grids"]
    assert main(["in/a", "in/b", *grids]) == 1
    written = sorted(str(path) for path in Path("grids").rglob("*") if path.is_file())
    assert written == ["grids/a/x.TextGrid", "grids/a/ü, y.TextGrid", "grids/b/x.TextGrid"]
    output, errors = capsys.readouterr()
    assert output == "" and errors.startswith("in/a/broken.wav: unreadable: ")
    assert errors.endswith("\nspeecheq: 1 of 4 files failed.\n")
    for name, duration in (("a", 0.5), ("b", 0.4)):
        grid = openTextgrid(f"grids/{name}/x.TextGrid", includeEmptyIntervals=False)
        answer = pipe(f"in/{name}/x.wav", vad=False)
        assert grid.tierNames == ("emotion", "intensity", "phonemes") and grid.maxTimestamp == duration
        labels = {tier: [entry.label for entry in grid.getTier(tier).entries] for tier in grid.tierNames}
        assert labels["emotion"] == [part["label"] for part in answer["timeline"]] != []
        assert labels["phonemes"] == [entry["phoneme"] for entry in answer["phonemes"]] != []
        times = [time for tier in grid.tiers for entry in tier.entries for time in (entry.start, entry.end)]
        assert min(times) >= 0 and max(times) <= duration
    Path("grids/a/x.TextGrid").write_text("corrected by hand")
    main(["in/a", "in/b", *grids])
    assert Path("grids/a/x.TextGrid").read_text() == "corrected by hand"


def test_the_speaker_is_kept_after_each_audio(pipe, recordings, capsys):
    speaker = ["--no-vad", "--speaker", "anna.safetensors", "--format", "jsonl"]
    assert main(["in", *speaker]) == 1
    together = capsys.readouterr().out
    assert pipe.new_speaker("anna.safetensors").num_utterances == 3
    Path("anna.safetensors").unlink()
    apart = ""
    for number, file in enumerate(find_audio(["in"])[0]):
        main([file, *speaker])
        apart += capsys.readouterr().out
        assert pipe.new_speaker("anna.safetensors").num_utterances == number  # the first file is broken
    assert apart == together
    main(["in", "--no-vad", "--format", "jsonl"])
    assert capsys.readouterr().out != together
    assert not list(Path().glob("*.partial"))


def test_each_file_may_be_its_own_speaker(pipe, recordings, monkeypatch, capsys):
    given = []
    monkeypatch.setattr(type(pipe), "_normalise", lambda pipe, audio: given.append(audio.statistics is not None))
    main(["in", "--no-vad", "--speaker", "auto"])
    main(["in", "--no-vad", "--speaker", "auto", "--channels", "each"])
    main(["in", "--no-vad"])
    assert given and True in given and False in given
    assert not Path("auto").exists() and "error" not in capsys.readouterr().err


def test_a_model_that_cannot_score_statistics_does_not_learn_the_speaker(pipe, recordings, capsys, monkeypatch):
    monkeypatch.delattr(type(pipe.model), "score_statistics")
    assert main(["in", "--speaker", "auto"]) == 2
    assert "speecheq: --speaker must not be auto with an ONNX model (--int8)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["*.ogg"], r"AUDIO must be a folder or a pattern with audio \(.*\); got none in '\*\.ogg'\."),
        (["in", "--labels", "angry,hungry"], "--labels must be among .*angry, .*; got 'hungry'"),
        (["in", "--out", "x.txt"], "--out must come with --format jsonl, csv or textgrid; got table."),
        (["in", "--format", "textgrid"], "--format textgrid must come with --out; got none. Pass a folder"),
        (["in", "--format", "csv", "--out", "in/a/notes.txt"], "--out must be a new file, or have rows .* got b'no audio'"),
        (["in", "--format", "csv", "--out", "in"], "Is a directory: 'in'"),
        (["in", "--format", "csv", "--out", "gone/x.csv"], "No such file or directory: 'gone/x.csv'"),
        (["in", "--format", "csv", "--out", "/dev/full"], "No space left on device"),  # an endless device
        (
            ["in", "--speaker", "in/a/notes.txt"],
            "--speaker must be a file that speecheq --speaker wrote .*; got 'in/a/notes.txt'",
        ),
        (["--live", "-", "--speaker", "auto"], "--live must come with a file as --speaker; got auto"),
        (["in", "--speaker", "gone/anna"], "--speaker must be a file that speecheq --speaker wrote .*; got 'gone/anna'"),
    ],
)  # fmt: skip
def test_wrong_arguments_end_with_status_2_and_a_reason(arguments, message, pipe, recordings, capsys):
    assert main(arguments) == 2
    output, errors = capsys.readouterr()
    assert output == "" and errors.startswith("speecheq: ") and re.search(message, errors)
    assert (recordings / "a/notes.txt").read_text() == "no audio"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: AUDIO"),
        (["in", "--top-k", "0"], "argument --top-k: must be a whole number of at least 1; got '0'."),
        (["in", "--abstain-below", "1.5"], "argument --abstain-below: must lie in [0, 1]; got '1.5'."),
        (["in", "--abstain-below", "high"], "argument --abstain-below: invalid"),
        (["in", "--scale", "coarse"], "argument --scale: invalid choice: 'coarse'"),
    ],
)
def test_wrong_values_are_named_by_the_parser(arguments, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert message in capsys.readouterr().err


def test_a_model_that_is_none_is_named(recordings, monkeypatch, capsys):
    monkeypatch.setattr(command, "ROOT", recordings)
    assert main(["in"]) == 2
    assert "--model must be given: this installation contains no weights." in capsys.readouterr().err
    wrong = "--model must be a folder or a Hub repository of a SpeechEQ model; got"
    assert main(["in", "--model", "nowhere/"]) == 2
    assert f"{wrong} 'nowhere/'. " in capsys.readouterr().err
    whisper = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(model_type="whisper")))
    monkeypatch.setattr(transformers.pipelines, "pipeline", lambda **asked: whisper)
    assert main(["in", "--model", "openai/whisper-tiny"]) == 2
    assert f"{wrong} 'openai/whisper-tiny'. It is a whisper model." in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [RuntimeError("no such device"), AssertionError("Torch not compiled with CUDA enabled")]
)
def test_a_device_that_is_not_there_is_named(error, recordings, monkeypatch, capsys):
    def pipeline(**asked):
        assert asked == {"model": "tiny", "trust_remote_code": True, "device": "cuda:7"}
        raise error

    monkeypatch.setattr(transformers.pipelines, "pipeline", pipeline)
    assert main(["in", "--model", "tiny", "--device", "cuda:7"]) == 2
    assert f"--device must be available in torch; got 'cuda:7'. {error}\n" in capsys.readouterr().err


def test_the_weights_that_lie_beside_the_code_are_the_default(tiny, recordings, monkeypatch, capsys):
    asked = {}
    monkeypatch.setattr(command, "ROOT", recordings)
    monkeypatch.setattr(transformers.pipelines, "pipeline", lambda **given: asked.update(given) or tiny)
    (recordings / "model.safetensors").touch()
    assert main(["in/a/x.wav", "--no-vad"]) == 0
    assert asked == {"model": str(recordings), "trust_remote_code": True, "device": None}
    assert "in/a/x.wav" in capsys.readouterr().out


def fresh(*arguments: str, folder: Path) -> dict:
    """Start a process without `speecheq` command, without terminal and with empty caches."""
    environment = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "PATH": "", "OMP_NUM_THREADS": "2"}
    started = [sys.executable, "-m", "speecheq.scoring.command", *arguments, "--model", str(folder / "model")]
    return {"args": started, "env": environment, "text": True}


def test_the_command_works_in_a_process_of_its_own(tiny, recordings, tmp_path):
    save_for_hub(tiny.model, tiny.processor, tmp_path / "model")
    arguments = [SPEECH, "gone.wav", "--no-vad", "--format", "jsonl"]
    found = subprocess.run(
        **fresh(*arguments, folder=tmp_path), stdin=subprocess.DEVNULL, capture_output=True, timeout=300
    )
    assert found.returncode == 1, found.stderr[-2000:]
    answer, gone = map(json.loads, found.stdout.splitlines())
    assert answer["label"] == tiny(SPEECH, vad=False)["label"] and answer["file"] == SPEECH
    assert gone == {"file": "gone.wav", "error": "unreadable: there is no file 'gone.wav'"}
    assert found.stderr.splitlines()[-1] == "speecheq: 1 of 2 files failed." and "file/s" not in found.stderr


def test_a_full_disk_is_named_and_the_rows_before_it_are_kept(pipe, recordings, tmp_path, capsys):
    out, whole = tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    options = ["--no-vad", "--format", "jsonl", "--out"]
    main(["in", *options, str(whole)])
    first = len(whole.read_text().splitlines(keepends=True)[0].encode())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (first + 50, hard))  # limits files to the middle of the second row
    try:
        assert main(["in", *options, str(out)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "speecheq: [Errno 27] File too large" in capsys.readouterr().err
    assert out.stat().st_size <= first + 50

    main(["in", *options, str(out)])
    assert out.read_text() == whole.read_text()


def test_a_reader_that_has_enough_gets_no_traceback(pipe, recordings, monkeypatch, capsys):
    read, write = os.pipe()
    os.close(read)
    with monkeypatch.context() as patch, open(write, "w") as stdout:
        patch.setattr(sys, "stdout", stdout)
        assert main(["in", "--no-vad", "--format", "jsonl"]) == 1
        stdout.flush()  # Python does this when it ends. An error here would be a traceback.
    assert "Traceback" not in capsys.readouterr().err
