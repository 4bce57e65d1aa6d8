"""Claims about training heads on utterance statistics, and about enrolment."""

import numpy as np
import pytest
import torch
from samples import TINY_BACKBONES

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.pooling_speecheq import SpeakerStatistics
from speecheq.training import frozen as heads
from speecheq.training.frozen import HeadArguments, KnownUtterances, score_heads, score_recordings, train_heads

QUICK = {"steps": 120, "batch_size": 16, "learning_rate": 1e-2}
STATES, WIDTH = 3, 32


def build(seed: int = 0, **fields) -> SpeechEQModel:
    torch.manual_seed(seed)
    fields = {"head_dropout": 0.0, "speaker_prior": 1.0} | fields
    return SpeechEQModel(SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"], **fields)).eval()


def spoken(speakers: int = 4, each: int = 24, offset: float = 0.0, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Make statistics and speakers. Angry (0) and sad (5) alternate; only the even channels of state 2 separate them, and
    `offset` is the distance between speakers there. The odd channels separate the genders of the speakers."""
    random = torch.Generator().manual_seed(seed)
    speaker = np.repeat(np.arange(speakers), each)
    statistics = 0.1 * torch.randn(len(speaker), STATES, WIDTH, generator=random)
    shifts = offset * torch.randn(speakers, generator=random)
    statistics[:, 2, ::2] += (torch.arange(len(speaker)) % 2 * 2.0 - 1 + shifts[speaker])[:, None]
    statistics[:, 2, 1::2] += torch.from_numpy(speaker % 2 * 2.0 - 1)[:, None]
    return 7 + 3 * statistics, np.array([f"made/{number}" for number in speaker])


def utterances(statistics: torch.Tensor, speakers: np.ndarray, **changes) -> KnownUtterances:
    angry = torch.arange(len(speakers)) % 2 == 0
    esc = torch.zeros(len(speakers), 1, 12)
    esc[angry, 0, 0], esc[~angry, 0, 5] = 1, 1
    labels = {
        "esc_labels": esc,
        "eis_labels": torch.where(angry[:, None], 1.0, 0.0).expand(-1, 2).clone(),
        "gender_labels": torch.from_numpy(np.unique(speakers, return_inverse=True)[1] % 2),
    }
    known = {"labels": labels, "weights": np.ones(len(speakers)), "to_know": sorted(set(speakers))}
    return KnownUtterances(statistics, speakers=speakers, **known | changes)


def emotions(output) -> list[int]:
    return output.esc_logits.argmax(dim=-1).tolist()


def heard_in(monkeypatch) -> list[np.ndarray]:
    """Record the enrolment utterances of each call; all statistics of an utterance are its number."""
    heard, compute = [], heads._speaker_statistics

    def recorded(model, statistics):
        heard.append(statistics[:, 0, 0].numpy().astype(int))
        return compute(model, statistics)

    monkeypatch.setattr(heads, "_speaker_statistics", recorded)
    return heard


def numbered(number: int) -> torch.Tensor:
    return torch.arange(number).float()[:, None, None].expand(-1, STATES, WIDTH).clone()


def test_all_three_heads_learn_from_the_state_that_tells():
    model = train_heads(build(), utterances(*spoken()), HeadArguments(**QUICK))
    assert not model.training
    statistics, speakers = spoken(seed=1)
    output = score_heads(model, statistics, speakers, 0)
    assert emotions(output) == [0, 5] * 48
    assert (output.eis[::2] > 0.8).all() and (output.eis[1::2] < 0.2).all()
    assert output.gender_logits.argmax(dim=-1).tolist() == ([0] * 24 + [1] * 24) * 2
    for head in (model.esc_head, model.eis_head, model.gender_head):
        weights = head.layer_mix.weights.softmax(dim=-1)
        assert weights.argmax() == 2 and weights[2] > 0.9


def test_encoder_and_phoneme_head_stay_as_they_are():
    model = build(shallow_states=2)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    statistics, speakers = spoken()
    train_heads(model, utterances(statistics, speakers), HeadArguments(**QUICK))
    moved = {name.split(".")[0] for name, tensor in model.state_dict().items() if not tensor.equal(before[name])}
    heads = {"esc_head", "eis_head", "gender_head", "esc_shallow_head", "eis_shallow_head"}
    assert moved == {"standardizer", *heads}
    torch.testing.assert_close(model.standardizer.mean, statistics.mean(dim=0))
    torch.testing.assert_close(model.standardizer.variance, statistics.var(dim=0, correction=0))


def test_a_task_of_weight_0_does_not_learn():
    model = build(loss_weights={"gender": 0.0})
    classifier = model.gender_head.classifier.bias.clone()
    train_heads(model, utterances(*spoken()), HeadArguments(**QUICK))
    assert model.gender_head.classifier.bias.equal(classifier)
    assert model.gender_head.layer_mix.weights.tolist() == [0, 0, 0]
    assert model.esc_head.layer_mix.weights.abs().min() > 0.1


def test_utterances_of_weight_0_are_never_drawn_and_a_missing_label_teaches_nothing():
    statistics, speakers = spoken()
    known = utterances(statistics, speakers)
    weights = np.ones(96)
    weights[:40], known.labels["esc_labels"][:40] = 0, known.labels["esc_labels"][1:41].clone()  # wrong labels
    known.labels["esc_labels"][40:48] = 1.0
    known.labels["eis_labels"][40:48] = -100.0
    known.labels["gender_labels"][40:48] = -100
    arguments = HeadArguments(**QUICK)
    model = train_heads(build(), utterances(statistics, speakers, labels=known.labels, weights=weights), arguments)
    assert emotions(score_heads(model, statistics, speakers, 0)) == [0, 5] * 48


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "heads: steps must be at least 1; got 0"),
        ({"enrolments": [0, -2]}, r"heads: enrolments must be 0 or more, or -1 for all; got \[0, -2\]"),
    ],
)
def test_a_wrong_argument_is_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        HeadArguments(**wrong)


def test_a_corpus_without_any_label_of_a_task_trains_the_others():
    known = utterances(*spoken())
    known.labels["eis_labels"][:] = -100.0
    model = train_heads(build(), known, HeadArguments(**QUICK))
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert emotions(score_heads(model, known.statistics, known.speakers, 0)) == [0, 5] * 48


def test_all_that_is_drawn_follows_from_the_seed():
    def trained(seed: int) -> torch.Tensor:
        arguments = HeadArguments(steps=12, batch_size=16, enrolments=[0, 2])
        return train_heads(build(head_dropout=0.5), utterances(*spoken()), arguments, seed).esc_head.classifier.weight

    assert trained(1).equal(trained(1))
    assert not trained(1).equal(trained(2))


def test_heads_that_know_the_speaker_tell_emotion_from_voice():
    # Speakers differ more than emotions: one utterance of an unknown speaker does not separate the two.
    statistics, speakers = spoken(speakers=8, offset=8.0)
    arguments = HeadArguments(**QUICK | {"steps": 480, "enrolments": [-1]})
    model = train_heads(build(), utterances(statistics, speakers), arguments)
    statistics, speakers = spoken(speakers=8, offset=8.0, seed=1)
    right = {
        number: np.mean(np.array(emotions(score_heads(model, statistics, speakers, number))) == [0, 5] * 96)
        for number in (0, 10, -1)
    }
    assert right[-1] > 0.95 and right[10] > 0.85 and right[0] < 0.75


def test_a_recording_is_standardised_by_its_own_utterances_and_no_others(monkeypatch):
    sizes, model = [], build()

    def marked(statistics, scores, corpus_mean):
        sizes.append(len(statistics))
        return statistics.mean(dim=0)

    monkeypatch.setattr(heads, "own_mean", marked)
    statistics, speakers = numbered(20), np.array(["a", "b", "b", "b"] * 5)
    output = score_recordings(model, statistics, speakers, 8)
    assert sorted(sizes) == [5, 7, 8]
    torch.testing.assert_close(output.gender_logits, score_heads(model, statistics, speakers, 0).gender_logits)
    of_a = np.flatnonzero(speakers == "a")
    expected = model.score_statistics(statistics[of_a], statistics[of_a].mean(dim=0))
    torch.testing.assert_close(output.esc_logits[of_a], expected.esc_logits)


def test_in_training_as_much_is_known_as_the_recipe_says_and_of_those_to_know(monkeypatch):
    heard = heard_in(monkeypatch)
    monkeypatch.setattr(heads, "REFRESH", 3)
    speakers = np.array(["a"] * 10 + ["b"] * 10 + ["stranger"] * 10)
    known = utterances(numbered(30), speakers, to_know=["a", "b"])
    train_heads(build(), known, HeadArguments(steps=24, batch_size=10, enrolments=[0, 3, 20, -1]))
    assert {len(rows) for rows in heard} == {0, 3, 10}
    assert all(len(set(rows // 10)) <= 1 and set(rows // 10) <= {0, 1} for rows in heard)
    assert all(len(set(rows)) == len(rows) for rows in heard)
    assert len({tuple(sorted(rows)) for rows in heard if len(rows) == 3}) > 8  # drawn again and again


def test_in_training_each_utterance_is_told_of_its_own_speaker(monkeypatch):
    model, speakers = build(), np.array(["a"] * 10 + ["b"] * 10 + ["stranger"] * 10)
    score, told = model.score_statistics, []

    def recorded(statistics, mean=None, std=None):
        means = [None] * len(statistics) if mean is None else mean[:, 0, 0].tolist()
        told.extend(zip(statistics[:, 0, 0].int().tolist(), means, strict=True))
        return score(statistics, mean, std)

    monkeypatch.setattr(model, "score_statistics", recorded)
    known = utterances(numbered(30), speakers, to_know=["a", "b"])
    train_heads(model, known, HeadArguments(steps=9, batch_size=10, enrolments=[-1]))
    # The mean of the corpus is 14.5; a prior of one utterance shrinks the means of ten, 4.5 and 14.5, towards it.
    expected = {0: 14.5 - 10 * 10 / 11, 1: 14.5, 2: 14.5}
    assert len(told) == 90
    assert all(mean == pytest.approx(expected[row // 10], abs=1e-4) for row, mean in told)
    told.clear()
    train_heads(model, known, HeadArguments(steps=3, batch_size=10))
    assert {mean for _, mean in told} == {None}


@pytest.mark.parametrize(("number", "known"), [(1, 1), (3, 3), (9, 7), (-1, 7)])
def test_an_utterance_is_never_among_those_speaker_statistics_its_speaker(number, known, monkeypatch):
    heard = heard_in(monkeypatch)
    speakers = np.array(["a", "b", "alone", "a", "b"] + ["a", "b"] * 6)
    score_heads(build(), numbered(17), speakers, number)
    assert len(heard) == 17
    for row, rows in enumerate(heard):
        assert row not in rows
        assert len(set(rows)) == len(rows) == (0 if speakers[row] == "alone" else known)
        assert set(speakers[rows]) <= {speakers[row]}


def test_an_answer_is_that_of_the_model_told_of_the_others():
    model = build()
    statistics, speakers = spoken(speakers=5, each=60)  # more than one batch of 256
    model.standardizer.fit(statistics)
    speakers[-1] = "made/alone"
    output = score_heads(model, statistics, speakers, -1)
    for row, others in {0: range(1, 60), 130: [*range(120, 130), *range(131, 180)], 299: []}.items():
        speaker = SpeakerStatistics(model.standardizer, 1.0).update(statistics[list(others)])
        with torch.no_grad():
            expected = model.score_statistics(statistics[[row]], speaker.mean, speaker.std)
            stranger = model.score_statistics(statistics[[row]])
        for name in ("esc_logits", "eis", "gender_logits"):
            torch.testing.assert_close(output[name][[row]], expected[name], atol=1e-5, rtol=1e-4)
        assert torch.allclose(expected.esc_logits, stranger.esc_logits, atol=1e-4) == (row == 299)


def test_who_is_heard_follows_from_the_seed(monkeypatch):
    heard = heard_in(monkeypatch)
    for seed in (1, 1, 2):
        score_heads(build(), numbered(40), np.array(["a", "b"] * 20), 5, seed)
    first, again, other = ([rows.tolist() for rows in heard[at : at + 40]] for at in (0, 40, 80))
    assert first == again != other
