"""The repositories of a release as folders: of this root, what each needs, with the names that they will have on the Hub."""

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
HERE = re.compile(
    r"""((?:\bmodel=|\bfrom_pretrained\()["'])\.(?=["'])"""
)  # the model of the card's snippets, in a clone


class ReleaseError(ValueError):
    """A release that cannot be made; the message says why."""


@dataclass(frozen=True)
class Repository:
    """A folder that is to be a repository of the Hub.

    Args:
        kind (`str`): `model`, `dataset` or `space`.
        id (`str`): `"user/name"`.
        folder (`Path`): its files.
    """

    kind: str
    id: str
    folder: Path

    @property
    def files(self) -> list[str]:
        """Paths from the folder, sorted."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def assemble_model(root: Path, repo_id: str, out: Path) -> Repository:
    """Card, license, weights, configurations, the code that reads them, `results/`, and the files that the card links to.

    In the card's copy, `"."` in `model="."` and `from_pretrained(".")` becomes the name of the repository.

    Args:
        root (`Path`): folder of the package and of its checkpoint.
        repo_id (`str`): name of the repository.
        out (`Path`): folder to write.
    """
    names = [*MODEL_FILES, *sorted(path.name for path in root.glob("*_speecheq.py"))]
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
    """What lies in `space/`.

    In its card and its Python files, the first name under the card's `models` becomes `model_id`.

    Args:
        root (`Path`): folder of the package.
        repo_id (`str`): name of the Space.
        model_id (`str`): name of the model repository.
        out (`Path`): folder to write.
    """
    out.mkdir(parents=True)
    _copy_tree(root / "space", out)
    try:
        named = metadata_load(out / CARD)["models"][0]
        old = re.compile(rf"(?<!spaces/)(?<![\w-]){re.escape(named)}(?![\w-])")
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):  # no card of a Space; the check says so
        return Repository("space", repo_id, out)
    for path in [out / CARD, *sorted(out.rglob("*.py"))]:
        _replace(path, old, model_id)
    return Repository("space", repo_id, out)


def assemble_dataset(folder: Path, repo_id: str, out: Path, metadata_only: bool = False) -> Repository:
    """A finished SEQD folder, without what is not of it.

    Args:
        folder (`Path`): the SEQD folder.
        repo_id (`str`): name of the repository.
        out (`Path`): folder to write.
        metadata_only (`bool`, *optional*, defaults to `False`): leave out audio, text and phonemes of the corpora whose
            terms forbid redistribution.

    Raises:
        CorpusError: if the folder is not a finished SEQD.
        ReleaseError: if it holds a corpus that may not be passed on, unless `metadata_only`.
    """
    corpora = hub.check(folder)["corpora"]
    closed = closed_terms(corpora)
    if closed and not metadata_only:
        terms = options(f"{corpus} ({found})" for corpus, found in closed.items())
        raise ReleaseError(
            f"release: terms of every corpus must allow redistribution; got {terms} in {str(folder)!r}. Give "
            "--metadata-only, which leaves out their audio, text and phonemes, or build a SEQD without them."
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
    """The relative links and images of a Markdown page, HTML included; not those into the page itself.

    Args:
        page (`str`): its text.
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
    """The path, from the repository's folder, that a link of a page leads to; `None` if it leads out of it.

    Args:
        page (`str`): path of the page, from the repository's folder.
        link (`str`): as [`links`] gives it.
    """
    path = os.path.normpath(os.path.join(os.path.dirname(page), link)).replace(os.sep, "/")
    return None if path.startswith(("../", "/")) or path == ".." else path


class _Html(HTMLParser):
    """Collects `href` and `src`."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag: str, attrs: list):
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def _replace(path: Path, pattern: re.Pattern, text: str):
    """Replace in a file; bytes that are no text stay, for the check to find."""
    content = path.read_text(encoding="utf-8", errors="surrogateescape")
    path.write_text(pattern.sub(text, content), encoding="utf-8", errors="surrogateescape")


def _copy_tree(source: Path, out: Path):
    """Copy all files but hidden ones and what Python and gradio make of code."""
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        made = path.suffix in (".pyc", ".pyi")
        if path.is_file() and not made and not any(part.startswith(".") for part in name.parts):
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, out / name)


def _copy_linked(root: Path, out: Path):
    """Copy the files of the root that the card links to, and those that linked pages link to."""
    pages = [CARD]
    for page in pages:  # grows as pages are found
        for link in links((out / page).read_text(encoding="utf-8", errors="replace")):
            name = resolve(page, link)
            if name is None or name.startswith(".") or not (root / name).is_file():
                continue
            if not (out / name).exists():
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, out / name)
            if name.endswith(".md") and name not in pages:
                pages.append(name)
