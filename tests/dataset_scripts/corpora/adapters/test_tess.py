"""TESS in its folders and flat: two actresses, and the spellings of its mirrors."""

from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.build import rows
from speecheq.dataset_scripts.corpora.adapters import tess
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, UnknownLabelError
from speecheq.dataset_scripts.metric import table as metric

GOOD = "OAF_angry/OAF_back_angry.wav"


def test_a_name_gives_actress_word_and_emotion(tmp_path):
    records, skipped = split(tess.records(touch(tmp_path, GOOD)), "name")

    assert records["OAF_back_angry"] == NativeRecord(
        path=tmp_path / GOOD,
        name="OAF_back_angry",
        speaker="OAF",
        language="en",
        label="angry",
        gender="female",
        age=64.0,
        text="Say the word back.",
    )
    assert skipped == {}


def test_the_younger_actress_is_26(tmp_path):
    records, _ = split(tess.records(touch(tmp_path, "YAF_sad/YAF_youth_sad.wav")), "name")

    young = records["YAF_youth_sad"]
    assert (young.speaker, young.gender, young.age, young.text) == ("YAF", "female", 26.0, "Say the word youth.")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("OAF_Fear/OAF_back_fear.wav", "OAF_back_fear"),
        ("YAF_fear/YAF_back_fear.wav", "YAF_back_fear"),
        ("OAF_Sad/OAF_back_sad.wav", "OAF_back_sad"),
        ("OAF_Pleasant_surprise/OAF_back_ps.wav", "OAF_back_ps"),
        ("YAF_pleasant_surprised/YAF_back_ps.wav", "YAF_back_ps"),
        ("YAF_neutral/YAF_Back_Neutral.WAV", "YAF_back_neutral"),
        ("tess/yaf_disgust/yaf_back_disgust.flac", "YAF_back_disgust"),
        ("OAF_back_happy.wav", "OAF_back_happy"),
    ],
)
def test_folders_of_any_spelling_and_flat_files_are_read(tmp_path, path, name):
    records, skipped = split(tess.records(touch(tmp_path, path)), "name")

    assert set(records) == {name}
    assert skipped == {}


def test_the_misspelt_name_is_the_older_actress(tmp_path):
    records, skipped = split(tess.records(touch(tmp_path, "OAF_neutral/OA_bite_neutral.wav")), "name")

    assert (records["OAF_bite_neutral"].speaker, records["OAF_bite_neutral"].text) == ("OAF", "Say the word bite.")
    assert skipped == {}


def test_the_copy_inside_the_kaggle_mirror_has_the_ids_of_the_first(tmp_path):
    outer = "TESS Toronto emotional speech set data"
    touch(tmp_path, f"{outer}/{GOOD}", f"{outer}/{outer}/{GOOD}")

    found = list(tess.records(tmp_path))

    assert len(found) == 2
    assert [rows.describe("tess", item, tess.LICENSE)["id"] for item in found] == 2 * ["tess/OAF_back_angry"]


def test_pleasant_surprise_is_surprise_and_only_neutral_has_an_intensity():
    table = {native: metric.table_row("tess", "label", native) for native in metric.label_space("tess")}

    assert {native: row.esc for native, row in table.items()} == {
        "angry": ("angry",),
        "disgust": ("disgust",),
        "fear": ("fear",),
        "happy": ("happy",),
        "neutral": ("neutral",),
        "ps": ("surprise",),
        "sad": ("sad",),
    }
    assert {native for native, row in table.items() if row.eis is not None} == {"neutral"}


def test_an_emotion_that_the_corpus_does_not_document_stops_at_the_table(tmp_path):
    records, _ = split(tess.records(touch(tmp_path, "OAF_back_calm.wav")), "name")

    with pytest.raises(UnknownLabelError, match=r"label must be one of angry, .*; got 'calm' in 'OAF_back_calm.wav'"):
        rows.describe("tess", records["OAF_back_calm"], tess.LICENSE)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("OAF_angry/OAF_angry.wav", "name must be like OAF_back_angry or YAF_back_ps; got 'OAF_angry.wav'"),
        ("OAF_angry/MAF_back_angry.wav", "name must be like"),
        ("OAF_angry/OA_back_angry.wav", "name must be like"),
        ("OAF_angry/OAF_back_angry (1).wav", "name must be like"),
        ("OAF_angry/OAF_base_sad.wav", "speaker and emotion must be those of the folder; got 'OAF_base_sad.wav' in"),
        ("OAF_angry/YAF_base_angry.wav", "got 'YAF_base_angry.wav' in 'OAF_angry'"),
    ],
)
def test_what_does_not_fit_is_skipped(tmp_path, path, reason):
    touch(tmp_path, path, GOOD)

    records, skipped = split(tess.records(tmp_path), "name")

    assert set(records) == {"OAF_back_angry"}
    assert reason in skipped[Path(path).name]


def test_its_terms_do_not_let_a_changed_copy_be_passed_on():
    assert tess.LICENSE == "CC-BY-NC-ND-4.0"
    assert tess.REDISTRIBUTABLE is False


def test_an_empty_download_says_what_is_missing(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        list(tess.records(tmp_path))
