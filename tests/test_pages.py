"""Claims about the pages and the notebook: code blocks run as pasted in a new clone, and the tables match the code."""

import dataclasses
import importlib
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from samples import ROOT, tiny_pipeline, waveform

from speecheq.labels_speecheq import EIS_LABELS, ESC_LABELS, ESC_SCALES
from speecheq.modeling_speecheq import SpeechEQModel, SpeechEQOutput
from speecheq.pipeline_speecheq import SpeechEQPipeline
from speecheq.pooling_speecheq import SpeakerStatistics
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.scoring.command import _parser
from speecheq.training.saving import save_for_hub

NAMES = (
    "README.md", "CHANGELOG.md", "benchmarks/README.md", "dataset_scripts/build/SEQD.md",
    "dataset_scripts/corpora/BRING_YOUR_OWN.md", "dataset_scripts/metric/METRIC.md", "evaluation/PROTOCOLS.md",
    "evaluation/RESULTS.md", "results/README.md", "scoring/API.md", "scoring/LIVE.md", "scoring/SCALE.md",
    "space/README.md", "training/FINE_TUNING.md",
)  # fmt: skip
LINES = {
    "results/README.md": 285,
    "evaluation/RESULTS.md": 285,
    "dataset_scripts/metric/METRIC.md": 700,
}  # with tables of all corpora and labels
PAGES = {name: (ROOT / name).read_text("utf-8") for name in NAMES}
API = PAGES["scoring/API.md"]
NOTEBOOK = ROOT / "training" / "fine_tuning.ipynb"
# First words of blocks that are not run.
NOT_RUN = {
    'python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ".[seqd]"': "installs from the network",
    'python3 -m venv .venv && .venv/bin/pip install -c constraints.txt -e ".[dev]"': "installs from the network",
    "python -m speecheq.dataset_scripts.build --out seqd --corpus nemo=NEMO": "needs real corpora",
    "pip install torch": "installs from the network",
    "python -m speecheq.dataset_scripts.build.synthetic": "takes a minute; .ci/run runs it",
    "python -m speecheq.dataset_scripts.build.hub": "needs a repository on the Hub",
    "python -m speecheq.evaluation.diarization": "needs real corpora",
    "python -m speecheq.evaluation.report . --dataset seqd": "needs real corpora",
    "python -m speecheq.evaluation.experiment recipes/frozen.yaml": "needs real corpora and an encoder from the Hub",
    "python train.py recipes/base.yaml --backbone": "needs an encoder from the Hub",
    "python train.py recipes/base.yaml --checkpoint": "needs real corpora",
    "python train.py recipes/adapter.yaml": "needs an encoder from the Hub",
    "python train.py recipes/large.yaml": "needs a GPU",
    "python -m speecheq.evaluation.ablation recipes/ablation.yaml": "needs real corpora and an encoder from the Hub",
    "python -m speecheq.evaluation.experiment recipes/un": "needs real corpora and an encoder from the Hub",
    "python -m speecheq.dataset_scripts.build --out seqd --emobox": "needs real corpora",
    "accelerate launch train.py": "needs several GPUs",
    "python train.py recipes/fine_tune.yaml --corpora mine --tuning lora": "takes a minute; test_train.py trains with LoRA",
    "torchrun --nproc_per_node 2": "takes a minute; training/test_distributed.py runs it",
    "python -m speecheq.scoring.bulk seqd": "needs real corpora",
    "python -m speecheq.scoring.bulk rows.parquet": "needs real corpora",
    'pip install -e ".[scale]"': "needs a cluster",
}
ELSEWHERE = ("venv", "pip", "pytest")  # external programs
NOT_OF_A_CLONE = (".*", "__pycache__", "*.egg-info", "mycorpus", "onnx", "runs", "seqd", "tests", "dist")


def blocks(page: str) -> list[tuple[str, str]]:
    """Return the language and text of the fenced blocks of a page."""
    return re.findall(r"```(bash|python)\n(.*?)```", page, flags=re.DOTALL)


def not_run(block: str) -> bool:
    return block.startswith(tuple(NOT_RUN))


