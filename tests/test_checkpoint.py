"""Claims about the checkpoint in the root, its results, and its model card."""

import json

import numpy as np
import pytest
from huggingface_hub import ModelCard
from safetensors import safe_open
from samples import ROOT
from transformers import pipeline

from speecheq import SpeechEQModel
from speecheq.backbones_speecheq import INT8_SCALE
from speecheq.dataset_scripts.build.builder import build
from speecheq.evaluation.evaluate import evaluate
from speecheq.evaluation.report import model_index, summary, tables
from speecheq.evaluation.robustness import robustness_table

RESULTS = json.loads((ROOT / "results" / "results.json").read_text())
PAGE = (ROOT / "results" / "README.md").read_text()


def test_the_weights_are_at_most_30_mb_and_complete():
    assert (ROOT / "model.safetensors").stat().st_size <= 30_000_000
    with safe_open(ROOT / "model.safetensors", "pt") as weights:
        stored = {name for name in weights.keys() if not name.endswith(INT8_SCALE)}  # noqa: SIM118
    assert stored == set(SpeechEQModel.from_pretrained(ROOT).state_dict())


def test_the_card_says_what_was_measured():
    card = ModelCard.load(ROOT / "README.md")
    trained = set(json.loads((ROOT / "training_data.json").read_text())["speakers"])
    assert {result.dataset_config for result in card.data.eval_results} == trained - {"esd"}  # which has one speaker
    said = {(result.dataset_config, result.metric_name): result.metric_value for result in card.data.eval_results}
    assert said == {
        (result.dataset_config, result.metric_name): result.metric_value for result in model_index(RESULTS)
    }
    assert f"<!-- results -->\n{summary(RESULTS)}\n<!-- /results -->" in card.text
    assert card.data.license == "cc-by-nc-sa-4.0"  # nEMO's terms bind the weights


def test_the_results_page_holds_the_tables_that_were_measured():
    measured = json.loads((ROOT / "results" / "robustness.json").read_text())
    for mark, text in {**tables(RESULTS), "robustness": robustness_table(measured["scores"])}.items():
        assert f"<!-- {mark} -->\n{text}\n<!-- /{mark} -->" in PAGE


def test_no_test_speaker_is_in_training():
    assert RESULTS["shared_speakers"] == []


def test_the_results_page_shows_every_figure():
    for name in ("confusion", "reliability", "risk_coverage", "intensity"):
        assert f"({name}.svg)" in PAGE
        assert (ROOT / "results" / f"{name}.svg").read_text().startswith("<?xml")


def test_the_pipeline_of_the_root_answers_and_abstains():
    pipe = pipeline(model=str(ROOT), trust_remote_code=True)
    answer = pipe(str(ROOT / "tests/speech/angry_high_en.wav"), abstain_below=0.0)
    assert answer["label"] in pipe.model.config.esc_labels and answer["timeline"] and answer["phonemes"]
    assert 0 < pipe.model.config.abstain_below < 1
    assert pipe({"array": np.zeros(16_000), "sampling_rate": 16_000})["abstained"] == "silence"


@pytest.mark.corpora
@pytest.mark.slow
def test_the_checkpoint_gives_the_card_s_numbers_on_the_held_out_speakers_of_emotale(corpora, tmp_path):
    build({"emotale": corpora / "emotale"}, tmp_path / "seqd")
    scores = evaluate(str(ROOT), str(tmp_path / "seqd"))
    for metric in ("esc_uar", "esc_wa", "eis_ccc", "phoneme_per", "gender_uar"):
        name = f"emotale/{metric}"
        assert scores[name] == pytest.approx(RESULTS["scores"][name], abs=0.001)
