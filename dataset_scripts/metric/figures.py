"""Figures of the metric table: classes by corpus, and intensity of each corpus after unification.

The table and the class lists are the only input. Colours are by Okabe and Ito, safe for colour-blind readers
(https://jfly.uni-koeln.de/color); the background is white, also on dark pages. Text is kept as text, so that SVGs are small
and searchable.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from speecheq.dataset_scripts.metric.table import TableRow
from speecheq.labels_speecheq import EIS_LABELS, ESC_LABELS, ESC_SCALES

STYLE = {"svg.fonttype": "none", "svg.hashsalt": "speecheq", "font.family": ["DejaVu Sans"], "font.size": 8}
INK, PALE, STRIPE = "#1a1a1a", "#6b6b6b", "#f3f3f3"
BLUE, ORANGE = "#0072b2", "#e69f00"
BAND_COLORS = {"label": BLUE, "level": "#56b4e9", "unused": "#dcdcdc"}
VALENCE_COLORS = {"negative": "#d55e00", "neutral": "#6b6b6b", "ambiguous": "#aa4499", "positive": "#0072b2"}
RULE_TEXT = {"valence_arousal": "distance in the valence-arousal plane", "rated": "rated by listeners"}
GROUP_GAP = 0.25  # columns, between two valence classes
MISSING_GAP = 0.6
NAME_X = -0.9  # columns, right end of the corpus names
ROW_INCHES, LANE_INCHES = 0.27, 0.24
CHARACTER = 0.0135  # width of a character on the intensity axis


class Distribution(NamedTuple):
    """Measured intensity of a corpus: minimum, quartiles, maximum and number of utterances."""

    low: float
    first: float
    median: float
    third: float
    high: float
    number: int


class Band(NamedTuple):
    """An interval on the intensity axis. `kind` is `label`, `level`, `unused` (a level that no label uses), `rule` or
    `measured`."""

    low: float
    high: float
    text: str
    kind: str
    measured: Distribution | None = None

    @property
    def mark(self) -> str:
        """Shape of the band: `point`, or its kind."""
        return "point" if self.kind in BAND_COLORS and self.low == self.high else self.kind

    @property
    def end(self) -> float:
        """Right end of the band and its text."""
        if self.kind in ("rule", "measured") or CHARACTER * len(self.text) <= self.high - self.low:
            return self.high
        return self.high + 0.015 + CHARACTER * len(self.text)


def by_corpus(table: dict[tuple[str, str, str], TableRow], field: str) -> dict[str, list[TableRow]]:
    """Group the rows of a field, `label` or `level`, by corpus, in alphabetical order."""
    return {
        corpus: [row for row in table.values() if (row.corpus, row.field) == (corpus, field)]
        for corpus in sorted({row.corpus for row in table.values()})
    }


def coarse(esc: tuple[str, ...], scale: str) -> list[str]:
    """Return the classes of a coarser scale that a set of fine classes belongs to."""
    return [name for name, members in ESC_SCALES[scale].items() if set(esc) & set(members)]


def names(natives: list[str], most: int = 4) -> str:
    """Join native names, at most `most` of them."""
    more = f" +{len(natives) - most}" if len(natives) > most else ""
    return ", ".join(natives[:most]) + more


def svg(figure: Figure) -> str:
    """Save a figure as SVG, with the same bytes on every run."""
    file = io.StringIO()
    with _style(), warnings.catch_warnings():
        # Native names in other scripts are drawn with the reader's fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


def classes_figure(table: dict[tuple[str, str, str], TableRow]) -> Figure:
    """Draw the fine classes of each corpus's labels, grouped by basic and valence classes."""
    corpora = by_corpus(table, "label")
    columns = _columns()
    lines = {corpus: 1 + max(class_lines(labels).values(), default=0) for corpus, labels in corpora.items()}
    height = sum(lines.values())
    with _style():
        figure, axes = _canvas(10, ROW_INCHES * (height + 4.8))
        axes.set_xlim(NAME_X - 2.2, columns["missing"] + 0.8)
        axes.set_ylim(height + 1.0, -3.8)
        _class_header(axes, columns, height)
        top = 0
        for place, (corpus, labels) in enumerate(corpora.items()):
            if place % 2 == 0:
                _stripe(axes, top, lines[corpus])
            axes.text(NAME_X, top, corpus, ha="right", va="center", color=INK)
            _class_row(axes, top, labels, columns)
            top += lines[corpus]
        _class_legend(axes, table)
    return figure


