"""One corpus after the other: its official layout, and what goes wrong in real downloads."""

from collections import Counter
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora import adapters
from speecheq.dataset_scripts.corpora.adapters import ased, emotale, nemo, urdu
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord


def test_every_adapter_is_registered_under_its_own_name_with_its_terms():
    for corpus in adapters.ADAPTERS:
        module = adapters.get_adapter(corpus)

        assert corpus == module.CORPUS
        assert module.LICENSE
        assert module.CITATION
        assert isinstance(module.REDISTRIBUTABLE, bool)
        assert module.HOMEPAGE.startswith("https://") or corpus == "synthetic"


def test_an_unknown_corpus_names_the_known_ones():
    with pytest.raises(CorpusError, match=r"corpus must be one of aesdd, ased, .* more\); got 'nobody'"):
        adapters.get_adapter("nobody")


def test_nemo_reads_speaker_gender_age_and_text(nemo):
    folder, module = nemo, adapters.get_adapter("nemo")

    records, skipped = split(module.records(folder))

    assert records["EB0_anger_1.wav"] == NativeRecord(
        path=folder / "samples" / "EB0_anger_1.wav",
        speaker="EB0",
        language="pl",
        label="anger",
        gender="female",
        age=27.0,
        text="Aby użyć.",
    )
    assert Counter(record.speaker for record in records.values()) == {"EB0": 2, "KS0": 2, "WR0": 2}
    assert skipped == {}


def test_nemo_matches_files_of_another_suffix_by_stem(nemo):
    (nemo / "samples/EB0_anger_1.wav").rename(nemo / "samples/EB0_anger_1.OPUS")

    records, skipped = split(adapters.get_adapter("nemo").records(nemo))

    assert records["EB0_anger_1.OPUS"].label == "anger"
    assert skipped == {}


def test_nemo_skips_what_does_not_fit_and_reports_rows_without_audio(nemo):
    table = nemo / "data.tsv"
    table.write_text(
        table.read_text(encoding="utf-8").replace("KS0_anger_1.wav\tanger", "KS0_anger_1.wav\tfear")
        + "XX0_fear_2.wav\tfear\tTak.\ttak\tXX0\tother\t23\nYY0_fear_2.wav\tfear\tTak.\ttak\tYY0\tmale\told\n"
        + "ZZ0_fear_3.wav\tfear\tTak.\ttak\tZZ0\tmale\t30\n",
        encoding="utf-8",
    )
    touch(nemo / "samples", "stray.wav", "XX0_fear_2.wav", "YY0_fear_2.wav")

    records, skipped = split(adapters.get_adapter("nemo").records(nemo))

    assert len(records) == 5
    assert set(skipped) == {"stray.wav", "KS0_anger_1.wav", "XX0_fear_2.wav", "YY0_fear_2.wav", "ZZ0_fear_3"}
    assert "must have a row in data.tsv; got none for 'stray.wav'" in skipped["stray.wav"]
    assert "got 'KS0' and 'fear' for 'KS0_anger_1.wav'" in skipped["KS0_anger_1.wav"]
    assert "gender must be one of female, male; got 'other'" in skipped["XX0_fear_2.wav"]
    assert "age must be whole years; got 'old'" in skipped["YY0_fear_2.wav"]
    assert "audio file must exist" in skipped["ZZ0_fear_3"]


def test_emotale_reads_ratings_votes_and_sentences(emotale):
    folder = emotale

    records, skipped = split(adapters.get_adapter("emotale").records(folder))

    assert records["DK_004_A_5.wav"] == NativeRecord(
        path=folder / "wav" / "DK_004_A_5.wav",
        speaker="004",
        language="da",
        label="A",
        gender="male",
        age=24.0,
        text="Om syv timer er det morgen.",
        votes=("A", "A", "N"),
        ratings=(
            {"valence": 1.0, "arousal": 5.0, "dominance": 4.5},
            {"valence": 1.0, "arousal": 5.0, "dominance": 5.0},
            {"valence": 3.0, "arousal": 3.0, "dominance": 4.0},
        ),
        rating_scale=(1.0, 5.0),
    )
    english = records["EN_004_N_1.wav"]
    assert (english.language, english.speaker) == ("en", "004")
    assert english.text == "The tablecloth is lying on the frigde."
    assert english.votes == ("N", "N")
    assert english.ratings[2] == {"valence": None, "arousal": None, "dominance": None}
    assert skipped == {}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("DK_004_A.wav", "name must be like DK_004_A_5; got 'DK_004_A.wav'"),
        ("SE_004_A_5.wav", "language must be one of DK, EN; got 'SE'"),
        ("DK_004_A_1.wav", "must have a row in annotations.csv; got none for 'DK_004_A_1.wav'"),
        ("DK_099_A_1.wav", "speaker must have a row in speaker_info.csv; got '099'"),
        ("DK_004_S_2.wav", "emotion must be that of its row, 'N'; got 'DK_004_S_2.wav'"),
        ("DK_004_S_6.wav", "sentence must be one of 1, 2, 3, 4, 5; got '6'"),
        ("DK_004_S_3.wav", "a1_A must be a number or empty; got 'x'"),
    ],
)
def test_emotale_skips_what_does_not_fit(emotale, name, reason):
    with (emotale / "annotations.csv").open("a") as file:
        for row, emotion, first in [("DK_099_A_1", "A", 1), ("DK_004_S_2", "N", 1), ("DK_004_S_6", "S", 1)]:
            file.write(f"{row}.wav,{first},1,1,A,1,1,1,A,1,1,1,A,{emotion}\n")
        file.write("DK_004_S_3.wav,x,1,1,A,1,1,1,A,1,1,1,A,S\n")
    touch(emotale / "wav", name)

    records, skipped = split(adapters.get_adapter("emotale").records(emotale))

    assert set(records) == {"DK_004_A_5.wav", "EN_004_N_1.wav"}
    assert reason in skipped[name]


