"""Claims about the pipeline: every input gets a prediction, a reason for abstention, or a clear error."""

import io
import json
import re
import shutil
from array import array
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
import soundfile
import torch
from fresh_process import run as run_without_speecheq
from samples import ROOT, tiny_pipeline, wav_bytes, waveform

from speecheq.labels_speecheq import BASIC_CLASSES, ESC_LABELS
from speecheq.pipeline_speecheq import SpeechEQPipeline
from speecheq.pooling_speecheq import Recording
from speecheq.training.saving import save_for_hub

SPEECH = str(ROOT / "tests/speech/angry_high_en.wav")
QUIET = {"vad": False}  # noise counts as speech


@pytest.fixture(scope="module")
def pipe() -> SpeechEQPipeline:
    return tiny_pipeline()


def loud(seconds: float, seed: int = 0, rate: int = 16_000) -> dict:
    return {"array": waveform(seconds, seed, rate), "sampling_rate": rate}


def turns(*seconds: float) -> dict:
    """Noise with pauses of half a second."""
    pause = np.zeros(8_000, np.float32)
    parts = [part for seed, length in enumerate(seconds) for part in (waveform(length, seed), pause)]
    return {"array": np.concatenate(parts), "sampling_rate": 16_000}


def too_loud() -> bytes:
    """A file of floats far beyond full scale."""
    buffer = io.BytesIO()
    soundfile.write(buffer, 4 * np.ones(16_000), 16_000, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def assert_same(one: dict, other: dict, tolerance: float = 1e-4):
    assert one["label"] == other["label"] and one["abstained"] == other["abstained"]
    scores, others = ({entry["label"]: entry["score"] for entry in answer["emotion"]} for answer in (one, other))
    assert scores == pytest.approx(others, abs=tolerance)
    assert one["intensity"]["value"] == pytest.approx(other["intensity"]["value"], abs=tolerance)
    assert one["gender"]["score"] == pytest.approx(other["gender"]["score"], abs=tolerance)
    assert [entry["phoneme"] for entry in one["phonemes"]] == [entry["phoneme"] for entry in other["phonemes"]]
    assert [(s["start"], s["end"], s["label"]) for s in one["timeline"]] == [
        (s["start"], s["end"], s["label"]) for s in other["timeline"]
    ]


def test_a_short_audio_is_answered_as_the_model_answers_it(pipe):
    audio = loud(2.0)
    found = pipe(audio, **QUIET)
    with torch.no_grad():
        output = pipe.model(**pipe.processor(audio["array"], sampling_rate=16_000))
    scores = dict(zip(ESC_LABELS, output.esc_logits[0].softmax(dim=-1).tolist(), strict=True))
    assert {entry["label"]: entry["score"] for entry in found["emotion"]} == pytest.approx(scores, abs=1e-6)
    assert found["label"] == max(scores, key=scores.get) and found["score"] == pytest.approx(max(scores.values()))
    assert found["intensity"]["value"] == pytest.approx(output.eis.item(), abs=1e-6)
    low, high = found["intensity"]["interval"]
    levels = output.eis_logits[0].softmax(dim=-1)
    assert levels[round(4 * low) : round(4 * high) + 1].sum() >= 0.8
    nearest = min(range(5), key=lambda level: abs(level / 4 - output.eis.item()))
    assert found["intensity"]["level"] == pipe.model.config.eis_labels[nearest]
    assert found["gender"]["label"] == ["female", "male"][output.gender_logits[0].argmax()]
    symbols = pipe.processor.decode_phonemes(output.phoneme_logits, output.frame_lengths)[0]
    assert [entry["phoneme"] for entry in found["phonemes"]] == symbols and len(symbols) > 3
    times = [time for entry in found["phonemes"] for time in (entry["start"], entry["end"])]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= 2.0
    (segment,) = found["timeline"]
    assert (segment["start"], segment["label"]) == (0.0, found["label"]) and segment["end"] == pytest.approx(
        2.0, abs=0.04
    )
    assert found["duration"] == 2.0 and found["speech"] == pytest.approx(2.0, abs=0.04) and found["abstained"] is None


def test_batches_change_nothing(pipe):
    audios = [loud(0.3 + 0.7 * number, number) for number in range(12)] + [turns(3.0, 9.0, 2.0)]
    alone = [pipe(audio, **QUIET) for audio in audios]
    for batch_size in (4, 32):
        together = pipe(audios, batch_size=batch_size, **QUIET)
        for one, other in zip(alone, together, strict=True):
            assert_same(one, other)


def test_a_long_audio_has_a_segment_for_each_stretch_of_speech(pipe):
    found = pipe(turns(3.0, 5.0, 2.0, 8.0), **QUIET)
    regions = [(0.0, 3.1), (3.4, 8.6), (8.9, 11.1), (11.4, 19.6)]
    bounds = [(segment["start"], segment["end"]) for segment in found["timeline"]]
    for start, end in regions:
        inside = [bound for bound in bounds if start - 0.1 <= bound[0] and bound[1] <= end + 0.1]
        assert inside[0][0] == pytest.approx(start, abs=0.04) and inside[-1][1] == pytest.approx(end, abs=0.04)
        assert [one[1] for one in inside[:-1]] == [two[0] for two in inside[1:]]
    assert found["duration"] == 20.0 and found["speech"] == pytest.approx(18.0, abs=0.8)
    assert sum(entry["score"] for entry in found["emotion"]) == pytest.approx(1.0)


def test_overlapping_windows_say_no_phoneme_twice(pipe):
    found = pipe(loud(12.0), **QUIET)["phonemes"]
    assert found[0]["start"] < 1.0 and found[-1]["end"] > 11.0
    for one, two in pairwise(found):
        assert two["start"] >= one["end"] - 0.001
    for second in range(12):  # about as many everywhere, seams or not
        assert sum(second <= entry["start"] < second + 1 for entry in found) > 2


def test_of_a_window_numbers_are_kept_and_no_tensors(pipe, monkeypatch):
    kept = []
    monkeypatch.setattr(pipe, "postprocess", lambda audio, **_: kept.extend(audio.answers) or {})
    pipe(loud(12.0), **QUIET)
    assert len(kept) == 11
    assert {type(value) for answer in kept for value in answer.values()} == {list, float, int, bool}
    assert {type(item) for answer in kept for name in ("scores", "levels", "gender") for item in answer[name]} == {
        float
    }


def test_scales_and_candidates_sum_the_fine_classes(pipe):
    fine = {entry["label"]: entry["score"] for entry in pipe(loud(2.0), **QUIET)["emotion"]}
    basic = {entry["label"]: entry["score"] for entry in pipe(loud(2.0), scale="basic", **QUIET)["emotion"]}
    assert basic == pytest.approx({name: sum(fine[one] for one in of) for name, of in BASIC_CLASSES.items()})
    own = pipe(loud(2.0), candidate_labels={"up": ["happy", "excited"], "down": ["sad"]}, **QUIET)
    up = (fine["happy"] + fine["excited"]) / (fine["happy"] + fine["excited"] + fine["sad"])
    assert {entry["label"]: entry["score"] for entry in own["emotion"]} == pytest.approx({"up": up, "down": 1 - up})
    assert {segment["label"] for segment in own["timeline"]} <= {"up", "down"}
    names = pipe(loud(2.0), candidate_labels=["angry", "positive"], scale="basic", top_k=1, **QUIET)
    assert [entry["label"] for entry in names["emotion"]] in (["angry"], ["positive"])
    angry = basic["angry"] / (basic["angry"] + basic["happy"])
    assert names["score"] == pytest.approx(max(angry, 1 - angry))


def test_it_abstains_with_the_reason(pipe):
    silence = {"array": np.zeros(32_000, np.float32), "sampling_rate": 16_000}
    for audio, reason in ((silence, "silence"), (loud(0.1), "no speech")):
        found = pipe(audio, **QUIET)
        assert (found["label"], found["abstained"], found["emotion"], found["timeline"]) == (None, reason, [], [])
        assert found["intensity"] is found["gender"] is found["score"] is None and found["phonemes"] == []
    unsure = pipe(loud(2.0), abstain_below=0.999, **QUIET)
    assert (unsure["label"], unsure["abstained"]) == (None, "low confidence") and len(unsure["emotion"]) == 12
    pipe.model.config.abstain_below = 0.999
    try:
        assert pipe(loud(2.0), **QUIET)["abstained"] == "low confidence"
        assert pipe(loud(2.0), abstain_below=0.0, **QUIET)["label"] == unsure["emotion"][0]["label"]
    finally:
        pipe.model.config.abstain_below = 0.0


def test_noise_and_tones_are_no_speech_to_silero(pipe):
    pytest.importorskip("silero_vad")
    times = np.arange(64_000) / 16_000
    chord = sum(0.1 * np.sin(2 * np.pi * note * times) * np.exp(-4 * (times % 0.5)) for note in (220, 277, 330))
    for samples in (waveform(4.0), chord.astype(np.float32)):
        assert pipe({"array": samples, "sampling_rate": 16_000})["abstained"] == "no speech"
    assert pipe(SPEECH)["label"] is not None


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2, 6])
def test_rates_and_channels(pipe, rate, channels):
    buffer = io.BytesIO()
    samples = np.repeat(waveform(1.0, rate=rate)[:, None], channels, axis=1)
    soundfile.write(buffer, samples, rate, format="FLAC")
    found = pipe(buffer.getvalue(), **QUIET)
    assert found["duration"] == pytest.approx(1.0, abs=0.001) and len(found["emotion"]) == 12


