"""Claims about the processor, for every backbone and for invalid input."""

from array import array
from collections import deque
from itertools import islice
from pathlib import Path

import datasets
import numpy as np
import pandas
import pytest
import soundfile
import torch
from samples import waveform
from transformers import WhisperFeatureExtractor
from transformers.pipelines.pt_utils import KeyDataset

from speecheq import SpeechEQConfig, SpeechEQProcessor
from speecheq.audio_speecheq import AudioError
from speecheq.processing_speecheq import SpeechEQFeatureExtractor, blocks_of, multiple_inputs, to_mono_16khz


@pytest.fixture
def processor(whisper_config) -> SpeechEQProcessor:
    return SpeechEQProcessor.for_config(
        SpeechEQConfig(backbone_config=whisper_config, phoneme_labels=["<blank>", "a", "t͡ʃ", "ɨ"])
    )


def test_an_utterance_is_the_same_alone_and_in_a_batch(backbone_config):
    processor = SpeechEQProcessor.for_config(SpeechEQConfig(backbone_config=backbone_config))
    short, long = waveform(0.3), waveform(1.0, seed=1)
    name = processor.feature_extractor.model_input_names[0]
    alone, batch = processor(short, sampling_rate=16_000), processor([long, short], sampling_rate=16_000)
    real = int(batch["attention_mask"][1].sum())
    assert real == alone["attention_mask"].sum()
    in_batch = batch[name][1, :, :real] if backbone_config["model_type"] == "whisper" else batch[name][1, :real]
    torch.testing.assert_close(in_batch, alone[name][0])


def test_whisper_features_on_30_seconds_are_the_stock_ones():
    audio = waveform(30.0)
    ours = SpeechEQFeatureExtractor("whisper")(audio, sampling_rate=16_000)["input_features"]
    stock = WhisperFeatureExtractor()(audio, sampling_rate=16_000, return_tensors="pt")["input_features"]
    torch.testing.assert_close(ours, stock)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz(rate):
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate).astype(np.float32) * 0.5
    resampled = to_mono_16khz(tone, rate)
    expected = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000) * 0.5
    assert abs(len(resampled) - 16_000) <= 1
    assert np.abs(resampled[1000:15_000] - expected[1000:15_000]).max() < 0.01


def test_channels_are_averaged_whichever_axis_they_are_on():
    left, right = waveform(0.5, seed=1), waveform(0.5, seed=2)
    expected = (left + right) / 2
    for stereo in (np.stack([left, right]), np.stack([left, right], axis=1)):
        np.testing.assert_allclose(to_mono_16khz(stereo, 16_000), expected, atol=1e-7)
    surround = np.stack([left] * 6, axis=1)
    np.testing.assert_allclose(to_mono_16khz(surround, 16_000), left, atol=1e-6)


def test_channels_of_an_array_that_cancel_each_other_give_the_loudest(caplog):
    speech = waveform(0.5)
    for stereo in (np.stack([0.99 * speech, -speech]), np.stack([0.99 * speech, -speech], axis=1)):
        np.testing.assert_array_equal(to_mono_16khz(stereo, 16_000), -speech)
    assert len(caplog.messages) == 2 and "channels cancel each other" in caplog.text


@pytest.mark.parametrize(
    ("dtype", "scale", "offset"), [(np.int16, 2**15, 0), (np.int32, 2**31, 0), (np.uint8, 128, 128)]
)
def test_integer_pcm_is_scaled_to_full_range(dtype, scale, offset):
    audio = waveform(0.5)
    pcm = (audio.astype(np.float64) * scale + offset).round().astype(dtype)
    np.testing.assert_allclose(to_mono_16khz(pcm, 16_000), audio, atol=1 / 128)


def test_all_ways_to_pass_one_utterance_agree(processor):
    audio = waveform(0.5)
    expected = processor(audio, sampling_rate=16_000)["input_features"]
    for same in (audio.tolist(), [audio], torch.tensor(audio), [torch.tensor(audio)], audio[None], audio.astype("f8")):
        torch.testing.assert_close(processor(same, sampling_rate=16_000)["input_features"], expected)
    stereo = np.stack([audio, audio], axis=1)
    torch.testing.assert_close(processor(stereo, sampling_rate=16_000)["input_features"], expected)