LEFT_OUT = [
    block for page in PAGES.values() for language, block in blocks(page) if language == "bash" and not_run(block)
]
# Commands inside a sentence or a table.
INLINE = sorted({found for page in PAGES.values() for found in re.findall(r"`(python (?:-m|train\.py) [^`]+)`", page)})


@pytest.fixture(scope="module")
def tiny() -> SpeechEQPipeline:
    return tiny_pipeline()


@pytest.fixture
def clone(tmp_path, tiny) -> Path:
    """The repository without generated files, with the checkpoint of the root or a tiny random one."""
    folder = tmp_path / "clone"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_OF_A_CLONE))
    if not (ROOT / "model.safetensors").is_file():
        saved = save_for_hub(tiny.model, tiny.processor, tmp_path / "tiny")
        for name in ("config.json", "model.safetensors", "processor_config.json"):
            shutil.copy(saved / name, folder / name)
    return folder


def paste(page: str, clone: Path, environment: dict[str, str]) -> str:
    """Run the blocks of a page in order; its Python blocks run as one session at the place of the last one.

    Returns:
        `str`: the output.
    """
    found = [block for block in blocks(page) if not not_run(block[1])]
    session = "\n".join(text for language, text in found if language == "python")
    last = max(place for place, (language, _) in enumerate(found) if language == "python")
    commands = [
        f"python - <<'EOF_SESSION'\n{session}\nEOF_SESSION\n" if place == last else text
        for place, (language, text) in enumerate(found)
        if language == "bash" or place == last
    ]
    programs = clone.parent / "bin"  # like those of `pip install`
    programs.mkdir()
    (programs / "speecheq").write_text('#!/bin/sh\nexec python -m speecheq.scoring.command "$@"\n')
    (programs / "speecheq").chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    return run(["bash", "-euc", "".join(commands)], clone, environment | {"PATH": path})


def run(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def offline(home: Path) -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(home / "cache"), "MPLBACKEND": "Agg"}


@pytest.mark.slow
def test_the_page_of_fine_tuning_works_as_pasted(clone, hub_endpoint, tmp_path):
    printed = paste(PAGES["training/FINE_TUNING.md"], clone, hub_endpoint.environment(tmp_path / "cache"))

    assert "train: 32 utterances, validation: 9 utterances, test: 13 utterances" in printed
    assert "{'speakers': [], 'texts': 2, 'audio': [], 'near_duplicates': []}" in printed
    assert "| mine | loso | 0 | 12 × 1 |" in printed
    assert re.search(r"\n\., test split:\n(.*\n){3}\| mine \|", printed)
    kept = {path.name for path in (clone / "runs/mine").iterdir()}
    assert {"README.md", "checkpoints", "config.json", "model.safetensors", "recipe.json", "results.json"} <= kept
    assert {"confusion.svg", "results.json"} <= {path.name for path in (clone / "runs/mine/results").iterdir()}
    pushed = hub_endpoint.repositories["model", "me/mine"]
    assert pushed.private and {"config.json", "model.safetensors", "pipeline_speecheq.py"} <= set(pushed.files)
    assert not [name for name in pushed.files if name.startswith("checkpoints")]


@pytest.mark.slow
def test_the_reference_works_as_pasted(clone, tmp_path):
    printed = paste(API, clone, offline(tmp_path)).splitlines()

    assert "unreadable: there is no file 'gone.wav'" in printed
    assert [line.split()[0] for line in printed if line.startswith(("0 ", "1 "))] == [
        "0",
        "1",
    ]  # output of the speaker example
    assert [line for line in printed if "angry_en.wav" in line]  # row in the table of the command
    rows = (clone / "answers.csv").read_text().splitlines()
    assert len(rows) == 1 + len(list((clone / "space" / "examples").glob("*.wav")))


@pytest.mark.slow
def test_the_page_of_bulk_scoring_works_as_pasted(clone, tmp_path):
    printed = paste(PAGES["scoring/SCALE.md"], clone, offline(tmp_path)).splitlines()

    recordings = sorted(path.name for path in (clone / "space" / "examples").glob("*.wav"))
    assert printed[0] == f"{len(recordings)} rows, 0 of them failed."
    assert printed[-2].split()[:3] == [recordings[0], "0", recordings[0]]
    assert printed[-1] in ESC_LABELS  # of the 8-bit model


