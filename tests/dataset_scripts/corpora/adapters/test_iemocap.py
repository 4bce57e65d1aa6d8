"""IEMOCAP: its layout, its evaluation files, and the four-class set on the real list of names."""

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from samples import split

from speecheq.dataset_scripts.corpora.adapters import iemocap
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric

CODES = ("ang", "hap", "exc", "sad", "neu", "fru", "fea", "sur", "dis", "oth", "xxx")
WORDS = (
    *("Anger", "Happiness", "Excited", "Sadness", "Neutral", "Neutral state"),
    *("Frustration", "Fear", "Surprise", "Disgust", "Other"),
)
HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
MALE_TURN = (
    "[140.2250 - 145.6000]\tSes01F_impro05_M019\tang\t[1.5000, 4.0000, 4.5000]\n"
    "C-E1:\tAnger;\t()\n"
    "C-E3:\tFrustration; Anger;\t(loud)\n"
    "C-E4:\tAnger;\t()\n"
    "C-M1:\tDisgust;\t()\n"
    "A-E3:\tval 2; act 4; dom  4;\t()\n"
    "A-E4:\tval 1; act 4; dom  5;\t(threatening, val 3)\n"
    "A-M1:\tval 5; act 1; dom  1;\t()\n\n"
)
FEMALE_TURN = (
    "[6.2901 - 8.2357]\tSes01F_impro05_F000\tneu\t[2.0000, 3.5000, 5.0000]\n"
    "C-E2:\tNeutral;\t()\n"
    "C-F1:\tNeutral;\t(curious)\n\n"
)
TRANSCRIPT = (
    "Ses01F_impro05_F000 [006.2901-008.2357]: Excuse me.\n"
    "Ses01F_impro05_M019 [140.2250-145.6000]: [LAUGHTER]  What  do you want? [BREATHING]\n"
    "F: mhm\n"
)


def touch(session: Path, *turns: str, suffix: str = ".wav") -> None:
    for turn in turns:
        path = session / "sentences/wav" / turn.rpartition("_")[0] / f"{turn}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write(session: Path, dialog: str, evaluation: str, transcript: str | None = None) -> None:
    for kind, text in {"EmoEvaluation": evaluation, "transcriptions": transcript}.items():
        if text is not None:
            path = session / "dialog" / kind / f"{dialog}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def summary(turn: str, label: str = "neu") -> str:
    return f"[6.2901 - 8.2357]\t{turn}\t{label}\t[2.5000, 2.5000, 2.5000]\n"


@pytest.fixture
def corpus(tmp_path) -> Path:
    """One dialog of session 1 with a turn of each actor."""
    session = tmp_path / "Session1"
    write(session, "Ses01F_impro05", HEADER + FEMALE_TURN + MALE_TURN, TRANSCRIPT)
    touch(session, "Ses01F_impro05_F000", "Ses01F_impro05_M019")
    return tmp_path


def test_a_turn_has_its_label_speaker_text_votes_and_ratings(corpus):
    records, skipped = split(iemocap.records(corpus), "path.stem")

    assert records["Ses01F_impro05_M019"] == NativeRecord(
        path=corpus / "Session1/sentences/wav/Ses01F_impro05/Ses01F_impro05_M019.wav",
        speaker="Ses01M",
        language="en",
        label="ang",
        gender="male",
        fold=1,
        text="What do you want?",
        votes=("Anger", "Frustration", "Anger", "Anger"),
        ratings=(
            {"valence": 2.0, "arousal": 4.0, "dominance": 4.0},
            {"valence": 1.0, "arousal": 4.0, "dominance": 5.0},
        ),
        rating_scale=(1.0, 5.0),
    )
    assert list(records) == ["Ses01F_impro05_F000", "Ses01F_impro05_M019"]
    assert skipped == {}


def test_the_three_numbers_of_a_summary_line_are_valence_activation_dominance(corpus):
    records, _ = split(iemocap.records(corpus), "path.stem")

    assert records["Ses01F_impro05_F000"].ratings == ({"valence": 2.0, "arousal": 3.5, "dominance": 5.0},)


