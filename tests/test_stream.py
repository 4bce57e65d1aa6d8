"""Claims about live streams: chunks of any size give the segments of the file pipeline, early and in constant memory."""

import logging
import threading
import tracemalloc

import numpy as np
import pytest
import soundfile
import soxr
import torch
from samples import tiny_pipeline, utterances, waveform
from transformers.pipelines.audio_utils import chunk_bytes_iter

from speecheq.pipeline_speecheq import SpeechEQPipeline
from speecheq.speech_speecheq import LiveAudio, SpeechStream

RATE = 16_000


@pytest.fixture(scope="module")
def pipe() -> SpeechEQPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """Half a minute: synthetic speech, once without pauses, and silence."""
    spoken = utterances(12)
    pause = np.zeros(RATE, np.float32)
    return np.concatenate([pause, *[part for one in spoken for part in (one, pause)], *spoken[:4], pause])


def noise(*seconds: float) -> np.ndarray:
    """Noise, which counts as speech without silero-vad, with pauses of half a second."""
    pause = np.zeros(RATE // 2, np.float32)
    return np.concatenate([part for seed, length in enumerate(seconds) for part in (waveform(length, seed), pause)])


def cut(samples: np.ndarray, size: int) -> list[np.ndarray]:
    return [samples[at : at + size] for at in range(0, len(samples), size)]


def run(stream: SpeechStream, chunks) -> list[dict]:
    return list(stream.events(chunks))


def segments_of(events: list[dict]) -> list[dict]:
    """The finished segments, without the name of the event."""
    return [
        {name: event[name] for name in event if name != "event"} for event in events if event["event"] == "segment"
    ]


def assert_same(found: list[dict], expected: list[dict]):
    assert [(s["start"], s["end"], s["label"]) for s in found] == [
        (s["start"], s["end"], s["label"]) for s in expected
    ]
    for name in ("score", "intensity"):
        assert [s[name] for s in found] == pytest.approx([s[name] for s in expected], abs=1e-4)
    assert all(list(s) == list(t) for s, t in zip(found, expected, strict=True))


def microphone(samples: np.ndarray, chunk: float, every: float, stride: float, kind=np.float32) -> list[dict]:
    """The items of `ffmpeg_microphone_live`: it makes them of the output of ffmpeg in this way."""
    pcm = samples if kind == np.float32 else (samples * 2**15).astype(kind)
    data, size = pcm.tobytes(), np.dtype(kind).itemsize
    step, length, side = (int(seconds * RATE) * size for seconds in (every, chunk, stride))
    read = (data[at : at + step] for at in range(0, len(data), step))
    items = []
    for item in chunk_bytes_iter(read, length, stride=(side, side), stream=True):
        left, right = item["stride"]
        item |= {"raw": np.frombuffer(item["raw"], kind), "stride": (left // size, right // size)}
        items.append(item | {"sampling_rate": RATE})
    return items


@pytest.mark.parametrize("size", [320, 5_000, 32_000])
def test_finished_segments_are_those_of_the_file_for_chunks_of_20_ms_to_2_s(pipe, speech, size):
    pytest.importorskip("silero_vad")
    expected = pipe({"array": speech, "sampling_rate": RATE}, scale="basic")["timeline"]
    events = run(pipe.stream(sampling_rate=RATE, scale="basic"), cut(speech, size))
    assert len(expected) >= 8
    assert_same(segments_of(events), expected)


def test_one_sample_at_a_time_gives_the_same_segments(pipe):
    samples = noise(0.3, 2.6)
    at_once = run(pipe.stream(sampling_rate=RATE, vad=False), [samples])
    assert_same(segments_of(run(pipe.stream(sampling_rate=RATE, vad=False), cut(samples, 1))), segments_of(at_once))


def test_the_segments_of_another_rate_are_those_of_its_file(pipe, tmp_path):
    samples = soxr.resample(noise(5.0, 1.0, 3.0, 0.5), RATE, 44_100)
    soundfile.write(tmp_path / "x.wav", samples, 44_100, subtype="FLOAT")
    expected = pipe(str(tmp_path / "x.wav"), vad=False)["timeline"]
    assert_same(segments_of(run(pipe.stream(44_100, vad=False), cut(samples, 1_234))), expected)


def test_the_label_space_is_that_of_a_call_and_by_default_that_of_the_pipeline(pipe):
    samples = noise(9.0, 2.0)
    labels = ["angry", "sad"]
    expected = pipe({"array": samples, "sampling_rate": RATE}, vad=False, candidate_labels=labels)["timeline"]
    assert_same(segments_of(run(pipe.stream(RATE, vad=False, candidate_labels=labels), [samples])), expected)
    given = SpeechEQPipeline(
        model=pipe.model,
        processor=pipe.processor,
        device="cpu",
        vad=False,
        candidate_labels=labels,
        sampling_rate=RATE,
    )
    assert_same(segments_of(run(given.stream(), [samples])), expected)
    with pytest.raises(ValueError, match="scale must be one of fine, basic, valence; got 'none'"):
        pipe.stream(scale="none")


def test_events_come_in_order_and_early_enough(pipe):
    samples = np.concatenate([np.zeros(RATE, np.float32), noise(4.0, 1.0), np.zeros(RATE, np.float32)])
    stream, at = pipe.stream(RATE, vad=False), []
    for number, chunk in enumerate(cut(samples, 320)):
        at += [((number + 1) * 0.02, event) for event in stream.feed(chunk)]
    kinds = [event["event"] for _, event in at]
    assert kinds == ["speech", *["provisional"] * 8, "segment", "speech", "provisional", "provisional", "segment"]
    began, first = (next(time for time, event in at if event["event"] == name) for name in ("speech", "provisional"))
    assert began <= 1.3 and first <= 2.0  # speech begins at 1 s
    (ended, segment), _ = (pair for pair in at if pair[1]["event"] == "segment")
    assert segment["start"] == at[0][1]["start"] and ended <= 5.0 + 1.0  # the pause begins at 5 s
    times = [event["end"] for _, event in at if event["event"] == "provisional"][:8]
    assert np.diff(times).max() < 0.6 and max(event["end"] - event["start"] for _, event in at[1:9]) < 2.01
    assert all(time - event["end"] < 0.1 for time, event in at[1:9])
    assert stream.close() == []


def test_a_click_is_no_event(pipe):
    samples = np.concatenate([np.zeros(RATE, np.float32), waveform(0.1), np.zeros(RATE, np.float32)])
    assert run(pipe.stream(RATE, vad=False), cut(samples, 1_000)) == []


def test_speech_that_goes_on_is_finished_by_close(pipe):
    stream = pipe.stream(RATE, vad=False)
    assert [event["event"] for event in stream.feed(waveform(0.4))] == ["speech"]
    (segment,) = stream.close()
    assert (segment["event"], segment["start"], segment["end"]) == ("segment", 0.0, 0.4)
    assert stream.close() == [] and stream.closed
    with pytest.raises(ValueError, match="the stream must be open; got a chunk after `close`"):
        stream.feed(waveform(0.1))


@pytest.mark.parametrize("kind", [np.float32, np.int16])
@pytest.mark.parametrize(
    ("chunk", "every", "stride"), [(1.0, 0.1, 0.2), (2.0, 2.0, 0.3), (0.7, 0.3, 0.0), (30.0, 0.5, 5.0)]
)
def test_the_items_of_the_microphone_are_taken_as_they_are(kind, chunk, every, stride):
    samples = noise(5.0, 1.0, 0.33)
    audio = LiveAudio()
    heard = [audio(item) for item in microphone(samples, chunk, every, stride, kind)]
    np.testing.assert_allclose(np.concatenate(heard), samples, atol=1e-4)


def test_items_that_the_microphone_drops_cost_no_others():
    items = microphone(waveform(8.0), chunk=1.0, every=0.1, stride=0.2)
    sizes = []
    for lost in (slice(2, 5), slice(9, 10), slice(9, 12)):  # partial items; a complete chunk; it and the next ones
        audio, left = LiveAudio(), items.copy()
        del left[lost]
        sizes.append(sum(len(audio(item)) for item in left) / RATE)
    assert sizes == [pytest.approx(8.0), pytest.approx(8.0, abs=0.41), pytest.approx(8.0, abs=0.41)]


@pytest.mark.parametrize(
    ("convert", "names"),
    [
        (lambda chunk: (RATE, (chunk * 2**15).astype(np.int16)), "gradio"),
        (lambda chunk: (chunk, RATE), "soundfile"),
        (lambda chunk: {"array": chunk, "sampling_rate": RATE}, "datasets"),
        (lambda chunk: {"raw": chunk.astype(np.float64), "sampling_rate": RATE}, "raw"),
        (lambda chunk: (RATE, np.stack([chunk, chunk], axis=1)), "stereo"),
        (lambda chunk: (RATE, np.stack([chunk, -chunk], axis=1)), "antiphase"),
        (lambda chunk: (RATE, torch.from_numpy(chunk)), "tensor"),
    ],
)
def test_chunks_of_each_form_are_the_same_audio(convert, names):
    samples, audio = noise(1.0, 0.5), LiveAudio()
    heard = np.concatenate([audio(convert(chunk)) for chunk in cut(samples, 320)])
    start = 1_600 if names == "antiphase" else 0  # whether channels cancel each other is unknown before
    np.testing.assert_allclose(heard[start:], samples[start:], atol=1e-4)


def test_empty_late_silent_and_nan_chunks_change_nothing_else(pipe, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("transformers"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("speecheq"), "propagate", True)
    samples = noise(5.0, 1.0)
    expected = run(pipe.stream(RATE, vad=False), cut(samples, 1_600))
    chunks = [part for chunk in cut(samples, 1_600) for part in (chunk, np.zeros(0), [], np.zeros((0, 2), np.int16))]
    assert run(pipe.stream(RATE, vad=False), chunks) == expected
    broken = samples.copy()
    broken[5 * RATE + 100 : 5 * RATE + 200] = np.nan
    broken[5 * RATE + 300] = np.inf
    assert run(pipe.stream(RATE, vad=False), cut(broken, 1_600)) == expected
    assert run(pipe.stream(RATE), [np.full(RATE, np.nan)] * 3 + [np.zeros(RATE)] * 3) == []


def test_another_rate_in_the_middle_is_an_error_that_says_so_and_the_stream_goes_on(pipe):
    samples = noise(5.0, 1.0)
    stream = pipe.stream(vad=False)
    events = stream.feed((RATE, samples[:RATE]))
    with pytest.raises(
        ValueError, match=r"must stay the same in a stream; got 44100 Hz after 16000 Hz\. Close the stream"
    ):
        stream.feed((44_100, samples[RATE:]))
    events += run(stream, [samples[RATE:]])
    assert_same(segments_of(events), segments_of(run(pipe.stream(RATE, vad=False), [samples])))


@pytest.mark.parametrize(
    ("chunk", "error", "message"),
    [
        (
            np.zeros(10),
            ValueError,
            r"sampling_rate must lie in \[4000, 384000\] Hz; got None. Pass it to `pipe.stream`",
        ),
        ((True, np.zeros(10)), ValueError, "sampling_rate must lie in .* got True"),
        ((RATE, np.full(10, 3.0)), ValueError, "got a peak of 3. Scale the audio"),
        (
            (RATE, np.zeros((10, 9))),
            ValueError,
            r"have shape \(samples,\) or \(samples, at most 8 channels\); got \(10, 9\)",
        ),
        ((RATE, np.zeros(10, np.int64)), TypeError, "got dtype int64"),
        ({"raw": b"\x00\x00", "sampling_rate": RATE}, TypeError, "numpy.frombuffer"),
        ({"sampling_rate": RATE}, TypeError, "got dtype object"),
    ],
)
def test_a_chunk_that_is_no_audio_is_refused(chunk, error, message):
    with pytest.raises(error, match=message):
        LiveAudio()(chunk)


def test_other_channels_in_the_middle_are_an_error():
    audio = LiveAudio(RATE)
    audio(np.zeros((10, 2)))
    with pytest.raises(ValueError, match="the number of channels must stay the same in a stream; got 1 after 2"):
        audio(np.zeros(10))


def test_streams_side_by_side_do_not_influence_each_other(pipe, speech):
    pytest.importorskip("silero_vad")
    other = np.roll(speech, 5 * RATE)[: 20 * RATE]
    alone = [run(pipe.stream(RATE), cut(samples, 4_000)) for samples in (speech, other)]
    first, second, found = pipe.stream(RATE), pipe.stream(RATE), ([], [])
    for one, two in zip(cut(speech, 4_000), [*cut(other, 4_000), *[None] * 100], strict=False):
        found[0].extend(first.feed(one))
        if two is not None:
            found[1].extend(second.feed(two))
    assert found[0] + first.close() == alone[0] and found[1] + second.close() == alone[1]


def test_streams_in_threads_do_not_influence_each_other(pipe, speech):
    pytest.importorskip("silero_vad")
    alone, found = run(pipe.stream(RATE), cut(speech, 8_000)), [None] * 3

    def listen(number: int):
        found[number] = run(pipe.stream(RATE), cut(speech, 8_000))

    before = torch.get_num_threads()
    threads = [threading.Thread(target=listen, args=(number,)) for number in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == [alone] * 3 and torch.get_num_threads() == before


def test_a_stream_with_a_speaker_is_a_file_with_one(pipe):
    audio = {"array": noise(9.0, 3.0), "sampling_rate": RATE}
    of_file, of_stream = (pipe.new_speaker() for _ in range(2))
    for speaker in (of_file, of_stream):
        pipe(audio | {"array": waveform(3.0, seed=7)}, vad=False, speaker=speaker)
    expected = pipe(audio, vad=False, speaker=of_file)["timeline"]
    stream = pipe.stream(RATE, vad=False, speaker=of_stream)
    events = [event for chunk in cut(audio["array"], 4_000) for event in stream.feed(chunk)]
    assert of_stream.num_utterances == 1  # until the stream is closed
    assert_same(segments_of(events + stream.close()), expected)
    assert of_stream.num_utterances == of_file.num_utterances > 5
    torch.testing.assert_close(of_stream.mean, of_file.mean)


@pytest.mark.parametrize("pause", [0.5, 0.0])
def test_the_memory_of_a_stream_does_not_grow(pipe, pause):
    """Eight minutes, with a model that costs nothing; a region without a pause keeps the scores of its windows."""
    stream = pipe.stream(RATE, vad=False)
    scores = np.full(12, 1 / 12, np.float32)
    stream._predict = lambda samples, provisional: (scores, 0.5)
    minute = [*cut(waveform(9.0), 8_000), *cut(np.zeros(int(pause * RATE), np.float32), 8_000)] * 6
    [stream.feed(chunk) for chunk in minute * 2]
    tracemalloc.start()
    [stream.feed(chunk) for chunk in minute * 8]
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 600_000 and len(stream._splitter._kept) < 5 * RATE  # Python keeps up to 160 kB of freed tuples
    assert len(stream._answers) == (0 if pause else 8 * 54 + 106)


@pytest.mark.slow
def test_four_minutes_of_speech_in_chunks_of_all_sizes_are_those_of_the_file(pipe, speech):
    pytest.importorskip("silero_vad")
    samples = np.tile(speech, 240 * RATE // len(speech) + 1)[: 240 * RATE]
    sizes = np.random.default_rng(0).integers(320, 32_000, size=1_000).cumsum()
    chunks = np.split(samples, sizes[sizes < len(samples)])
    expected = pipe({"array": samples, "sampling_rate": RATE})["timeline"]
    assert_same(segments_of(run(pipe.stream(RATE), chunks)), expected)
    assert len(expected) > 40
