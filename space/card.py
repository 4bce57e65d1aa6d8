"""What the model's own card says of its training and its limits, for the page."""

import re
from pathlib import Path

from huggingface_hub import ModelCard
from huggingface_hub.errors import HfHubHTTPError

# Codes of languages, ISO 639-1, that cards of this project use; another code is shown as it is.
LANGUAGES = {
    "am": "Amharic", "bn": "Bangla", "da": "Danish", "de": "German", "en": "English", "fa": "Persian", "it": "Italian",
    "pl": "Polish", "ur": "Urdu", "zh": "Mandarin",
}  # fmt: skip
SECTIONS = (
    ("Training data", "Evaluation results"),
    ("Training", "Results", "Limits"),
)  # the first of these that a card has
CAN_AND_CANNOT = """
## What it can do

It hears how speech sounds: which of a few emotions, how intense, and from when to when; whether the voice sounds female or
male; and which phonemes are spoken. It does not need to know the words or the language.

It gives no label when nobody speaks, or when it is not sure enough. Of a hundred answers with a probability of 70 %
some thirty are wrong, and more on speech unlike that of its training.

## What it cannot do

- It does not know what a person feels. It hears what the voice shows, which may be acted, hidden or simply how somebody talks.
- One voice at a time: of several people who speak together it makes one answer.
- Irony, mixed feelings and a culture's own ways of showing them are beyond it.
- Other languages, children, old people, noisy rooms and telephones make it worse, or were never measured.
- Do not use it to judge people: not for hiring, schools, policing, insurance or health.
"""
PRIVACY = """
## What happens to a recording

It is analysed on the machine that serves this page, used for nothing else, and not kept: its temporary copy is deleted within
two hours. Answers are not stored.
"""


def about(model: str) -> str:
    """The page's text about the model, as Markdown.

    Args:
        model (`str`): a folder, or the name of a repository on the Hub. Its languages and its training are read from its card.
    """
    card = load(model)
    if card is None:
        return f"{CAN_AND_CANNOT}\n## What it was trained on\n\nThis model brings no card that says so.\n{PRIVACY}"
    codes = card.data.get("language") or []
    names = [LANGUAGES.get(code, code) for code in ([codes] if isinstance(codes, str) else codes)]
    facts = [f"Languages of its training: {', '.join(names)}."] if names else []
    if "synthetic-data" in (card.data.get("tags") or []):
        facts.append("**It was trained on synthetic speech, and does not recognise the emotions of people.**")
    if card.data.get("license"):
        facts.append(f"Licence of the model: {card.data.get('license_name') or card.data.license}.")
    said = training(card.text)
    intro = "\n\n".join([*facts, *(["From its card:", said] if said else [])])
    return f"{CAN_AND_CANNOT}\n## What it was trained on\n\n{intro or 'Its card does not say.'}\n{PRIVACY}"


def load(model: str) -> ModelCard | None:
    """The model's `README.md`, or `None` if it has none."""
    try:
        if Path(model).is_dir():
            return ModelCard.load(Path(model) / "README.md")
        return ModelCard.load(model)
    except (OSError, ValueError, HfHubHTTPError):
        return None


def training(text: str) -> str:
    """The sections of a card on training and limits, without pictures, comments and links into its own repository."""
    sections = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", text, flags=re.MULTILINE | re.DOTALL))
    names = next((names for names in SECTIONS if sections.keys() & set(names)), ())
    said = "\n\n".join(f"### {name}\n\n{sections[name].strip()}" for name in names if name in sections)
    said = re.sub(r"<!--.*?-->", "", said, flags=re.DOTALL)
    said = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", said)
    said = re.sub(r"\[([^\]]*)\]\((?!https?://)[^)]*\)", r"\1", said)
    return re.sub(r"\n{3,}", "\n\n", said).strip()
