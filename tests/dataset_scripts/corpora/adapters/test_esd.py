"""ESD: transcripts in four encodings, labels in two languages, splits in folders or none."""

from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import esd
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped
from speecheq.dataset_scripts.metric import table as metric

TEXT = "打远一看，它们的确很是美丽，"


def transcript(folder: Path, speaker: str, lines: str, encoding: str = "utf-8") -> Path:
    (folder / speaker).mkdir(parents=True, exist_ok=True)
    (folder / speaker / f"{speaker}.txt").write_bytes(lines.encode(encoding))
    return folder


def read(folder: Path) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    return split(esd.records(folder))


def test_label_split_and_text_come_from_folders_and_transcript(tmp_path):
    touch(tmp_path, "0001/Angry/train/0001_000351.wav")
    transcript(tmp_path, "0001", f"0001_000351\t{TEXT}\t生气\r\n")

    records, skipped = read(tmp_path)

    assert records["0001_000351.wav"] == NativeRecord(
        path=tmp_path / "0001/Angry/train/0001_000351.wav",
        speaker="0001",
        language="zh",
        label="Angry",
        gender="female",
        text=TEXT,
        official_split="train",
    )
    assert skipped == {}


@pytest.mark.parametrize("encoding", ["gb2312", "utf-16", "utf-16-le", "utf-8", "utf-8-sig"])
def test_a_mandarin_transcript_is_read_in_every_encoding_that_the_files_have(tmp_path, encoding):
    touch(tmp_path, "0003/Neutral/0003_000001.wav", "0003/Sad/0003_001051.wav")
    transcript(tmp_path, "0003", f"0003_000001\t{TEXT}\t中立\r\n0003_001051\t我很好。\t伤心\r\n", encoding)

    records, skipped = read(tmp_path)

    assert [record.text for record in records.values()] == [TEXT, "我很好。"]
    assert skipped == {}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8"])
def test_an_english_transcript_is_read_in_every_encoding_that_the_files_have(tmp_path, encoding):
    touch(tmp_path, "0016/Happy/0016_000701.wav")
    transcript(tmp_path, "0016", "0016_000701\tThe café is déjà vu.\tHappy\n", encoding)

    records, _ = read(tmp_path)

    assert records["0016_000701.wav"].text == "The café is déjà vu."


def test_a_windows_quotation_mark_in_english_is_no_half_of_a_chinese_character(tmp_path):
    touch(tmp_path, "0017/Happy/0017_000701.wav", "0017/Happy/0017_000702.wav")
    transcript(tmp_path, "0017", "")
    (tmp_path / "0017/0017.txt").write_bytes(b"0017_000701\tdon\x92t\x85 go\tHappy\n0017_000702\tIt\xb4s\tHappy\n")

    records, _ = read(tmp_path)

    assert [record.text for record in records.values()] == ["don’t… go", "It´s"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (f"0001_000351 {TEXT} 生气", TEXT),
        (f"0001_000351\t{TEXT} 生气", TEXT),
        (f"0001_000351 {TEXT}\t生气", TEXT),
        (f"0001_000351\u3000{TEXT}\u3000生气 ", TEXT),
        (f"0001_000351\t今天 很好\t{TEXT}\t生气", f"今天 很好 {TEXT}"),
        (f"0001_000351\t{TEXT}", TEXT),
        (f"0001_000351 今天 {TEXT}", f"今天 {TEXT}"),
        ("0001_000351\tIt must come, sometimes.\tangry", "It must come, sometimes."),
        ("0001_000351 It must come, sometimes. Angry", "It must come, sometimes."),
        ("0001_000351 生气", "生气"),
    ],
)
def test_a_line_may_have_spaces_for_tabs_or_no_emotion(tmp_path, line, text):
    touch(tmp_path, "0001/Angry/0001_000351.wav")
    transcript(tmp_path, "0001", line)

    records, skipped = read(tmp_path)

    assert records["0001_000351.wav"].text == text
    assert skipped == {}


