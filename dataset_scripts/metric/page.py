"""Write the page that shows the metric table: METRIC.md, classes.svg and intensity.svg.

`python -m speecheq.dataset_scripts.metric.page` writes them into the folder of the table. They depend only on `table.csv`
and the class lists, so the same table gives the same bytes. With `--seqd FOLDER` the figure shows the distribution of the
intensities that come from ratings, measured in a built SEQD.
"""

import argparse
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from speecheq.dataset_scripts.corpora.records import CorpusError
from speecheq.dataset_scripts.metric.table import TABLE, TableRow, read_table
from speecheq.labels_speecheq import BASIC_CLASSES, EIS_LABELS

try:
    from speecheq.dataset_scripts.metric import figures
except ImportError as error:
    raise ImportError("metric_page: matplotlib must be installed; got none. Run `pip install matplotlib`.") from error

Table = dict[tuple[str, str, str], TableRow]
MEASURED_COLUMNS = ["corpus", "native_label", "eis_low", "eis_high"]
HIERARCHY_HEADER = "| fine classes | basic class | valence class |\n|---|---|---|"
OVERVIEW_HEADER = "| corpus | labels | of these without a class | levels | intensity from |\n|---|---|---|---|---|"
LABELS_HEADER = "| native label | fine classes | basic | valence | intensity |\n|---|---|---|---|---|"
LEVELS_HEADER = "| native level | intensity |\n|---|---|"
MEASURED_HEADER = "| corpus | rule | utterances | minimum | 1st quartile | median | 3rd quartile | maximum |\n"
MEASURED_HEADER += "|---|---|---|---|---|---|---|---|"
RULES = {
    "level": "of the level",
    "rated": "rated by listeners",
    "valence_arousal": "valence-arousal distance",
}
PAGE = """# The metric table

The metric table maps every native label of every corpus to emotion classes and to an intensity. It covers {corpora} corpora,
{labels} native labels, {levels} native levels. `python -m speecheq.dataset_scripts.metric.page` writes this page from
[`table.csv`](table.csv): change the table, not the page.

## Classes

Each native label maps to a set of fine classes, usually of one, or to *missing*. The model predicts the fine classes; the
basic and valence classes are sums of them.

{hierarchy}

![Corpora by fine classes. A dot: a native label means this class. Joined rings: a label means one of these.
A cross: labels without a class. The tables below hold the same information.](classes.svg)

## Intensity

Intensity runs from 0 (no emotion) to 1 (the strongest). Its five levels are {eis}.
A native label or level gives a point or an interval, or *missing*. Three entries are rules:

- *of the level*: the interval of the utterance's native level.
- *rated by listeners*: the mean rating, rescaled to [0, 1].
- *valence-arousal distance*: the distance of the ratings from the middle of their scale, divided by the largest possible
  distance.

![Each corpus on the intensity axis: points and intervals of its labels and levels, and the range of the rules.
The tables below hold the same information.](intensity.svg)

{measured}## Overview

{overview}

## Corpora

{sections}"""


def page(table: Table, measured: dict[tuple[str, str], figures.Distribution] | None = None) -> str:
    """Write METRIC.md.

    Args:
        table (`dict`): as [`read_table`] returns it.
        measured (`dict`, *optional*): as [`measure`] returns it.
    """
    labels, levels = figures.by_corpus(table, "label"), figures.by_corpus(table, "level")
    return PAGE.format(
        corpora=len(labels),
        labels=sum(map(len, labels.values())),
        levels=sum(map(len, levels.values())),
        hierarchy="\n".join([HIERARCHY_HEADER, *map(_hierarchy, BASIC_CLASSES.values())]),
        eis=", ".join(f"{name} {place / (len(EIS_LABELS) - 1):g}" for place, name in enumerate(EIS_LABELS)),
        measured=_measured(measured or {}),
        overview="\n".join([OVERVIEW_HEADER, *(_overview(name, labels[name], levels[name]) for name in labels)]),
        sections="\n".join(_section(name, labels[name], levels[name]) for name in labels),
    )


def measure(seqd: Path, table: Table) -> dict[tuple[str, str], figures.Distribution]:
    """The intensities of a built SEQD that come from a rule over ratings. Audio is not read.

    Returns:
        `dict`: `(corpus, rule)` -> [`Distribution`].

    Raises:
        CorpusError: if the folder holds no Parquet files.
    """
    files = sorted(path for path in Path(seqd).rglob("*.parquet") if not _hidden(path.relative_to(seqd)))
    if not files:
        raise CorpusError(f"metric_page: --seqd must hold Parquet files; got none in {str(seqd)!r}. Build SEQD there.")
    points = defaultdict(list)
    for path in files:
        for row in pq.read_table(path, columns=MEASURED_COLUMNS).to_pylist():
            mapped = table.get((row["corpus"], "label", row["native_label"]))
            if mapped and mapped.eis in figures.RULE_TEXT and row["eis_low"] is not None:
                points[row["corpus"], mapped.eis].append((row["eis_low"] + row["eis_high"]) / 2)
    return {
        key: figures.Distribution(*map(float, np.quantile(values, [0, 0.25, 0.5, 0.75, 1])), len(values))
        for key, values in sorted(points.items())
    }


