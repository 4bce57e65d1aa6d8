"""MSP-Podcast: its layout in old and new releases, its raters and its unknown speakers."""

import json
from pathlib import Path

import pytest
from samples import split

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.corpora.adapters import msp_podcast
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric

CODES = tuple("ASHUFDCNOX")
WORDS = ("Angry", "Sad", "Happy", "Surprise", "Fear", "Disgust", "Contempt", "Neutral", "Other")
HEADER = "FileName,EmoClass,EmoAct,EmoVal,EmoDom,SpkrID,Gender,Split_Set\n"
FIRST = "MSP-PODCAST_0001_0008"
SECOND = "MSP-PODCAST_4515_0062_0003"


def line(stem: str, code: str = "N", speaker: str = "30", gender: str = "Male", part: str = "Test1") -> str:
    return f"{stem}.wav,{code},2.5,4.0,3.0,{speaker},{gender},{part}\n"


def write(folder: Path, *lines: str, name: str = "Labels/labels_consensus.csv", header: str = HEADER) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(header + "".join(lines), encoding="utf-8")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Release 2.0 with two segments, the answers of three raters of the first, and its transcript."""
    second = line(SECOND, "X", "Unknown", "Unknown", "Train")
    write(tmp_path, line(FIRST), second)
    write(
        tmp_path,
        f'{FIRST}.wav,WORKER0000001,Neutral,"Neutral,Sad",1,4,1\n',
        f'{FIRST}.wav,WORKER0000002,Other-Annoyed,"Annoyed,Angry",4,3,\n',
        f"{FIRST}.wav,WORKER0000003,Happy,Happy,2.5,5,4\n",
        name="Labels/labels_detailed.csv",
        header="FileName,WorkerID,EmoClass_Major,EmoClass_Second,EmoAct,EmoVal,EmoDom\n",
    )
    write(tmp_path, "It’s a\nquestion. ", name=f"Transcripts/{FIRST}.txt", header="")
    touch(tmp_path, f"Audios/{FIRST}.wav", f"Audios/{SECOND}.wav")
    return tmp_path


def test_a_segment_has_its_label_speaker_gender_text_raters_and_published_part(corpus):
    records, skipped = split(msp_podcast.records(corpus), "path.stem")

    assert records[FIRST] == NativeRecord(
        path=corpus / f"Audios/{FIRST}.wav",
        speaker="30",
        language="en",
        label="N",
        gender="male",
        text="It’s a question.",
        votes=("Neutral", "Other", "Happy"),
        ratings=(
            {"valence": 4.0, "arousal": 1.0, "dominance": 1.0},
            {"valence": 3.0, "arousal": 4.0, "dominance": None},
            {"valence": 5.0, "arousal": 2.5, "dominance": 4.0},
        ),
        rating_scale=(1.0, 7.0),
        official_split="Test1",
    )
    assert list(records) == [FIRST, SECOND]
    assert skipped == {}


def test_a_segment_without_raters_answers_or_transcript_keeps_the_consensus(corpus):
    records, _ = split(msp_podcast.records(corpus), "path.stem")

    assert (records[SECOND].votes, records[SECOND].text, records[SECOND].label) == ((), None, "X")
    assert records[SECOND].ratings == ({"valence": 4.0, "arousal": 2.5, "dominance": 3.0},)


def test_only_primary_categories_are_votes_and_other_is_other_whatever_stands_behind_it(corpus):
    records, _ = split(msp_podcast.records(corpus), "path.stem")

    votes = metric.esc_votes("msp_podcast", list(records[FIRST].votes))

    assert votes == [{"esc": ["neutral"], "weight": 0.5}, {"esc": ["happy"], "weight": 0.5}]


def test_the_older_misspelt_consensus_file_and_folder_names_are_read(corpus):
    (corpus / "Labels/labels_consensus.csv").rename(corpus / "Labels/labels_concensus.csv")
    (corpus / "Labels").rename(corpus / "label")
    (corpus / "Audios").rename(corpus / "Audio")
    (corpus / "Transcripts").rename(corpus / "transcripts")

    records, skipped = split(msp_podcast.records(corpus), "path.stem")

    assert records[FIRST].path == corpus / f"Audio/{FIRST}.wav"
    assert (records[FIRST].label, records[FIRST].text) == ("N", "It’s a question.")
    assert records[FIRST].votes == ("Neutral", "Other", "Happy")
    assert skipped == {}


def test_the_corrected_spelling_wins_over_the_misspelt_file(corpus):
    write(corpus, line(FIRST, "A"), name="Labels/labels_concensus.csv")

    records, _ = split(msp_podcast.records(corpus), "path.stem")

    assert records[FIRST].label == "N"


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_a_label_of_its_own(corpus, code):
    write(corpus, line(FIRST, code), line(SECOND))

    records, _ = split(msp_podcast.records(corpus), "path.stem")

    expected = dict(
        zip(
            CODES,
            ["angry", "sad", "happy", "surprise", "fear", "disgust", "contempt", "neutral", None, None],
            strict=True,
        )
    )
    assert records[FIRST].label == code
    assert metric.esc_set("msp_podcast", code) == (expected[code] and [expected[code]])


def test_ratings_are_on_a_scale_from_one_to_seven(tmp_path):
    write(tmp_path, f"{FIRST}.wav,H,7,7.0,4,30,Male,Train\n", f"{SECOND}.wav,N,4,4,1,31,Female,Train\n")
    touch(tmp_path, f"Audios/{FIRST}.wav", f"Audios/{SECOND}.wav")

    records, _ = split(msp_podcast.records(tmp_path), "path.stem")

    assert metric.intensity("msp_podcast", records[FIRST]) == (1.0, 1.0)
    assert metric.intensity("msp_podcast", records[SECOND]) == (0.0, 0.0)
    assert metric.dimensions(records[FIRST]) == {"valence": 1.0, "arousal": 1.0, "dominance": 0.0}


@pytest.mark.parametrize("part", ["Train", "Development", "Validation", "Test1", "Test2", "Test3"])
def test_the_published_parts_are_kept(corpus, part):
    write(corpus, line(FIRST, part=part), line(SECOND))

    records, _ = split(msp_podcast.records(corpus), "path.stem")

    assert records[FIRST].official_split == part


def test_unknown_speakers_are_one_per_podcast_and_have_no_gender(tmp_path):
    speakers = {f"MSP-PODCAST_0023_000{number}": "Unknown" for number in (1, 2)}
    speakers |= {"MSP-PODCAST_0024_0001": "Unknown", "MSP-PODCAST_0024_0002": "", "MSP-PODCAST_0024_0003": "7"}
    write(tmp_path, *(line(stem, "S", speaker, "Unknown", "Train") for stem, speaker in speakers.items()))
    touch(tmp_path, *(f"Audios/{stem}.wav" for stem in speakers))

    records, _ = split(msp_podcast.records(tmp_path), "path.stem")

    assert [record.speaker for record in records.values()] == [
        *("unknown-0023", "unknown-0023", "unknown-0024", "unknown-0024", "7")
    ]
    assert {record.gender for record in records.values()} == {None}


def test_answers_in_one_column_are_read(corpus):
    write(
        corpus,
        f'{FIRST}.wav,"WORKER0000001; Neutral; Neutral,Confused; A:1.000000; V:4.000000; D:1.000000;"\n',
        f'{FIRST}.wav,"WORKER0000002; Other(very; odd); ; A:; V:; D:2.000000; "\n',
        name="Labels/labels_detailed.csv",
        header="FileName,EmoDetail\n",
    )

    records, skipped = split(msp_podcast.records(corpus), "path.stem")

    assert records[FIRST].votes == ("Neutral", "Other")
    assert records[FIRST].ratings == (
        {"valence": 4.0, "arousal": 1.0, "dominance": 1.0},
        {"valence": None, "arousal": None, "dominance": 2.0},
    )
    assert skipped == {}


def test_a_rater_without_a_category_gives_ratings_but_no_vote(corpus):
    with (corpus / "Labels/labels_detailed.csv").open("a") as file:
        file.write(f"{SECOND}.wav,WORKER0000001,,,1,2,3\n")

    records, _ = split(msp_podcast.records(corpus), "path.stem")

    assert records[SECOND].votes == ()
    assert records[SECOND].ratings == ({"valence": 2.0, "arousal": 1.0, "dominance": 3.0},)


def test_answers_in_json_are_read(corpus):
    (corpus / "Labels/labels_detailed.csv").unlink()
    answers = {"EmoClass_Major": "Sad", "EmoClass_Second": "Sad,Other", "EmoAct": 2.0, "EmoVal": "1.0", "EmoDom": None}
    text = json.dumps({f"{FIRST}.wav": {"WORKER0000001": answers}})
    write(corpus, text, name="Labels/labels_detailed.json", header="")

    records, _ = split(msp_podcast.records(corpus), "path.stem")

    assert records[FIRST].votes == ("Sad",)
    assert records[FIRST].ratings == ({"valence": 1.0, "arousal": 2.0, "dominance": None},)


def test_a_rating_that_cannot_be_read_costs_its_own_segment_only(corpus):
    write(
        corpus,
        f'{FIRST}.wav,"WORKER0000001; Neutral"\n{SECOND}.wav,"WORKER1; Sad; Sad; A:1; V:2; D:3;"\n',
        name="Labels/labels_detailed.csv",
        header="FileName,EmoDetail\n",
    )

    records, skipped = split(msp_podcast.records(corpus), "path.stem")

    assert records[SECOND].votes == ("Sad",)
    assert list(skipped) == [f"{FIRST}.wav"]
    assert "EmoDetail must be like" in skipped[f"{FIRST}.wav"]
    assert "got 'WORKER0000001; Neutral'" in skipped[f"{FIRST}.wav"]


@pytest.mark.parametrize(
    ("stem", "annotation", "reason"),
    [
        (
            "MSP-PODCAST_test3_0001",
            "",
            "must have a row in labels_consensus.csv; got none for 'MSP-PODCAST_test3_0001",
        ),
        ("MSP-PODCAST", "", "name must be like MSP-PODCAST_0001_0008; got 'MSP-PODCAST.wav'"),
        ("MSP-PODCAST_0002_0001", line("MSP-PODCAST_0002_0001", gender="M"), "gender must be one of Female, Male"),
        (
            "MSP-PODCAST_0002_0002",
            "MSP-PODCAST_0002_0002.wav,N,x,4,3,30,Male,Train\n",
            "ratings must be numbers or empty",
        ),
    ],
)
def test_what_does_not_fit_is_skipped(corpus, stem, annotation, reason):
    write(corpus, line(FIRST), line(SECOND), annotation)
    touch(corpus, f"Audios/{stem}.wav")

    records, skipped = split(msp_podcast.records(corpus), "path.stem")

    assert set(records) == {FIRST, SECOND}
    assert list(skipped) == [f"{stem}.wav"]
    assert reason in skipped[f"{stem}.wav"]


def test_a_row_without_audio_is_reported(corpus):
    (corpus / f"Audios/{SECOND}.wav").unlink()

    _, skipped = split(msp_podcast.records(corpus), "path.stem")

    assert skipped == {SECOND: f"labels_consensus.csv: audio file must exist; got none for row {SECOND!r}."}


def test_a_row_without_a_label_has_nothing_to_learn_from(corpus):
    write(corpus, line(FIRST), line(SECOND, ""))

    records, _ = split(msp_podcast.records(corpus), "path.stem")

    with pytest.raises(CorpusError, match="label, level or votes must be given; got none"):
        rows.describe("msp_podcast", records[SECOND], msp_podcast.LICENSE)


def test_an_extra_parent_folder_and_another_suffix_are_read(corpus):
    (corpus / f"Audios/{FIRST}.wav").rename(corpus / f"Audios/{FIRST}.FLAC")
    (corpus / "release").mkdir()
    for name in ("Labels", "Audios", "Transcripts"):
        (corpus / name).rename(corpus / "release" / name)

    records, skipped = split(msp_podcast.records(corpus), "path.stem")

    assert (records[FIRST].path.name, records[FIRST].label) == (f"{FIRST}.FLAC", "N")
    assert skipped == {}


def test_a_download_without_annotations_says_what_is_missing(corpus):
    (corpus / "Labels/labels_detailed.csv").write_text("file,label\n")
    with pytest.raises(
        CorpusError, match=r"header must hold FileName and EmoDetail, or .* got file, label in 'labels_d"
    ):
        list(msp_podcast.records(corpus))
    (corpus / "Labels/labels_detailed.csv").unlink()
    (corpus / "Labels/labels_detailed.json").write_text('{"a.wav": {"WORKER1": {}}}')
    with pytest.raises(
        CorpusError, match=r"labels_detailed.json must hold file -> rater -> EmoClass_Major, .*; got KeyErr"
    ):
        list(msp_podcast.records(corpus))
    (corpus / "Labels/labels_consensus.csv").unlink()
    with pytest.raises(CorpusError, match=r"annotation file must exist; got no 'labels_consensus.csv' in .*Labels'"):
        list(msp_podcast.records(corpus))


def test_every_label_and_every_vote_is_in_the_table():
    found = {native: metric.table_row("msp_podcast", "label", native) for native in (*CODES, *WORDS)}

    assert {row.eis for row in found.values()} == {"valence_arousal"}
    assert [found[word].esc for word in WORDS] == [found[code].esc for code in CODES[:9]]
