"""Output formats of the command line: table, JSON lines, CSV and TextGrids.

A text format has a `head` and a `row` for each file. JSON lines and CSV can be read back, so that a run can resume.
"""

import csv
import io
import json
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from praatio.data_classes.interval_tier import IntervalTier
from praatio.data_classes.textgrid import Textgrid
from tqdm import tqdm

from speecheq.audio_speecheq import masked

CSV_COLUMNS = (
    "file", "label", "score", "abstained", "intensity", "intensity_level", "intensity_low", "intensity_high", "gender",
    "gender_score", "duration", "speech", "phonemes", "error",
)  # fmt: skip
FILE_WIDTHS = (12, 48)  # smallest and largest width of the file column of the table, in terminal columns


class JsonLines:
    """Format with one line of JSON per file: `{"file": name, **answer}`.

    Args:
        each (`bool`, *optional*, defaults to `False`): one line per channel, with the field `channel`.
    """

    head = ""
    _begin = b'{"file": '

    def __init__(self, each: bool = False):
        self.each = each

    def row(self, file: str, answer: dict) -> str:
        return json.dumps({"file": file, **answer}, ensure_ascii=False) + "\n"

    def complete(self, record: bytes) -> bool:
        """Return whether the bytes are a complete row."""
        return record.endswith(b"\n")

    def parse(self, record: bytes) -> tuple[str, bool, frozenset[str]]:
        """Return the file of a row, whether it failed, and its labels.

        Raises:
            ValueError: if the bytes are not a row of this format.
        """
        row = json.loads(record)
        if not isinstance(row, dict) or not isinstance(row.get("file"), str) or ("channel" in row) != self.each:
            raise ValueError("not a row")
        try:
            labels = {row.get("label"), *(entry["label"] for entry in row.get("emotion", ()))} - {None}
        except (KeyError, TypeError):
            raise ValueError("not a row") from None
        return row["file"], "error" in row, frozenset(labels)

    def torn(self, rest: bytes, rows_before: bool) -> bool:
        """Return whether the end of a file is an incomplete row."""
        return rest.startswith(self._begin) or self._begin.startswith(rest)


class Csv:
    """Format with one CSV row per file, see `CSV_COLUMNS`; scores have four decimals, phonemes are IPA symbols.

    Args:
        each (`bool`, *optional*, defaults to `False`): one row per channel, with the column `channel` after `file`.
    """

    def __init__(self, each: bool = False):
        self.each = each
        self._columns = ("file", "channel", *CSV_COLUMNS[1:]) if each else CSV_COLUMNS
        self.head = ",".join(self._columns) + "\n"

    def row(self, file: str, answer: dict) -> str:
        intensity, gender = answer.get("intensity") or {}, answer.get("gender") or {}
        low, high = intensity.get("interval", (None, None))
        known = {
            "score": answer.get("score"), "intensity": intensity.get("value"), "intensity_low": low,
            "intensity_high": high, "gender_score": gender.get("score"),
        }  # fmt: skip
        cells = {name: f"{value:.4f}" for name, value in known.items() if value is not None}
        cells |= {name: answer.get(name) for name in ("label", "abstained", "duration", "speech", "error")}
        cells |= {"channel": answer.get("channel")} if self.each else {}
        cells |= {"file": file, "intensity_level": intensity.get("level"), "gender": gender.get("label")}
        cells["phonemes"] = " ".join(entry["phoneme"] for entry in answer.get("phonemes", ()))
        line = io.StringIO()
        csv.DictWriter(line, self._columns, lineterminator="\n").writerow(cells)
        return line.getvalue()

    def complete(self, record: bytes) -> bool:
        """Return whether the bytes are a complete row; a line break in quotes does not end a row."""
        return record.endswith(b"\n") and record.count(b'"') % 2 == 0

    def parse(self, record: bytes) -> tuple[str, bool, frozenset[str]]:
        """Return the file of a row, whether it failed, and its label.

        Raises:
            ValueError: if the bytes are not a row of this format.
        """
        csv.field_size_limit(max(csv.field_size_limit(), len(record)))  # an hour of phonemes exceeds the default limit
        cells = next(csv.reader(io.StringIO(record.decode(), newline="")), [])
        if len(cells) != len(self._columns):
            raise ValueError("not a row")
        return cells[0], bool(cells[-1]), frozenset({cells[self._columns.index("label")]} - {""})

    def torn(self, rest: bytes, rows_before: bool) -> bool:
        """Return whether the end of a file is an incomplete row or head."""
        return rows_before or self.head.encode().startswith(rest)


