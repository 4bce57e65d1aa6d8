"""The synthetic corpus: balanced, repeatable, labelled as synthetic, and the committed mini SEQD made from it."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import soundfile

pytest.importorskip("espeakng_loader")

from speecheq.dataset_scripts.build import synthetic
from speecheq.dataset_scripts.build.card import card_text
from speecheq.dataset_scripts.build.manifest import read_manifest
from speecheq.dataset_scripts.corpora.adapters import synthetic as adapter
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord, Skipped

MINI = Path(synthetic.__file__).parents[1] / "seqd_mini"
EMOTIONS = ("angry", "fear", "happy", "neutral", "sad", "surprise")


def few() -> list[synthetic.Utterance]:
    """Two speakers, two utterances each, in both languages."""
    lines = synthetic.script()
    return [*lines[:2], *lines[-2:]]


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def act(emotion: str, level: str) -> synthetic.Utterance:
    return synthetic.Utterance("f3", emotion, level, 7, "en", "Anna found a key.")


def test_every_speaker_acts_every_emotion_at_every_level_in_both_languages():
    lines = synthetic.script()

    assert len(lines) == 216
    assert Counter(line.speaker for line in lines) == dict.fromkeys(synthetic.SPEAKERS, 18)
    assert Counter(synthetic.SPEAKERS.values()) == {"female": 6, "male": 6}
    assert Counter(line.emotion for line in lines) == dict.fromkeys(EMOTIONS, 36)
    assert Counter(line.level for line in lines) == {"normal": 36, "low": 60, "moderate": 60, "high": 60}
    assert {(line.emotion, line.level) for line in lines if line.emotion == "neutral"} == {("neutral", "normal")}
    assert Counter(line.language for line in lines) == {"en": 108, "zh": 108}
    assert len({line.file for line in lines}) == 216
    assert len({line.text for line in lines}) == 190


def test_words_tell_little_of_the_emotion():
    emotions = defaultdict(set)
    for line in synthetic.script():
        for parts in synthetic.PHRASES[line.language]:
            for part in parts:
                if part in line.text:
                    emotions[part].add(line.emotion)

    assert len(emotions) == 48
    assert min(len(found) for found in emotions.values()) == 4  # of 6


def test_the_script_never_changes_by_itself():
    first, *_, last = synthetic.script()
    assert (first.file, first.text) == ("f1/neutral_normal_000_en.wav", "Tom kept a house.")
    assert (last.file, last.text) == ("m6/surprise_high_215_en.wav", "Bob took the key.")


def test_anger_is_loud_and_fast_and_sadness_soft_and_slow_and_more_so_at_a_higher_level():
    neutral = synthetic.perform(act("neutral", "normal"))
    angry = [synthetic.perform(act("angry", level)) for level in ("low", "moderate", "high")]
    sad = [synthetic.perform(act("sad", level)) for level in ("low", "moderate", "high")]

    assert rms(neutral) < rms(angry[0]) < rms(angry[1]) < rms(angry[2])
    assert rms(neutral) > rms(sad[0]) > rms(sad[1]) > rms(sad[2])
    assert len(neutral) > len(angry[0]) > len(angry[1]) > len(angry[2])
    assert len(neutral) < len(sad[0]) < len(sad[1]) < len(sad[2])


def test_loudness_is_far_from_silence_and_from_clipping():
    softest, loudest = synthetic.perform(act("sad", "high")), synthetic.perform(act("angry", "high"))
    assert softest.dtype == loudest.dtype == np.int16
    assert np.abs(softest).max() > 200  # the builder skips peaks below 33 as silent
    assert np.abs(loudest.astype(int)).max() < 32767


def test_two_runs_write_the_same_bytes(tmp_path):
    for run in ("one", "two"):
        synthetic.write_corpus(tmp_path / run, few())
        synthetic.perform(act("fear", "high"))

    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*"))
    assert len(files) == 5
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_two_runs_build_the_same_seqd(tmp_path, monkeypatch):
    lines = few()
    monkeypatch.setattr(synthetic, "script", lambda: lines)
    for run in ("one", "two"):
        synthetic.main(["--out", str(tmp_path / run)])

    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.*") if path.is_file())
    names = {file.as_posix() for file in files}
    assert names >= {"README.md", "manifest.json", "report.csv", "synthetic/train-00000-of-00001.parquet"}
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file


def test_the_adapter_reads_what_was_written(tmp_path):
    lines = few()
    synthetic.write_corpus(tmp_path, lines)

    found = {record.path: record for record in adapter.records(tmp_path)}

    assert len(found) == 4
    for line in lines:
        path = tmp_path / line.file
        assert found[path] == NativeRecord(
            path=path,
            speaker=line.speaker,
            language=line.language,
            label=line.emotion,
            level=line.level,
            gender=synthetic.SPEAKERS[line.speaker],
            text=line.text,
        )
        assert soundfile.info(path).samplerate == 16000


def test_a_bad_file_is_skipped_with_its_reason_and_costs_no_other(tmp_path):
    line = few()[0]
    synthetic.write_corpus(tmp_path, [line])
    audio = (tmp_path / line.file).read_bytes()
    for name in ("angry_low_000.wav", "angry_low_999_en.wav"):
        (tmp_path / "f1" / name).write_bytes(audio)
    with (tmp_path / "metadata.csv").open("a", encoding="utf-8") as file:
        file.write("f1/bored_low_001_en.wav,female,en,Hello.\nf1/sad_low_002_en.wav,female,en,Hello.\n")
    (tmp_path / "f1" / "bored_low_001_en.wav").write_bytes(audio)

    found = list(adapter.records(tmp_path))

    assert [record.path.name for record in found if isinstance(record, NativeRecord)] == ["neutral_normal_000_en.wav"]
    reasons = {skipped.path.name: skipped.reason for skipped in found if isinstance(skipped, Skipped)}
    assert reasons == {
        "angry_low_000.wav": "synthetic: a file name must have 4 parts joined by '_'; got 3 in 'angry_low_000.wav'.",
        "angry_low_999_en.wav": "synthetic: a file must have a row in metadata.csv; "
        "got none for 'angry_low_999_en.wav'.",
        "bored_low_001_en.wav": "look_up: emotion must be one of angry, happy, sad, neutral, fear, surprise; "
        "got 'bored' in 'bored_low_001_en.wav'.",
        "sad_low_002_en": "metadata.csv: audio file must exist; got none for row 'sad_low_002_en'.",
    }


def test_a_folder_without_metadata_is_refused(tmp_path):
    synthetic.write_corpus(tmp_path, few()[:1])
    (tmp_path / "metadata.csv").unlink()
    with pytest.raises(CorpusError, match=r"annotation file must exist; got no 'metadata.csv'"):
        list(adapter.records(tmp_path))


def committed(columns: list[str]) -> list[dict]:
    files = sorted((MINI / "synthetic").glob("*.parquet"))
    return [row for file in files for row in pyarrow.parquet.read_table(file, columns=columns).to_pylist()]


def test_the_committed_mini_set_is_what_the_script_makes():
    rows = committed(["speaker_id", "gender", "language", "text", "native_label", "eis_low", "eis_high", "corpus"])
    eis = {"normal": (0, 0), "low": (0.125, 0.375), "moderate": (0.375, 0.625), "high": (0.625, 0.875)}

    found = Counter(
        (
            row["speaker_id"], row["gender"], row["language"], row["text"], row["native_label"],
            row["eis_low"], row["eis_high"], row["corpus"],
        )
        for row in rows
    )  # fmt: skip
    expected = Counter(
        (
            f"synthetic/{line.speaker}", synthetic.SPEAKERS[line.speaker], line.language, line.text, line.emotion,
            *eis[line.level], "synthetic",
        )
        for line in synthetic.script()
    )  # fmt: skip

    assert found == expected


def test_the_committed_mini_set_is_small_complete_and_speaker_disjoint():
    rows = committed(["split", "speaker_id", "gender", "native_label", "phonemes", "duration"])
    speakers = {
        split: {row["speaker_id"] for row in rows if row["split"] == split}
        for split in ("train", "validation", "test")
    }

    assert sum(file.stat().st_size for file in MINI.rglob("*.parquet")) <= 3_000_000
    assert {split: len(names) for split, names in speakers.items()} == {"train": 7, "validation": 2, "test": 3}
    assert len(set.union(*speakers.values())) == 12
    for split in ("train", "test"):
        part = [row for row in rows if row["split"] == split]
        assert {row["gender"] for row in part} == {"female", "male"}
        assert {row["native_label"] for row in part} == set(EMOTIONS)
    assert min(len(row["phonemes"]) for row in rows) >= 6
    assert 0.4 < min(row["duration"] for row in rows) <= max(row["duration"] for row in rows) < 2


def test_the_committed_card_is_the_builders_and_says_that_the_speech_is_synthetic():
    text = (MINI / "README.md").read_text(encoding="utf-8")

    assert text == card_text(read_manifest(MINI))
    assert adapter.CITATION in text
    assert "SYNTHETIC SPEECH" in text
