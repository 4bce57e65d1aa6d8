"""Claims about pooling, standardisation and speaker statistics."""

import copy

import pytest
import torch

from speecheq.pooling_speecheq import RunningStandardizer, SpeakerStatistics, StatisticsPooling, own_mean


def test_attentive_pooling_looks_at_speech_only():
    torch.manual_seed(0)
    pooling = StatisticsPooling(4, attentive=True)
    frames = torch.randn(1, 6, 4)
    mask = torch.tensor([[True, True, True, False, False, False]])
    torch.testing.assert_close(pooling([frames], mask), pooling([frames[:, :3]], mask[:, :3]))


def test_statistics_pooling_gives_mean_and_deviation_of_each_layer():
    frames = torch.tensor([[[1.0], [3.0], [99.0]]])
    mask = torch.tensor([[True, True, False]])
    pooled = StatisticsPooling(1, attentive=False)([frames, 10 * frames], mask)
    torch.testing.assert_close(pooled, torch.tensor([[[2.0, 1.0], [20.0, 10.0]]]), atol=1e-4, rtol=0)


def test_the_standardizer_estimates_the_corpus():
    torch.manual_seed(0)
    standardizer = RunningStandardizer(2, momentum=0.001).train()
    data = torch.randn(4000, 2) * torch.tensor([2.0, 0.5]) + torch.tensor([3.0, -1.0])
    for batch in data.split(4):
        standardizer(batch)
    torch.testing.assert_close(standardizer.mean, data.mean(0), atol=0.05, rtol=0.05)
    torch.testing.assert_close(standardizer.variance, data.var(0), atol=0.02, rtol=0.05)
    before = standardizer.mean.clone()
    standardizer.eval()(data[:4] + 100)
    assert standardizer.mean.equal(before)


def corpus(mean: float, variance: float) -> RunningStandardizer:
    standardizer = RunningStandardizer(1, 1)
    standardizer.mean.fill_(mean)
    standardizer.variance.fill_(variance)
    return standardizer.eval()


def test_of_an_unknown_speaker_the_training_corpus_is_assumed():
    speaker = SpeakerStatistics(corpus(mean=5.0, variance=4.0), prior=3.0)
    torch.testing.assert_close(speaker.mean, torch.tensor([[5.0]]))
    torch.testing.assert_close(speaker.std, torch.tensor([[2.0]]))


def test_a_speaker_is_drawn_to_the_corpus_by_the_prior():
    speaker = SpeakerStatistics(corpus(mean=0.0, variance=1.0), prior=2.0)
    speaker.update(torch.tensor([[[3.0]], [[5.0]]]))
    # mean (3 + 5 + 2 * 0) / 4; variance ((3 - 2)^2 + (5 - 2)^2 + 2 * 1) / 4
    torch.testing.assert_close(speaker.mean, torch.tensor([[2.0]]))
    torch.testing.assert_close(speaker.std, torch.tensor([[3.0**0.5]]))


def test_a_speaker_heard_in_pieces_is_the_speaker_heard_at_once():
    torch.manual_seed(0)
    heard = 1000 + torch.randn(40, 1, 1)
    at_once, in_pieces = (SpeakerStatistics(corpus(mean=990.0, variance=9.0), prior=1.0) for _ in range(2))
    at_once.update(heard)
    for piece in heard.split(7):
        in_pieces.update(piece)
    assert in_pieces.num_utterances == 40
    torch.testing.assert_close(in_pieces.mean, at_once.mean)
    torch.testing.assert_close(in_pieces.std, at_once.std)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3, 1)])
def test_statistics_of_another_shape_are_refused(shape):
    with pytest.raises(ValueError, match=r"statistics must be of shape \(utterances, 1, 1\); got "):
        SpeakerStatistics(corpus(mean=0.0, variance=1.0), prior=1.0).update(torch.zeros(shape))


def test_a_speaker_of_a_model_in_half_precision_is_summed_in_float32():
    speaker = SpeakerStatistics(corpus(mean=0.0, variance=1.0).bfloat16(), prior=1.0)
    for _ in range(600):
        speaker.update(torch.ones(1, 1, 1))
    torch.testing.assert_close(speaker.mean, torch.tensor([[600 / 601]]))


