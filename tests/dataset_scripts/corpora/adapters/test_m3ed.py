"""M3ED: labels, votes and speakers from annotation.json, the split from lists of series."""

import json
from pathlib import Path

import pytest
from samples import split

from speecheq.dataset_scripts.corpora.adapters import m3ed
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped
from speecheq.dataset_scripts.metric import table as metric

SPEAKERS = {
    "A": {"Name": "房似锦", "Age": "mid", "Gender": "female", "OtherName": []},
    "B": {"Name": "朱闪闪 ", "Age": "young", "Gender": "Male", "OtherName": []},
}
LABELS = {"Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"}


def utterance(speaker: str, text: str, votes: tuple = ("Neutral",) * 3, final: str | None = "Neutral") -> dict:
    emotions = {f"EmoAnnotator{place}": vote for place, vote in enumerate(votes, start=1)}
    emotions |= {"final_mul_emo": final, "final_main_emo": final}
    times = {"StartTime": "00:00:00:01", "EndTime": "00:00:01:04"}
    return times | {"Text": text, "Speaker": speaker, "EmoAnnotation": emotions}


def download(folder: Path, tree: dict, audio: tuple[str, ...] = (), splits: dict | None = None) -> Path:
    (folder / "splitInfo").mkdir(parents=True)
    (folder / "modality_speech").mkdir()
    (folder / "annotation.json").write_text(json.dumps(tree, ensure_ascii=False), encoding="utf-8")
    for part in ("train", "val", "test"):
        (folder / f"splitInfo/movie_list_{part}.txt").write_text("\n".join((splits or {}).get(part, ())))
    for name in audio:
        (folder / "modality_speech" / name).touch()
    return folder


def dialogue(*utterances: dict, series: str = "anjia", number: int = 1) -> dict:
    named = {f"{series}_{number}_{place}": item for place, item in enumerate(utterances, start=1)}
    return {series: {f"{series}_{number}": {"SpeakerInfo": SPEAKERS, "Dialog": named}}}


def read(folder: Path) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    return split(m3ed.records(folder))


def test_label_votes_speaker_text_and_split_come_from_the_annotation(tmp_path):
    tree = dialogue(utterance("A", "你先把衣服换了 ", ("Anger", "Neutral", "Anger"), "Anger"), utterance("B", "好"))
    download(tmp_path, tree, ("A_anjia_1_1.wav", "B_anjia_1_2.WAV"), {"train": ["fendou", "anjia"]})

    records, skipped = read(tmp_path)

    assert records["A_anjia_1_1.wav"] == NativeRecord(
        path=tmp_path / "modality_speech/A_anjia_1_1.wav",
        speaker="anjia_房似锦",
        language="zh",
        label="Anger",
        name="anjia_1_1",
        gender="female",
        text="你先把衣服换了",
        votes=("Anger", "Neutral", "Anger"),
        official_split="train",
    )
    second = records["B_anjia_1_2.WAV"]
    assert (second.speaker, second.gender, second.label, second.name) == (
        "anjia_朱闪闪", "male", "Neutral", "anjia_1_2",
    )  # fmt: skip
    assert skipped == {}


def test_the_vote_of_an_annotator_is_the_first_of_several_emotions(tmp_path):
    votes = ("Sad,Anger", " Surprise , Happy", "Other")
    download(tmp_path, dialogue(utterance("A", "好", votes, "Sad")), ("A_anjia_1_1.wav",))

    records, _ = read(tmp_path)

    assert records["A_anjia_1_1.wav"].votes == ("Sad", "Surprise", "Other")


def test_an_annotator_who_gave_nothing_has_no_vote(tmp_path):
    download(tmp_path, dialogue(utterance("A", "", ("Sad", "", None), "Sad")), ("A_anjia_1_1.wav",))

    record = read(tmp_path)[0]["A_anjia_1_1.wav"]

    assert record.votes == ("Sad",)
    assert record.text is None


def test_the_official_split_is_by_series_in_its_own_words(tmp_path):
    tree = {}
    for series in ("fendou", "jinhun", "woju", "anjia"):
        tree |= dialogue(utterance("A", "好"), series=series)
    audio = tuple(f"A_{series}_1_1.wav" for series in tree)
    download(tmp_path, tree, audio, {"train": ["fendou"], "val": ["jinhun"], "test": ["woju"]})

    records, _ = read(tmp_path)

    assert [records[name].official_split for name in audio] == ["train", "val", "test", None]


def test_a_character_is_one_speaker_in_all_dialogues_of_a_series_and_another_in_another(tmp_path):
    tree = dialogue(utterance("A", "好"))
    tree["anjia"] |= dialogue(utterance("A", "好"), number=2)["anjia"]
    tree |= dialogue(utterance("A", "好"), series="woju")
    download(tmp_path, tree, ("A_anjia_1_1.wav", "A_anjia_2_1.wav", "A_woju_1_1.wav"))

    records, _ = read(tmp_path)

    assert [record.speaker for record in records.values()] == ["anjia_房似锦", "anjia_房似锦", "woju_房似锦"]


