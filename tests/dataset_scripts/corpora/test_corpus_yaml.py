"""Claims about the YAML file of a custom corpus: small where the table is plain, and every mistake named."""

from pathlib import Path

import pytest

from speecheq.dataset_scripts.corpora import corpus_yaml
from speecheq.dataset_scripts.corpora.records import CorpusError

HEADER = "path,mood,who,sex,strength,rated,v,a,r1,r2\n"
MINIMAL = """
table: t.csv
columns: {file: path, label: mood, speaker: who}
language: de
labels: {wut: angry}
"""


def describe(tmp_path: Path, text: str | bytes, header: str = HEADER) -> corpus_yaml.Description:
    (tmp_path / "t.csv").write_text(header)
    (tmp_path / "users.csv").write_text("id,sex,years\n")
    path = tmp_path / "my.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return corpus_yaml.read(path)


def test_the_least_that_a_file_must_say(tmp_path):
    found = describe(tmp_path, MINIMAL)

    assert found.columns == {"file": ("path",), "label": ("mood",), "speaker": ("who",)}
    assert found.folder == tmp_path
    assert [(part, table.path) for part, table in found.recordings] == [(None, tmp_path / "t.csv")]
    assert found.labels == {"wut": ("angry",)}
    assert (found.levels, found.rule, found.speakers, found.vote_separator) == ({}, None, None, None)
    assert found.genders == {"female": "female", "male": "male"}
    assert (found.rating_scale, found.intensity_scale, found.decimal) == ((1, 5), (0, 1), ".")
    assert (found.license, found.homepage, found.citation) == ("no licence stated", "", "")
    assert found.redistributable is False


def test_everything_that_a_file_can_say(tmp_path):
    found = describe(
        tmp_path,
        """
table: {train: t.csv, test: t.csv}
audio: ../wav
columns: {file: path, label: mood, speaker: who, level: strength, intensity: rated, valence: v, arousal: [a, v],
          votes: [r1, r2]}
speakers: {table: users.csv, speaker: id, gender: sex, age: years}
language: "no"
labels: {wut: angry, freude: [happy, excited], "01": neutral, no: null, leer: , weg: ~}
levels: {leise: 0.125..0.625, stark: 1, unklar: null}
intensity: rated
rating_scale: [1, 7]
intensity_scale: [0, 100]
genders: {f: female, m: male, d: null}
decimal: ","
missing: [NA]
license: CC-BY-4.0
redistributable: true
homepage: https://example.org
citation: "Du, Dein Korpus: 2026"
""",
    )

    assert [(part, table.path.name, table.missing) for part, table in found.recordings] == [
        ("train", "t.csv", ("NA",)),
        ("test", "t.csv", ("NA",)),
    ]
    assert found.folder == tmp_path.parent / "wav"
    assert found.columns["arousal"] == ("a", "v")
    assert found.columns["votes"] == ("r1", "r2")
    assert found.speakers.path == tmp_path / "users.csv"
    assert found.speaker_columns == {"speaker": "id", "gender": "sex", "age": "years"}
    assert found.language == "no"
    assert found.labels == {
        "wut": ("angry",),
        "freude": ("happy", "excited"),
        "01": ("neutral",),
        "no": (),
        "leer": (),
        "weg": (),
    }
    assert found.levels == {"leise": "0.125..0.625", "stark": "1", "unklar": ""}
    assert (found.rule, found.rating_scale, found.intensity_scale) == ("rated", (1, 7), (0, 100))
    assert found.genders == {"f": "female", "m": "male", "d": None}
    assert (found.decimal, found.license, found.redistributable) == (",", "CC-BY-4.0", True)
    assert (found.homepage, found.citation) == ("https://example.org", "Du, Dein Korpus: 2026")


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_a_hub_folder_needs_labels_and_a_language_only(tmp_path, name):
    folder = tmp_path / "audio"
    folder.mkdir()
    header = (
        '{"file_name": "a", "emotion": "b", "speaker": "c"}' if name.endswith("l") else "file_name,emotion,speaker"
    )
    (folder / name).write_text(header + "\n")

    found = describe(tmp_path, "{audio: audio, labels: {b: sad}, language: en}")

    assert found.columns == {"file": ("file_name",), "label": ("emotion",), "speaker": ("speaker",)}
    assert found.recordings[0][1].path == folder / name


