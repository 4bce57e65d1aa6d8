"""Claims about the page: it shows the output of the pipeline, or explains in plain words why there is none."""

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from samples import ROOT, tiny_pipeline, waveform

from speecheq.labels_speecheq import BASIC_CLASSES, ESC_LABELS
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.pipeline_speecheq import SpeechEQPipeline
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.saving import save_for_hub

pytest.importorskip("gradio")
sys.path.insert(0, str(ROOT / "space"))
import answers
import app
import card
import figures
import limits
import page

SPEECH = str(ROOT / "tests/speech/sad_then_angry_en.wav")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A tiny model with distinct predictions, in the layout of a Hub repository."""
    tiny = tiny_pipeline()
    return save_for_hub(tiny.model, tiny.processor, tmp_path_factory.mktemp("hub") / "model")


@pytest.fixture(scope="module")
def pipe(folder) -> SpeechEQPipeline:
    model = SpeechEQModel.from_pretrained(folder).eval()
    return SpeechEQPipeline(model=model, processor=SpeechEQProcessor.for_config(model.config), device="cpu")


@pytest.fixture
def wav(tmp_path) -> Callable[[np.ndarray], str]:
    def write(samples: np.ndarray) -> str:
        soundfile.write(tmp_path / "speech.wav", samples, 16_000)
        return str(tmp_path / "speech.wav")

    return write


@pytest.mark.parametrize(("scale", "classes"), [("fine", 12), ("basic", 7), ("valence", 4)])
def test_the_page_shows_the_answer_of_the_pipeline(pipe, scale, classes):
    expected = pipe(SPEECH, scale=scale)
    head, scores, places, as_json = app.Recogniser(pipe).show(SPEECH, scale)
    assert json.dumps(as_json) == json.dumps(expected) and expected["label"]
    assert f'<p class="seq-headline">{expected["label"]}</p>' in head
    assert f"with a probability of {answers.percent(expected['score'])}" in head
    assert f"<p>{expected['gender']['label']}, {answers.percent(expected['gender']['score'])}</p>" in head
    shown = {entry["label"]: entry["confidence"] for entry in scores.value["confidences"]}
    assert shown == {entry["label"]: entry["score"] for entry in expected["emotion"]} and len(shown) == classes
    assert scores.visible
    assert places.count("<svg") == 2 and places.count("<tr><td>") == len(expected["timeline"]) > 0
    assert " ".join(entry["phoneme"] for entry in expected["phonemes"]) in places


def test_each_channel_has_its_answer_and_its_timeline(pipe, wav):
    speech, _ = soundfile.read(SPEECH, dtype="float32")
    path = wav(np.stack([speech, np.zeros_like(speech)], axis=1))
    head, scores, places, as_json = app.Recogniser(pipe).show(path, "basic", "each")

    assert as_json == app.Recogniser(pipe).recognise(path, "basic", "each")
    one, two = as_json
    assert one["label"] == pipe(SPEECH, scale="basic")["label"] and two["abstained"] == "silence"
    first, second = head.split("Channel 2</p>")
    assert "Channel 1</p>" in first and f'<p class="seq-headline">{one["label"]}</p>' in first
    assert "There is no sound in this recording." in second
    assert places.count("Channel 1</p>") == 1 and places.count("<svg") == 2 and not scores.visible
    assert app.Recogniser(pipe).recognise(path, "basic")["label"] and "channel" not in app.Recogniser(pipe).recognise(
        path
    )


def test_too_many_channels_have_a_message(pipe, wav):
    answer = app.Recogniser(pipe).recognise(wav(np.zeros((16_000, 5))), channels="each")
    assert answer == [{"error": "This recording has 5 channels. Upload one with at most 4."}]


def test_channels_that_cancel_each_other_are_answered_and_the_page_says_it(pipe, wav):
    speech, _ = soundfile.read(SPEECH, dtype="float32")
    head, _, _, as_json = app.Recogniser(pipe).show(wav(np.stack([-0.95 * speech, speech], axis=1)), "fine")
    assert as_json["label"] == pipe(SPEECH)["label"] is not None
    assert "The channels cancel each other: the answer is that of channel 2, the loudest." in head
    assert "cancel" not in app.Recogniser(pipe).show(SPEECH, "fine")[0]


@pytest.mark.parametrize(
    ("samples", "abstained", "words"),
    [
        (np.zeros(32_000), "silence", "There is no sound in this recording."),
        (waveform(0.1), "no speech", "No speech was detected in this recording."),
    ],
)
def test_no_answer_has_its_reason_in_plain_words(pipe, wav, samples, abstained, words):
    head, scores, places, as_json = app.Recogniser(pipe).show(wav(samples), "fine")
    assert as_json["abstained"] == abstained
    assert "No answer" in head and words in head
    assert not scores.visible and places == ""


def test_an_unsure_answer_names_the_likeliest(pipe):
    pipe.model.config.abstain_below = 0.999
    try:
        head, scores, places, as_json = app.Recogniser(pipe).show(SPEECH, "fine")
    finally:
        pipe.model.config.abstain_below = 0.0
    assert as_json["abstained"] == "low confidence"
    best = as_json["emotion"][0]
    assert f"too low: the best label, {best['label']}, has only {answers.percent(best['score'])}." in head
    assert scores.visible and "<svg" in places and "Intensity" in head


def unusable(tmp_path: Path) -> dict[str, tuple[str | None, str]]:
    soundfile.write(tmp_path / "long.flac", np.zeros(300 * 16_000 + 1), 16_000)
    soundfile.write(tmp_path / "whole.wav", waveform(1.0), 16_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "whole.wav").read_bytes()[:1000])
    (tmp_path / "text.wav").write_text("no sound" * 100)
    with open(tmp_path / "large.wav", "wb") as file:
        file.truncate(25 * 2**20 + 1)
    soundfile.write(tmp_path / "short.wav", waveform(0.01), 16_000)
    return {
        "long.flac": "This recording is longer than 5 minutes. Upload a part of it.",
        "cut.wav": "This file is incomplete: its end is missing (956 of 32000 bytes). Try another.",
        "text.wav": "This file cannot be read as audio (",
        "large.wav": "This file is larger than 25 MB. Upload a smaller one.",
        "short.wav": "This recording is too short (0.010 s, at least 0.05 s needed). Try another.",
        "gone.wav": "The recording is no longer here. Record or upload it again.",
    }


@pytest.mark.parametrize("name", ["long.flac", "cut.wav", "text.wav", "large.wav", "short.wav", "gone.wav"])
def test_what_cannot_be_used_has_a_message_and_no_path(pipe, tmp_path, name):
    message = unusable(tmp_path)[name]
    answer = app.Recogniser(pipe).recognise(str(tmp_path / name))
    assert set(answer) == {"error"} and answer["error"].startswith(message)
    head, scores, places, as_json = app.Recogniser(pipe).show(str(tmp_path / name), "basic")
    assert message in head.replace("&#x27;", "'") and str(tmp_path) not in head
    assert not scores.visible and places == "" and as_json == answer


def test_without_a_recording_the_page_asks_for_one(pipe):
    assert "There is no recording yet. Record one or upload a file." in app.Recogniser(pipe).show(None, "fine")[0]


def test_five_minutes_are_not_too_long(pipe, tmp_path):
    soundfile.write(tmp_path / "long.flac", np.zeros(300 * 16_000), 16_000)
    assert app.Recogniser(pipe).recognise(str(tmp_path / "long.flac"))["abstained"] == "silence"


def test_words_of_a_model_are_escaped():
    evil = "<img src=x>"
    intensity = {"value": 0.5, "level": evil, "interval": [0.0, 1.0]}
    answer = {"label": evil, "score": 0.5, "abstained": None, "intensity": intensity}
    answer |= {"gender": {"label": evil, "score": 0.5}, "phonemes": [{"phoneme": evil}]}
    segment = {"start": 0.0, "end": 1.0, "label": evil, "score": 0.5, "intensity": 0.5}
    colour = figures.colours([evil, "b"])
    svg = figures.timeline_svg(waveform(1.0), 16_000, [segment], colour, "wide")
    shown = page.summary(answer, [evil, evil]) + page.timeline(answer | {"timeline": [segment]}, {"wide": svg}, colour)
    assert shown.count("&lt;img") == 12 and "<img" not in shown
    unsure = answer | {"label": None, "abstained": "low confidence", "emotion": [{"label": evil, "score": 0.1}]}
    assert "<img" not in page.summary(unsure, [evil, evil])


def test_the_gauge_lies_where_the_intensity_lies():
    levels = ["none", "low", "moderate", "high", "extreme"]
    answer = {"label": "sad", "score": 0.5, "abstained": None, "gender": None}
    intensity = {"value": 0.42, "level": "moderate", "interval": [0.25, 0.75]}
    shown = page.summary(answer | {"intensity": intensity}, levels)
    assert 'class="seq-interval" style="left:25%;width:50%"' in shown and 'class="seq-value" style="left:42%"' in shown
    assert "moderate, 0.42 of 1; between low and high with a probability of 0.8 or more" in shown
    certain = {"value": 1.0, "level": "extreme", "interval": [1.0, 1.0]}
    shown = page.summary(answer | {"intensity": certain}, levels)
    assert "left:98%;width:2%" in shown and "; extreme with a probability of 0.8 or more" in shown


def test_certainty_is_never_claimed():
    assert [answers.percent(score) for score in (0.0, 0.004, 0.005, 0.745, 0.999, 1.0)] == [
        "0 %", "0 %", "1 %", "75 %", "99 %", "99 %",
    ]  # fmt: skip


def test_the_drawing_takes_the_colours_of_the_page_and_says_what_it_shows():
    colour = figures.colours(ESC_LABELS)
    assert len(set(colour.values())) == 12
    ends = [("angry", 0.0, 2.5), ("sad", 2.5, 2.6)]
    segments = [{"label": label, "start": start, "end": end} for label, start, end in ends]
    svg = figures.timeline_svg(waveform(4.0), 16_000, segments, colour, "narrow")
    drawing = ElementTree.fromstring(svg.replace("xlink:", ""))
    assert drawing.get("role") == "img" and drawing.get("width") == "100%" and drawing.get("height") is None
    assert drawing.get("aria-label") == "Waveform and spectrogram; angry from 0.0 s, sad from 2.5 s"
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "angry" in texts and "sad" not in texts and {"0", "4", "seconds", "kHz"} <= set(texts)
    assert "<style" not in svg  # a style would apply to the page
    assert figures.INK not in svg and "currentColor" in svg and colour["sad"] in svg


def test_the_picture_of_a_recording_is_small_and_the_same_in_each_run(monkeypatch, tmp_path, pipe):
    monkeypatch.setattr("transformers.pipeline", lambda **kwargs: pipe)
    drawn = []
    for name in ("a.svg", "b.svg"):
        figures.main([SPEECH, "--out", str(tmp_path / name)])
        drawn.append((tmp_path / name).read_bytes())
    assert drawn[0] == drawn[1] and len(drawn[0]) < 100_000
    texts = [element.text for element in ElementTree.fromstring(drawn[0]).iter("{http://www.w3.org/2000/svg}text")]
    assert "seconds" in texts and "kHz" not in texts and set(texts) & set(BASIC_CLASSES)


def test_the_spectrogram_shows_a_tone_at_its_frequency():
    tone = np.sin(2 * np.pi * 2000 * np.arange(320_000) / 16_000)
    decibels = figures.spectrogram(tone)
    assert decibels.shape == (257, 800) and set(decibels.argmax(axis=0)) == {64} and decibels.max() == 0.0
    assert figures.spectrogram(tone[:100]).shape == (257, 1)


CARD = """---
language: [pl, xx]
license: other
license_name: terms-of-corpora
tags: [synthetic-data]
---
# A model
## Training
Heard [nEMO](https://example.org) and [a page](docs/PAGE.md).
![picture](https://example.org/picture.png)
<!-- mark -->
## Use
secret
## Limits
Acted speech.
"""


def test_what_it_was_trained_on_is_read_from_the_card(tmp_path):
    (tmp_path / "README.md").write_text(CARD)
    text = card.about(str(tmp_path))
    assert "Training languages: Polish, xx." in text and "Licence of the model: terms-of-corpora." in text
    assert "It was trained on synthetic speech" in text
    assert "Heard [nEMO](https://example.org) and a page." in text and "### Limits\n\nActed speech." in text
    for gone in ("picture", "mark", "secret", "PAGE.md"):
        assert gone not in text
    assert card.training("## Training data\nheard\n## Training\ncommand\n") == "### Training data\n\nheard"
    text = "## Training Details\n### Training Data\nheard\n### Training Procedure\ncommand\n## Evaluation\nscores\n"
    assert card.training(text) == "### Training Data\n\nheard\n\n### Evaluation\n\nscores"
    assert card.training("# nothing") == ""


def test_the_sources_of_the_examples_are_on_the_page(tmp_path, monkeypatch):
    monkeypatch.setattr(card, "ATTRIBUTION", tmp_path / "ATTRIBUTION.md")
    assert "Sources" not in card.about("nobody/nothing")
    card.ATTRIBUTION.write_text("# Attribution\n\n| `a.wav` |\n")
    assert card.about("nobody/nothing").endswith("## Sources of the examples\n\n| `a.wav` |\n")


def test_a_model_without_a_card_is_no_error(tmp_path):
    assert "This model has no card." in card.about(str(tmp_path))
    assert "This model has no card." in card.about("nobody/nothing")
    (tmp_path / "README.md").write_text("# nothing")
    assert "The model card does not say." in card.about(str(tmp_path))


def test_the_model_is_named_or_above_or_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.delenv("SPEECHEQ_MODEL", raising=False)
    monkeypatch.setattr(app, "HERE", tmp_path / "space")
    with pytest.raises(SystemExit, match="SPEECHEQ_MODEL must name a model"):
        app.default_model()
    monkeypatch.setattr(app, "HUB_MODEL", "me/speecheq")
    assert app.default_model() == "me/speecheq"
    (tmp_path / "model.safetensors").touch()
    assert app.default_model() == str(tmp_path)
    monkeypatch.setenv("SPEECHEQ_MODEL", "me/mine")
    assert app.default_model() == "me/mine"


def test_a_title_of_an_example_says_its_labels_and_its_language():
    files = ("angry_en.wav", "sad_then_angry_pl.wav", "noise_no_speech.wav")
    assert [app.title(Path(file)) for file in files] == ["Angry, English", "Sad then angry, Polish", "Noise no speech"]


def test_files_go_and_recordings_wait_in_a_queue(pipe, folder):
    built = app.build(pipe, str(folder))
    assert isinstance(built._queue.pending_messages_per_session, limits.Sessions)
    assert built.delete_cache == (3600, 3600) and built._queue.max_size == 64 and not built.analytics_enabled
    endpoints = built.get_api_info()["named_endpoints"]
    assert list(endpoints) == ["/recognise"]
    assert [field["parameter_name"] for field in endpoints["/recognise"]["parameters"]] == [
        "audio",
        "scale",
        "channels",
    ]
    assert "intensity" in endpoints["/recognise"]["description"]


def test_the_page_is_served_with_its_limits_and_keeps_the_state_of_few(pipe, folder, monkeypatch):
    given = {}
    monkeypatch.setenv("SPEECHEQ_MODEL", str(folder))
    monkeypatch.setattr(app, "pipeline", lambda **kwargs: pipe)
    monkeypatch.setattr(app.gr.Blocks, "launch", lambda page, **kwargs: given.update(kwargs))
    app.main()
    expected = {"max_file_size": 25 * 2**20, "state_session_capacity": 500, "run_history": False, "share": False}
    assert {name: given[name] for name in expected} == expected