def test_each_category_of_an_evaluator_is_a_vote(corpus):
    records, _ = split(iemocap.records(corpus), "path.stem")

    votes = metric.esc_votes("iemocap", list(records["Ses01F_impro05_M019"].votes))

    assert votes == [{"esc": ["angry"], "weight": 0.75}, {"esc": ["frustrated"], "weight": 0.25}]


def test_the_actors_evaluations_of_themselves_are_left_out_as_in_the_corpus_own_mean(corpus):
    records, _ = split(iemocap.records(corpus), "path.stem")

    man, woman = records["Ses01F_impro05_M019"], records["Ses01F_impro05_F000"]

    assert "Disgust" not in man.votes
    assert woman.votes == ("Neutral",)
    means = {name: sum(rating[name] for rating in man.ratings) / 2 for name in metric.DIMENSIONS}
    assert means == {"valence": 1.5, "arousal": 4.0, "dominance": 4.5}  # as its summary line says


def test_the_speaker_is_in_the_last_letter_of_the_turn_not_in_the_dialog(tmp_path):
    turns = ["Ses02F_impro01_M000", "Ses02F_impro01_F001", "Ses02M_script01_1b_F000", "Ses02M_script01_1b_M001"]
    for turn in turns:
        session = tmp_path / "Session2"
        dialog = turn.rpartition("_")[0]
        write(session, dialog, HEADER + "".join(summary(name) for name in turns if name.startswith(dialog)))
        touch(session, turn)

    records, skipped = split(iemocap.records(tmp_path), "path.stem")

    assert [(records[turn].speaker, records[turn].gender) for turn in turns] == [
        ("Ses02M", "male"),
        ("Ses02F", "female"),
        ("Ses02F", "female"),
        ("Ses02M", "male"),
    ]
    assert skipped == {}


def test_scripted_and_improvised_dialogs_of_every_session_are_read(tmp_path):
    dialogs = ["Ses01F_impro01", "Ses02M_script03_2", "Ses03F_script01_1", "Ses04M_impro08", "Ses05M_impro03b"]
    for number, dialog in enumerate(dialogs, start=1):
        write(tmp_path / f"Session{number}", dialog, HEADER + summary(f"{dialog}_F007"))
        touch(tmp_path / f"Session{number}", f"{dialog}_F007")

    records, skipped = split(iemocap.records(tmp_path), "path.stem")

    assert list(records) == [f"{dialog}_F007" for dialog in dialogs]
    assert {record.speaker for record in records.values()} == {"Ses01F", "Ses02F", "Ses03F", "Ses04F", "Ses05F"}
    assert skipped == {}


def test_a_missing_transcript_costs_only_the_text(corpus):
    path = corpus / "Session1/dialog/transcriptions/Ses01F_impro05.txt"
    path.write_text(path.read_text().replace("Ses01F_impro05_F000 [", "Ses01F_impro05_FXX0 ["))

    records, skipped = split(iemocap.records(corpus), "path.stem")

    assert (records["Ses01F_impro05_F000"].text, records["Ses01F_impro05_F000"].label) == (None, "neu")
    assert records["Ses01F_impro05_M019"].text == "What do you want?"
    path.unlink()
    path.parent.rmdir()
    assert [record.text for record in split(iemocap.records(corpus), "path.stem")[0].values()] == [None, None]
    assert skipped == {}


def test_a_transcript_of_nothing_but_noise_is_no_text(corpus):
    path = corpus / "Session1/dialog/transcriptions/Ses01F_impro05.txt"
    path.write_text("Ses01F_impro05_F000 [006.2901-008.2357]: [LAUGHTER]\n")

    records, _ = split(iemocap.records(corpus), "path.stem")

    assert records["Ses01F_impro05_F000"].text is None


