"""Claim about a release: the Space starts as on the Hub, from its repository, and loads the model by name."""

# ruff: noqa: F811
import subprocess
import sys

import pytest
from hub_repositories import File, Repository
from samples import ROOT

pytest.importorskip("gradio")
pytest.importorskip("markdown_it")
import gradio_client
from space.test_app import SPEECH, folder, pipe  # noqa: F401, fixtures
from space.test_server import Served

from speecheq.release.assemble import assemble_space

SNAPSHOT = """
import sys
from huggingface_hub import snapshot_download
snapshot_download("me/space", repo_type="space", local_dir=sys.argv[1])
"""


@pytest.mark.slow
def test_a_space_from_its_own_repository_answers_with_the_model_of_another(hub_endpoint, folder, pipe, tmp_path):
    space = assemble_space(ROOT, "me/space", "me/heard", tmp_path / "assembled").folder
    for kind, name, content in (("model", "me/heard", folder), ("space", "me/space", space)):
        files = {path.relative_to(content).as_posix(): path for path in content.rglob("*") if path.is_file()}
        repository = hub_endpoint.repositories[kind, name] = Repository(kind, name, private=True)
        repository.add_commit("add", {path: File(file.read_bytes()) for path, file in files.items()})
    environment = hub_endpoint.environment(tmp_path / "home")
    subprocess.run([sys.executable, "-c", SNAPSHOT, str(tmp_path / "root")], env=environment, check=True)
    environment = {name: value for name, value in environment.items() if name != "PYTHONPATH"}

    with Served(tmp_path / "root", tmp_path, environment) as address:
        client = gradio_client.Client(address, verbose=False)
        found = client.predict(gradio_client.handle_file(SPEECH), "basic", api_name="/recognise")

    expected = pipe(SPEECH, scale="basic")
    assert found["label"] == expected["label"] and found["score"] == pytest.approx(expected["score"], abs=1e-4)
    asked = [request.path for request in hub_endpoint.seen if request.path.startswith("/me/heard/resolve/")]
    assert any(path.endswith("/model.safetensors") for path in asked)
