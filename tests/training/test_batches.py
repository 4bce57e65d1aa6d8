"""Claims about labels, balance and batches."""

import numpy as np
import pytest
import torch
from datasets import Dataset
from samples import MINI_SEQD, waveform

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.heads_speecheq import set_loss
from speecheq.processing_speecheq import SpeechEQProcessor
from speecheq.training.batches import BalancedLengthSampler, Collator, SpeechDataset, corpus_priors, sampling_weights
from speecheq.training.seqd import load_seqd


@pytest.fixture
def collator(whisper_config) -> Collator:
    config = SpeechEQConfig(backbone_config=whisper_config, phoneme_labels=["<blank>", "a", "b"])
    return Collator(SpeechEQProcessor.for_config(config), config)


def item(**labels) -> dict:
    return {"id": "made/1", "speaker_id": "made/f1", "waveform": waveform(0.2), **labels}


def test_a_row_becomes_a_waveform_of_its_duration():
    rows = load_seqd(MINI_SEQD)["test"]
    first = SpeechDataset(rows)[0]
    assert first["waveform"].dtype == np.float32
    assert len(first["waveform"]) / 16_000 == pytest.approx(first["duration"], abs=0.01)


def test_one_label_becomes_one_set(collator):
    batch = collator([item(esc=["happy", "excited"], gender="male", eis_low=0.25, eis_high=0.5, phonemes=["b", "a"])])
    assert batch["esc_labels"].tolist() == [[[0.0] * 10 + [1.0, 1.0]]]
    assert batch["gender_labels"].tolist() == [1]
    assert batch["eis_labels"].tolist() == [[0.25, 0.5]]
    assert batch["phoneme_labels"].tolist() == [[2, 1]]


def test_votes_become_weighted_sets_beside_a_single_label(collator):
    votes = [{"esc": ["angry"], "weight": 0.75}, {"esc": ["sad"], "weight": 0.25}]
    batch = collator([item(esc=["angry"], esc_votes=votes), item(esc=["sad"])])
    assert batch["esc_labels"].shape == (2, 2, 12)
    assert batch["esc_labels"][0, 0, 0] == 0.75
    assert batch["esc_labels"][0, 1, 5] == 0.25
    assert batch["esc_labels"][1].sum() == 1
    collator.use_votes = False
    assert collator([item(esc=["angry"], esc_votes=votes)])["esc_labels"].tolist() == [[[1.0] + [0.0] * 11]]


def test_every_key_is_there_when_every_label_is_missing(collator):
    batch = collator([item(), item(esc=None, gender=None, phonemes=None, eis_low=None, eis_high=None)])
    assert batch["esc_labels"].tolist() == [[[1.0] * 12]] * 2
    assert batch["eis_labels"].tolist() == [[-100.0, -100.0]] * 2
    assert batch["phoneme_labels"].tolist() == [[-100]] * 2
    assert batch["gender_labels"].tolist() == [-100, -100]


@pytest.mark.parametrize(
    ("esc", "unsaid"),
    [
        (["angry"], [0.125, 1.0]), (["happy", "excited"], [0.125, 1.0]), (["neutral"], [0.0, 0.375]),
        (["calm", "neutral"], [0.0, 0.375]), (["calm", "bored"], [-100.0, -100.0]), ([], [-100.0, -100.0]),
        (None, [-100.0, -100.0]),
    ],
)  # fmt: skip
def test_an_emotion_says_a_little_of_an_intensity_that_nobody_says(collator, esc, unsaid):
    assert collator.eis_target({"esc": esc, "eis_low": None}) == unsaid
    assert collator.eis_target({"esc": esc, "eis_low": 0.25, "eis_high": 0.5}) == [0.25, 0.5]
    of_the_table = collator.eis_target({"esc": esc, "eis_low": 0.0, "eis_high": 0.0})
    assert of_the_table == (unsaid if unsaid[1] == 0.375 else [0.0, 0.0])


def test_a_phoneme_unknown_to_train_is_left_out_and_a_wrong_label_is_named(collator):
    assert collator([item(phonemes=["a", "ʒ", "b"])])["phoneme_labels"].tolist() == [[1, 2]]
    with pytest.raises(ValueError, match=r"esc must be among angry, .*; got joyful in made/1"):
        collator([item(esc=["joyful"])])
    with pytest.raises(ValueError, match="gender must be among female, male; got 'other' in made/1"):
        collator([item(gender="other")])