def lengths(inputs, rate: int | None = None) -> int | list[int]:
    """Return the samples of one audio, or a list of those of each, as the pipeline reads them."""
    several = multiple_inputs(inputs)
    found = [sum(map(len, blocks_of(audio, rate))) for audio in ([inputs] if several is None else islice(several, 9))]
    return found[0] if several is None else found


PAIR = (waveform(0.5), 16_000)
STEREO = np.zeros((24_000, 2), np.int16)


@pytest.mark.parametrize(
    ("audio", "samples"),
    [
        (PAIR, 8_000), (PAIR[::-1], 8_000), (list(PAIR), 8_000), ((PAIR[0].tolist(), 16_000), 8_000),
        ((torch.tensor(PAIR[0]), np.int64(8_000)), 16_000), ((48_000, STEREO), 8_000),
        ([PAIR, (48_000, STEREO)], [8_000, 8_000]),
        ((PAIR[0], PAIR[0]), [8_000, 8_000]), ({"array": PAIR[0], "sampling_rate": 16_000}, 8_000),
    ],
)  # fmt: skip
def test_an_array_with_its_rate_is_one_audio(audio, samples):
    assert lengths(audio, 16_000) == samples


def test_a_list_of_numbers_is_one_audio_that_needs_a_rate():
    numbers = PAIR[0].tolist()
    for audio in (numbers, tuple(numbers), list(PAIR[0]), list(torch.tensor(PAIR[0])), array("f", numbers)):
        assert lengths(audio, 16_000) == 8_000
        with pytest.raises(ValueError, match="sampling_rate must be given"):
            lengths(audio)
    assert lengths([numbers, numbers], 16_000) == [8_000, 8_000]


@pytest.fixture
def paths(tmp_path) -> list[str]:
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, PAIR[0], 16_000)
    return [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]


def test_columns_of_paths_of_any_library_are_many(paths):
    columns = [
        pandas.Series(paths), pandas.Series(paths, dtype="category"), pandas.Series(paths, dtype=object),
        pandas.Index(paths), pandas.Series(list(map(Path, paths))), pandas.DataFrame({"path": paths})["path"],
        np.array(paths), np.array(paths, dtype=object), iter(paths), map(Path, paths), dict.fromkeys(paths).keys(),
        deque(paths), datasets.Dataset.from_dict({"path": paths})["path"],
    ]  # fmt: skip
    for column in columns:
        assert lengths(column) == [8_000, 8_000], type(column)
    assert lengths(pandas.Series(PAIR[0]), 16_000) == 8_000


def test_columns_of_a_streaming_dataset_are_many(paths):
    rows = [{"audio": {"path": path, "bytes": None}} for path in paths]
    stream = datasets.Dataset.from_list(rows).to_iterable_dataset()
    for column in (stream["audio"], KeyDataset(stream, "audio"), KeyDataset(rows, "audio")):
        assert lengths(column) == [8_000, 8_000]


@pytest.mark.parametrize(
    "table",
    [pandas.DataFrame({"path": ["a.wav"]}), datasets.Dataset.from_dict({"path": ["a.wav"]}), {"path": "a.wav"}],
)
def test_a_table_is_not_taken_for_its_columns(table):
    with pytest.raises((TypeError, AudioError), match=r"audio must be a path|there is no file"):
        lengths(table)


