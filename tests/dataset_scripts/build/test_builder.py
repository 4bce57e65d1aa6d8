import csv
import hashlib
import io
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import yaml
from datasets import Audio, Features, get_dataset_config_names, load_dataset

from speecheq.dataset_scripts.build import audio
from speecheq.dataset_scripts.build.builder import BuildOptions, build, main
from speecheq.dataset_scripts.build.rows import FEATURES
from speecheq.dataset_scripts.corpora.records import CorpusError, UnknownLabelError


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def read(out: Path, corpus: str) -> list[dict]:
    return [row for path in sorted((out / corpus).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def load(out: Path, config: str, split: str, tmp_path: Path, streaming: bool = False):
    loaded = load_dataset(str(out), config, split=split, streaming=streaming, cache_dir=str(tmp_path / "cache"))
    return loaded.cast_column("audio", Audio(decode=False))


def reasons(out: Path) -> dict[str, str]:
    with (out / "report.csv").open() as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


def wait_until(holds, seconds: float = 30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return not Path(f"/proc/{pid}/stat").exists() or Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


@pytest.fixture
def own_seqd(tmp_path, nemo, urdu) -> Path:
    """A SEQD that a test may change, of this test's nEMO and URDU."""
    build({"nemo": nemo, "urdu": urdu}, tmp_path / "seqd")
    return tmp_path / "seqd"


def test_a_built_seqd_holds_parquet_card_report_manifest_and_fingerprints_and_nothing_else(seqd):
    assert sorted(path.relative_to(seqd).as_posix() for path in seqd.rglob("*") if path.is_file()) == [
        "README.md",
        "fingerprints.feather",
        "manifest.json",
        "nemo/test-00000-of-00001.parquet",
        "nemo/train-00000-of-00001.parquet",
        "nemo/validation-00000-of-00001.parquet",
        "report.csv",
        "urdu/test-00000-of-00001.parquet",
        "urdu/train-00000-of-00001.parquet",
        "urdu/validation-00000-of-00001.parquet",
    ]
    assert not list(seqd.glob(".*"))


def test_a_row_holds_what_the_corpus_documents(seqd, nemo):
    row = next(row for row in read(seqd, "nemo") if row["id"] == "nemo/EB0_neutral_1")

    samples, rate = soundfile.read(nemo / "samples/EB0_neutral_1.wav", dtype="int16")
    decoded, decoded_rate = soundfile.read(io.BytesIO(row["audio"].pop("bytes")), dtype="int16")
    np.testing.assert_array_equal(decoded, samples)
    assert (rate, decoded_rate) == (16_000, 16_000)
    assert row.pop("split") in ("train", "validation", "test")
    assert row.pop("duration") == pytest.approx(0.2)
    assert row == {
        "id": "nemo/EB0_neutral_1",
        "corpus": "nemo",
        "language": "pl",
        "speaker_id": "nemo/EB0",
        "gender": "female",
        "age": 27.0,
        "audio": {"path": "EB0_neutral_1.flac"},
        "text": "Aby użyć.",
        "phonemes": ["a", "b", "ɨ", "u", "ʒ", "ɨ", "tɕ"],
        "native_label": "neutral",
        "native_level": None,
        "esc": ["neutral"],
        "esc_votes": None,
        "eis_low": 0.0,
        "eis_high": 0.0,
        "valence": None,
        "arousal": None,
        "dominance": None,
        "official_split": None,
        "fold": None,
        "license": "CC-BY-NC-SA-4.0",
    }


def test_ratings_and_votes_reach_the_row(tmp_path, emotale):
    manifest = build({"emotale": emotale}, tmp_path / "seqd")

    row = next(row for row in read(tmp_path / "seqd", "emotale") if row["id"] == "emotale/DK_004_A_5")
    assert row["esc_votes"] == [
        {"esc": ["angry"], "weight": pytest.approx(2 / 3)},
        {"esc": ["neutral"], "weight": pytest.approx(1 / 3)},
    ]
    assert row["eis_low"] == row["eis_high"] == pytest.approx(2 / 3)
    assert (row["valence"], row["arousal"]) == (pytest.approx(-2 / 3), pytest.approx(2 / 3))
    assert row["dominance"] == pytest.approx(0.75)
    assert row["split"] == "train"
    assert "one speaker" in manifest["corpora"]["emotale"]["note"]
    assert load(tmp_path / "seqd", "emotale", "train", tmp_path).num_rows == 2


def test_splits_share_no_speaker_and_hold_the_rows_they_name(seqd):
    rows = read(seqd, "urdu")

    assert len({(row["speaker_id"], row["split"]) for row in rows}) == 4
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    for split in ("train", "validation", "test"):
        stored = pq.read_table(seqd / "urdu" / f"{split}-00000-of-00001.parquet").column("split").to_pylist()
        assert set(stored) == {split}


def test_building_twice_gives_identical_bytes(seqd, nemo, urdu, tmp_path):
    """Build corpora one by one and together, with one process or two."""
    build({"urdu": urdu}, tmp_path / "again")
    build({"nemo": nemo}, tmp_path / "again", BuildOptions(num_proc=2))

    assert tree(tmp_path / "again") == tree(seqd)


def test_a_copy_of_a_corpus_elsewhere_gives_identical_bytes(seqd, nemo, urdu, tmp_path):
    nemo.rename(tmp_path / "moved")
    os.utime(tmp_path / "moved/samples/EB0_anger_1.wav", (0, 0))

    build({"nemo": tmp_path / "moved", "urdu": urdu}, tmp_path / "again")

    assert tree(tmp_path / "again") == tree(seqd)


def test_streaming_equals_memory_for_every_config_and_split(seqd, tmp_path):
    assert sorted(get_dataset_config_names(str(seqd))) == ["all", "nemo", "urdu"]
    numbers = {}
    for config in ("nemo", "urdu", "all"):
        for split in ("train", "validation", "test"):
            memory = load(seqd, config, split, tmp_path)
            stream = load(seqd, config, split, tmp_path, streaming=True)

            assert list(memory) == list(stream)
            numbers[config, split] = memory.num_rows
    assert sum(numbers["nemo", split] for split in ("train", "validation", "test")) == 6
    assert sum(numbers["urdu", split] for split in ("train", "validation", "test")) == 8
    assert all(
        numbers["all", split] == numbers["nemo", split] + numbers["urdu", split]
        for split in ("train", "validation", "test")
    )


def test_rows_of_a_new_build_are_not_those_of_the_cache(tmp_path, tone):
    for place in range(2):
        tone(tmp_path / f"mine/{place}.wav", frequency=200 + 50 * place)
    found = []
    for labels in ("wut", "neu"), ("neu", "wut"):
        table = "".join(f"{place}.wav,{label},a\n" for place, label in enumerate(labels))
        (tmp_path / "mine/metadata.csv").write_text(f"file_name,label,speaker\n{table}")
        (tmp_path / "mine.yaml").write_text(
            "audio: mine\ntable: mine/metadata.csv\nlanguage: de\nlabels: {wut: angry, neu: neutral}\nlicense: CC0-1.0\n"
        )
        build({"mine": tmp_path / "mine.yaml"}, tmp_path / "seqd")
        found.append(list(load(tmp_path / "seqd", "mine", "train", tmp_path)["native_label"]))
    assert found == [["wut", "neu"], ["neu", "wut"]]


def test_the_snippet_of_its_card_reads_a_seqd_without_any_code_of_ours(seqd, tmp_path):
    snippet = (seqd / "README.md").read_text().split("```python")[1].split("```")[0]
    assert '"path/to/this/folder", "nemo"' in snippet
    code = "import sys; sys.modules['speecheq'] = None" + snippet.replace("path/to/this/folder", str(seqd))
    # pyarrow's threads sometimes abort a normal exit (https://github.com/huggingface/datasets/issues/7566).
    code += "print(stream.features['audio'], flush=True); import os; os._exit(0)"
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    rows = pq.read_table(seqd / "nemo/train-00000-of-00001.parquet").to_pylist()
    said, _, features = done.stdout.partition("Audio")
    assert said == "".join(f"{row['id']} {row['esc']} b'fLaC'\n" for row in rows)
    assert features.startswith("(sampling_rate=16000")


def test_parquet_carries_the_features_of_datasets(seqd):
    schema = pq.read_schema(seqd / "nemo/train-00000-of-00001.parquet")

    assert Features.from_arrow_schema(schema) == FEATURES
    assert " ".join(FEATURES) == (
        "id corpus language speaker_id gender age audio duration text phonemes native_label native_level esc esc_votes "
        "eis_low eis_high valence arousal dominance split official_split fold license"
    )


def test_row_groups_are_small_enough_to_stream(tmp_path, tone):
    for place in range(205):
        tone(tmp_path / "urdu/Angry" / f"SM1_F{place}_A{place}.wav", seconds=0.06, frequency=100 + place)

    build({"urdu": tmp_path / "urdu"}, tmp_path / "seqd")

    metadata = pq.read_metadata(tmp_path / "seqd/urdu/train-00000-of-00001.parquet")
    assert [metadata.row_group(place).num_rows for place in range(metadata.num_row_groups)] == [100, 100, 5]
    ids = [row["id"] for row in read(tmp_path / "seqd", "urdu")]
    assert ids == sorted(ids, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def test_every_useless_file_is_skipped_with_its_reason_and_never_costs_the_others(tmp_path, urdu, tone):
    angry = urdu / "Angry"
    soundfile.write(angry / "SM1_F10_A10.wav", np.zeros(0), 16_000)
    soundfile.write(angry / "SM1_F11_A11.wav", np.full(1600, np.nan), 16_000, subtype="FLOAT")
    (angry / "SM1_F12_A12.wav").write_text("hello")
    soundfile.write(angry / "SM1_F13_A13.wav", np.zeros(1600), 16_000)
    whole = tone(angry / "SM1_F14_A14.wav").read_bytes()
    (angry / "SM1_F14_A14.wav").write_bytes(whole[:3000])
    tone(angry / "nobody.wav")
    tone(angry / "SM1_F15_X15.wav")
    soundfile.write(angry / "SM1_F1_A00.flac", np.full(1600, 0.5), 16_000)
    tone(angry / "._SM1_F1_A00.wav")
    for name in ("SM1_F16_A16.raw", "._SM1_F16_A16.raw"):
        (angry / name).touch()

    manifest = build({"urdu": urdu}, tmp_path / "seqd")

    found = reasons(tmp_path / "seqd")
    assert {path: reason.split(":")[0] for path, reason in found.items()} == {
        "Angry/SM1_F10_A10.wav": "empty",
        "Angry/SM1_F11_A11.wav": "not finite",
        "Angry/SM1_F12_A12.wav": "unreadable",
        "Angry/SM1_F13_A13.wav": "silent",
        "Angry/SM1_F14_A14.wav": "truncated",
        "Angry/SM1_F15_X15.wav": "urdu",
        "Angry/SM1_F16_A16.raw": "unread",
        "Angry/SM1_F1_A00.wav": "duplicate",
        "Angry/nobody.wav": "urdu",
    }
    assert found["Angry/SM1_F1_A00.wav"] == ("duplicate: 'Angry/SM1_F1_A00.flac' already has the id 'urdu/SM1_F1_A00'")
    assert len(read(tmp_path / "seqd", "urdu")) == 8
    assert len(manifest["corpora"]["urdu"]["skipped"]) == 9


@pytest.fixture
def envious(nemo) -> Path:
    """nEMO with one unknown label."""
    table = nemo / "data.tsv"
    text = table.read_text(encoding="utf-8").replace("KS0_anger_1.wav\tanger", "KS0_envy_1.wav\tenvy")
    table.write_text(text, encoding="utf-8")
    (nemo / "samples/KS0_anger_1.wav").rename(nemo / "samples/KS0_envy_1.wav")
    return nemo


def test_a_label_that_the_table_does_not_map_stops_the_build(tmp_path, envious):
    message = (
        r"one of anger, fear, .*; got 'envy' in 'KS0_envy_1.wav'. .* dataset_scripts/metric/table.csv. .*--skip-unk"
    )
    with pytest.raises(UnknownLabelError, match=message):
        build({"nemo": envious}, tmp_path / "seqd")
    assert not (tmp_path / "seqd/nemo").exists()


def test_a_label_that_the_table_does_not_map_is_skipped_on_demand(tmp_path, envious):
    build({"nemo": envious}, tmp_path / "seqd", BuildOptions(skip_unknown=True))

    assert len(read(tmp_path / "seqd", "nemo")) == 5
    assert "label must be one of anger, fear" in reasons(tmp_path / "seqd")["samples/KS0_envy_1.wav"]


def test_a_finished_corpus_is_not_built_again_unless_forced(own_seqd, nemo, monkeypatch):
    before, calls = tree(own_seqd), []
    convert = audio.convert
    monkeypatch.setattr(audio, "convert", lambda task: calls.append(task) or convert(task))

    build({"nemo": nemo}, own_seqd)
    assert calls == []

    build({"nemo": nemo}, own_seqd, BuildOptions(force=True))
    assert len(calls) == 6
    assert tree(own_seqd) == before


def test_a_damaged_or_changed_corpus_is_built_again(own_seqd, nemo, urdu, tone):
    before = tree(own_seqd)
    damaged = own_seqd / "nemo/train-00000-of-00001.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (own_seqd / "urdu/test-00000-of-00001.parquet").unlink()

    build({"nemo": nemo, "urdu": urdu}, own_seqd)
    assert tree(own_seqd) == before

    tone(urdu / "Sad" / "SM1_F9_S99.wav", frequency=500)
    assert len(read(own_seqd, "urdu")) == 8
    build({"urdu": urdu}, own_seqd)
    assert len(read(own_seqd, "urdu")) == 9


def test_an_interrupted_build_goes_on_where_it_stopped(tmp_path, urdu, monkeypatch):
    convert, converted = audio.convert, []
    monkeypatch.setattr("speecheq.dataset_scripts.build.spool.BATCH", 3)

    def stop_at_the_sixth(task):
        if len(converted) == 5:
            raise KeyboardInterrupt
        converted.append(task)
        return convert(task)

    monkeypatch.setattr(audio, "convert", stop_at_the_sixth)
    with pytest.raises(KeyboardInterrupt):
        build({"urdu": urdu}, tmp_path / "seqd")
    assert not (tmp_path / "seqd/urdu").exists()

    monkeypatch.setattr(audio, "convert", lambda task: converted.append(task) or convert(task))
    build({"urdu": urdu}, tmp_path / "seqd")

    assert len(converted) == 5 + 3  # the first five were stored
    assert len(read(tmp_path / "seqd", "urdu")) == 8
    assert not list((tmp_path / "seqd").glob(".*"))


@pytest.mark.slow
def test_a_build_killed_at_any_moment_ends_with_the_same_bytes(tmp_path, tone, nemo):
    urdu = tmp_path / "urdu"
    for place in range(120):
        folder, letter = (("Angry", "A"), ("Sad", "S"))[place % 2]
        tone(urdu / folder / f"SM{place % 6}_F{place}_{letter}{place}.wav", seconds=1.0, frequency=100 + 3 * place)
    (urdu / "Sad/SM1_F9_S999.wav").write_bytes(b"broken")
    corpora, options = {"urdu": urdu, "nemo": nemo}, BuildOptions(num_proc=2)
    start = time.monotonic()
    build(corpora, tmp_path / "whole", options)
    seconds = time.monotonic() - start

    killed = 0
    for attempt in range(10):
        child = multiprocessing.get_context("fork").Process(target=build, args=(corpora, tmp_path / "killed", options))
        child.start()
        child.join(seconds * random.Random(attempt).uniform(0.02, 0.25))
        killed += child.is_alive()
        child.kill()
        child.join()
    build(corpora, tmp_path / "killed", options)

    assert killed >= 3
    assert tree(tmp_path / "killed") == tree(tmp_path / "whole")
    assert not list((tmp_path / "killed").glob(".*"))


def test_no_process_outlives_a_killed_build(tmp_path, urdu, monkeypatch):
    (tmp_path / "pids").mkdir()
    monkeypatch.setattr(audio, "load", lambda source: (tmp_path / f"pids/{os.getpid()}").touch() or time.sleep(60))
    monkeypatch.setattr("speecheq.dataset_scripts.build.builder.CHUNK", 1)
    arguments = ({"urdu": urdu}, tmp_path / "seqd", BuildOptions(num_proc=2))
    child = multiprocessing.get_context("fork").Process(target=build, args=arguments)
    child.start()
    wait_until(lambda: len(list((tmp_path / "pids").iterdir())) == 2)
    child.kill()
    child.join()

    wait_until(lambda: not any(is_running(int(path.name)) for path in (tmp_path / "pids").iterdir()))


def test_fifty_broken_files_of_ten_kinds_cost_no_good_one(tmp_path, urdu, tone):
    good = len(list(urdu.rglob("*.wav")))
    whole = tone(tmp_path / "whole.wav").read_bytes()
    flac = audio.encode(audio.load(tmp_path / "whole.wav"))
    kinds = {
        "no bytes": lambda path: path.write_bytes(b""),
        "text": lambda path: path.write_text("not audio"),
        "cut": lambda path: path.write_bytes(whole[:3000]),
        "no samples": lambda path: soundfile.write(path, np.zeros(0), 16_000),
        "one sample": lambda path: soundfile.write(path, np.full(1, 0.5), 16_000),
        "silent": lambda path: soundfile.write(path, np.zeros(1600), 16_000),
        "NaN": lambda path: soundfile.write(path, np.full(1600, np.nan), 16_000, subtype="FLOAT"),
        "infinite": lambda path: soundfile.write(path, np.full(1600, np.inf), 16_000, subtype="DOUBLE"),
        "an hour": lambda path: soundfile.write(path, np.full(3600 * 500, 0.5), 500, subtype="PCM_U8"),
        "cut FLAC": lambda path: path.with_suffix(".flac").write_bytes(flac[: len(flac) // 2]),
    }
    for number, write in enumerate(kinds.values()):
        for copy in range(5):
            write(urdu / "Angry" / f"SM{copy}_F{number}_A{100 + 10 * number + copy}.wav")

    manifest = build({"urdu": urdu}, tmp_path / "seqd", BuildOptions(num_proc=2))

    assert len(read(tmp_path / "seqd", "urdu")) == good == 8
    found = Counter(reason.split(":")[0] for reason in reasons(tmp_path / "seqd").values())
    assert found == {"unreadable": 15, "truncated": 5, "empty": 10, "silent": 5, "not finite": 10, "too long": 5}
    assert len(manifest["corpora"]["urdu"]["skipped"]) == 50


def test_a_name_that_is_no_unicode_costs_its_file_alone(tmp_path, urdu, tone):
    for name in (b"SM1_F\xff_A09.wav", b"no \xff.wav"):
        tone(tmp_path / "a.wav").rename(urdu / "Angry" / os.fsdecode(name))

    build({"urdu": urdu}, tmp_path / "seqd")

    assert len(read(tmp_path / "seqd", "urdu")) == 8
    assert set(reasons(tmp_path / "seqd")) == {r"Angry/SM1_F\udcff_A09.wav", r"Angry/no \udcff.wav"}


def test_a_recording_under_two_speakers_stays_in_one_split_and_the_report_names_its_copies(tmp_path, urdu):
    angry = urdu / "Angry"
    rate = 16_000
    original = 0.3 * np.random.default_rng(0).normal(size=16_000) * np.linspace(0.2, 1, 16_000)
    soundfile.write(angry / "SM1_F1_A00.wav", original, rate)
    for speaker in ("SM2", "SF1", "SF2"):
        shutil.copy(angry / "SM1_F1_A00.wav", angry / f"{speaker}_F8_A8.wav")
        soundfile.write(angry / f"{speaker}_F9_A9.wav", 0.5 * original, rate)

    audit = build({"urdu": urdu}, tmp_path / "seqd")["corpora"]["urdu"]["audit"]

    copies = {"urdu/SM1_F1_A00"} | {f"urdu/{name}_F{n}_A{n}" for name in ("SM2", "SF1", "SF2") for n in (8, 9)}
    split = {row["id"]: row["split"] for row in read(tmp_path / "seqd", "urdu")}
    skipped = {name: reason for name, reason in reasons(tmp_path / "seqd").items() if name in copies}
    assert (audit["speakers"], audit["audio"], audit["near_duplicates"]) == ([], [], [])
    assert {split[name] for name in copies & set(split)} == {"test"}
    assert set(skipped) == copies - set(split) and skipped
    assert all("recording must be in one split" in reason and "(test)" in reason for reason in skipped.values())


def test_folds_of_emobox_reach_the_column(tmp_path, urdu):
    (tmp_path / "emobox").mkdir()
    lines = ["path,label,fold,part,seconds", "Angry/SM1_F1_A00.wav,A,1,test,0.2", "Sad/SM1_F2_S00.wav,S,1,train,0.2"]
    (tmp_path / "emobox/urdu.csv").write_text("\n".join(lines))

    build({"urdu": urdu}, tmp_path / "seqd", BuildOptions(emobox=tmp_path / "emobox"))

    folds = {row["id"]: row["fold"] for row in read(tmp_path / "seqd", "urdu")}
    assert (folds["urdu/SM1_F1_A00"], folds["urdu/SM1_F2_S00"], folds["urdu/SF1_F1_A02"]) == (1, 0, None)


def test_preparation_is_asked_for_and_said(tmp_path, urdu):
    padded = urdu / "Angry/SM1_F1_A00.wav"
    samples, rate = soundfile.read(padded)
    soundfile.write(padded, np.concatenate([np.zeros(8000), samples]), rate)

    build({"urdu": urdu}, tmp_path / "kept")
    build({"urdu": urdu}, tmp_path / "trimmed", BuildOptions(preparation=audio.Preparation(trim=True)))

    duration = {
        name: next(row["duration"] for row in read(tmp_path / name, "urdu") if row["id"] == "urdu/SM1_F1_A00")
        for name in ("kept", "trimmed")
    }
    assert duration == {"kept": pytest.approx(0.7), "trimmed": pytest.approx(0.2)}
    assert "Silence at both ends was cut." in (tmp_path / "trimmed/README.md").read_text()
    assert "Silence at both ends" not in (tmp_path / "kept/README.md").read_text()


def test_without_ffmpeg_a_file_that_needs_it_stops_the_build_and_names_it(tmp_path, urdu, monkeypatch):
    (urdu / "Angry/SM1_F7_A77.m4a").write_bytes(b"x")
    monkeypatch.setattr(audio, "ffmpeg", lambda: None)

    with pytest.raises(
        CorpusError, match=r"FFmpeg must be installed to read .m4a files; .*pip install imageio-ffmpeg"
    ):
        build({"urdu": urdu}, tmp_path / "seqd")


def test_a_corpus_of_ones_own_is_built_from_its_yaml(tmp_path, tone):
    for place in range(3):
        tone(tmp_path / f"mine/{place}.wav", frequency=200 + 50 * place)
    (tmp_path / "mine/metadata.csv").write_text("file_name,label,speaker\n0.wav,wut,a\n1.wav,freude,b\n2.wav,wut,c\n")
    (tmp_path / "mine.yaml").write_text(
        "audio: mine\ntable: mine/metadata.csv\nlanguage: de\nlabels: {wut: angry, freude: happy}\nlicense: CC0-1.0\n"
    )

    manifest = build({"mine": tmp_path / "mine.yaml"}, tmp_path / "seqd")

    assert {row["id"]: row["esc"] for row in read(tmp_path / "seqd", "mine")} == {
        "mine/0": ["angry"],
        "mine/1": ["happy"],
        "mine/2": ["angry"],
    }
    assert manifest["corpora"]["mine"]["classes"] == {"wut": ["angry"], "freude": ["happy"]}


def test_wrong_requests_say_what_to_do(tmp_path, urdu, nemo):
    with pytest.raises(CorpusError, match=r"corpus must be one of aesdd, ased, .*; got 'nobody'"):
        build({"nobody": urdu}, tmp_path / "seqd")
    with pytest.raises(CorpusError, match=r"folder of urdu must exist; got .*nowhere"):
        build({"urdu": tmp_path / "nowhere"}, tmp_path / "seqd")
    for path in urdu.rglob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(CorpusError, match=r"urdu must have a usable utterance; got none .*unreadable"):
        build({"urdu": urdu}, tmp_path / "seqd")
    (tmp_path / "seqd/manifest.json").write_text("{")
    with pytest.raises(CorpusError, match=r"manifest.json must be JSON; .* Delete it and build again"):
        build({"nemo": nemo}, tmp_path / "seqd")


def test_the_card_describes_every_config(seqd):
    text = (seqd / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n")[1])

    assert header["license"] == "other"
    assert header["language"] == ["pl", "ur"]
    assert [config["config_name"] for config in header["configs"]] == ["nemo", "urdu", "all"]
    assert header["configs"][2]["data_files"][0] == {"split": "train", "path": "*/train-*.parquet"}
    assert header["configs"][2]["default"] is True
    infos = {info["config_name"]: info for info in header["dataset_info"]}
    assert sum(split["num_examples"] for split in infos["all"]["splits"]) == 14
    assert sum(split["num_examples"] for split in infos["urdu"]["splits"]) == 8
    assert all(split["num_bytes"] > 1000 for split in infos["nemo"]["splits"])
    assert infos["nemo"]["download_size"] == sum(path.stat().st_size for path in (seqd / "nemo").iterdir())
    assert "| nemo | pl | https://github.com/amu-cai/nEMO | CC-BY-NC-SA-4.0 | yes |" in text
    assert "| urdu | H | happy |" in text
    assert "SYNTHETIC" not in text
    assert "If the terms\nforbid redistribution" in text


def test_the_card_of_synthetic_speech_says_so_loudly(tmp_path, tone):
    folder = tmp_path / "synthetic"
    tone(folder / "v1" / "angry_low_1_en.wav")
    tone(folder / "v1" / "neutral_normal_2_en.wav", frequency=300)
    (folder / "metadata.csv").write_text(
        "file,gender,language,text\nangry_low_1_en.wav,male,en,Yes.\nneutral_normal_2_en.wav,male,en,Yes.\n"
    )

    build({"synthetic": folder}, tmp_path / "seqd")

    text = (tmp_path / "seqd/README.md").read_text(encoding="utf-8")
    assert "WARNING: SYNTHETIC SPEECH" in text
    assert "synthetic" in yaml.safe_load(text.split("---\n")[1])["tags"]
    rows = {row["native_label"]: (row["eis_low"], row["eis_high"]) for row in read(tmp_path / "seqd", "synthetic")}
    assert rows == {"angry": (0.125, 0.375), "neutral": (0.0, 0.0)}


def test_the_manifest_names_the_hash_of_every_parquet_and_no_absolute_path(seqd):
    text = (seqd / "manifest.json").read_text()
    manifest = json.loads(text)

    files = {name: file["sha256"] for entry in manifest["corpora"].values() for name, file in entry["files"].items()}
    assert files == {name: digest for name, digest in tree(seqd).items() if name.endswith(".parquet")}
    assert str(seqd.parent) not in text


def test_the_command_line_prints_counts_and_the_audit(tmp_path, urdu, capsys):
    main(["--out", str(tmp_path / "seqd"), "--corpus", f"urdu={urdu}"])

    printed = capsys.readouterr().out
    assert "urdu       train           4 utterances    2 speakers" in printed
    assert "A=2 S=2" in printed
    assert (
        "skipped 0 (report.csv); in more than one split: 0 speakers, 0 texts, 0 recordings, 0 near duplicates"
        in printed
    )


def test_the_command_line_ends_with_one_line_on_a_wrong_corpus(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path / "seqd"), "--corpus", f"nobody={tmp_path}"])
    assert "corpus must be one of" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["--out", str(tmp_path / "seqd"), "--corpus", "nemo"])
    assert "a corpus must be NAME=FOLDER or NAME=FILE.yaml; got 'nemo'" in capsys.readouterr().err


@pytest.mark.corpora
@pytest.mark.slow
def test_real_urdu_builds_and_streams(corpora, tmp_path):
    manifest = build({"urdu": corpora / "urdu"}, tmp_path / "seqd")

    entry = manifest["corpora"]["urdu"]
    assert {split: (count["rows"], count["speakers"]) for split, count in entry["splits"].items()} == {
        "train": (236, 13),
        "validation": (58, 6),
        "test": (106, 10),
    }
    assert all(set(count["labels"]) == {"A", "H", "N", "S"} for count in entry["splits"].values())
    assert entry["skipped"] == []
    memory = load(tmp_path / "seqd", "urdu", "test", tmp_path)
    assert list(memory) == list(load(tmp_path / "seqd", "urdu", "test", tmp_path, streaming=True))
