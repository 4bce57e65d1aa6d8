"""MELD: its layout, its three parts, and what goes wrong in the download."""

import csv
from pathlib import Path

import pytest

from speecheq.dataset_scripts.corpora.adapters import meld
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped
from speecheq.dataset_scripts.metric import table as metric

HEADER = (
    *("Sr No.", "Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID"),
    *("Season", "Episode", "StartTime", "EndTime"),
)


def write(folder: Path, part: str, *rows: tuple) -> None:
    """Write a table of rows (utterance, speaker, emotion, dialogue, utterance number) in UTF-8."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{part}_sent_emo.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(HEADER)
        for number, (text, speaker, emotion, dialogue, utterance) in enumerate(rows, start=1):
            times = ("00:16:16,059", "00:16:21,731")
            table.writerow([number, text, speaker, emotion, "neutral", dialogue, utterance, 8, 21, *times])


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def split(found) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    found = list(found)
    records = {item.name: item for item in found if isinstance(item, NativeRecord)}
    return records, {
        f"{item.path.parent.name}/{item.path.name}": item.reason for item in found if isinstance(item, Skipped)
    }


@pytest.fixture
def corpus(tmp_path) -> Path:
    """A download with one utterance in each part, all of the same file name."""
    write(tmp_path, "train", ("Good to know.", "Chandler", "neutral", 0, 0))
    write(tmp_path, "dev", ("Oh my God, he’s lost it.", "Phoebe", "sadness", 0, 0))
    write(tmp_path, "test", ("Why do all you’re coffee mugs have numbers?", "Mark", "surprise", 0, 0))
    for folder in ("train_splits", "dev_splits_complete", "output_repeated_splits_test"):
        touch(tmp_path, f"{folder}/dia0_utt0.mp4")
    return tmp_path


def test_a_clip_has_its_label_speaker_text_and_published_part_and_no_gender(corpus):
    records, skipped = split(meld.records(corpus))

    assert records["dev_dia0_utt0"] == NativeRecord(
        path=corpus / "dev_splits_complete/dia0_utt0.mp4",
        name="dev_dia0_utt0",
        speaker="Phoebe",
        language="en",
        label="sadness",
        text="Oh my God, he’s lost it.",
        official_split="dev",
    )
    assert skipped == {}


def test_file_names_repeat_between_the_parts_but_utterances_do_not(corpus):
    records, _ = split(meld.records(corpus))

    assert {name: (record.path.parent.name, record.label) for name, record in records.items()} == {
        "train_dia0_utt0": ("train_splits", "neutral"),
        "dev_dia0_utt0": ("dev_splits_complete", "sadness"),
        "test_dia0_utt0": ("output_repeated_splits_test", "surprise"),
    }


def test_windows_characters_that_became_control_characters_are_repaired(corpus):
    text = "You\x92ve  got \x93it\x94\x85\x81 \x97 caf\xe9,\xa0yes"
    write(corpus, "train", (text, "The Interviewer", "neutral", 0, 0))

    records, _ = split(meld.records(corpus))

    assert records["train_dia0_utt0"].text == "You’ve got “it”… — café, yes"


def test_second_cuts_in_the_test_folder_are_skipped(corpus):
    name = "output_repeated_splits_test/final_videos_testdia0_utt0.mp4"
    touch(corpus, name)

    records, skipped = split(meld.records(corpus))

    assert records["test_dia0_utt0"].path.name == "dia0_utt0.mp4"
    assert skipped == {
        name: "meld: clip must be the first cut of its utterance; got the second cut 'final_videos_testdia0_utt0.mp4'."
    }


@pytest.mark.parametrize(
    "speaker",
    [
        "All",
        "Both",
        "Everyone",
        "The Guys",
        "Chandler and Joey",
        "Ross, Rachel, Monica",
        "Joey & Ross",
        "all but Ross",
        "",
    ],
)
def test_several_people_at_once_are_not_one_speaker(corpus, speaker):
    write(corpus, "test", ("Hey!", speaker, "joy", 0, 0))

    records, skipped = split(meld.records(corpus))

    assert list(records) == ["dev_dia0_utt0", "train_dia0_utt0"]
    assert skipped == {
        "output_repeated_splits_test/dia0_utt0.mp4": f"meld: speaker must be one person; got {speaker!r} in test, "
        "'dia0_utt0.mp4'."
    }


@pytest.mark.parametrize(
    ("written", "speaker"),
    [
        ("Joey/Drake", "Joey"),
        ("Allesandro", "Allesandro"),
        ("Sandy", "Sandy"),
        ("Fireman #1", "Fireman #1"),
        ("Guy", "Guy"),
        ("Mrs. Green", "Mrs. Green"),
        ("Joey\x92s Hand Twin", "Joey’s Hand Twin"),
    ],
)
def test_a_role_is_one_speaker(corpus, written, speaker):
    write(corpus, "test", ("Hey!", written, "joy", 0, 0))

    records, _ = split(meld.records(corpus))

    assert records["test_dia0_utt0"].speaker == speaker


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("dev_splits_complete/dia66_utt9.mp4", "must have a row in dev_sent_emo.csv; got none for 'dia66_utt9.mp4'"),
        ("dev_splits_complete/dia0.mp4", "name must be like dia0_utt0; got 'dia0.mp4'"),
        ("trailers/dia0_utt0.mp4", "must lie in train_splits, dev_splits_complete, output_repeated_splits_test; got"),
    ],
)
def test_what_does_not_fit_is_skipped(corpus, path, reason):
    touch(corpus, path)

    records, skipped = split(meld.records(corpus))

    assert len(records) == 3
    assert list(skipped) == [path]
    assert reason in skipped[path]


def test_a_row_without_its_clip_is_reported_in_its_part(corpus):
    rows = [("Hey!", "Ross", "joy", 0, 0), ("Hi.", "Rachel", "neutral", 110, 7), ("Hi!", "All", "joy", 111, 0)]
    write(corpus, "dev", *rows)
    touch(corpus, "dev_splits_complete/dia111_utt0.mp4")

    _, skipped = split(meld.records(corpus))

    assert set(skipped) == {"dev_splits_complete/dia110_utt7", "dev_splits_complete/dia111_utt0.mp4"}
    missing = skipped["dev_splits_complete/dia110_utt7"]
    assert missing == "dev_sent_emo.csv: clip must exist; got none for row 'dia110_utt7'."


def test_tables_lie_in_the_root_or_with_their_part(corpus):
    (corpus / "train").mkdir()
    (corpus / "train_sent_emo.csv").rename(corpus / "train/train_sent_emo.csv")
    (corpus / "train_splits").rename(corpus / "train/train_splits")

    records, skipped = split(meld.records(corpus))

    assert records["train_dia0_utt0"].path == corpus / "train/train_splits/dia0_utt0.mp4"
    assert len(records) == 3
    assert skipped == {}


def test_copies_in_another_format_below_plain_part_folders_are_read(tmp_path):
    for part in ("train", "dev", "test"):
        write(tmp_path / "MELD.Raw", part, ("Hey!", "Ross", "joy", 12, 3))
        touch(tmp_path / "MELD.Raw", f"audio/{part.title()}/dia12_utt3.WAV", f"audio/{part.title()}/._dia12_utt3.wav")

    records, skipped = split(meld.records(tmp_path))

    assert set(records) == {"train_dia12_utt3", "dev_dia12_utt3", "test_dia12_utt3"}
    assert {record.official_split for record in records.values()} == {"train", "dev", "test"}
    assert skipped == {}


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_a_missing_table_is_named(corpus, part):
    (corpus / f"{part}_sent_emo.csv").unlink()

    with pytest.raises(CorpusError, match=rf"annotation file must exist; got no '{part}_sent_emo.csv'"):
        list(meld.records(corpus))


def test_every_emotion_is_in_the_table():
    emotions = ["anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"]

    rows = [metric.table_row("meld", "label", emotion) for emotion in emotions]

    assert [row.esc[0] for row in rows] == ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
    assert [row.eis for row in rows] == [None, None, None, None, (0.0, 0.0), None, None]


def test_the_nearest_folder_tells_the_part(corpus):
    (corpus / "test").mkdir()
    (corpus / "train_splits").rename(corpus / "test/train_splits")

    records, _ = split(meld.records(corpus))

    assert records["train_dia0_utt0"].official_split == "train"
