"""Claims about what `training/predict.py` prints."""

from fresh_process import run
from samples import ROOT

EXAMPLE = ROOT / "tests" / "speech" / "angry_high_en.wav"


def test_a_file_gets_three_scales_intensity_phonemes_and_gender(trained_run, tmp_path):
    folder, _ = trained_run
    script = str(ROOT / "training" / "predict.py")
    code = f"import runpy, sys\nsys.argv[1:] = [folder, {str(EXAMPLE)!r}]\nrunpy.run_path({script!r}, run_name='__main__')\n"
    result = run(code, folder, tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    starts = [line.split()[:2] for line in result.stdout.splitlines()[1:]]
    assert [words[0] for words in starts] == ["ESC", "ESC", "ESC", "EIS", "phonemes", "gender"]
    assert [words[1] for words in starts[:3]] == ["fine", "basic", "valence"]
    assert "0.66 s at 16000 Hz" in result.stdout
