"""Gradio page for speech emotion recognition: `python space/app.py`, or the Space of this folder.

The environment variable `SPEECHEQ_MODEL` names the model, a folder or a Hub repository. The default is the parent folder, or
`HUB_MODEL` if that folder contains no weights.
"""

import os
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"

import gradio as gr
from answers import MAX_BYTES, MAX_SECONDS, hear, scales
from card import about
from figures import SIZES, colours, timeline_svg
from page import CSS, WAITING, summary, timeline
from transformers import Pipeline, pipeline

HUB_MODEL = "your~name/speecheq"  # an invalid name, which the release replaces with the name of the model
HERE = Path(__file__).resolve().parent
EXAMPLES = {
    "Angry, English": "angry_high_en.wav",
    "Happy, Mandarin": "happy_high_zh.wav",
    "Sad, English": "sad_high_en.wav",
    "First sad, then angry, English": "sad_then_angry_en.wav",
    "Noise, no speech": "noise_no_speech.wav",
}
AT_ONCE, WAITING_AT_MOST = 2, 64  # recordings
SESSIONS = 500  # sessions with saved state, about 85 KB each; every API call is a session, and gradio keeps 10,000
KEPT = (3600, 3600)  # s: interval between cleanups of temporary files, and their maximum age
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Arial", "sans-serif")  # installed fonts only
MONOSPACED = ("ui-monospace", "Consolas", "Menlo", "monospace")
TO_ANSWER = (
    "() => document.getElementById('answer').scrollIntoView({block: 'nearest'})"  # on a phone it is below the form
)
NOTE = f"""At most {MAX_SECONDS // 60} minutes and {MAX_BYTES >> 20} MB. This machine analyses the recording and does not keep
it: the temporary copy is deleted within two hours."""
API = """A program can call this page. The result is the output of the pipeline as JSON: `label`, `score`, `abstained`,
`emotion`, `intensity`, `gender`, `phonemes`, `timeline`, `duration`, `speech`; or `error` with the reason, if the recording
cannot be used. `scale` is one of {scales}. `channels="each"` gives a list with one result per channel, each with `channel`.

```python
# pip install gradio_client
from gradio_client import Client, handle_file

client = Client("{address}")
answer = client.predict(audio=handle_file("speech.wav"), scale="basic", api_name="/recognise")
print(answer["label"], answer["score"], answer["timeline"])
```

The limits of the page apply: {minutes} minutes, {megabytes} MB, one file per call. Calls wait in a queue. Send the file
itself; the page does not download URLs. The link "Use via API" below shows the same call from JavaScript and the shell."""


class Recording(gr.Audio):
    """Audio component for recordings and uploads. It refuses URLs, which gradio would download without a size limit."""

    is_template = True  # the browser uses the component of gradio

    def example_payload(self) -> dict:
        return {"path": "speech.wav", "url": "speech.wav", "meta": {"_type": "gradio.FileData"}}

    def example_value(self) -> str:
        return "speech.wav"

    async def async_move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        if str(url_or_file_path).startswith(("http://", "https://")):
            raise gr.Error("Send the recording itself, not its URL.", print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)


class Recogniser:
    """Functions of the page and its API.

    Args:
        pipe (`SpeechEQPipeline`): pipeline loaded with `trust_remote_code=True`.
    """

    def __init__(self, pipe: Pipeline):
        self.pipe, self.scales = pipe, scales(pipe.model.config)
        self.levels = list(pipe.model.config.eis_labels)

    def recognise(self, audio: str, scale: str = "fine", channels: str = "mix") -> dict | list[dict]:
        """Predict emotion, intensity, timeline, gender and phonemes of speech.

        Args:
            audio: an audio file, at most 5 minutes and 25 MB.
            scale: fine (12 classes), basic (7) or valence (4).
            channels: mix (one answer for the average of the channels) or each (a list with one answer per channel).

        Returns:
            the output of the pipeline as JSON, or {"error": reason} if the file cannot be used.
        """
        answers = hear(self.pipe, audio, scale, channels)[0]
        return answers if channels == "each" else answers[0]

    def show(self, audio: str | None, scale: str, channels: str = "mix") -> tuple:
        """Predict, and return the parts of the page: summary, scores, timeline and JSON."""
        answers, samples, rate, note = hear(self.pipe, audio, scale, channels)
        colour = colours(self.scales[scale])
        places = []
        for number, answer in enumerate(answers):
            segments = answer.get("timeline") or []
            sizes = SIZES if segments else ()
            drawings = {size: timeline_svg(samples[number], rate, segments, colour, size) for size in sizes}
            places.append(timeline(answer, drawings, colour))
        scores = (
            {entry["label"]: entry["score"] for entry in answers[0].get("emotion", ())} if len(answers) == 1 else {}
        )
        return (
            "".join(summary(answer, self.levels, note) for answer in answers),
            gr.Label(scores or None, visible=bool(scores)),
            "".join(places),
            answers if channels == "each" else answers[0],
        )


