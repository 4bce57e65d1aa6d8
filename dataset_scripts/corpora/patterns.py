"""File names that hold everything about a recording: a regular expression whose named groups are fields.

A built-in corpus declares a [`FilePattern`]; a custom corpus has the key `pattern` in its YAML file. A pattern must
match the whole file name, without its suffix or with it, and one folder more for each `/` in it.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath

from speecheq.dataset_scripts.corpora.records import (
    CorpusError,
    NativeRecord,
    Skipped,
    find_audio,
    look_up,
    options,
    parse_each,
)
from speecheq.dataset_scripts.corpora.tables import Row

FIELDS = ("speaker", "label", "level", "gender", "age", "text", "language", "split")
FOLDER = "folder_"  # a group `folder_label` gives the label a second time: it must be the same


def match_path(pattern: re.Pattern, path: PurePath) -> dict[str, str | None] | None:
    """The groups of a pattern in the end of a path, folders that it may leave out included; `None` if it does not match."""
    depth = pattern.pattern.replace("[^/", "").count("/") + 1
    for size in range(min(depth, len(path.parts)), 0, -1):
        for parts in (path.with_suffix("").parts, path.parts):
            if match := pattern.fullmatch("/".join(parts[-size:])):
                return match.groupdict()
    return None


@dataclass(frozen=True, kw_only=True)
class FilePattern:
    """The file names of a corpus.

    Args:
        corpus (`str`): its name, for messages.
        pattern (`str`): regular expression without the suffix, upper and lower case alike. Groups of [`FIELDS`] are the
            fields of the record. A group `folder_<field>` says the same in a folder: it must agree with the group of
            the field, or replaces it where the name has none. Other groups serve `name` alone.
        example (`str`): a name that the pattern matches, for messages.
        language (`str`): ISO 639-1 code.
        normalise (`Callable`, *optional*): applied to every group first, such as `str.lower`.
        codes (`Mapping`, *optional*): group -> code -> its meaning. Another code is refused.
        speakers (`Mapping`, *optional*): speaker -> gender. Another speaker is refused.
        name (`str`, *optional*): format of the utterance's name, where file names repeat: `"{speaker}_{label}"`.
        transcript (`Callable`, *optional*): audio file -> its transcript, or `None`.
    """

    corpus: str
    pattern: str
    example: str
    language: str
    normalise: Callable[[str], str] = str
    codes: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    speakers: Mapping[str, str | None] | None = None
    name: str | None = None
    transcript: Callable[[Path], str | None] | None = None

    @cached_property
    def compiled(self) -> re.Pattern:
        return re.compile(self.pattern, re.IGNORECASE)

    def record(self, path: Path) -> NativeRecord:
        """Read one record from the name of a file.

        Raises:
            CorpusError: if the name does not match, holds a code or a speaker that the corpus does not document, or
                contradicts its folder.
        """
        values = self._values(path)
        if "speaker" not in values:
            raise CorpusError(
                f"{self.corpus}: speaker must be in the name or the folder; got {path.name!r} in {path.parent.name!r}."
            )
        gender = values.get("gender")
        if self.speakers is not None:
            gender = look_up(values["speaker"], self.speakers, field="speaker", item=path.name)
        return NativeRecord(
            path=path,
            name=self.name.format(**values) if self.name else None,
            speaker=values["speaker"],
            language=values.get("language", self.language),
            label=values.get("label"),
            level=values.get("level"),
            gender=gender,
            age=float(values["age"]) if values.get("age") else None,
            text=self.transcript(path) if self.transcript else values.get("text"),
            official_split=values.get("split"),
        )

    def records(self, folder: Path) -> Iterator[NativeRecord | Skipped]:
        """Yield the records of a download.

        Raises:
            CorpusError: if the audio is missing.
        """
        yield from parse_each(find_audio(folder), self.record)

    def _values(self, path: Path) -> dict[str, str | None]:
        groups = match_path(self.compiled, path)
        if groups is None:
            raise CorpusError(f"{self.corpus}: name must be like {self.example}; got {path.name!r}.")
        written = {group: self.normalise(code) for group, code in groups.items() if code is not None}
        values = {group: self._decode(group, code, path) for group, code in written.items()}
        for group in [group for group in values if group.startswith(FOLDER)]:
            name, stated = group.removeprefix(FOLDER), values.pop(group)
            if values.setdefault(name, stated) != stated:
                raise CorpusError(
                    f"{self.corpus}: {name} must be that of the folder; got {path.name!r} in {path.parent.name!r}."
                )
        return values

    def _decode(self, group: str, code: str, path: Path) -> str | None:
        table = self.codes.get(group)
        return code if table is None else look_up(code, table, field=group, item=path.name)


@dataclass(frozen=True)
class NameTable:
    """The file names of a custom corpus as a table: one row per file that matches, one column per group.

    Args:
        path (`Path`): the YAML file that has the pattern.
        folder (`Path`): where the audio is.
        pattern (`str`): regular expression, used as it is.

    Raises:
        CorpusError: if the pattern is no regular expression, or its groups are not fields.
    """

    path: Path
    folder: Path
    pattern: str
    missing: tuple[str, ...] = ()
    is_jsonl = False

    def __post_init__(self):
        try:
            groups = tuple(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise CorpusError(
                f"custom: pattern must be a regular expression; got {error} in {self.path.name}. "
                "Write it in single quotes, in which YAML changes nothing."
            ) from error
        unknown = [group for group in groups if group not in FIELDS]
        if unknown or not groups:
            got = options(map(repr, unknown)) or "no group"
            raise CorpusError(
                f"custom: groups of pattern must be fields ({', '.join(FIELDS)}); got {got} in {self.path.name}. "
                "Write a group as (?P<label>...), and what is no field as (?:...)."
            )

    @property
    def covers(self) -> str:
        return f"match the pattern of {self.path.name}"

    def header(self) -> list[str]:
        """The column of the file, and one for each group."""
        return ["file", *re.compile(self.pattern).groupindex]

    def rows(self) -> Iterator[Row]:
        """A row for each file that matches. A group that takes no part in the match is empty."""
        compiled = re.compile(self.pattern)
        for number, path in enumerate(find_audio(self.folder), start=1):
            relative = path.relative_to(self.folder)
            groups = match_path(compiled, relative)
            if groups is not None:
                yield Row(
                    number, {"file": relative.as_posix()} | {group: code or "" for group, code in groups.items()}
                )

    def place(self, row: Row) -> str:
        """Where a row stands, for messages."""
        return repr(row.cells["file"])
