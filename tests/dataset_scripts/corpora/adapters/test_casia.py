"""CASIA: speaker, emotion and number from the path, and what mirrors make of it."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.build.audio import Clip
from speecheq.dataset_scripts.corpora.adapters import casia
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric


def read(folder: Path) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    return split(casia.records(folder), "name")


def test_speaker_emotion_and_number_are_in_the_path(tmp_path):
    touch(tmp_path, "wangzhe/angry/201.wav", "zhaoquanyin/surprise/250.wav")

    records, skipped = read(tmp_path)

    assert records["wangzhe_angry_201"] == NativeRecord(
        path=tmp_path / "wangzhe/angry/201.wav",
        speaker="wangzhe",
        language="zh",
        label="angry",
        name="wangzhe_angry_201",
        gender="male",
    )
    assert set(records) == {"wangzhe_angry_201", "zhaoquanyin_surprise_250"}
    assert skipped == {}


def test_two_speakers_are_women_and_two_are_men(tmp_path):
    for speaker in ("liuchanhg", "wangzhe", "zhaoquanyin", "zhaozuoxiang"):
        touch(tmp_path, f"{speaker}/sad/201.wav")

    genders = {record.speaker: record.gender for record in casia.records(tmp_path)}

    assert genders == {"liuchanhg": "female", "wangzhe": "male", "zhaoquanyin": "female", "zhaozuoxiang": "male"}


def test_names_in_mixed_case_below_extra_folders_are_the_same_speakers(tmp_path):
    touch(
        tmp_path, "CASIA/ZhaoZuoxiang/Angry/201.WAV", "CASIA/zhaozuoxiang/angry/202.wav", "CASIA/LiuChanhg/SAD/203.wav"
    )

    records, skipped = read(tmp_path)

    assert set(records) == {"zhaozuoxiang_angry_201", "zhaozuoxiang_angry_202", "liuchanhg_sad_203"}
    assert {record.speaker for record in records.values()} == {"zhaozuoxiang", "liuchanhg"}
    assert {record.label for record in records.values()} == {"angry", "sad"}
    assert skipped == {}


def test_a_number_repeats_in_every_folder_and_each_utterance_has_its_own_name(tmp_path):
    for speaker in ("liuchanhg", "wangzhe"):
        touch(tmp_path, *(f"{speaker}/{emotion}/201.wav" for emotion in ("angry", "fear", "neutral")))

    found = list(casia.records(tmp_path))

    assert len({record.name for record in found}) == 6


def test_the_file_number_is_the_text(tmp_path):
    touch(tmp_path, "wangzhe/angry/201.wav", "liuchanhg/sad/201.wav", "liuchanhg/sad/202.wav")
    (tmp_path / "texts.txt").write_bytes("201\t今天很好。\r\n\r\n250 再见\r\n".encode("gb18030"))

    records, skipped = read(tmp_path)

    assert {name: record.text for name, record in records.items()} == {
        "wangzhe_angry_201": "今天很好。",
        "liuchanhg_sad_201": "今天很好。",
        "liuchanhg_sad_202": None,
    }
    assert skipped == {}


def test_the_texts_may_lie_one_folder_deeper(tmp_path):
    touch(tmp_path, "CASIA/wangzhe/angry/201.wav")
    (tmp_path / "CASIA/Texts.txt").write_text("\ufeff201 今天很好。", encoding="utf-8")

    assert read(tmp_path)[0]["wangzhe_angry_201"].text == "今天很好。"


def test_a_text_file_beside_the_audio_is_the_text_of_that_file(tmp_path):
    touch(tmp_path, "wangzhe/angry/201.wav", "liuchanhg/sad/201.wav", "liuchanhg/sad/202.wav", "liuchanhg/sad/203.wav")
    (tmp_path / "texts.txt").write_text("201 今天。\n203 昨天。\n", encoding="utf-8")
    (tmp_path / "wangzhe/angry/201.txt").write_text("明天。\n", encoding="utf-16")
    (tmp_path / "liuchanhg/sad/202.txt").write_bytes(b"\xff\xff")
    (tmp_path / "liuchanhg/sad/203.txt").write_text(" \n")

    records, _ = read(tmp_path)

    assert [record.text for record in records.values()] == ["今天。", None, "昨天。", "明天。"]


def test_the_list_of_texts_of_the_download_is_read_under_its_own_name(tmp_path):
    touch(tmp_path, "wangzhe/angry/204.wav", "wangzhe/angry/247.wav")
    lines = "204. 国华来完成。 \r\n247. 职员完成 任务\r\n"
    (tmp_path / "相同的文本201--250.txt").write_bytes(lines.encode("gb18030"))

    records, skipped = read(tmp_path)

    assert [record.text for record in records.values()] == ["国华来完成。", "职员完成任务"]
    assert skipped == {}


LABELS = "0 1650000 SIL\n1650000 2750000 xia4\n2750000 3950000 yu2\n3950000 4100000 SIL\n4100000 5000000 qu5\n"


def test_the_label_file_gives_the_tones_as_they_were_said(tmp_path):
    touch(tmp_path, "wangzhe/angry/201.wav")
    (tmp_path / "texts.txt").write_text("201. 下雨去。\n", encoding="utf-8")
    (tmp_path / "wangzhe/angry/201.lab").write_text(LABELS)

    record = read(tmp_path)[0]["wangzhe_angry_201"]

    assert record.pinyin == "xia4 yu2 qu5"
    row = rows.complete(rows.describe("casia", record, casia.LICENSE), Clip(b"fLaC", 16000, "00", b""), "train")
    assert row["phonemes"] == ["ɕ", "j", "a", "˥˩", "y", "˧˥", "tɕʰ", "y"]


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("201. 也下雨去。", LABELS),  # one syllable short
        ("201. 下雨去。", "0 29190000 SIL\n"),
        ("201. 下雨去。", "0 10\n10 20\n20 30\n"),
        ("201. 下雨去。", LABELS.replace("yu2", "?")),
        ("202. 下雨去。", LABELS),  # no text to check them against
    ],
)
def test_an_incomplete_label_file_is_not_used(tmp_path, text, labels):
    touch(tmp_path, "wangzhe/angry/201.wav")
    (tmp_path / "texts.txt").write_text(text, encoding="utf-8")
    (tmp_path / "wangzhe/angry/201.lab").write_text(labels)

    records, skipped = read(tmp_path)

    assert records["wangzhe_angry_201"].pinyin is None
    assert skipped == {}


def test_an_unreadable_line_of_the_texts_is_reported_and_costs_only_itself(tmp_path):
    touch(tmp_path, "wangzhe/angry/201.wav")
    (tmp_path / "texts.txt").write_bytes(b"text\n" + "201 今天\n".encode("gb18030") + b"202 \xff\n")

    found = list(casia.records(tmp_path))

    assert [item.reason for item in found[:2]] == [
        "casia: line must be like '201 text'; got 'text' in line 1.",
        "casia: line must be like '201 text'; got '202 \ufffd' in line 3.",
    ]
    assert [item.text for item in found[2:]] == ["今天"]


def test_the_whole_corpus_adds_texts_of_their_own_under_other_spellings(tmp_path):
    touch(tmp_path, "相同文本300/ZhaoZuoxiang/neutral/001.wav", "不同文本100/Zuoxiang.Zhao/normal/001.wav")
    (tmp_path / "texts.txt").write_text("001 今天。\n", encoding="utf-8")

    records, skipped = read(tmp_path)

    shared, own = records["zhaozuoxiang_neutral_001"], records["zhaozuoxiang_neutral_own_001"]
    assert (shared.speaker, shared.label, shared.text) == ("zhaozuoxiang", "neutral", "今天。")
    assert (own.speaker, own.label, own.text) == ("zhaozuoxiang", "neutral", None)
    assert skipped == {}


def test_a_mirror_with_all_in_the_file_name_is_read_the_same(tmp_path):
    touch(tmp_path, "angry/201-angry-liuchanhg.wav", "neutral/202-neutral-ZhaoZuoxiang.wav")

    records, _ = read(tmp_path)

    assert {name: (record.speaker, record.label) for name, record in records.items()} == {
        "liuchanhg_angry_201": ("liuchanhg", "angry"),
        "zhaozuoxiang_neutral_202": ("zhaozuoxiang", "neutral"),
    }


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("wangzhe/angry/21.wav", "name must be a number of three digits such as 201.wav; got '21.wav'"),
        ("wangzhe/angry/201 copy.wav", "name must be a number of three digits"),
        (
            "wangzhe/disgust/202.wav",
            "emotion must be one of angry, fear, happy, neutral, sad, surprise, normal; got 'd",
        ),
        (
            "liu/angry/203.wav",
            "speaker must be one of liuchanhg, wangzhe, zhaoquanyin, zhaozuoxiang, chang.liu, zhe.wa",
        ),
    ],
)
def test_what_does_not_fit_is_skipped_and_never_costs_the_others(tmp_path, path, reason):
    touch(tmp_path, path, "wangzhe/angry/201.wav")

    records, skipped = read(tmp_path)

    assert set(records) == {"wangzhe_angry_201"}
    assert reason in skipped[Path(path).name]


def test_an_empty_download_says_what_is_missing(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        list(casia.records(tmp_path))


def test_every_label_is_in_the_metric_table():
    assert set(casia.EMOTION.values()) == set(metric.label_space("casia"))


@pytest.mark.corpora
def test_a_tree_of_the_published_names_is_read_whole(corpora, tmp_path):
    with (corpora / "emobox/casia.csv").open() as file:
        published = {row["path"]: row["label"] for row in csv.DictReader(file)}
    touch(tmp_path, *published)

    records, skipped = read(tmp_path)

    assert len(published) == len(records) == 1200
    assert skipped == {}
    found = {record.path.relative_to(tmp_path).as_posix(): record.label for record in records.values()}
    assert found == published
    assert Counter(found.values()) == dict.fromkeys(("angry", "fear", "happy", "neutral", "sad", "surprise"), 200)
    assert Counter((record.speaker, record.gender) for record in records.values()) == {
        ("liuchanhg", "female"): 300,
        ("wangzhe", "male"): 300,
        ("zhaoquanyin", "female"): 300,
        ("zhaozuoxiang", "male"): 300,
    }


@pytest.mark.corpora
def test_the_real_corpus_has_texts_and_most_of_it_has_pinyin(corpora):
    records, skipped = read(corpora / "casia")

    assert skipped == {}
    assert len(records) == 1200
    assert all(record.text for record in records.values())
    assert sum(record.pinyin is not None for record in records.values()) == 1032
    assert records["liuchanhg_happy_201"].text == "就是下雨也去。"
    assert records["liuchanhg_happy_201"].pinyin == "jiu4 shi4 xia4 yu2 ye3 qu4"