def test_the_label_is_english_for_chinese_words_too(tmp_path):
    written = {"Neutral": "中立", "Happy": "快乐", "Sad": "伤心", "Angry": "生气", "Surprise": "惊喜"}
    for place, emotion in enumerate(written):
        touch(tmp_path, f"0002/{emotion}/0002_00000{place}.wav", f"0011/{emotion}/0011_00000{place}.wav")
    transcript(tmp_path, "0002", "\n".join(f"0002_00000{i}\t好\t{word}" for i, word in enumerate(written.values())))
    transcript(tmp_path, "0011", "\n".join(f"0011_00000{i}\tGood.\t{word}" for i, word in enumerate(written)))

    records, skipped = read(tmp_path)

    for speaker in ("0002", "0011"):
        assert [records[f"{speaker}_00000{i}.wav"].label for i in range(5)] == list(written)
    assert {record.text for record in records.values()} == {"好", "Good."}
    assert skipped == {}


def test_a_label_that_the_transcript_contradicts_is_skipped(tmp_path):
    touch(tmp_path, "0001/Angry/0001_000351.wav", "0001/Happy/0001_000352.wav", "0011/Sad/0011_000001.wav")
    transcript(tmp_path, "0001", "0001_000351\t好\t快乐\n0001_000352\t好\t快乐\n")
    transcript(tmp_path, "0011", "0011_000001\tGood.\tNeutral\n")

    records, skipped = read(tmp_path)

    assert set(records) == {"0001_000352.wav"}
    assert "emotion must be that of the transcript, 'Happy'; got 'Angry'" in skipped["0001_000351.wav"]
    assert "emotion must be that of the transcript, 'Neutral'; got 'Sad'" in skipped["0011_000001.wav"]


def test_speakers_up_to_ten_are_mandarin_and_ten_of_twenty_are_men(tmp_path):
    speakers = [f"{number:04d}" for number in range(1, 21)]
    touch(tmp_path, *(f"{speaker}/Sad/{speaker}_001051.wav" for speaker in speakers))

    records = {record.speaker: record for record in read(tmp_path)[0].values()}

    assert [records[speaker].language for speaker in speakers] == ["zh"] * 10 + ["en"] * 10
    men = [int(speaker) for speaker in speakers if records[speaker].gender == "male"]
    assert men == [4, 5, 6, 8, 10, 11, 12, 13, 14, 20]
    assert [records[speaker].gender for speaker in speakers].count("female") == 10


def test_folders_of_the_split_are_the_official_split_and_without_them_there_is_none(tmp_path):
    touch(tmp_path, "0001/Sad/train/0001_001101.wav", "0001/Sad/Evaluation/0001_001051.wav")
    touch(tmp_path, "0001/Sad/test/0001_001071.wav", "0001/Sad/0001_001400.wav")

    records, _ = read(tmp_path)

    assert {name[5:11]: record.official_split for name, record in records.items()} == {
        "001101": "train",
        "001051": "evaluation",
        "001071": "test",
        "001400": None,
    }
    assert {record.label for record in records.values()} == {"Sad"}


def test_extra_folders_and_other_spellings_of_a_mirror_are_read(tmp_path):
    home = tmp_path / "ESD/Emotion Speech Dataset"
    touch(home, "0001/ANGRY/0001_000351.WAV", "0001/ANGRY/._0001_000351.wav")
    transcript(home, "0001", f"0001_000351\t{TEXT}\t生气").joinpath("0001/0001.txt").rename(home / "0001/0001.TXT")

    records, skipped = read(tmp_path)

    assert (records["0001_000351.WAV"].label, records["0001_000351.WAV"].text) == ("Angry", TEXT)
    assert skipped == {}


def test_a_missing_transcript_costs_only_the_texts_and_is_reported_once(tmp_path):
    touch(tmp_path, "0001/Angry/0001_000351.wav", "0001/Angry/0001_000352.wav", "0002/Sad/0002_001051.wav")
    transcript(tmp_path, "0002", "0002_001051\t好\t伤心")

    found = list(esd.records(tmp_path))

    assert [(item.path.stem, item.text) for item in found if isinstance(item, NativeRecord)] == [
        ("0001_000351", None),
        ("0001_000352", None),
        ("0002_001051", "好"),
    ]
    assert [item.path for item in found if isinstance(item, Skipped)] == [tmp_path / "0001/0001.txt"]
    assert "transcript must exist; got no '0001.txt'" in found[0].reason
    assert "Its utterances have no text; copy it from the download." in found[0].reason


