"""Claims about writing and reading rows, and about TextGrids."""

import csv
import io
import json
import os

import pytest
from praatio.textgrid import openTextgrid

from speecheq.scoring.formats import CSV_COLUMNS, Csv, JsonLines, Rows, Table, standing, write_text_grid

ANSWER = {
    "label": "happy", "score": 0.51239, "abstained": None,
    "emotion": [{"label": "happy", "score": 0.51239}],
    "intensity": {"value": 0.62501, "level": "high", "interval": [0.5, 1.0]},
    "gender": {"label": "female", "score": 0.9},
    "phonemes": [
        {"phoneme": "h", "start": 0.1, "end": 0.12}, {"phoneme": "ə", "start": 0.12, "end": 0.2},
        {"phoneme": "tʃ", "start": 0.18, "end": 0.22},
    ],
    "timeline": [
        {"start": 0.1, "end": 1.0, "label": "happy", "score": 0.6, "intensity": 0.625},
        {"start": 1.0, "end": 1.6, "label": "sad", "score": 0.6, "intensity": 0.3},
    ],
    "duration": 2.5, "speech": 1.5,
}  # fmt: skip
SILENT = {
    "label": None, "score": None, "abstained": "silence", "emotion": [], "intensity": None, "gender": None,
    "phonemes": [], "timeline": [], "duration": 1.0, "speech": 0.0,
}  # fmt: skip
FAILED = {"error": "unreadable: 0 bytes"}


def test_json_lines_are_the_answers_with_their_files():
    row = JsonLines().row("a/ü.wav", ANSWER)
    assert row.startswith('{"file": "a/ü.wav", "label": "happy", "score": 0.51239,') and row.endswith("\n")
    assert json.loads(row) == {"file": "a/ü.wav", **ANSWER}
    assert JsonLines().row("b.wav", FAILED) == '{"file": "b.wav", "error": "unreadable: 0 bytes"}\n'


def test_csv_has_one_row_per_file():
    rows = Csv()
    assert rows.head == (
        "file,label,score,abstained,intensity,intensity_level,intensity_low,intensity_high,gender,gender_score,duration,"
        "speech,phonemes,error\n"
    )
    assert rows.row("a, b.wav", ANSWER) == (
        '"a, b.wav",happy,0.5124,,0.6250,high,0.5000,1.0000,female,0.9000,2.5,1.5,h ə tʃ,\n'
    )
    assert rows.row("s.wav", SILENT) == "s.wav,,,silence,,,,,,,1.0,0.0,,\n"
    assert rows.row("b.wav", FAILED) == "b.wav,,,,,,,,,,,,,unreadable: 0 bytes\n"


def test_the_table_is_aligned_whatever_the_names_are_written_in():
    table = Table(["short.wav", "中文录音.wav", "x" * 60 + ".wav"])
    lines = [
        table.head,
        table.row("short.wav", ANSWER),
        table.row("中文录音.wav", SILENT),
        table.row("a\n.wav", FAILED),
    ]
    lines.append(table.row("x" * 60 + ".wav", ANSWER | {"label": None, "abstained": "low confidence"}))
    assert lines == [
        "file" + " " * 46 + "label             score  intensity      gender   duration\n",
        "short.wav" + " " * 41 + "happy              0.51  0.63 high      female      2.5 s\n",
        "中文录音.wav" + " " * 38 + "(silence)" + " " * 43 + "1.0 s\n",
        "a?.wav" + " " * 44 + "error: unreadable: 0 bytes\n",
        "…" + "x" * 43 + ".wav  (low confidence)   0.51  0.63 high      female      2.5 s\n",
    ]


@pytest.mark.parametrize("rows", [JsonLines(), Csv()])
def test_what_stands_in_a_file_is_read_back_up_to_a_torn_row(rows, tmp_path):
    whole = rows.head + rows.row('"a"\n, ü.wav', ANSWER) + rows.row("b.wav", FAILED)
    torn = rows.row("ü.wav", {"error": 'said "no"\nand no more'}).encode()
    ends = [len(rows.head.encode()), len((rows.head + rows.row('"a"\n, ü.wav', ANSWER)).encode()), len(whole.encode())]
    expected = {'"a"\n, ü.wav': False, "b.wav": True}
    path = tmp_path / "rows"
    for rest in range(len(torn)):
        path.write_bytes(whole.encode() + torn[:rest])
        assert standing(path, rows) == (expected, len(whole.encode()), {frozenset({"happy"})})
    for cut in range(len(whole.encode())):
        path.write_bytes(whole.encode()[:cut])
        found, kept, _ = standing(path, rows)
        assert kept == max([end for end in ends if end <= cut], default=0)
        assert list(found) == list(expected)[: sum(end <= cut for end in ends[1:])]