ROWS = Dataset.from_dict({"corpus": ["big"] * 8 + ["small"] * 2, "native_label": [*"aaaaaabb", *"ab"]})


def share(weights, corpus, label=None):
    chosen = [c == corpus and label in (None, n) for c, n in zip(ROWS["corpus"], ROWS["native_label"], strict=True)]
    return weights[chosen].sum() / weights.sum()


def test_balance_0_leaves_the_data_and_balance_1_makes_all_equal():
    np.testing.assert_allclose(sampling_weights(ROWS, 0, 0), np.ones(10))
    equal = sampling_weights(ROWS, 1, 1)
    assert share(equal, "big") == pytest.approx(0.5)
    assert share(equal, "big", "b") == pytest.approx(0.25)
    assert share(equal, "small", "a") == pytest.approx(0.25)
    assert equal.mean() == pytest.approx(1)


def test_balance_one_half_takes_square_roots():
    weights = sampling_weights(ROWS, 0.5, 0)
    assert share(weights, "big") == pytest.approx(8**0.5 / (8**0.5 + 2**0.5))
    assert share(weights, "big", "a") == pytest.approx(share(weights, "big") * 6 / 8)


def test_a_corpus_has_the_share_that_is_asked_for_and_its_classes_stay_balanced():
    weights = sampling_weights(ROWS, 0, 1, {"small": 0.6})
    assert share(weights, "small") == pytest.approx(0.6) and weights.mean() == pytest.approx(1)
    assert share(weights, "big", "b") == pytest.approx(0.2)
    assert share(sampling_weights(ROWS, 0, 0, {"small": 1.0}), "big") == 0
    both = sampling_weights(ROWS, 0, 0, {"small": 0.6, "big": 0.2})  # without others, the ratio counts
    assert share(both, "small") == pytest.approx(0.75)
    np.testing.assert_array_equal(sampling_weights(ROWS, 0.5, 0.5, {}), sampling_weights(ROWS, 0.5, 0.5))
    with pytest.raises(ValueError, match="sampling_weights: corpus_shares must be of big, small; got gone"):
        sampling_weights(ROWS, 0, 0, {"gone": 0.5})


PRIOR_ROWS = Dataset.from_dict(
    {
        "id": list("abcdef"),
        "corpus": ["two"] * 4 + ["other", "unlabelled"],
        "esc": [["angry"], ["angry"], ["angry"], ["sad"], ["happy", "excited"], None],
        "esc_votes": [None] * 6,
        "eis_low": [0.25, 0.25, 0.75, 0.75, None, None],
        "eis_high": [0.25, 0.25, 0.75, 0.75, None, None],
        "gender": [None] * 6,
    }
)


@pytest.fixture
def collator_with_priors(collator) -> Collator:
    collator.learn_priors(PRIOR_ROWS, np.ones(6), smoothing=0.2)
    return collator


def test_the_prior_of_a_class_is_its_share_in_the_corpus_smoothed_over_the_classes_of_all_corpora(
    collator_with_priors,
):
    prior = dict(zip(SpeechEQConfig().esc_labels, collator_with_priors.offsets["two"].exp() / 4, strict=True))
    assert prior["angry"] == pytest.approx(0.8 * 0.75 + 0.2 / 4)
    assert prior["sad"] == pytest.approx(0.8 * 0.25 + 0.2 / 4)
    assert prior["happy"] == prior["excited"] == pytest.approx(0.2 / 4)


def test_smoothing_1_leaves_the_losses_as_they_are(collator):
    collator.learn_priors(PRIOR_ROWS, np.ones(6), smoothing=1.0)
    assert max(offsets.abs().max() for offsets in collator.offsets.values()) < 1e-6


def test_a_class_that_no_corpus_expresses_is_a_negative_example_everywhere(collator_with_priors):
    offsets = collator_with_priors.offsets["two"]
    assert offsets[SpeechEQConfig().esc_labels.index("contempt")] == 0.0


def test_a_set_shares_its_weight_among_its_classes(collator_with_priors):
    prior = collator_with_priors.offsets["other"].exp() / 4
    assert prior[SpeechEQConfig().esc_labels.index("happy")] == pytest.approx(0.8 * 0.5 + 0.2 / 4)


