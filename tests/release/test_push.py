"""Claims about the command: a dry run is offline, a push updates the Hub, and the downloads work."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hub_endpoint import HubEndpoint
from hub_repositories import Repository
from samples import MINI_SEQD

from speecheq.release import push
from speecheq.release.push import main

NAMES = ["--model-repo", "me/speecheq", "--space-repo", "me/space"]
# Commands in sequence, with changes in the root between them; the checks ran before.
CLIENT = """
import json, sys
from pathlib import Path
from speecheq.release import push
push.check = lambda repository, model: []
for name, text, arguments in json.loads(sys.argv[1]):
    if name and text is None:
        Path(name).unlink()
    elif name:
        Path(name).write_text(text)
    try:
        push.main(arguments)
    except SystemExit as end:
        print("status", end.code)
    print("-----")
"""
LOADER = """
import sys
sys.modules["speecheq"] = None
import numpy as np
from transformers import AutoModel, AutoProcessor, pipeline
model = AutoModel.from_pretrained("me/speecheq", trust_remote_code=True)
processor = AutoProcessor.from_pretrained("me/speecheq", trust_remote_code=True)
audio = {"array": np.sin(np.arange(16000, dtype=np.float32)) / 3, "sampling_rate": 16000}
logits = model(**processor(audio["array"], sampling_rate=16000)).esc_logits
answer = pipeline(model="me/speecheq", trust_remote_code=True)(audio, vad=False)
from datasets import Audio, load_dataset
for streaming in (False, True):
    rows = load_dataset("me/seqd", "synthetic", split="test", streaming=streaming).cast_column("audio", Audio(decode=False))
    print([(row["id"], row["audio"]["bytes"][:4]) for row in rows][::53])