@pytest.mark.slow
def test_the_page_of_live_speech_works_as_pasted(clone, tmp_path):
    printed = paste(PAGES["scoring/LIVE.md"], clone, offline(tmp_path))

    assert "{'event': 'segment'" in printed  # of Python
    assert '{"event": "segment"' in printed  # of the command


def test_the_snippets_of_the_card_work_as_pasted(clone, tmp_path):
    printed = paste(PAGES["README.md"], clone, offline(tmp_path)).splitlines()

    said = re.search(r"<!-- output -->\n```text\n(.*?)```", PAGES["README.md"], flags=re.DOTALL)[1].splitlines()
    assert printed == said


@pytest.mark.slow
def test_the_notebook_runs_in_its_folder_and_draws_two_figures(clone, tmp_path):
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]

    printed = run(
        [sys.executable, "-c", "\n\n".join([*code, "print(plt.get_fignums())"])], clone / "training", offline(tmp_path)
    )

    uar = re.search(r"^esc_uar +(0\.\d+)$", printed, flags=re.MULTILINE)[1]
    assert float(uar) > 0.5  # six classes, unseen speakers
    assert f"\nUAR {uar}\n" in printed  # the pipeline matches the evaluation
    assert printed.endswith("[1, 2]\n")


def test_the_notebook_is_short_and_holds_no_outputs():
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]

    assert 8 <= len(cells) <= 12
    assert all(
        not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code"
    )


@pytest.mark.parametrize("block", [*LEFT_OUT, *INLINE], ids=lambda block: " ".join(block.split()[:6]))
def test_a_block_that_is_not_run_names_programs_and_options_that_exist(block, monkeypatch, capsys):
    for line in re.split(r"\n|&&", block.replace("\\\n", " ")):
        words = shlex.split(line, comments=True)
        if not words or Path(words[0]).name in ELSEWHERE or words[1:3] in (["-m", name] for name in ELSEWHERE):
            continue
        program, arguments = of_ours(words)
        for argument in arguments:
            assert not argument.startswith("recipes/") or (ROOT / argument).is_file(), argument
        options = {argument.split("=")[0] for argument in arguments if argument.startswith("--")}
        if options:
            first = next(place for place, argument in enumerate(arguments) if argument.startswith("--"))
            assert options <= options_of(program, arguments[:first], monkeypatch, capsys)
        if program == "speecheq.train":
            importlib.import_module(program).parse(arguments)  # checks the values too


def of_ours(words: list[str]) -> tuple[str, list[str]]:
    """Return the module of a command, and its arguments."""
    launchers = (["accelerate", "launch"], ["torchrun", "--nproc_per_node", "2"], words[:1])  # the last: python
    words = next(words[len(launcher) :] for launcher in launchers if words[: len(launcher)] == launcher)
    if words[0] == "-m":
        module, arguments = words[1], words[2:]
    else:
        module, arguments = f"speecheq.{words[0].removesuffix('.py').replace('/', '.')}", words[1:]
    found = importlib.util.find_spec(module)
    assert found, module
    return f"{module}.__main__" if found.submodule_search_locations else module, arguments


def options_of(program: str, before: list[str], monkeypatch, capsys) -> set[str]:
    """Return the options in the help of a program, or in its docstring if the recipe parser lacks them (`--compare`)."""
    module = importlib.import_module(program)
    monkeypatch.setattr(sys, "argv", [program, *before, "--help"])  # subcommands and recipes come before the options
    with pytest.raises(SystemExit) as done:
        module.main()
    assert done.value.code == 0
    return set(re.findall(r"--[\w-]+", capsys.readouterr().out + module.__doc__))


def test_no_reason_stands_for_a_block_that_is_gone():
    assert [words for words in NOT_RUN if not any(block.startswith(words) for block in LEFT_OUT)] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_of_a_page_leads_somewhere(name):
    links = re.findall(r"\]\(([^)#:]+)(?:#([^)]*))?\)", PAGES[name])
    links += [(Path(name).name, anchor) for anchor in re.findall(r"\]\(#([^)]*)\)", PAGES[name])]

    missing = []
    for link, anchor in links:
        path = (ROOT / name).parent / link
        if not path.exists() or (anchor and anchor not in anchors(path.read_text("utf-8"))):
            missing.append((link, anchor))
    assert missing == []


