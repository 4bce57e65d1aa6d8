"""The YAML file that describes a custom corpus, read and checked. BRING_YOUR_OWN.md explains its keys.

YAML is read as text alone: YAML 1.1 makes `false` of the language `no`, and 1 of the label `01`.
"""

import difflib
import os
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from speecheq.dataset_scripts.corpora.patterns import NameTable
from speecheq.dataset_scripts.corpora.records import CorpusError, nfc, options
from speecheq.dataset_scripts.corpora.tables import ENCODING, Table, number
from speecheq.dataset_scripts.metric import table as metric
from speecheq.labels_speecheq import GENDER_LABELS

KEYS = {
    "table": (str, dict), "pattern": (str,), "audio": (str,), "columns": (dict,), "labels": (dict,), "levels": (dict,),
    "intensity": (str,), "rating_scale": (list,), "intensity_scale": (list,), "genders": (dict,), "language": (str,),
    "speaker": (str,), "speakers": (dict,), "vote_separator": (str,), "delimiter": (str,), "decimal": (str,),
    "encoding": (str,), "missing": (list,), "license": (str,), "redistributable": (str,), "homepage": (str,),
    "citation": (str,),
}  # fmt: skip
KINDS = {str: "one value", dict: "a mapping", list: "a list"}
HUB_TABLES = ("metadata.csv", "metadata.jsonl")  # https://huggingface.co/docs/datasets/audio_dataset
DEFAULT_COLUMNS = {"file": ("file_name", "file", "path"), "label": ("label", "emotion"), "speaker": ("speaker",)}
PER_RATER = ("votes", *metric.DIMENSIONS)  # the fields that may have a column per rater
FIELDS = (
    "file", "label", "speaker", "text", "gender", "age", "start", "end", "level", "intensity", *PER_RATER, "language",
    "split",
)  # fmt: skip
PER_SPEAKER = ("gender", "age")
PER_FILE = "per-file"
LANGUAGE = re.compile("[a-z]{2,3}")
NULLS = ("", "~", "null", "Null", "NULL")
SERVES = {  # key -> the fields that it concerns; it has no effect without one of them
    "levels": ("level",), "genders": ("gender",), "rating_scale": metric.DIMENSIONS, "intensity_scale": ("intensity",),
    "vote_separator": ("votes",),
}  # fmt: skip
NEEDS = {"level": "levels", "valence": "rating_scale", "arousal": "rating_scale", "dominance": "rating_scale"}
RULE_FIELDS = {"level": ("level",), "rated": ("intensity",), "valence_arousal": ("valence", "arousal")}


@dataclass(frozen=True, kw_only=True)
class Description:
    """A checked YAML file.

    Args:
        path (`Path`): the YAML file.
        folder (`Path`): where the audio is, absolute.
        recordings (`tuple[tuple[str | None, Table | NameTable], ...]`): published part, or `None`, and the table of its
            recordings, or their file names.
        columns (`dict[str, tuple[str, ...]]`): field of [`NativeRecord`] -> its columns.
        speakers (`Table`, *optional*): one row per speaker.
        speaker_columns (`dict[str, str]`): `speaker`, `gender` and `age` -> their columns in `speakers`.
        labels (`dict[str, tuple[str, ...]]`): native label -> fine classes; none is missing.
        levels (`dict[str, str]`): native level -> point or interval as the metric table writes it; empty is missing.
        rule (`str`, *optional*): one of [`metric.RULES`].
        genders (`dict[str, str | None]`): native gender -> `"female"`, `"male"` or missing.
        language (`str`, *optional*): of the rows that do not say it.
        rating_scale (`tuple[float, float]`): ends of the scale of valence, arousal and dominance.
        intensity_scale (`tuple[float, float]`): ends of the scale of the rated intensity.
        vote_separator (`str`, *optional*): what stands between the votes of one column.
        decimal (`str`): `.` or `,`.
        license, homepage, citation (`str`): of the corpus.
        redistributable (`bool`): whether its licence allows anyone to pass the audio on.
    """

    path: Path
    folder: Path
    recordings: tuple[tuple[str | None, Table | NameTable], ...]
    columns: dict[str, tuple[str, ...]]
    speakers: Table | None
    speaker_columns: dict[str, str]
    labels: dict[str, tuple[str, ...]]
    levels: dict[str, str]
    rule: str | None
    genders: dict[str, str | None]
    language: str | None
    rating_scale: tuple[float, float]
    intensity_scale: tuple[float, float]
    vote_separator: str | None
    decimal: str
    license: str
    homepage: str
    citation: str
    redistributable: bool