def test_every_kind_of_input_says_the_same(pipe, tmp_path):
    samples, rate = soundfile.read(SPEECH, dtype="float32")
    expected = pipe(SPEECH, **QUIET)
    decoded = SimpleNamespace(
        get_all_samples=lambda: SimpleNamespace(data=torch.tensor(samples)[None], sample_rate=rate)
    )
    kinds = [
        Path(SPEECH), Path(SPEECH).read_bytes(), {"path": SPEECH, "bytes": None}, {"bytes": Path(SPEECH).read_bytes()},
        {"array": samples, "sampling_rate": rate}, {"raw": samples, "sampling_rate": rate}, decoded,
        io.BytesIO(Path(SPEECH).read_bytes()), {"path": SPEECH, "bytes": b""},
    ]  # fmt: skip
    for found in pipe(kinds, **QUIET):
        assert_same(found, expected, tolerance=1e-3)
    with open(SPEECH, "rb") as file:
        assert_same(pipe(file, **QUIET), expected)
    for numbers in (samples.tolist(), array("f", samples), torch.tensor(samples)):
        assert_same(pipe([numbers], sampling_rate=rate, **QUIET)[0], expected, tolerance=1e-3)
    assert_same(pipe(samples, sampling_rate=rate, **QUIET), expected, tolerance=1e-3)
    for pair in ((samples, rate), [rate, samples]):
        assert_same(pipe(pair, **QUIET), expected, tolerance=1e-3)
    assert_same(pipe(samples.tolist(), sampling_rate=rate, **QUIET), expected, tolerance=1e-3)
    (one,) = pipe((kind for kind in [SPEECH]), **QUIET)
    assert_same(one, expected)


