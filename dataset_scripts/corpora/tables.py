"""Read a CSV, TSV or JSONL table row by row. A damaged row is reported with its line, and the others are still read.

Names of columns and values are read in the Unicode form NFC.
"""

import codecs
import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from speecheq.dataset_scripts.corpora.records import CorpusError, nfc, options

DELIMITERS = {".csv": ",", ".tsv": "\t"}
JSONL = ".jsonl"
NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.IGNORECASE)
ENCODING = "utf-8-sig"  # UTF-8, with or without a byte order mark

Cell = str | tuple[str, ...]


class Row(NamedTuple):
    """One row: its last line in the file, column -> value as text (a list of JSONL as a tuple), and what is wrong with it.

    An empty or missing value is `""`; a row with a `problem` has no cells.
    """

    line: int
    cells: dict[str, Cell]
    problem: str | None = None


@dataclass(frozen=True)
class Table:
    """A CSV, TSV or JSONL with named columns.

    Args:
        path (`Path`): its suffix gives the format; with `delimiter`, any suffix is read as CSV.
        delimiter (`str`, *optional*): one character; `,` in CSV and a tab in TSV by default.
        encoding (`str`, *optional*, defaults to UTF-8): the name of a Python codec.
        missing (`tuple[str, ...]`, *optional*): what the table writes for a missing value, beside an empty cell.

    Raises:
        CorpusError: if the file is missing, of another kind, or in an unknown encoding.
    """

    path: Path
    delimiter: str | None = None
    encoding: str = ENCODING
    missing: tuple[str, ...] = ()

    def __post_init__(self):
        suffix = self.path.suffix.lower()
        if not self.path.is_file():
            raise CorpusError(
                f"table: file must exist; got no {self.path.name!r} in {str(self.path.parent)!r}. "
                "Correct its path, which begins at the YAML file."
            )
        if suffix not in (*DELIMITERS, JSONL) and not self.delimiter:
            raise CorpusError(
                f"table: file must end in {options(DELIMITERS)} or {JSONL}; got {self.path.name!r}. "
                "Export it as CSV, or set `delimiter`."
            )
        try:
            " ".encode(self.encoding)
        except LookupError as error:
            raise CorpusError(
                f"table: encoding must be a codec of Python, such as utf-8, utf-16 or cp1252; got {self.encoding!r}."
            ) from error

    @property
    def is_jsonl(self) -> bool:
        return self.path.suffix.lower() == JSONL and not self.delimiter

    @property
    def covers(self) -> str:
        """What a file of the corpus must do to be in the table, for messages."""
        return f"have a row in {self.path.name}"

    def place(self, row: Row) -> str:
        """Where a row stands, for messages."""
        return f"{self.path.name}, line {row.line}"

    def header(self) -> list[str]:
        """The columns in their order; of JSONL, every key of any line.

        Raises:
            CorpusError: if there are none, a column stands twice, or the file cannot be decoded.
        """
        if self.is_jsonl:
            found = list(dict.fromkeys(key for row in self.rows() for key in row.cells))
        else:
            found = next((row for _, row in self._records()), [])
        twice = [column for column, count in Counter(found).items() if count > 1 and column]
        if not any(found) or twice:
            rule = "have a column of each name once" if twice else "begin with the names of its columns"
            got = f"{twice[0]!r} twice" if twice else "none"
            raise CorpusError(f"table: {self.path.name} must {rule}; got {got}. Correct its first line.")
        return found

    def rows(self) -> Iterator[Row]:
        """Read row by row; empty ones are left out.

        Raises:
            CorpusError: if the file cannot be decoded, or is no CSV from some line on.
        """
        if self.is_jsonl:
            for line, text in self._lines():
                if text.strip():
                    yield self._parse_json(line, text)
            return
        records = self._records()
        _, header = next(records, (0, []))
        for line, cells in records:
            if len(cells) != len(header) and any(cells):
                rule = f"have {len(header)} values as the first line has; got {len(cells)}"
                yield Row(line, {}, f"row must {rule}. Put values that hold the delimiter between quotes")
            elif any(cells):
                yield Row(line, {name: self._known(cell) for name, cell in zip(header, cells, strict=True)})

    def _lines(self) -> Iterator[tuple[int, str]]:
        encoding = ENCODING if codecs.lookup(self.encoding).name == "utf-8" else self.encoding
        try:
            with self.path.open(encoding=encoding, newline="") as file:
                yield from enumerate(file, start=1)
        except UnicodeError as error:
            raise CorpusError(
                f"table: {self.path.name} must be text in {self.encoding}; got {error}. "
                "Set `encoding`, for example cp1252 or utf-16."
            ) from error

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """CSV by RFC 4180. In TSV a quotation mark is a letter, as in `read_table` of records.py."""
        delimiter = self.delimiter or DELIMITERS[self.path.suffix.lower()]
        quoting = csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL
        texts = (text for _, text in self._lines())
        reader = csv.reader(texts, delimiter=delimiter, quoting=quoting, strict=True, skipinitialspace=True)
        try:
            for cells in reader:
                yield reader.line_num, [nfc(cell.strip()) for cell in cells]
        except csv.Error as error:
            raise CorpusError(
                f"table: {self.path.name} must be CSV by RFC 4180; got {error} in line {reader.line_num}. "
                "Correct the quotation marks there."
            ) from error

    def _parse_json(self, line: int, text: str) -> Row:
        try:
            value = json.loads(text)
            if not isinstance(value, dict):
                raise ValueError(f"a {type(value).__name__}")
            cells = {nfc(key.strip()): self._cell(cell) for key, cell in value.items()}
        except (ValueError, RecursionError) as error:
            return Row(line, {}, f"row must be a JSON object of texts, numbers and lists of them; got {error}")
        return Row(line, cells)

    def _cell(self, value) -> Cell:
        if isinstance(value, list):
            return tuple(self._scalar(element) for element in value)
        return self._scalar(value)

    def _scalar(self, value) -> str:
        if isinstance(value, dict | list):
            raise ValueError(f"a {type(value).__name__} inside")
        if value is None:
            return ""
        return self._known(nfc(value.strip()) if isinstance(value, str) else json.dumps(value))

    def _known(self, text: str) -> str:
        return "" if text in self.missing else text


def number(text: str, decimal: str = ".") -> float:
    """Read a number as tables write it: no thousands marks, nothing but digits, sign, decimal mark and exponent.

    Raises:
        ValueError: if it is written otherwise, or is not finite.
    """
    plain = text if decimal == "." else text.translate(str.maketrans(",.", ".,"))
    if not NUMBER.fullmatch(plain) or not math.isfinite(float(plain)):
        raise ValueError(f"must be a number with {decimal!r} as its decimal mark; got {text!r}")
    return float(plain)
