"""Claims about worker processes: what the page SCALE.md recommends gives answers and does not hang."""

import os
import subprocess
import sys

import pytest
from samples import ROOT, tiny_pipeline, waveform

# The parent computes with two threads first; then a forked child that computes with two threads hangs.
SCRIPT = """
import multiprocessing, sys
import torch
from samples import tiny_pipeline, waveform

PIPE = None

def begin(one_thread):
    if one_thread:
        torch.set_num_threads(1)

def answer(_=None):
    return (PIPE or tiny_pipeline())((waveform(2.0), 16_000), vad=False)["score"]

class Answers:
    def __len__(self):
        return 1

    def __getitem__(self, index):
        return answer()

if __name__ == "__main__":
    torch.set_num_threads(2)
    torch.randn(2000, 2000) @ torch.randn(2000, 2000)
    way = sys.argv[1]
    if way == "dataloader":
        PIPE = tiny_pipeline()
        (found,) = torch.utils.data.DataLoader(Answers(), num_workers=1, multiprocessing_context="fork", timeout=100)
        print(found.item())
    else:
        if way == "fork":
            PIPE = tiny_pipeline()
        with multiprocessing.get_context(way).Pool(1, begin, (way == "fork",)) as pool:
            print(pool.map_async(answer, [0]).get(timeout=100)[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["spawn", "fork", "dataloader"])
def test_a_worker_answers_as_the_parent(way, tmp_path):
    (tmp_path / "workers.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "HF_HUB_OFFLINE": "1"}
    environment.pop("OMP_NUM_THREADS", None)

    done = subprocess.run(
        [sys.executable, "workers.py", way], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240
    )

    assert done.returncode == 0, done.stderr[-2000:]
    expected = tiny_pipeline()((waveform(2.0), 16_000), vad=False)["score"]
    assert float(done.stdout.split()[-1]) == pytest.approx(expected, abs=1e-5)
