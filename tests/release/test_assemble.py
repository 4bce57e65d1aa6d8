"""Claims about the assembled folders: only the files of a repository, with its Hub names."""

import json
import shutil
from pathlib import Path

import pytest
from samples import MINI_SEQD

from speecheq.dataset_scripts.corpora.records import CorpusError
from speecheq.release.assemble import ReleaseError, assemble_dataset, assemble_model, assemble_space, links, resolve

SEQD_FILES = [
    "README.md",
    "manifest.json",
    "report.csv",
    "synthetic/test-00000-of-00001.parquet",
    "synthetic/train-00000-of-00001.parquet",
    "synthetic/validation-00000-of-00001.parquet",
]


@pytest.fixture
def seqd(tmp_path) -> Path:
    """A SEQD whose corpus does not allow redistribution."""
    folder = Path(shutil.copytree(MINI_SEQD, tmp_path / "seqd"))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["corpora"]["synthetic"] |= {"redistributable": False, "license": "research use only"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_model_repository_is_checkpoint_code_results_and_what_its_card_links_to(root, tmp_path):
    (root / "training_data.json").write_text("{}")

    model = assemble_model(root, "me/speecheq", tmp_path / "model")

    assert str(model) == "model me/speecheq"
    assert [name for name in model.files if not name.endswith("_speecheq.py")] == [
        "LICENSE",
        "README.md",
        "config.json",
        "docs/a picture.svg",
        "docs/page.md",
        "docs/protocols.md",
        "model.safetensors",
        "processor_config.json",
        "results/README.md",
        "results/confusion.svg",
        "results/results.json",
        "training_data.json",
    ]
    code = {path.name for path in root.glob("*_speecheq.py")}
    assert code == {name for name in model.files if name.endswith(".py")} and "pipeline_speecheq.py" in code
    for name in set(model.files) - {"README.md"}:
        assert (model.folder / name).read_bytes() == (root / name).read_bytes()


def test_the_snippets_of_the_card_name_the_repository_in_the_copy_alone(root, tmp_path):
    before = (root / "README.md").read_text()
    (root / "README.md").write_text(before + "`pipeline(model='.')` `from_pretrained('./x')` `model=\".\"`")

    model = assemble_model(root, "me/speecheq", tmp_path / "model")

    text = (model.folder / "README.md").read_text()
    assert 'pipeline(model="me/speecheq", trust_remote_code=True)' in text
    assert 'AutoModel.from_pretrained("me/speecheq", trust_remote_code=True)' in text
    assert text.endswith("`pipeline(model='me/speecheq')` `from_pretrained('./x')` `model=\"me/speecheq\"`")
    assert (root / "README.md").read_text().startswith(before)


def test_a_space_lies_at_its_root_and_names_the_model(root, tmp_path):
    text = (root / "space/README.md").read_text()
    (root / "space/README.md").write_text(text + "https://hf.co/spaces/someone/model someone/model-2\n")

    space = assemble_space(root, "me/space", "me/speecheq", tmp_path / "space")

    assert space.files == [
        "README.md", "app.py", "examples/ATTRIBUTION.md", "examples/one.wav", "helper.py", "requirements.txt",
    ]  # fmt: skip
    card = (space.folder / "README.md").read_text()
    assert "models:\n- me/speecheq\n" in card
    assert "[me/speecheq](https://huggingface.co/me/speecheq)" in card
    assert card.endswith("https://hf.co/spaces/someone/model someone/model-2\n")
    assert 'os.environ.get("SPEECHEQ_MODEL", "me/speecheq")' in (space.folder / "app.py").read_text()
    assert '"someone/model"' in (root / "space/app.py").read_text()


@pytest.mark.parametrize("header", ["", "---\ntitle: x\n---\n", "---\nmodels: [\n---\n", "---\nmodels: [1]\n---\n"])
def test_a_space_without_a_model_is_copied_as_it_is(root, tmp_path, header):
    (root / "space/README.md").write_text(header + "# someone/model\n")

    space = assemble_space(root, "me/space", "me/speecheq", tmp_path / "space")

    assert (space.folder / "README.md").read_text() == header + "# someone/model\n"


def test_a_dataset_repository_is_what_the_manifest_names(tmp_path):
    folder = Path(shutil.copytree(MINI_SEQD, tmp_path / "seqd"))
    (folder / "notes.txt").write_text("mine")

    dataset = assemble_dataset(folder, "me/seqd", tmp_path / "dataset", metadata_only=True)

    assert dataset.kind == "dataset" and dataset.files == SEQD_FILES
    for name in SEQD_FILES:
        assert (dataset.folder / name).read_bytes() == (folder / name).read_bytes()


def test_corpora_that_may_not_be_passed_on_are_refused_or_withheld(seqd, tmp_path):
    with pytest.raises(
        ReleaseError, match=r"must allow redistribution; got synthetic \(research use only\) in .*--metadata-only"
    ):
        assemble_dataset(seqd, "me/seqd", tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()

    dataset = assemble_dataset(seqd, "me/seqd", tmp_path / "dataset", metadata_only=True)

    assert dataset.files == SEQD_FILES
    assert not any(b"fLaC" in (dataset.folder / name).read_bytes() for name in SEQD_FILES)
    assert "hub join me/seqd --out seqd" in (dataset.folder / "README.md").read_text()


def test_a_folder_that_is_no_seqd_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"folder must be a built SEQD; got no manifest.json"):
        assemble_dataset(tmp_path, "me/seqd", tmp_path / "dataset")


def test_links_are_those_that_lead_to_files():
    page = (
        "[a](a.md#part) ![b](img/b%20c.svg 'title') <a href='c.csv'>c</a> [d](https://hf.co) [e](#e) <mailto:x@y.z>\n\n"
        "| t |\n|---|\n| [f](f.md) |\n\n[![g](g.png)][g]\n\n[g]: ../g.md\n\n<img src='h.svg'>\n\n"
        "```\n[code](no.md)\n```\n\n`[code](no.md)`\n"
    )
    assert sorted(links(page)) == ["../g.md", "a.md", "c.csv", "f.md", "g.png", "h.svg", "img/b c.svg"]


def test_a_link_resolves_from_its_page():
    assert resolve("docs/page.md", "../README.md") == "README.md"
    assert resolve("docs/page.md", "./a.svg") == "docs/a.svg"
    assert resolve("README.md", "results/") == "results"
    assert [resolve("README.md", link) for link in ("../a", "..", "/etc/passwd", "x/../../a")] == [None] * 4