class Table:
    """Format of a plain-text table for a terminal.

    Args:
        files (`Sequence[str]`): all files of the table; they set the width of the first column, within `FILE_WIDTHS`.
        each (`bool`, *optional*, defaults to `False`): one row per channel, with the column `channel` after `file`.
    """

    def __init__(self, files: Sequence[str], each: bool = False):
        low, high = FILE_WIDTHS
        self.each = each
        self._width = min(max(low, *(_width(_shown(file)) for file in files)), high)
        self.head = self._line("file", "channel", "label", "score", "intensity", "gender", "duration")

    def row(self, file: str, answer: dict) -> str:
        if "error" in answer:
            return f"{self._name(file, answer.get('channel') or '')}  error: {_printable(answer['error'])}\n"
        score, intensity, gender = answer["score"], answer["intensity"], answer["gender"]
        return self._line(
            file,
            answer.get("channel"),
            answer["label"] or f"({answer['abstained']})",
            "" if score is None else f"{score:.2f}",
            "" if intensity is None else f"{intensity['value']:.2f} {intensity['level']}",
            "" if gender is None else gender["label"],
            f"{answer['duration']:.1f} s",
        )

    def _line(self, file, channel, label, score, intensity, gender, duration) -> str:
        cells = f"{self._name(file, channel)}  {label:16}  {score:>5}  {intensity:13}  {gender:6}  {duration:>9}"
        return cells.rstrip() + "\n"

    def _name(self, file: str, channel: int | str | None) -> str:
        return self._fitted(file) + (f"  {channel:>7}" if self.each else "")

    def _fitted(self, file: str) -> str:
        """Fit a name to the column width; keep the end of a long name."""
        file = _printable(file)
        if _width(file) > self._width:
            while _width(file) >= self._width:
                file = file[1:]
            file = "…" + file
        return file + " " * (self._width - _width(file))


class Rows:
    """Writer of text rows, flushed after each row.

    Args:
        rows ([`JsonLines`], [`Csv`] or [`Table`]): the format.
        out (`Path`, *optional*): output file, to resume if it exists; the standard output by default. A device or pipe is only
            written to, because reading it could block.

    Raises:
        ValueError: if the file exists and contains something else.
    """

    def __init__(self, rows: JsonLines | Csv | Table, out: Path | None = None):
        self._rows, self._out, self._stream = rows, out, sys.stdout
        found = standing(out, rows) if out is not None and out.is_file() else ({}, 0, set())
        self._standing, self._kept, self._labels = found

    def failed(self, file: str) -> bool | None:
        """Return whether a file failed in an earlier run; `None` if it has no row."""
        return self._standing.get(_shown(file))

    def refuse_other_labels(self, labels: Iterable[str], top_k: int | None):
        """Check that the existing rows have the label space of this run.

        Args:
            labels (`Iterable[str]`): label space of this run.
            top_k (`int`, *optional*): number of scored labels in a row; all by default.

        Raises:
            ValueError: if a row has other labels, or another number of scored labels.
        """
        labels = set(labels)
        scored = min(top_k or len(labels), len(labels))
        for of_row in self._labels:  # a row with a single label may have no scores
            if not of_row <= labels or 1 < len(of_row) != scored:
                raise ValueError(
                    f"--out must be a new file, or have rows of the same --scale, --labels and --top-k; got a row with "
                    f"{', '.join(sorted(map(str, of_row))[:10])} in {os.fspath(self._out)!r}. Pass another file."
                )

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Open the output for [`~Rows.write`] within this context."""
        if self._out is None:
            if hasattr(sys.stdout, "reconfigure"):
                encoding = None if isinstance(self._rows, Table) else "utf-8"
                sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")
            self._begin()
            yield
            return
        with open(self._out, "a", encoding="utf-8", newline="") as self._stream:
            if self._out.is_file():
                self._stream.truncate(self._kept)
            self._begin()
            yield

    def _begin(self):
        if not self._kept:
            self._stream.write(self._rows.head)
            self._stream.flush()

    def write(self, file: str, *answers: dict):
        """Write the row of a file, or the rows of its channels."""
        with tqdm.external_write_mode(self._stream):
            self._stream.write("".join(self._rows.row(_shown(file), answer) for answer in answers))
            self._stream.flush()


class TextGrids:
    """Writer of one TextGrid per file; errors go to the standard error.

    Args:
        paths (`dict[str, Path]`): file -> its TextGrid. Existing TextGrids are kept, because they may contain corrections.
    """

    def __init__(self, paths: dict[str, Path]):
        self._paths = paths

    def failed(self, file: str) -> bool | None:
        """Return `False` for a file with a TextGrid, `None` for other files."""
        return False if self._paths[file].exists() else None

    def refuse_other_labels(self, labels: Iterable[str], top_k: int | None):
        """Accept all existing TextGrids, with any labels."""

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Do nothing: no file is open between two TextGrids."""
        yield

    def write(self, file: str, *answers: dict):
        """Write one TextGrid, or print the first error."""
        for answer in answers:
            if "error" in answer:
                tqdm.write(f"{_shown(file)}: {answer['error']}", file=sys.stderr)
                return
        self._paths[file].parent.mkdir(parents=True, exist_ok=True)
        write_text_grid(answers, self._paths[file])