def test_a_well_known_speaker_is_standardised_by_the_own_mean_and_deviation():
    torch.manual_seed(0)
    heard = 7 + 3 * torch.randn(5000, 1, 1)
    standardizer = corpus(mean=0.0, variance=1.0)
    speaker = SpeakerStatistics(standardizer, prior=3.0).update(heard)
    scaled = standardizer(heard, speaker.mean, speaker.std)
    torch.testing.assert_close(scaled.mean(), torch.tensor(0.0), atol=0.01, rtol=0)
    torch.testing.assert_close(scaled.std(), torch.tensor(1.0), atol=0.02, rtol=0)


def test_the_estimates_of_the_corpus_do_not_move_while_a_speaker_is_standardised():
    standardizer = RunningStandardizer(1, 1).train()
    standardizer(torch.ones(4, 1, 1), mean=torch.zeros(1, 1), std=torch.ones(1, 1))
    assert standardizer.num_batches == 0


def test_what_two_have_heard_of_a_speaker_is_known_together(tmp_path):
    utterances = torch.randn(7, 1, 1)
    apart = [SpeakerStatistics(corpus(1.0, 2.0), prior=3.0).update(part) for part in utterances.split([3, 4])]
    together = SpeakerStatistics(corpus(1.0, 2.0), prior=3.0).update(utterances)
    apart[0].merge(apart[1])
    assert apart[0].num_utterances == 7
    torch.testing.assert_close(apart[0].mean, together.mean)
    torch.testing.assert_close(apart[0].std, together.std)


def test_what_is_known_of_a_speaker_is_kept_and_of_another_model_refused(tmp_path):
    speaker = SpeakerStatistics(corpus(1.0, 2.0), prior=3.0).update(torch.randn(5, 1, 1))
    speaker.save(tmp_path / "speaker.safetensors")
    again = SpeakerStatistics(corpus(1.0, 2.0), prior=3.0).load(tmp_path / "speaker.safetensors")
    assert again.num_utterances == 5 and again.mean.equal(speaker.mean) and again.std.equal(speaker.std)
    with pytest.raises(
        ValueError,
        match=r"SpeakerStatistics: path must be a file saved with this model; got another model in "
        r"'.*speaker\.safetensors'\.",
    ):
        SpeakerStatistics(corpus(1.5, 2.0), prior=3.0).load(tmp_path / "speaker.safetensors")


@pytest.mark.parametrize("then", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("now", [torch.float32, torch.float16, torch.bfloat16])
def test_a_speaker_is_known_to_the_same_model_in_another_precision(then, now, tmp_path):
    torch.manual_seed(0)
    standardizer = RunningStandardizer(3, 8)
    standardizer.mean.copy_(50 * torch.randn(3, 8))
    standardizer.mean[0, 0] = 1e-6  # float16 rounds it to 9.5e-7
    heard = standardizer.mean + torch.randn(5, 3, 8)
    path = tmp_path / "speaker.safetensors"
    SpeakerStatistics(copy.deepcopy(standardizer).to(then), prior=0.0).update(heard).save(path)
    again = SpeakerStatistics(copy.deepcopy(standardizer).to(now), prior=0.0).load(path)

    torch.testing.assert_close(again.mean, heard.mean(dim=0), atol=1e-4, rtol=0)
    torch.testing.assert_close(again.std, heard.std(dim=0, correction=0), atol=1e-3, rtol=0)
    assert again.total.dtype == torch.float32
    trained_on = copy.deepcopy(standardizer)
    trained_on.mean += 0.02 * trained_on.mean.abs().mean()
    with pytest.raises(ValueError, match="path must be a file saved with this model; got another model in"):
        SpeakerStatistics(trained_on.to(now), prior=0.0).load(path)


def test_a_recording_of_several_emotions_moves_the_mean_and_one_of_a_single_emotion_does_not():
    statistics, none = torch.full((20, 2, 4), 3.0), torch.ones(2, 4)
    varied = torch.nn.functional.one_hot(torch.arange(20) % 7, 12).float()
    torch.testing.assert_close(own_mean(statistics, varied, none), torch.full((2, 4), 2.0), atol=0.02, rtol=0)
    assert (own_mean(statistics[:5], varied[:5], none) < own_mean(statistics, varied, none)).all()
    torch.testing.assert_close(own_mean(statistics, varied[:1].expand(20, -1), none), none)


def test_equal_scores_over_all_classes_count_at_most_once():
    statistics = torch.full((20, 1, 1), 1.0)
    assert own_mean(statistics, torch.full((20, 12), 1 / 12), torch.zeros(1, 1)).item() == 0.5