def test_macos_companions_are_not_read(corpus):
    session = corpus / "Session1"
    (session / "sentences/wav/Ses01F_impro05/._Ses01F_impro05_M019.wav").write_bytes(b"\x00\x05\x16\x07")
    (session / "dialog/EmoEvaluation/._Ses01F_impro05.txt").write_text(summary("Ses01F_impro05_F777"))
    (session / "dialog/transcriptions/._Ses01F_impro05.txt").write_bytes(b"\x00\x05\x16\x07\xff")

    records, skipped = split(iemocap.records(corpus), "path.stem")

    assert list(records) == ["Ses01F_impro05_F000", "Ses01F_impro05_M019"]
    assert skipped == {}


def test_the_folders_of_single_evaluators_are_not_read(corpus):
    single = corpus / "Session1/dialog/EmoEvaluation/Categorical"
    single.mkdir()
    (single / "Ses01F_impro05_e2_cat.txt").write_text(summary("Ses01F_impro05_F777"))

    records, skipped = split(iemocap.records(corpus), "path.stem")

    assert list(records) == ["Ses01F_impro05_F000", "Ses01F_impro05_M019"]
    assert skipped == {}


def test_a_dimension_left_empty_or_outside_the_scale_is_missing(corpus):
    rating = "A-E1:\tval 6; act ; dom  2;\t()\n"
    write(corpus / "Session1", "Ses01F_impro05", HEADER + summary("Ses01F_impro05_F000") + rating)

    records, _ = split(iemocap.records(corpus), "path.stem")

    assert records["Ses01F_impro05_F000"].ratings == ({"valence": None, "arousal": None, "dominance": 2.0},)


def test_intensity_is_the_distance_from_the_centre_of_valence_and_activation(corpus):
    records, _ = split(iemocap.records(corpus), "path.stem")

    low, high = metric.intensity("iemocap", records["Ses01F_impro05_M019"])

    assert low == high == pytest.approx((0.5 + 0.7906) / 2, abs=1e-4)  # (2, 4) and (1, 4) on scales centred at 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Ses01F_impro05", "name must be like Ses01F_impro01_M003; got 'Ses01F_impro05.wav'"),
        ("Ses06F_impro05_F000", "name must be like"),
        ("Ses01F_impro05_X000", "name must be like"),
        ("Ses01F_impro05_F001", "turn must have a line in EmoEvaluation; got none for 'Ses01F_impro05_F001.wav'"),
    ],
)
def test_what_does_not_fit_is_skipped(corpus, name, reason):
    touch(corpus / "Session1", name)

    records, skipped = split(iemocap.records(corpus), "path.stem")

    assert len(records) == 2
    assert list(skipped) == [f"{name}.wav"]
    assert reason in skipped[f"{name}.wav"]


def test_a_broken_summary_line_costs_its_own_turn_only(corpus):
    text = FEMALE_TURN + MALE_TURN.replace("[1.5000, 4.0000", "[1.5000 4.0000")
    write(corpus / "Session1", "Ses01F_impro05", HEADER + text)

    records, skipped = split(iemocap.records(corpus), "path.stem")

    assert list(records) == ["Ses01F_impro05_F000"]
    assert records["Ses01F_impro05_F000"].votes == ("Neutral",)
    assert "turn must have a line in EmoEvaluation" in skipped["Ses01F_impro05_M019.wav"]


def test_a_turn_without_audio_is_reported(corpus):
    (corpus / "Session1/sentences/wav/Ses01F_impro05/Ses01F_impro05_F000.wav").unlink()

    records, skipped = split(iemocap.records(corpus), "path.stem")

    assert list(records) == ["Ses01F_impro05_M019"]
    assert skipped == {
        "Ses01F_impro05_F000": "EmoEvaluation: audio file must exist; got none for row 'Ses01F_impro05_F000'."
    }