def test_a_label_may_be_left_out_where_raters_vote(tmp_path):
    columns = "columns: {file: path, speaker: who, votes: [r1, r2]}"

    found = describe(tmp_path, MINIMAL.replace("columns: {file: path, label: mood, speaker: who}", columns))

    assert "label" not in found.columns


def test_a_column_that_the_file_names_goes_before_one_of_a_usual_name(tmp_path):
    found = describe(tmp_path, MINIMAL, header="path,mood,who,label,emotion,speaker,file\n")

    assert found.columns == {"file": ("path",), "label": ("mood",), "speaker": ("who",)}


def test_a_column_may_say_the_language_of_every_row(tmp_path):
    found = describe(tmp_path, MINIMAL.replace("who}", "who, language: sex}").replace("language: de", ""))

    assert (found.language, found.columns["language"]) == (None, ("sex",))


def test_one_rater_in_a_column_of_its_own_needs_no_separator(tmp_path):
    assert describe(tmp_path, MINIMAL.replace("who}", "who, votes: [r1]}")).columns["votes"] == ("r1",)


def test_two_hub_tables_beside_the_audio_are_not_guessed(tmp_path):
    for name in ("metadata.csv", "metadata.jsonl"):
        (tmp_path / name).touch()

    with pytest.raises(CorpusError, match=r"table must be given unless .* is beside the audio; got both in my.yaml"):
        describe(tmp_path, MINIMAL.replace("table: t.csv", ""))


def test_votes_do_not_stand_for_the_file(tmp_path):
    with pytest.raises(
        CorpusError, match=r"columns.file must be given where the table has no column file_name or file"
    ):
        describe(tmp_path, MINIMAL.replace("file: path", "votes: [r1]"), header="audio,mood,who,r1\n")


def test_a_voice_per_file_is_stated_by_the_user(tmp_path):
    text = MINIMAL.replace(", speaker: who", "")

    assert "speaker" not in describe(tmp_path, text + "speaker: per-file").columns