PEOPLE = [{"channel": number, **ANSWER} for number in (1, 2)]


def test_rows_of_channels_name_the_channel():
    assert Csv(each=True).head.startswith("file,channel,label,score,")
    assert Csv(each=True).row("a.wav", PEOPLE[1]).startswith("a.wav,2,happy,0.5124,")
    assert JsonLines(each=True).row("a.wav", PEOPLE[1]).startswith('{"file": "a.wav", "channel": 2, "label": "happy"')
    table = Table(["a.wav"], each=True)
    assert table.head.split()[:3] == ["file", "channel", "label"]
    assert table.row("a.wav", PEOPLE[1]).split()[:3] == ["a.wav", "2", "happy"]
    assert table.row("b.wav", {"channel": None, **FAILED}).split()[:2] == ["b.wav", "error:"]


@pytest.mark.parametrize("rows", [JsonLines(each=True), Csv(each=True)])
def test_a_file_with_a_torn_row_is_scored_again_with_all_its_channels(rows, tmp_path):
    path = tmp_path / "rows"
    with (output := Rows(rows, path)).opened():
        output.write("a.wav", *PEOPLE)
        output.write("b.wav", *PEOPLE)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    with (again := Rows(rows, path)).opened():
        assert [again.failed(file) for file in ("a.wav", "b.wav")] == [False, None]
        again.write("b.wav", *PEOPLE)
    assert path.read_bytes() == whole and Rows(rows, path).failed("b.wav") is False


@pytest.mark.parametrize("form", [JsonLines, Csv])
@pytest.mark.parametrize("each", [True, False])
def test_rows_of_channels_are_not_continued_without_channels_nor_the_other_way(form, each, tmp_path):
    with (output := Rows(form(each), tmp_path / "rows")).opened():
        output.write("a.wav", PEOPLE[0] if each else ANSWER)
    with pytest.raises(ValueError, match="have rows of this command with the same --format and --channels; got b'"):
        Rows(form(not each), tmp_path / "rows")


def test_a_text_grid_has_the_tiers_of_each_channel(tmp_path):
    write_text_grid(PEOPLE, tmp_path / "a.TextGrid")
    grid = openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=False)
    assert grid.tierNames == (
        "emotion 1", "intensity 1", "phonemes 1", "emotion 2", "intensity 2", "phonemes 2",
    )  # fmt: skip
    assert [entry.label for entry in grid.getTier("emotion 2").entries] == ["happy", "sad"]


def test_a_long_recording_can_be_read_back(tmp_path):
    path = tmp_path / "rows.csv"
    hours = ANSWER | {"phonemes": [{"phoneme": "a"}] * 100_000}
    path.write_text(Csv().head + Csv().row("long.wav", hours))
    assert standing(path, Csv())[0] == {"long.wav": False}
    assert len(next(csv.DictReader(io.StringIO(path.read_text())))["phonemes"]) == 199_999


@pytest.mark.parametrize("rows", [JsonLines(), Csv()])
@pytest.mark.parametrize(
    "content",
    [b"my notes", b"my notes\n", b"RIFF\x00\xff\n\xfe", b'{"label": "happy"}\n', b"[1]\n", b"file,label\na.wav,happy\n",
     b"\xff\n", b'{"file": "a.wav", "emotion": [1]}\n', b'{"file": "a.wav", "label": []}\n'],
)  # fmt: skip
def test_a_file_of_somebody_else_is_left_alone(rows, content, tmp_path):
    path = tmp_path / "notes"
    path.write_bytes(content)
    with pytest.raises(
        ValueError,
        match=r"--out must be a new file, or have rows of this command with the same --format and --channels; ",
    ):
        Rows(rows, path)
    path.write_bytes(rows.head.encode() + rows.row("a.wav", ANSWER).encode() + content + b"\nmore\n")
    with pytest.raises(ValueError, match=r"Pass another file\.$"):
        Rows(rows, path)
    assert path.read_bytes().endswith(content + b"\nmore\n")