def two_people(seconds: float = 6.0) -> np.ndarray:
    """Two channels, of shape `(samples, 2)`: one person speaks in the first half, the other in the second."""
    half = int(8_000 * seconds)
    samples = np.zeros((2 * half, 2), np.float32)
    samples[:half, 0], samples[half:, 1] = waveform(seconds / 2, 1), waveform(seconds / 2, 2)
    return samples


@pytest.mark.parametrize(("seconds", "rate"), [(6.0, 8_000), (24.0, 16_000)])
def test_each_channel_gets_its_own_answer_and_the_mix_stays_the_default(pipe, seconds, rate):
    samples = two_people(seconds * rate / 16_000)
    one, two = pipe(wav_bytes(samples, rate), channels="each", **QUIET)

    for number, answer in enumerate((one, two), start=1):
        assert answer.pop("channel") == number
        assert {part.pop("channel") for part in answer["timeline"]} == {number}
        assert answer == pipe(wav_bytes(samples[:, number - 1], rate), **QUIET)
    assert one["timeline"][-1]["end"] <= seconds / 2 + 0.2 and two["timeline"][0]["start"] >= seconds / 2 - 0.2
    assert_same(pipe(wav_bytes(samples, rate), **QUIET), pipe(wav_bytes(samples.mean(axis=1), rate), **QUIET))