def test_without_speakers_the_error_says_why(tmp_path):
    with pytest.raises(
        CorpusError, match="Splits are speaker-disjoint: without it, a voice of the training part"
    ) as error:
        describe(tmp_path, MINIMAL.replace(", speaker: who", ""))

    assert "columns.speaker must name the column of the speaker; got path, mood, who" in str(error.value)
    assert "write `speaker: per-file`" in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "colums: {}", r"key must be one of table, .*; got 'colums' in my.yaml. Did you mean 'columns'\?"),
        (MINIMAL + "zzz: 1", "key must be one of .*; got 'zzz' in my.yaml. BRING_YOUR_OWN.md lists them all"),
        (MINIMAL + "labels: {wut: sad}", "my.yaml must be YAML; got 'labels' stands twice"),
        (MINIMAL.replace("wut: angry", "wut: angry, wut: sad"), "my.yaml must be YAML; got 'wut' stands twice"),
        (MINIMAL + "homepage: [", "my.yaml must be YAML; got .* Put special characters in quotes"),
        (MINIMAL.encode("utf-16-le"), "my.yaml must be YAML; got"),
        ("labels", "content must be a mapping of keys to values; got 'labels'"),
        ("", "content must be a mapping of keys to values; got None"),
        (MINIMAL + "genders: f", "genders must be a mapping; got 'f'"),
        (MINIMAL + "audio: [wav]", r"audio must be one value; got \['wav'\]"),
        (MINIMAL + "missing: NA", "missing must be a list; got 'NA'"),
        (MINIMAL + "missing: [[NA]]", "missing must hold values"),
        (MINIMAL.replace("t.csv", "[t.csv]"), r"table must be one value or a mapping; got \['t.csv'\]"),
        (MINIMAL.replace("t.csv", "{}"), "table must name a table for each part"),
        (MINIMAL.replace("t.csv", "{dev: [t.csv]}"), r"table.dev must be one value; got \['t.csv'\]"),
        (MINIMAL.replace("t.csv", "u.csv"), "file must exist; got no 'u.csv'"),
        (MINIMAL.replace("table: t.csv", ""), "table must be given unless metadata.csv or metadata.jsonl is beside"),
        (MINIMAL + "delimiter: ';;'", "delimiter must be one character; got ';;'"),
        (MINIMAL.replace("who}", "who, mod: a}"), "columns must name fields .*; got 'mod' in my.yaml"),
        (
            MINIMAL.replace("who}", "who, text: Text}"),
            r"columns.text must name a column of t.csv \(path, .*; got 'Text'",
        ),
        (MINIMAL.replace("who}", "who, text: [a, v]}"), r"columns.text must be one column; got \['a', 'v'\]"),
        (MINIMAL.replace("who}", "who, text: {a: v}}"), r"columns.text must be one column; got \{'a': 'v'\}"),
        (MINIMAL.replace("who}", "who, votes: []}"), r"columns.votes must be one column, or a list .*; got \[\]"),
        (MINIMAL.replace("who}", "who, votes: [{a: v}]}"), "columns.votes must be one column, or a list of them"),
        (
            MINIMAL.replace("file: path, ", "").replace("t.csv", "users.csv"),
            "columns.label must name a column of users.csv",
        ),
        (
            MINIMAL.replace("label: mood, ", ""),
            "columns.label must be given .* no column label or emotion; got path, mood",
        ),
        (MINIMAL + "speaker: who", "speaker must be per-file; got 'who'"),
        (MINIMAL + "speaker: per-file", "speaker must not be per-file where a column names the speaker; got .*'who'"),
        (MINIMAL.replace("language: de", ""), "language must be given where columns do not name it"),
        (MINIMAL.replace("de\n", "German\n"), "language must be an ISO 639 code, such as de; got 'German'"),
        (MINIMAL.replace("labels: {wut: angry}", ""), "labels must map each native label to fine classes"),
        (MINIMAL.replace("angry", "{a: b}"), r"labels.wut must be one value; got \{'a': 'b'\}"),
        (MINIMAL.replace("angry", "[sad, null]"), "labels.wut must be null alone, or fine classes"),
        (
            MINIMAL.replace("who}", "who, gender: sex}") + "genders: {f: woman}",
            "genders.f must be one of female, male or null; got 'woman'",
        ),
        (MINIMAL + "decimal: ';'", "decimal must be . or ,; got ';'"),
        (MINIMAL + "redistributable: yes", "redistributable must be true or false; got 'yes'"),
        (MINIMAL + "redistributable: true", "license must be given where redistributable is true"),
        (MINIMAL + "intensity: loud", "intensity must be valence_arousal or level or rated; got 'loud'"),
    ],
)
def test_a_mistake_is_named(tmp_path, text, message):
    with pytest.raises(CorpusError, match=message):
        describe(tmp_path, text)