def build(pipe: Pipeline, model: str) -> gr.Blocks:
    """Build the page.

    Args:
        pipe (`SpeechEQPipeline`): pipeline of the page.
        model (`str`): folder or Hub repository with the model card.

    Returns:
        `gr.Blocks`: the page.
    """
    recogniser = Recogniser(pipe)
    with gr.Blocks(title="SpeechEQ", analytics_enabled=False, delete_cache=KEPT) as page:
        gr.Markdown("# SpeechEQ\nSpeech emotion recognition: category, intensity and timeline.")
        with gr.Tab("Recognise"):
            _recognise_tab(recogniser)
        with gr.Tab("About"):  # short names, because a phone shows all three tabs in one row
            gr.Markdown(about(model), elem_classes="seq-card")
        with gr.Tab("API"):
            address = os.environ.get("SPACE_ID", f"http://127.0.0.1:{os.environ.get('GRADIO_SERVER_PORT', 7860)}")
            limits = {"minutes": MAX_SECONDS // 60, "megabytes": MAX_BYTES >> 20}
            gr.Markdown(
                API.format(address=address, scales=", ".join(f"`{name}`" for name in recogniser.scales), **limits)
            )
    return page.queue(default_concurrency_limit=AT_ONCE, max_size=WAITING_AT_MOST)


def _recognise_tab(recogniser: Recogniser):
    with gr.Row():
        with gr.Column():
            audio = Recording(
                type="filepath",
                sources=["upload", "microphone"],
                label="Speech",
                editable=False,
                buttons=[],
                elem_id="speech",
            )
            names = [(f"{name} ({len(labels)} classes)", name) for name, labels in recogniser.scales.items()]
            scale = gr.Radio(names, value="fine", label="Scale", elem_id="scale")
            ways = [("mixed", "mix"), ("each one separately", "each")]
            channels = gr.Radio(ways, value="mix", label="Channels", elem_id="channels")
            button = gr.Button("Recognise", variant="primary", elem_id="recognise")
            gr.Markdown(NOTE, elem_classes="seq-note")
            files = [[str(HERE / "examples" / file)] for file in EXAMPLES.values()]
            examples = gr.Examples(
                files,
                audio,
                example_labels=list(EXAMPLES),
                label="Examples (synthetic speech)",
                cache_examples=False,
            )
        with gr.Column():
            head = gr.HTML(WAITING, elem_id="answer")
            scores = gr.Label(label="Probabilities", show_heading=False, visible=False, elem_id="scores")
    places = gr.HTML(elem_id="timeline")
    with gr.Accordion("The answer as JSON", open=False):
        json = gr.JSON(show_label=False)
    shared = {"concurrency_id": "model", "concurrency_limit": AT_ONCE}
    call = {
        "fn": recogniser.show,
        "inputs": [audio, scale, channels],
        "outputs": [head, scores, places, json],
    } | shared
    call |= {"api_visibility": "private", "show_progress_on": head}
    triggers = [button.click, scale.input, channels.input, audio.upload, audio.stop_recording]
    for event in (gr.on(triggers, **call, trigger_mode="always_last"), examples.load_input_event.then(**call)):
        event.then(None, js=TO_ANSWER)
    unseen = gr.Button(visible=False)
    unseen.click(recogniser.recognise, [audio, scale, channels], json, api_name="recognise", **shared)


def default_model() -> str:
    """Return `SPEECHEQ_MODEL`, or else the parent folder if it contains weights, or else `HUB_MODEL`.

    Raises:
        SystemExit: if none of these names a model.
    """
    above = HERE.parent
    found = os.environ.get("SPEECHEQ_MODEL") or (str(above) if (above / "model.safetensors").is_file() else HUB_MODEL)
    if "~" in found:
        raise SystemExit("app.py: SPEECHEQ_MODEL must name a model, a folder or a repository on the Hub; got none.")
    return found


def main():
    """Load the model and serve the page."""
    model = default_model()
    page = build(pipeline(model=model, trust_remote_code=True, batch_size=8), model)
    page.launch(
        theme=gr.themes.Default(primary_hue="indigo", neutral_hue="slate", font=FONTS, font_mono=MONOSPACED),
        css=CSS,
        max_file_size=MAX_BYTES,
        state_session_capacity=SESSIONS,
        footer_links=["api"],
        run_history=False,  # a history would keep recordings in the browser
        share=False,
        ssr_mode=False,
    )


if __name__ == "__main__":
    main()
