from pathlib import Path

import pytest

from speecheq.dataset_scripts.corpora import records
from speecheq.dataset_scripts.corpora.records import CorpusError, Skipped


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


def test_find_audio_finds_every_format_that_is_read_and_names_the_others(tmp_path, caplog):
    for suffix in (*records.AUDIO_SUFFIXES, ".mid", ".PCM", ".txt"):
        (tmp_path / f"a{suffix}").touch()

    found = records.find_audio(tmp_path)

    assert {path.suffix for path in found} == set(records.AUDIO_SUFFIXES) > {".wav", ".caf", ".amr", ".wma", ".au"}
    assert caplog.messages == [
        "2 files look like audio, but their format is not read: a.PCM, a.mid. Convert them, for example to WAV."
    ]


def test_a_format_is_read_or_not_and_by_one_decoder():
    suffixes = (*records.SOUNDFILE_SUFFIXES, *records.FFMPEG_SUFFIXES, *records.UNREAD_SUFFIXES)
    assert len(suffixes) == len(set(suffixes)) and all(suffix == suffix.lower() for suffix in suffixes)


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


def test_find_entry_ignores_case_prefers_the_first_name_and_looks_below_extra_parents(tmp_path):
    (tmp_path / "mirror" / "LABELS").mkdir(parents=True)
    (tmp_path / "mirror" / "label").mkdir()
    (tmp_path / "note.txt").touch()

    assert records.find_entry(tmp_path, "Labels", "Label") is None
    assert records.find_entry(tmp_path, "Labels", "Label", depth=1) == tmp_path / "mirror/LABELS"
    assert records.find_entry(tmp_path, "Label", "Labels", depth=1) == tmp_path / "mirror/label"
    assert records.find_entry(tmp_path / "missing", "Labels", depth=1) is None


def test_read_text_takes_utf8_with_a_byte_order_mark_and_windows_1252(tmp_path):
    (tmp_path / "utf8.txt").write_bytes("\ufeffIt’s".encode())
    (tmp_path / "windows.txt").write_bytes(b"It\x92s")

    assert records.read_text(tmp_path / "utf8.txt") == "It’s"
    assert records.read_text(tmp_path / "windows.txt") == "It’s"
    with pytest.raises(CorpusError, match=r"file must be readable; got 'No such file or directory' in 'no.txt'"):
        records.read_text(tmp_path / "no.txt")


ZH = ("utf-8", "gb18030")


@pytest.mark.parametrize("encoding", ["gb2312", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_decode_text_reads_chinese_in_every_encoding_it_comes_in(tmp_path, encoding):
    (tmp_path / "t.txt").write_bytes("0001 你好，\n".encode(encoding))

    assert records.decode_text(tmp_path / "t.txt", ZH) == "0001 你好，\n"


def test_decode_text_reads_western_bytes_by_the_first_encoding_that_fits(tmp_path):
    (tmp_path / "t.txt").write_bytes(b"don\x92t caf\xe9")
    (tmp_path / "u.txt").write_bytes(b"caf\xe9 \x81")

    assert records.decode_text(tmp_path / "t.txt", ("utf-8", "cp1252", "latin-1")) == "don’t café"
    assert records.decode_text(tmp_path / "u.txt", ("utf-8", "cp1252", "latin-1")) == "café \x81"


def test_decode_text_marks_a_broken_byte_and_keeps_the_other_lines(tmp_path):
    (tmp_path / "t.txt").write_bytes("你好\n".encode("gb2312") + b"\xff\n" + "再见\n".encode("gb2312"))

    assert records.decode_text(tmp_path / "t.txt", ZH).split("\n") == ["你好", "\ufffd", "再见", ""]


def test_decode_text_names_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(CorpusError, match=r"file must be readable; got 'No such file or directory' in 't.txt'"):
        records.decode_text(tmp_path / "t.txt", ZH)


def test_a_table_in_another_encoding_is_read(tmp_path):
    (tmp_path / "t.csv").write_bytes("file,who\na.wav,Zo\xeb\n".encode("cp1252"))

    assert records.read_table(tmp_path / "t.csv", ("file", "who")) == [{"file": "a.wav", "who": "Zo\xeb"}]


def test_speaker_and_labels_of_a_record_are_in_unicode_form_nfc():
    two = "Zoe\u0308"
    record = records.NativeRecord(
        path=Path("a.wav"), speaker=two, language="de", label=two, level=two, votes=(two, "x")
    )

    assert (record.speaker, record.label, record.level, record.votes) == (
        "Zo\xeb",
        "Zo\xeb",
        "Zo\xeb",
        ("Zo\xeb", "x"),
    )