def test_an_unreadable_line_costs_only_its_text(tmp_path):
    touch(tmp_path, "0001/Angry/0001_000351.wav", "0001/Angry/0001_000352.wav", "0001/Angry/0001_000353.wav")
    lines = ["0001_000351\t好\t生气", "好 生气", "0001_000352\t好\t生七", "", "0001_000353\t好"]
    transcript(tmp_path, "0001", "\n".join(lines), "gb2312")
    with (tmp_path / "0001/0001.txt").open("ab") as file:
        file.write(b"\xff\n")

    found = list(esd.records(tmp_path))

    assert [item.text for item in found if isinstance(item, NativeRecord)] == ["好", None, None]
    assert [item.reason for item in found if isinstance(item, Skipped)] == [
        "esd: line must be an id, a text and one of the five emotions; got '好 生气' in '0001.txt', line 2.",
        "esd: line must be an id, a text and one of the five emotions; got '0001_000352\\t好\\t生七' in '0001.txt', "
        "line 3.",
        "esd: line must be an id, a text and one of the five emotions; got '0001_000353\\t好\ufffd' in '0001.txt', "
        "line 5.",
    ]


def test_an_utterance_of_the_transcript_without_audio_is_reported(tmp_path):
    touch(tmp_path, "0001/Angry/0001_000351.wav")
    transcript(tmp_path, "0001", "0001_000351\t好\t生气\n0001_000352\t好\t生气")

    records, skipped = read(tmp_path)

    assert set(records) == {"0001_000351.wav"}
    assert skipped == {"0001_000352": "transcript: audio file must exist; got none for row '0001_000352'."}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("0001/Angry/351.wav", "name must be like 0001_000351; got '351.wav'"),
        ("0001/Angry/0001_000352_copy.wav", "name must be like 0001_000351"),
        (
            "0021/Angry/0021_000351.wav",
            "speaker must be one of 0001, 0002, 0003, 0004, 0005, 0006, 0007, 0008, 0009, 0",
        ),
        ("0002/Angry/0001_000352.wav", "speaker must be that of the folder; got '0001_000352.wav' in '0002'"),
        (
            "0001/Fear/0001_000352.wav",
            "emotion must be one of angry, happy, neutral, sad, surprise; got 'fear' in 'Fear",
        ),
        ("0001/Fear/test/0001_000352.wav", "emotion must be one of"),
    ],
)
def test_what_does_not_fit_is_skipped_and_never_costs_the_others(tmp_path, path, reason):
    touch(tmp_path, path, "0001/Angry/0001_000351.wav")

    records, skipped = read(tmp_path)

    assert set(records) == {"0001_000351.wav"}
    assert reason in skipped[Path(path).name]


def test_a_stray_file_asks_for_no_transcript(tmp_path):
    touch(tmp_path, "0001/Angry/0001_000351.wav", "demo/a/stray.wav")
    transcript(tmp_path, "0001", "0001_000351\t好\t生气")

    _, skipped = read(tmp_path)

    assert skipped == {"stray.wav": "esd: name must be like 0001_000351; got 'stray.wav'."}


def test_a_transcript_that_cannot_be_opened_costs_only_the_texts(tmp_path):
    touch(tmp_path, "0001/Angry/0001_000351.wav")
    (tmp_path / "0001/0001.txt").mkdir()

    records, skipped = read(tmp_path)

    assert records["0001_000351.wav"].text is None
    assert "file must be readable; got 'Is a directory' in '0001.txt'" in skipped["0001.txt"]


def test_an_empty_download_says_what_is_missing(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        list(esd.records(tmp_path))


def test_every_label_is_in_the_metric_table():
    assert set(esd.WRITTEN.values()) == set(metric.label_space("esd"))
