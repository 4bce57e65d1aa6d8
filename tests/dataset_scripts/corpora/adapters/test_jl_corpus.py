"""JL-Corpus: `male1_angry_10a_1.wav` with its transcript beside it."""

from pathlib import Path

import pytest
from samples import split

from speecheq.dataset_scripts.corpora.adapters import jl_corpus
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric

RAW = "Raw JL corpus (unchecked and unannotated)/JL(wav+txt)"


def read(folder: Path) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    return split(jl_corpus.records(folder))


def utterance(folder: Path, name: str, text: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.wav").touch()
    if text is not None:
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder / f"{name}.wav"


def test_name_and_transcript_give_speaker_emotion_and_text(tmp_path):
    path = utterance(tmp_path / RAW, "male1_angry_5a_2", "The lord swims in the sea.")
    utterance(tmp_path / RAW, "female2_encouraging_15b_1", "You should be proud of yourself!\n")

    records, skipped = read(tmp_path)

    assert records["male1_angry_5a_2.wav"] == NativeRecord(
        path=path, speaker="male1", language="en", label="angry", gender="male", text="The lord swims in the sea."
    )
    found = records["female2_encouraging_15b_1.wav"]
    assert (found.speaker, found.gender, found.label) == ("female2", "female", "encouraging")
    assert found.text == "You should be proud of yourself!"
    assert skipped == {}


def test_one_sentence_number_has_a_text_of_its_own_in_each_emotion(tmp_path):
    utterance(tmp_path, "male2_encouraging_15b_1", "You should be proud of yourself!\n")
    utterance(tmp_path, "male2_anxious_15b_1", "I am not sure how severe the wound is!\n")

    records, _ = read(tmp_path)

    assert {item.label: item.text for item in records.values()} == {
        "encouraging": "You should be proud of yourself!",
        "anxious": "I am not sure how severe the wound is!",
    }


def test_a_missing_or_empty_transcript_costs_the_text_alone(tmp_path):
    utterance(tmp_path, "female1_sad_1a_1")
    utterance(tmp_path, "female1_sad_1a_2", " \n")

    records, skipped = read(tmp_path)

    assert [item.text for item in records.values()] == [None, None]
    assert skipped == {}


def test_the_lower_case_copy_has_the_names_of_the_folder_that_it_copies_and_comes_second(tmp_path):
    utterance(tmp_path / RAW.lower().replace("jl(", "JL("), "female1_angry_10a_1", "Jack views an art piece")
    utterance(tmp_path / RAW, "female1_angry_10a_1", "Jack views an art piece")

    found = list(jl_corpus.records(tmp_path))

    assert [item.path.stem for item in found] == ["female1_angry_10a_1", "female1_angry_10a_1"]
    assert [item.name for item in found] == [None, None]
    assert found[0].path == tmp_path / RAW / "female1_angry_10a_1.wav"


def test_capitals_are_read_alike(tmp_path):
    path = utterance(tmp_path, "Female1_Happy_3B_1")

    records, _ = read(tmp_path)

    found = records[path.name]
    assert (found.speaker, found.gender, found.label) == ("female1", "female", "happy")


@pytest.mark.parametrize(
    "name", ["male3_angry_1a_1", "male1_angry_1c_1", "male1_angry_1a", "amale1_angry_1a_1", "Q12_1", "male1__1a_1"]
)
def test_what_does_not_fit_is_skipped(tmp_path, name):
    utterance(tmp_path, name)
    utterance(tmp_path, "male2_neutral_8b_2")

    records, skipped = read(tmp_path)

    assert set(records) == {"male2_neutral_8b_2.wav"}
    assert skipped == {f"{name}.wav": f"jl_corpus: name must be like male1_angry_10a_1; got '{name}.wav'."}


def test_an_empty_download_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        read(tmp_path)


def test_every_documented_emotion_is_in_the_table_and_four_have_no_class():
    primary = ["angry", "sad", "neutral", "happy", "excited"]

    assert metric.label_space("jl_corpus") == {name: [name] for name in primary} | {"anxious": ["fear"]}
    for secondary in ["apologetic", "assertive", "concerned", "encouraging"]:
        assert metric.esc_set("jl_corpus", secondary) is None
    assert metric.table_row("jl_corpus", "label", "neutral").eis == (0.0, 0.0)
    assert metric.table_row("jl_corpus", "label", "excited").eis is None
