"""Prediction for a recording on the page, or a plain reason why there is none."""

import math
from importlib import import_module
from pathlib import Path

import numpy as np
from transformers import Pipeline

MAX_SECONDS = 300
MAX_BYTES = 25 * 2**20
MAX_CHANNELS = 4  # of a recording whose channels are scored separately
# Plain messages for the error prefixes of the pipeline.
PLAIN = {
    "unreadable": "This file cannot be read as audio",
    "truncated": "This file is incomplete: its end is missing",
    "damaged": "This file is damaged",
    "not finite": "This file contains values that are not audio",
    "out of range": "This file contains values that are not audio",
    "no audio": "This file has an unusual audio format",
    "empty": "This recording is too short",
}


def scales(config) -> dict[str, list[str]]:
    """Return the labels of each scale of a configuration, in order, `fine` first."""
    return {"fine": list(config.esc_labels)} | {name: list(labels) for name, labels in config.esc_scales.items()}


def hear(
    pipe: Pipeline, path: str | None, scale: str, channels: str = "mix"
) -> tuple[list[dict], list[np.ndarray], int, str | None]:
    """Predict for a file within the limits of the page.

    Args:
        pipe (`SpeechEQPipeline`): pipeline loaded with `trust_remote_code`, whose module reads the file.
        path (`str`, *optional*): path of the recording.
        scale (`str`): `fine`, `basic` or `valence`.
        channels (`str`, *optional*, defaults to `"mix"`): `mix`, or `each` for one output per channel.

    Returns:
        `tuple`: outputs of the pipeline, or one `{"error": reason}`; the samples of each, `(samples,)`, none after an error;
        their sampling rate in Hz; and a note if the channels cancel each other.
    """
    code = import_module(type(pipe).__module__)
    reader = import_module(code.OneChannel.__module__)
    rate = reader.SAMPLING_RATE
    try:
        if channels == "mix":
            samples = _read(code.blocks_of, rate, path, mix := reader.MixDown("upload"))
            return [pipe({"array": samples, "sampling_rate": rate}, scale=scale)], [samples], rate, _note(mix.channel)
        samples = [_read(code.blocks_of, rate, path, first := reader.OneChannel(1))]
        if first.total > MAX_CHANNELS:
            raise ValueError(f"This recording has {first.total} channels. Upload one with at most {MAX_CHANNELS}.")
        for number in range(2, first.total + 1):
            samples.append(_read(code.blocks_of, rate, path, reader.OneChannel(number)))
        audio = {"array": np.stack(samples, axis=1), "sampling_rate": rate}
        return pipe(audio, scale=scale, channels="each", on_error="raise"), samples, rate, None
    except ValueError as error:
        return [{"error": _plain(str(error))}], [], rate, None


def _note(channel: int | None) -> str | None:
    return channel and f"The channels cancel each other: the answer is that of channel {channel}, the loudest."


def _read(blocks_of, rate: int, path: str | None, mix) -> np.ndarray:
    """Read the samples of a file, and stop decoding at the limits of the page."""
    if path is None:
        raise ValueError("There is no recording yet. Record one or upload a file.")
    if not Path(path).is_file():
        raise ValueError("The recording is no longer here. Record or upload it again.")
    if Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(f"This file is larger than {MAX_BYTES >> 20} MB. Upload a smaller one.")
    blocks, count = [], 0
    for block in blocks_of(path, None, mix):
        blocks.append(block)
        count += len(block)
        if count > MAX_SECONDS * rate:
            raise ValueError(f"This recording is longer than {MAX_SECONDS // 60} minutes. Upload a part of it.")
    return np.concatenate(blocks)


def _plain(reason: str) -> str:
    kind, _, detail = reason.partition(":")
    return f"{PLAIN[kind]} ({detail.strip().rstrip('.')}). Try another." if kind in PLAIN else reason


def why_not(answer: dict) -> str | None:
    """Explain in plain words why there is no label; `None` if there is a label."""
    if "error" in answer:
        return answer["error"]
    if answer["abstained"] == "low confidence":
        best = answer["emotion"][0]
        return f"The confidence is too low: the best label, {best['label']}, has only {percent(best['score'])}."
    return {
        None: None,
        "silence": "There is no sound in this recording.",
        "no speech": "No speech was detected in this recording.",
    }[answer["abstained"]]


def percent(score: float) -> str:
    """Format a probability in percent, at most 99 %, because a prediction is never certain."""
    return f"{min(99, math.floor(100 * score + 0.5))} %"
