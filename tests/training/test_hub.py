"""Claims about the saved folder and its card."""

import pytest
from huggingface_hub import ModelCard

from speecheq.training.hub import write_card

FACTS = {
    "corpora": {
        "nemo": {"language": "pl", "license": "cc-by-nc-sa-4.0", "utterances": 10, "speakers": 2},
        "emotale": {"language": "da/en", "license": "research", "utterances": 5, "speakers": 1},
    },
    "backbone": "openai/whisper-base", "tuning": "lora", "dataset": "seqd (all)", "synthetic": False,
    "shared_speakers": [], "command": "python -m speecheq.training.evaluate runs/x --dataset seqd",
}  # fmt: skip


def test_the_card_holds_scores_terms_and_the_command(tmp_path):
    card = ModelCard.load(write_card(tmp_path, {"nemo/esc_uar": 0.7654, "gender_uar": 0.9}, FACTS))
    assert "76.5" in card.text and "90.0" in card.text
    assert "cc-by-nc-sa-4.0; research" in card.text
    assert "test speakers seen in training: none." in card.text
    assert FACTS["command"] in card.text
    assert "synthetic speech" not in card.text
    assert card.data.language == ["da", "en", "pl"]


@pytest.mark.parametrize(("shared", "said"), [(["nemo/AO0", "nemo/EB0"], "nemo/AO0, nemo/EB0"), ([], "none")])
def test_the_card_says_which_test_speakers_were_seen(shared, said, tmp_path):
    card = ModelCard.load(write_card(tmp_path, {"gender_uar": 0.9}, FACTS | {"shared_speakers": shared}))
    assert f"test speakers seen in training: {said}." in card.text