def read(path: Path) -> Description:
    """Read and check a YAML file and the headers of its tables.

    Raises:
        CorpusError: if the file or a table is missing, a key is unknown, or a value is not as BRING_YOUR_OWN.md says.
    """
    path = Path(path)
    given = _load(path)
    item = path.name
    folder = Path(os.path.abspath(path.parent / given.get("audio", ".")))
    missing = tuple(given.get("missing", ()))
    open_table = partial(
        Table, delimiter=given.get("delimiter"), encoding=given.get("encoding", ENCODING), missing=missing
    )
    if "pattern" in given:
        recordings = ((None, _names(given, path, folder)),)
    else:
        recordings = tuple((part, open_table(place)) for part, place in _tables(given, path, folder).items())
    columns = _columns(given, [table for _, table in recordings], item)
    speakers, speaker_columns = _speakers(given, columns, open_table, path)
    _check_uses(given, columns | speaker_columns, recordings, item)
    return Description(
        path=path,
        folder=folder,
        recordings=recordings,
        columns=columns,
        speakers=speakers,
        speaker_columns=speaker_columns,
        labels=_labels(given, item),
        levels={
            native: _one(value, f"levels.{native}", item) or "" for native, value in given.get("levels", {}).items()
        },
        rule=_among(given, "intensity", metric.RULES, item),
        genders=_genders(given, item),
        language=_language(given, columns, item),
        rating_scale=_scale(given, "rating_scale", (1.0, 5.0), item),
        intensity_scale=_scale(given, "intensity_scale", (0.0, 1.0), item),
        vote_separator=given.get("vote_separator"),
        decimal=_among(given, "decimal", (".", ","), item) or ".",
        license=given.get("license", "no licence stated"),
        homepage=given.get("homepage", ""),
        citation=given.get("citation", ""),
        redistributable=_redistributable(given, item),
    )


