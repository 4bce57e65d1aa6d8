"""Checks of a repository before the upload to the Hub, without network access."""

import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from huggingface_hub import metadata_load
from huggingface_hub.repocard_data import model_index_to_eval_results
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.requirements import InvalidRequirement, Requirement
from safetensors import SafetensorError, safe_open

from speecheq.dataset_scripts.build.manifest import MANIFEST, REPORT
from speecheq.release.assemble import CARD, MODEL_FILES, Repository, links, resolve

MIB = 2**20
TEXT = (".csv", ".css", ".ipynb", ".json", ".md", ".py", ".svg", ".txt", ".yaml")
# Maximum bytes of a file. The Hub does not show larger texts: https://huggingface.co/docs/hub/repositories-recommendations
LIMITS = dict.fromkeys(TEXT, 10 * MIB) | {
    "LICENSE": MIB, ".png": 10 * MIB, ".wav": MIB, ".safetensors": 5 * 1024 * MIB, ".parquet": 5 * 1024 * MIB,
}  # fmt: skip
KINDS = {
    "model": (*TEXT, "LICENSE", ".png", ".safetensors"),
    "space": (*TEXT, "LICENSE", ".png", ".wav"),
    "dataset": (".csv", ".json", ".md", ".parquet"),
}
REQUIRED = {
    "model": MODEL_FILES,
    "space": (CARD, "requirements.txt"),
    "dataset": (CARD, MANIFEST, REPORT),
}
EXAMPLES = "examples/"  # recordings of a Space, the only audio outside a dataset; ATTRIBUTION.md names their sources
ATTRIBUTION = f"{EXAMPLES}ATTRIBUTION.md"
COLORS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
LANGUAGE = re.compile(r"multilingual|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")  # https://huggingface.co/docs/hub/model-cards
REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
OPTIONAL = {"model-index", "colorFrom", "colorTo", "short_description"}

FRESH = """
import sys
sys.modules["speecheq"] = None
"""
LOAD = {
    "model": """
import numpy as np
from transformers import AutoConfig, AutoModel, AutoProcessor, pipeline
for auto in (AutoConfig, AutoModel, AutoProcessor):
    auto.from_pretrained(sys.argv[1], trust_remote_code=True)
audio = {"array": np.sin(np.arange(16000) / 12, dtype=np.float32) / 3, "sampling_rate": 16000}
answer = pipeline(model=sys.argv[1], trust_remote_code=True, device="cpu")(audio, vad=False)
if not answer["emotion"]:
    raise ValueError(f"a second of audio must get scores; got {answer}")
""",
    "space": """
import importlib
importlib.import_module(sys.argv[2].removesuffix(".py").replace("/", "."))
""",
    "dataset": """
import os
from datasets import Audio, get_dataset_config_names, load_dataset
for config in get_dataset_config_names(sys.argv[1]):
    for rows in load_dataset(sys.argv[1], config, streaming=True).values():
        next(iter(rows.cast_column("audio", Audio(decode=False))))
os._exit(0)  # threads of partly read streams can abort a normal exit
""",
}


def check(repository: Repository, model: Repository | None = None) -> list[str]:
    """Check the files, the card and the links of a repository, and load it in a fresh process.

    Loading is tested only if there is no other fault.

    Args:
        repository ([`Repository`]): the repository.
        model ([`Repository`], *optional*): the model of a Space.

    Returns:
        `list[str]`: one message per fault, with the file name.
    """
    faults = [*_files(repository), *_card(repository), *_links(repository)]
    if repository.kind == "space" and not faults:
        faults = list(_space(repository, model))
    return faults or list(_loads(repository, model))


def _fault(repository: Repository, field: str, rule: str, got: str, file: str, then: str) -> str:
    return f"release: {field} must be {rule}; got {got} in {file} of {repository}. {then}"


