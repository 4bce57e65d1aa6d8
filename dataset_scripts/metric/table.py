"""Multi-scale unified metric: map the native labels of every corpus to ESC classes and EIS intervals.

`table.csv` contains the mapping. It has one row per native label (`field` = `label`) or native intensity level
(`field` = `level`):

- `esc`: possible fine classes of the label, joined by `|`; empty means missing;
- `eis`: intensity in [0, 1]: a point (`0`), an interval (`0.125..0.375`), a rule (`valence_arousal`: from the raters'
  dimensions; `level`: from the row of the record's native level; `rated`: from listeners' intensity ratings), or empty for
  missing;
- `source`: where the native label is defined.
"""

import csv
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, UnknownLabelError, options
from speecheq.labels_speecheq import ESC_LABELS

TABLE = Path(__file__).with_name("table.csv")
TABLE_NAME = "dataset_scripts/metric/table.csv"  # for messages
FIELDS = ("label", "level")
RULES = ("valence_arousal", "level", "rated")
DIMENSIONS = ("valence", "arousal", "dominance")


@dataclass(frozen=True)
class TableRow:
    """One row of the metric table. `eis` is an interval `(low, high)`, the name of a rule, or `None`."""

    corpus: str
    field: str
    native: str
    esc: tuple[str, ...]
    eis: tuple[float, float] | str | None
    source: str


def read_table(path: Path = TABLE) -> dict[tuple[str, str, str], TableRow]:
    """Read and check a metric table.

    Returns:
        `dict`: `(corpus, field, native)` -> [`TableRow`], in the order of the file.

    Raises:
        CorpusError: if a row has an unknown field, class or rule, an interval outside [0, 1], no source, or a label that
            an earlier row already maps.
    """
    rows: dict[tuple[str, str, str], TableRow] = {}
    with Path(path).open(encoding="utf-8", newline="") as file:
        for line, cells in enumerate(csv.DictReader(file), start=2):
            row = parse_row(cells, f"{Path(path).name}, line {line}")
            key = (row.corpus, row.field, row.native)
            if key in rows:
                raise CorpusError(
                    f"metric table: native must be unique in its corpus and field; got {key} twice in line {line}."
                )
            rows[key] = row
    return rows


def parse_row(cells: dict[str, str], item: str) -> TableRow:
    """Parse and check one row.

    Args:
        cells (`dict[str, str]`): `corpus`, `field`, `native`, `esc`, `eis` and `source`, as written in the table.
        item (`str`): location of the row, for messages.

    Raises:
        CorpusError: see [`read_table`].
    """
    esc = tuple(cells["esc"].split("|")) if cells["esc"] else ()
    _check(cells["field"] in FIELDS, "field", f"be one of {options(FIELDS)}", cells["field"], item)
    for fine in esc:
        _check(fine in ESC_LABELS, "esc", f"have only fine classes ({', '.join(ESC_LABELS)})", fine, item)
    _check(len(set(esc)) == len(esc), "esc", "have each class only once", cells["esc"], item)
    _check(bool(cells["source"]), "source", "say where the native label is defined", cells["source"], item)
    eis = _parse_eis(cells["eis"], item)
    if cells["field"] == "level":
        _check(not esc, "esc", "be empty for a level", cells["esc"], item)
        _check(not isinstance(eis, str), "eis", "be a point or an interval for a level", cells["eis"], item)
    return TableRow(cells["corpus"], cells["field"], cells["native"], esc, eis, cells["source"])


def _parse_eis(text: str, item: str) -> tuple[float, float] | str | None:
    if not text or text in RULES:
        return text or None
    rule = f"be empty, a point, low..high within [0, 1], or one of {options(RULES)}"
    try:
        low, _, high = text.partition("..")
        interval = (float(low), float(high or low))
    except ValueError:
        interval = (math.nan, math.nan)
    _check(0 <= interval[0] <= interval[1] <= 1, "eis", rule, text, item)
    return interval


def _check(holds: bool, field: str, rule: str, value: str, item: str):
    if not holds:
        raise CorpusError(f"metric table: {field} must {rule}; got {value!r} in {item}.")


_registered: dict[str, tuple[TableRow, ...]] = {}  # corpus -> its rows


@cache
def metric_table() -> dict[tuple[str, str, str], TableRow]:
    """Return the table of this repository and the rows that [`register`] added; read once."""
    added = {(row.corpus, row.field, row.native): row for rows in _registered.values() for row in rows}
    return read_table() | added


def register(rows: Iterable[TableRow]):
    """Add rows of custom corpora in this process; they replace earlier rows of the same corpora.

    Args:
        rows (`Iterable[TableRow]`): from [`parse_row`].

    Raises:
        CorpusError: if the table of this repository has a corpus of that name.
    """
    found: dict[str, list[TableRow]] = {}
    for row in rows:
        found.setdefault(row.corpus, []).append(row)
    shipped = dict.fromkeys(corpus for corpus, _, _ in read_table())
    for corpus in found:
        if corpus in shipped:
            raise CorpusError(
                f"register: corpus must not be in {TABLE_NAME} ({options(shipped)}); got {corpus!r}. "
                "Choose another name."
            )
    _registered.update({corpus: tuple(group) for corpus, group in found.items()})
    metric_table.cache_clear()