def class_lines(labels: list[TableRow]) -> dict[tuple[str, ...], int]:
    """Choose the line for each set of classes: the first without another mark between its own."""
    lines = {row.esc: 0 for row in labels if len(row.esc) == 1}
    for esc in dict.fromkeys(row.esc for row in labels if len(row.esc) > 1):
        taken = {line for other, line in lines.items() if _between(esc, other)}
        lines[esc] = next(line for line in range(len(taken) + 1) if line not in taken)
    return lines


def _between(esc: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether the column ranges of two sets overlap."""
    mine, others = ([ESC_LABELS.index(fine) for fine in classes] for classes in (esc, other))
    return min(mine) <= max(others) and min(others) <= max(mine)


def intensity_figure(
    table: dict[tuple[str, str, str], TableRow], measured: dict[tuple[str, str], Distribution] | None = None
) -> Figure:
    """Draw the intensities of each corpus, from the table or as measured.

    Args:
        table (`dict`): from [`read_table`].
        measured (`dict`, *optional*): `(corpus, rule)` -> distribution in a built SEQD.
    """
    labels = by_corpus(table, "label")
    placed = {
        corpus: lanes(bands(labels[corpus], levels, measured or {}))
        for corpus, levels in by_corpus(table, "level").items()
    }
    height = sum(max(len(rows), 1) for rows in placed.values())
    with _style():
        figure, axes = _canvas(10, LANE_INCHES * (height + 3.8))
        axes.set_xlim(-0.27, 1.2)
        axes.set_ylim(height + 1.4, -2.4)
        top = 0
        for place, (corpus, rows) in enumerate(placed.items()):
            lines = max(len(rows), 1)
            if place % 2 == 0:
                _stripe(axes, top, lines)
            _intensity_rows(axes, top, corpus, rows, labels[corpus])
            top += lines
        _intensity_axis(axes, height)
        _intensity_legend(axes, {band.mark for rows in placed.values() for row in rows for band in row})
    return figure


def bands(labels: list[TableRow], levels: list[TableRow], measured: dict[tuple[str, str], Distribution]) -> list[Band]:
    """Make the bands of one corpus: labels grouped by intensity, and rules, then levels."""
    found = []
    for eis in dict.fromkeys(row.eis for row in labels):
        natives = names([row.native for row in labels if row.eis == eis])
        if isinstance(eis, tuple):
            found.append(Band(*eis, natives, "label"))
        elif eis in RULE_TEXT:
            known = measured.get((labels[0].corpus, eis))
            span = (known.low, known.high) if known else (0.0, 1.0)
            text = f"n = {known.number}" if known else RULE_TEXT[eis]
            found.append(Band(*span, text, "measured" if known else "rule", known))
    given = [row for row in levels if row.eis is not None]
    kind = "level" if any(row.eis == "level" for row in labels) else "unused"
    for eis in dict.fromkeys(row.eis for row in given):
        found.append(Band(*eis, names([row.native for row in given if row.eis == eis]), kind))
    return found


def lanes(found: list[Band]) -> list[list[Band]]:
    """Put overlapping bands into separate lanes; a rule has its own lane."""
    rows: list[list[Band]] = []
    for band in sorted(found, key=lambda band: (band.kind in ("rule", "measured"), band.low, band.high)):
        alone = band.kind in ("rule", "measured")
        free = [row for row in rows if not alone and row[-1].end <= band.low]
        if free:
            free[0].append(band)
        else:
            rows.append([band])
    return rows


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _stripe(axes: Axes, top: int, lines: int):
    axes.axhspan(top - 0.5, top + lines - 0.5, color=STRIPE, linewidth=0, zorder=0)


def _columns() -> dict[str, float]:
    """Return the x position of each fine class, with gaps between valence classes, and of `missing`."""
    columns, place = {}, 0.0
    for members in ESC_SCALES["valence"].values():
        for fine in members:
            columns[fine] = place
            place += 1
        place += GROUP_GAP
    return {**columns, "missing": place - GROUP_GAP + MISSING_GAP - 0.2}


def _valence_color(fine: str) -> str:
    return VALENCE_COLORS[coarse((fine,), "valence")[0]]


def _class_header(axes: Axes, columns: dict[str, float], height: int):
    scales = {"valence": ESC_SCALES["valence"], "basic": ESC_SCALES["basic"], "fine": ESC_LABELS}
    for y, (scale, classes) in zip((-3, -2, -1), scales.items(), strict=True):
        axes.text(NAME_X, y, f"{scale} ({len(classes)})", ha="right", va="center", color=PALE, style="italic")
    for y, scale in ((-3, "valence"), (-2, "basic")):
        for name, members in ESC_SCALES[scale].items():
            left, right = columns[members[0]] - 0.46, columns[members[-1]] + 0.46
            color = _valence_color(members[0])
            axes.add_patch(Rectangle((left, y - 0.4), right - left, 0.8, facecolor=color, linewidth=0))
            style = {"color": "white", "weight": "bold", "fontsize": 8 if len(members) > 1 else 6}
            axes.text((left + right) / 2, y, name, ha="center", va="center", **style)
    for fine in ESC_LABELS:
        axes.text(columns[fine], -1, fine, ha="center", va="center", color=INK, fontsize=7.5)
        axes.plot([columns[fine]] * 2, [-0.5, height - 0.5], color="#d9d9d9", linewidth=0.6, zorder=1)
    axes.text(columns["missing"], -1, "missing", ha="center", va="center", color=PALE, fontsize=7.5, style="italic")


def _class_row(axes: Axes, y: float, labels: list[TableRow], columns: dict[str, float]):
    one = {"markersize": 10, "markeredgewidth": 0}
    joined = {"color": INK, "linewidth": 1.3, "markersize": 9, "markerfacecolor": "white", "markeredgewidth": 1.3}
    for esc, line in class_lines(labels).items():
        xs = sorted(columns[fine] for fine in esc)
        style = joined if len(esc) > 1 else {"color": _valence_color(esc[0]), **one}
        axes.plot(xs, [y + line] * len(xs), "-o", zorder=3, **style)
        number = sum(row.esc == esc for row in labels)
        color = INK if len(esc) > 1 else "white"
        for x in xs if number > 1 else []:
            axes.text(x, y + line, str(number), ha="center", va="center_baseline", color=color, fontsize=7, zorder=4)
    unmapped = sum(not row.esc for row in labels)
    if unmapped:
        axes.plot(columns["missing"] - 0.12, y, "x", color=INK, markersize=6, markeredgewidth=1.4)
        axes.text(columns["missing"] + 0.12, y, str(unmapped), ha="left", va="center", color=INK, fontsize=7)


def _class_legend(axes: Axes, table: dict[tuple[str, str, str], TableRow]):
    handles = [
        Line2D([], [], marker="o", linestyle="", color=PALE, markersize=9, label="a native label means this class"),
        Line2D([], [], marker="$2$", linestyle="", color=INK, markersize=5, label="in a mark: how many labels"),
        Line2D([], [], marker="x", linestyle="", color=INK, markersize=6, label="labels without a class, how many"),
    ]
    if any(len(row.esc) > 1 for row in table.values()):
        ring = {"marker": "o", "markersize": 6, "markerfacecolor": "white"}
        handles.append(Line2D([], [], color=INK, label="a label means one of these", **ring))
    axes.legend(handles=handles, loc="lower center", ncols=4, frameon=False, fontsize=7.5, handletextpad=0.4)


def _intensity_axis(axes: Axes, height: int):
    for place, level in enumerate(EIS_LABELS):
        x = place / (len(EIS_LABELS) - 1)
        axes.plot([x, x], [-0.5, height - 0.5], color="#9a9a9a", linewidth=0.7, linestyle=(0, (3, 2)), zorder=1)
        axes.text(x, -1.45, level, ha="center", va="center", color=INK, weight="bold")
        axes.text(x, -0.85, f"{x:g}", ha="center", va="center", color=PALE, fontsize=7.5)
    axes.text(1.185, -1.15, "labels without\nintensity", ha="right", va="center", color=PALE, fontsize=7.5)


def _intensity_rows(axes: Axes, top: float, corpus: str, rows: list[list[Band]], labels: list[TableRow]):
    middle = top + max(len(rows), 1) / 2 - 0.5
    axes.text(-0.03, middle, corpus, ha="right", va="center", color=INK)
    without = sum(row.eis is None for row in labels)
    if without:
        axes.text(1.185, middle, f"{without} of {len(labels)}", ha="right", va="center", color=PALE, fontsize=7.5)
    if not rows:
        axes.text(0.5, middle, "no intensity", ha="center", va="center", color=PALE, style="italic", fontsize=7)
    for place, row in enumerate(rows):
        for band in row:
            _draw_band(axes, top + place, band)


def _draw_band(axes: Axes, y: float, band: Band):
    width, inside = band.high - band.low, band.end == band.high and band.kind != "measured"
    if band.kind == "measured":
        _draw_box(axes, y, band)
    elif band.mark == "point":
        axes.plot(band.low, y, "D", color=BLUE, markersize=6, markeredgewidth=0, zorder=3)
    elif band.kind == "rule":
        style = {"facecolor": "white", "edgecolor": INK, "linestyle": (0, (4, 2)), "linewidth": 0.9}
        axes.add_patch(Rectangle((band.low, y - 0.36), width, 0.72, zorder=2, **style))
    else:
        style = {"facecolor": BAND_COLORS[band.kind], "edgecolor": "white"}
        axes.add_patch(Rectangle((band.low, y - 0.36), width, 0.72, zorder=2, **style))
    x, side = ((band.low + band.high) / 2, "center") if inside else (band.high + 0.015, "left")
    x = 1.012 if band.kind == "measured" else x
    color = "white" if inside and band.kind == "label" else INK
    axes.text(x, y, band.text, ha=side, va="center", color=color, fontsize=7, zorder=4)


def _draw_box(axes: Axes, y: float, band: Band):
    known = band.measured
    axes.plot([known.low, known.high], [y, y], "|-", color=INK, linewidth=1, markersize=7, zorder=2)
    box = Rectangle((known.first, y - 0.3), known.third - known.first, 0.6, facecolor=ORANGE, edgecolor=INK, zorder=3)
    axes.add_patch(box)
    axes.plot([known.median] * 2, [y - 0.3, y + 0.3], color=INK, linewidth=1.8, zorder=4)


def _intensity_legend(axes: Axes, drawn: set[str]):
    dash = {"facecolor": "white", "edgecolor": INK, "linestyle": (0, (4, 2))}
    handles = {
        "point": Line2D([], [], marker="D", linestyle="", color=BLUE, markersize=6, label="a point"),
        "label": Patch(facecolor=BAND_COLORS["label"], label="labels in an interval"),
        "level": Patch(facecolor=BAND_COLORS["level"], label="native levels"),
        "unused": Patch(facecolor=BAND_COLORS["unused"], label="native levels, ratings used instead"),
        "rule": Patch(**dash, label="from ratings: anywhere in this range"),
        "measured": Patch(facecolor=ORANGE, edgecolor=INK, label="from ratings, measured: ends, quartiles, median"),
    }
    handles = [handle for mark, handle in handles.items() if mark in drawn]
    axes.legend(handles=handles, loc="lower center", ncols=5, frameon=False, fontsize=7.5, handletextpad=0.5)


@contextmanager
def _style() -> Iterator[None]:
    """Use matplotlib's defaults instead of the user's settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield
