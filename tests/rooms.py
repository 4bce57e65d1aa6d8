"""The rooms of the repository and the imports between them; `python tests/rooms.py` draws them to rooms.svg.

The imports of every module are read with `ast`, those inside functions too. The tests are left out: they may import all.
"""

import ast
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from speecheq.dataset_scripts.metric.figures import BLUE, INK, ORANGE, PALE, STYLE, svg

ROOT = Path(__file__).resolve().parents[1]
PICTURE = Path(__file__).with_name("rooms.svg")
PACKAGE = "speecheq"
NO_ROOM = (".*", "build", "dist", "onnx", "runs", "seqd", "tests")  # folders of the root


class Room(NamedTuple):
    """Files with one purpose. `files` are patterns of paths from the root; the first room that matches has the file."""

    name: str
    files: tuple[str, ...]
    purpose: str
    color: str


DATA, LEARNING, USE, HUB = BLUE, ORANGE, "#aa4499", INK
CORPORA = "dataset_scripts/corpora"
# In the order of the arrows: a room imports only rooms that stand before it.
ROOMS = (
    Room(
        "Hub modules", ("__init__.py", "*_speecheq.py"), "what the Auto classes and pipeline() load from the Hub", HUB
    ),
    Room(
        CORPORA,
        (
            *(
                f"{CORPORA}/{name}"
                for name in ("adapters/*", "records.py", "patterns.py", "parquet.py", "tables.py", "__init__.py")
            ),
            "dataset_scripts/files.py",
        ),
        "one adapter per corpus: files to native records",
        DATA,
    ),
    Room(
        "dataset_scripts/metric",
        ("dataset_scripts/metric/*", "dataset_scripts/__init__.py"),
        "native labels to classes and intensity: table.csv",
        DATA,
    ),
    Room(
        f"{CORPORA}/custom.py",
        (f"{CORPORA}/custom.py", f"{CORPORA}/corpus_yaml.py"),
        "and corpus_yaml.py: your own corpus by a YAML file",
        DATA,
    ),
    Room(
        "dataset_scripts/build",
        ("dataset_scripts/build/*",),
        "records to SEQD: audio, splits, Parquet, card",
        DATA,
    ),
    Room("scoring", ("scoring/*",), "command line, bulk scoring, ONNX export", USE),
    Room("metrics", ("metrics/*",), "UAR, CCC, PER, ECE; scores of the four tasks", LEARNING),
    Room("training", ("training/*",), "SEQD to a trained model", LEARNING),
    Room("evaluation", ("evaluation/*",), "protocols, experiments, calibration, robustness", LEARNING),
    Room("train.py", ("train.py",), "one training run by a recipe", LEARNING),
    Room("benchmarks", ("benchmarks/*",), "speed, memory and malformed audio", USE),
    Room("release", ("release/*",), "assemble, check and push to the Hub", USE),
    Room("space", ("space/*",), "the Gradio page; loads the model from the Hub", USE),
)
# Rooms that read what another room writes, and import nothing of it.
READS = {("dataset_scripts/build", "training"), ("Hub modules", "space")}
# The Hub modules, without `_speecheq`: each imports only modules of the layers before its own.
HUB_LAYERS = (
    ("labels", "audio"),
    ("configuration", "pooling", "backbones"),
    ("heads",),
    ("processing", "modeling"),
    ("speech",),
    ("pipeline",),
)


class Import(NamedTuple):
    """One import of a module of the repository: both modules, and the statement with its file and line."""

    importer: str
    imported: str
    place: str
    statement: str


