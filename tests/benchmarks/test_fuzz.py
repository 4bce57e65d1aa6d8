"""Claims about malformed audio: it gets a prediction, an abstention or an error, and never crashes the process."""

import sys
from collections import Counter

import numpy as np
import pytest
from samples import tiny_pipeline

pytest.importorskip("silero_vad")
import fuzz
import mutations

FAKE = """
import os, sys, time
print("ready", flush=True)
for line in sys.stdin:
    name = line.strip()
    if "2.wav" in name: os.abort()
    if "4.wav" in name: time.sleep(60)
    print('{"outcome": "answer", "detail": "sad", "seconds": 0.5, "memory": 7}', flush=True)
"""
REASONS = {"unreadable", "truncated", "damaged", "empty", "no audio", "not finite", "out of range"}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> list[tuple[mutations.Input, str, str]]:
    """Outcomes of 300 malformed files."""
    folder, pipe, found = tmp_path_factory.mktemp("fuzz"), tiny_pipeline(), []
    for index, made in enumerate(mutations.inputs(300, seed=1)):
        path = folder / f"{index}{made.suffix}"
        path.write_bytes(made.content)
        outcome, detail = fuzz.judged(pipe, str(path))
        found.append((made, fuzz.verdict(made, {"outcome": outcome}), detail))
    return found


def test_no_malformed_file_is_answered_wrongly_or_raises_anything_but_a_reason(outcomes):
    assert not [(made.name, outcome, detail) for made, outcome, detail in outcomes if outcome in fuzz.FAULTS]
    assert {detail for _, outcome, detail in outcomes if outcome == "error"} <= REASONS
    counts = Counter(outcome for _, outcome, _ in outcomes)
    assert counts["error"] > 100 and counts["abstention"] > 30 and counts["answer"] > 15


def test_the_same_seed_gives_the_same_damage():
    some, more = list(mutations.inputs(50, seed=3)), list(mutations.inputs(60, seed=3))
    assert [made.name for made in more[:50]] == [made.name for made in some]
    assert [made.content for made in more[:50]] == [made.content for made in some]
    assert [made.name for made in mutations.inputs(50, seed=4)] != [made.name for made in some]


@pytest.mark.parametrize("source", [*mutations.SPEECH, *mutations.SILENT])
def test_the_good_files_are_good(source):
    from speecheq.audio_speecheq import read_blocks

    for suffix in mutations.FORMATS:
        samples = np.concatenate(list(read_blocks(mutations.encoded(source, suffix))))
        assert abs(len(samples) - 16_000) < 2_000, suffix


def test_a_crash_a_hang_and_a_wrong_label_are_named_and_their_files_kept(tmp_path, monkeypatch):
    made = [mutations.Input(f"number {index}", ".wav", b"x", speech=index != 1) for index in range(6)]
    monkeypatch.setattr(fuzz, "inputs", lambda number, seed: made[:number])
    worker = fuzz.Worker([sys.executable, "-c", FAKE], limit=1.0)
    counts, lines = fuzz.fuzz(6, 0, worker, tmp_path / "kept")
    assert counts == {("answer", "sad"): 3, ("wrong label", ""): 1, ("crash", ""): 1, ("hang", ""): 1}
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {"1.wav", "2.wav", "4.wav"}
    assert f"crash: exit -6: {tmp_path}/kept/2.wav: number 2" in lines
    assert f"hang: over 1 s: {tmp_path}/kept/4.wav: number 4" in lines
    assert "peak memory: 7 MiB" in lines
