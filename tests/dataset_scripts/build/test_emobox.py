"""The folds of EmoBox, from its own lists and from CSV files."""

import json
from collections import Counter
from pathlib import Path

import pytest

from speecheq.dataset_scripts.build.emobox import Folds, read_folds
from speecheq.dataset_scripts.corpora.records import CorpusError


def write_list(data: Path, corpus: str, part: str, fold: int, *paths: str) -> Path:
    """Write a list with the keys of EmoBox."""
    path = data / corpus / f"fold_{fold}" / f"{corpus}_{part}_fold_{fold}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "key": f"{corpus}-{number}",
            "dataset": corpus,
            "wav": f"downloads/{corpus}/{wav}",
            "emo": "sad",
            "channel": 1,
        }
        for number, wav in enumerate(paths)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def write_csv(folder: Path, corpus: str, *rows: str) -> None:
    (folder / f"{corpus}.csv").write_text("path,label,fold,part,seconds\n" + "".join(f"{row}\n" for row in rows))


def test_the_fold_is_the_one_that_tests_the_utterance(tmp_path):
    write_list(tmp_path, "emovo", "train", 1, "f2/gio-f2-b2.wav", "m1/tri-m1-d1.wav")
    write_list(tmp_path, "emovo", "test", 1, "f1/dis-f1-b1.wav")
    write_list(tmp_path, "emovo", "train", 2, "f1/dis-f1-b1.wav", "m1/tri-m1-d1.wav")
    write_list(tmp_path, "emovo", "test", 2, "f2/gio-f2-b2.wav")

    folds = read_folds(tmp_path, "emovo")

    assert folds == Folds({"gio-f2-b2": 2, "tri-m1-d1": 0, "dis-f1-b1": 1}, depth=1)
    assert folds.of("EMOVO/f1/dis-f1-b1.wav") == 1
    assert folds.of(Path("f2/gio-f2-b2.wav")) == 2
    assert folds.of("m1/tri-m1-d1.wav") == 0
    assert folds.of("m1/tri-m1-d2.wav") is None


def test_a_validation_part_is_listed_and_not_tested(tmp_path):
    write_list(tmp_path, "meld", "valid", 1, "dev_splits_complete/dia0_utt0.mp4")
    write_list(tmp_path, "meld", "test", 1, "output_repeated_splits_test/dia1_utt0.mp4")

    assert read_folds(tmp_path, "meld").tested == {"dia0_utt0": 0, "dia1_utt0": 1}


def test_csv_lists_say_the_same(tmp_path):
    write_csv(tmp_path, "urdu", "Sad/SM1_F1_S01.wav,S,1,train,2.5", "Angry/SF2_F2_A02.wav,A,1,test,2.5")

    assert read_folds(tmp_path, "urdu") == Folds({"sm1_f1_s01": 0, "sf2_f2_a02": 1}, depth=1)


def test_as_much_of_a_path_is_compared_as_tells_the_listed_ones_apart(tmp_path):
    write_csv(
        tmp_path,
        "casia",
        "liuchanhg/angry/201.wav,angry,1,test,1",
        "liuchanhg/sad/201.wav,sad,1,test,1",
        "wangzhe/angry/201.wav,angry,2,test,1",
    )

    folds = read_folds(tmp_path, "casia")

    assert folds.depth == 3
    assert folds.of("CASIA/Wangzhe/angry/201.wav") == 2
    assert folds.of("liuchanhg/sad/201.WAV") == 1
    assert folds.of("angry/201.wav") is None


def test_suffix_case_and_windows_separators_do_not_matter(tmp_path):
    write_csv(tmp_path, "mead", r"M003\audio\angry\001.m4a,angry,1,test,1", "M005/audio/angry/001.m4a,angry,2,test,1")

    folds = read_folds(tmp_path, "mead")

    assert folds.depth == 4
    assert folds.of("mead/m003/AUDIO/Angry/001.flac") == 1
    assert folds.of("M005/audio/angry/001.M4A") == 2


def test_a_listed_path_may_be_shorter_than_the_others(tmp_path):
    write_csv(tmp_path, "tess", "a.wav,sad,1,test,1", "x/a.wav,sad,2,test,1")

    folds = read_folds(tmp_path, "tess")

    assert (folds.of("a.wav"), folds.of("x/a.wav"), folds.of("y/a.wav")) == (1, 2, None)


def test_the_name_is_looked_up_where_the_path_is_not_listed(tmp_path):
    write_list(tmp_path, "savee", "test", 1, "DC_a01.wav")
    write_list(tmp_path, "savee", "test", 2, "JE_a01.wav")
    write_list(tmp_path, "savee", "train", 2, "JE_a02.wav")

    folds = read_folds(tmp_path, "savee")

    assert folds.of("AudioData/JE/a01.wav", name="JE_a01") == 2
    assert folds.of("ALL/DC_a01.wav", name="JE_a01") == 1
    assert folds.of("ALL/JE_a02.wav", name="JE_a01") == 0
    assert folds.of("AudioData/JE/a01.wav") is None
    assert folds.of("AudioData/KL/a01.wav", name="KL_a01") is None


@pytest.mark.parametrize(
    ("corpus", "name"), [("crema_d", "cremad"), ("jl_corpus", "jlcorpus"), ("msp_podcast", "msppodcast")]
)
def test_a_corpus_is_found_under_the_name_that_emobox_gives_it(tmp_path, corpus, name):
    write_list(tmp_path, name, "test", 1, "a.wav")

    assert read_folds(tmp_path, corpus).tested == {"a": 1}