def test_each_channel_of_every_kind_of_input(pipe, tmp_path):
    samples = two_people()
    content = wav_bytes(samples)
    (tmp_path / "call.wav").write_bytes(content)
    decoded = SimpleNamespace(
        get_all_samples=lambda: SimpleNamespace(data=torch.tensor(samples.T), sample_rate=16_000)
    )
    kinds = [
        str(tmp_path / "call.wav"), content, io.BytesIO(content), {"path": None, "bytes": content}, decoded,
        (samples, 16_000), {"array": samples.T, "sampling_rate": 16_000},
    ]  # fmt: skip
    expected = pipe(content, channels="each", **QUIET)
    for found in pipe(kinds, channels="each", batch_size=4, **QUIET):
        assert [answer["channel"] for answer in found] == [1, 2]
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other, tolerance=1e-3)
    ((mono,),) = pipe([loud(1.0)], channels="each", **QUIET)
    assert mono["channel"] == 1 and mono["label"]


def test_a_bad_input_is_one_error_and_a_bad_channel_does_not_affect_the_other(pipe):
    loud_right = wav_bytes(two_people() * np.float32([1, 1]), subtype="FLOAT")
    too_loud_right = wav_bytes(two_people() * np.float32([1, 30]), subtype="FLOAT")
    good, gone, right = pipe([loud_right, "gone.wav", too_loud_right], channels="each", **QUIET)

    assert gone == [{"channel": None, "error": "unreadable: there is no file 'gone.wav'"}]
    assert right[0] == good[0] and right[1]["channel"] == 2 and right[1]["error"].startswith("out of range: a peak of")
    with pytest.raises(ValueError, match="unreadable: there is no file"):
        pipe("gone.wav", channels="each")


def test_each_channel_and_one_speaker_exclude_each_other(pipe):
    with pytest.raises(ValueError, match=r'speaker must be None with channels="each"; got statistics of one speaker'):
        pipe(loud(1.0), channels="each", speaker=pipe.new_speaker())


def test_channels_that_cancel_each_other_are_speech_and_the_log_says_it(pipe, caplog):
    speech = waveform(2.0)
    found = pipe(wav_bytes(np.stack([speech, -0.95 * speech], axis=1)), **QUIET)

    assert_same(found, pipe(wav_bytes(speech), **QUIET))
    assert caplog.messages == [
        "audio: the channels cancel each other. Channel 1, the loudest, is used instead of their average."
    ]


def test_a_tuple_and_a_column_are_many(pipe):
    expected, bad = pipe(SPEECH, **QUIET), {"error": "unreadable: 0 bytes"}
    assert pipe((SPEECH, b""), **QUIET) == [expected, bad] and pipe((), **QUIET) == []
    rows = datasets.Dataset.from_dict({"audio": [{"path": SPEECH, "bytes": None}, {"path": None, "bytes": b""}]})
    assert list(pipe(rows["audio"], **QUIET)) == [expected, bad]