def test_the_corpora_of_the_rows_are_read_once(collator):
    class Column(list):
        reads = 0

        def __iter__(self):
            self.reads += 1
            return super().__iter__()

    corpora = Column(PRIOR_ROWS["corpus"])
    labels = collator.utterance_labels(PRIOR_ROWS.to_list())
    assert list(corpus_priors(labels["esc_labels"], corpora, np.ones(6), 0.2)) == ["other", "two", "unlabelled"]
    assert corpora.reads == 1


def test_without_smoothing_a_class_that_the_corpus_lacks_has_a_finite_loss(collator):
    collator.learn_priors(PRIOR_ROWS, np.ones(6), smoothing=0.0)
    held_out = collator.utterance_labels([item(corpus="two", esc=["happy"]), item(corpus="two", esc=["angry"])])
    logits = torch.zeros(2, 12)
    assert set_loss(logits[:1], held_out["esc_labels"][:1], held_out["esc_offsets"][:1]) > 20
    assert torch.isfinite(set_loss(logits, held_out["esc_labels"], held_out["esc_offsets"]))


def test_a_single_corpus_with_equally_frequent_classes_gives_them_equal_offsets(collator):
    rows = PRIOR_ROWS.select([2, 3])
    collator.learn_priors(rows, np.ones(2), smoothing=0.1)
    offsets = collator.offsets["two"]
    assert offsets.abs().max() < 1e-6


def test_a_seqd_without_emotion_labels_gets_no_offsets(collator):
    collator.learn_priors(PRIOR_ROWS.select([5]), np.ones(1), smoothing=0.1)
    assert collator.offsets["unlabelled"].abs().sum() == 0


def test_utterances_without_labels_and_of_other_corpora_get_no_offsets(collator_with_priors):
    labels = collator_with_priors.utterance_labels([item(corpus="unlabelled"), item(corpus="new"), item(corpus="two")])
    assert labels["esc_offsets"].shape == (3, 12)
    assert labels["esc_offsets"][:2].abs().sum() == 0 and labels["esc_offsets"][2].abs().sum() > 0


def test_without_priors_a_batch_has_no_offsets(collator):
    assert "esc_offsets" not in set(collator.utterance_labels([item(corpus="two")]))


def test_the_sampler_draws_by_weight_and_batches_by_length():
    lengths = np.arange(400) % 37
    weights = np.where(np.arange(400) < 100, 2.0, 2 / 3)
    drawn = [row for row, _ in BalancedLengthSampler(lengths, weights, batch_size=4, seed=1)]
    assert len(drawn) == 400
    assert sum(row < 100 for row in drawn) == pytest.approx(200, abs=1)
    assert np.bincount(drawn, minlength=400)[:100].tolist() == [2] * 100
    batches = np.array(drawn).reshape(-1, 4)
    spread = (lengths[batches].max(axis=1) - lengths[batches].min(axis=1)).mean()
    assert spread < 3
    assert lengths[batches[0]].max() == 36


def test_the_order_follows_from_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = BalancedLengthSampler(np.arange(50), np.ones(50), 4, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert sorted(row for row, _ in order(1, 2)) == list(range(50))
    assert len({seed for _, seed in order(1, 2)}) == 50


def test_a_batch_of_the_mini_seqd_trains(collator):
    rows = load_seqd(MINI_SEQD)["validation"]
    items = [SpeechDataset(rows)[index] for index in range(3)]
    batch = collator(items)
    assert batch.pop("speakers") == list(rows["speaker_id"][:3])
    assert set(batch) == {
        "input_features", "attention_mask", "esc_labels", "eis_labels", "phoneme_labels", "gender_labels",
    }  # fmt: skip
    assert all(isinstance(value, torch.Tensor) for value in batch.values())


def test_the_labels_of_utterances_need_no_audio():
    config = SpeechEQConfig()
    items = [{"id": "x", "esc": ["sad"], "eis_low": 0.25, "eis_high": 0.5, "gender": "male"}, {"id": "y", "esc": None}]
    labels = Collator(None, config).utterance_labels(items)
    assert labels["esc_labels"].tolist() == [[[0.0] * 5 + [1.0] + [0.0] * 6], [[1.0] * 12]]
    assert labels["eis_labels"].tolist() == [[0.25, 0.5], [-100.0, -100.0]]
    assert labels["gender_labels"].tolist() == [1, -100]