@pytest.mark.parametrize(
    ("columns", "more", "message"),
    [
        ("", "levels: {leise: 0.5}", "columns must name level where levels is given; got file, label, speaker"),
        ("", "genders: {f: female}", "columns must name gender where genders is given"),
        ("", "rating_scale: [1, 5]", "columns must name valence or arousal or dominance where rating_scale is given"),
        ("", "intensity_scale: [1, 5]", "columns must name intensity where intensity_scale is given"),
        ("", "vote_separator: ';'", "columns must name votes where vote_separator is given"),
        ("level: strength", "intensity: level", "levels must be given where columns name level"),
        ("level: strength", "levels: {leise: 0.5}", "intensity must be .* where columns name level"),
        ("intensity: rated", "", "intensity must be .* where columns name intensity"),
        ("arousal: a", "", "rating_scale must be given where columns name arousal"),
        ("arousal: a", "rating_scale: [5, 1]", "rating_scale must be two numbers, the lower first; got"),
        ("arousal: a", "rating_scale: [1]", "rating_scale must be two numbers"),
        ("arousal: a", "rating_scale: [one, 7]", "rating_scale must be two numbers"),
        ("arousal: a", "rating_scale: [[1], 7]", "rating_scale must hold values"),
        (
            "arousal: a",
            "rating_scale: [1, 5]\nintensity: valence_arousal",
            "columns must name valence where intensity is",
        ),
        ("", "intensity: level", "columns must name level where intensity is level"),
        ("", "intensity: rated", "columns must name intensity where intensity is rated"),
        ("votes: r1", "", "vote_separator must be given where one column holds all votes; got none"),
        (
            "",
            "speakers: {table: users.csv, speaker: id, sex: sex}",
            "speakers must have the keys table, .*; got 'sex'",
        ),
        ("", "speakers: {table: users.csv, speaker: id}", "speakers must name table, speaker and gender or age"),
        ("", "speakers: {table: [users.csv], speaker: id}", "speakers.table must be one value"),
        ("", "speakers: {table: u.csv, speaker: id, age: years}", "file must exist; got no 'u.csv'"),
        (
            "",
            "speakers: {table: users.csv, speaker: id, age: old}",
            r"speakers.age must name a column of users.csv \(id, sex",
        ),
        ("age: a", "speakers: {table: users.csv, speaker: id, age: years}", "speakers.age must not be in columns too"),
    ],
)
def test_a_key_without_effect_and_a_column_without_its_key_are_refused(tmp_path, columns, more, message):
    text = MINIMAL.replace("who}", f"who, {columns}}}" if columns else "who}")

    with pytest.raises(CorpusError, match=message):
        describe(tmp_path, f"{text}{more}\n")


def test_speakers_need_a_column_of_speakers(tmp_path):
    text = (
        MINIMAL.replace(", speaker: who", "")
        + "speaker: per-file\nspeakers: {table: users.csv, speaker: id, age: years}"
    )

    with pytest.raises(
        CorpusError, match="speakers must name table, speaker and gender or age, and columns a speaker"
    ):
        describe(tmp_path, text)


def test_two_columns_that_may_be_the_label_are_not_guessed(tmp_path):
    text = MINIMAL.replace("label: mood, ", "")

    with pytest.raises(
        CorpusError, match=r"columns.label must be given where several columns may be it; got label, emotion"
    ):
        describe(tmp_path, text, header="path,label,emotion,who\n")


@pytest.mark.parametrize("columns", ["columns: {file: path, label: mood, speaker: who}", ""])
def test_a_header_of_one_column_points_to_the_delimiter(tmp_path, columns):
    text = MINIMAL.replace("columns: {file: path, label: mood, speaker: who}", columns)

    with pytest.raises(CorpusError, match=r"got '?path.* Set `delimiter` if the columns are not apart"):
        describe(tmp_path, text, header="path;mood;who\n")


@pytest.mark.parametrize("columns", ["columns: {file: path, label: gone, speaker: who}", ""])
def test_a_header_of_several_columns_does_not(tmp_path, columns):
    with pytest.raises(CorpusError) as error:
        describe(tmp_path, MINIMAL.replace("columns: {file: path, label: mood, speaker: who}", columns))

    assert "delimiter" not in str(error.value)


def test_a_missing_file_points_to_the_page(tmp_path):
    with pytest.raises(CorpusError, match=r"YAML file must exist; got .*gone.yaml'. BRING_YOUR_OWN.md shows one"):
        corpus_yaml.read(tmp_path / "gone.yaml")
