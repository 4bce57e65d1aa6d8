"""Claims about file names that hold everything: built-in declarations, and `pattern` of a custom corpus."""

import re
from pathlib import Path, PurePosixPath

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora import custom
from speecheq.dataset_scripts.corpora.patterns import FilePattern, match_path
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord

PATTERN = FilePattern(
    corpus="mine",
    pattern=r"(?:(?P<folder_speaker>[a-z]\d)/)?(?:(?P<speaker>[a-z]\d)_)?(?P<label>[a-z]+)_(?P<text>\d)(?P<take>[ab])",
    example="a1_wut_1a",
    language="de",
    normalise=str.lower,
    codes={"text": {"1": "Ja.", "2": "Nein."}},
    speakers={"a1": "female", "b1": "male"},
    name="{speaker}_{label}_{take}",
)
YAML = """
pattern: '(?P<speaker>[a-z]+)_(?P<label>[a-z]+)\\.wav'
audio: wav
language: de
labels: {wut: angry, freude: [happy, excited]}
"""


def load(tmp_path: Path, *names: str, yaml: str = YAML) -> custom.CustomCorpus:
    touch(tmp_path / "wav", *names)
    (tmp_path / "my.yaml").write_text(yaml, encoding="utf-8")
    return custom.load("mine", tmp_path / "my.yaml")


def test_groups_are_fields_and_codes_have_a_meaning():
    assert PATTERN.record(Path("x/A1_Wut_2b.WAV")) == NativeRecord(
        path=Path("x/A1_Wut_2b.WAV"),
        name="a1_wut_b",
        speaker="a1",
        language="de",
        label="wut",
        gender="female",
        text="Nein.",
    )


def test_a_folder_replaces_what_the_name_leaves_out():
    assert PATTERN.record(Path("b1/wut_1a.wav")).speaker == "b1"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a1_wut.wav", r"mine: name must be like a1_wut_1a; got 'a1_wut.wav'"),
        ("b1/a1_wut_1a.wav", r"mine: speaker must be that of the folder; got 'a1_wut_1a.wav' in 'b1'"),
        ("x/wut_1a.wav", r"mine: speaker must be in the name or the folder; got 'wut_1a.wav' in 'x'"),
        ("c1_wut_1a.wav", r"speaker must be one of a1, b1; got 'c1' in 'c1_wut_1a.wav'"),
        ("a1_wut_3a.wav", r"text must be one of 1, 2; got '3' in 'a1_wut_3a.wav'"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(path, message):
    with pytest.raises(CorpusError, match=message):
        PATTERN.record(Path(path))


def test_a_file_that_does_not_match_costs_no_other(tmp_path):
    records, skipped = split(PATTERN.records(touch(tmp_path, "a1_wut_1a.wav", "readme.wav")))

    assert set(records) == {"a1_wut_1a.wav"}
    assert skipped == {"readme.wav": "mine: name must be like a1_wut_1a; got 'readme.wav'."}


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (r"(?P<label>.+)", {"label": "c"}),
        (r"(?P<label>.+)\.wav", {"label": "c"}),
        (r"(?P<speaker>.+)/(?P<label>[a-z]+)", {"speaker": "b", "label": "c"}),
        (r"(?:(?P<speaker>[^/]+)/)?(?P<label>[a-z]+)", {"speaker": "b", "label": "c"}),
        (r"x/(?P<label>[a-z]+)", None),
        (r"(?P<label>[a-z])(?P<level>\d)?", {"label": "c", "level": None}),
    ],
)
def test_a_pattern_matches_the_whole_name_and_a_folder_for_each_slash(pattern, groups):
    assert match_path(re.compile(pattern), PurePosixPath("a/b/c.wav")) == groups


def test_a_pattern_needs_no_table(tmp_path):
    found = load(tmp_path, "anna_wut.wav", "tom/bert_freude.wav", "notes.wav")

    records, skipped = split(found.records())

    assert records["anna_wut.wav"] == NativeRecord(
        path=tmp_path / "wav/anna_wut.wav", name="anna_wut", speaker="anna", language="de", label="wut"
    )
    assert records["bert_freude.wav"].speaker == "bert"
    assert skipped == {"notes.wav": "mine: file must match the pattern of my.yaml; got 'notes.wav'."}
    assert found.sources == (tmp_path / "my.yaml",)


def test_a_pattern_reads_gender_level_age_and_speakers_of_a_table(tmp_path):
    (tmp_path / "who.csv").write_text("id,years\n7,41\n")
    yaml = """
pattern: '(?P<gender>[fm])/(?P<speaker>\\d)(?P<label>[a-z])(?P<level>[12])?'
audio: wav
language: de
labels: {w: angry}
genders: {f: female, m: male}
levels: {1: 0.125..0.625, 2: 0.625..1}
intensity: level
speakers: {table: who.csv, speaker: id, age: years}
"""
    records, skipped = split(load(tmp_path, "f/7w2.flac", "m/7w.flac", yaml=yaml).records())

    loud, plain = records["7w2.flac"], records["7w.flac"]
    assert (loud.speaker, loud.gender, loud.age, loud.level, loud.name) == ("7", "female", 41.0, "2", "f_7w2")
    assert (plain.gender, plain.level) == ("male", None)
    assert skipped == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("(?P<label>", "(?P<mood>"),
            r"groups of pattern must be fields \(speaker, label, .*\); got 'mood' in my.yaml",
        ),
        (("(?P<label>", "(?P<label"), r"pattern must be a regular expression; got .* in my.yaml. Write it in single"),
        (("(?P<label>", "("), r"pattern must have a group label; got speaker in my.yaml"),
        (("(?P<speaker>", "("), r"pattern must have a group speaker; got label in my.yaml. Only if every file"),
        (
            ("audio: wav", "audio: wav\ntable: t.csv"),
            r"table must not be given beside pattern; got 't.csv' in my.yaml",
        ),
        (
            ("audio: wav", "audio: wav\ncolumns: {file: a}"),
            r"columns must not be given beside pattern; got .* in my.y",
        ),
    ],
)
def test_a_pattern_that_says_too_little_or_too_much_is_refused(tmp_path, change, message):
    with pytest.raises(CorpusError, match=f"custom: {message}"):
        load(tmp_path, "anna_wut.wav", yaml=YAML.replace(*change))


def test_a_value_that_does_not_fit_names_the_file(tmp_path):
    yaml = YAML.replace("[a-z]+)_", "[a-z]+)(?P<gender>[0-9])_")

    _, skipped = split(load(tmp_path, "anna1_wut.wav", yaml=yaml).records())

    assert skipped == {
        "anna1_wut.wav": "mine: gender must be one of female, male; got '1' in 'anna1_wut.wav'. "
        "Map it in `genders` of my.yaml."
    }
