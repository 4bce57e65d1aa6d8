"""Claims about what `training/predict.py` prints."""

import os
import subprocess
import sys

from samples import ROOT

EXAMPLE = ROOT / "space" / "examples" / "angry_high_en.wav"


def test_a_file_gets_three_scales_intensity_phonemes_and_gender(trained_run, tmp_path):
    folder, _ = trained_run
    result = subprocess.run(
        [sys.executable, str(ROOT / "training" / "predict.py"), str(folder), str(EXAMPLE)],
        capture_output=True, text=True, timeout=120, cwd=tmp_path, env=os.environ | {"HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    starts = [line.split()[:2] for line in result.stdout.splitlines()[1:]]
    assert [words[0] for words in starts] == ["ESC", "ESC", "ESC", "EIS", "phonemes", "gender"]
    assert [words[1] for words in starts[:3]] == ["fine", "basic", "valence"]
    assert "0.66 s at 16000 Hz" in result.stdout
