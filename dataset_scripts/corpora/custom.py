"""A corpus without an adapter: its audio, a table or a pattern of file names, and a YAML file that explains both.

`python -m speecheq.dataset_scripts.build --out seqd --corpus mycorpus=mycorpus.yaml`; see BRING_YOUR_OWN.md.
"""

import logging
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from speecheq.dataset_scripts.corpora import corpus_yaml
from speecheq.dataset_scripts.corpora.corpus_yaml import LANGUAGE, PER_RATER, PER_SPEAKER, Description
from speecheq.dataset_scripts.corpora.records import (
    AUDIO_SUFFIXES,
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    nfc,
    options,
)
from speecheq.dataset_scripts.corpora.tables import Row, Table, number
from speecheq.dataset_scripts.metric import table as metric

NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
RESERVED = ("all",)  # the config of all corpora together
ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")  # how an absolute path begins, on any system
NUMBER = re.compile(r"0*(\d+)(?:\.0+(?!\d))?")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class CustomCorpus:
    """What an adapter has, read from a YAML file.

    Args:
        folder (`Path`): where the audio is.
        table (`tuple[TableRow, ...]`): its rows of the metric table, for [`metric.register`].
        sources (`tuple[Path, ...]`): the files beside the audio that its rows follow from: YAML and tables.
        description ([`Description`]): the YAML file.
    """

    CORPUS: str
    LICENSE: str
    HOMEPAGE: str
    CITATION: str
    REDISTRIBUTABLE: bool
    folder: Path
    table: tuple[metric.TableRow, ...]
    sources: tuple[Path, ...]
    description: Description

    def records(self, folder: Path | None = None) -> Iterator[NativeRecord | Skipped]:
        """Yield a record per row; report rows without audio and audio without a row.

        Args:
            folder (`Path`, *optional*, defaults to that of the YAML file): where the audio lies.

        Raises:
            CorpusError: if there is no audio, or a table is damaged as a whole.
        """
        folder = Path(folder or self.folder)
        files = _AudioFiles(folder)
        people = _people(self.description)
        claims: dict[tuple, list[_Cells]] = defaultdict(list)  # file and span -> the rows that describe them
        for cells in self._rows():
            written = ""
            try:
                written = cells.need("file")
                path = files.find(written, cells.table.path.parent, cells.where)
                claims[path, cells.text("start"), cells.text("end")].append(cells)
            except CorpusError as error:
                inside = written.replace("\\", "/").lstrip("/")
                yield Skipped(folder / (inside or cells.table.path.name), f"{self.CORPUS}: {error}")
        speakers = set()
        for (path, _, _), rows in claims.items():
            try:
                record = _record(_agreed(rows), path, files.name(path), people)
                speakers.add(record.speaker)
                yield record
            except CorpusError as error:
                yield Skipped(path, f"{self.CORPUS}: {error}")
        _note_alike(self.CORPUS, speakers)
        rule = " or ".join(dict.fromkeys(table.covers for _, table in self.description.recordings))
        for path in sorted(set(files.relative) - {path for path, _, _ in claims}):
            yield Skipped(path, f"{self.CORPUS}: file must {rule}; got {path.name!r}.")

    def _rows(self) -> Iterator["_Cells"]:
        used = {column for columns in self.description.columns.values() for column in columns}
        for part, table in self.description.recordings:
            for row in table.rows():
                cells = {column: cell for column, cell in row.cells.items() if column in used}
                yield _Cells(self.description, part, table, row._replace(cells=cells))


