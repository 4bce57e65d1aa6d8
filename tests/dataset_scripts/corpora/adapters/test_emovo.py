"""EMOVO: `f1/dis-f1-b1.wav`."""

from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import emovo
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric


def read(folder: Path) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    return split(emovo.records(folder))


def test_folder_and_name_give_speaker_emotion_and_sentence(tmp_path):
    touch(tmp_path, "EMOVO/f1/dis-f1-b1.wav", "EMOVO/m3/gio-m3-d2.wav", "EMOVO/documents/LA STRUTTURA DI EMOVO.pdf")

    records, skipped = read(tmp_path)

    assert records["dis-f1-b1.wav"] == NativeRecord(
        path=tmp_path / "EMOVO/f1/dis-f1-b1.wav",
        speaker="f1",
        language="it",
        label="dis",
        gender="female",
        text="Gli operai si alzano presto.",
    )
    assert records["gio-m3-d2.wav"] == NativeRecord(
        path=tmp_path / "EMOVO/m3/gio-m3-d2.wav",
        speaker="m3",
        language="it",
        label="gio",
        gender="male",
        text="Porti con te quella cosa?",
    )
    assert skipped == {}


def test_six_speakers_and_fourteen_sentences_in_seven_emotions_are_588_files(tmp_path):
    sentences = ["b1", "b2", "b3", "l1", "l2", "l3", "l4", "n1", "n2", "n3", "n4", "n5", "d1", "d2"]
    for speaker in ["f1", "f2", "f3", "m1", "m2", "m3"]:
        for emotion in ["dis", "gio", "pau", "rab", "sor", "tri", "neu"]:
            touch(tmp_path / speaker, *(f"{emotion}-{speaker}-{sentence}.wav" for sentence in sentences))

    records, skipped = read(tmp_path)

    assert len(records) == 588
    assert len({item.text for item in records.values()}) == 14
    assert skipped == {}


def test_capitals_and_one_folder_for_all_are_read_alike(tmp_path):
    touch(tmp_path, "merged/TRI-M2-L4.WAV")

    records, _ = read(tmp_path)

    found = records["TRI-M2-L4.WAV"]
    assert (found.speaker, found.label, found.text) == ("m2", "tri", "Vorrei il numero telefonico del Signor Piatti.")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("f1/dis-f1.wav", "name must be like dis-f1-b1; got 'dis-f1.wav'"),
        ("x/dis-f4-b1.wav", "speaker must be one of f1, f2, f3, m1, m2, m3; got 'f4'"),
        ("f1/dis-f1-b4.wav", "text must be one of b1, b2, b3, l1, l2, l3, l4, n1, n2, n3, ... (4 more); got 'b4'"),
        ("f2/dis-f1-b2.wav", "speaker must be that of the folder; got 'dis-f1-b2.wav' in 'f2'"),
    ],
)
def test_what_does_not_fit_is_skipped(tmp_path, path, reason):
    touch(tmp_path, path, "f1/neu-f1-n3.wav")

    records, skipped = read(tmp_path)

    assert set(records) == {"neu-f1-n3.wav"}
    assert reason in skipped[Path(path).name]


def test_an_empty_download_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        read(tmp_path)


def test_every_documented_code_is_in_the_table():
    assert metric.label_space("emovo") == {
        "dis": ["disgust"],
        "gio": ["happy"],
        "pau": ["fear"],
        "rab": ["angry"],
        "sor": ["surprise"],
        "tri": ["sad"],
        "neu": ["neutral"],
    }
    assert metric.table_row("emovo", "label", "neu").eis == (0.0, 0.0)
    assert metric.table_row("emovo", "label", "gio").eis is None
