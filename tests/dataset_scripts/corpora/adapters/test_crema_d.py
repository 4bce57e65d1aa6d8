"""CREMA-D in its official layout: acted levels, listeners' votes and levels, and its bad names."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import crema_d
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric

EMOTIONS = ("Anger", "Disgust", "Fear", "Happy", "Neutral", "Sad")
HEADER = ",".join(
    ['""', *"ADFHNS", "fileName", "numResponses", "emoVote", *(f"mean{emotion}Resp" for emotion in EMOTIONS)]
)
VOTES = [
    # row, counts of A D F H N S, clip, number, majority, mean levels of the six
    '"100001",0,0,0,1,10,0,"1001_IEO_NEU_XX",11,"N",-1,-1,-1,98,69.1,-1',
    '"100002",0,0,0,3,6,0,"1001_IEO_HAP_LO",9,"N",-1,-1,-1,40,71.5,-1',
    '"100009",5,5,0,0,1,1,"1001_IEO_ANG_MD",12,"A:D",37.2,58.6,-1,-1,57,71',
    '"102954",0,1,0,0,5,3,"1040_ITH_SAD_XX",9,"N",-1,51,-1,-1,59.8,38',
    '"200002",0,0,0,9,0,0,"1001_IEO_HAP_LO",9,"H",-1,-1,-1,100,-1,-1',
    '"300002",9,0,0,0,0,0,"1001_IEO_HAP_LO",9,"A",100,-1,-1,-1,-1,-1',
]
ACTORS = '"ActorID","Age","Sex","Race","Ethnicity"\n1001,51,"Male","Caucasian","Not Hispanic"\n'
CLIPS = ("1001_IEO_NEU_XX", "1001_IEO_HAP_LO", "1001_IEO_ANG_MD", "1040_ITH_SAD_XX")


@pytest.fixture
def download(tmp_path) -> Path:
    """Four clips of two actors."""
    (tmp_path / "processedResults").mkdir()
    (tmp_path / "processedResults/tabulatedVotes.csv").write_text("\n".join([HEADER, *VOTES]) + "\n")
    (tmp_path / "VideoDemographics.csv").write_text(ACTORS + '1040,42,"Female","Asian","Hispanic"\n')
    touch(tmp_path / "AudioWAV", *(f"{clip}.wav" for clip in CLIPS))
    return tmp_path


def test_a_clip_has_its_actor_its_sentence_and_what_its_listeners_heard(download):
    records, skipped = split(crema_d.records(download), "name")

    assert records["1001_IEO_HAP_LO"] == NativeRecord(
        path=download / "AudioWAV/1001_IEO_HAP_LO.wav",
        name="1001_IEO_HAP_LO",
        speaker="1001",
        language="en",
        label="HAP",
        level="LO",
        intensity=120 / 900,
        gender="male",
        age=51.0,
        text="It's eleven o'clock.",
        votes=("H", "H", "H", "N", "N", "N", "N", "N", "N"),
    )
    assert list(records) == ["1001_IEO_ANG_MD", "1001_IEO_HAP_LO", "1001_IEO_NEU_XX", "1040_ITH_SAD_XX"]
    assert (records["1040_ITH_SAD_XX"].gender, records["1040_ITH_SAD_XX"].age) == ("female", 42.0)
    assert records["1040_ITH_SAD_XX"].text == "I think I have a doctor's appointment."
    assert skipped == {}


def test_a_name_without_a_level_has_no_acted_level_but_an_intensity_as_heard(download):
    records, _ = split(crema_d.records(download), "name")

    assert {name: item.level for name, item in records.items()} == {
        "1001_IEO_NEU_XX": None,
        "1001_IEO_HAP_LO": "LO",
        "1001_IEO_ANG_MD": "MD",
        "1040_ITH_SAD_XX": None,
    }
    assert records["1040_ITH_SAD_XX"].intensity == pytest.approx((51 + 3 * 38) / 900)


def test_a_vote_for_neutral_counts_as_no_emotion(download):
    records, _ = split(crema_d.records(download), "name")

    assert records["1001_IEO_NEU_XX"].intensity == pytest.approx(98 / 1100)


def test_a_level_of_minus_one_is_no_vote_and_no_level(download):
    row = {"fileName": "x", **dict.fromkeys("ADFHNS", "0"), **dict.fromkeys(crema_d.MEAN_LEVEL.values(), "-1")}

    assert crema_d.heard_intensity(row) is None
    assert crema_d.heard_votes(row) == ()
    assert crema_d.heard_intensity({**row, "S": "2", "meanSadResp": "50"}) == 0.5
    with pytest.raises(CorpusError, match="meanSadResp must be from 0 to 100 where there are votes; got '-1' in 'x'"):
        crema_d.heard_intensity({**row, "S": "2"})


def test_a_tie_that_the_tables_join_by_a_colon_keeps_the_votes_of_both(download):
    records, _ = split(crema_d.records(download), "name")

    tie = records["1001_IEO_ANG_MD"]
    assert tie.votes == (*5 * "A", *5 * "D", "N", "S")
    assert tie.intensity == pytest.approx((5 * 37.2 + 5 * 58.6 + 71) / 1200)
    assert metric.esc_votes("crema_d", list(tie.votes)) == [
        {"esc": ["angry"], "weight": 5 / 12},
        {"esc": ["disgust"], "weight": 5 / 12},
        {"esc": ["sad"], "weight": 1 / 12},
        {"esc": ["neutral"], "weight": 1 / 12},
    ]


def test_votes_on_the_face_and_on_both_are_not_the_voice(download):
    records, _ = split(crema_d.records(download), "name")

    assert Counter(records["1001_IEO_HAP_LO"].votes) == {"N": 6, "H": 3}


def test_the_intensity_is_the_point_that_the_listeners_gave_whatever_level_was_acted(download):
    records, _ = split(crema_d.records(download), "name")

    assert metric.intensity("crema_d", records["1001_IEO_HAP_LO"]) == (120 / 900, 120 / 900)
    assert metric.intensity("crema_d", records["1001_IEO_NEU_XX"]) == (98 / 1100, 98 / 1100)


@pytest.mark.parametrize(("level", "interval"), [("LO", (0.125, 0.375)), ("MD", (0.375, 0.625)), ("HI", (0.625, 1.0))])
def test_every_acted_level_has_its_interval_in_the_table(level, interval):
    assert metric.table_row("crema_d", "level", level).eis == interval


def test_every_label_and_vote_is_in_the_table():
    assert metric.label_space("crema_d") == {
        "ANG": ["angry"],
        "DIS": ["disgust"],
        "FEA": ["fear"],
        "HAP": ["happy"],
        "NEU": ["neutral"],
        "SAD": ["sad"],
        "A": ["angry"],
        "D": ["disgust"],
        "F": ["fear"],
        "H": ["happy"],
        "N": ["neutral"],
        "S": ["sad"],
    }
    assert {metric.table_row("crema_d", "label", native).eis for native in metric.label_space("crema_d")} == {"rated"}


def test_a_clip_in_both_audio_folders_is_read_once_from_the_wav(download):
    touch(download / "AudioMP3", *(f"{clip}.mp3" for clip in CLIPS))

    records, skipped = split(crema_d.records(download), "name")

    assert {item.path.parent.name for item in records.values()} == {"AudioWAV"}
    assert set(skipped) == {f"{clip}.mp3" for clip in CLIPS}
    assert skipped["1001_IEO_HAP_LO.mp3"] == (
        "crema_d: clip must be read once; got '1001_IEO_HAP_LO.mp3' beside 'AudioWAV/1001_IEO_HAP_LO.wav'."
    )


def test_a_clip_that_is_an_mp3_alone_is_read(download):
    (download / "AudioWAV/1001_IEO_HAP_LO.wav").unlink()
    touch(download, "AudioMP3/1001_IEO_HAP_LO.MP3")

    records, skipped = split(crema_d.records(download), "name")

    assert records["1001_IEO_HAP_LO"].path == download / "AudioMP3/1001_IEO_HAP_LO.MP3"
    assert skipped == {}


def test_the_misnamed_file_of_older_downloads_finds_its_rows(download):
    (download / "AudioWAV/1040_ITH_SAD_XX.wav").rename(download / "AudioWAV/1040_ITH_SAD_X.wav")

    records, skipped = split(crema_d.records(download), "name")

    assert records["1040_ITH_SAD_XX"].path.name == "1040_ITH_SAD_X.wav"
    assert skipped == {}


def test_the_silent_clip_is_yielded_for_the_builder_to_skip(download):
    with (download / "processedResults/tabulatedVotes.csv").open("a") as file:
        file.write('"106174",0,1,0,0,5,3,"1076_MTI_SAD_XX",9,"N",-1,51,-1,-1,59.8,38.5\n')
    with (download / "VideoDemographics.csv").open("a") as file:
        file.write('1076,25,"Female","Caucasian","Not Hispanic"\n')
    touch(download, "AudioWAV/1076_MTI_SAD_XX.wav")

    records, skipped = split(crema_d.records(download), "name")

    assert records["1076_MTI_SAD_XX"].text == "Maybe tomorrow it will be cold."
    assert skipped == {}


def test_a_mirror_may_put_a_folder_around_the_download(download):
    inner = download / "CREMA-D-master"
    inner.mkdir()
    for name in ("processedResults", "VideoDemographics.csv", "AudioWAV"):
        (download / name).rename(inner / name)

    records, skipped = split(crema_d.records(download), "name")

    assert len(records) == 4
    assert skipped == {}


@pytest.mark.parametrize(
    ("row", "name", "reason"),
    [
        ("", "1001_IEO_HAP.wav", "name must be like 1001_IEO_HAP_LO; got '1001_IEO_HAP.wav'"),
        ("", "1001_TIE_HAP_XX.wav", "must have a voice row in tabulatedVotes.csv; got none for '1001_TIE_HAP_XX.wav'"),
        (
            '"100020",0,0,0,9,0,0,"1099_IEO_HAP_LO",9,"H",-1,-1,-1,100,-1,-1',
            "1099_IEO_HAP_LO.wav",
            "actor must have a row in VideoDemographics.csv; got '1099' in '1099_IEO_HAP_LO.wav'",
        ),
        (
            '"100020",0,0,0,9,0,0,"1001_XYZ_HAP_LO",9,"H",-1,-1,-1,100,-1,-1',
            "1001_XYZ_HAP_LO.wav",
            "sentence must be one of IEO, TIE, IOM, IWW, TAI, MTI, IWL, ITH, DFA, ITS, ... (2 more); got 'XYZ'",
        ),
        (
            '"100020",0,0,0,?,0,0,"1001_TSI_HAP_XX",9,"H",-1,-1,-1,100,-1,-1',
            "1001_TSI_HAP_XX.wav",
            "H must be a whole number; got '?' in '1001_TSI_HAP_XX'",
        ),
        (
            '"100020",0,0,0,9,0,0,"1001_TSI_HAP_XX",9,"H",-1,-1,-1,101,-1,-1',
            "1001_TSI_HAP_XX.wav",
            "meanHappyResp must be from 0 to 100 where there are votes; got '101' in '1001_TSI_HAP_XX'",
        ),
    ],
)
def test_what_does_not_fit_is_skipped_and_costs_no_other_clip(download, row, name, reason):
    with (download / "processedResults/tabulatedVotes.csv").open("a") as file:
        file.write(f"{row}\n")
    touch(download / "AudioWAV", name)

    records, skipped = split(crema_d.records(download), "name")

    assert set(records) == set(CLIPS)
    assert set(skipped) == {name}
    assert reason in skipped[name]


@pytest.mark.parametrize(
    ("actor", "reason"),
    [
        ('1040,42,"F","Asian","Hispanic"', "Sex must be one of Female, Male; got 'F' in 'actor 1040'"),
        ('1040,NA,"Female","Asian","Hispanic"', "Age must be whole years; got 'NA' in 'actor 1040'"),
    ],
)
def test_an_actor_with_an_undocumented_value_costs_the_clips_of_that_actor(download, actor, reason):
    (download / "VideoDemographics.csv").write_text(f"{ACTORS}{actor}\n")

    records, skipped = split(crema_d.records(download), "name")

    assert len(records) == 3
    assert reason in skipped["1040_ITH_SAD_XX.wav"]


def test_a_voice_row_without_audio_is_reported(download):
    (download / "AudioWAV/1001_IEO_NEU_XX.wav").unlink()

    records, skipped = split(crema_d.records(download), "name")

    assert len(records) == 3
    assert skipped == {
        "1001_IEO_NEU_XX": "tabulatedVotes.csv: audio file must exist; got none for row '1001_IEO_NEU_XX'."
    }


@pytest.mark.parametrize("name", ["processedResults/tabulatedVotes.csv", "VideoDemographics.csv"])
def test_a_missing_annotation_file_is_named(download, name):
    (download / name).unlink()

    with pytest.raises(CorpusError, match=f"annotation file must exist; got no '{Path(name).name}' in .* Copy it"):
        list(crema_d.records(download))


def test_its_licence_goes_on_with_a_copy():
    assert (crema_d.LICENSE, crema_d.REDISTRIBUTABLE) == ("ODbL-1.0", True)


@pytest.mark.corpora
def test_the_real_tables_give_every_clip_an_intensity_and_a_vote_distribution(corpora, tmp_path):
    real = corpora / "crema_d"
    clips = [line.split(",")[1].strip('"') for line in (real / "SentenceFilenames.csv").read_text().split()[1:]]
    (tmp_path / "AudioWAV").mkdir()
    for clip in clips:
        (tmp_path / "AudioWAV" / f"{clip}.wav").touch()
    (tmp_path / "processedResults").mkdir()
    for name in ("processedResults/tabulatedVotes.csv", "VideoDemographics.csv"):
        shutil.copyfile(real / name, tmp_path / name)

    records, skipped = split(crema_d.records(tmp_path), "name")

    assert skipped == {}
    assert len(records) == 7442
    points = [metric.intensity("crema_d", item) for item in records.values()]
    assert all(low == high and 0 <= low <= 1 for low, high in points)
    assert sum(low for low, _ in points) / len(points) == pytest.approx(0.30596, abs=1e-5)
    votes = [metric.esc_votes("crema_d", list(item.votes)) for item in records.values()]
    assert all(sum(vote["weight"] for vote in row) == pytest.approx(1) for row in votes)
    assert sum(len(item.votes) for item in records.values()) == 68568
    assert Counter(item.level for item in records.values()) == {None: 6077, "LO": 455, "MD": 455, "HI": 455}
    assert Counter(item.label for item in records.values()) == {
        "ANG": 1271,
        "DIS": 1271,
        "FEA": 1271,
        "HAP": 1271,
        "NEU": 1087,
        "SAD": 1271,
    }
    actors = {(item.speaker, item.gender, item.age) for item in records.values()}
    assert Counter(gender for _, gender, _ in actors) == {"male": 48, "female": 43}
    assert (min(age for _, _, age in actors), max(age for _, _, age in actors)) == (20.0, 74.0)
    assert len({item.text for item in records.values()}) == 12
    silent = records["1076_MTI_SAD_XX"]
    assert silent.votes == ("D", *5 * "N", *3 * "S")
    assert silent.intensity == pytest.approx((51 + 3 * 38.6666667) / 900)
