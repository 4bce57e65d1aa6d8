"""Prediction for a recording on the page, or a plain reason why there is none."""

import math
from importlib import import_module
from pathlib import Path

import numpy as np
from transformers import Pipeline

MAX_SECONDS = 300
MAX_BYTES = 25 * 2**20
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


def hear(pipe: Pipeline, path: str | None, scale: str) -> tuple[dict, np.ndarray | None, int]:
    """Predict for a file within the limits of the page.

    Args:
        pipe (`SpeechEQPipeline`): pipeline loaded with `trust_remote_code`, whose module reads the file.
        path (`str`, *optional*): path of the recording.
        scale (`str`): `fine`, `basic` or `valence`.

    Returns:
        `tuple`: the output of the pipeline, or `{"error": reason}`; the samples, `(samples,)`, or `None` after an error;
        and their sampling rate in Hz.
    """
    code = import_module(type(pipe).__module__)
    try:
        samples = _read(code.blocks_of, code.SAMPLING_RATE, path)
        audio = {"array": samples, "sampling_rate": code.SAMPLING_RATE}
        return pipe(audio, scale=scale), samples, code.SAMPLING_RATE
    except ValueError as error:
        return {"error": _plain(str(error))}, None, code.SAMPLING_RATE


def _read(blocks_of, rate: int, path: str | None) -> np.ndarray:
    """Read the samples of a file, and stop decoding at the limits of the page."""
    if path is None:
        raise ValueError("There is no recording yet. Record one or upload a file.")
    if not Path(path).is_file():
        raise ValueError("The recording is no longer here. Record or upload it again.")
    if Path(path).stat().st_size > MAX_BYTES:
        raise ValueError(f"This file is larger than {MAX_BYTES >> 20} MB. Upload a smaller one.")
    blocks, count = [], 0
    for block in blocks_of(path, None):
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
