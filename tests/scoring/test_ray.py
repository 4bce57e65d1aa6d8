"""Claims about scoring on a Ray cluster: each row is scored once, even if processes are killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from samples import tiny_pipeline, wav_bytes, waveform

from speecheq.training.saving import save_for_hub

ROWS, PER_SHARD = 60, 3


def corpus(path: Path) -> Path:
    rows = [
        {"id": f"u{number}", "audio": {"bytes": wav_bytes(waveform(8.0, number)), "path": None}}
        for number in range(ROWS)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=PER_SHARD)
    return path


def wait_for(condition, process: subprocess.Popen):
    """Wait for a condition while the command runs."""
    deadline = time.time() + 300
    while not condition():
        assert process.poll() is None, "it ended before anybody was killed"
        assert time.time() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_two_nodes_lose_a_worker_and_a_node_and_each_row_is_answered_once(tmp_path, monkeypatch):
    pytest.importorskip("ray.data")
    psutil = pytest.importorskip("psutil")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    tiny = tiny_pipeline()
    save_for_hub(tiny.model, tiny.processor, tmp_path / "model")
    out = tmp_path / "answers"
    command = [
        sys.executable, "-m", "speecheq.scoring.bulk", str(corpus(tmp_path / "corpus.parquet")), "--out", str(out),
        "--model", str(tmp_path / "model"), "--rows-per-shard", str(PER_SHARD), "--no-vad", "--device", "cpu", "--ray",
    ]  # fmt: skip
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=2)
        cluster.wait_for_nodes()
        process = subprocess.Popen(
            [*command, cluster.address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

        def shards() -> int:
            return len(list(out.glob("*.parquet")))

        def scorers() -> dict[int, int]:
            """Return the processes with a model, and the node process of each."""
            found = psutil.process_iter(["pid", "ppid", "cmdline"])
            found = [each.info for each in found if "Scorer" in " ".join(each.info["cmdline"] or [])[:80]]
            return {each["pid"]: each["ppid"] for each in found if each["cmdline"][0].startswith("ray::")}

        wait_for(lambda: shards() >= 3 and len(set(scorers().values())) == 2, process)
        os.kill(min(scorers()), signal.SIGKILL)
        killed_at = shards()
        wait_for(lambda: shards() >= killed_at + 5, process)
        cluster.remove_node(lost, allow_graceful=False)
        gone_at = shards()
        printed, errors = process.communicate(timeout=400)
    finally:
        cluster.shutdown()

    assert process.returncode == 0, errors[-3000:]
    assert killed_at < gone_at < ROWS // PER_SHARD
    assert (
        f"{ROWS} rows, 0 of them failed." in printed.splitlines()
    )  # after the messages of Ray about killed processes
    answers = [row for path in sorted(out.glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    assert [row["id"] for row in answers] == [f"u{number}" for number in range(ROWS)]
    assert [row["row"] for row in answers] == list(range(ROWS))
    assert not list(out.glob(".*.partial"))
