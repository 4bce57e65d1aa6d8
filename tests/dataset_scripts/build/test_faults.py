"""Claims about faults while a SEQD is built and read: messages, and finished work that is kept."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hub_endpoint import Answer
from samples import MINI_SEQD

from speecheq.dataset_scripts.build import audio, shards
from speecheq.dataset_scripts.build.builder import BuildOptions, build, main
from speecheq.dataset_scripts.build.spool import Spool
from speecheq.dataset_scripts.corpora.records import CorpusError, find_audio
from speecheq.training.seqd import load_seqd

CONVERT = audio.convert


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def whole(tmp_path, urdu, nemo) -> dict[str, str]:
    """The files of a build of both corpora without faults."""
    build({"urdu": urdu, "nemo": nemo}, tmp_path / "whole")
    return tree(tmp_path / "whole")


def full(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("place", ["audio", "Parquet"])
def test_a_full_disk_is_named_and_the_finished_corpus_and_the_converted_audio_are_kept(
    place, tmp_path, urdu, nemo, whole, monkeypatch, capsys
):
    command = [
        "--out",
        str(tmp_path / "seqd"),
        "--num-proc",
        "1",
        "--corpus",
        f"nemo={nemo}",
        "--corpus",
        f"urdu={urdu}",
    ]
    main(command[:6])  # nemo is finished
    nemo_before = tree(tmp_path / "seqd/nemo")
    monkeypatch.setattr("speecheq.dataset_scripts.build.spool.BATCH", 3)
    keep, kept, converted = Spool.keep, [], []

    def keep_one_batch(spool, clips):
        if kept and place == "audio":
            full()
        kept.append(keep(spool, clips))

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "keep", keep_one_batch)
        if place == "Parquet":
            patch.setattr(shards, "open_writer", full)
        with pytest.raises(SystemExit, match="2"):
            main(command)
    said = capsys.readouterr().err
    assert "build: [Errno 28] No space left on device. Finished work is kept: run the same command again" in said
    assert tree(tmp_path / "seqd/nemo") == nemo_before and not (tmp_path / "seqd/urdu").exists()

    monkeypatch.setattr(audio, "convert", lambda task: converted.append(task) or CONVERT(task))
    main(command)
    assert len(converted) == {"audio": 5, "Parquet": 0}[place]  # of 8
    assert tree(tmp_path / "seqd") == whole


def die_once(task):
    """Kill the worker at the file of one speaker, the first time."""
    mark = Path(task[0].path).parents[1] / "killed"
    if "SF1" in task[0].path and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return CONVERT(task)


def test_a_worker_that_dies_ends_the_build_and_what_was_converted_is_kept(tmp_path, urdu, nemo, whole, monkeypatch):
    monkeypatch.setattr("speecheq.dataset_scripts.build.builder.CHUNK", 1)
    monkeypatch.setattr("speecheq.dataset_scripts.build.spool.BATCH", 2)
    corpora, out = {"urdu": urdu, "nemo": nemo}, tmp_path / "seqd"
    with monkeypatch.context() as patch:
        patch.setattr(audio, "convert", die_once)
        with pytest.raises(CorpusError, match=r"got one that did in 'urdu', .*Converted audio is kept: run the same"):
            build(corpora, out, BuildOptions(num_proc=2))
    (urdu / "killed").unlink()
    assert (out / "nemo").is_dir() and (out / ".urdu.partial/spool.sqlite").is_file()

    build(corpora, out, BuildOptions(num_proc=2))
    assert tree(out) == whole


def test_a_folder_that_may_not_be_read_is_named_and_not_passed_over(urdu, monkeypatch):
    scandir = os.scandir

    def refuse(path="."):
        if str(path).endswith("Sad"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CorpusError, match=r"folder must be readable; got 'Permission denied' in '.*Sad'. Allow it"):
        find_audio(urdu)


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_shard_is_named_when_it_is_read(tmp_path, monkeypatch, damage):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "seqd"
    shutil.copytree(MINI_SEQD, folder)
    shard = folder / "synthetic/train-00000-of-00001.parquet"
    content = bytearray(shard.read_bytes())
    if damage == "cut":
        content = content[: len(content) // 2]
    else:
        content[1_000:200_000] = bytes(199_000)
    shard.write_bytes(content)
    said = r"load_seqd: Parquet files must be complete; got synthetic/train-00000-of-00001\.parquet in .*Run the build again"
    with pytest.raises(ValueError, match=said):
        load_seqd(str(folder))


@pytest.fixture
def failing_hub(hub_endpoint, monkeypatch):
    """A Hub that answers every request with 500."""
    monkeypatch.setattr(hub_endpoint, "answer", lambda *request: Answer(500, b"", {}))
    return hub_endpoint


CLIENT = """
import json, sys
from speecheq.dataset_scripts.build import hub
hub.PATIENCE = float(sys.argv[1])
for arguments in json.loads(sys.argv[2]):
    try:
        hub.main(arguments)
    except SystemExit as end:
        print("exit", end.code)
    print("-----", file=sys.stderr)
"""


def join_and_push(hub, tmp_path: Path, patience: float) -> list[str]:
    """What one process writes to standard error when it joins and when it pushes. Both must end with status 2."""
    commands = [["join", "me/seqd", "--out", str(tmp_path / "out")], ["push", MINI_SEQD, "me/seqd"]]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(patience), json.dumps(commands)],
        env=hub.environment(tmp_path / "hf"), capture_output=True, text=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout == "exit 2\nexit 2\n", done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.split("-----\n")[:2]


def test_a_hub_that_fails_is_named_in_a_few_lines_and_nothing_is_begun(failing_hub, tmp_path):
    for errors in join_and_push(failing_hub, tmp_path, 60):
        assert "500" in errors and failing_hub.url in errors
    assert not (tmp_path / "out").exists()


def test_a_hub_that_hangs_is_not_waited_for(hub_endpoint, monkeypatch, tmp_path):
    over = threading.Event()
    monkeypatch.setattr(hub_endpoint, "answer", lambda *request: over.wait(100) and Answer(500, b"", {}))
    assert all(errors.strip() for errors in join_and_push(hub_endpoint, tmp_path, 0.5))
    over.set()
    assert not (tmp_path / "out").exists()