def load(name: str, path: Path) -> CustomCorpus:
    """Read a custom corpus.

    Args:
        name (`str`): its name in SEQD: lower-case letters, digits, `_` and `-`.
        path (`Path`): the YAML file.

    Raises:
        CorpusError: if the name is another, or the YAML file or a table is not as BRING_YOUR_OWN.md says.
    """
    if not NAME.fullmatch(name) or name in RESERVED:
        raise CorpusError(
            f"custom: name must be lower-case letters, digits, _ and -, and not {options(RESERVED)}; got {name!r}. "
            "Give the corpus another name."
        )
    description = corpus_yaml.read(path)
    tables = [table for _, table in description.recordings]
    if description.speakers:
        tables.append(description.speakers)
    return CustomCorpus(
        CORPUS=name,
        LICENSE=description.license,
        HOMEPAGE=description.homepage,
        CITATION=description.citation,
        REDISTRIBUTABLE=description.redistributable,
        folder=description.folder,
        table=tuple(_metric_rows(name, description)),
        sources=tuple(dict.fromkeys((description.path, *(table.path for table in tables)))),
        description=description,
    )


def _metric_rows(name: str, description: Description) -> Iterator[metric.TableRow]:
    """Labels and levels as rows of the metric table; what means neutral alone is 0, unless listeners rated it."""
    item = description.path.name
    for native, classes in description.labels.items():
        neutral = classes == ("neutral",) and description.rule in (None, "level")
        cells = {"field": "label", "native": native, "esc": "|".join(classes)}
        cells |= {"corpus": name, "eis": "0" if neutral else description.rule or "", "source": f"labels of {item}"}
        yield metric.parse_row(cells, f"{item}, label {native!r}")
    for native, interval in description.levels.items():
        cells = {"field": "level", "native": native, "esc": "", "eis": interval}
        cells |= {"corpus": name, "source": f"levels of {item}"}
        yield metric.parse_row(cells, f"{item}, level {native!r}")


class _AudioFiles:
    """The audio of a corpus, found as tables name it: by path, with another suffix or none, or by a name that is alone."""

    def __init__(self, folder: Path):
        self.folder = os.path.abspath(folder)
        self.relative: dict[Path, str] = {}
        self.by_path, self.by_stem, self.by_bare_name, self.by_bare_stem = (defaultdict(list) for _ in range(4))
        for path in find_audio(folder):
            relative = nfc(path.relative_to(folder).as_posix())
            stem = relative.rpartition(".")[0]
            self.relative[path] = relative
            self.by_path[relative].append(path)
            self.by_stem[stem].append(path)
            self.by_bare_name[relative.rpartition("/")[2]].append(path)
            self.by_bare_stem[stem.rpartition("/")[2]].append(path)

    def name(self, path: Path) -> str:
        """A name of its own for each file: its path in the folder without the suffix, `_` between the parts."""
        return self.relative[path].rpartition(".")[0].replace("/", "_")

    def find(self, written: str, beside: Path, where: str) -> Path:
        """Find a file of the audio folder.

        Args:
            written (`str`): as the table has it: relative to the audio folder or to the table, or absolute.
            beside (`Path`): folder of the table.
            where (`str`): the row, for messages.

        Raises:
            CorpusError: if there is no such file inside the folder, or more than one.
        """
        # Lexical: `..` must not lead out, but what the user linked into the folder belongs to it.
        bases = (self.folder, os.path.abspath(beside))
        paths = [os.path.normpath(os.path.join(base, written.replace("\\", "/"))) for base in bases]
        inside = [Path(path).relative_to(self.folder) for path in paths if Path(path).is_relative_to(self.folder)]
        elsewhere = ABSOLUTE.match(written) and not os.path.exists(written)
        another = (
            f"file must be relative to the audio folder; got {written!r}, an absolute path that is not on this machine, in "
            f"{where}. Remove the folders of the other machine from the column."
        )
        if not inside:
            if elsewhere:
                raise CorpusError(another)
            raise CorpusError(f"file must lie inside the audio folder; got {written!r} in {where}.")
        keys = [nfc(path.as_posix()) for path in inside]
        stems = [key.rpartition(".")[0] if key.lower().endswith(AUDIO_SUFFIXES) else key for key in keys]
        ways = ((self.by_path, keys), (self.by_stem, stems), (self.by_bare_name, keys), (self.by_bare_stem, stems))
        for index, wanted in ways:
            found = list(dict.fromkeys(path for key in wanted for path in index.get(key, ())))
            if len(found) > 1:
                several = options(self.relative[path] for path in found)
                raise CorpusError(f"file must name one recording; got {written!r} for {several} in {where}.")
            if found:
                return found[0]
        if any(os.path.isfile(os.path.join(self.folder, path)) for path in inside):
            raise CorpusError(f"file must be audio ({options(AUDIO_SUFFIXES)}); got {written!r} in {where}.")
        raise CorpusError(another if elsewhere else f"audio file must exist; got none for {written!r} in {where}.")


