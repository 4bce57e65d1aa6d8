"""Text of the page about the model, its training and its limits, from the model card."""

import re
from pathlib import Path

from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError

# ISO 639-1 language codes in the cards of this project; the page shows other codes unchanged.
LANGUAGES = {
    "am": "Amharic", "bn": "Bangla", "da": "Danish", "de": "German", "en": "English", "fa": "Persian", "it": "Italian",
    "pl": "Polish", "ur": "Urdu", "zh": "Mandarin",
}  # fmt: skip
SECTIONS = (
    ("Training Data", "Evaluation"),
    ("Training data", "Evaluation results"),
    ("Training", "Results", "Limits"),
)  # the first of these that a card has
CAN_AND_CANNOT = """
## What it can do

The model predicts from the sound of the voice: the emotion among a few classes, its intensity and its timeline; whether the
voice sounds female or male; and the phonemes. It needs neither the words nor the language.

It gives no label if the recording contains no speech or the confidence is too low. About thirty of a hundred predictions with
a probability of 70 % are wrong, and more on speech that differs from the training data.

## What it cannot do

- It cannot tell what a person feels. It predicts the emotion that the voice expresses, which may be acted or hidden.
- It expects one speaker at a time. If several people speak together, it makes one prediction.
- It does not recognise irony, mixed emotions or expressions that are specific to a culture.
- It is less accurate, or not tested, on other languages, children, old people, noisy rooms and telephone speech.
- Do not use it to judge people, for example in hiring, schools, policing, insurance or health.
"""
ATTRIBUTION = Path(__file__).parent / "examples" / "ATTRIBUTION.md"
PRIVACY = """
## What happens to a recording

The machine that serves this page analyses the recording and uses it for nothing else. The temporary copy is deleted within
two hours. Predictions are not stored.
"""


def about(model: str) -> str:
    """Write the text about the model, as Markdown.

    Args:
        model (`str`): a folder or a Hub repository. Languages and training come from its card.

    Returns:
        `str`: the text.
    """
    card, end = load(model), f"{PRIVACY}\n{attribution()}"
    if card is None:
        return f"{CAN_AND_CANNOT}\n## What it was trained on\n\nThis model has no card.\n{end}"
    codes = card.data.get("language") or []
    names = [LANGUAGES.get(code, code) for code in ([codes] if isinstance(codes, str) else codes)]
    facts = [f"Training languages: {', '.join(names)}."] if names else []
    if "synthetic-data" in (card.data.get("tags") or []):
        facts.append("**It was trained on synthetic speech and does not recognise human emotions.**")
    if card.data.get("license"):
        facts.append(f"Licence of the model: {card.data.get('license_name') or card.data.license}.")
    sections = training(card.text)
    intro = "\n\n".join([*facts, *(["From the model card:", sections] if sections else [])])
    return f"{CAN_AND_CANNOT}\n## What it was trained on\n\n{intro or 'The model card does not say.'}\n{end}"


def attribution() -> str:
    """Return the sources of the examples as a section, empty without examples."""
    text = ATTRIBUTION.read_text(encoding="utf-8") if ATTRIBUTION.is_file() else ""
    return re.sub("^# .*", "## Sources of the examples", text)


def load(model: str) -> ModelCard | None:
    """Load the model card, or return `None` if there is none."""
    try:
        if Path(model).is_dir():
            return ModelCard.load(Path(model) / "README.md")
        return ModelCard.load(model)
    except (OSError, ValueError, HfHubHTTPError):
        return None


def training(text: str) -> str:
    """Return the sections on training and limits of a card, without images, comments and relative links."""
    sections = dict(re.findall(r"^##+ (.+?)\n(.*?)(?=^##+ |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    names = next((names for names in SECTIONS if sections.keys() & set(names)), ())
    found = "\n\n".join(f"### {name}\n\n{sections[name].strip()}" for name in names if name in sections)
    found = re.sub(r"<!--.*?-->", "", found, flags=re.DOTALL)
    found = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", found)
    found = re.sub(r"\[([^\]]*)\]\((?!https?://)[^)]*\)", r"\1", found)
    return re.sub(r"\n{3,}", "\n\n", found).strip()
