"""Corpora that are declarations: a name of the documented layout gives its record, and each quirk has its test."""

from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from samples import split, touch, wav_bytes, waveform

from speecheq.dataset_scripts.build.audio import Preparation, Source, convert
from speecheq.dataset_scripts.corpora.adapters import get_adapter
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.dataset_scripts.metric import table as metric

DOCUMENTED = [
    ("aesdd", "anger/a06 (5)b.wav", {"speaker": "5", "language": "el", "label": "a", "name": "a06_5b"}),
    (
        "asvp_esd",
        "actor_12/03-01-06-01-02-12-02-01-01-16.wav",
        {"speaker": "12", "language": "zh", "label": "06", "level": "normal", "gender": "male"},
    ),
    (
        "cafe",
        "CaFE_48k/Peur/Fort/08-P-2-1.wav",
        {
            "speaker": "08",
            "language": "fr",
            "label": "P",
            "level": "fort",
            "gender": "female",
            "age": 25.0,
            "text": "Un cheval fou dans mon jardin",
        },
    ),
    (
        "emov_db",
        "bea_Neutral/neutral_113-140_0120.wav",
        {"speaker": "bea", "language": "en", "label": "neutral", "gender": "female", "name": "bea_neutral_0120"},
    ),
    (
        "enterface",
        "enterface database/subject 19/anger/sentence 4/s19_an_4.avi",
        {"speaker": "19", "language": "en", "label": "anger"},
    ),
    (
        "mesd",
        "Mexican Emotional Speech Database (MESD)/Neutral_F_B_elevado.wav",
        {"speaker": "F", "language": "es", "label": "Neutral", "gender": "female", "text": "elevado"},
    ),
    (
        "oreau",
        "OréauFR_02/f/sesst/11a03Ta.wav",
        {"speaker": "11", "language": "fr", "label": "T", "gender": "female"},
    ),
    (
        "polish",
        "m3.s_podaj_4.wav",
        {"speaker": "m3", "language": "pl", "label": "s", "gender": "male", "text": "podaj"},
    ),
    (
        "turev_db",
        "Sound Source/Angry/1157_kz_dil.wav",
        {"speaker": "1157", "language": "tr", "label": "Angry", "name": "1157_kz_dil_Angry"},
    ),
]


def read(corpus: str, path: str) -> NativeRecord:
    return get_adapter(corpus).record(Path(path))


@pytest.mark.parametrize(("corpus", "path", "fields"), DOCUMENTED)
def test_a_name_of_the_documented_layout_gives_its_record(tmp_path, corpus, path, fields):
    records, skipped = split(get_adapter(corpus).records(touch(tmp_path, path)))

    assert list(records.values()) == [NativeRecord(path=tmp_path / path, **fields)]
    assert skipped == {}
    metric.table_row(corpus, "label", fields["label"])
    assert "level" not in fields or metric.table_row(corpus, "level", fields["level"])


@pytest.mark.parametrize(
    "path",
    [
        "subject 3/surprise/sentence 1/s_3_su_1.avi",
        "subject_3/surprise/sentence_3/s3_su_3avi.avi",
        "subject-3/surprise/take.avi",
    ],
)
def test_enterface_reads_speaker_and_emotion_from_the_folders(path):
    assert (read("enterface", path).speaker, read("enterface", path).label) == ("3", "surprise")


def test_emns_reads_its_table_and_the_cleaned_recordings_only(tmp_path):
    touch(tmp_path, "cleaned_webm/recorded_audio_a.webm", "cleaned_webm/b.webm", "raw_webm/recorded_audio_a.webm")
    (tmp_path / "metadata.csv").write_text(
        "id|gender|age|level|utterance|description|emotion|audio_recording\n"
        "1|Female|20|4|Well, well.|Said with care|Surprised|wavs/recorded_audio_a.webm\n"
        "2|Female|20|4|No.||Angry|wavs/recorded_audio_c.webm\n"
    )

    records, skipped = split(get_adapter("emns").records(tmp_path))

    path = tmp_path / "cleaned_webm/recorded_audio_a.webm"
    assert list(records.values()) == [
        NativeRecord(path=path, speaker="emns", language="en", label="surprised", gender="female", text="Well, well.")
    ]
    assert skipped == {
        "b.webm": "emns: file must have a row in metadata.csv; got none for 'b.webm'.",
        "recorded_audio_c": "metadata.csv: audio file must exist; got none for row 'recorded_audio_c'.",
    }


