"""Claims about the saved folder and its card."""

import pytest
from huggingface_hub import ModelCard
from samples import ROOT

from speecheq.training.saving import started_from, write_card

FACTS = {
    "corpora": {
        "nemo": {"language": "pl", "license": "cc-by-nc-sa-4.0", "utterances": 10, "speakers": 2},
        "emotale": {"language": "da/en", "license": "research", "utterances": 5, "speakers": 1},
    },
    "backbone": "openai/whisper-base", "tuning": "lora", "dataset": "seqd (all)", "synthetic": False,
    "shared_speakers": {}, "unknown_stages": [], "started_from": None,
    "command": "python -m speecheq.evaluation.evaluate runs/x --dataset seqd",
}  # fmt: skip


def test_the_card_holds_scores_terms_and_the_command(tmp_path):
    card = ModelCard.load(write_card(tmp_path, {"nemo/esc_uar": 0.7654, "gender_uar": 0.9}, FACTS))
    assert "76.5" in card.text and "90.0" in card.text
    assert "cc-by-nc-sa-4.0; research" in card.text
    assert "test speakers seen in training: none." in card.text
    assert FACTS["command"] in card.text
    assert "synthetic speech" not in card.text
    assert card.data.language == ["da", "en", "pl"]
    assert card.data.base_model == "openai/whisper-base"


def test_the_card_of_a_fine_tuned_model_carries_the_terms_of_what_it_started_from(tmp_path):
    (tmp_path / "before").mkdir()
    write_card(tmp_path / "before", {"gender_uar": 0.9}, FACTS)
    before = started_from(str(tmp_path / "before"))
    assert before == {"name": "before", "license": "terms-of-the-training-corpora"}
    assert started_from(str(ROOT))["license"] == "cc-by-nc-sa-4.0"
    assert started_from(str(tmp_path))["license"] == "unknown"

    shipped = {"name": "me/speecheq", "license": "cc-by-nc-sa-4.0"}
    card = ModelCard.load(
        write_card(
            tmp_path,
            {"gender_uar": 0.9},
            FACTS | {"backbone": None, "started_from": shipped, "unknown_stages": ["me/speecheq"]},
        )
    )
    assert "Started from the trained model `me/speecheq`" in card.text
    assert "and those of the model that training started from: cc-by-nc-sa-4.0. The code" in card.text
    uncounted = "(not counted: the speakers of me/speecheq, whose training data is not recorded)"
    assert f"test speakers seen in training: none {uncounted}." in card.text
    assert card.data.base_model == "me/speecheq"


@pytest.mark.parametrize(
    ("shared", "said"),
    [({"nemo": ["nemo/AO0", "nemo/EB0"], "emotale": ["emotale/f1"]}, "2 of nemo, 1 of emotale"), ({}, "none")],
)
def test_the_card_counts_the_test_speakers_seen_in_training_and_names_none(shared, said, tmp_path):
    card = ModelCard.load(write_card(tmp_path, {"gender_uar": 0.9}, FACTS | {"shared_speakers": shared}))
    assert f"test speakers seen in training: {said}." in card.text
    assert "AO0" not in card.text