def test_of_nothing_there_are_no_answers(pipe):
    assert pipe([]) == [] == list(pipe(nothing for nothing in ()))
    with pytest.raises(ValueError, match="scale must be one of fine, basic, valence; got 'coarse'"):
        pipe([], scale="coarse")


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        ("gone.wav", "unreadable: there is no file 'gone.wav'"),
        (b"", "unreadable: 0 bytes"),
        (b"text" * 100, "unreadable: "),
        ({"array": np.zeros(0), "sampling_rate": 16_000}, "audio must not be empty"),
        ({"array": [float("nan")] * 16_000, "sampling_rate": 16_000}, "audio must be finite"),
        ({"array": np.zeros(16_000)}, "a dict with an array must have sampling_rate; got None"),
        ({"array": 4 * np.ones(16_000), "sampling_rate": 16_000}, "a peak of 4"),
        (too_loud(), "out of range: a peak of 4 before 1.00 s"),
        (np.zeros(16_000), "sampling_rate must be given"),
        ({"text": "hello"}, "a dict must have array, path or bytes; got 'text'"),
        (None, "audio must be a path, .*, a dict or an array; got NoneType. For multiple inputs, pass a list"),
        (3.0, "audio must be .*; got float"),
        ({"array": [SPEECH], "sampling_rate": 16_000}, "audio must be .*; got list"),
        (io.StringIO("text"), "audio must be .* a binary file object, .*; got StringIO"),
        (datasets.Dataset.from_dict({"audio": [SPEECH]}), "audio must be .*; got Dataset. For multiple .* a column"),
        ({"path": None, "bytes": b""}, "unreadable: 0 bytes"),
        ({"path": None, "bytes": None}, "a dict must have array, path or bytes; got nothing"),
    ],
)
def test_what_cannot_be_used_is_an_error_and_costs_no_other(pipe, audio, message):
    with pytest.raises((ValueError, TypeError), match=message):
        pipe(audio, **QUIET)
    first, bad, last = pipe([loud(1.0), audio, loud(1.0)], batch_size=8, **QUIET)
    assert set(bad) == {"error"} and re.search(message, bad["error"])
    assert_same(first, last)
    with pytest.raises((ValueError, TypeError), match=message):
        pipe([loud(1.0), audio], on_error="raise", **QUIET)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"scale": "coarse"}, ValueError, "scale must be one of fine, basic, valence; got 'coarse'"),
        ({"candidate_labels": ["angry", "hungry"]}, ValueError, "candidate_labels must be among .*; got 'hungry'"),
        ({"candidate_labels": {"x": []}}, ValueError, "candidate_labels must .*; got a label without classes"),
        ({"channels": "left"}, ValueError, "channels must be mix or each; got 'left'"),
        ({"on_error": "ignore"}, ValueError, "on_error must be raise or return; got 'ignore'"),
        ({"topk": 3}, TypeError, "parameters must be among .*top_k.*; got topk"),
    ],
)
def test_wrong_parameters_are_named_before_anything_is_read(pipe, wrong, error, message):
    with pytest.raises(error, match=f"SpeechEQPipeline: {message}"):
        pipe(["gone.wav"], **wrong)


def around(*parts: np.ndarray | int) -> dict:
    """Speech arrays, and silence given as a number of detector frames."""
    found = [np.zeros(512 * part, np.float32) if isinstance(part, int) else part for part in parts]
    return {"array": np.concatenate(found), "sampling_rate": 16_000}


def test_silence_around_speech_changes_no_answer(pipe):
    speech = waveform(2.0)
    near, far = pipe(around(31, speech, 31), **QUIET), pipe(around(93, speech, 124), **QUIET)
    assert_same(near | {"timeline": []}, far | {"timeline": []})
    (early,), (late,) = near["timeline"], far["timeline"]
    later = 62 * 512 / 16_000
    assert (late["start"], late["end"]) == pytest.approx((early["start"] + later, early["end"] + later), abs=2e-3)
    assert late["label"] == early["label"]
    starts = [[entry["start"] for entry in answer["phonemes"]] for answer in (near, far)]
    assert starts[0] and starts[1] == pytest.approx([start + later for start in starts[0]], abs=2e-3)