def test_ased_reads_folder_and_name(tmp_path):
    touch(tmp_path, "05Angry/a5-03-01-02-50.WAV", "01Neutral/n1-01-01-01-07.wav", "04Sad/S4-04-02-01-29.wav")

    records, skipped = split(ased.records(tmp_path))

    assert records["a5-03-01-02-50.WAV"] == NativeRecord(
        path=tmp_path / "05Angry/a5-03-01-02-50.WAV", speaker="50", language="am", label="a", gender="male"
    )
    assert (records["n1-01-01-01-07.wav"].label, records["n1-01-01-01-07.wav"].gender) == ("n", "female")
    assert records["S4-04-02-01-29.wav"].label == "s"
    assert skipped == {}


def test_ased_gives_a_speaker_the_gender_of_most_files_or_none(tmp_path):
    stems = ["f2-01-01-01-09", "f2-02-01-01-09", "f2-03-01-02-09", "f2-01-01-01-10", "f2-02-01-02-10"]
    names = [f"{stem}.wav" for stem in stems]
    touch(tmp_path / "02Fearful", *names)

    records, _ = split(ased.records(tmp_path))

    assert [records[name].gender for name in names] == ["female", "female", "female", None, None]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("05Angry/a5-03-01-02.wav", "name must be like a5-03-01-02-50; got 'a5-03-01-02.wav'"),
        ("05Angry/a5-03-01-03-50.wav", "name must be like"),
        ("04Sad/a5-03-01-02-50.wav", "emotion must be that of the folder; got 'a5-03-01-02-50.wav' in '04Sad'"),
        ("05Angry/a4-03-01-02-50.wav", "emotion must be that of the folder"),
        ("05Angry/x5-03-01-02-50.wav", "emotion must be that of the folder"),
        ("Extra/a5-03-01-02-50.wav", "emotion must be that of the folder"),
    ],
)
def test_ased_skips_what_does_not_fit(tmp_path, path, reason):
    touch(tmp_path, path, "05Angry/a5-07-01-02-50.wav")

    records, skipped = split(ased.records(tmp_path))

    assert set(records) == {"a5-07-01-02-50.wav"}
    assert reason in skipped[Path(path).name]


def test_urdu_reads_folder_and_name(tmp_path):
    touch(tmp_path, "Angry/SM1_F01_A12.wav", "Happy/SF11_F2_H099.ogg")

    records, skipped = split(urdu.records(tmp_path))

    assert records["SM1_F01_A12.wav"] == NativeRecord(
        path=tmp_path / "Angry/SM1_F01_A12.wav", speaker="SM1", language="ur", label="A", gender="male"
    )
    happy = records["SF11_F2_H099.ogg"]
    assert (happy.speaker, happy.label, happy.gender) == ("SF11", "H", "female")
    assert skipped == {}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("Angry/SX1_F01_A12.wav", "name must be like Angry/SM1_F01_A12; got 'SX1_F01_A12.wav'"),
        ("Angry/SM1_F01_A12_copy.wav", "name must be like"),
        ("Sad/SM1_F01_A12.wav", "label must be that of the folder; got 'SM1_F01_A12.wav' in 'Sad'"),
        ("Other/SM1_F01_A12.wav", "folder_label must be one of Angry, Happy, Neutral, Sad; got 'Other'"),
    ],
)
def test_urdu_skips_what_does_not_fit(tmp_path, path, reason):
    touch(tmp_path, path, "Angry/SM1_F02_A13.wav")

    records, skipped = split(urdu.records(tmp_path))

    assert set(records) == {"SM1_F02_A13.wav"}
    assert reason in skipped[Path(path).name]


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nemo, r"annotation file must exist; got no 'data.tsv'"),
        (emotale, r"annotation file must exist; got no 'annotations.csv'"),
        (ased, "folder must hold audio files"),
        (urdu, "folder must hold audio files"),
    ],
)
def test_an_empty_download_says_what_is_missing(tmp_path, module, message):
    with pytest.raises(CorpusError, match=message):
        list(module.records(tmp_path))


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("corpus", "utterances", "speakers", "labels"),
    [
        (
            "nemo",
            4481,
            {"female": 4, "male": 5},
            {"anger": 749, "fear": 736, "happiness": 749, "neutral": 809, "sadness": 769, "surprised": 669},
        ),
        ("emotale", 800, {"female": 12, "male": 6}, {"A": 160, "B": 160, "H": 160, "N": 160, "S": 160}),
        ("ased", 2474, {"female": 25, "male": 40}, {"a": 486, "f": 510, "h": 486, "n": 522, "s": 470}),
        ("urdu", 400, {"female": 11, "male": 18}, {"A": 100, "H": 100, "N": 100, "S": 100}),
    ],
)
def test_real_corpora_hold_what_they_document(corpora, corpus, utterances, speakers, labels):
    records, skipped = split(adapters.get_adapter(corpus).records(corpora / corpus))

    assert len(records) == utterances
    assert skipped == {}
    assert Counter(gender for _, gender in {(item.speaker, item.gender) for item in records.values()}) == speakers
    assert Counter(item.label for item in records.values()) == labels
