"""Claims about scoring a model on degraded recordings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from samples import MINI_SEQD, TINY_BACKBONES, waveform

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.evaluation.degradations import DEGRADATIONS
from speecheq.evaluation.evaluate import build_scorer, evaluate
from speecheq.evaluation.robustness import limit_rows, main, robustness, robustness_table, seeded
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.saving import save_for_hub
from speecheq.training.seqd import label_spaces, load_seqd, phoneme_inventory
from speecheq.training.trainer import SpeechEQTrainer


def save(folder: Path, seed: int) -> str:
    torch.manual_seed(seed)
    phonemes = phoneme_inventory(load_seqd(MINI_SEQD)["train"])
    model = SpeechEQModel(SpeechEQConfig(backbone_config=TINY_BACKBONES["wav2vec2"], phoneme_labels=phonemes))
    return str(save_for_hub(model, SpeechEQProcessor.for_config(model.config), folder))


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return save(tmp_path_factory.mktemp("robust") / "model", seed=0)


@pytest.fixture
def scored(monkeypatch) -> list[int]:
    """Replace scoring: record the numbers of scored rows, and return the number of calls as scores."""
    calls = []

    def score_rows(self, rows, augment=None):
        calls.append(len(rows))
        return {"esc_uar": np.float64(len(calls) / 10)}

    monkeypatch.setattr(SpeechEQTrainer, "score_rows", score_rows)
    return calls


def test_clean_is_what_evaluate_says(model):
    scores = robustness(model, MINI_SEQD, conditions=["clean"])
    assert list(scores) == ["clean"]
    assert scores["clean"] == pytest.approx(evaluate(model, MINI_SEQD), abs=1e-6)


def test_a_split_that_is_missing_is_named(one_speaker):
    with pytest.raises(ValueError, match="robustness: dataset must have the split 'test'; got train"):
        robustness("never read", one_speaker)


def test_the_model_hears_the_degraded_rows(model):
    splits = load_seqd(MINI_SEQD)
    rows, heard = splits["test"], []

    def same_for_all(samples, seed):
        heard.append((len(samples), seed))
        return waveform(1)

    scores = build_scorer(model, label_spaces(splits)).score_rows(rows, augment=same_for_all)
    assert len(heard) == 54 and {seed for _, seed in heard} == {0}
    assert [size for size, _ in heard] == sorted((size for size, _ in heard), reverse=True)
    assert scores["synthetic/esc_uar"] == pytest.approx(1 / 6)  # the same prediction for all six classes
    assert scores["gender_uar"] == pytest.approx(1 / 2)


def test_a_condition_reaches_the_scores(model, monkeypatch):
    monkeypatch.setitem(DEGRADATIONS, "clipping", lambda samples, seed: waveform(1))
    scores = robustness(model, MINI_SEQD, conditions=["clipping", "clean"])
    assert list(scores) == ["clean", "clipping"]
    assert scores["clipping"]["esc_uar"] == pytest.approx(1 / 6)
    assert scores["clipping"] != scores["clean"]


def test_every_utterance_has_its_own_noise_and_keeps_it():
    noise = seeded(lambda samples, seed: np.random.default_rng(seed).normal(size=4))
    first, again, other = noise(waveform(0.1), 0), noise(waveform(0.1), 0), noise(waveform(0.1, seed=1), 0)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, noise(waveform(0.1), 1))


def test_the_seed_is_the_checksum_of_the_samples():
    assert seeded(lambda samples, seed: seed)(np.array([0.5], np.float32), 0) == 2_535_649_825


def test_a_limit_draws_the_same_rows_of_each_corpus():
    rows = Dataset.from_dict({"corpus": ["a", "b", "b", "a"] * 10, "row": range(40)})
    limited = limit_rows(rows, 3)
    assert sorted(limited["corpus"]) == ["a", "a", "a", "b", "b", "b"]
    assert list(limited["row"]) == sorted(limited["row"])
    assert list(limited["row"]) == list(limit_rows(rows, 3)["row"])
    only_b = rows.filter(lambda row: row["corpus"] == "b")
    assert set(limit_rows(only_b, 3)["row"]) == {row["row"] for row in limited if row["corpus"] == "b"}
    assert len(limit_rows(rows, 100)) == len(limit_rows(rows, None)) == 40
    with pytest.raises(ValueError, match="limit_rows: limit must be at least 1; got 0"):
        limit_rows(rows, 0)


def test_a_killed_run_goes_on_where_it_was(model, tmp_path, scored, monkeypatch):
    out = tmp_path / "new" / "scores.json"
    kept = SpeechEQTrainer.score_rows

    def killed_at_the_third(self, rows, augment=None):
        if len(scored) == 2:
            raise KeyboardInterrupt
        return kept(self, rows, augment)

    monkeypatch.setattr(SpeechEQTrainer, "score_rows", killed_at_the_third)
    conditions = ["clean", "telephone", "clipping"]
    with pytest.raises(KeyboardInterrupt):
        robustness(model, MINI_SEQD, conditions=conditions, limit=5, out=out)
    assert json.loads(out.read_text())["scores"] == {"clean": {"esc_uar": 0.1}, "telephone": {"esc_uar": 0.2}}

    monkeypatch.setattr(SpeechEQTrainer, "score_rows", kept)
    scores = robustness(model, MINI_SEQD, conditions=conditions, limit=5, out=out)
    assert scores == {"clean": {"esc_uar": 0.1}, "telephone": {"esc_uar": 0.2}, "clipping": {"esc_uar": 0.3}}
    assert scored == [5, 5, 5]
    assert json.loads(out.read_text())["scores"] == scores
    assert robustness(model, MINI_SEQD, conditions=["clipping"], limit=5, out=out) == scores
    assert scored == [5, 5, 5]
    assert [path.name for path in out.parent.iterdir()] == ["scores.json"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "validation"}, "out must have scores of split 'validation'; got 'test' in .*Choose another file"),
        ({"limit": 4}, "out must have scores of limit 4; got None in"),
        ({"config": "synthetic"}, "out must have scores of dataset_config 'synthetic'; got 'all' in"),
        ({"bf16": True}, "out must have scores of bf16 True; got False in"),
    ],
)
def test_the_scores_of_another_run_are_left_alone(model, tmp_path, scored, changes, message):
    out = tmp_path / "scores.json"
    robustness(model, MINI_SEQD, conditions=["clean"], out=out)
    before = out.read_text()
    with pytest.raises(ValueError, match=message):
        robustness(model, MINI_SEQD, **{"conditions": ["clean"], "out": out} | changes)
    assert out.read_text() == before


def test_a_model_trained_anew_is_another_model(tmp_path, scored):
    out, folder = tmp_path / "scores.json", tmp_path / "model"
    robustness(save(folder, seed=0), MINI_SEQD, conditions=["clean"], out=out)
    assert len(robustness(save(folder, seed=0), MINI_SEQD, conditions=["clean"], out=out)) == len(scored) == 1
    with pytest.raises(ValueError, match="out must have scores of weights"):
        robustness(save(folder, seed=1), MINI_SEQD, conditions=["clean"], out=out)


def test_a_model_calibrated_anew_is_another_model(tmp_path, scored):
    out, folder = tmp_path / "scores.json", save(tmp_path / "model", seed=0)
    robustness(folder, MINI_SEQD, conditions=["clean"], out=out)
    config = json.loads((Path(folder) / "config.json").read_text())
    config["temperatures"]["esc"] = 2.0
    (Path(folder) / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="out must have scores of temperatures"):
        robustness(folder, MINI_SEQD, conditions=["clean"], out=out)


def test_an_unknown_condition_is_refused():
    with pytest.raises(ValueError, match=r"conditions must be among clean, noise_20db, .*; got 'fog'"):
        robustness("nowhere", MINI_SEQD, conditions=["fog"])


def test_the_table_states_what_is_lost():
    scores = {
        "clean": {
            "esc_uar": 0.7, "b/esc_uar": 0.6, "a/esc_uar": 0.8, "eis_ccc": 0.5, "phoneme_per": 0.25, "gender_uar": 1.0,
        },
        "telephone": {"esc_uar": 0.655, "a/esc_uar": 0.71, "b/esc_uar": 0.6, "eis_ccc": -0.0004},
    }  # fmt: skip
    assert robustness_table(scores).splitlines() == [
        "| condition | ESC UAR (%) | lost (points) | a (%) | b (%) | EIS CCC | PER (%) | gender UAR (%) |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| clean | 70.0 | 0.0 | 80.0 | 60.0 | 0.500 | 25.0 | 100.0 |",
        "| telephone | 65.5 | 4.5 | 71.0 | 60.0 | -0.000 |  |  |",
    ]
    del scores["clean"]
    assert robustness_table(scores).splitlines()[2] == "| telephone | 65.5 |  | 71.0 | 60.0 | -0.000 |  |  |"


def test_the_command_prints_and_writes_the_table(model, tmp_path, capsys):
    out, page = tmp_path / "scores.json", tmp_path / "page.md"
    page.write_text("<!-- robustness -->\nold\n<!-- /robustness -->\n")
    arguments = ["--dataset", MINI_SEQD, "--conditions", "clean", "noise_0db", "--limit", "6", "--out", str(out)]
    main([model, *arguments, "--write", str(page)])
    printed = capsys.readouterr().out
    assert "test split:" in printed and "\n| noise_0db | " in printed
    table = printed.partition("test split:\n\n")[2]
    assert page.read_text() == f"<!-- robustness -->\n{table}<!-- /robustness -->\n"
    saved = json.loads(out.read_text())
    assert (saved["utterances"], list(saved["scores"])) == (6, ["clean", "noise_0db"])
