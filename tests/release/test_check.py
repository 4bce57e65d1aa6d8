"""Claims about the checks: each fault has a message with the file name, and a valid repository passes."""

import os
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from samples import MINI_SEQD, ROOT

from speecheq.release import check as checks
from speecheq.release.assemble import assemble_dataset, assemble_model, assemble_space
from speecheq.release.check import check


@pytest.fixture
def unloaded(monkeypatch):
    """Run all checks except loading in a fresh process."""
    monkeypatch.setattr(checks, "_loads", lambda repository, model: [])


def edit(path: Path, old: str, new: str):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def faults_of(root: Path, out: Path, kind: str = "model") -> list[str]:
    model = assemble_model(root, "me/speecheq", out / "model")
    if kind == "model":
        return check(model)
    return check(assemble_space(root, "me/space", "me/speecheq", out / "space"), model)


@pytest.mark.parametrize("kind", ["model", "space"])
def test_a_sound_repository_has_no_fault(root, tmp_path, unloaded, kind):
    assert faults_of(root, tmp_path / "out", kind) == []


def test_a_pickle_is_refused_whatever_its_name(root, tmp_path, unloaded):
    with zipfile.ZipFile(root / "results/weights.bin", "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps([1]))
    shutil.copyfile(root / "results/weights.bin", root / "results/weights.json")
    shutil.copyfile(root / "results/weights.bin", root / "results/weights.safetensors")
    shutil.copyfile(root / "results/weights.bin", root / "results/weights.png")

    faults = faults_of(root, tmp_path / "out")

    assert faults[0].startswith(
        "release: file must be one of .csv, .css, .ipynb, .json, .md, .py, .svg, .txt, .yaml, LICENSE, "
    )
    assert (
        "got 'results/weights.bin' in model me/speecheq. Remove the file. Save weights as safetensors, " in faults[0]
    )
    assert "file must be UTF-8 text; got " in faults[1] and "in results/weights.json of model me/sp" in faults[1]
    assert "file must be in png format; got another format in results/weights.png of" in faults[2]
    assert (
        "weights must be a safetensors file; got " in faults[3] and " in results/weights.safetensors of" in faults[3]
    )
    assert len(faults) == 4


@pytest.mark.parametrize("name", ["a.pt", "a.pkl", "a.ckpt", "a.npy", "a.wav", "a.flac", "a.parquet", "Makefile"])
def test_a_model_repository_holds_no_such_file(root, tmp_path, unloaded, name):
    (root / "results" / name).write_text("RIFF")

    (fault,) = faults_of(root, tmp_path / "out")
    assert f"got 'results/{name}' in model me/speecheq" in fault


def test_audio_lies_in_the_examples_of_a_space_alone(root, tmp_path, unloaded):
    shutil.copyfile(root / "space/examples/one.wav", root / "space/one.wav")
    (root / "space/examples/two.wav").write_bytes(b"fLaC")
    (root / "space/examples/three.wav").write_bytes(b"RIFF" + bytes(2**20))
    edit(root / "space/examples/ATTRIBUTION.md", "one.wav", "one.wav` `two.wav` `three.wav")

    faults = faults_of(root, tmp_path / "out", "space")

    assert faults == [
        "release: size must be at most 1,048,576 bytes; got 1,048,580 bytes in examples/three.wav of space me/space. "
        "Make it smaller.",
        "release: file must be in wav format; got another format in examples/two.wav of space me/space. Remove it.",
        "release: audio must be in examples/; got audio in one.wav of space me/space. Remove it.",
    ]


def test_an_example_without_its_source_is_refused(root, tmp_path, unloaded):
    shutil.copyfile(root / "space/examples/one.wav", root / "space/examples/two.wav")

    assert faults_of(root, tmp_path / "out", "space") == [
        "release: audio must be named in examples/ATTRIBUTION.md; got no row in examples/two.wav of space me/space. "
        "Add its source and licence."
    ]


def test_a_text_larger_than_the_hub_shows_is_refused(root, tmp_path, unloaded):
    os.truncate(root / "results/results.json", 10 * 2**20 + 1)

    assert faults_of(root, tmp_path / "out") == [
        "release: size must be at most 10,485,760 bytes; got 10,485,761 bytes in results/results.json of model "
        "me/speecheq. Make it smaller."
    ]


@pytest.mark.parametrize("name", ["LICENSE", "README.md", "model.safetensors", "processor_config.json"])
def test_a_missing_file_is_named(root, tmp_path, unloaded, name):
    (root / name).unlink()

    assert f"release: {name} must exist; got no file in model me/speecheq. Add it." in faults_of(
        root, tmp_path / "out"
    )


def test_code_that_is_no_python_is_refused(root, tmp_path, unloaded):
    (root / "space/helper.py").write_text("NAME =\n")

    (fault,) = faults_of(root, tmp_path / "out", "space")
    assert fault.startswith(
        "release: file must be Python; got invalid syntax (helper.py, line 1) in helper.py of space"
    )


@pytest.mark.parametrize(
    "link", ["[x](docs/none.md)", "![x](none.svg)", "[x](../secret.md)", "<img src='/etc/hosts'>"]
)
def test_a_broken_link_is_refused(root, tmp_path, unloaded, link):
    (root / "README.md").write_text((root / "README.md").read_text() + link)

    (fault,) = faults_of(root, tmp_path / "out")
    assert fault.startswith("release: link must be to a file of the repository; got '")
    assert fault.endswith(" in README.md of model me/speecheq. Change the link.")


def test_a_broken_link_of_a_linked_page_is_refused(root, tmp_path, unloaded):
    (root / "docs/page.md").write_text("[x](none.md)")

    (fault,) = faults_of(root, tmp_path / "out")
    assert "got 'none.md' in docs/page.md of model me/speecheq" in fault


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("license: cc-by-nc-sa-4.0\n", "", "license must be the SPDX name in lower case, or other; got none"),
        ("license: cc-by-nc-sa-4.0", "license: CC BY-NC", "license must be .*; got 'CC BY-NC'"),
        ("license: cc-by-nc-sa-4.0", "license: other", "license_name must be given if license is other; got none"),
        ("library_name: transformers\n", "", "library_name must be transformers; got none"),
        ("pipeline_tag: audio-c", "pipeline_tag: image-c", "pipeline_tag must be audio-classification; got 'image-c"),
        ("- pl\n- en", "- pl\n- english", r"language must be a list of ISO 639 codes; got \['pl', 'english'\]"),
        ("- pl\n- en", "- no", r"language must be .*; got \[False\]"),
        ("tags:\n- speech-emotion-recognition\n", "tags: []\n", r"tags must be a list of names; got \[\]"),
        ("    dataset: {type: seqd, name: SEQD}\n", "", "model-index must be a list of .* with finite scores; got "),
        ("value: 0.5", "value: .nan", "model-index must be .*; got "),
        ("value: 0.5", "value: good", "model-index must be .*; got "),
        ("tags:\n", "tags: [\n", "metadata must be YAML between two lines of ---; got while parsing"),
    ],
)  # fmt: skip
def test_wrong_metadata_of_a_model_are_refused(root, tmp_path, unloaded, old, new, message):
    edit(root / "README.md", old, new)

    (fault,) = faults_of(root, tmp_path / "out")
    assert re.match(rf"release: {message}.* in README\.md of model me/speecheq\. ", fault)


