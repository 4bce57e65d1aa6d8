"""Claims about tables that somebody else wrote: every dialect named, every damaged row found, no good one lost."""

from pathlib import Path

import pytest

from speecheq.dataset_scripts.corpora.records import CorpusError
from speecheq.dataset_scripts.corpora.tables import Row, Table, number


def table(tmp_path: Path, content: str | bytes, name: str = "t.csv", **settings) -> Table:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Table(path, **settings)


def test_csv_is_read_by_column_and_stripped(tmp_path):
    found = table(tmp_path, 'file, text\r\na.wav , "Ja, ""gut""."\r\n\r\n,\r\nb.wav,"zwei\nZeilen"\r\n')

    assert found.header() == ["file", "text"]
    assert list(found.rows()) == [
        Row(2, {"file": "a.wav", "text": 'Ja, "gut".'}),
        Row(6, {"file": "b.wav", "text": "zwei\nZeilen"}),
    ]


def test_in_tsv_a_quotation_mark_is_a_letter(tmp_path):
    found = table(tmp_path, 'file\ttext\na.wav\t"Nein" sagte er\n', "t.TSV")

    assert list(found.rows()) == [Row(2, {"file": "a.wav", "text": '"Nein" sagte er'})]


def test_jsonl_gives_texts_and_lists_and_the_keys_of_all_lines(tmp_path):
    found = table(
        tmp_path,
        '{"file": "a.wav", "label": 0, "share": 0.5, "sure": true, "who": null}\n\n{" file": " b ", "votes": ["x", 1]}\n',
        "t.JSONL",
    )

    assert found.header() == ["file", "label", "share", "sure", "who", "votes"]
    assert list(found.rows()) == [
        Row(1, {"file": "a.wav", "label": "0", "share": "0.5", "sure": "true", "who": ""}),
        Row(3, {"file": "b", "votes": ("x", "1")}),
    ]


@pytest.mark.parametrize("line", ["{", "[1]", '"a"', '{"file": {"path": "a"}}', '{"file": [["a"]]}', "[" * 9999])
def test_a_damaged_line_of_jsonl_costs_no_other(tmp_path, line):
    damaged, good = table(tmp_path, f'{line}\n{{"file": "b"}}\n', "t.jsonl").rows()

    assert "row must be a JSON object of texts, numbers and lists of them; got" in damaged.problem
    assert (damaged.line, damaged.cells) == (1, {})
    assert good == Row(2, {"file": "b"})


@pytest.mark.parametrize(("line", "count"), [("a.wav,Ja, gut,x", 4), ("a.wav", 1)])
def test_a_row_of_another_length_is_named_and_costs_no_other(tmp_path, line, count):
    damaged, good = table(tmp_path, f"file,text,who\n{line}\nb.wav,Ja,x\n").rows()

    assert damaged.problem.startswith(f"row must have 3 values as the first line has; got {count}. Put values")
    assert good.cells == {"file": "b.wav", "text": "Ja", "who": "x"}


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        ("﻿file;who\nä.wav;ö\n".encode(), {"delimiter": ";"}),
        ("﻿file;who\nä.wav;ö\n".encode(), {"delimiter": ";", "encoding": "UTF8"}),
        ("file;who\nä.wav;ö\n".encode("cp1252"), {"delimiter": ";", "encoding": "cp1252"}),
        ("file;who\nä.wav;ö\n".encode("utf-16"), {"delimiter": ";", "encoding": "utf-16"}),
        ("file|who\rä.wav|ö".encode(), {"delimiter": "|"}),
    ],
)
def test_delimiters_encodings_and_byte_order_marks(tmp_path, content, settings):
    assert list(table(tmp_path, content, **settings).rows()) == [Row(2, {"file": "ä.wav", "who": "ö"})]


def test_a_byte_order_mark_is_no_part_of_jsonl(tmp_path):
    found = table(tmp_path, b'\xef\xbb\xbf{"file": "a"}\n', "t.jsonl")

    assert list(found.rows()) == [Row(1, {"file": "a"})]


def test_what_stands_for_nothing_is_nothing(tmp_path):
    found = table(tmp_path, "file,age\na.wav,NA\nb.wav, - \nc.wav,NAN\n", missing=("NA", "-"))

    assert [row.cells["age"] for row in found.rows()] == ["", "", "NAN"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,who,file\na,b,c\n", "t.csv must have a column of each name once; got 'file' twice"),
        ("", "t.csv must begin with the names of its columns; got none"),
        (",\n1,2\n", "must begin with the names of its columns"),
        ("file,who\n".encode("utf-16"), "t.csv must be text in utf-8-sig; got .* Set `encoding`, for example cp1252"),
    ],
)
def test_a_table_without_clear_columns_is_refused(tmp_path, content, message):
    with pytest.raises(CorpusError, match=message):
        table(tmp_path, content).header()


def test_unnamed_columns_are_no_mistake(tmp_path):
    assert table(tmp_path, ",,file\n1,2,a\n").header() == ["", "", "file"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('file,text\na.wav,"offen\nb.wav,x\n', "t.csv must be CSV by RFC 4180; got unexpected end of data in line 3"),
        ("file,text\na.wav,gr\xfcn\n".encode("latin-1"), "t.csv must be text in utf-8-sig; got .*0xfc"),
    ],
)
def test_a_table_damaged_as_a_whole_stops_with_the_place(tmp_path, content, message):
    with pytest.raises(CorpusError, match=message):
        list(table(tmp_path, content).rows())


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("t.xlsx", {}, r"file must end in .csv, .tsv or .jsonl; got 't.xlsx'. Export it as CSV"),
        ("t.csv", {"encoding": "klingon"}, "encoding must be a codec of Python, .*; got 'klingon'"),
        ("t.csv", {"encoding": "hex"}, "encoding must be a codec of Python, .*; got 'hex'"),
    ],
)
def test_a_table_of_another_kind_is_refused(tmp_path, name, settings, message):
    with pytest.raises(CorpusError, match=message):
        table(tmp_path, "a\n", name, **settings)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"file must exist; got no 'gone.csv' in"):
        Table(tmp_path / "gone.csv")


@pytest.mark.parametrize("name", ["t.txt", "t.jsonl"])
def test_a_delimiter_makes_csv_of_any_suffix(tmp_path, name):
    assert list(table(tmp_path, "file|who\na|b\n", name, delimiter="|").rows()) == [Row(2, {"file": "a", "who": "b"})]


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [("3", ".", 3.0), ("-0.5", ".", -0.5), (".5", ".", 0.5), ("1e-3", ".", 0.001), ("0,5", ",", 0.5), ("7", ",", 7.0)],
)
def test_numbers(text, decimal, value):
    assert number(text, decimal) == value


@pytest.mark.parametrize(
    ("text", "decimal"),
    [
        ("0,5", "."),
        ("1.234", ","),
        ("1.234,5", ","),
        ("nan", "."),
        ("inf", "."),
        ("1e999", "."),
        ("1_000", "."),
        ("x", "."),
    ],
)
def test_what_is_no_number(text, decimal):
    with pytest.raises(ValueError, match=f"must be a number with '{decimal}' as its decimal mark; got '{text}'"):
        number(text, decimal)
