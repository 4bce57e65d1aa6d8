"""What the pipeline is given: one audio or many, each of any kind, as 16 kHz mono."""

import os
from array import array
from collections.abc import Iterator, Sequence
from io import TextIOBase
from numbers import Real
from types import GeneratorType

import numpy as np
from torch.utils.data import Dataset

from .audio_speecheq import read_blocks
from .processing_speecheq import to_mono_16khz

ENCODED = (str, bytes, bytearray, memoryview)  # the name of a file, or its bytes


def many(inputs) -> list | GeneratorType | Dataset | None:
    """Many inputs as the pipelines of transformers know them; `None` if it is one.

    A list or a tuple gives a list. A column of `datasets`, which is read audio by audio, gives a generator; and so does
    nothing at all, for of a list transformers looks at the first.
    """
    if isinstance(inputs, (GeneratorType, Dataset)):
        return inputs
    if not isinstance(inputs, Sequence) or isinstance(inputs, (*ENCODED, array)):
        return None
    return list(inputs) if isinstance(inputs, (list, tuple)) and inputs else (audio for audio in inputs)


def blocks_of(audio, sampling_rate: int | None) -> Iterator[np.ndarray]:
    """One input as blocks of 16 kHz mono.

    Args:
        audio: see [`SpeechEQPipeline.__call__`].
        sampling_rate (`int`, *optional*): of an array that does not bring its own, in Hz.

    Raises:
        ValueError, TypeError: if it is no audio.
    """
    if isinstance(audio, dict):
        return _blocks_of_dict(audio, sampling_rate)
    if hasattr(audio, "get_all_samples"):  # torchcodec's decoder, which `datasets` gives
        decoded = audio.get_all_samples()
        return blocks_of(decoded.data, decoded.sample_rate)
    if isinstance(audio, (*ENCODED, os.PathLike)):
        return read_blocks(audio)
    content = audio.read() if hasattr(audio, "read") and not isinstance(audio, TextIOBase) else None
    if isinstance(content, bytes):
        return read_blocks(content)
    if _is_array(audio):
        return iter([to_mono_16khz(audio, sampling_rate)])
    raise TypeError(
        "SpeechEQPipeline: audio must be a path, an http(s) address, bytes, a file opened in binary, a dict or an array; got "
        f"{type(audio).__name__}. For many give a list, a generator or a column of them."
    )


def _blocks_of_dict(audio: dict, sampling_rate: int | None) -> Iterator[np.ndarray]:
    found = next((audio[name] for name in ("array", "raw") if audio.get(name) is not None), None)
    rate = audio.get("sampling_rate")
    if found is not None and rate is None:
        raise ValueError("SpeechEQPipeline: a dict with an array must have its sampling_rate; got none.")
    if found is None:
        found = audio.get("bytes") or audio.get("path")
    if found is None:
        found = audio.get("bytes")  # none in it, and the reader says so
    if found is None:
        keys = ", ".join(repr(key) for key, value in audio.items() if value is not None) or "nothing"
        raise ValueError(f"SpeechEQPipeline: a dict must have array, path or bytes; got {keys}.")
    return blocks_of(found, rate or sampling_rate)


def _is_array(audio) -> bool:
    """Whether it is an array or a tensor of any library, or numbers in a list, or in lists of it."""
    if hasattr(audio, "dtype"):
        return True
    if not isinstance(audio, Sequence) or isinstance(audio, ENCODED):
        return False
    return not len(audio) or isinstance(audio[0], Real) or _is_array(audio[0])