def source_files(root: Path = ROOT) -> list[Path]:
    """The Python files of the repository, tests and made files apart, as paths from the root."""
    folders = [path for path in root.iterdir() if path.is_dir()]
    folders = [path for path in folders if not any(fnmatchcase(path.name, pattern) for pattern in NO_ROOM)]
    found = [*root.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    return sorted(path.relative_to(root) for path in found)


def module_name(path: Path) -> str:
    """`dataset_scripts.build.audio` for `dataset_scripts/build/audio.py`; a package is named by its folder."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def read_imports(root: Path = ROOT) -> list[Import]:
    """Every import between two modules of the repository, file by file.

    Args:
        root (`Path`, *optional*, defaults to this repository): its folder.
    """
    files = {module_name(path): path for path in source_files(root)}
    return [found for name, path in files.items() for found in _imports_of(name, path, root, files)]


def _imports_of(importer: str, path: Path, root: Path, files: dict[str, Path]) -> Iterator[Import]:
    for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            names = [_join(origin, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found = (_resolve(name, path, files, (root / path.parent / "__init__.py").is_file()) for name in names)
        for imported in dict.fromkeys(module for module in found if module and module != importer):
            yield Import(importer, imported, f"{path.as_posix()}, line {node.lineno}", ast.unparse(node))


def _join(origin: str, name: str) -> str:
    return origin + name if origin.endswith(".") else f"{origin}.{name}"


def _resolve(name: str, path: Path, files: dict[str, Path], in_package: bool) -> str | None:
    """The module that a dotted name means, or of which it is an attribute; `None` if it is not of the repository."""
    level = len(name) - len(name.lstrip("."))
    parts, folder = name.lstrip(".").split("."), list(path.parent.parts)
    if level:
        parts = folder[: len(folder) - level + 1] + parts
    elif parts[0] == PACKAGE:
        parts = parts[1:]
    elif in_package:
        return None
    else:  # a script's folder is on the path: space/app.py imports space/page.py as `page`
        parts = folder + parts
    modules = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    found = next((module for module in modules if module in files), None)
    if found is None and (level or name.split(".")[0] == PACKAGE):
        return "__init__"  # `from speecheq import SpeechEQModel`
    return found


def room_of(path: Path) -> Room:
    """The room of a file.

    Raises:
        ValueError: if it has none.
    """
    for room in ROOMS:
        if any(fnmatchcase(path.as_posix(), pattern) for pattern in room.files):
            return room
    raise ValueError(f"rooms: a Python file must match `files` of a room; got {str(path)!r}. Add it to ROOMS.")


def dependencies(imports: list[Import], root: Path = ROOT) -> set[tuple[str, str]]:
    """Pairs of rooms: the imported one and the one that imports it.

    Raises:
        ValueError: if a room imports one that does not stand before it in [`ROOMS`].
    """
    rooms = {module_name(path): room_of(path) for path in source_files(root)}
    found = set()
    for each in imports:
        source, target = rooms[each.imported], rooms[each.importer]
        if ROOMS.index(source) > ROOMS.index(target):
            raise ValueError(
                f"rooms: {target.name} must import only rooms that stand before it in ROOMS; got {source.name} in "
                f"{each.place}: `{each.statement}`."
            )
        if source != target:
            found.add((source.name, target.name))
    return found


# Inches.
WIDTH, HEIGHT, STEP = 3.05, 0.44, 0.62  # of a box; from one box to the next, both ways
LEFT, BAND, ENTRY = 1.15, 1.0, 0.3  # of the first box; height of the Hub modules; from a box's right end to its arrow


def draw(found: set[tuple[str, str]]) -> Figure:
    """A staircase of rooms over the Hub modules: lines leave a room to the right and enter a room from below.

    Args:
        found (`set[tuple[str, str]]`): as [`dependencies`] gives them.
    """
    stairs = ROOMS[1:]
    places = {room.name: (LEFT + step * STEP, BAND + 0.45 + step * STEP) for step, room in enumerate(stairs)}
    width, height = LEFT + (len(stairs) - 1) * STEP + WIDTH + 0.1, BAND + 0.45 + len(stairs) * STEP
    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width, height), facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(0, height))
        axes.axis("off")
        for room in ROOMS:
            _lines(axes, room, found, places)
        for room in stairs:
            _box(axes, room, *places[room.name])
        _band(axes, ROOMS[0], width)
        _corpus_files(axes, *places[ROOMS[1].name])
        _legend(axes, height)
    return figure


def _lines(axes: Axes, room: Room, found: set[tuple[str, str]], places: dict[str, tuple[float, float]]):
    """The row of a room, to all that import or read it, and the column into it."""
    hub = room == ROOMS[0]
    start, row = (0, BAND) if hub else (places[room.name][0] + WIDTH, places[room.name][1] + HEIGHT / 2)
    ends = {name: x + WIDTH - ENTRY for name, (x, _) in places.items()}
    targets = [name for name in places if (room.name, name) in found | READS]
    if targets and not hub:
        last = max(ends[name] for name in targets)
        axes.plot([start, last], [row, row], color=room.color, linewidth=1.1, zorder=2, solid_capstyle="butt")
    for name in targets:
        read = (room.name, name) not in found
        face = "white" if read else room.color
        axes.plot(
            ends[name], row, "o", color=room.color, markerfacecolor=face, markersize=5.5, markeredgewidth=1.1, zorder=4
        )
    if not hub:
        _column(axes, room, found, places, ends[room.name])


def _column(axes: Axes, room: Room, found: set, places: dict[str, tuple[float, float]], x: float):
    """The arrow into a room, from the lowest row that it imports or reads."""
    rows = [
        BAND if source == ROOMS[0].name else places[source][1] + HEIGHT / 2
        for source, target in found | READS
        if target == room.name
    ]
    if rows:
        arrow = {"arrowstyle": "-|>,head_width=0.18,head_length=0.4", "color": PALE, "linewidth": 1.1}
        arrow |= {"shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (x, places[room.name][1]), (x, min(rows)), arrowprops=arrow, zorder=3)


def _box(axes: Axes, room: Room, x: float, y: float):
    outline = FancyBboxPatch(
        (x, y), WIDTH, HEIGHT, boxstyle="round,pad=0,rounding_size=0.04", facecolor="white", edgecolor=room.color
    )
    axes.add_patch(outline)
    axes.add_patch(Rectangle((x + 0.03, y + 0.05), 0.06, HEIGHT - 0.1, color=room.color, linewidth=0))
    axes.text(x + 0.17, y + HEIGHT * 0.67, room.name, va="center", color=INK, weight="bold", size=9)
    axes.text(x + 0.17, y + HEIGHT * 0.28, room.purpose, va="center", color=PALE, size=7.5)


def _band(axes: Axes, room: Room, width: float):
    """The Hub modules, layer by layer."""
    axes.add_patch(
        FancyBboxPatch(
            (0.1, 0.1), width - 0.2, BAND - 0.1, boxstyle="round,pad=0,rounding_size=0.04", facecolor="#f3f3f3",
            edgecolor=room.color,
        )
    )  # fmt: skip
    axes.text(
        0.27, BAND - 0.2, f"{room.name}: *_speecheq.py of the root", va="center", weight="bold", size=9, color=INK
    )
    axes.text(0.27, BAND - 0.4, room.purpose, va="center", size=7.5, color=PALE)
    names = [", ".join(layer) for layer in HUB_LAYERS]
    cells = [0.3 + 0.078 * len(name) for name in names]
    gap = (width - 2 * 0.27 - sum(cells)) / (len(cells) - 1)
    x = 0.27
    for place, (name, cell) in enumerate(zip(names, cells, strict=True)):
        axes.add_patch(Rectangle((x, 0.2), cell, 0.27, facecolor="white", edgecolor=PALE, linewidth=0.7))
        axes.text(x + cell / 2, 0.335, name, ha="center", va="center", size=8, color=INK)
        if place:
            axes.annotate("", (x, 0.335), (x - gap, 0.335), arrowprops={
                "arrowstyle": "-|>,head_width=0.15,head_length=0.3", "color": PALE, "shrinkA": 2, "shrinkB": 2,
            })  # fmt: skip
        x += cell + gap


def _corpus_files(axes: Axes, x: float, y: float):
    axes.text(0.1, y + HEIGHT / 2, "corpus files", va="center", size=7.5, color=DATA)
    arrow = {"arrowstyle": "-|>,head_width=0.18,head_length=0.4", "color": DATA, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (x, y + HEIGHT / 2), (0.82, y + HEIGHT / 2), arrowprops=arrow)


def _legend(axes: Axes, height: float):
    axes.text(0.1, height - 0.3, "The rooms of SpeechEQ", size=15, weight="bold", va="center", color=INK)
    lines = ("Follow the line from a room to the right.", "Each column that it meets leads up to another room.")
    for place, line in enumerate(lines):
        axes.text(0.1, height - 0.62 - 0.17 * place, line, va="center", color=PALE, size=8.5)
    marks = ((INK, "the upper room imports the lower one"), ("white", "it reads its files, and imports nothing of it"))
    for place, (face, text) in enumerate(marks):
        y = height - 1.08 - 0.2 * place
        axes.plot(0.2, y, "o", color=INK, markerfacecolor=face, markersize=5.5, markeredgewidth=1.1)
        axes.text(0.35, y, text, va="center", color=INK, size=8.5)
    colors = ((DATA, "data"), (LEARNING, "learning and measuring"), (USE, "use"))
    for place, (color, text) in enumerate(colors):
        y = height - 1.58 - 0.2 * place
        axes.add_patch(Rectangle((0.165, y - 0.06), 0.07, 0.12, color=color, linewidth=0))
        axes.text(0.35, y, text, va="center", color=INK, size=8.5)


def picture() -> str:
    """The picture of this repository as SVG."""
    return svg(draw(dependencies(read_imports())))


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    print(PICTURE)