def test_mirrors_with_a_parent_other_case_and_other_suffix_are_read(tmp_path):
    session = tmp_path / "IEMOCAP_full_release/session5"
    write(session, "Ses05M_impro01", HEADER + summary("Ses05M_impro01_M000", "dis"))
    touch(session, "Ses05M_impro01_M000", suffix=".FLAC")
    (session / "dialog/EmoEvaluation").rename(session / "dialog/emoevaluation")
    (session / "sentences").rename(session / "Sentences")

    records, skipped = split(iemocap.records(tmp_path), "path.stem")

    assert records["Ses05M_impro01_M000"].label == "dis"
    assert skipped == {}


def test_a_download_without_annotations_says_what_is_missing(tmp_path):
    with pytest.raises(CorpusError, match=r"must hold Session1 to Session5; got none in .* Unpack IEMOCAP_full"):
        list(iemocap.records(tmp_path))
    touch(tmp_path / "Session3", "Ses03F_impro01_F000")
    with pytest.raises(CorpusError, match=r"got no dialog/EmoEvaluation in .*Session3'. Copy it there"):
        list(iemocap.records(tmp_path))
    write(tmp_path / "Session4", "Ses04F_impro01", HEADER)
    write(tmp_path / "Session3", "Ses03F_impro01", HEADER)
    with pytest.raises(CorpusError, match=r"folder must exist; got .*Session4/sentences/wav'"):
        list(iemocap.records(tmp_path))


def test_every_label_and_every_vote_is_in_the_table():
    found = {native: metric.table_row("iemocap", "label", native) for native in (*CODES, *WORDS)}

    assert {row.eis for row in found.values()} == {"valence_arousal"}
    assert [native for native, row in found.items() if not row.esc] == ["oth", "xxx", "Other"]
    assert [found[code].esc[0] for code in CODES[:5]] == ["angry", "happy", "excited", "sad", "neutral"]
    assert [found[word].esc for word in WORDS[:5]] == [found[code].esc for code in CODES[:5]]


@pytest.mark.corpora
def test_the_real_list_of_names_gives_the_four_class_set(corpora, tmp_path):
    with (corpora / "emobox/iemocap.csv").open(encoding="utf-8", newline="") as file:
        labels = {row["path"]: row["label"] for row in csv.DictReader(file)}
    dialogs = defaultdict(list)
    for path, label in labels.items():
        session, dialog = Path(path).parts[0], Path(path).parent.name
        dialogs[tmp_path / session, dialog].append((Path(path).stem, label))
    for place, ((session, dialog), turns) in enumerate(dialogs.items()):
        turns.append((f"{dialog}_M900", ("xxx", "fru", "sur", "fea", "oth", "dis")[place % 6]))
        lines = [summary(*turn) + "C-E1:\tNeutral;\t()\nA-E1:\tval 3; act 2; dom  3;\t()\n\n" for turn in turns]
        words = [f"{turn} [006.2901-008.2357]: Words.\n" for turn, _ in turns]
        write(session, dialog, HEADER + "".join(lines), "".join(words))
        touch(session, *(turn for turn, _ in turns))

    records, skipped = split(iemocap.records(tmp_path), "path.stem")

    assert len(records) == 5531 + len(dialogs)
    assert skipped == {}
    listed = {Path(path).stem: label for path, label in labels.items()}
    assert {turn: record.label for turn, record in records.items() if turn in listed} == listed
    four = [record for record in records.values() if record.label in ("ang", "hap", "exc", "neu", "sad")]
    assert len(four) == 5531
    basic = Counter(
        "happy" if record.label == "exc" else metric.esc_set("iemocap", record.label)[0] for record in four
    )
    assert basic == {"angry": 1103, "happy": 1636, "neutral": 1708, "sad": 1084}
    assert Counter(record.speaker[:5] for record in four) == {
        "Ses01": 1085,
        "Ses02": 1023,
        "Ses03": 1151,
        "Ses04": 1031,
        "Ses05": 1241,
    }
    people = {(record.speaker, record.gender) for record in records.values()}
    assert Counter(gender for _, gender in people) == {"female": 5, "male": 5}
    assert all(record.text == "Words." for record in records.values())