def test_a_model_card_needs_no_scores(root, tmp_path, unloaded):
    text = (root / "README.md").read_text()
    start, end = text.index("model-index:"), text.index("---\n\n# SpeechEQ")
    (root / "README.md").write_text(text[:start] + text[end:])

    assert faults_of(root, tmp_path / "out") == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sdk: gradio\n", "", "sdk must be gradio; got none in README.md of space me/space."),
        ("sdk_version: 6.0.0", "sdk_version: 6.0", "sdk_version must be a string of three numbers, for example 6.0.0; got 6."),
        ("app_file: app.py", "app_file: main.py", "app_file must be an existing file; got 'main.py' in README.md of space"),
        ("app_file: app.py\n", "", "app_file must be a Python file; got none in README.md"),
        ("colorTo: gray", "colorTo: black", "colorTo must be one of red, yellow,"),
        ("models:\n- someone/model\n", "", "models must be a list of user/name; got none in README.md"),
        ("license: apache-2.0", "license: Apache", "license must be the SPDX name"),
        ("emoji: 🎙️\n", f"short_description: {'x' * 61}\n", "short_description must be at most 60 characters; got '"),
    ],
)  # fmt: skip
def test_wrong_metadata_of_a_space_are_refused(root, tmp_path, unloaded, old, new, message):
    edit(root / "space/README.md", old, new)

    (fault,) = faults_of(root, tmp_path / "out", "space")
    assert fault.startswith("release: " + message)


def test_a_space_that_shows_another_model_is_refused(root, tmp_path, unloaded):
    edit(root / "space/app.py", "someone/model", "someone/else")

    (fault,) = faults_of(root, tmp_path / "out", "space")
    assert "model must be 'me/speecheq'; got another model or none in the Python files of space me/space" in fault


@pytest.mark.parametrize("line", ["speecheq", "SpeechEQ[audio]>=0.1", "-e ..", "./speecheq"])
def test_a_space_needs_nothing_of_this_package(root, tmp_path, unloaded, line):
    (root / "space/requirements.txt").write_text(f"torch\n{line}\n")

    (fault,) = faults_of(root, tmp_path / "out", "space")
    assert f"requirement must be another package from the package index; got {line!r} in requirements.txt" in fault


def test_a_space_that_does_not_start_without_speecheq_is_refused(root, tmp_path):
    (root / "space/helper.py").write_text("from speecheq import SpeechEQModel as NAME\n")
    (fault,) = faults_of(root, tmp_path / "again", "space")
    assert (
        "space me/space must load in a fresh process without speecheq; got ModuleNotFoundError: import of spe" in fault
    )


def test_a_model_that_does_not_load_is_refused(root, tmp_path):
    (root / "labels_speecheq.py").unlink()

    (fault,) = faults_of(root, tmp_path / "out")
    assert fault.startswith("release: model me/speecheq must load in a fresh process without speecheq; got ")
    assert "labels_speecheq.py" in fault


def test_a_dataset_that_does_not_load_is_refused(tmp_path):
    dataset = assemble_dataset(Path(MINI_SEQD), "me/seqd", tmp_path / "dataset")
    (tmp_path / "dataset/synthetic/train-00000-of-00001.parquet").write_bytes(b"PAR1")

    (fault,) = check(dataset)
    assert "dataset me/seqd must load in a fresh process without speecheq; got " in fault


@pytest.mark.slow
def test_the_repository_root_is_fit_to_be_released(tmp_path):
    for name in ("model.safetensors", "space/app.py", "results"):
        if not (ROOT / name).exists():
            pytest.skip(f"no {name}")
    pytest.importorskip("gradio")

    assert faults_of(ROOT, tmp_path / "model") == []
    assert faults_of(ROOT, tmp_path / "space", "space") == []
