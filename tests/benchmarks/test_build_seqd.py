import sys
from io import BytesIO

import build_seqd
import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

from speecheq.dataset_scripts.build import audio
from speecheq.dataset_scripts.corpora.adapters import urdu


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noise") / "corpus"
    return folder, build_seqd.make_corpus(folder, utterances=12, seconds=0.5)


def test_the_noise_is_a_corpus_that_our_adapter_reads(noise):
    folder, seconds = noise

    records = list(urdu.records(folder))

    assert seconds == 6.0
    assert [record.label for record in records] == ["A"] * 3 + ["H"] * 3 + ["N"] * 3 + ["S"] * 3
    assert {record.speaker for record in records} == {"SF0", "SM1", "SF2"}


def test_every_file_of_the_noise_is_16_bit_flac_at_16_khz_and_another(noise):
    files = sorted(noise[0].rglob("*.flac"))

    infos = {(info.format, info.subtype, info.samplerate, info.frames) for info in map(soundfile.info, files)}
    waves = [audio.load(path) for path in files]

    assert infos == {("FLAC", "PCM_16", 16_000, 8_000)}
    assert min(np.abs(wave).max() for wave in waves) > 0.19
    assert len({wave.tobytes() for wave in waves}) == 12


def test_a_way_counts_with_its_faster_number_of_processes():
    medians = {("speecheq", 2): 10.0, ("copy", 1): 5.0, ("copy", 2): 6.0, ("wav", 1): 30.0, ("wav", 2): 20.0}

    lines = build_seqd.table(medians, hours=1.0, held={"speecheq": "a", "copy": "b", "wav": "c"})

    assert [line.split() for line in lines[1:]] == [
        ["speecheq", "2", "10.00", "360", "1.00", "a"],
        ["datasets,", "copy", "1", "5.00", "720", "0.50", "b"],
        ["datasets,", "wav", "2", "20.00", "180", "2.00", "c"],
    ]


def test_memory_of_a_command_is_that_of_all_its_processes():
    child = "import time; block = bytearray(60 << 20); time.sleep(1.5)"
    parent = f"import subprocess, sys; [subprocess.Popen([sys.executable, '-c', {child!r}]) for _ in 'ab'][1].wait()"

    peak = build_seqd.run([sys.executable, "-c", parent], sample=True)

    assert peak.seconds > 1.5
    assert 60 < peak.largest < 110 < 120 < peak.tree < 220


def test_a_command_that_fails_shows_what_it_wrote():
    with pytest.raises(RuntimeError, match=r"must succeed; got 3\.\n(.|\n)*no luck"):
        build_seqd.run([sys.executable, "-c", "import sys; print('no luck', flush=True); sys.exit(3)"])


def test_without_torchcodec_the_ways_that_decode_are_named_as_not_measured(monkeypatch, noise):
    monkeypatch.setattr(build_seqd, "without_torchcodec", lambda: "ModuleNotFoundError: No module named 'torchcodec'")
    monkeypatch.setattr(build_seqd, "run", lambda arguments: build_seqd.Run(1.0))

    lines = build_seqd.compare(noise[0], hours=1.0, num_proc=2, repeats=1, ours_only=False)

    assert [line.split()[:2] for line in lines[1:4]] == [
        ["speecheq", "2"],
        ["datasets,", "chain"],
        ["datasets,", "copy"],
    ]
    assert lines[4].startswith("wav and flac not measured: torchcodec must be installed for datasets; got Mod")
    assert "pip install 'torchcodec==0.13.*'" in lines[5]


def test_to_parquet_alone_writes_no_audio_and_embedding_copies_the_bytes(noise, tmp_path):
    for way in ("chain", "copy"):
        (tmp_path / way).mkdir()
        build_seqd.build_by_datasets(way, noise[0], tmp_path / way, num_proc=1)

    assert build_seqd.audio_of(tmp_path / "chain") == "none: paths only"
    assert build_seqd.audio_of(tmp_path / "copy").startswith("12 of FLAC PCM_16 16000 Hz, ")


def test_decoding_ways_hold_the_samples_of_the_input(noise, tmp_path):
    reason = build_seqd.without_torchcodec()
    if reason:
        pytest.skip(f"datasets decodes by torchcodec: {reason}")
    source = soundfile.read(min(noise[0].rglob("*.flac")), dtype="int16")[0]

    for way, kind in (("wav", "12 of WAV PCM_16 16000 Hz, "), ("flac", "12 of FLAC PCM_16 16000 Hz, ")):
        (tmp_path / way).mkdir()
        build_seqd.build_by_datasets(way, noise[0], tmp_path / way, num_proc=1)

        first = pq.read_table(tmp_path / way)["audio"][0].as_py()["bytes"]
        assert build_seqd.audio_of(tmp_path / way).startswith(kind)
        assert np.abs(soundfile.read(BytesIO(first), dtype="int16")[0] - source).max() <= 1


def test_the_benchmark_runs_our_builder_and_names_the_audio_it_wrote(noise):
    lines = build_seqd.compare(noise[0], hours=6 / 3600, num_proc=2, repeats=1, ours_only=True)

    assert len(lines) == 2
    assert lines[1].startswith("speecheq ") and "  12 of FLAC PCM_16 16000 Hz, 0." in lines[1]


def test_the_command_prints_speed_memory_and_the_ratio_of_memory(monkeypatch, capsys):
    peaks = iter([(200.0, 300.0), (220.0, 270.0)])
    monkeypatch.setattr(
        build_seqd, "run", lambda arguments, sample=False: build_seqd.Run(2.0, *(next(peaks) if sample else ()))
    )

    build_seqd.main(["--utterances", "4", "--seconds", "0.5", "--scale", "2", "--repeats", "1", "--ours-only"])

    lines = capsys.readouterr().out.splitlines()
    assert "4 utterances, 0.001 h of 16 kHz FLAC" in lines[0]
    assert lines[3].split() == ["speecheq", "2", "2.00", "1", "1.00", "none:", "paths", "only"]
    assert [line.split()[-2:] for line in lines[5:]] == [["200", "300"], ["220", "270"], ["1.10", "0.90"]]