def standing(path: str | os.PathLike, rows: JsonLines | Csv) -> tuple[dict[str, bool], int, set[frozenset[str]]]:
    """Read the rows of an earlier run.

    Args:
        path (`str` or `Path`): the output file.
        rows ([`JsonLines`] or [`Csv`]): its format.

    Returns:
        `tuple`: file -> whether it failed; the number of bytes of the complete rows, after which there is at most an
        incomplete row; and the set of labels of each row. If the last row is incomplete, its file is scored again, with all
        its channels.

    Raises:
        ValueError: if the file contains anything else, because it is not an output of this command.
    """
    failed, begin, kept, found, record = {}, {}, 0, set(), b""
    with open(path, "rb") as lines:
        for line in lines:
            record += line
            if not kept and rows.head and record != rows.head.encode():
                break
            if not rows.complete(record):
                continue
            if kept or not rows.head:
                try:
                    file, wrong, labels = rows.parse(record)
                except (ValueError, csv.Error):  # JSON and UTF-8 errors are ValueErrors
                    raise _not_our_output(path, record) from None
                failed[file] = failed.get(file, False) or wrong
                begin.setdefault(file, kept)
                found |= {labels} - {frozenset()}
            kept, record = kept + len(record), b""
    if record and not rows.torn(record, kept > 0):
        raise _not_our_output(path, record)
    if record and rows.each and failed:  # it may be a channel of the file of the rows before it
        kept = begin[file]
        del failed[file]
    return failed, kept, found


def write_text_grid(answers: list[dict], path: str | os.PathLike):
    """Write a TextGrid for Praat and ELAN with the tiers `emotion`, `intensity` and `phonemes`.

    If the answers have a `channel`, each channel has its own tiers, such as `emotion 1`.

    Format: https://www.fon.hum.uva.nl/praat/manual/TextGrid_file_formats.html.

    Args:
        answers (`list[dict]`): outputs of the pipeline for one file, with `duration`, `timeline` and `phonemes`.
        path (`str` or `Path`): the file, replaced atomically.
    """
    duration = answers[0]["duration"]
    grid = Textgrid(0, duration)
    for answer in answers:
        timeline, channel = answer["timeline"], f" {answer['channel']}" if "channel" in answer else ""
        tiers = {
            "emotion": [(part["start"], part["end"], part["label"]) for part in timeline],
            "intensity": [(part["start"], part["end"], f"{part['intensity']:.2f}") for part in timeline],
            "phonemes": [(part["start"], part["end"], part["phoneme"]) for part in answer["phonemes"]],
        }
        for name, intervals in tiers.items():
            grid.addTier(IntervalTier(name + channel, _apart(intervals, duration), 0, duration))
    path = Path(path)
    unfinished = path.with_name(path.name + ".partial")
    grid.save(str(unfinished), format="long_textgrid", includeBlankSpaces=True)
    os.replace(unfinished, path)


def _apart(intervals: list[tuple[float, float, str]], duration: float) -> list[tuple[float, float, str]]:
    """Clip intervals to the duration, and cut overlapping ones at their middle, because Praat allows no overlap."""
    bounds = [[max(start, 0.0), min(end, duration)] for start, end, _ in intervals]
    for one, two in pairwise(bounds):
        if two[0] < one[1]:
            one[1] = two[0] = (two[0] + min(one[1], two[1])) / 2
    labels = (label for _, _, label in intervals)
    return [(start, end, label) for (start, end), label in zip(bounds, labels, strict=True) if start < end]


def _not_our_output(path, record: bytes) -> ValueError:
    return ValueError(
        f"--out must be a new file, or have rows of this command with the same --format and --channels; got {record[:40]!r} in "
        f"{os.fspath(path)!r}. Pass another file."
    )


def _shown(file: str) -> str:
    """Mask the password of an address, and escape bytes of a name that are not UTF-8, which Linux allows."""
    return masked(file).encode("utf-8", "backslashreplace").decode()


def _printable(text: str) -> str:
    """Replace line breaks and terminal control characters."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _width(text: str) -> int:
    """Return the width in terminal columns; a Chinese character takes two."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)