def write(out: Path, table: Table, measured: dict[tuple[str, str], figures.Distribution] | None = None) -> list[Path]:
    """Write the page and its two figures into a folder."""
    texts = {
        "METRIC.md": page(table, measured),
        "classes.svg": figures.svg(figures.classes_figure(table)),
        "intensity.svg": figures.svg(figures.intensity_figure(table, measured)),
    }
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in texts]


def sources(rows: list[TableRow]) -> tuple[str, dict[str, str]]:
    """The sources of a corpus, each part said once, and what they say of each native name.

    A source reads `where: meaning; note`. What rows of different classes or intensities share is said of the corpus.

    Returns:
        `tuple[str, dict[str, str]]`: where the names are defined, and native name -> meaning.
    """
    parts = {row.native: re.split("[:;] ", row.source) for row in rows}
    mapped = defaultdict(set)
    for row in rows:
        for part in parts[row.native]:
            mapped[part].add((row.esc, row.eis))
    cited = dict.fromkeys(part[0] for part in parts.values())
    cited |= dict.fromkeys(part for part, targets in mapped.items() if len(targets) > 1)
    return "; ".join(cited), {
        name: "; ".join(part for part in each if part not in cited) for name, each in parts.items()
    }


def _hierarchy(members: list[str]) -> str:
    return f"| {', '.join(members)} | {_coarse(tuple(members), 'basic')} | {_coarse(tuple(members), 'valence')} |"


def _measured(measured: dict[tuple[str, str], figures.Distribution]) -> str:
    if not measured:
        return ""
    lines = [MEASURED_HEADER]
    for (corpus, rule), known in measured.items():
        values = (known.low, known.first, known.median, known.third, known.high)
        cells = " | ".join(f"{value:.2f}" for value in values)
        lines.append(f"| {corpus} | {RULES[rule]} | {known.number} | {cells} |")
    return "\n".join(lines) + "\n\n"


def _overview(corpus: str, labels: list[TableRow], levels: list[TableRow]) -> str:
    rules = [eis for eis in dict.fromkeys(row.eis for row in labels) if eis in RULES]
    tables = ["the label"] * any(isinstance(row.eis, tuple) for row in labels)
    without = sum(not row.esc for row in labels)
    tables += ["the level"] * bool(levels and not labels)
    origin = "; ".join([RULES[rule] for rule in rules] + tables) or "nothing"
    return f"| [{corpus}](#{corpus}) | {len(labels)} | {without or ''} | {len(levels) or ''} | {origin} |"


def _section(corpus: str, labels: list[TableRow], levels: list[TableRow]) -> str:
    where, meanings = sources(labels + levels)
    lines = [f"### {corpus}", "", f"Source: {where}"]
    lines += ["", LABELS_HEADER] if labels else []
    groups = defaultdict(list)
    for row in labels:
        groups[row.esc, row.eis].append(_native(row, meanings))
    for (esc, eis), natives in groups.items():
        classes = [" or ".join(esc) or "*missing*", _coarse(esc, "basic"), _coarse(esc, "valence")]
        lines.append(f"| {', '.join(natives)} | {' | '.join(classes)} | {_intensity(eis)} |")
    if levels:
        lines += ["", LEVELS_HEADER, *(f"| {_native(row, meanings)} | {_intensity(row.eis)} |" for row in levels)]
    return "\n".join([*lines, ""])


def _native(row: TableRow, meanings: dict[str, str]) -> str:
    """A native name, and its meaning where that says more than the name and the class."""
    meaning = meanings[row.native]
    known = {"", row.native.casefold(), *row.esc}
    text = f"`{row.native}`" + ("" if meaning.casefold() in known else f" ({meaning})")
    return text.replace("|", "\\|")


def _coarse(esc: tuple[str, ...], scale: str) -> str:
    return " or ".join(figures.coarse(esc, scale))


def _intensity(eis: tuple[float, float] | str | None) -> str:
    if isinstance(eis, tuple):
        return f"{eis[0]:g}" if eis[0] == eis[1] else f"{eis[0]:g} to {eis[1]:g}"
    return RULES[eis] if eis else "*missing*"


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def main(arguments: list[str] | None = None):
    """Command line: `python -m speecheq.dataset_scripts.metric.page`."""
    parser = argparse.ArgumentParser(prog="metric_page", description="Write the page that shows the metric table.")
    parser.add_argument("--seqd", type=Path, help="a built SEQD, to measure the intensities that come from ratings")
    parser.add_argument("--out", type=Path, default=TABLE.parent, help="the folder (default: that of the table)")
    options = parser.parse_args(arguments)
    table = read_table()
    try:
        measured = measure(options.seqd, table) if options.seqd else None
    except CorpusError as error:
        parser.exit(2, f"{error}\n")
    for path in write(options.out, table, measured):
        print(path)


if __name__ == "__main__":
    main()
