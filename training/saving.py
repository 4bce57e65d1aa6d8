"""Save a trained model as a folder that the Auto classes load with `trust_remote_code=True`."""

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from peft import PeftModel
from transformers.utils import cached_file

from speecheq.backbones_speecheq import quantize
from speecheq.configuration_speecheq import save_with_code
from speecheq.metrics.scores import table
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.recipes import public_name

CARD_TEMPLATE = Path(__file__).with_name("model_card.md")


def save_for_hub(
    model: SpeechEQModel | PeftModel, processor: SpeechEQProcessor, folder: str | Path, int8_weights: bool = False
) -> Path:
    """Save weights (safetensors), configuration with `auto_map`, processor and model code.

    Args:
        model ([`SpeechEQModel`] or a `PeftModel` of one): adapters are merged into the weights.
        processor ([`SpeechEQProcessor`]): of the model.
        folder (`str` or `Path`): created if needed; must not be the folder of the code itself.
        int8_weights (`bool`, *optional*, defaults to `False`): store matrices as 8-bit integers, a quarter of the size;
            loading restores float32.

    Returns:
        `Path`: the folder.
    """
    if isinstance(model, PeftModel):
        model = model.merge_and_unload()
    weights = model.state_dict()
    if int8_weights:
        # Whisper's position embeddings are small, and neighbouring positions differ by little more than a step of int8.
        parameters = {name for name, _ in model.named_parameters()}
        weights = quantize(weights, parameters, keep=("backbone.embed_positions.weight",))
    model.config.int8_weights = int8_weights
    save_with_code(model, processor, folder, state_dict=weights)
    model.config.int8_weights = False
    return Path(folder)


def started_from(checkpoint: str) -> dict[str, str]:
    """Return the `name` of a trained model and, from its card, the `license` of its weights."""
    card = cached_file(checkpoint, "README.md", _raise_exceptions_for_missing_entries=False)
    data = ModelCard.load(card).data if card else ModelCardData()
    return {"name": public_name(checkpoint), "license": data.get("license_name") or data.get("license") or "unknown"}


def write_card(folder: str | Path, scores: dict[str, float], facts: dict) -> Path:
    """Write the model card, `README.md`, with the scores of a run.

    Args:
        folder (`str` or `Path`): of the saved model.
        scores (`dict[str, float]`): on the test split, named as in `speecheq.metrics.scores`.
        facts (`dict`): `corpora` (name -> dict of `language`, `license`, `speakers`, `utterances`), `synthetic`,
            `backbone`, `tuning`, `dataset`, `command`; `started_from`, from [`started_from`], or `None`; `shared_speakers`
            (corpus -> test speakers that training has seen; the card gives only their number) and `unknown_stages`
            (names of starting models whose training data is not recorded).

    Returns:
        `Path`: the card.
    """
    licenses = sorted({corpus["license"] for corpus in facts["corpora"].values()})
    begun = facts["started_from"]["name"] if facts["started_from"] else facts["backbone"]
    data = ModelCardData(
        language=sorted({code for corpus in facts["corpora"].values() for code in corpus["language"].split("/")}),
        license="other",
        license_name="terms-of-the-training-corpora",
        library_name="transformers",
        pipeline_tag="audio-classification",
        tags=["speech-emotion-recognition", "speecheq", *(["synthetic-data"] if facts["synthetic"] else [])],
        model_name="SpeechEQ",
        base_model=begun if "/" in begun else None,  # a repository of the Hub
    )
    card = ModelCard.from_template(
        data, template_path=str(CARD_TEMPLATE), scores=table(scores), licenses=licenses, **facts
    )
    path = Path(folder) / "README.md"
    card.save(path)
    return path
