import pytest

from speecheq.dataset_scripts import records
from speecheq.dataset_scripts.records import CorpusError, Skipped


def test_look_up_returns_the_meaning():
    assert records.look_up("02", {"01": "female", "02": "male"}, field="gender", item="a.wav") == "male"


def test_look_up_names_at_most_ten_options():
    table = {str(number): "x" for number in range(12)}

    with pytest.raises(CorpusError, match=r"emotion must be one of 0, 1, .*, 9, ... \(2 more\); got '99' in 'a.wav'"):
        records.look_up("99", table, field="emotion", item="a.wav")


def test_find_audio_takes_any_suffix_in_any_case_and_sorts_by_relative_path(tmp_path):
    names = ["b/1.WAV", "a/2.opus", "a/1.FLAC", "c.ogg", "d.mp3", "e.m4a", "._a.wav", "a/._2.opus", "f.txt", "g.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.wav").mkdir()

    found = [path.relative_to(tmp_path).as_posix() for path in records.find_audio(tmp_path)]

    assert found == ["a/1.FLAC", "a/2.opus", "b/1.WAV", "c.ogg", "d.mp3", "e.m4a"]


def test_find_audio_refuses_an_empty_and_a_missing_folder(tmp_path):
    with pytest.raises(CorpusError, match=r"folder must hold audio files .* Unpack the download there"):
        records.find_audio(tmp_path)
    with pytest.raises(CorpusError, match=r"folder must exist; got .*nowhere"):
        records.find_audio(tmp_path / "nowhere")


def test_read_table_strips_values_and_takes_a_byte_order_mark(tmp_path):
    (tmp_path / "t.csv").write_text("\ufefffile,age\n a.wav , 23\nb.wav\n", encoding="utf-8")

    rows = records.read_table(tmp_path / "t.csv", ("file", "age"))

    assert rows == [{"file": "a.wav", "age": "23"}, {"file": "b.wav", "age": ""}]


def test_read_table_keeps_quotes_of_a_tab_separated_file(tmp_path):
    (tmp_path / "t.tsv").write_text('file\ttext\na.wav\t"Ten" dom\n')

    assert records.read_table(tmp_path / "t.tsv", ("text",), delimiter="\t") == [{"text": '"Ten" dom'}]


def test_read_table_names_the_missing_file_or_column(tmp_path):
    with pytest.raises(CorpusError, match=r"annotation file must exist; got no 't.csv' in .* Copy it there"):
        records.read_table(tmp_path / "t.csv", ("file",))
    (tmp_path / "t.csv").write_text("name\nx\n")
    with pytest.raises(CorpusError, match=r"header must hold file; got name in 't.csv'"):
        records.read_table(tmp_path / "t.csv", ("file",))


def test_rows_without_audio_are_reported_in_order(tmp_path):
    rows = {name: {} for name in ("d", "b", "a", "c")}

    found = list(records.rows_without_audio([tmp_path / "a.opus"], rows, tmp_path, "data.tsv"))

    assert [item.path for item in found] == [tmp_path / "b", tmp_path / "c", tmp_path / "d"]
    assert found[0].reason == "data.tsv: audio file must exist; got none for row 'b'."


def test_a_file_that_cannot_be_parsed_never_costs_the_others(tmp_path):
    def parse(path):
        if path.name == "bad.wav":
            raise CorpusError("bad name")
        return path.name

    found = list(records.parse_each([tmp_path / "a.wav", tmp_path / "bad.wav", tmp_path / "c.wav"], parse))

    assert found == ["a.wav", Skipped(tmp_path / "bad.wav", "bad name"), "c.wav"]