def table_row(corpus: str, field: str, native: str, item: str = "") -> TableRow:
    """Find the row of a native label or level.

    Raises:
        UnknownLabelError: if the corpus or the label is not in the table.
    """
    table = metric_table()
    if (corpus, field, native) not in table:
        known = [key[2] for key in table if key[:2] == (corpus, field)]
        corpora = dict.fromkeys(key[0] for key in table)
        rule = f"one of {options(known)}" if known else f"of a corpus in the table ({options(corpora)})"
        step = (
            f"Map it in {_registered[corpus][0].source}."
            if corpus in _registered
            else f"Add a row for it to {TABLE_NAME}."
        )
        raise UnknownLabelError(f"metric table: {field} must be {rule}; got {native!r} in {item or corpus!r}. {step}")
    return table[corpus, field, native]


def label_space(corpus: str) -> dict[str, list[str]]:
    """Return the label space of a corpus: native label -> fine classes, in table order, without unmapped labels.

    It is empty for a corpus with levels only, such as BAVED.

    Raises:
        CorpusError: if the table has no rows of the corpus.
    """
    rows = [row for row in metric_table().values() if row.corpus == corpus]
    if not rows:
        corpora = dict.fromkeys(key[0] for key in metric_table())
        raise CorpusError(
            f"label_space: corpus must be one of {options(corpora)}; got {corpus!r}. Add its rows to {TABLE_NAME}."
        )
    return {row.native: list(row.esc) for row in rows if row.field == "label" and row.esc}


def esc_set(corpus: str, label: str | None, item: str = "") -> list[str] | None:
    """Return the possible fine classes of a native label, or `None` if it is missing or has none.

    Raises:
        CorpusError: if the label is not in the table.
    """
    if label is None:
        return None
    return list(table_row(corpus, "label", label, item).esc) or None


def esc_votes(corpus: str, votes: list[str], item: str = "") -> list[dict] | None:
    """Compute the raters' distribution over sets of fine classes.

    Args:
        corpus (`str`): corpus name.
        votes (`list[str]`): native label from each rater; votes that the table maps to missing are ignored.
        item (`str`, *optional*): the utterance, for messages.

    Returns:
        `list[dict]` or `None`: `{"esc": [...], "weight": ...}` in the order of the classes, with weights that sum to 1;
        `None` without votes.

    Raises:
        CorpusError: if a vote is not in the table.
    """
    sets = (table_row(corpus, "label", vote, item).esc for vote in votes)
    counts = Counter(esc for esc in sets if esc)
    total = sum(counts.values())
    ordered = sorted(counts, key=lambda esc: [ESC_LABELS.index(fine) for fine in esc])
    return [{"esc": list(esc), "weight": counts[esc] / total} for esc in ordered] or None


def valence_arousal(valence: float, arousal: float, scale: tuple[float, float]) -> float:
    """Compute the intensity of one rating: distance from the neutral centre divided by the largest possible one.

    Intensity as distance in the valence-arousal plane: Russell 1980, https://doi.org/10.1037/h0077714, and Reisenzein
    1994, https://doi.org/10.1037/0022-3514.67.3.525.

    Args:
        valence (`float`): on the native scale.
        arousal (`float`): on the native scale.
        scale (`tuple[float, float]`): ends of the native scale; the neutral centre is the middle.

    Returns:
        `float`: in [0, 1].
    """
    low, high = scale
    centre = (low + high) / 2
    return math.hypot(valence - centre, arousal - centre) / math.hypot(high - centre, high - centre)


def intensity(corpus: str, record: NativeRecord) -> tuple[float, float] | None:
    """Return the emotion intensity of a record as an interval `(low, high)` in [0, 1], or `None` if it is missing.

    Raises:
        CorpusError: if its label or level is not in the table, or a rating is outside its scale.
    """
    item = record.path.name
    level = None if record.level is None else table_row(corpus, "level", record.level, item).eis
    if record.label is None:
        return level
    rule = table_row(corpus, "label", record.label, item).eis
    if rule == "level":
        return level
    if rule == "rated":
        _check_intensity(record)
        return None if record.intensity is None else (record.intensity,) * 2
    if rule == "valence_arousal":
        _check_ratings(record)
        pairs = [(rating.get("valence"), rating.get("arousal")) for rating in record.ratings or ()]
        points = [valence_arousal(*pair, record.rating_scale) for pair in pairs if None not in pair]
        return (sum(points) / len(points),) * 2 if points else None
    return rule


def dimensions(record: NativeRecord) -> dict[str, float | None]:
    """Return mean valence, arousal and dominance over the raters, rescaled to [-1, 1]; `None` without ratings.

    Raises:
        CorpusError: if a rating is outside its scale.
    """
    _check_ratings(record)
    low, high = record.rating_scale
    means = {}
    for name in DIMENSIONS:
        given = [rating[name] for rating in record.ratings or () if rating.get(name) is not None]
        means[name] = 2 * (sum(given) / len(given) - low) / (high - low) - 1 if given else None
    return means


def _check_intensity(record: NativeRecord):
    if record.intensity is not None and not 0 <= record.intensity <= 1:
        raise CorpusError(
            f"metric: intensity must be from 0 to 1; got {record.intensity:g} in {record.path.name!r}. "
            "Correct the annotation file, or the adapter that reads it."
        )


def _check_ratings(record: NativeRecord):
    low, high = record.rating_scale
    for rating in record.ratings or ():
        for name, value in rating.items():
            if value is not None and not low <= value <= high:
                raise CorpusError(
                    f"metric: {name} must be from {low:g} to {high:g}; got {value:g} in {record.path.name!r}. "
                    "Correct the annotation file, or the adapter's rating_scale."
                )