def _files(repository: Repository) -> Iterator[str]:
    allowed = KINDS[repository.kind]
    for name in REQUIRED[repository.kind]:
        if not (repository.folder / name).is_file():
            yield f"release: {name} must exist; got no file in {repository}. Add it."
    sources = repository.folder / ATTRIBUTION
    attribution = sources.read_text(encoding="utf-8") if sources.is_file() else ""
    for name in repository.files:
        path = repository.folder / name
        kind = path.suffix.lower() or path.name
        if kind not in allowed:
            then = "Remove the file. Save weights as safetensors, because pickles can run code; do not upload audio."
            yield f"release: file must be one of {', '.join(allowed)}; got {name!r} in {repository}. {then}"
        elif path.stat().st_size > LIMITS[kind]:
            size = f"{path.stat().st_size:,} bytes"
            yield _fault(repository, "size", f"at most {LIMITS[kind]:,} bytes", size, name, "Make it smaller.")
        elif kind == ".wav" and not name.startswith(EXAMPLES):
            yield _fault(repository, "audio", f"in {EXAMPLES}", "audio", name, "Remove it.")
        elif kind == ".wav" and f"`{path.name}`" not in attribution:
            then = "Add its source and licence."
            yield _fault(repository, "audio", f"named in {ATTRIBUTION}", "no row", name, then)
        else:
            yield from _content(repository, name, kind)


def _content(repository: Repository, name: str, kind: str) -> Iterator[str]:
    """Check that the content of a file matches its name, to find renamed pickles or recordings."""
    path = repository.folder / name
    if kind == ".safetensors":
        try:
            with safe_open(path, "np") as weights:
                weights.keys()
        except SafetensorError as error:
            yield _fault(repository, "weights", "a safetensors file", str(error), name, "Save them again.")
    elif kind in TEXT or kind == "LICENSE":
        try:
            text = path.read_bytes().decode("utf-8")
            if "\0" in text:
                raise ValueError("a null byte")
            if kind == ".py":
                compile(text, name, "exec", dont_inherit=True)
        except (ValueError, SyntaxError) as error:
            rule = "Python" if isinstance(error, SyntaxError) else "UTF-8 text"
            yield _fault(repository, "file", rule, str(error), name, "Fix or remove it.")
    else:
        begin = {".png": b"\x89PNG", ".wav": b"RIFF", ".parquet": b"PAR1"}[kind]
        with path.open("rb") as file:
            if file.read(4) != begin:
                yield _fault(repository, "file", f"in {kind[1:]} format", "another format", name, "Remove it.")


def _card(repository: Repository) -> Iterator[str]:
    """Check that the Hub accepts the metadata of the card, https://huggingface.co/docs/hub/model-cards."""
    path = repository.folder / CARD
    if not path.is_file():
        return
    try:
        data = metadata_load(path)
    except (ValueError, yaml.YAMLError) as error:
        problem = " ".join(str(error).split())
        yield _fault(repository, "metadata", "YAML between two lines of ---", problem, CARD, "Fix it.")
        return
    for field, (rule, holds) in RULES[repository.kind].items():
        value = (data or {}).get(field)
        if value is None and field in OPTIONAL:
            continue
        if not holds(value):
            got = "none" if value is None else f"{value!r:.100}"
            yield _fault(repository, field, rule, got, CARD, "Change its metadata.")
    if data and data.get("license") == "other" and not data.get("license_name"):
        yield _fault(repository, "license_name", "given if license is other", "none", CARD, "Change its metadata.")


def _is_license(value: object) -> bool:
    """Return whether a value is a license name of the Hub: an SPDX name in lower case, or `other`."""
    try:
        return value == "other" or canonicalize_license_expression(value).lower() == value
    except (InvalidLicenseExpression, AttributeError, TypeError):
        return False


def _is_list(pattern: re.Pattern):
    return lambda value: (
        isinstance(value, list) and value and all(isinstance(item, str) and pattern.fullmatch(item) for item in value)
    )


def _is_model_index(value: object) -> bool:
    try:
        _, results = model_index_to_eval_results(value)
        return bool(results) and all(math.isfinite(result.metric_value) for result in results)
    except (KeyError, TypeError, ValueError, AttributeError):
        return False


def _is_text(pattern: str):
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value)


