"""Conversion of pipeline inputs to waveforms, of waveforms to model inputs, and of IPA symbols to ids and back."""

import numbers
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import TextIOBase
from types import GeneratorType

import numpy as np
import soxr
import torch
from torch.utils.data import Dataset
from transformers import (
    BatchFeature,
    ProcessorMixin,
    SeamlessM4TFeatureExtractor,
    SequenceFeatureExtractor,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)

from .audio_speecheq import MAX_PEAK, MIN_SECONDS, RATES, SAMPLING_RATE, SILENT_PEAK, MixDown, read_blocks
from .labels_speecheq import CTC_BLANK, MISSING

MAX_CHANNELS = 8
ENCODED = (str, bytes, bytearray, memoryview)  # types of a file name and of file contents


class SpeechEQFeatureExtractor(SequenceFeatureExtractor):
    """Feature extractor of the speech encoder. It processes each utterance independently of the rest of the batch.

    Args:
        backbone_type (`str`, *optional*, defaults to `"whisper"`): `model_type` of the encoder.
        num_mel_bins (`int`, *optional*, defaults to 80): mel channels, for whisper and wav2vec2-bert.
        do_normalize (`bool`, *optional*, defaults to `True`): normalise each waveform to mean 0 and variance 1, for
            waveform encoders.
        sampling_rate (`int`, *optional*, defaults to 16000): sampling rate of the encoder, in Hz.
    """

    def __init__(
        self,
        backbone_type: str = "whisper",
        num_mel_bins: int = 80,
        do_normalize: bool = True,
        sampling_rate: int = SAMPLING_RATE,
        **kwargs,
    ):
        self.backbone_type = backbone_type
        self.num_mel_bins = num_mel_bins
        self.do_normalize = do_normalize
        size = num_mel_bins if self._input_name == "input_features" else 1
        super().__init__(**{"feature_size": size, "padding_value": 0.0} | kwargs, sampling_rate=sampling_rate)
        self.model_input_names = [self._input_name, "attention_mask"]

    @classmethod
    def for_backbone(cls, backbone_config, **kwargs) -> "SpeechEQFeatureExtractor":
        """Create the feature extractor for an encoder configuration."""
        mels = {"whisper": "num_mel_bins", "wav2vec2-bert": "feature_projection_input_dim"}
        bins = getattr(backbone_config, mels.get(backbone_config.model_type, ""), 80)
        # wav2vec2-bert stacks two frames of mel features into one.
        bins = bins // 2 if backbone_config.model_type == "wav2vec2-bert" else bins
        return cls(backbone_type=backbone_config.model_type, num_mel_bins=bins, **kwargs)

    @property
    def _input_name(self) -> str:
        return "input_features" if self.backbone_type in ("whisper", "wav2vec2-bert") else "input_values"

    def __call__(
        self,
        audio,
        sampling_rate: int | None = None,
        padding: bool | str = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = "pt",
    ) -> BatchFeature:
        """Prepare one utterance or a batch.

        Args:
            audio (`np.ndarray`, `torch.Tensor`, `list[float]` or a list of these): one utterance, or a list of them. Floats
                in `[-1, 1]` or integer PCM; mono, or up to 8 channels as `(samples, channels)`, which are averaged.
            sampling_rate (`int`): sampling rate of the audio, in Hz. The audio is resampled to 16 kHz.
            padding (`bool` or `str`, *optional*, defaults to `True`): pad to the longest utterance (`True` or `"longest"`),
                to `max_length` (`"max_length"`), or not (`False` or `"do_not_pad"`).
            max_length (`int`, *optional*): number of samples at 16 kHz for `truncation` and `padding="max_length"`.
            truncation (`bool`, *optional*, defaults to `False`): keep the first `max_length` samples.
            pad_to_multiple_of, return_attention_mask (*optional*): as in every feature extractor of transformers.
            return_tensors (`str`, *optional*, defaults to `"pt"`): `"pt"`, `"np"`, or `None` for a list of arrays.

        Returns:
            `BatchFeature` with `input_features` (whisper: `(batch, mels, frames)`; wav2vec2-bert: `(batch, frames,
            channels)`) or `input_values` (`(batch, samples)`), and `attention_mask` (`(batch, frames or samples)`).

        Raises:
            ValueError: if the sampling rate is missing or out of range, an utterance is empty, shorter than 0.05 s, not
                finite, louder than twice full scale, or of an ambiguous or unsupported shape, or `max_length` is missing.
            TypeError: if the audio is not numeric, or has 64-bit integers (for example, a list of integers).
        """
        if max_length is None and (truncation or padding == "max_length"):
            raise ValueError("SpeechEQFeatureExtractor: max_length must be given, in samples; got None.")
        utterances = [
            to_mono_16khz(utterance, sampling_rate, item=index) for index, utterance in enumerate(_as_list(audio))
        ]
        features = [self._extract(utterance[: max_length if truncation else None]) for utterance in utterances]
        frames = len(self._extract(np.zeros(max_length, np.float32))) if padding == "max_length" else None
        batch = super().pad(
            {self._input_name: features},
            padding=padding,
            max_length=frames,
            pad_to_multiple_of=pad_to_multiple_of,
            return_attention_mask=return_attention_mask,
        )
        return self._time_last(batch, return_tensors)

    def pad(self, processed_features, *args, return_tensors: str | None = None, **kwargs) -> BatchFeature:
        """Pad outputs of `__call__`, as a data collator does.

        Args:
            processed_features (`list[dict]` or `dict`): utterances, or a batch of them.
            args, kwargs: as in [`~transformers.SequenceFeatureExtractor.pad`]; `max_length` is in frames for mel features.
            return_tensors (`str`, *optional*): `"pt"`, `"np"`, or `None` for a list of arrays.
        """
        if isinstance(processed_features, (list, tuple)):
            processed_features = {name: [row[name] for row in processed_features] for name in processed_features[0]}
        batch = {**processed_features}
        if self.backbone_type == "whisper":  # transformers pads the first dimension, here time
            batch[self._input_name] = [np.asarray(row, np.float32).T for row in batch[self._input_name]]
        return self._time_last(super().pad(batch, *args, **kwargs), return_tensors)

    def _time_last(self, batch: BatchFeature, return_tensors: str | None) -> BatchFeature:
        if self.backbone_type == "whisper":
            batch[self._input_name] = [features.T for features in batch[self._input_name]]
        if "attention_mask" in batch:  # transformers makes it int32; the models and exported graphs take int64
            batch["attention_mask"] = [np.asarray(mask, np.int64) for mask in batch["attention_mask"]]
        return BatchFeature(dict(batch), tensor_type=return_tensors)

    def _extract(self, waveform: np.ndarray) -> np.ndarray:
        """Extract the features of one utterance, time first: `(frames, channels)` or `(samples,)`."""
        options = {"sampling_rate": self.sampling_rate, "return_tensors": "np"}
        if self.backbone_type == "whisper":
            extractor = _stock(WhisperFeatureExtractor, feature_size=self.num_mel_bins)
            return extractor(waveform, padding=False, truncation=False, **options)["input_features"][0].T
        if self.backbone_type == "wav2vec2-bert":
            extractor = _stock(
                SeamlessM4TFeatureExtractor, feature_size=self.num_mel_bins, num_mel_bins=self.num_mel_bins
            )
            return extractor(waveform, **options)["input_features"][0]
        extractor = _stock(Wav2Vec2FeatureExtractor, do_normalize=self.do_normalize)
        return extractor(waveform, **options)["input_values"][0]


