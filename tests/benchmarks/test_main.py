"""Claims about the command that runs all benchmarks."""

import importlib.util

import pytest
from samples import ROOT


@pytest.fixture
def benchmarks(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("benchmarks_main", ROOT / "benchmarks" / "__main__.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "README.md").write_text((ROOT / "benchmarks" / "README.md").read_text())
    return module


def test_each_benchmark_is_a_script_and_has_its_marks_in_the_page(benchmarks):
    page = (ROOT / "benchmarks" / "README.md").read_text()
    for name, command in benchmarks.commands("audio", "seqd", 9).items():
        assert (ROOT / "benchmarks" / command[0]).is_file()
        assert f"<!-- {name} -->\n" in page and f"<!-- /{name} -->" in page


def test_what_is_printed_goes_into_the_page(benchmarks, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmarks, "HERE", tmp_path)
    monkeypatch.setattr(
        benchmarks, "run", lambda command: "| a |\n|---|" if command[0] == "fine_tuning.py" else "plain"
    )

    benchmarks.main(["--audio", "x", "--dataset", "y", "--only", "training", "memory"])

    page = (tmp_path / "README.md").read_text()
    assert "<!-- training -->\n| a |\n|---|\n<!-- /training -->" in page
    assert "<!-- memory -->\n```text\nplain\n```\n<!-- /memory -->" in page


def test_a_benchmark_that_fails_ends_the_run(benchmarks, monkeypatch, tmp_path):
    monkeypatch.setattr(benchmarks, "HERE", tmp_path)
    (tmp_path / "memory.py").write_text("raise SystemExit('no luck')")

    with pytest.raises(RuntimeError, match=r"memory\.py must succeed; got 1\.\nno luck"):
        benchmarks.main(["--audio", "x", "--dataset", "y", "--only", "memory"])
