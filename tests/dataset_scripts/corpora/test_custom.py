"""Claims about a corpus that no adapter knows: its rows, its labels, what it refuses, and the page that explains it."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.build.builder import build
from speecheq.dataset_scripts.corpora import custom
from speecheq.dataset_scripts.corpora.records import (
    AUDIO_SUFFIXES,
    CorpusError,
    NativeRecord,
    Skipped,
    UnknownLabelError,
    options,
)
from speecheq.dataset_scripts.metric import table as metric

PAGE = Path(custom.__file__).with_name("BRING_YOUR_OWN.md")
YAML = """
table: t.csv
audio: wav
columns: {file: path, label: mood, speaker: who}
language: de
labels: {wut: angry, freude: [happy, excited], ruhig: neutral, sonst: null}
"""


@pytest.fixture(autouse=True)
def fresh_registrations(monkeypatch):
    monkeypatch.setattr(metric, "_registered", {})
    metric.metric_table.cache_clear()
    yield
    metric.metric_table.cache_clear()


@pytest.fixture
def corpus(tmp_path):
    """A function that writes a corpus: its table, its YAML, names of (empty) audio files."""

    def write(table: str, yaml: str = YAML, audio: tuple[str, ...] = ("a.wav",), table_name: str = "t.csv"):
        for name in audio:
            (tmp_path / "wav" / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "wav" / name).touch()
        (tmp_path / table_name).parent.mkdir(exist_ok=True)
        (tmp_path / table_name).write_text(table, encoding="utf-8")
        (tmp_path / "my.yaml").write_text(yaml.replace("t.csv", table_name), encoding="utf-8")
        found = custom.load("mine", tmp_path / "my.yaml")
        metric.register(found.table)
        return found

    return write


def read(found: custom.CustomCorpus) -> tuple[list[NativeRecord], dict[str, str]]:
    """The records, and path in the audio folder -> reason."""
    items = list(found.records(found.folder))
    skipped = [item for item in items if isinstance(item, Skipped)]
    reasons = {item.path.relative_to(found.folder).as_posix(): item.reason for item in skipped}
    assert len(reasons) == len(skipped)
    return [item for item in items if isinstance(item, NativeRecord)], reasons


def with_columns(more: str, keys: str = "") -> str:
    return YAML.replace("who}", f"who, {more}}}") + keys + "\n"


def test_a_corpus_has_what_an_adapter_has(corpus, tmp_path):
    terms = "license: CC-BY-4.0\nredistributable: true\nhomepage: https://example.org\ncitation: Du 2026\n"

    found = corpus("path,mood,who\na.wav,wut,anna\n", YAML + terms)

    assert (found.CORPUS, found.LICENSE, found.REDISTRIBUTABLE) == ("mine", "CC-BY-4.0", True)
    assert (found.HOMEPAGE, found.CITATION) == ("https://example.org", "Du 2026")
    assert found.folder == tmp_path / "wav"
    assert found.sources == (tmp_path / "my.yaml", tmp_path / "t.csv")


def test_the_least_row_is_a_record(corpus):
    found = corpus("path,mood,who\na.wav,wut,anna\n")

    records, skipped = read(found)

    path = found.folder / "a.wav"
    assert records == [NativeRecord(path=path, name="a", speaker="anna", language="de", label="wut")]
    assert skipped == {}


def test_every_field_has_its_column(corpus, tmp_path):
    (tmp_path / "users.csv").write_text("id,sex,years\nanna,f,41.5\nbert,d,\n")
    yaml = """
table: {train: t.csv}
audio: wav
columns: {file: path, label: mood, speaker: who, text: said, start: t0, end: t1, level: how, intensity: felt,
          votes: [r1, r2, r3], valence: [v1, v2], arousal: [a1, a2], dominance: [d1, d2], language: lang, split: part}