class _Cells:
    """The values of one row by field."""

    __slots__ = ("description", "part", "row", "table", "where")

    def __init__(self, description: Description, part: str | None, table: Table, row: Row):
        self.description, self.part, self.table, self.row = description, part, table, row
        self.where = table.place(row)

    def texts(self, field: str) -> list[str]:
        """The values of all columns of a field, empty ones too."""
        if self.row.problem:
            raise CorpusError(f"{self.row.problem} in {self.where}.")
        values = []
        for column in self.description.columns.get(field, ()):
            cell = self.row.cells.get(column, "")
            if isinstance(cell, tuple) and field not in PER_RATER:
                raise CorpusError(f"{field} must be one value; got a list in {self.where}.")
            values += cell if isinstance(cell, tuple) else [cell]
        return values

    def text(self, field: str) -> str | None:
        return next(iter(self.texts(field)), "") or None

    def need(self, field: str) -> str:
        """The value of a field without which a row says nothing."""
        value = self.text(field)
        if value is None:
            raise CorpusError(f"{field} must be given; got none in {self.where}.")
        return value

    def number(self, field: str) -> float | None:
        return self.read_number(field, self.text(field))

    def read_number(self, field: str, text: str | None) -> float | None:
        try:
            return number(text, self.description.decimal) if text else None
        except ValueError as error:
            name = self.description.path.name
            raise CorpusError(f"{field} {error} in {self.where}. Correct it, or set `decimal` in {name}.") from error

    def everything(self) -> dict[str, list[str] | str | None]:
        """What the row says, but for the name of its file: two ways to write one path say the same."""
        said = {field: self.texts(field) for field in self.description.columns if field != "file"}
        return said | {"part": self.part}


def _people(description: Description) -> dict[str, dict[str, str]]:
    """Speaker -> what the table of speakers says of gender and age."""
    people: dict[str, dict[str, str]] = {}
    table, columns = description.speakers, description.speaker_columns
    for row in table.rows() if table else ():
        where = f"{table.path.name}, line {row.line}"
        values = {key: row.cells.get(column, "") for key, column in columns.items()}
        if row.problem or not all(isinstance(value, str) for value in values.values()):
            raise CorpusError(
                f"custom: {row.problem or 'speakers must have one value per column; got a list'} in {where}."
            )
        speaker = values.pop("speaker")
        if people.setdefault(speaker, values) != values:
            raise CorpusError(f"custom: speaker must stand once; got {speaker!r} again, unlike before, in {where}.")
    return people