def test_a_gender_that_is_not_documented_is_missing(tmp_path):
    tree = dialogue(utterance("A", "好"), utterance("B", "好"))
    people = {"A": SPEAKERS["A"] | {"Gender": "femal"}, "B": SPEAKERS["B"] | {"Gender": None}}
    tree["anjia"]["anjia_1"]["SpeakerInfo"] = people
    download(tmp_path, tree, ("A_anjia_1_1.wav", "B_anjia_1_2.wav"))

    assert [record.gender for record in read(tmp_path)[0].values()] == [None, None]


def test_what_does_not_fit_is_skipped_and_never_costs_the_others(tmp_path):
    tree = dialogue(
        utterance("A", "好"),
        utterance("A", "好", final=None),
        utterance("C", "好"),
        {"Text": "好"},
        utterance("B", "好"),
    )
    tree |= dialogue(utterance("B", "好"), series="woju")
    tree["woju"]["woju_1"]["SpeakerInfo"] = {"B": {"Name": ""}}
    audio = ("A_anjia_1_1.wav", "A_anjia_1_2.wav", "B_woju_1_1.wav", "A_anjia_9_9.wav")
    download(tmp_path, tree, audio)

    found = list(m3ed.records(tmp_path))

    assert [item.path.name for item in found if isinstance(item, NativeRecord)] == ["A_anjia_1_1.wav"]
    assert [item.reason for item in found if isinstance(item, Skipped)] == [
        "m3ed: utterance must have a Speaker of SpeakerInfo and an EmoAnnotation; got KeyError 'C' in 'anjia_1_3'.",
        "m3ed: utterance must have a Speaker of SpeakerInfo and an EmoAnnotation; got KeyError 'Speaker' "
        "in 'anjia_1_4'.",
        "m3ed: final_main_emo must be given; got none for 'A_anjia_1_2.wav'.",
        "m3ed: file must be in annotation.json; got none for 'A_anjia_9_9.wav'.",
        "m3ed: speaker must have a Name in SpeakerInfo; got none for 'B_woju_1_1.wav'.",
        "annotation.json: audio file must exist; got none for row 'B_anjia_1_5'.",
    ]


def test_the_annotation_may_lie_in_a_folder_of_its_own_and_the_audio_beside_it(tmp_path):
    download(tmp_path / "RUCM3ED", dialogue(utterance("A", "好")), ("A_anjia_1_1.wav",), {"val": ["anjia"]})
    (tmp_path / "RUCM3ED/modality_speech").rename(tmp_path / "Modality_Speech")

    records, skipped = read(tmp_path)

    assert records["A_anjia_1_1.wav"].official_split == "val"
    assert skipped == {}


def test_the_videos_of_the_dialogues_are_left_alone(tmp_path):
    home = download(tmp_path / "RUCM3ED", dialogue(utterance("A", "好")), ("A_anjia_1_1.wav",))
    (home / "anjia_1.mp4").touch()

    records, skipped = read(tmp_path)

    assert set(records) == {"A_anjia_1_1.wav"}
    assert skipped == {}


def test_without_a_folder_of_speech_the_audio_is_looked_for_everywhere(tmp_path):
    download(tmp_path, dialogue(utterance("A", "好")), ("A_anjia_1_1.wav",))
    (tmp_path / "modality_speech").rename(tmp_path / "audio")

    assert set(read(tmp_path)[0]) == {"A_anjia_1_1.wav"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "annotation.json",
            "annotation file must exist; got no 'annotation.json' in .* Copy it there from github.com",
        ),
        ("splitInfo/movie_list_val.txt", "got no 'splitInfo/movie_list_val.txt' in .* Copy it there from github.com"),
        ("modality_speech/A_anjia_1_1.wav", "folder must hold audio files"),
    ],
)
def test_a_missing_part_of_the_download_is_named(tmp_path, name, message):
    download(tmp_path, dialogue(utterance("A", "好")), ("A_anjia_1_1.wav",))
    (tmp_path / name).unlink()

    with pytest.raises(CorpusError, match=message):
        list(m3ed.records(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"anjia": ', "annotation.json must be JSON in UTF-8; got Expecting value"),
        ('{"anjia": "好"}'.encode("gb18030"), "annotation.json must be JSON in UTF-8; got 'utf-8' codec"),
        (b"[]", "annotation.json must map series to dialogues with a Dialog; got AttributeError"),
        (b'{"anjia": {"anjia_1": {}}}', "annotation.json must map series to dialogues with a Dialog; got KeyError"),
    ],
)
def test_an_annotation_of_another_form_is_refused(tmp_path, content, message):
    download(tmp_path, {}, ("A_anjia_1_1.wav",))
    (tmp_path / "annotation.json").write_bytes(content)

    with pytest.raises(CorpusError, match=message):
        list(m3ed.records(tmp_path))


def test_every_label_is_in_the_metric_table_and_other_is_a_vote_without_a_class():
    assert set(metric.label_space("m3ed")) == LABELS
    assert metric.esc_votes("m3ed", ["Sad", "Anger", "Other"]) == [
        {"esc": ["angry"], "weight": 0.5},
        {"esc": ["sad"], "weight": 0.5},
    ]