@pytest.mark.parametrize("tables", ["", "mer2023train/"])
def test_mer2023_joins_the_videos_with_the_tables_of_its_parts(tmp_path, tables):
    touch(tmp_path, f"{tables}train/sample_1.avi", "test1/sample_2.mp4", "test3/sample_9.avi")
    test_table = tmp_path / ("test-labels" if tables else ".") / "test1-label.csv"
    for table, row in (
        (tmp_path / f"{tables}train-label.csv", "sample_1,worried,-1"),
        (test_table, "sample_2,happy,2"),
    ):
        table.parent.mkdir(exist_ok=True)
        table.write_text(f"name,discrete,valence\n{row}\n")

    records, skipped = split(get_adapter("mer2023").records(tmp_path))

    found = {name: (record.speaker, record.label, record.official_split) for name, record in records.items()}
    assert found == {
        "sample_1.avi": ("unknown", "worried", "train"),
        "sample_2.mp4": ("unknown", "happy", "test1"),
    }
    assert skipped == {"sample_9.avi": "mer2023: file must have a row in a label table; got none for 'sample_9.avi'."}


def test_mer2023_names_its_tables_where_there_are_none(tmp_path):
    with pytest.raises(CorpusError, match=r"mer2023: folder must hold train-label.csv, test1-label.csv"):
        list(get_adapter("mer2023").records(touch(tmp_path, "train/sample_1.avi")))


def test_resd_is_a_parquet_file_with_a_column_speech(tmp_path):
    path = tmp_path / "data/test-00000-of-00001.parquet"
    path.parent.mkdir()
    speech = [{"bytes": wav_bytes(waveform(1.0)), "path": f"{number}.wav"} for number in range(2)]
    columns = {
        "name": ["27_neutral_fear_n_100", ""],
        "path": ["a", "b"],
        "emotion": ["neutral", "fear"],
        "speech": speech,
    }
    pyarrow.parquet.write_table(pyarrow.table(columns), path)

    records, skipped = get_adapter("resd").records(tmp_path)

    assert records == NativeRecord(
        path=path,
        parquet_row=0,
        name="27_neutral_fear_n_100",
        speaker="unknown",
        language="ru",
        label="neutral",
        official_split="test",
    )
    assert skipped.reason == "resd: name must be given; got none in 'test-00000-of-00001.parquet', row 1."
    assert convert((Source(str(path), 0), Preparation())).samples == 16_000


@pytest.mark.parametrize("corpus", [corpus for corpus, _, _ in DOCUMENTED])
def test_another_name_is_skipped_with_an_example(tmp_path, corpus):
    records, skipped = split(get_adapter(corpus).records(touch(tmp_path, "notes.wav")))

    assert records == {}
    assert skipped["notes.wav"].startswith(f"{corpus}: name must be like ")


@pytest.mark.parametrize(
    ("corpus", "path", "reason"),
    [
        ("aesdd", "anger/f06 (5).wav", "aesdd: label must be that of the folder; got 'f06 (5).wav' in 'anger'"),
        ("asvp_esd", "03-02-06-01-02-12-02-01-01-16.wav", "channel must be one of 01; got '02'"),
        ("cafe", "13-P-2-1.wav", "age must be one of 01, 02"),
        ("cafe", "08-P-2-7.wav", "text must be one of 1, 2, 3, 4, 5, 6; got '7'"),
        ("emov_db", "anna_Neutral/neutral_1-28_0001.wav", "speaker must be one of bea, jenie, josh, sam; got 'anna'"),
        ("emov_db", "bea_Sulky/sulky_1-28_0001.wav", "label must be one of amused, angry, disgust"),
        ("mesd", "Neutral_X_B_elevado.wav", "speaker must be one of F, M, C; got 'X'"),
        ("oreau", "f/sessd/11a03Ta.wav", "oreau: label must be that of the folder; got '11a03Ta.wav' in 'sessd'"),
    ],
)
def test_what_the_corpus_does_not_document_is_skipped_with_its_reason(tmp_path, corpus, path, reason):
    _, skipped = split(get_adapter(corpus).records(touch(tmp_path, path)))

    assert reason in skipped[Path(path).name]


def test_aesdd_writes_a_speaker_with_or_without_a_zero():
    assert read("aesdd", "fear/f13 (01).wav").speaker == read("aesdd", "fear/f07 (1).wav").speaker == "1"


@pytest.mark.parametrize(
    ("name", "language", "gender"),
    [
        ("03-01-06-01-02-13-02-01-02.wav", "en", "female"),
        ("03-01-06-01-02-112-02-01-03-16.wav", "und", "male"),
        ("03-01-06-01-02-13-02-01.wav", "und", "female"),
    ],
)
def test_asvp_esd_has_a_language_where_it_is_documented_and_a_gender_by_the_actor(name, language, gender):
    assert (read("asvp_esd", name).language, read("asvp_esd", name).gender) == (language, gender)