class SpeechEQProcessor(ProcessorMixin):
    """Processor of a model: its feature extractor and its phoneme inventory.

    Args:
        feature_extractor ([`SpeechEQFeatureExtractor`]): feature extractor for the audio.
        phoneme_labels (`list[str]`, *optional*, defaults to `["<blank>"]`): IPA symbols of the model; the first is the
            CTC blank.
    """

    def __init__(self, feature_extractor=None, phoneme_labels: list[str] | None = None):
        super().__init__(feature_extractor)
        self.phoneme_labels = list(phoneme_labels or [CTC_BLANK])
        self._phoneme_ids = {symbol: index for index, symbol in enumerate(self.phoneme_labels)}

    @classmethod
    def for_config(cls, config) -> "SpeechEQProcessor":
        """Create the processor for a [`SpeechEQConfig`]."""
        extractor = SpeechEQFeatureExtractor.for_backbone(config.backbone_config)
        return cls(extractor, phoneme_labels=config.phoneme_labels)

    def __call__(
        self,
        audio,
        sampling_rate: int | None = None,
        phonemes: Sequence[Sequence[str] | None] | None = None,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Prepare audio with the [`SpeechEQFeatureExtractor`], and phoneme labels for training.

        Args:
            audio: one utterance or a list of them.
            sampling_rate (`int`): sampling rate of the audio, in Hz.
            phonemes (`list[list[str] | None]`, *optional*): IPA symbols of each utterance; `None` if missing.
            return_tensors (`str`, *optional*, defaults to `"pt"`): `"pt"` or `"np"`.

        Returns:
            `BatchFeature` of the feature extractor, with `phoneme_labels` (`(batch, length)`) if `phonemes` is given.

        Raises:
            ValueError, TypeError: for the same audio as in the feature extractor.
            ValueError: if a symbol is not in the inventory.
        """
        batch = self.feature_extractor(audio, sampling_rate=sampling_rate, return_tensors=return_tensors)
        if phonemes is not None:
            labels = pad_labels([self.encode_phonemes(symbols or []) for symbols in phonemes])
            batch["phoneme_labels"] = labels.numpy() if return_tensors == "np" else labels
        return batch

    def encode_phonemes(self, symbols: Sequence[str]) -> list[int]:
        """Convert IPA symbols to ids.

        Raises:
            ValueError: if a symbol is not in the inventory.
        """
        unknown = sorted({symbol for symbol in symbols if symbol not in self._phoneme_ids or symbol == CTC_BLANK})
        if unknown:
            raise ValueError(
                f"SpeechEQProcessor: phonemes must be among the {len(self.phoneme_labels) - 1} symbols of "
                f"`phoneme_labels`; got {', '.join(map(repr, unknown[:10]))}."
            )
        return [self._phoneme_ids[symbol] for symbol in symbols]

    def decode_phonemes(self, phoneme_logits, frame_lengths=None) -> list[list[str]]:
        """Decode CTC output by the best path: the most probable symbol of each frame, without repeats and blanks.

        Args:
            phoneme_logits (`torch.FloatTensor` of shape `(batch, frames, symbols)`, or ids of shape `(batch, frames)`):
                output of the model. Ids below 0 are padding.
            frame_lengths (`torch.LongTensor` of shape `(batch,)`, *optional*): frames of each utterance without padding.

        Returns:
            `list[list[str]]`: the IPA symbols of each utterance.
        """
        ids = np.asarray(phoneme_logits.detach().cpu() if isinstance(phoneme_logits, torch.Tensor) else phoneme_logits)
        ids = ids.argmax(axis=-1) if ids.ndim == 3 else ids
        lengths = [ids.shape[1]] * len(ids) if frame_lengths is None else [int(length) for length in frame_lengths]
        decoded = []
        for row, length in zip(ids, lengths, strict=True):
            decoded.append([self.phoneme_labels[index] for index, _, _ in symbol_runs(row[:length])])
        return decoded


def symbol_runs(ids: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Merge the repeats of a best CTC path, and drop blanks and padding.

    Args:
        ids (`np.ndarray` of shape `(frames,)`): most probable symbol of each frame.

    Yields:
        `tuple[int, int, int]`: id, first frame, and the frame after the last, of each symbol.
    """
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
        if ids[start] > 0:
            yield int(ids[start]), int(start), int(stop)


def to_mono_16khz(audio, sampling_rate: int | None, item: int = 0, mix=None) -> np.ndarray:
    """Check one utterance and convert it to mono, float32, 16 kHz.

    Args:
        audio (`np.ndarray`, `torch.Tensor` or `list[float]`): `(samples,)`, `(samples, channels)` or `(channels, samples)`.
        sampling_rate (`int`): sampling rate of the audio, in Hz.
        item (`int`, *optional*, defaults to 0): index in the batch, for error messages.
        mix (*optional*): see [`~speecheq.audio_speecheq.read_blocks`].

    Returns:
        `np.ndarray` of shape `(samples,)`.

    Raises:
        ValueError, TypeError: see [`SpeechEQFeatureExtractor.__call__`].
    """

    def refuse(field: str, rule: str, got: str, then: str = "", error=ValueError):
        raise error(f"SpeechEQProcessor: {field} must {rule}; got {got} in item {item}.{then and ' ' + then}")

    low, high = RATES
    if sampling_rate is None:
        refuse("sampling_rate", "be given", "None", "Pass the rate of the audio, for example `sampling_rate=16000`.")
    if not isinstance(sampling_rate, numbers.Real) or isinstance(sampling_rate, bool):
        refuse("sampling_rate", "be a number", repr(sampling_rate), error=TypeError)
    if not low <= sampling_rate <= high:
        refuse("sampling_rate", f"lie in [{low}, {high}] Hz", repr(sampling_rate))
    if isinstance(audio, (str, bytes, dict)):
        refuse("audio", "be an array of samples", type(audio).__name__, "Read the file first.", TypeError)
    try:
        array = np.asarray(audio.detach().cpu() if isinstance(audio, torch.Tensor) else audio)
    except (ValueError, TypeError, OverflowError) as error:  # lists of unequal lengths, or a bfloat16 tensor
        refuse("audio", "be an array of samples", str(error))
    if array.dtype.kind not in "fiu":
        refuse("audio", "be floats in [-1, 1] or integer PCM", f"dtype {array.dtype}", error=TypeError)
    if array.dtype.kind in "iu" and array.itemsize > 4:  # a list of integers: its full scale is unknown
        then = "Pass an array with its own type, for example `numpy.int16`."
        refuse("audio", "be floats in [-1, 1] or integer PCM of 8 to 32 bits", f"dtype {array.dtype}", then, TypeError)
    if array.size == 0:
        refuse("audio", "not be empty", "0 samples")
    if array.dtype == np.int32 and SILENT_PEAK <= (peak := max(-int(array.min()), int(array.max()))) / 2**15 < 1:
        then = "If these are values of 16 bits, pass `audio.astype(numpy.int16)`."
        refuse("audio", "use the range of int32", f"a peak of {peak}, less than 2**15,", then)
    array = _mix_down(to_float(array), refuse, mix or MixDown())
    if not np.isfinite(array).all():
        refuse("audio", "be finite", f"{int((~np.isfinite(array)).sum())} NaN or infinite samples")
    seconds = len(array) / sampling_rate
    if seconds < MIN_SECONDS:
        refuse("audio", f"last at least {MIN_SECONDS} s", f"{seconds:.4f} s ({len(array)} samples)")
    if sampling_rate != SAMPLING_RATE:
        array = soxr.resample(array, sampling_rate, SAMPLING_RATE, quality="HQ")
    if not (peak := float(np.abs(array).max())) <= MAX_PEAK:  # checked after resampling, which can raise the peak
        refuse("audio", "be floats in [-1, 1] or integer PCM", f"a peak of {peak:g}", "Scale the audio.")
    return array


def pad_labels(rows: list[list[int]]) -> torch.Tensor:
    """Pad the ids of each utterance with -100 to a tensor of shape `(batch, max(1, longest))`."""
    labels = torch.full((len(rows), max([1, *map(len, rows)])), MISSING)
    for label, row in zip(labels, rows, strict=True):
        label[: len(row)] = torch.tensor(row, dtype=torch.long)
    return labels


def _as_list(audio) -> list:
    empty = isinstance(audio, (list, tuple)) and not audio
    if empty or (getattr(audio, "ndim", 1) == 3 and not len(audio)):
        raise ValueError("SpeechEQProcessor: audio must contain at least one utterance; got an empty list.")
    if isinstance(audio, (list, tuple)):
        return [audio] if isinstance(audio[0], numbers.Real) else list(audio)
    if getattr(audio, "ndim", 1) == 2 and audio.shape[0] > 1 and audio.shape[1] > MAX_CHANNELS:
        raise ValueError(
            f"SpeechEQProcessor: audio must not be an ambiguous array; got shape {tuple(audio.shape)}, a batch or several "
            "channels. Pass `list(audio)` for a batch of utterances, or `[audio]` for one utterance with several channels."
        )
    return list(audio) if getattr(audio, "ndim", 1) == 3 else [audio]


def to_float(array: np.ndarray) -> np.ndarray:
    """Convert floats or integer PCM of 8 to 32 bits to float32, with full scale 1."""
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    if array.dtype.kind == "u":  # the zero level of unsigned PCM (8-bit WAV files) is the middle of its range
        middle = (np.iinfo(array.dtype).max + 1) / 2
        return ((array - middle) / middle).astype(np.float32)
    return (array / (np.iinfo(array.dtype).max + 1)).astype(np.float32)


def _mix_down(array: np.ndarray, refuse, mix) -> np.ndarray:
    if array.ndim == 1:
        return mix(array[:, None])
    if array.ndim != 2 or min(array.shape) > MAX_CHANNELS:
        refuse("audio", f"have shape (samples,) or (samples, at most {MAX_CHANNELS} channels)", f"shape {array.shape}")
    return mix(array if np.argmin(array.shape) else array.T)


_extractors: dict = {}


def _stock(extractor_class, **options):
    """Return a cached stock feature extractor: building its mel filters takes longer than processing an utterance."""
    key = (extractor_class, *sorted(options.items()))
    if key not in _extractors:
        _extractors[key] = extractor_class(**options)
    return _extractors[key]


def multiple_inputs(inputs) -> list | GeneratorType | Dataset | None:
    """Convert multiple inputs to a type that transformers pipelines iterate over; return `None` for a single input.

    A list or a tuple becomes a list, and any other iterable a generator: a `datasets` column, which is decoded lazily, a
    streaming column, or a pandas series of paths. So does an empty list, because transformers reads the first item of a list.
    """
    if isinstance(inputs, (GeneratorType, Dataset)):
        rows = getattr(inputs, "dataset", None)  # of a `KeyDataset`
        streaming = hasattr(inputs, "key") and isinstance(rows, Iterable) and not hasattr(rows, "__len__")
        return (row[inputs.key] for row in rows) if streaming else inputs
    if isinstance(inputs, (list, tuple)):
        one = bool(inputs) and (_is_number(inputs[0]) or with_rate(inputs) is not None)
        return None if one else list(inputs) if inputs else (audio for audio in inputs)
    numeric = hasattr(inputs, "dtype") and getattr(inputs.dtype, "kind", "f") not in "OSTU"
    if numeric or not isinstance(inputs, Iterable) or isinstance(inputs, (*ENCODED, array, Mapping, os.PathLike)):
        return None
    files_and_tables = ("read", "get_all_samples", "column_names", "columns")
    return None if any(hasattr(inputs, name) for name in files_and_tables) else (audio for audio in inputs)


def blocks_of(audio, sampling_rate: int | None, mix=None) -> Iterator[np.ndarray]:
    """Convert one input to blocks of 16 kHz mono audio.

    Args:
        audio: see [`SpeechEQPipeline.__call__`].
        sampling_rate (`int`, *optional*): sampling rate of an array without its own, in Hz.
        mix (*optional*): see [`~speecheq.audio_speecheq.read_blocks`].

    Returns:
        `Iterator[np.ndarray]` of shape `(samples,)`: blocks, float32.

    Raises:
        ValueError, TypeError: if the input is not audio.
    """
    if isinstance(audio, dict):
        return _blocks_of_dict(audio, sampling_rate, mix)
    if (pair := with_rate(audio)) is not None:
        return blocks_of(*pair, mix)
    if hasattr(audio, "get_all_samples"):  # the torchcodec decoder that `datasets` returns
        decoded = audio.get_all_samples()
        return blocks_of(decoded.data, decoded.sample_rate, mix)
    if isinstance(audio, (*ENCODED, os.PathLike)):
        return read_blocks(audio, mix)
    content = audio.read() if hasattr(audio, "read") and not isinstance(audio, TextIOBase) else None
    if isinstance(content, bytes):
        return read_blocks(content, mix)
    if _is_array(audio):
        return iter([to_mono_16khz(audio, sampling_rate, mix=mix)])
    raise TypeError(
        "SpeechEQPipeline: audio must be a path, an http(s) URL, bytes, a binary file object, a dict or an array; got "
        f"{type(audio).__name__}. For multiple inputs, pass a list, a generator or a column."
    )


def _blocks_of_dict(audio: dict, sampling_rate: int | None, mix) -> Iterator[np.ndarray]:
    found = next((audio[name] for name in ("array", "raw") if audio.get(name) is not None), None)
    rate = audio.get("sampling_rate")
    if found is not None and rate is None:
        raise ValueError("SpeechEQPipeline: a dict with an array must have sampling_rate; got None.")
    if found is None:
        found = audio.get("bytes") or audio.get("path")
    if found is None:
        found = audio.get("bytes")  # empty bytes: the reader raises the error
    if found is None:
        keys = ", ".join(repr(key) for key, value in audio.items() if value is not None) or "nothing"
        raise ValueError(f"SpeechEQPipeline: a dict must have array, path or bytes; got {keys}.")
    return blocks_of(found, rate or sampling_rate, mix)


def with_rate(audio) -> tuple | None:
    """Return array and rate of a pair in any order: `soundfile.read` returns the array first, Gradio the rate."""
    if isinstance(audio, (list, tuple)) and len(audio) == 2:
        for rate, samples in (audio, audio[::-1]):
            if _is_number(rate) and not _is_number(samples) and _is_array(samples):
                return samples, rate
    return None


def _is_number(value) -> bool:
    return isinstance(value, numbers.Real) or getattr(value, "ndim", None) == 0


def _is_array(audio) -> bool:
    """Return whether the input is an array or tensor of any library, or a (nested) list of numbers."""
    if hasattr(audio, "dtype"):
        return True
    if not isinstance(audio, Sequence) or isinstance(audio, ENCODED):
        return False
    return not len(audio) or _is_number(audio[0]) or _is_array(audio[0])


__all__ = ["SpeechEQFeatureExtractor", "SpeechEQProcessor"]
