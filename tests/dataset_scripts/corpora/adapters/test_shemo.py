"""ShEMO: `female/F21N05.wav`, and three sources of transcripts."""

import json
from pathlib import Path

import pytest
from samples import split, touch

from speecheq.dataset_scripts.corpora.adapters import shemo
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric

PURPLE = "بنفش کمرنگ"
ASK = "نگفتم؟"


def read(folder: Path) -> tuple[dict[str, NativeRecord], dict[str, str]]:
    return split(shemo.records(folder))


def write(path: Path, content: str | dict | list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")


def test_folder_name_and_transcript_give_speaker_emotion_and_text(tmp_path):
    touch(tmp_path, "female/F01A13.wav", "male/M36S02.wav")
    write(tmp_path / "transcript/final text/F01A13.ort", f"\ufeff{PURPLE} \n")
    write(tmp_path / "transcript/final script/F01A13.tra", "bӕnӕfʃe kӕmrӕng")

    records, skipped = read(tmp_path)

    assert records["F01A13.wav"] == NativeRecord(
        path=tmp_path / "female/F01A13.wav", speaker="F01", language="fa", label="A", gender="female", text=PURPLE
    )
    assert records["M36S02.wav"] == NativeRecord(
        path=tmp_path / "male/M36S02.wav", speaker="M36", language="fa", label="S", gender="male"
    )
    assert skipped == {}


def test_f_is_a_woman_at_the_beginning_and_fear_in_the_middle(tmp_path):
    touch(tmp_path, "F01F03.wav", "M21F01.wav")

    records, _ = read(tmp_path)

    assert {name: (item.gender, item.label) for name, item in records.items()} == {
        "F01F03.wav": ("female", "F"),
        "M21F01.wav": ("male", "F"),
    }


@pytest.mark.parametrize(
    "published",
    [
        {"F21N23": {"speaker_id": "F21", "emotion": "neutral", "transcript": f"\ufeff{ASK}"}},
        [{"id": "F21N23", "gender": "female", "emotion": "neutral", "transcript": ASK}],
    ],
    ids=["object", "older list"],
)
def test_shemo_json_gives_the_transcripts_as_an_object_or_a_list(tmp_path, published):
    touch(tmp_path, "female/F21N23.wav", "female/F21N24.wav")
    write(tmp_path / "shemo.json", published)

    records, skipped = read(tmp_path)

    assert records["F21N23.wav"].text == ASK
    assert records["F21N24.wav"].text is None
    assert skipped == {}


def test_a_transcript_file_goes_before_shemo_json(tmp_path):
    touch(tmp_path, "F01A13.wav")
    write(tmp_path / "shemo.json", {"F01A13": {"transcript": ASK}})
    write(tmp_path / "final text/F01A13.ort", PURPLE)

    records, _ = read(tmp_path)

    assert records["F01A13.wav"].text == PURPLE


def test_the_mended_transcripts_go_before_all_and_bring_their_emotion(tmp_path):
    touch(tmp_path, "female/F21N05.wav", "female/F01A13.wav", "female/F01W06.wav", "male/M01A01.wav")
    for name in ["F21N05", "F01A13", "F01W06", "M01A01"]:
        write(tmp_path / f"transcript/final text/{name}.ort", "x")
    write(
        tmp_path / "modified_shemo/modified_shemo.json",
        {
            "F21N05.wav": {"speech_name": "F21N05", "text_name": "F21N37", "emotion": "neutral", "transcript": ASK},
            "F01A13.wav": {"speech_name": "F01A13", "text_name": "F01A13", "emotion": "anger", "transcript": PURPLE},
            "F01W06.wav": {"speech_name": "F01W06", "text_name": "F01H05", "emotion": "happiness", "transcript": ""},
        },
    )

    records, skipped = read(tmp_path)

    assert {name: (item.label, item.text) for name, item in records.items()} == {
        "F21N05.wav": ("N", ASK),
        "F01A13.wav": ("A", PURPLE),
        "F01W06.wav": ("H", None),
        "M01A01.wav": ("A", None),
    }
    assert {item.speaker for item in records.values()} == {"F21", "F01", "M01"}
    assert skipped == {}


def test_the_mended_transcripts_are_found_under_their_other_name(tmp_path):
    touch(tmp_path, "F21N05.wav")
    write(tmp_path / "mShEMO.json", {"F21N05.wav": {"text_name": "F21S37", "transcript": ASK}})

    records, _ = read(tmp_path)

    assert (records["F21N05.wav"].label, records["F21N05.wav"].text) == ("S", ASK)


def test_a_transcript_whose_name_no_audio_has_is_reported(tmp_path):
    touch(tmp_path, "female/F01N11.wav")
    write(tmp_path / "transcript/final text/F01N11.ort", ASK)
    write(tmp_path / "transcript/final text/F01N12.ort", PURPLE)

    records, skipped = read(tmp_path)

    assert records["F01N11.wav"].text == ASK
    assert skipped == {"F01N12": "transcript: audio file must exist; got none for row 'F01N12'."}


def test_an_unreadable_transcript_costs_the_text_alone(tmp_path):
    touch(tmp_path, "F01A13.wav", "F01A14.wav")
    (tmp_path / "F01A13.ort").write_bytes(b"\xc8\xe4\xdd\xd4")
    write(tmp_path / "F01A14.ort", ASK)

    records, skipped = read(tmp_path)

    assert {name: item.text for name, item in records.items()} == {"F01A13.wav": None, "F01A14.wav": ASK}
    assert skipped == {"F01A13.ort": "shemo: transcript must be UTF-8; got other bytes in 'F01A13.ort'."}


@pytest.mark.parametrize("content", ["{", "[1]", '["F01A13"]', '{"F01A13": "text"}', '[{"gender": "female"}]', "3"])
def test_broken_transcripts_in_json_are_refused(tmp_path, content):
    touch(tmp_path, "F01A13.wav")
    write(tmp_path / "shemo.json", content)

    with pytest.raises(CorpusError, match=r"shemo.json must hold one object per utterance; .* Copy the file again"):
        read(tmp_path)


def test_mended_transcripts_without_their_source_are_refused(tmp_path):
    touch(tmp_path, "F01A13.wav")
    write(tmp_path / "modified_shemo.json", {"F01A13.wav": {"transcript": PURPLE}})

    with pytest.raises(
        CorpusError, match=r"text_name must be like F21N05; got None for 'F01A13.wav' in 'modified_shemo"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("male/M01A1.wav", "name must be like F21N05; got 'M01A1.wav'"),
        ("male/X01A01.wav", "name must be like F21N05"),
        ("female/M01A01.wav", "gender must be that of the folder; got 'M01A01.wav' in 'female'"),
    ],
)
def test_what_does_not_fit_is_skipped(tmp_path, path, reason):
    touch(tmp_path, path, "male/M05N21.wav")

    records, skipped = read(tmp_path)

    assert set(records) == {"M05N21.wav"}
    assert reason in skipped[Path(path).name]


def test_an_empty_download_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="folder must hold audio files"):
        read(tmp_path)


def test_every_documented_letter_is_in_the_table():
    assert metric.label_space("shemo") == {
        "A": ["angry"],
        "F": ["fear"],
        "H": ["happy"],
        "N": ["neutral"],
        "S": ["sad"],
        "W": ["surprise"],
    }
    assert metric.table_row("shemo", "label", "N").eis == (0.0, 0.0)
    assert metric.table_row("shemo", "label", "A").eis is None
