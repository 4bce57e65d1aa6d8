"""Claims about arbitrary input from hypothesis: a correct result or a clear error."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from samples import TINY_BACKBONES, tiny_pipeline

from speecheq import SpeechEQConfig, SpeechEQProcessor
from speecheq.dataset_scripts.corpora import custom
from speecheq.dataset_scripts.corpora.records import CorpusError, NativeRecord
from speecheq.labels_speecheq import ESC_LABELS
from speecheq.metrics.scores import eis_scores, esc_scores, gender_scores, phoneme_scores

SETTINGS = {"deadline": None, "derandomize": True, "database": None, "suppress_health_check": list(HealthCheck)}
KINDS = st.one_of(arrays.floating_dtypes(endianness="="), arrays.integer_dtypes(), arrays.unsigned_integer_dtypes())
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=20)
NUMBERS = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.none(), st.booleans(), st.text(max_size=2))
ANY_AUDIO = st.one_of(
    arrays.arrays(KINDS, SHAPES),
    arrays.arrays(np.float32, st.integers(600, 1_000), elements=st.floats(-3, 3, width=32)),
    arrays.arrays(np.int16, st.tuples(st.integers(700, 900), st.integers(1, 10)), fill=st.just(np.int16(7))),
    st.recursive(NUMBERS, lambda inner: st.lists(inner, max_size=3), max_leaves=6),
    st.dictionaries(st.text(max_size=2), NUMBERS, max_size=2),
    st.binary(max_size=5),
)
ANY_RATE = st.one_of(
    st.sampled_from([8_000, 16_000, 44_100]), st.floats(), st.integers(-10, 10**6), st.none(), st.text(max_size=2)
)


@pytest.fixture(scope="module")
def processor() -> SpeechEQProcessor:
    return SpeechEQProcessor.for_config(SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"]))


@pytest.fixture(scope="module")
def pipe():
    return tiny_pipeline()


@settings(max_examples=150, **SETTINGS)
@given(audio=ANY_AUDIO, rate=ANY_RATE)
@example(audio=np.array(3.0), rate=16_000)
@example(audio=[[]], rate=16_000)
@example(audio=np.zeros(800, np.complex64), rate=16_000)
@example(audio=np.zeros(1600), rate=float("nan"))
@example(audio=np.zeros((2, 3, 800)), rate=16_000)
@example(audio=[[0.5, [0.5]]], rate=16_000)
@example(audio=np.zeros((0, 5)), rate=16_000)
def test_the_processor_gives_finite_features_or_refuses_in_its_own_name(processor, audio, rate):
    try:
        found = processor(audio, sampling_rate=rate)
    except (ValueError, TypeError) as error:
        assert str(error).startswith("SpeechEQProcessor: ")
        return
    features, mask = found["input_features"], found["attention_mask"]
    assert features.shape[::2] == mask.shape and features.shape[1] == 80
    assert bool(features.isfinite().all()) and bool((mask.sum(dim=1) > 0).all())


@st.composite
def recordings(draw) -> np.ndarray:
    """Noise of any level, and silence."""
    parts = draw(st.lists(st.tuples(st.floats(0.0, 1.5), st.floats(0.02, 3.0)), min_size=1, max_size=3))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    return np.concatenate([level * 0.4 * rng.uniform(-1, 1, int(length * 16_000)) for level, length in parts])


@settings(max_examples=10, **SETTINGS)
@given(samples=recordings(), scale=st.sampled_from(["fine", "basic", "valence"]), below=st.floats(0, 1))
def test_an_answer_is_consistent_with_itself(pipe, samples, scale, below):
    if len(samples) < 800:
        return
    audio = {"array": samples.astype(np.float32), "sampling_rate": 16_000}
    answer = pipe(audio, scale=scale, vad=False, abstain_below=below)
    assert answer["duration"] == pytest.approx(len(samples) / 16_000, abs=1e-3)
    assert 0 <= answer["speech"] <= answer["duration"] + 1e-3
    assert (answer["label"] is None) == (answer["abstained"] is not None)
    if answer["abstained"] in ("silence", "no speech"):
        assert answer["emotion"] == answer["timeline"] == answer["phonemes"] == [] and answer["gender"] is None
        return
    scores = {entry["label"]: entry["score"] for entry in answer["emotion"]}
    assert sum(scores.values()) == pytest.approx(1, abs=1e-4) and answer["score"] == max(scores.values())
    fine = {entry["label"]: entry["score"] for entry in pipe(audio, vad=False)["emotion"]}
    members = {"fine": {label: [label] for label in ESC_LABELS}} | pipe.model.config.esc_scales
    assert scores == pytest.approx({name: sum(map(fine.get, of)) for name, of in members[scale].items()}, abs=1e-4)
    intensity = answer["intensity"]
    assert 0 <= intensity["value"] <= 1 and 0 <= intensity["interval"][0] <= intensity["interval"][1] <= 1
    for listed in (answer["timeline"], answer["phonemes"]):
        times = [time for part in listed for time in (part["start"], part["end"])]
        assert times == sorted(times) and all(0 <= time <= answer["duration"] + 1e-3 for time in times)


@st.composite
def predictions(draw) -> tuple:
    """Predictions and labels of some rows of some corpora; any label may be missing."""
    size = draw(st.integers(1, 8))
    column = lambda of: draw(st.lists(of, min_size=size, max_size=size))  # noqa: E731
    corpora = column(st.sampled_from(["a", "b"]))
    labels = column(st.sampled_from([None, *ESC_LABELS]))
    probabilities = draw(arrays.arrays(np.float64, (size, 12), elements=st.floats(0, 1)))
    lows, widths = column(st.floats(0, 1)), column(st.floats(0, 1))
    bounds = [
        (low, min(1.0, low + width)) if width < 0.9 else (None, None) for low, width in zip(lows, widths, strict=True)
    ]
    symbols = column(st.lists(st.sampled_from(["a", "b"]), max_size=3))
    return (
        corpora,
        labels,
        probabilities,
        column(st.floats(0, 1)),
        bounds,
        symbols,
        column(st.sampled_from([None, 0, 1])),
    )


@settings(max_examples=50, **SETTINGS)
@given(drawn=predictions())
def test_every_score_lies_in_its_range(drawn):
    corpora, labels, probabilities, values, bounds, symbols, genders = drawn
    sets = [label and [label] for label in labels]
    scores = esc_scores(probabilities, sets, labels, corpora)
    lows, highs = zip(*bounds, strict=True)
    scores |= eis_scores(np.array(values), lows, highs, corpora)
    scores |= gender_scores(np.zeros(len(corpora), int), genders, corpora)
    scores |= phoneme_scores([["a"]] * len(corpora), [row or None for row in symbols], corpora)
    for name, score in scores.items():
        low = -1 if name.endswith(("ccc", "qwk")) else 0
        assert low - 1e-9 <= score and (score <= 1 + 1e-9 or name.endswith("per")), (name, score)


PATHS = st.one_of(
    st.sampled_from(["../../etc/passwd", "/etc/passwd", "../secret.wav", "a\0.wav", "x" * 5_000, ".", "in/../../secret.wav"]),
    st.sampled_from(["good.wav", "good", "GOOD.WAV", "in/good.wav", "\\..\\secret.wav", "~/a.wav", "link/../../secret.wav"]),
    st.text(max_size=10),
)  # fmt: skip
CELLS = st.one_of(st.text(max_size=5), st.sampled_from(["angry", "nan", "1e999", "-1", '"', "a,b"]))


@settings(max_examples=60, **SETTINGS)
@given(rows=st.lists(st.tuples(PATHS, CELLS, CELLS), min_size=1, max_size=4), suffix=st.sampled_from(["csv", "yaml"]))
def test_a_table_with_hostile_paths_leads_to_no_file_outside_of_its_folder(rows, suffix):
    with tempfile.TemporaryDirectory() as temporary:
        home = Path(temporary, "home")
        (home / "audio/in").mkdir(parents=True)
        for name in ("audio/good.wav", "secret.wav", "audio/in/good.wav"):
            (home / name).write_bytes(b"RIFF")
        os.symlink(home, home / "audio/link")
        lines = ["file,label,speaker", *(",".join(row) for row in rows)]
        (home / "table.csv").write_text("\n".join(lines), encoding="utf-8", errors="replace")
        (home / "corpus.yaml").write_text("audio: audio\ntable: table.csv\nlanguage: de\nlabels: {angry: angry}\n")
        if suffix == "yaml":
            (home / "corpus.yaml").write_text("\n".join(lines[1:]), encoding="utf-8", errors="replace")
        try:
            found = list(custom.load("mine", home / "corpus.yaml").records())
        except CorpusError as error:
            assert ": " in str(error)
            return
        inside = {home / "audio/good.wav", home / "audio/in/good.wav"}
        assert {item.path for item in found if isinstance(item, NativeRecord)} <= inside