def test_cafe_reads_the_name_where_the_folder_lost_its_accents():
    assert read("cafe", "D‚go–t/Faible/08-D-1-4.wav").label == "D"


def test_cafe_has_two_strengths_and_a_neutral_without_strength():
    intervals = [metric.intensity("cafe", read("cafe", f"01-{name}.wav")) for name in ("C-1-1", "C-2-1", "N-1-1")]

    assert intervals == [(0.125, 0.625), (0.625, 1.0), (0.0, 0.0)]


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("sam_Angry/anger_1-28_0011.wav", "angry"),
        ("sam_Neutral/neutral_197_224_0223.wav", "neutral"),
        ("bea_Neutral/Neutral_57-84_0060.wav", "neutral"),
        ("sam_Disgusted/disgust_1-28_0001.wav", "disgust"),
        ("sam_Sleepy/sleepiness_1-28_0001.wav", "sleepy"),
    ],
)
def test_emov_db_reads_the_style_from_the_folder(path, label):
    assert read("emov_db", path).label == label


def test_mesd_has_groups_of_voices_in_place_of_speakers_and_children_without_gender():
    child = read("mesd", "Anger_C_A_por_favor.wav")

    assert (child.speaker, child.gender, child.text) == ("C", None, "por favor")


@pytest.mark.parametrize("name", ["39a05Ta", "39a05T", "39a05T a"])
def test_oreau_may_lack_the_letter_of_the_take_or_have_a_space(name):
    assert read("oreau", f"m/sesst/{name}.wav").label == "T"


def test_polish_has_a_gender_only_where_the_letter_of_the_speaker_is_m():
    assert (read("polish", "k1.a_tak_1.wav").speaker, read("polish", "k1.a_tak_1.wav").gender) == ("k1", None)


def test_turev_db_names_repeat_from_emotion_to_emotion():
    names = {read("turev_db", f"{emotion}/1157_kz_dil.wav").name for emotion in ("Angry", "Calm", "Happy", "Sad")}

    assert len(names) == 4


EMOZIONALMENTE = (
    "file_name,actor,sentence,emotion_expressed\n1.wav,u1,Una frase.,joy\n2.wav,u2,,fear\n3.wav,u3,,fear\n"
)


def test_emozionalmente_reads_its_two_tables(tmp_path):
    touch(tmp_path, "audio/1.wav", "audio/2.wav", "audio/3.wav", "audio/4.wav", "metadata/samples.csv")
    (tmp_path / "metadata/samples.csv").write_text(EMOZIONALMENTE)
    (tmp_path / "metadata/users.csv").write_text("username,gender,age\nu1,Female,30\nu2,other,unknown\n")

    records, skipped = split(get_adapter("emozionalmente").records(tmp_path))

    assert records["1.wav"] == NativeRecord(
        path=tmp_path / "audio/1.wav",
        speaker="u1",
        language="it",
        label="joy",
        gender="female",
        age=30.0,
        text="Una frase.",
    )
    assert (records["2.wav"].gender, records["2.wav"].age, records["2.wav"].text) == (None, None, None)
    assert skipped == {
        "3.wav": "emozionalmente: actor must have a row in users.csv; got 'u3' for '3.wav'.",
        "4.wav": "emozionalmente: file must have a row in samples.csv; got none for '4.wav'.",
    }


def test_pavoque_cuts_its_utterances_out_of_one_file_a_style(tmp_path):
    touch(tmp_path, "pavoque-sad.flac", "pavoque-outtakes.flac", "pavoque-outtakes.yaml")
    (tmp_path / "pavoque-sad.yaml").write_text(
        "- {prompt: a0001, style: sad, text: Guten Tag., start: 0.5, end: 2}\n"
        "- {prompt: a0002, style: sad, text: Ja., start: 3, end: 2}\n- {prompt: a0003, style: sad, start: 3}\n"
    )

    found = list(get_adapter("pavoque").records(tmp_path))

    path = tmp_path / "pavoque-sad.flac"
    assert found[1] == NativeRecord(
        path=path,
        name="a0001-sad",
        speaker="stefan",
        language="de",
        label="sad",
        gender="male",
        start=0.5,
        end=2.0,
        text="Guten Tag.",
    )
    assert [item.reason for item in (found[0], *found[2:])] == [
        "pavoque: audio must have its list of utterances, 'pavoque-outtakes.yaml'; got none for 'pavoque-outtakes.flac'.",
        "pavoque: start and end must be seconds, start first; got 3 and 2 in 'a0002'.",
        "pavoque: entry must have prompt, style, start, end; got no end beside 'pavoque-sad.flac'.",
    ]