def anchors(page: str) -> set[str]:
    """The anchors that GitHub and the Hub give to the headings of a page."""
    titles = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_read_in_one_sitting(name):
    _, text = re.fullmatch(r"(---\n.*?\n---\n)?(.*)", PAGES[name], flags=re.DOTALL).groups()
    assert len(text.splitlines()) <= LINES.get(name, 220)


def test_every_page_is_one_click_away_from_the_readme():
    links = re.findall(r"\]\(([^)#:]+)", PAGES["README.md"])

    assert set(PAGES) - {"README.md"} <= set(links)


def first_cells(title: str) -> dict[str, str]:
    """Return the first column of a table of the reference, with its rows."""
    rows = re.search(rf"^\| {title} \|.*\n\|[-|]+\n((?:\|.*\n)+)", API, flags=re.MULTILINE)[1].splitlines()
    return {name: row for row in rows for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])}


def test_the_reference_has_the_parameters_of_the_pipeline_and_no_others():
    with pytest.raises(TypeError) as refused:
        SpeechEQPipeline._sanitize_parameters(None, nothing=1)
    parameters = re.search(r"must be among (.*); got nothing", str(refused.value))[1].split(", ")

    assert len(parameters) == 11
    assert set(first_cells("parameter")) == set(parameters)
    assert all(f"`{scale}` (" in first_cells("parameter")["scale"] for scale in ("fine", *ESC_SCALES))


def fields(value: dict, before: str = "") -> set[str]:
    """Return the names of all fields of an output, `a.b` and `a[].b`."""
    names = set()
    for key, inside in value.items():
        names.add(before + key)
        if isinstance(inside, dict):
            names |= fields(inside, f"{before}{key}.")
        elif isinstance(inside, list) and inside and isinstance(inside[0], dict):
            names |= fields(inside[0], f"{before}{key}[].")
    return names


def test_the_reference_has_the_fields_of_an_answer_and_no_others(tiny):
    (heard,), (failed,) = tiny([(waveform(2.0), 16_000), "gone.wav"], vad=False, channels="each")

    assert set(first_cells("field")) == fields(heard) | fields(failed)
    assert heard["phonemes"] and heard["timeline"]
    assert re.findall(r"`(\w+)`", first_cells("field")["intensity.level"].split(" | ")[1]) == EIS_LABELS


def test_the_reference_has_the_inputs_and_outputs_of_the_model_and_no_others():
    inputs = set(inspect.signature(SpeechEQModel.forward).parameters) - {"self"}
    outputs = {field.name for field in dataclasses.fields(SpeechEQOutput)}

    assert set(first_cells("input of `forward`")) == inputs
    assert set(first_cells("output")) == outputs


@pytest.mark.parametrize(
    ("title", "of", "more"),
    [("method or attribute", SpeakerStatistics, {"num_utterances"}), ("method", SpeechEQProcessor, {"processor"})],
)
def test_the_reference_has_the_methods_of_a_class_and_no_others(title, of, more):
    said = {name.split("(")[0]: re.findall(r"(\w+)(?:=[^,)]+)?[,)]", name) for name in first_cells(title)}

    assert set(said) == {name for name in vars(of) if name[0] != "_"} | more
    for name, parameters in said.items():
        method = getattr(of, "__call__" if name == "processor" else name, None)
        if callable(method):
            expected = [parameter for parameter in inspect.signature(method).parameters if parameter != "self"]
            assert parameters == expected, name


def test_the_reference_has_the_options_of_the_command_and_no_others():
    actions = {action.option_strings[-1]: action for action in _parser()._actions if action.option_strings}
    said = first_cells("option")

    assert {name for name in said if name.startswith("--")} == set(actions) - {"--help"}
    formats = re.findall(r"`(\w+)`", said["--format"].split(" | ")[0])
    assert formats == list(actions["--format"].choices)