@pytest.mark.parametrize("convert", [np.asarray, torch.tensor])
def test_int32_that_holds_values_of_16_bits_is_refused(convert):
    samples = (PAIR[0] * 2**15).astype(np.int32)
    with pytest.raises(
        ValueError, match=r"use the range of int32; got a peak of \d+, less than 2\*\*15, .*numpy.int16"
    ):
        to_mono_16khz(convert(samples), 16_000)
    for quiet in (samples * 0, samples // 2**13, samples * 2**16):
        assert len(to_mono_16khz(convert(quiet), 16_000)) == 8_000


NOISE = waveform(0.5)
NAN = np.where(np.arange(8000) == 7, np.nan, NOISE)


@pytest.mark.parametrize(
    ("audio", "rate", "error", "message"),
    [
        (np.zeros(0, np.float32), 16_000, ValueError, "audio must not be empty; got 0 samples in item 0"),
        ([NOISE, []], 16_000, ValueError, "audio must not be empty; got 0 samples in item 1"),
        ([], 16_000, ValueError, "at least one utterance; got an empty list"),
        (np.zeros(1, np.float32), 16_000, ValueError, r"last at least 0.05 s; got 0.0001 s \(1 samples\)"),
        (NAN, 16_000, ValueError, "audio must be finite; got 1 NaN or infinite samples in item 0"),
        (NOISE * np.inf, 16_000, ValueError, "audio must be finite"),
        (NOISE * 30_000, 16_000, ValueError, r"floats in \[-1, 1\] or integer PCM; got a peak of"),
        (NOISE, None, ValueError, "sampling_rate must be given; got None"),
        (NOISE, 0, ValueError, r"sampling_rate must lie in \[4000, 384000\] Hz; got 0"),
        (NOISE, 16, ValueError, "sampling_rate must lie in"),
        (NOISE, "16000", TypeError, "sampling_rate must be a number; got '16000'"),
        ("speech.wav", 16_000, TypeError, r"audio must be an array of samples; got str in item 0\. Read the file"),
        ({"array": NOISE}, 16_000, TypeError, "audio must be an array of samples; got dict"),
        (np.array(["a", "b"]), 16_000, TypeError, "audio must be floats in .* or integer PCM; got dtype <U1"),
        (NOISE.astype(complex), 16_000, TypeError, "got dtype complex128"),
        (
            (NOISE * 2**15).astype("i2").tolist(),
            16_000,
            TypeError,
            "PCM of 8 to 32 bits; got dtype int64.* `numpy.int16`",
        ),
        (np.stack([NOISE, NOISE]), 16_000, ValueError, r"got shape \(2, 8000\), a batch or several channels"),
        ([np.zeros((20, 20, 20), np.float32)], 16_000, ValueError, r"got shape \(20, 20, 20\) in item 0"),
    ],
)
def test_bad_input_gets_a_clear_error(processor, audio, rate, error, message):
    with pytest.raises(error, match=message):
        processor(audio, sampling_rate=rate)


def test_silence_gives_finite_features(backbone_config):
    processor = SpeechEQProcessor.for_config(SpeechEQConfig(backbone_config=backbone_config))
    batch = processor(np.zeros(8000, np.float32), sampling_rate=16_000)
    assert batch[processor.feature_extractor.model_input_names[0]].isfinite().all()


def test_phonemes_become_ids_and_come_back(processor):
    batch = processor([NOISE, NOISE], sampling_rate=16_000, phonemes=[["t͡ʃ", "a", "ɨ"], None])
    assert batch["phoneme_labels"].tolist() == [[2, 1, 3], [-100, -100, -100]]
    arrays = processor([NOISE], sampling_rate=16_000, phonemes=[["a"]], return_tensors="np")
    assert {type(value) for value in arrays.values()} == {np.ndarray}
    logits = torch.nn.functional.one_hot(torch.tensor([[2, 2, 0, 1, 1, 0, 1, 3, 3]]), 4).float()
    assert processor.decode_phonemes(logits) == [["t͡ʃ", "a", "a", "ɨ"]]
    assert processor.decode_phonemes(logits, torch.tensor([5])) == [["t͡ʃ", "a"]]


def test_an_unknown_phoneme_is_named(processor):
    with pytest.raises(ValueError, match="phonemes must be among the 3 symbols of `phoneme_labels`; got 'ʒ'"):
        processor.encode_phonemes(["a", "ʒ"])


def test_saving_and_loading_keeps_the_inventory(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    loaded = SpeechEQProcessor.from_pretrained(tmp_path)
    assert loaded.phoneme_labels == processor.phoneme_labels
    assert loaded.feature_extractor.to_dict() == processor.feature_extractor.to_dict()
