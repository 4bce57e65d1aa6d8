"""Assembly of the repositories of a release: folders with the files of each and its repository names."""

import os
import re
import shutil
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from huggingface_hub import metadata_load
from markdown_it import MarkdownIt

from speecheq.dataset_scripts.build import hub
from speecheq.dataset_scripts.build.manifest import MANIFEST, REPORT
from speecheq.dataset_scripts.build.withheld import closed_terms, withhold
from speecheq.dataset_scripts.corpora.records import options

CARD = "README.md"
MODEL_FILES = (CARD, "LICENSE", "config.json", "model.safetensors", "processor_config.json")
RECORD = "training_data.json"  # of training; a checkpoint of an earlier version has none
HERE = re.compile(r"""((?:\bmodel=|\bfrom_pretrained\()["'])\.(?=["'])""")  # the model in the snippets of the card


class ReleaseError(ValueError):
    """Error for a release that cannot be made."""


@dataclass(frozen=True)
class Repository:
    """Folder with the content of a Hub repository.

    Args:
        kind (`str`): `model`, `dataset` or `space`.
        id (`str`): `"user/name"`.
        folder (`Path`): folder with the files.
    """

    kind: str
    id: str
    folder: Path

    @property
    def files(self) -> list[str]:
        """Paths relative to the folder, sorted."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def assemble_model(root: Path, repo_id: str, out: Path) -> Repository:
    """Copy the card, license, weights, configurations, remote code, `results/`, and the files that the card links to.

    In the copied card, `"."` in `model="."` and `from_pretrained(".")` becomes the name of the repository.

    Args:
        root (`Path`): folder of the package and of its checkpoint.
        repo_id (`str`): name of the repository.
        out (`Path`): output folder.

    Returns:
        [`Repository`]: the model repository.
    """
    names = [*MODEL_FILES, RECORD, *sorted(path.name for path in root.glob("*_speecheq.py"))]
    out.mkdir(parents=True)
    for name in names:
        if (root / name).is_file():
            shutil.copyfile(root / name, out / name)
    _copy_tree(root / "results", out / "results")
    card = out / CARD
    if card.is_file():
        _replace(card, HERE, rf"\g<1>{repo_id}")
        _copy_linked(root, out)
    return Repository("model", repo_id, out)


def assemble_space(root: Path, repo_id: str, model_id: str, out: Path) -> Repository:
    """Copy `space/`, and set the name of its model.

    In the card and the Python files, the first name under `models` in the card becomes `model_id`.

    Args:
        root (`Path`): folder of the package.
        repo_id (`str`): name of the Space.
        model_id (`str`): name of the model repository.
        out (`Path`): output folder.

    Returns:
        [`Repository`]: the Space.
    """
    out.mkdir(parents=True)
    _copy_tree(root / "space", out)
    try:
        named = metadata_load(out / CARD)["models"][0]
        old = re.compile(rf"(?<!spaces/)(?<![\w-]){re.escape(named)}(?![\w-])")
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):  # no valid Space card; `check` reports it
        return Repository("space", repo_id, out)
    for path in [out / CARD, *sorted(out.rglob("*.py"))]:
        _replace(path, old, model_id)
    return Repository("space", repo_id, out)


def assemble_dataset(folder: Path, repo_id: str, out: Path, metadata_only: bool = False) -> Repository:
    """Copy the files of a complete SEQD folder.

    Args:
        folder (`Path`): the SEQD folder.
        repo_id (`str`): name of the repository.
        out (`Path`): output folder.
        metadata_only (`bool`, *optional*, defaults to `False`): leave out audio, text and phonemes of the corpora whose
            terms forbid redistribution.

    Returns:
        [`Repository`]: the dataset repository.

    Raises:
        CorpusError: if the folder is not a complete SEQD.
        ReleaseError: if the terms of a corpus forbid redistribution, unless `metadata_only`.
    """
    corpora = hub.check(folder)["corpora"]
    closed = closed_terms(corpora)
    if closed and not metadata_only:
        terms = options(f"{corpus} ({found})" for corpus, found in closed.items())
        raise ReleaseError(
            f"release: terms of every corpus must allow redistribution; got {terms} in {str(folder)!r}. Pass "
            "--metadata-only to leave out their audio, text and phonemes, or build a SEQD without them."
        )
    out.mkdir(parents=True)
    if closed:
        withhold(folder, out, repo_id)
    else:
        for name in [CARD, MANIFEST, REPORT, *(name for entry in corpora.values() for name in entry["files"])]:
            (out / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(folder / name, out / name)
    return Repository("dataset", repo_id, out)


def links(page: str) -> list[str]:
    """Find the relative links and images of a Markdown page, including HTML, except links within the page.

    Args:
        page (`str`): text of the page.

    Returns:
        `list[str]`: paths, as written.
    """
    found, html = [], _Html()
    blocks = MarkdownIt("commonmark").enable("table").parse(page)
    for token in [token for block in blocks for token in (block, *(block.children or []))]:
        if token.type in ("html_inline", "html_block"):
            html.feed(token.content)
        found += [str(value) for name, value in token.attrs.items() if name in ("href", "src")]
    parts = [urlsplit(link) for link in [*found, *html.found]]
    return [unquote(part.path) for part in parts if part.path and not part.scheme and not part.netloc]


def resolve(page: str, link: str) -> str | None:
    """Resolve a link of a page to a path relative to the repository; `None` if it is outside the repository.

    Args:
        page (`str`): path of the page, relative to the repository.
        link (`str`): link from [`links`].
    """
    path = os.path.normpath(os.path.join(os.path.dirname(page), link)).replace(os.sep, "/")
    return None if path.startswith(("../", "/")) or path == ".." else path


class _Html(HTMLParser):
    """HTML parser that collects `href` and `src`."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag: str, attrs: list):
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def _replace(path: Path, pattern: re.Pattern, text: str):
    """Replace a pattern in a file; invalid UTF-8 is kept, so that `check` reports it."""
    content = path.read_text(encoding="utf-8", errors="surrogateescape")
    path.write_text(pattern.sub(text, content), encoding="utf-8", errors="surrogateescape")


def _copy_tree(source: Path, out: Path):
    """Copy all files except hidden files and files that Python and gradio generate from code."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        made = path.suffix in (".pyc", ".pyi")
        if path.is_file() and not made and not any(part.startswith(".") for part in name.parts):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / name)


def _copy_linked(root: Path, out: Path):
    """Copy the files of the root that the card links to, directly or through linked pages."""
    pages = [CARD]
    for page in pages:  # the loop appends linked pages
        for link in links((out / page).read_text(encoding="utf-8", errors="replace")):
            name = resolve(page, link)
            if name is None or name.startswith(".") or not (root / name).is_file():
                continue
            if not (out / name).exists():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, out / name)
            if name.endswith(".md") and name not in pages:
                pages.append(name)