print(tuple(logits.shape), len(answer["emotion"]), type(model).__module__.split(".")[0])
"""


def python(code: list[str], environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess:
    environment = {**environment, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *code], env=environment, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[HubEndpoint]:
    """A separate Hub that counts requests and has one public model."""
    with HubEndpoint() as endpoint:
        endpoint.repositories["model", "me/public"] = Repository("model", "me/public", private=False)
        yield endpoint


@pytest.fixture(scope="module")
def done(endpoint, released_root, tmp_path_factory) -> SimpleNamespace:
    """Run a dry run and some pushes, then load the result in a process with an empty cache."""
    folder = tmp_path_factory.mktemp("release")
    root = folder / "root"
    subprocess.run(["cp", "-r", released_root, root], check=True)
    base = [*NAMES, "--root", str(root), "--dataset", MINI_SEQD, "--dataset-repo", "me/seqd"]
    environment = endpoint.environment(folder / "home")
    dry = python(["-m", "speecheq.release.push", *base, "--out", str(folder / "out")], environment, folder)
    asked = len(endpoint.seen)
    card = (root / "README.md").read_text()
    commands = [
        (None, None, [*base, "--diff"]),
        (None, None, [*base, "--push", "--message", "first"]),
        (None, None, [*base, "--push"]),
        (None, None, [*base, "--diff"]),
        (str(root / "results/results.json"), None, [*base, "--diff"]),
        (str(root / "README.md"), card + "One more line.\n", [*base, "--push", "--message", "less"]),
        (None, None, ["--model-repo", "me/public", "--root", str(root), "--push"]),
        (None, None, ["--model-repo", "me/public", "--root", str(root), "--push", "--public"]),
    ]
    client = python(["-c", CLIENT, json.dumps(commands)], environment, folder)
    assert client.returncode == 0, client.stderr
    return SimpleNamespace(
        dry=dry,
        asked=asked,
        out=folder / "out",
        printed=client.stdout.split("-----\n"),
        errors=client.stderr,
        on_hub=endpoint.repositories,
    )


@pytest.fixture(scope="module")
def loader(done, endpoint, tmp_path_factory) -> subprocess.CompletedProcess:
    """What a process with an empty cache loads after the pushes."""
    folder = tmp_path_factory.mktemp("loader")
    return python(["-c", LOADER], endpoint.environment(folder / "empty"), folder)


def test_a_dry_run_checks_everything_and_asks_nobody(done):
    assert done.dry.returncode == 0, done.dry.stderr + done.dry.stdout
    assert done.asked == 0
    lines = done.dry.stdout.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == ["model me/speecheq", "dataset me/seqd", "space me/space"]
    assert all(line.endswith(" bytes, checked") for line in lines[:3])
    assert lines[3] == "Dry run without access to the Hub. --diff shows the differences, --push uploads them."
    assert sorted(path.name for path in done.out.iterdir()) == ["dataset", "model", "space"]
    assert not (done.out / "space/written.txt").exists()  # the check starts a copy of the Space


def test_a_diff_before_the_first_push_adds_every_file_and_makes_no_repository(done):
    assert "model me/speecheq (not on the Hub, or not visible without a token): " in done.printed[0]
    assert "  added    LICENSE  14 bytes\n" in done.printed[0]
    assert "status 0" in done.printed[0]


def test_a_push_makes_private_repositories_of_the_folders_in_one_commit_each(done):
    for kind, name, folder in (
        ("model", "speecheq", "model"),
        ("dataset", "seqd", "dataset"),
        ("space", "space", "space"),
    ):
        repository = done.on_hub[kind, f"me/{name}"]
        assert repository.private
        assert [commit.title for commit in repository.commits][:2] == ["initial commit", "first"]
        files = {path: file.content for path, file in repository.commits[1].files.items() if path != ".gitattributes"}
        written = [path for path in (done.out / folder).rglob("*") if path.is_file()]
        assert files == {path.relative_to(done.out / folder).as_posix(): path.read_bytes() for path in written}
        assert f"{kind} me/{name}: http" in done.printed[1]
    assert done.on_hub["model", "me/speecheq"].files["model.safetensors"].lfs


def test_a_second_push_of_the_same_makes_no_commit(done):
    assert done.printed[2].count(": nothing to push\n") == 3
    assert done.printed[2].count(": 0 files to change\n") == 3
    assert done.printed[3].count(": 0 files to change\n") == 3
    assert len(done.on_hub["dataset", "me/seqd"].commits) == 2
    assert len(done.on_hub["space", "me/space"].commits) == 2


def test_what_the_folder_has_no_more_is_removed_there_and_what_changed_is_shown(done):
    assert "model me/speecheq: 1 files to change\n  removed  results/results.json  2 bytes\n" in done.printed[4]
    before, after = (commit.files["README.md"] for commit in done.on_hub["model", "me/speecheq"].commits[1:])
    sizes = f"{len(before.content):,} -> {len(after.content):,} bytes"
    assert f"  changed  README.md  {sizes}\n    --- on the Hub\n    +++ here\n" in done.printed[5]
    assert "    +One more line.\n" in done.printed[5]
    repository = done.on_hub["model", "me/speecheq"]
    assert [commit.title for commit in repository.commits] == ["initial commit", "first", "less"]
    assert set(repository.commits[1].files) - set(repository.files) == {"results/results.json"}
    assert ".gitattributes" in repository.files
    assert repository.files["README.md"].content.endswith(b"One more line.\n")


def test_a_private_push_never_goes_to_a_public_repository(done):
    assert (
        "release: repository must be private; got public model me/public. Make it private in its settings, choose "
        "another name, or pass --public.\n" in done.errors
    )
    assert "status 1" in done.printed[6]
    assert "status 0" in done.printed[7]
    assert len(done.on_hub["model", "me/public"].commits) == 2
    assert not done.on_hub["model", "me/public"].private
    assert not done.on_hub["space", "me/public"].private


@pytest.mark.slow
def test_the_pushed_model_loads_by_its_name_from_an_empty_cache(loader):
    assert loader.returncode == 0, loader.stderr[-2000:]
    assert loader.stdout.splitlines()[-1] == "(1, 12) 12 transformers_modules"


@pytest.mark.slow
def test_the_pushed_dataset_loads_by_its_name_in_memory_and_as_a_stream(loader):
    in_memory, streamed = loader.stdout.splitlines()[-3:-1]
    rows = pq.read_table(next(Path(MINI_SEQD).glob("synthetic/test-*"))).to_pylist()
    assert in_memory == streamed == str([(row["id"], b"fLaC") for row in rows][::53])


@pytest.fixture
def unchecked(monkeypatch):
    monkeypatch.setattr(push, "check", lambda repository, model: [])


def status(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return end.value.code


def test_without_a_network_a_diff_says_so_and_a_push_fails(root, unchecked, capsys):
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert status([*NAMES, "--root", str(root), "--diff"]) == 0
    assert "The Hub is not reachable: " in capsys.readouterr().out
    assert status([*NAMES, "--root", str(root), "--push"]) == 1
    assert "offline" in capsys.readouterr().err


def test_a_fault_ends_the_run_before_the_hub_is_asked(root, monkeypatch, capsys):
    monkeypatch.setattr(push, "_to_hub", None)
    (root / "results/weights.bin").write_bytes(b"x")
    (root / "space/requirements.txt").unlink()

    assert status([*NAMES, "--root", str(root), "--push"]) == 1
    printed = capsys.readouterr().out
    assert "model me/speecheq: " in printed and " bytes, refused\n" in printed
    assert "got 'results/weights.bin' in model me/speecheq" in printed
    assert "requirements.txt must exist; got no file in space me/space" in printed


def test_a_dataset_that_is_no_seqd_ends_the_run(root, tmp_path, unchecked, capsys):
    assert status([*NAMES, "--root", str(root), "--dataset", str(tmp_path)]) == 1
    assert "folder must be a built SEQD; got no manifest.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: --model-repo"),
        (["--model-repo", "speecheq"], "must be user/name; got 'speecheq'"),
        (["--model-repo", "me/speech eq"], "must be user/name; got 'me/speech eq'"),
        ([*NAMES, "--root", "none"], "--root must be a folder; got 'none'"),
        ([*NAMES, "--out", "."], "--out must be a new or an empty folder; got '.'"),
    ],
)
def test_wrong_arguments_end_with_status_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("mine")

    assert status(arguments) == 2
    assert message in capsys.readouterr().err


def test_names_of_the_other_repositories_default_to_that_of_the_model(root, unchecked, capsys):
    assert status(["--model-repo", "me/one", "--root", str(root), "--dataset", MINI_SEQD]) == 0
    printed = capsys.readouterr().out
    assert all(f"{kind} me/one: " in printed for kind in ("model", "dataset", "space"))
