"""Claims about the layout: which room imports which, and how large files are. The picture of it is rooms.svg."""

import re
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import matplotlib
import pytest
import rooms
from rooms import HUB_LAYERS, ROOT, Import

IMPORTS = rooms.read_imports()
PAGE = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([^`]+)`", PAGE, flags=re.MULTILINE)  # its rooms, and the modules of the root
MOST_HUB_MODULES, MOST_LINES = 10, 450


class Rule(NamedTuple):
    """Modules that match `who` import nothing that matches `nothing_of`, except what matches `but`.

    Each is a list of modules, separated by spaces; a folder stands for all its modules, `*` for every module, and `!` before a
    folder for every module outside it.
    """

    who: str
    nothing_of: str
    but: str
    says: str


RULES = (
    Rule(
        "dataset_scripts.corpora.adapters",
        "*",
        "dataset_scripts.corpora.adapters dataset_scripts.corpora.records dataset_scripts.corpora.patterns "
        "dataset_scripts.corpora.parquet dataset_scripts.corpora.tables",
        "an adapter parses files: it imports neither the metric nor the build",
    ),
    Rule(
        "dataset_scripts.metric",
        "dataset_scripts.corpora",
        "dataset_scripts.corpora.records",
        "of the corpora, the metric imports `records` only",
    ),
    Rule(
        "dataset_scripts.corpora dataset_scripts.metric",
        "dataset_scripts.build",
        "",
        "corpora -> metric -> build: neither corpora nor metric imports the build",
    ),
    Rule(
        "dataset_scripts",
        "*",
        "dataset_scripts audio_speecheq labels_speecheq",
        "dataset_scripts imports audio_speecheq and labels_speecheq, and nothing else outside its folder",
    ),
    Rule("training", "evaluation", "", "evaluation imports training, never the other way"),
    Rule("scoring", "training evaluation", "", "scoring imports neither training nor evaluation"),
    Rule("*_speecheq __init__", "*", "*_speecheq", "a Hub module imports Hub modules only"),
    Rule("space", "*", "space", "space imports nothing of the package"),
    Rule("!space", "space", "", "nothing imports space"),
    Rule("*", "train", "", "nothing imports train.py"),
    Rule("!benchmarks", "benchmarks", "", "nothing imports benchmarks"),
    Rule("!release", "release", "", "nothing imports release"),
)


def matches(module: str, patterns: str) -> bool:
    def inside(pattern: str) -> bool:
        return fnmatchcase(module, pattern) or fnmatchcase(module, f"{pattern}.*")

    return any(not inside(each[1:]) if each.startswith("!") else inside(each) for each in patterns.split())


def broken(rule: Rule, imports: list[Import]) -> list[str]:
    return [
        f"{each.place}: `{each.statement}` breaks the rule: {rule.says}."
        for each in imports
        if matches(each.importer, rule.who)
        and matches(each.imported, rule.nothing_of)
        and not matches(each.imported, rule.but)
    ]


def write(root: Path, files: dict[str, str]):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_no_import_breaks_a_rule(rule):
    problems = broken(rule, IMPORTS)

    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.says)
def test_every_rule_names_modules_that_exist(rule):
    modules = [rooms.module_name(path) for path in rooms.source_files()]

    for patterns in (rule.who, rule.nothing_of, rule.but):
        for pattern in patterns.split():
            assert any(matches(module, pattern) for module in modules), pattern


def test_a_broken_rule_names_the_file_the_import_and_the_rule(tmp_path):
    write(tmp_path, {
        "evaluation/results.py": "",
        "training/__init__.py": "",
        "training/fit.py": "def fit():\n    from speecheq.evaluation.results import summarise\n",
    })  # fmt: skip
    (rule,) = (rule for rule in RULES if rule.who == "training")

    assert broken(rule, rooms.read_imports(tmp_path)) == [
        "training/fit.py, line 2: `from speecheq.evaluation.results import summarise` breaks the rule: "
        "evaluation imports training, never the other way."
    ]


def test_imports_of_every_form_are_read(tmp_path):
    write(tmp_path, {
        "__init__.py": "def __getattr__(name):\n    from .b_speecheq import B\n",
        "a_speecheq.py": "import numpy\n",
        "b_speecheq.py": "from .a_speecheq import A\n",
        "training/__init__.py": "",
        "training/fit.py": "import page\nfrom speecheq import Model\nfrom speecheq.training import seqd\n",
        "training/seqd.py": "import speecheq.a_speecheq\n",
        "space/app.py": "import json, page\n",
        "space/page.py": "",
        "tests/test_app.py": "import page\n",
    })  # fmt: skip

    assert [each[:3] for each in rooms.read_imports(tmp_path)] == [
        ("__init__", "b_speecheq", "__init__.py, line 2"),
        ("b_speecheq", "a_speecheq", "b_speecheq.py, line 1"),
        ("space.app", "space.page", "space/app.py, line 1"),
        ("training.fit", "__init__", "training/fit.py, line 2"),
        ("training.fit", "training.seqd", "training/fit.py, line 3"),
        ("training.seqd", "a_speecheq", "training/seqd.py, line 1"),
    ]


def test_a_room_that_imports_a_later_one_is_refused(tmp_path):
    write(tmp_path, {
        "scoring/__init__.py": "",
        "scoring/formats.py": "from speecheq.metrics import scores\n",
        "metrics/scores.py": "",
    })  # fmt: skip

    with pytest.raises(
        ValueError, match=r"scoring must import only rooms .*; got metrics in scoring/formats.py, line 1"
    ):
        rooms.dependencies(rooms.read_imports(tmp_path), tmp_path)


def test_a_file_without_a_room_is_refused(tmp_path):
    write(tmp_path, {"helpers/misc.py": ""})

    with pytest.raises(ValueError, match=r"must match `files` of a room; got 'helpers/misc.py'. Add it to ROOMS."):
        rooms.dependencies([], tmp_path)


def test_every_room_imports_only_rooms_that_stand_before_it():
    assert len(rooms.dependencies(IMPORTS)) > len(rooms.ROOMS)


def test_no_modules_import_each_other_in_a_circle():
    graph = TopologicalSorter()
    for each in IMPORTS:
        graph.add(each.importer, each.imported)

    try:
        graph.prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other in a circle: {' -> '.join(error.args[1][::-1])}")


def test_a_hub_module_imports_only_modules_of_the_layers_before_its_own():
    layer_of = {f"{name}_speecheq": place for place, layer in enumerate(HUB_LAYERS) for name in layer}

    assert set(layer_of) == {path.stem for path in ROOT.glob("*_speecheq.py")}
    for each in IMPORTS:
        if each.importer in layer_of and each.imported in layer_of:
            assert layer_of[each.imported] < layer_of[each.importer], f"{each.place}: `{each.statement}`"


def test_a_hub_module_is_imported_by_the_form_that_the_hub_accepts():
    for each in IMPORTS:
        if "/" not in each.place and matches(each.imported, "*_speecheq") and each.importer != "train":
            assert each.statement.startswith(f"from .{each.imported} import "), f"{each.place}: `{each.statement}`"


def test_the_root_holds_ten_hub_modules_or_fewer():
    assert len(list(ROOT.glob("*_speecheq.py"))) <= MOST_HUB_MODULES


def test_a_file_is_read_in_one_sitting():
    lines = {path.as_posix(): len((ROOT / path).read_text("utf-8").splitlines()) for path in rooms.source_files()}

    assert {name: number for name, number in lines.items() if number > MOST_LINES} == {}


def test_a_room_that_only_reads_files_of_another_imports_nothing_of_it():
    assert rooms.READS & rooms.dependencies(IMPORTS) == set()


def test_the_picture_shows_the_imports_of_now():
    committed, now = rooms.PICTURE.read_text("utf-8"), rooms.picture()

    if f"Matplotlib v{matplotlib.__version__}," in committed:  # another version may place a mark otherwise
        assert committed == now, "run python tests/rooms.py"
    assert committed.count("<use") == now.count("<use"), "run python tests/rooms.py"  # the dots


def test_the_page_has_a_row_for_every_room_and_every_hub_module():
    assert {room.name for room in rooms.ROOMS[1:]} <= set(ROWS)
    assert [name for name in ROWS if "_speecheq" in name] == [
        f"{name}_speecheq.py" for layer in HUB_LAYERS for name in layer
    ]


def test_the_page_names_only_files_and_functions_that_exist():
    sources = [*rooms.source_files(), *(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))]
    words = {word for path in sources for word in re.findall(r"\w+", (ROOT / path).read_text("utf-8"))}
    section = PAGE.partition("## Add something")[2].partition("## Commit")[0]

    for name in re.findall(r"`([\w./-]+\.(?:csv|md|py|yaml))`", PAGE):
        if "NAME" not in name:
            assert any((ROOT / folder / name).is_file() for folder in ("", *ROWS)), name
    for link in re.findall(r"\]\(([^)#:]+)\)", PAGE):
        assert (ROOT / link).exists(), link
    for name in re.findall(r"`([A-Za-z_][\w.]*)`", section):
        if not name.endswith((".csv", ".md", ".py")):
            assert set(name.split(".")) <= words, name