def _note_alike(corpus: str, speakers: set[str]):
    """Warn of speakers whose names differ only in case or in the spelling of a number: they may be one person."""
    alike = defaultdict(list)
    for speaker in sorted(speakers):
        alike[NUMBER.sub(r"\1", unicodedata.normalize("NFKC", speaker).casefold())].append(speaker)
    found = [" and ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if found:
        text = "%s: speakers differ only in case or in the spelling of a number: %s. Correct the table if they are one person."
        logger.warning(text, corpus, options(found))


def _agreed(rows: list[_Cells]) -> _Cells:
    """The first of the rows that describe one recording.

    Raises:
        CorpusError: if they contradict each other: which of them is right would be a guess.
    """
    if any(row.everything() != rows[0].everything() for row in rows[1:]):
        raise CorpusError(
            f"file must stand in one row; got {options(row.where for row in rows)}, which do not agree. "
            "Correct them; give start and end for parts of a file, votes for one label per rater."
        )
    return rows[0]


def _record(cells: _Cells, path: Path, name: str, people: dict[str, dict[str, str]]) -> NativeRecord:
    """Read one record.

    Raises:
        CorpusError: if a value is not as its field or the YAML file wants it.
    """
    description = cells.description
    speaker = cells.need("speaker") if "speaker" in description.columns else name
    if description.speakers and speaker not in people:
        table = description.speakers.path.name
        raise CorpusError(f"speaker must have a row in {table}; got none for {speaker!r} in {cells.where}.")
    person = {key: cells.text(key) for key in PER_SPEAKER} | people.get(speaker, {})
    start, end = _span(cells)
    part = "" if start is None and end is None else f"_{_milliseconds(start or 0.0)}-{_milliseconds(end)}"
    return NativeRecord(
        path=path,
        name=name + part,
        speaker=speaker,
        language=_language(cells),
        label=cells.text("label"),
        start=start,
        end=end,
        level=cells.text("level"),
        intensity=_intensity(cells),
        gender=_gender(cells, person["gender"]),
        age=_at_least_0("age", cells.read_number("age", person["age"]), cells.where),
        text=cells.text("text"),
        votes=_votes(cells),
        ratings=_ratings(cells),
        rating_scale=description.rating_scale,
        official_split=cells.text("split") or cells.part,
    )


def _span(cells: _Cells) -> tuple[float | None, float | None]:
    start = _at_least_0("start", cells.number("start"), cells.where)
    end = _at_least_0("end", cells.number("end"), cells.where)
    if end is not None and end <= (start or 0.0):
        raise CorpusError(f"end must be greater than start ({start or 0.0:g} s); got {end:g} in {cells.where}.")
    return start, end


def _milliseconds(seconds: float | None) -> str:
    return "end" if seconds is None else str(round(1000 * seconds))


def _at_least_0(field: str, value: float | None, where: str) -> float | None:
    if value is not None and value < 0:
        raise CorpusError(f"{field} must be 0 or more; got {value:g} in {where}.")
    return value


def _language(cells: _Cells) -> str:
    language = cells.text("language") or cells.description.language or ""
    if not LANGUAGE.fullmatch(language):
        raise CorpusError(f"language must be an ISO 639 code, such as de; got {language!r} in {cells.where}.")
    return language


def _intensity(cells: _Cells) -> float | None:
    value = cells.number("intensity")
    low, high = cells.description.intensity_scale
    if value is not None and not low <= value <= high:
        step = f"Set `intensity_scale` in {cells.description.path.name}."
        raise CorpusError(f"intensity must be from {low:g} to {high:g}; got {value:g} in {cells.where}. {step}")
    return None if value is None else (value - low) / (high - low)


def _gender(cells: _Cells, text: str | None) -> str | None:
    genders, name = cells.description.genders, cells.description.path.name
    if text and text not in genders:
        step = f"Map it in `genders` of {name}."
        raise CorpusError(f"gender must be one of {options(genders)}; got {text!r} in {cells.where}. {step}")
    return genders[text] if text else None


def _votes(cells: _Cells) -> tuple[str, ...]:
    separator = cells.description.vote_separator
    written = cells.texts("votes")
    votes = [vote.strip() for cell in written for vote in (cell.split(separator) if separator else [cell])]
    return tuple(vote for vote in votes if vote and vote not in cells.table.missing)


def _ratings(cells: _Cells) -> tuple[dict, ...] | None:
    named = [field for field in metric.DIMENSIONS if field in cells.description.columns]
    values = {field: [cells.read_number(field, text) for text in cells.texts(field)] for field in named}
    counts = {len(given) for given in values.values()}
    if len(counts) > 1:
        written = ", ".join(f"{len(given)} of {field}" for field, given in values.items())
        raise CorpusError(f"ratings must be as many in each dimension; got {written} in {cells.where}.")
    nothing = dict.fromkeys(metric.DIMENSIONS)
    raters = zip(*values.values(), strict=True)
    return tuple(nothing | dict(zip(named, rating, strict=True)) for rating in raters) or None