@pytest.mark.parametrize(("rows", "other"), [(JsonLines(), Csv()), (Csv(), JsonLines())])
def test_the_rows_of_one_format_are_not_those_of_the_other(rows, other, tmp_path):
    path = tmp_path / "rows"
    path.write_text(rows.head + rows.row("a.wav", ANSWER))
    assert Rows(rows, path).failed("a.wav") is False
    with pytest.raises(ValueError, match="have rows of this command with the same --format and --channels; got b'"):
        Rows(other, path)


@pytest.mark.parametrize(("rows", "name"), [(JsonLines(), "rows.jsonl"), (Csv(), "rows.csv")])
def test_rows_are_in_the_file_as_soon_as_they_are_written(rows, name, tmp_path):
    path, odd = tmp_path / name, b"caf\xe9.wav".decode(errors="surrogateescape")  # a name in Latin-1
    with (output := Rows(rows, path)).opened():
        output.write(odd, ANSWER)
        assert path.read_text(encoding="utf-8") == rows.head + rows.row("caf\\udce9.wav", ANSWER)
        output.write("b.wav", FAILED)
    again = Rows(rows, path)
    assert [again.failed(file) for file in (odd, "b.wav", "c.wav")] == [False, True, None]
    assert len(CSV_COLUMNS) == 14


@pytest.mark.parametrize("rows", [JsonLines(), Csv()])
def test_to_a_pipe_is_written_and_nothing_is_read_from_it(rows, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with (output := Rows(rows, tmp_path / "pipe")).opened():
        output.write("a.wav", ANSWER)
    assert os.read(reader, 10_000).decode() == rows.head + rows.row("a.wav", ANSWER)
    os.close(reader)


def test_a_text_grid_is_read_back(tmp_path):
    path = tmp_path / "a.TextGrid"
    write_text_grid([ANSWER], path)
    grid = openTextgrid(str(path), includeEmptyIntervals=True)
    assert grid.tierNames == ("emotion", "intensity", "phonemes") and (grid.minTimestamp, grid.maxTimestamp) == (
        0,
        2.5,
    )
    tiers = {name: [tuple(entry) for entry in grid.getTier(name).entries] for name in grid.tierNames}
    assert tiers["emotion"] == [(0, 0.1, ""), (0.1, 1.0, "happy"), (1.0, 1.6, "sad"), (1.6, 2.5, "")]
    assert tiers["intensity"] == [(0, 0.1, ""), (0.1, 1.0, "0.62"), (1.0, 1.6, "0.30"), (1.6, 2.5, "")]
    # overlapping phonemes are cut at the middle
    assert tiers["phonemes"] == [
        (0, 0.1, ""),
        (0.1, 0.12, "h"),
        (0.12, 0.19, "ə"),
        (0.19, 0.22, "tʃ"),
        (0.22, 2.5, ""),
    ]
    assert [file.name for file in tmp_path.iterdir()] == ["a.TextGrid"]


def test_a_text_grid_without_speech_is_one_empty_interval(tmp_path):
    write_text_grid([SILENT], tmp_path / "a.TextGrid")
    grid = openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
    assert [[tuple(entry) for entry in grid.getTier(name).entries] for name in grid.tierNames] == [[(0, 1.0, "")]] * 3


def test_no_interval_leaves_the_duration_and_none_is_lost_to_another(tmp_path):
    phonemes = [(-0.1, 0.5, "a"), (0.5, 0.6, "b"), (0.5, 0.6, "c"), (0.98, 1.02, "d")]
    answer = SILENT | {"phonemes": [{"start": start, "end": end, "phoneme": name} for start, end, name in phonemes]}
    write_text_grid([answer], tmp_path / "a.TextGrid")
    tier = openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=False).getTier("phonemes")
    assert [entry.label for entry in tier.entries] == ["a", "b", "c", "d"]
    bounds = [time for entry in tier.entries for time in (entry.start, entry.end)]
    assert bounds == pytest.approx([0, 0.5, 0.5, 0.55, 0.55, 0.6, 0.98, 1.0])