def test_a_long_pause_parts_what_is_answered_as_a_whole(pipe):
    first, second = waveform(0.512, seed=1), waveform(1.024, seed=2)  # 16 and 32 frames
    both = pipe(around(31, first, 62, second, 31), **QUIET)
    alone = [pipe(around(31, part, 31), **QUIET) for part in (first, second)]
    lengths = np.array([0.512 + 2 * 0.3 + 0.2, 1.024 + 2 * 0.3 + 0.2])  # the detector itself keeps 0.1 s on both sides
    values = [answer["intensity"]["value"] for answer in alone]
    assert values[0] != pytest.approx(values[1], abs=1e-3)
    assert both["intensity"]["value"] == pytest.approx(lengths @ values / lengths.sum(), abs=1e-4)
    assert [segment["intensity"] for segment in both["timeline"]] == pytest.approx(values, abs=1e-4)
    near = pipe(around(31, first, 16, second, 31), **QUIET)  # half a second: one utterance
    assert near["intensity"]["value"] != pytest.approx(both["intensity"]["value"], abs=1e-4)


def test_an_iterator_is_answered_as_it_is_read(pipe):
    read = []

    def audios():
        for number in range(100):
            read.append(number)
            yield loud(0.5, number)

    answers = pipe(audios(), batch_size=4, **QUIET)
    next(answers)
    assert len(read) <= 5
    assert len(list(answers)) == 99


def test_a_speaker_is_known_better_with_each_audio_and_can_be_kept(pipe, tmp_path):
    speaker = pipe.new_speaker()
    unknown = pipe(loud(2.0, 3), **QUIET)
    assert_same(pipe(loud(2.0, 3), speaker=pipe.new_speaker(), **QUIET), unknown)
    pipe([loud(2.0, 1), loud(6.0, 2), b"broken", turns(8.0, 4.0)], speaker=speaker, batch_size=4, **QUIET)
    windows = 8 + 4  # of turns, which are too long to be answered as a whole
    assert speaker.num_utterances == 2 + windows
    known = pipe(loud(2.0, 3), speaker=speaker, **QUIET)
    assert known["emotion"] != unknown["emotion"]
    speaker.save(tmp_path / "speaker.safetensors")
    assert speaker.num_utterances == 2 + windows + 1
    pipe(loud(2.0, 3), speaker=speaker, **QUIET)
    again = pipe.new_speaker(tmp_path / "speaker.safetensors")
    assert again.num_utterances == 2 + windows + 1
    torch.testing.assert_close(again.mean, pipe.new_speaker(tmp_path / "speaker.safetensors").mean)


def test_a_long_recording_is_its_own_speaker(pipe):
    long, short = turns(8.0, 4.0), loud(2.0)
    alone = pipe(long, speaker="auto", **QUIET)
    assert alone["emotion"] != pipe(long, **QUIET)["emotion"] and alone["gender"] == pipe(long, **QUIET)["gender"]
    assert_same(pipe(short, speaker="auto", **QUIET), pipe(short, **QUIET))  # one utterance has no mean of its own
    for answer, expected in zip(
        pipe([long, short, b"", long], speaker="auto", batch_size=4, **QUIET), [alone] * 4, strict=True
    ):
        if answer.get("duration", 0) > 10:
            assert_same(answer, expected)
    both = {"array": np.stack([long["array"], 0.5 * long["array"]]), "sampling_rate": 16_000}
    assert_same(pipe(both, speaker="auto", channels="each", **QUIET)[0], alone)