speakers: {table: users.csv, speaker: id, gender: sex, age: years}
language: de
labels: {wut: angry, freude: happy, leer: null}
levels: {leise: 0.125..0.625}
intensity: valence_arousal
intensity_scale: [0, 100]
rating_scale: [1, 7]
genders: {f: female, d: null}
missing: [NA]
"""
    header = "path,mood,who,said,t0,t1,how,felt,r1,r2,r3,v1,v2,a1,a2,d1,d2,lang,part\n"
    lines = (
        "a.wav,wut,anna,Nein!,1.5,2.25,leise,75,wut,NA,freude,1,2,7,NA,4,4,en,dev\nb.wav,NA,bert,,,,,,leer,,,,,,,,,,\n"
    )

    records, skipped = read(corpus(header + lines, yaml, audio=("a.wav", "b.wav")))

    nothing = {"valence": None, "arousal": None, "dominance": None}
    assert records == [
        NativeRecord(
            path=tmp_path / "wav" / "a.wav",
            name="a_1500-2250",
            speaker="anna",
            language="en",
            label="wut",
            start=1.5,
            end=2.25,
            level="leise",
            intensity=0.75,
            gender="female",
            age=41.5,
            text="Nein!",
            votes=("wut", "freude"),
            ratings=(
                {"valence": 1.0, "arousal": 7.0, "dominance": 4.0},
                {"valence": 2.0, "arousal": None, "dominance": 4.0},
            ),
            rating_scale=(1.0, 7.0),
            official_split="dev",
        ),
        NativeRecord(
            path=tmp_path / "wav" / "b.wav",
            name="b",
            speaker="bert",
            language="de",
            votes=("leer",),
            ratings=(nothing, nothing),
            rating_scale=(1.0, 7.0),
            official_split="train",
        ),
    ]
    assert skipped == {}


def test_jsonl_may_hold_lists_of_votes_and_ratings(corpus):
    yaml = with_columns("votes: raters, valence: val", "rating_scale: [1, 5]")
    line = '{"path": "a.wav", "mood": "wut", "who": 7, "raters": ["wut", "freude", null], "val": [1, 2.5]}\n'

    (record,), skipped = read(corpus(line, yaml, table_name="t.jsonl"))

    assert (record.speaker, record.votes) == ("7", ("wut", "freude"))
    assert [rating["valence"] for rating in record.ratings] == [1.0, 2.5]
    assert skipped == {}


def test_one_column_may_hold_all_votes(corpus):
    yaml = with_columns("votes: raters", "vote_separator: '|'\nmissing: [x]")

    (record,), _ = read(corpus("path,mood,who,raters\na.wav,wut,anna,wut| freude |x|\n", yaml))

    assert record.votes == ("wut", "freude")


def test_votes_in_columns_of_their_own_may_have_spaces(corpus):
    (record,), _ = read(corpus("path,mood,who,r1\na.wav,wut,anna,sehr froh\n", with_columns("votes: [r1]")))

    assert record.votes == ("sehr froh",)


@pytest.mark.parametrize(("written", "intensity"), [("0", 0.0), ("25", 0.25), ("100", 1.0)])
def test_a_rated_intensity_is_rescaled_from_the_ends_of_its_scale(corpus, written, intensity):
    yaml = with_columns("intensity: felt", "intensity: rated\nintensity_scale: [0, 100]")

    (record,), _ = read(corpus(f"path,mood,who,felt\na.wav,wut,anna,{written}\n", yaml))

    assert record.intensity == intensity


def test_the_audio_may_lie_in_a_folder_that_the_caller_names(corpus, tmp_path):
    found = corpus("path,mood,who\na.wav,wut,anna\n")
    (tmp_path / "wav").rename(tmp_path / "moved")

    (record,) = found.records(tmp_path / "moved")

    assert record.path == tmp_path / "moved" / "a.wav"


def test_a_semicolon_table_with_decimal_commas_is_read_as_its_file_says(corpus):
    yaml = with_columns("age: jahre", 'delimiter: ";"\ndecimal: ","')

    (record,), _ = read(corpus("﻿path;mood;who;jahre\na.wav;wut;anna;31,5\n", yaml))

    assert record.age == 31.5


def test_a_voice_per_file_is_named_by_the_file(corpus):
    yaml = YAML.replace(", speaker: who", "") + "speaker: per-file\n"

    records, _ = read(corpus("path,mood\nx/a.wav,wut\ny/a.wav,wut\n", yaml, audio=("x/a.wav", "y/a.wav")))

    assert [record.speaker for record in records] == ["x_a", "y_a"]


def test_a_hub_folder_joins_with_labels_and_a_language(tmp_path):
    (tmp_path / "metadata.csv").write_text("file_name,label,speaker,duration\ntrain/a.mp3,wut,anna,3\n")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.mp3").touch()
    (tmp_path / "my.yaml").write_text("{labels: {wut: angry}, language: de}")

    (record,), skipped = read(custom.load("mine", tmp_path / "my.yaml"))

    assert (record.path, record.name, record.label) == (tmp_path / "train/a.mp3", "train_a", "wut")
    assert skipped == {}


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("x/a.wav", "x/a.wav"),
        ("./x//a.wav", "x/a.wav"),
        ("x\\a.wav", "x/a.wav"),
        ("wav/x/a.wav", "x/a.wav"),
        ("x/a", "x/a.wav"),
        ("x/a.flac", "x/a.wav"),
        ("x/a.WAV", "x/a.wav"),
        ("only.wav", "y/only.wav"),
        ("only", "y/only.wav"),
        ("y/../x/a.wav", "x/a.wav"),
        ("../wav/x/a.wav", "x/a.wav"),
        ("v1.2", "v1.2.OGG"),
        ("gru\u0308n.wav", "grün.wav"),
        ("grün", "grün.wav"),
        ("top.wav", "top.wav"),
    ],
)
def test_a_file_is_found_as_tables_write_it(corpus, written, found):
    audio = ("x/a.wav", "y/a.wav", "y/only.wav", "v1.2.OGG", "grün.wav", "top.wav", "x/top.wav")
    mine = corpus(f"path,mood,who\n{written},wut,anna\n", audio=audio)

    (record,), _ = read(mine)

    assert record.path == mine.folder / found


def test_a_table_in_a_folder_of_its_own_reaches_the_audio(corpus):
    mine = corpus("path,mood,who\n../wav/a.wav,wut,anna\n", table_name="metadata/t.csv")

    assert [record.path for record in read(mine)[0]] == [mine.folder / "a.wav"]


def test_an_absolute_path_inside_the_audio_folder_is_taken(corpus, tmp_path):
    mine = corpus(f"path,mood,who\n{tmp_path}/wav/a.wav,wut,anna\n")

    assert [record.path for record in read(mine)[0]] == [mine.folder / "a.wav"]


@pytest.mark.parametrize(
    "written",
    ["/home/other/wav/a.wav", r"C:\Users\other\wav\a.wav", "D:/corpus/a.wav", r"\\server\corpus\a.wav", "/a.wav"],
)
def test_an_absolute_path_of_another_machine_is_named_as_such(corpus, written):
    found = corpus(f"path,mood,who\n{written},wut,anna\n")

    reasons = [item.reason for item in found.records() if isinstance(item, Skipped)]

    assert reasons[0] == (
        f"mine: file must be relative to the audio folder; got {written!r}, an absolute path that is not on this machine, in "
        "t.csv, line 2. Remove the folders of the other machine from the column."
    )


NFC, NFD = "z\xfcrnend", "zu\u0308rnend"


@pytest.mark.parametrize("in_yaml", [NFC, NFD])
@pytest.mark.parametrize("on_disk", [NFC, NFD])
@pytest.mark.parametrize(
    ("name", "line"),
    [("t.csv", "{0}.wav,{0},{0}\n"), ("t.jsonl", '{{"path": "{0}.wav", "mood": "{0}", "who": "{0}"}}\n')],
)
def test_one_word_in_two_unicode_forms_is_one_speaker_one_label_and_one_file(corpus, in_yaml, on_disk, name, line):
    head = "path,mood,who\n" if name == "t.csv" else ""
    escaped = line.replace("{0}.wav", "b.wav").format(NFD if name == "t.csv" else "zu\\u0308rnend")
    yaml = YAML.replace("wut", in_yaml)
    found = corpus(head + line.format(NFC) + escaped, yaml, (f"{on_disk}.wav", "b.wav"), name)

    records, skipped = read(found)

    assert skipped == {} and len(records) == 2
    assert {record.speaker for record in records} == {record.label for record in records} == {NFC}
    assert found.description.labels[NFC] == ("angry",)


def test_a_label_in_two_unicode_forms_stands_twice(corpus):
    with pytest.raises(CorpusError, match=r"must be YAML; got .* stands twice"):
        corpus("path,mood,who\n", YAML.replace("wut: angry", f"{NFC}: angry, {NFD}: sad"))


def test_a_column_and_a_table_of_speakers_may_have_another_unicode_form(corpus, tmp_path):
    (tmp_path / "users.csv").write_text(f"id,sex\n{NFD},female\n", "utf-8")
    yaml = YAML.replace("who}", NFC + "}") + "speakers: {table: users.csv, speaker: id, gender: sex}\n"

    records, _ = read(corpus(f"path,mood,{NFD}\na.wav,wut,{NFC}\n", yaml))

    assert [record.gender for record in records] == ["female"]


def test_speakers_that_differ_only_in_case_or_number_spelling_get_a_note(corpus, caplog):
    speakers = ("1", "01", "1.0", "10", "Anna", "anna", "s02", "S2", "s20")
    audio = tuple(f"{number}.wav" for number in range(len(speakers)))
    lines = "".join(f"{name},wut,{speaker}\n" for name, speaker in zip(audio, speakers, strict=True))

    records, _ = read(corpus("path,mood,who\n" + lines, audio=audio))

    assert {record.speaker for record in records} == set(speakers)
    assert caplog.messages == [
        "mine: speakers differ only in case or in the spelling of a number: '01' and '1' and '1.0', 'Anna' and 'anna', "
        "'S2' and 's02'. Correct the table if they are one person."
    ]


def test_what_the_user_linked_into_the_folder_belongs_to_it(corpus, tmp_path):
    (tmp_path / "elsewhere.wav").touch()
    (tmp_path / "wav").mkdir()
    (tmp_path / "wav" / "linked.wav").symlink_to(tmp_path / "elsewhere.wav")

    (record,), _ = read(corpus("path,mood,who\nlinked.wav,wut,anna\n", audio=()))

    assert record.path == tmp_path / "wav" / "linked.wav"


@pytest.mark.parametrize("written", ["../secret.wav", "x/../../secret.wav", "/etc/passwd", "..\\secret.wav"])
def test_a_path_that_leads_out_of_the_audio_folder_is_refused(corpus, tmp_path, written):
    (tmp_path / "secret.wav").touch()
    mine = corpus(f"path,mood,who\n{written},wut,eve\na.wav,wut,anna\n")

    records, skipped = read(mine)

    assert [record.speaker for record in records] == ["anna"]
    assert list(skipped.values()) == [
        f"mine: file must lie inside the audio folder; got {written!r} in t.csv, line 2."
    ]


def test_a_row_without_audio_and_audio_without_a_row_are_reported(corpus):
    mine = corpus(
        "path,mood,who\ngone.wav,wut,anna\nnotes.txt,wut,anna\na,wut,anna\n,wut,anna\nb.wav,wut,anna\n",
        audio=("x/a.wav", "y/a.wav", "b.wav", "notes.txt"),
    )

    records, skipped = read(mine)

    assert [record.name for record in records] == ["b"]
    assert skipped == {
        "gone.wav": "mine: audio file must exist; got none for 'gone.wav' in t.csv, line 2.",
        "notes.txt": f"mine: file must be audio ({options(AUDIO_SUFFIXES)}); got 'notes.txt' in t.csv, line 3.",
        "a": "mine: file must name one recording; got 'a' for x/a.wav, y/a.wav in t.csv, line 4.",
        "t.csv": "mine: file must be given; got none in t.csv, line 5.",
        "x/a.wav": "mine: file must have a row in t.csv; got 'a.wav'.",
        "y/a.wav": "mine: file must have a row in t.csv; got 'a.wav'.",
    }


@pytest.mark.parametrize(
    ("field", "keys", "value", "reason"),
    [
        (
            "age",
            "",
            "31,5",
            "age must be a number with '.' as its decimal mark; got '31,5' in t.csv, line 2. Correct it",
        ),
        (
            "age",
            "",
            "old",
            "age must be a number .*; got 'old' in t.csv, line 2. Correct it, or set `decimal` in my.yaml",
        ),
        ("age", "", "-1", "age must be 0 or more; got -1 in t.csv, line 2"),
        (
            "gender",
            "genders: {f: female}",
            "x",
            "gender must be one of f; got 'x' in t.csv, line 2. Map it in `genders`",
        ),
        ("language", "", "German", "language must be an ISO 639 code, such as de; got 'German' in t.csv, line 2"),
        ("start", "", "-0.5", "start must be 0 or more; got -0.5"),
        ("end", "", "0", r"end must be greater than start \(0 s\); got 0 in t.csv, line 2"),
        (
            "intensity",
            "intensity: rated",
            "50",
            "intensity must be from 0 to 1; got 50 in t.csv, line 2. Set `intensity_sc",
        ),
        ("intensity", "intensity: rated\nintensity_scale: [1, 5]", "0.5", "intensity must be from 1 to 5; got 0.5"),
        ("valence", "rating_scale: [1, 5]", "nan", "valence must be a number .*; got 'nan'"),
        ("text", "", "x,y", "row must have 4 values as the first line has; got 5.* in t.csv, line 2"),
    ],
)
def test_a_wrong_value_costs_its_file_and_no_other(corpus, field, keys, value, reason):
    value = value if field == "text" else f'"{value}"'
    table = f"path,mood,who,extra\na.wav,wut,anna,{value}\nb.wav,wut,anna,\n"

    records, skipped = read(corpus(table, with_columns(f"{field}: extra", keys), audio=("a.wav", "b.wav")))

    assert [record.name for record in records] == ["b"]
    assert re.search(f"^mine: {reason}", skipped.get("t.csv", skipped["a.wav"]))


def test_a_row_without_a_language_is_skipped(corpus):
    yaml = with_columns("language: lang").replace("language: de", "")

    _, skipped = read(corpus("path,mood,who,lang\na.wav,wut,anna,\n", yaml))

    assert skipped == {"a.wav": "mine: language must be an ISO 639 code, such as de; got '' in t.csv, line 2."}


def test_a_row_without_a_speaker_is_skipped(corpus):
    _, skipped = read(corpus("path,mood,who\na.wav,wut,\n"))

    assert skipped == {"a.wav": "mine: speaker must be given; got none in t.csv, line 2."}


def test_a_part_ends_after_its_start(corpus):
    yaml = with_columns("start: t0, end: t1")

    _, skipped = read(corpus("path,mood,who,t0,t1\na.wav,wut,anna,2,1.5\n", yaml))

    assert skipped == {"a.wav": "mine: end must be greater than start (2 s); got 1.5 in t.csv, line 2."}


def test_parts_of_one_file_have_names_of_their_own(corpus):
    yaml = with_columns("start: t0, end: t1")

    records, _ = read(
        corpus("path,mood,who,t0,t1\na.wav,wut,anna,,1.5\na.wav,wut,anna,1.5,\na.wav,wut,anna,,\n", yaml)
    )

    assert [record.name for record in records] == ["a_0-1500", "a_1500-end", "a"]


def test_ratings_must_be_as_many_in_each_dimension(corpus):
    yaml = with_columns("valence: [v1, v2], arousal: v1", "rating_scale: [1, 5]")

    _, skipped = read(corpus("path,mood,who,v1,v2\na.wav,wut,anna,1,2\n", yaml))

    assert "ratings must be as many in each dimension; got 2 of valence, 1 of arousal in t.csv" in skipped["a.wav"]


def test_a_list_where_one_value_belongs_is_refused(corpus):
    line = '{"path": "a.wav", "mood": ["wut", "freude"], "who": "anna"}\n'

    _, skipped = read(corpus(line, table_name="t.jsonl"))

    assert skipped == {"a.wav": "mine: label must be one value; got a list in t.jsonl, line 1."}


def test_rows_that_contradict_each_other_are_both_refused_and_rows_that_agree_are_one(corpus):
    table = "id,path,mood,who\n1,a.wav,wut,anna\n2,b.wav,wut,anna\n3,a.wav,freude,anna\n4,b,wut,anna\n"

    records, skipped = read(corpus(table, audio=("a.wav", "b.wav")))

    assert [record.name for record in records] == ["b"]
    assert set(skipped) == {"a.wav"}
    assert "file must stand in one row; got t.csv, line 2, t.csv, line 4, which do not agree" in skipped["a.wav"]


def test_a_file_that_stands_in_two_parts_is_refused(corpus):
    yaml = YAML.replace("table: t.csv", "table: {train: t.csv, test: t.csv}")

    records, skipped = read(corpus("path,mood,who\na.wav,wut,anna\n", yaml))

    assert records == []
    assert "file must stand in one row; got t.csv, line 2, t.csv, line 2, which do not agree" in skipped["a.wav"]


def test_a_file_name_that_no_system_takes_costs_its_row_alone(corpus):
    records, skipped = read(corpus(f"path,mood,who\n{'x' * 300},wut,anna\na.wav,wut,anna\n"))

    assert [record.name for record in records] == ["a"]
    assert list(skipped) == ["x" * 300]


def test_a_speaker_without_a_row_in_the_table_of_speakers_is_skipped(corpus, tmp_path):
    (tmp_path / "users.csv").write_text("id,years\nanna,20\n")
    yaml = YAML + "speakers: {table: users.csv, speaker: id, age: years}\n"

    records, skipped = read(corpus("path,mood,who\na.wav,wut,anna\nb.wav,wut,bert\n", yaml, audio=("a.wav", "b.wav")))

    assert [record.age for record in records] == [20]
    assert "speaker must have a row in users.csv; got none for 'bert' in t.csv, line 3" in skipped["b.wav"]


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (
            "id,years\nanna,20\nanna,21\n",
            "speaker must stand once; got 'anna' again, unlike before, in users.csv, line 3",
        ),
        ("id,years\nanna,20,x\n", "row must have 2 values as the first line has; got 3.* in users.csv, line 2"),
    ],
)
def test_a_damaged_table_of_speakers_stops(corpus, tmp_path, users, message):
    (tmp_path / "users.csv").write_text(users)
    found = corpus("path,mood,who\na.wav,wut,anna\n", YAML + "speakers: {table: users.csv, speaker: id, age: years}\n")

    assert found.sources[-1] == tmp_path / "users.csv"
    with pytest.raises(CorpusError, match=message):
        list(found.records())


def test_a_list_in_the_table_of_speakers_stops(corpus, tmp_path):
    (tmp_path / "users.jsonl").write_text('{"id": "anna", "years": [20, 21]}\n')
    yaml = YAML + "speakers: {table: users.jsonl, speaker: id, age: years}\n"

    with pytest.raises(
        CorpusError, match=r"speakers must have one value per column; got a list in users.jsonl, line 1"
    ):
        list(corpus("path,mood,who\na.wav,wut,anna\n", yaml).records())


def test_a_folder_without_audio_stops(corpus):
    with pytest.raises(CorpusError, match="folder must exist"):
        list(corpus("path,mood,who\na.wav,wut,anna\n", audio=()).records())


@pytest.mark.parametrize(
    ("columns", "keys", "eis"),
    [
        ("", "", {"wut": None, "freude": None, "ruhig": (0, 0), "sonst": None}),
        (
            "level: x",
            "intensity: level\nlevels: {laut: 0.5..1}",
            {"wut": "level", "freude": "level", "ruhig": (0, 0), "sonst": "level"},
        ),
        ("intensity: x", "intensity: rated", dict.fromkeys(("wut", "freude", "ruhig", "sonst"), "rated")),
    ],
)
def test_labels_become_rows_of_the_metric_table(corpus, columns, keys, eis):
    yaml = with_columns(columns, keys) if columns else YAML

    found = corpus("path,mood,who,x\na.wav,wut,anna,\n", yaml)

    labels = {row.native: row for row in found.table if row.field == "label"}
    assert {native: row.eis for native, row in labels.items()} == eis
    assert {native: row.esc for native, row in labels.items()} == {
        "wut": ("angry",),
        "freude": ("happy", "excited"),
        "ruhig": ("neutral",),
        "sonst": (),
    }
    assert {row.source for row in labels.values()} == {"labels of my.yaml"}
    assert {row.corpus for row in found.table} == {"mine"}


def test_levels_become_rows_of_the_metric_table(corpus):
    yaml = with_columns("level: x", "intensity: level\nlevels: {leise: 0.125..0.625, laut: 1, unklar: null}")

    found = corpus("path,mood,who,x\na.wav,wut,anna,leise\n", yaml)

    levels = {row.native: row.eis for row in found.table if row.field == "level"}
    assert levels == {"leise": (0.125, 0.625), "laut": (1, 1), "unklar": None}


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        (YAML.replace("angry", "wütend"), r"esc must have only fine classes .*; got 'wütend' in my.yaml, label 'wut'"),
        (YAML.replace("happy, excited", "sad, sad"), r"esc must have each class only once; got 'sad\|sad' in my.yaml"),
        (with_columns("level: x", "intensity: level\nlevels: {laut: loud}"), r"got 'loud' in my.yaml, level 'laut'"),
        (with_columns("level: x", "intensity: level\nlevels: {laut: 2}"), r"eis must .*; got '2' in my.yaml"),
    ],
)
def test_classes_and_intervals_are_those_of_the_metric(corpus, yaml, message):
    with pytest.raises(CorpusError, match=message):
        corpus("path,mood,who,x\na.wav,wut,anna,\n", yaml)


@pytest.mark.parametrize("name", ["all", "My", "a/b", "", "-a", "a=b"])
def test_a_name_is_one_that_a_folder_and_a_config_can_have(name):
    with pytest.raises(CorpusError, match=f"name must be lower-case letters.*; got '{name}'"):
        custom.load(name, Path("my.yaml"))


def test_a_registered_corpus_is_described_as_any_other(corpus):
    yaml = with_columns("level: x", "intensity: level\nlevels: {laut: 0.625..1}")
    found = corpus("path,mood,who,x\na.wav,freude,anna,laut\n", yaml)

    (record,), _ = read(found)
    row = rows.describe(found.CORPUS, record, found.LICENSE)

    assert (row["id"], row["speaker_id"], row["native_label"]) == ("mine/a", "mine/anna", "freude")
    assert (row["esc"], row["eis_low"], row["eis_high"]) == (["happy", "excited"], 0.625, 1.0)
    assert row["license"] == "no licence stated"
    assert metric.label_space("mine") == {"wut": ["angry"], "freude": ["happy", "excited"], "ruhig": ["neutral"]}


def test_a_label_that_the_file_does_not_map_says_where_to_map_it(corpus):
    found = corpus("path,mood,who\na.wav,angst,anna\n")

    (record,), _ = read(found)

    message = r"label must be one of wut, freude, ruhig, sonst; got 'angst' in 'a.wav'. Map it in labels of my.yaml."
    with pytest.raises(UnknownLabelError, match=message):
        rows.describe(found.CORPUS, record, found.LICENSE)


def metric_row(corpus: str, native: str, esc: str = "sad") -> metric.TableRow:
    cells = {"corpus": corpus, "field": "label", "native": native, "esc": esc, "eis": "", "source": "s"}
    return metric.parse_row(cells, "here")


def test_registering_again_replaces_the_rows_of_that_corpus_alone():
    metric.register([metric_row("one", "a"), metric_row("one", "b"), metric_row("two", "a")])

    metric.register([metric_row("one", "c", "fear")])

    assert metric.label_space("one") == {"c": ["fear"]}
    assert metric.label_space("two") == {"a": ["sad"]}
    assert metric.label_space("urdu")["A"] == ["angry"]


def test_the_name_of_a_shipped_corpus_is_refused_and_nothing_is_registered():
    with pytest.raises(
        CorpusError, match=r"register: corpus must not be in dataset_scripts/metric/table.csv .*'urdu'"
    ):
        metric.register([metric_row("one", "a"), metric_row("urdu", "Z")])

    assert ("urdu", "label", "Z") not in metric.metric_table()
    assert ("one", "label", "a") not in metric.metric_table()


def test_a_built_corpus_reports_what_it_skipped(corpus, tmp_path, tone):
    found = corpus("path,mood,who\na.wav,wut,anna\ngone.wav,wut,anna\n../b.wav,wut,anna\n", audio=("c.wav",))
    tone(found.folder / "a.wav")

    build({"mine": tmp_path / "my.yaml"}, tmp_path / "seqd")

    with (tmp_path / "seqd" / "report.csv").open() as file:
        report = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(report) == {"gone.wav", "../b.wav", "c.wav"}
    assert pq.read_table(tmp_path / "seqd" / "mine").column("id").to_pylist() == ["mine/a"]


def test_a_changed_table_or_yaml_file_is_built_again(corpus, tmp_path, tone):
    yaml = with_columns("gender: sex", "genders: {f: female}")
    found = corpus("path,mood,who,sex\na.wav,wut,anna,f\n", yaml)
    tone(found.folder / "a.wav")

    def gender() -> tuple:
        build({"mine": tmp_path / "my.yaml"}, tmp_path / "seqd")
        row = pq.read_table(tmp_path / "seqd" / "mine").to_pylist()[0]
        return row["gender"], row["native_label"]

    assert gender() == ("female", "wut")
    (tmp_path / "t.csv").write_text("path,mood,who,sex\na.wav,freude,anna,f\n")
    assert gender() == ("female", "freude")
    (tmp_path / "my.yaml").write_text(yaml.replace("f: female", "f: male"))
    assert gender() == ("male", "freude")


def test_the_commands_of_the_page_work_when_pasted(tmp_path):
    commands = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HOME": str(tmp_path / "cache")}

    done = subprocess.run(
        ["bash", "-euc", commands], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )

    assert done.returncode == 0, done.stderr
    assert "'esc': ['angry']" in done.stdout or "'esc': ['happy', 'excited']" in done.stdout
    for out, corpus in (("seqd", "mycorpus"), ("seqd_named", "named")):
        rows = pq.read_table(tmp_path / out / corpus).to_pylist()
        assert len(rows) == 8
        assert {row["speaker_id"] for row in rows} == {f"{corpus}/{who}" for who in ("anna", "bert", "cora", "dirk")}
        assert (tmp_path / out / "report.csv").read_text().splitlines() == ["corpus,path,reason"]


def test_the_corpus_of_the_page_joins_from_its_readme(tmp_path):
    (yaml,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (tmp_path / "emozionalmente.yaml").write_text(yaml, encoding="utf-8")
    for folder in ("audio", "metadata"):
        (tmp_path / folder).mkdir()
    (tmp_path / "audio" / "1612872848291.wav").touch()
    (tmp_path / "metadata" / "samples.csv").write_text(
        "file_name,actor,sentence,emotion_expressed\n1612872848291.wav,u1,Una frase.,neutrality\n"
    )
    (tmp_path / "metadata" / "users.csv").write_text("username,gender,age,mother_tongue\nu1,male,30,it\n")
    found = custom.load("from_readme", tmp_path / "emozionalmente.yaml")
    metric.register(found.table)

    (record,), skipped = read(found)
    row = rows.describe("from_readme", record, found.LICENSE)

    assert skipped == {}
    assert (row["id"], row["gender"], row["age"]) == ("from_readme/1612872848291", "male", 30)
    assert (row["esc"], row["eis_low"], row["language"], row["text"]) == (["neutral"], 0.0, "it", "Una frase.")


def test_the_page_explains_every_key_and_every_field():
    page = PAGE.read_text(encoding="utf-8")

    for word in (*custom.corpus_yaml.KEYS, *custom.corpus_yaml.FIELDS):
        assert re.search(rf"^\|[^|]*`{word}`", page, flags=re.MULTILINE), word
