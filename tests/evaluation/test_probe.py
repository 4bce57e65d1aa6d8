"""Claims about the linear probe."""

import numpy as np
import pytest
import torch
from samples import MINI_SEQD, TINY_BACKBONES
from transformers import WhisperConfig, WhisperModel

from speecheq.evaluation.probe import fit_probe, probe_scores
from speecheq.training.seqd import load_seqd


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> str:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder")
    WhisperModel(WhisperConfig(**TINY_BACKBONES["whisper"])).save_pretrained(folder)
    return str(folder)


def test_the_probe_beats_chance_and_names_its_layer(encoder):
    scores = probe_scores(encoder, load_seqd(MINI_SEQD))
    assert set(scores) == {"synthetic/esc_uar", "synthetic/esc_wa", "synthetic/layer"}
    assert scores["synthetic/esc_uar"] > 2 / 6
    assert scores["synthetic/layer"] in (0, 1, 2)


def features(speakers: int = 6, each: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make features, classes and speakers. State 1 separates the classes weakly. State 2 separates them clearly within a
    speaker, and not across speakers."""
    random = np.random.default_rng(seed)
    speaker, classes = np.repeat(np.arange(speakers), each), np.tile([0, 1], speakers * each // 2)
    found = random.normal(size=(len(speaker), 3, 2 * speakers))
    found[:, 1, 0] += 3 * classes
    found[np.arange(len(speaker)), 2, 2 * speaker + classes] += 20
    return found, classes, np.array([f"x/{number}" for number in speaker])


def test_the_layer_is_chosen_by_speakers_that_the_probe_has_not_heard():
    inputs, classes, speakers = features()
    assert fit_probe(inputs, classes.tolist(), speakers).layer == 1
    known = fit_probe(inputs, classes.tolist(), np.arange(120))  # each utterance has another speaker
    assert known.layer == 2


def test_the_probe_is_fitted_on_all_speakers_and_reads_its_layer():
    inputs, classes, speakers = features()
    probe = fit_probe(inputs, classes.tolist(), speakers)
    assert probe.classifier[0].n_samples_seen_ == 120
    others, references, _ = features(seed=1)
    assert np.mean(probe.predict(others) == references) > 0.85
    others[:, [0, 2]] = np.nan
    assert np.mean(probe.predict(others) == references) > 0.85


def test_utterances_without_a_class_take_no_part():
    inputs, classes, speakers = features()
    classes = classes.tolist()
    expected = fit_probe(inputs[20:], classes[20:], speakers[20:])
    inputs[:20], classes[:20] = np.nan, [None] * 20
    probe = fit_probe(inputs, classes, speakers)
    assert probe.layer == expected.layer == 1
    np.testing.assert_array_equal(probe.predict(inputs[20:]), expected.predict(inputs[20:]))


def test_two_speakers_suffice_and_one_does_not():
    inputs, classes, speakers = features(speakers=2, each=60)
    assert fit_probe(inputs, classes.tolist(), speakers).layer == 1
    with pytest.raises(ValueError, match=r"fit_probe: speakers must be at least 2, .*; got 1"):
        fit_probe(inputs[:60], classes[:60].tolist(), speakers[:60])