def test_a_corpus_without_a_list_has_no_folds(tmp_path):
    write_list(tmp_path, "emovo", "test", 1, "f1/dis-f1-b1.wav")

    folds = read_folds(tmp_path, "nemo")

    assert len(folds) == 0
    assert folds.of("samples/EB0_anger_1.wav", name="EB0_anger_1") is None


def test_only_lists_named_after_their_folder_are_read(tmp_path):
    write_list(tmp_path, "emodb", "test", 1, "wav/03a01Wa.wav")
    older = tmp_path / "emodb/fold_2/emodb_test_fold2.jsonl"
    older.parent.mkdir()
    older.write_text('{"audio": "downloads/emodb/wav/03a02Wb.wav"}\n')
    (tmp_path / "emodb/fold_2/emodb_test_fold_3.jsonl").write_text('{"wav": "downloads/emodb/wav/03a04Wc.wav"}\n')
    (tmp_path / "emodb/emodb.jsonl").write_text('{"wav": "downloads/emodb/wav/03a05Wa.wav"}\n')

    assert read_folds(tmp_path, "emodb").tested == {"03a01wa": 1}


def test_an_utterance_tested_in_two_folds_is_refused_by_name(tmp_path):
    write_list(tmp_path, "emovo", "test", 1, "f1/dis-f1-b1.wav")
    write_list(tmp_path, "emovo", "test", 3, "f1/dis-f1-b2.wav", "f1/dis-f1-b1.wav")

    with pytest.raises(
        CorpusError, match=r"in one fold; got 1 and 3 for 'downloads/emovo/f1/dis-f1-b1.wav' of 'emovo'"
    ):
        read_folds(tmp_path, "emovo")


def test_an_utterance_listed_twice_in_one_test_part_is_one(tmp_path):
    write_list(tmp_path, "emovo", "test", 2, "f1/dis-f1-b1.wav", "f1/dis-f1-b1.wav")

    assert read_folds(tmp_path, "emovo").tested == {"dis-f1-b1": 2}


@pytest.mark.parametrize("line", ["{", "[]", '{"audio": "a.wav"}', '{"wav": 3}', '{"wav": ""}', '"a.wav"'])
def test_a_broken_line_is_refused_with_its_place(tmp_path, line):
    path = write_list(tmp_path, "emovo", "train", 1, "a.wav")
    path.write_text(path.read_text() + line + "\n")

    with pytest.raises(
        CorpusError, match=r"an object with the path 'wav'; got .* in line 2 of 'emovo_train_fold_1.jsonl'"
    ):
        read_folds(tmp_path, "emovo")


@pytest.mark.parametrize("row", ["a.wav,S,0,test,1", "a.wav,S,one,test,1", "a.wav,S,1,dev,1", ",S,1,test,1"])
def test_a_broken_row_is_refused(tmp_path, row):
    write_csv(tmp_path, "urdu", row)

    with pytest.raises(CorpusError, match=r"a positive fold and a part \(train, valid, test\); got .* in 'urdu.csv'"):
        read_folds(tmp_path, "urdu")


def test_a_missing_folder_or_column_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"folder must exist; got .*nowhere.* Use data/ of a clone"):
        read_folds(tmp_path / "nowhere", "urdu")
    (tmp_path / "urdu.csv").write_text("path,part\na.wav,test\n")
    with pytest.raises(CorpusError, match=r"header must hold path, fold, part; got path, part in 'urdu.csv'"):
        read_folds(tmp_path, "urdu")


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("corpus", "depth", "counts"),
    [
        ("ased", 1, {0: 1858, 1: 616}),
        ("casia", 3, {1: 300, 2: 300, 3: 300, 4: 300}),
        ("iemocap", 1, {1: 1085, 2: 1023, 3: 1151, 4: 1031, 5: 1241}),
        ("urdu", 1, {0: 300, 1: 100}),
    ],
)
def test_the_real_lists_test_what_they_document(corpora, corpus, depth, counts):
    folds = read_folds(corpora / "emobox", corpus)

    assert folds.depth == depth
    assert Counter(folds.tested.values()) == counts


@pytest.mark.corpora
def test_a_fold_of_iemocap_is_a_session(corpora):
    folds = read_folds(corpora / "emobox", "iemocap")

    assert {(int(turn[3:5]), fold) for turn, fold in folds.tested.items()} == {(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)}
    assert folds.of("IEMOCAP_full_release/Session4/sentences/wav/Ses04F_impro07/Ses04F_impro07_M001.wav") == 4


@pytest.mark.corpora
def test_a_fold_of_casia_is_a_speaker(corpora):
    folds = read_folds(corpora / "emobox", "casia")

    speakers = {(path.split("/")[0], fold) for path, fold in folds.tested.items()}
    assert len(speakers) == 4
    assert {fold for _, fold in speakers} == {1, 2, 3, 4}
    assert {speaker for speaker, _ in speakers} == {"liuchanhg", "wangzhe", "zhaoquanyin", "zhaozuoxiang"}


@pytest.mark.corpora
@pytest.mark.parametrize(("corpus", "files"), [("urdu", 400), ("ased", 2474)])
def test_every_real_file_is_listed(corpora, corpus, files):
    folds = read_folds(corpora / "emobox", corpus)

    found = [
        folds.of(path) for path in (corpora / corpus).rglob("*") if path.suffix.lower() in (".wav", ".opus", ".ogg")
    ]

    assert len(found) == files
    assert None not in found