@pytest.mark.parametrize(("speaker", "message"), [("anna", "got 'anna'"), (torch.zeros(2), "got tensor")])
def test_a_speaker_of_another_kind_is_refused(pipe, speaker, message):
    with pytest.raises(ValueError, match=f"speaker must be auto or come from new_speaker\\(\\); {message}"):
        pipe(loud(1.0), speaker=speaker)


def test_a_stream_is_no_whole_recording(pipe):
    with pytest.raises(ValueError, match="speaker must not be auto in a stream"):
        pipe.stream(speaker="auto")


@pytest.fixture(scope="module")
def saved(pipe, tmp_path_factory) -> Path:
    return save_for_hub(pipe.model, pipe.processor, tmp_path_factory.mktemp("saved") / "model")


def test_a_saved_folder_makes_its_pipeline_without_speecheq(pipe, saved, tmp_path):
    code = f"""
import json
from transformers import pipeline
pipe = pipeline(model=folder, trust_remote_code=True)
answers = pipe([{SPEECH!r}, "gone.wav"], top_k=2, vad=False)
print(type(pipe).__module__.split(".")[0], pipe.task)
print(json.dumps(answers))
"""
    result = run_without_speecheq(code, saved, tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    kind, answers = result.stdout.strip().splitlines()[-2:]
    assert kind == "transformers_modules speech-emotion-recognition"
    found, bad = json.loads(answers)
    assert_same(found, pipe(SPEECH, top_k=2, **QUIET))
    assert bad == {"error": "unreadable: there is no file 'gone.wav'"}


def test_a_pipeline_saves_a_folder_that_makes_it_again_and_so_does_that_one(pipe, tmp_path):
    own = tiny_pipeline()  # nothing has prepared its model for a folder yet
    own.save_pretrained(tmp_path / "own")
    code = f"""
from transformers import pipeline
pipe = pipeline(model=folder, trust_remote_code=True)
assert type(pipe).__module__.startswith("transformers_modules")
pipe.save_pretrained({str(tmp_path / "again")!r})
"""
    result = run_without_speecheq(code, tmp_path / "own", tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    for name in ("own", "again"):
        code = {path.name for path in (tmp_path / name).glob("*.py")}
        assert code == {path.name for path in ROOT.glob("*_speecheq.py")}

    shutil.rmtree(tmp_path / "own")
    (elsewhere := tmp_path / "elsewhere").mkdir()
    code = f"""
import json
from transformers import pipeline
print(json.dumps(pipeline(model=folder, trust_remote_code=True)({SPEECH!r}, vad=False)))
"""
    result = run_without_speecheq(code, tmp_path / "again", elsewhere)
    assert result.returncode == 0, result.stderr[-2000:]
    assert_same(json.loads(result.stdout.splitlines()[-1]), pipe(SPEECH, **QUIET))
    with pytest.raises(
        ValueError, match=r"push_to_hub must be False; got True\. Call `pipe.push_to_hub\(repo_id\)` instead"
    ):
        own.save_pretrained(tmp_path / "third", push_to_hub=True)


def test_the_label_of_a_file_may_be_the_second_choice_of_every_part(pipe):
    chunk = {
        "is_utterance": False,
        "starts_region": True,
        "levels": [1.0, 0, 0, 0, 0],
        "intensity": 0.0,
        "gender": [1.0, 0],
    }
    chunk |= {"symbols": [], "frames": 1}
    angry, happy, sad = (torch.eye(12)[ESC_LABELS.index(name)] for name in ("angry", "happy", "sad"))
    scores = [0.55 * best + 0.45 * sad for best in (angry, happy)]
    answers = [chunk | {"scores": of.tolist(), "start": 3.0 * n, "end": 3.0 * n + 2} for n, of in enumerate(scores)]
    summary = {"duration": 12.0, "speech": 4.0, "silent": False, "regions": []}
    answer = pipe.postprocess(Recording(None, answers=answers, summary=summary), abstain_below=0)
    assert answer["label"] == "sad" and [part["label"] for part in answer["timeline"]] == ["angry", "happy"]
