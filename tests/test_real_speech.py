"""The complete path on real speech: folders of corpora, SEQD, training, and the Auto classes in a new process."""

import os
import subprocess
import sys

import pytest
from samples import ROOT

from speecheq.dataset_scripts.build.builder import build
from speecheq.train import main


@pytest.mark.corpora
@pytest.mark.slow
def test_real_speech_goes_from_folders_to_a_prediction(corpora, shared, tmp_path):
    manifest = build({"urdu": corpora / "urdu", "emotale": corpora / "emotale"}, tmp_path / "seqd")
    counts = {
        name: sum(split["rows"] for split in entry["splits"].values()) for name, entry in manifest["corpora"].items()
    }
    assert counts == {"emotale": 800, "urdu": 400}
    run = tmp_path / "run"
    scores = main(
        [
            str(ROOT / "recipes" / "base.yaml"),
            *("--backbone", str(shared / "models" / "whisper-base"), "--dataset", str(tmp_path / "seqd")),
            *("--output_dir", str(run), "--max_steps", "24", "--eval_strategy", "no", "--save_strategy", "no"),
            *("--warmup_steps", "0", "--per_device_train_batch_size", "16", "--max_seconds", "2"),  # to save time
            *("--backbone_layers", "4"),
        ]
    )
    assert {"emotale/esc_uar", "urdu/esc_uar", "emotale/eis_ccc", "emotale/phoneme_per", "gender_uar"} <= scores.keys()
    assert scores["esc_uar"] > 0.3  # 24 steps: above chance (0.2 and 0.25)
    card = (run / "README.md").read_text()
    assert "research" in card and "Encoder `whisper-base`" in card
    assert str(shared) not in (run / "config.json").read_text()
    result = subprocess.run(
        [sys.executable, str(ROOT / "training" / "predict.py"), str(run), str(corpora / "urdu/Angry/SM1_F1_A01.opus")],
        capture_output=True, text=True, timeout=120, cwd=tmp_path, env=os.environ | {"HF_HOME": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    assert "ESC valence" in result.stdout and "gender" in result.stdout
