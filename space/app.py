"""Gradio page for speech emotion recognition: `python space/app.py`, or the Space of this folder.

The environment variable `SPEECHEQ_MODEL` names the model, a folder or a Hub repository. The default is the parent folder, or
`HUB_MODEL` if that folder contains no weights.
"""

import os
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")  # kernels; see limits.py

import gradio as gr
from answers import MAX_BYTES, MAX_SECONDS, hear, scales
from card import LANGUAGES, about
from figures import SIZES, colours, timeline_svg
from limits import SESSIONS, keep_tensors_out_of_the_heap, limit_sessions
from microphone import Listener, remove_chunk
from page import CSS, WAITING, live, summary, timeline
from transformers import Pipeline, pipeline

HUB_MODEL = "your~name/speecheq"  # an invalid name, which the release replaces with the name of the model
HERE = Path(__file__).resolve().parent
EXAMPLES = HERE / "examples"
AT_ONCE, WAITING_AT_MOST = 2, 64  # recordings
LIVE_AT_ONCE, CHUNK = 10, 0.5  # live streams; s of audio that a browser sends at a time
LIVE_KEPT = 600  # s after its last chunk in which the page keeps a live stream
KEPT = (3600, 3600)  # s: interval between cleanups of temporary files, and their maximum age
FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Arial", "sans-serif")  # installed fonts only
MONOSPACED = ("ui-monospace", "Consolas", "Menlo", "monospace")
TO_ANSWER = (
    "() => document.getElementById('answer').scrollIntoView({block: 'nearest'})"  # on a phone it is below the form
)
NOTE = f"""At most {MAX_SECONDS // 60} minutes and {MAX_BYTES >> 20} MB. This machine analyses the recording and does not keep
it: the temporary copy is deleted within two hours."""
LIVE_NOTE = f"""Allow the microphone, record, and speak, at most {MAX_SECONDS // 60} minutes at a time. This machine analyses
the sound as it arrives, and deletes it at once."""
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

    def listen(self, chunk: str | None, listener: Listener | None, scale: str) -> tuple[Listener, str]:
        """Process the next chunk of a microphone, and return the stream of the session and its part of the page."""
        listener = listener or Listener(self.pipe, scale)
        if chunk is not None:
            listener.feed(chunk)
            remove_chunk(chunk, gr.utils.get_upload_folder())
        return listener, self._shown(listener)

    def stop(self, listener: Listener | None) -> tuple[Listener | None, str]:
        """End the stream of the session, and return it and its part of the page."""
        if listener is None:
            return None, WAITING
        listener.close()
        return listener, self._shown(listener)

    def _shown(self, listener: Listener) -> str:
        colour = colours(self.scales[listener.scale])
        return live(listener.now, listener.finished, colour, listener.reason, not listener.stream.closed)


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
        with gr.Tab("Live"):
            _live_tab(recogniser)
        with gr.Tab("About"):  # short names, because a phone shows all four tabs in one row
            gr.Markdown(about(model), elem_classes="seq-card")
        with gr.Tab("API"):
            address = os.environ.get("SPACE_ID", f"http://127.0.0.1:{os.environ.get('GRADIO_SERVER_PORT', 7860)}")
            limits = {"minutes": MAX_SECONDS // 60, "megabytes": MAX_BYTES >> 20}
            gr.Markdown(
                API.format(address=address, scales=", ".join(f"`{name}`" for name in recogniser.scales), **limits)
            )
    return limit_sessions(page.queue(default_concurrency_limit=AT_ONCE, max_size=WAITING_AT_MOST))


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
            scale = _scale(recogniser, value="fine", label="Scale", elem_id="scale")
            ways = [("mixed", "mix"), ("each one separately", "each")]
            channels = gr.Radio(ways, value="mix", label="Channels", elem_id="channels")
            button = gr.Button("Recognise", variant="primary", elem_id="recognise")
            gr.Markdown(NOTE, elem_classes="seq-note")
            files = sorted(EXAMPLES.glob("*.wav"))
            examples = gr.Examples(
                [[str(file)] for file in files],
                audio,
                example_labels=[title(file) for file in files],
                label="Examples (sources: see About)",
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


def title(example: Path) -> str:
    """Return the title of an example, `Sad then angry, Polish` for `sad_then_angry_pl.wav`."""
    words, _, code = example.stem.rpartition("_")
    if code in LANGUAGES:
        return f"{words.replace('_', ' ').capitalize()}, {LANGUAGES[code]}"
    return example.stem.replace("_", " ").capitalize()


def _scale(recogniser: Recogniser, **options) -> gr.Radio:
    return gr.Radio([(f"{name} ({len(of)} classes)", name) for name, of in recogniser.scales.items()], **options)


def _live_tab(recogniser: Recogniser):
    with gr.Row():
        with gr.Column():
            audio = Recording(
                type="filepath",
                sources=["microphone"],
                streaming=True,
                label="Microphone",
                editable=False,
                buttons=[],
                elem_id="microphone",
            )
            scale = _scale(recogniser, value="basic", label="Scale of the next recording", elem_id="live-scale")
            gr.Markdown(LIVE_NOTE, elem_classes="seq-note")
        with gr.Column():
            shown = gr.HTML(WAITING, elem_id="live-answer")
    listener = gr.State(None, time_to_live=LIVE_KEPT)
    private = {"api_visibility": "private", "show_progress": "hidden"}
    audio.start_recording(lambda: (None, WAITING), None, [listener, shown], queue=False, **private)
    limits = {"stream_every": CHUNK, "time_limit": MAX_SECONDS, "concurrency_limit": LIVE_AT_ONCE}
    audio.stream(recogniser.listen, [audio, listener, scale], [listener, shown], **limits, **private)
    audio.stop_recording(recogniser.stop, listener, [listener, shown], **private)


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
    keep_tensors_out_of_the_heap()
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