LICENSE = ("the SPDX name in lower case, or other", _is_license)
LANGUAGES = ("a list of ISO 639 codes", _is_list(LANGUAGE))
NAMES = ("a list of names", _is_list(re.compile(r"\S.*")))
COLOR = (f"one of {', '.join(COLORS)}", COLORS.__contains__)
RULES = {
    "model": {
        "license": LICENSE,
        "library_name": ("transformers", _is_text("transformers")),
        "pipeline_tag": ("audio-classification", _is_text("audio-classification")),
        "tags": NAMES,
        "language": LANGUAGES,
        "model-index": ("a list of a name and results with finite scores", _is_model_index),
    },
    "space": {
        "title": ("a name", _is_text(r"\S.*")),
        "license": LICENSE,
        "sdk": ("gradio", _is_text("gradio")),
        "sdk_version": ("a string of three numbers, for example 6.0.0", _is_text(r"\d+\.\d+\.\d+")),
        "app_file": ("a Python file", _is_text(r"[\w/]+\.py")),
        "models": ("a list of user/name", _is_list(REPO_ID)),
        "colorFrom": COLOR,
        "colorTo": COLOR,
        "short_description": ("at most 60 characters", _is_text(r".{1,60}")),
    },
    "dataset": {"license": LICENSE, "language": LANGUAGES, "tags": NAMES, "configs": ("a list", bool)},
}


def _links(repository: Repository) -> Iterator[str]:
    for page in repository.files:
        if not page.endswith(".md"):
            continue
        try:
            text = (repository.folder / page).read_text(encoding="utf-8")
        except UnicodeDecodeError:  # `_content` reports it
            continue
        for link in links(text):
            name = resolve(page, link)
            if name is None or not (repository.folder / name).exists():
                yield _fault(repository, "link", "to a file of the repository", repr(link), page, "Change the link.")


def _space(repository: Repository, model: Repository | None) -> Iterator[str]:
    """Check that the app, the requirements and the model of a Space match."""
    app = metadata_load(repository.folder / CARD)["app_file"]
    code = "".join(path.read_text(encoding="utf-8") for path in sorted(repository.folder.rglob("*.py")))
    if not (repository.folder / app).is_file():
        yield _fault(repository, "app_file", "an existing file", repr(app), CARD, "Change its metadata.")
    if model and not re.search(rf"""["']{re.escape(model.id)}["']""", code):
        then = f"The default model of the app must be the first entry of models in {CARD}."
        yield _fault(repository, "model", repr(model.id), "another model or none", "the Python files", then)
    for line in (repository.folder / "requirements.txt").read_text(encoding="utf-8").splitlines():
        line = line.split(" #")[0].strip()
        try:
            unfit = line and not line.startswith("#") and Requirement(line).name.lower() == "speecheq"
        except InvalidRequirement:
            unfit = True
        if unfit:
            rule = "another package from the package index"
            yield _fault(repository, "requirement", rule, repr(line), "requirements.txt", "Change it.")


def _loads(repository: Repository, model: Repository | None) -> Iterator[str]:
    """Check that a process without `speecheq`, with an empty cache and no network, loads the repository."""
    with tempfile.TemporaryDirectory() as home:
        arguments, folder = [str(repository.folder.resolve())], Path(home, "work")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "PYTHON"))}
        environment |= {"HF_HOME": home, "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        if repository.kind == "space":  # an app starts in its folder and may write there
            shutil.copytree(repository.folder, folder)
            arguments.append(metadata_load(repository.folder / CARD)["app_file"])
            environment |= {"GRADIO_ANALYTICS_ENABLED": "False"}
            environment |= {"SPEECHEQ_MODEL": str(model.folder.resolve())} if model else {}
        else:
            folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", FRESH + LOAD[repository.kind], *arguments],
            cwd=folder, env=environment, capture_output=True, text=True,
        )  # fmt: skip
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        then = "Fix the error, or install the missing library."
        yield f"release: {repository} must load in a fresh process without speecheq; got {reason}. {then}"
