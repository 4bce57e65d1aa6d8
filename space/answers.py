"""From a recording to what the page shows: the pipeline's answer, or in plain words why there is none."""

import math
from importlib import import_module
from pathlib import Path

import numpy as np
from transformers import Pipeline

MAX_SECONDS = 300
MAX_BYTES = 25 * 2**20
# What the beginnings of the pipeline's reasons mean to people.
PLAIN = {
    "unreadable": "This file is not sound that can be read",
    "truncated": "This file ends before its sound does: it was cut off",
    "damaged": "This file is damaged",
    "not finite": "This file holds values that are no sound",
    "out of range": "This file holds values that are no sound",
    "no audio": "This file is of a kind that no recording has",
    "empty": "This recording is too short",
}


def scales(config) -> dict[str, list[str]]:
    """The labels of each scale of a model's configuration, in its order: `fine` first."""
    return {"fine": list(config.esc_labels)} | {name: list(labels) for name, labels in config.esc_scales.items()}


def hear(pipe: Pipeline, path: str | None, scale: str) -> tuple[dict, np.ndarray | None, int]:
    """Answer a file within the limits of the page.

    Args:
        pipe (`SpeechEQPipeline`): loaded with `trust_remote_code`, so that its class brings the code that reads files.
        path (`str`, *optional*): of the recording.
        scale (`str`): `fine`, `basic` or `valence`.

    Returns:
        `tuple`: the pipeline's answer, or `{"error": reason}`; the samples, `(samples,)`, or `None` where there are none;
        and their rate in Hz.
    """
    code = import_module(type(pipe).__module__)
    try:
        samples = _read(code.blocks_of, code.SAMPLING_RATE, path)
        audio = {"array": samples, "sampling_rate": code.SAMPLING_RATE}
        return pipe(audio, scale=scale), samples, code.SAMPLING_RATE
    except ValueError as error:
        return {"error": _plain(str(error))}, None, code.SAMPLING_RATE


def _read(blocks_of, rate: int, path: str | None) -> np.ndarray:
    """The samples of a file, of which no more is decoded than may be answered."""
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
    """The reason for an answer without a label, in plain words; `None` where there is a label."""
    if "error" in answer:
        return answer["error"]
    if answer["abstained"] == "low confidence":
        best = answer["emotion"][0]
        return f"The model is not sure enough: the likeliest, {best['label']}, has only {percent(best['score'])}."
    return {
        None: None,
        "silence": "There is no sound in this recording.",
        "no speech": "Nobody can be heard speaking in this recording.",
    }[answer["abstained"]]


def percent(score: float) -> str:
    """A probability as people read it. Certainty is never claimed: 0.999 is 99 %, not 100 %."""
    return f"{min(99, math.floor(100 * score + 0.5))} %"