class _TextLoader(yaml.BaseLoader):
    """YAML whose values all stay text; a key stands once in its mapping."""

    def construct_mapping(self, node, deep=False):
        keys = [nfc(str(self.construct_object(key))) for key, _ in node.value]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{twice[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


def _load(path: Path) -> dict:
    if not path.is_file():
        raise CorpusError(f"custom: YAML file must exist; got {str(path)!r}. BRING_YOUR_OWN.md shows one.")
    try:
        given = yaml.load(path.read_bytes(), Loader=_TextLoader)
    except (yaml.YAMLError, UnicodeError) as error:
        text = " ".join(str(error).split())
        raise CorpusError(
            f"custom: {path.name} must be YAML; got {text}. Put special characters in quotes."
        ) from error
    _check(isinstance(given, dict), "content", "be a mapping of keys to values", repr(given), path.name)
    for key, value in given.items():
        near = difflib.get_close_matches(key, KEYS, n=1)
        step = f"Did you mean {near[0]!r}?" if near else "BRING_YOUR_OWN.md lists them all."
        _check(key in KEYS, "key", f"be one of {options(KEYS)}", repr(key), path.name, step)
        kinds = " or ".join(KINDS[kind] for kind in KEYS[key])
        _check(isinstance(value, KEYS[key]), key, f"be {kinds}", repr(value), path.name)
    for key in ("missing", "rating_scale", "intensity_scale"):
        _check(
            all(isinstance(value, str) for value in given.get(key, ())), key, "hold values", given.get(key), path.name
        )
    _check(
        len(given.get("delimiter", ",")) == 1, "delimiter", "be one character", repr(given.get("delimiter")), path.name
    )
    return {key: value if key in ("audio", "table") else _normalised(value) for key, value in given.items()}


def _normalised(value):
    """Bring all texts to the Unicode form of the tables, except for the path of a table."""
    if isinstance(value, dict):
        return {nfc(key): item if key == "table" else _normalised(item) for key, item in value.items()}
    return [_normalised(item) for item in value] if isinstance(value, list) else nfc(value)


def _names(given: dict, path: Path, folder: Path) -> NameTable:
    """The file names as a table. Its columns are the fields of the same names."""
    for key in ("table", "columns"):
        _check(key not in given, key, "not be given beside pattern", repr(given.get(key)), path.name, f"Delete {key}.")
    names = NameTable(path, folder, given["pattern"])
    header = names.header()
    _check("label" in header, "pattern", "have a group label", options(header[1:]), path.name)
    step = "Only if every file has its own voice, write `speaker: per-file`."
    _check("speaker" in (*header, *given), "pattern", "have a group speaker", options(header[1:]), path.name, step)
    given["columns"] = {column: column for column in header}
    return names


def _tables(given: dict, path: Path, folder: Path) -> dict[str | None, Path]:
    """Published part, or `None`, -> the table of its recordings."""
    named = given.get("table")
    if named is None:
        found = [folder / name for name in HUB_TABLES if (folder / name).is_file()]
        rule = f"be given unless {' or '.join(HUB_TABLES)} is beside the audio"
        got = "both" if found else f"neither in {str(folder)!r}"
        _check(len(found) == 1, "table", rule, got, path.name, "Name the table of the recordings.")
        return {None: found[0]}
    if isinstance(named, str):
        return {None: path.parent / named}
    _check(bool(named), "table", "name a table for each part", repr(named), path.name)
    return {part: path.parent / _one(place, f"table.{part}", path.name) for part, place in named.items()}


def _columns(given: dict, tables: list[Table], item: str) -> dict[str, tuple[str, ...]]:
    columns = {}
    for field, named in given.get("columns", {}).items():
        _check(field in FIELDS, "columns", f"name fields ({', '.join(FIELDS)})", repr(field), item)
        several = isinstance(named, list)
        columns[field] = tuple(named) if several else (named,)
        rule = "be one column, or a list of them (one per rater)" if field in PER_RATER else "be one column"
        fits = (field in PER_RATER or not several) and all(isinstance(column, str) for column in columns[field])
        _check(fits and bool(named), f"columns.{field}", rule, repr(named), item)
    headers = {table.path.name: table.header() for table in tables}
    header = next(iter(headers.values()))
    for field, names in DEFAULT_COLUMNS.items():
        found = [name for name in names if name in header]
        if field not in columns and found:
            several = f"{options(found)} in {tables[0].path.name}"
            _check(len(found) == 1, f"columns.{field}", "be given where several columns may be it", several, item)
            columns[field] = (found[0],)
    for table_name, names in headers.items():
        alone = " Set `delimiter` if the columns are not apart." if len(names) == 1 else ""
        for field, wanted in columns.items():
            for column in wanted:
                rule = f"name a column of {table_name} ({options(names)})"
                _check(column in names, f"columns.{field}", rule, repr(column), item, f"Correct the name.{alone}")
    _check_required(given, columns, header, item)
    return columns


def _check_required(given: dict, columns: dict, header: list[str], item: str):
    alone = " Set `delimiter` if the columns are not apart." if len(header) == 1 else ""
    for field, why in {"file": "", "label": " (or columns.votes)"}.items():
        rule = f"be given{why} where the table has no column {' or '.join(DEFAULT_COLUMNS[field])}"
        given_votes = field == "label" and "votes" in columns
        step = f"Name the column.{alone}"
        _check(field in columns or given_votes, f"columns.{field}", rule, options(header), item, step)
    if "speaker" in given:
        _among(given, "speaker", (PER_FILE,), item)
        got = f"the column {columns['speaker'][0]!r}" if "speaker" in columns else ""
        _check("speaker" not in columns, "speaker", f"not be {PER_FILE} where a column names the speaker", got, item)
    else:
        step = (
            "Splits are speaker-disjoint: without it, a voice of the training part would be tested as if it were new. "
            f"Add the column. Only where every file has a voice of its own, write `speaker: {PER_FILE}`.{alone}"
        )
        _check("speaker" in columns, "columns.speaker", "name the column of the speaker", options(header), item, step)


def _speakers(given: dict, columns: dict, open_table, path: Path) -> tuple[Table | None, dict[str, str]]:
    named = given.get("speakers")
    if named is None:
        return None, {}
    item = path.name
    keys = ("table", "speaker", *PER_SPEAKER)
    for key in named:
        _check(key in keys, "speakers", f"have the keys {', '.join(keys)}", repr(key), item)
        _one(named[key], f"speakers.{key}", item)
        step = "Name it once."
        _check(
            key not in PER_SPEAKER or key not in columns, f"speakers.{key}", "not be in columns too", key, item, step
        )
    fits = {"table", "speaker"} < set(named) and "speaker" in columns
    _check(fits, "speakers", "name table, speaker and gender or age, and columns a speaker", options(named), item)
    table = open_table(path.parent / named["table"])
    header = table.header()
    for key in ("speaker", *PER_SPEAKER):
        rule = f"name a column of {table.path.name} ({options(header)})"
        _check(key not in named or named[key] in header, f"speakers.{key}", rule, repr(named.get(key)), item)
    return table, {key: column for key, column in named.items() if key != "table"}


def _check_uses(given: dict, columns: dict, recordings: tuple, item: str):
    """Refuse keys without effect, and columns without the key that explains them."""
    for key, fields in SERVES.items():
        rule = f"name {' or '.join(fields)} where {key} is given"
        _check(key not in given or any(field in columns for field in fields), "columns", rule, options(columns), item)
    for field, key in NEEDS.items():
        _check(field not in columns or key in given, key, f"be given where columns name {field}", "none", item)
    rule = given.get("intensity")
    for field in RULE_FIELDS.get(rule, ()):
        _check(field in columns, "columns", f"name {field} where intensity is {rule}", options(columns), item)
    for field in ("level", "intensity"):
        words = f"be {', '.join(metric.RULES)} where columns name {field}"
        _check(field not in columns or bool(rule), "intensity", words, "none", item)
    one_column = len(columns.get("votes", ())) == 1 and not isinstance(given["columns"]["votes"], list)
    in_text = one_column and not all(table.is_jsonl for _, table in recordings)
    step = "Or name a list of columns, one per rater."
    _check(not in_text or given.get("vote_separator"), "vote_separator", "be given where one column holds all votes",
           "none", item, step)  # fmt: skip


def _labels(given: dict, item: str) -> dict[str, tuple[str, ...]]:
    labels = {}
    for native, value in given.get("labels", {}).items():
        classes = [_one(fine, f"labels.{native}", item) for fine in (value if isinstance(value, list) else [value])]
        alone = None not in classes or len(classes) == 1
        _check(alone, f"labels.{native}", "be null alone, or fine classes", repr(value), item)
        labels[native] = tuple(fine for fine in classes if fine is not None)
    _check(bool(labels), "labels", "map each native label to fine classes, or to null", "none", item)
    return labels


def _genders(given: dict, item: str) -> dict[str, str | None]:
    if "genders" not in given:
        return {gender: gender for gender in GENDER_LABELS}
    genders = {native: _one(value, f"genders.{native}", item) for native, value in given["genders"].items()}
    for native, gender in genders.items():
        rule = f"be one of {', '.join(GENDER_LABELS)} or null"
        _check(gender in (None, *GENDER_LABELS), f"genders.{native}", rule, repr(gender), item)
    return genders


def _language(given: dict, columns: dict, item: str) -> str | None:
    language = given.get("language")
    _check(
        language is not None or "language" in columns,
        "language",
        "be given where columns do not name it",
        "none",
        item,
    )
    rule = "be an ISO 639 code, such as de"
    _check(language is None or LANGUAGE.fullmatch(language), "language", rule, repr(language), item)
    return language


def _scale(given: dict, key: str, default: tuple[float, float], item: str) -> tuple[float, float]:
    if key not in given:
        return default
    try:
        low, high = map(number, given[key])
    except ValueError:
        low, high = 0.0, 0.0
    _check(low < high, key, "be two numbers, the lower first", given[key], item)
    return low, high


def _redistributable(given: dict, item: str) -> bool:
    allowed = _among(given, "redistributable", ("true", "false"), item) == "true"
    step = "Name the licence that allows it."
    _check(
        not allowed or bool(given.get("license")),
        "license",
        "be given where redistributable is true",
        "none",
        item,
        step,
    )
    return allowed


def _among(given: dict, key: str, values: tuple[str, ...], item: str) -> str | None:
    _check(given.get(key) in (None, *values), key, f"be {' or '.join(values)}", repr(given.get(key)), item)
    return given.get(key)


def _one(value, field: str, item: str) -> str | None:
    _check(isinstance(value, str), field, "be one value", repr(value), item)
    return None if value in NULLS else value


def _check(holds, field: str, rule: str, got, item: str, step: str = ""):
    if not holds:
        raise CorpusError(f"custom: {field} must {rule}; got {got} in {item}. {step}".rstrip())
