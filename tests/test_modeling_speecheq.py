"""Claims about the model, for every backbone."""

import math
import time
from dataclasses import fields

import pytest
import torch
from samples import TINY_BACKBONES, waveform
from transformers import WhisperConfig, WhisperForAudioClassification, WhisperModel
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from speecheq.backbones_speecheq import encode, frame_mask
from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.heads_speecheq import interval_targets, set_loss
from speecheq.modeling_speecheq import SpeechEQModel, SpeechEQOutput
from speecheq.pooling_speecheq import RunningStandardizer, SpeakerStatistics
from speecheq.processing_speecheq import SpeechEQProcessor

PHONEMES = ["<blank>", "a", "b", "t͡ʃ"]
LOGITS = ("esc_logits", "eis_logits", "phoneme_logits", "gender_logits")


def build(backbone_config: dict, **kwargs) -> tuple[SpeechEQModel, SpeechEQProcessor]:
    torch.manual_seed(0)
    config = SpeechEQConfig(backbone_config=backbone_config, phoneme_labels=PHONEMES, **kwargs)
    model = SpeechEQModel(config).eval()
    for parameter in model.parameters():  # also biases and norms: zeros could hide an effect of padding
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    return model, SpeechEQProcessor.for_config(config)


def labels() -> dict:
    """Two utterances: one with every label, one with none."""
    esc = torch.ones(2, 1, 12)
    esc[0, 0, 1:] = 0
    return {
        "esc_labels": esc,
        "eis_labels": torch.tensor([[0.3, 0.3], [-100.0, -100.0]]),
        "phoneme_labels": torch.tensor([[1, 2, 3], [-100, -100, -100]]),
        "gender_labels": torch.tensor([1, -100]),
    }


def test_padding_never_changes_a_prediction(backbone_config):
    model, processor = build(backbone_config)
    utterances = [waveform(seconds, seed) for seed, seconds in enumerate([0.1, 0.52, 3.0, 20.0])]
    with torch.no_grad():
        batch = model(**processor(utterances, sampling_rate=16_000))
        for index, utterance in enumerate(utterances):
            alone = model(**processor(utterance, sampling_rate=16_000))
            frames = int(alone.frame_lengths[0])
            assert batch.frame_lengths[index] == frames
            for name in LOGITS:
                in_batch = getattr(batch, name)[index : index + 1]
                in_batch = in_batch[:, :frames] if name == "phoneme_logits" else in_batch
                torch.testing.assert_close(in_batch, getattr(alone, name), atol=1e-4, rtol=0)


def test_the_padding_check_can_fail(monkeypatch, whisper_config):
    model, processor = build(whisper_config)
    short, long = waveform(0.5), waveform(3.0)
    batch = processor([short, long], sampling_rate=16_000)
    batch["attention_mask"][:] = 1
    with torch.no_grad():
        unmasked = model(**batch).esc_logits[0]
        alone = model(**processor(short, sampling_rate=16_000)).esc_logits[0]
    assert (unmasked - alone).abs().max() > 1e-3


def test_every_head_learns(backbone_config):
    model, processor = build(backbone_config)
    model.train()
    output = model(**processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000), **labels())
    output.loss.backward()
    for name, parameter in model.named_parameters():
        if "head" in name:
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    backbone = [p.grad.abs().sum() for p in model.backbone.parameters() if p.requires_grad and p.grad is not None]
    assert sum(backbone) > 0


def test_gradient_checkpointing_gives_the_same_gradients(backbone_config):
    dropouts = dict.fromkeys(
        ["hidden_dropout", "attention_dropout", "activation_dropout", "feat_proj_dropout", "layerdrop",
         "conformer_conv_dropout"], 0.0,
    )  # fmt: skip
    quiet = backbone_config if backbone_config["model_type"] == "whisper" else backbone_config | dropouts
    model, processor = build(quiet, head_dropout=0.0)
    inputs = processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000)
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.gradient_checkpointing_enable()
        model.train()
        for module in model.modules():
            if isinstance(module, (RunningStandardizer, torch.nn.BatchNorm1d)):
                module.eval()
        model.zero_grad()
        model(**inputs, **labels()).loss.backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-5, rtol=1e-4)


def test_saving_and_loading_keeps_the_logits(backbone_config, tmp_path):
    model, processor = build(backbone_config)
    model.train()
    model(**processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000))  # updates the running statistics
    model.eval().save_pretrained(tmp_path)
    loaded = SpeechEQModel.from_pretrained(tmp_path).eval()
    inputs = processor(waveform(1.5), sampling_rate=16_000)
    with torch.no_grad():
        before, after = model(**inputs), loaded(**inputs)
    for name in LOGITS:
        torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=1e-6, rtol=0)
    assert not list(tmp_path.glob("*.bin"))


def test_bfloat16_runs_and_stays_close(backbone_config):
    model, processor = build(backbone_config)
    inputs = processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000)
    with torch.no_grad():
        full = model(**inputs)
        half = model.to(torch.bfloat16)(**inputs)
    for name in LOGITS:
        assert getattr(half, name).isfinite().all()
    torch.testing.assert_close(half.esc_logits.float(), full.esc_logits, atol=0.15, rtol=0.15)


@pytest.mark.parametrize("task", ["esc", "eis", "phoneme", "gender"])
def test_a_batch_without_labels_for_a_task_gives_zero_not_nan(task, whisper_config):
    model, processor = build(whisper_config, uncertainty_weighting=True)
    missing = {
        "esc": torch.ones(2, 1, 12),
        "eis": torch.full((2, 2), -100.0),
        "phoneme": torch.full((2, 1), -100),
        "gender": torch.full((2,), -100),
    }[task]
    output = model(
        **processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000), **labels() | {f"{task}_labels": missing}
    )
    assert getattr(output, f"{task}_loss") == 0
    output.loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_the_loss_is_the_weighted_sum_of_the_tasks(whisper_config):
    weights = {"esc": 2.0, "eis": 0.5, "phoneme": 0.25, "gender": 0.0}
    model, processor = build(whisper_config, loss_weights=weights)
    output = model(**processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000), **labels())
    expected = 2 * output.esc_loss + 0.5 * output.eis_loss + 0.25 * output.phoneme_loss
    torch.testing.assert_close(output.loss, expected)


def test_outputs_stand_in_the_declared_order_the_loss_first(whisper_config):
    model, processor = build(whisper_config, shallow_states=2)
    inputs = processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000)
    names = [field.name for field in fields(SpeechEQOutput)]
    for given in ({}, labels()):
        output = model.train()(**inputs, **given)
        assert list(output) == [name for name in names if output.get(name) is not None]
    assert model(**inputs, **labels(), return_dict=False)[0].shape == ()


def test_uncertainty_weighting_follows_kendall(whisper_config):
    model, processor = build(whisper_config, uncertainty_weighting=True)
    model.uncertainty_weights.log_variances.data = torch.tensor([0.0, 1.0, 0.0, math.log(2)])
    output = model(**processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000), **labels())
    expected = output.esc_loss + output.eis_loss / math.e + 0.5 + output.phoneme_loss
    expected = expected + output.gender_loss / 2 + math.log(2) / 2
    torch.testing.assert_close(output.loss, expected)


def test_whisper_on_30_seconds_equals_the_stock_encoder(whisper_config):
    model, processor = build(whisper_config)
    stock = WhisperEncoder(WhisperConfig(**whisper_config)).eval()
    stock.load_state_dict(model.backbone.state_dict())
    inputs = processor(waveform(30.0), sampling_rate=16_000)
    with torch.no_grad():
        from speecheq.backbones_speecheq import encode

        states, lengths = encode(model.backbone, inputs["input_features"], torch.tensor([3000]))
        expected = stock(inputs["input_features"]).last_hidden_state
    assert lengths.tolist() == [1500]
    torch.testing.assert_close(states[-1], expected, atol=1e-5, rtol=0)


def test_whisper_refuses_more_than_30_seconds(whisper_config):
    model, processor = build(whisper_config)
    with pytest.raises(ValueError, match=r"at most 1500 frames \(30 s\).*got 1505\. Split it"):
        model(**processor(waveform(30.1), sampling_rate=16_000))


@pytest.mark.corpora
@pytest.mark.slow
def test_whisper_on_3_seconds_takes_at_most_an_eighth_of_the_stock_classifier(shared):
    folder = shared / "models" / "whisper-base"
    model = SpeechEQModel.from_backbone(str(folder), phoneme_labels=PHONEMES).eval()
    processor = SpeechEQProcessor.for_config(model.config)
    stock = WhisperForAudioClassification(WhisperConfig.from_pretrained(folder)).eval()
    ours = processor(waveform(3.0), sampling_rate=16_000)
    theirs = torch.nn.functional.pad(ours["input_features"], (0, 2700))
    seconds = []
    with torch.no_grad():
        model(**ours), stock(theirs)
        for _ in range(7):
            start = time.perf_counter()
            model(**ours)
            middle = time.perf_counter()
            stock(theirs)
            seconds.append((middle - start, time.perf_counter() - middle))
    best, best_of_stock = (min(times) for times in zip(*seconds, strict=True))  # other processes only add time
    assert best_of_stock / best >= 8, seconds


def test_the_wrong_input_is_named():
    model, processor = build(dict(TINY_BACKBONES["wav2vec2"]))
    features = processor(waveform(1.0), sampling_rate=16_000)["input_values"]
    with pytest.raises(ValueError, match="input_values must be given for a wav2vec2 backbone"):
        model(input_features=features)


def test_an_unsupported_encoder_is_refused():
    with pytest.raises(ValueError, match=r"backbone_config must have a model_type among whisper, .*; got 'bert'"):
        SpeechEQModel(SpeechEQConfig(backbone_config={"model_type": "bert"}))


def test_from_backbone_keeps_the_pretrained_weights(backbone_config, tmp_path):
    from transformers import AutoConfig, AutoModel

    config = dict(backbone_config)
    pretrained = AutoModel.from_config(AutoConfig.for_model(config.pop("model_type"), **config))
    pretrained.save_pretrained(tmp_path)
    model = SpeechEQModel.from_backbone(str(tmp_path), pooling="attentive")
    stock = pretrained.get_encoder() if backbone_config["model_type"] == "whisper" else pretrained
    for name, weight in stock.state_dict().items():
        torch.testing.assert_close(model.backbone.state_dict()[name], weight)
    assert model.config.pooling == "attentive"


def test_spec_augment_masks_in_training_only(whisper_config):
    model, _ = build(whisper_config, mask_time_prob=0.3, mask_feature_prob=0.3)
    features = torch.ones(8, 200, 80)
    lengths = torch.full((8,), 200)
    torch.manual_seed(0)
    masked = model.train()._spec_augment(features, lengths)
    assert 0.3 < (masked == 0).float().mean() < 0.65
    assert model.eval()._spec_augment(features, lengths).equal(features)


def test_an_encoder_can_be_cut_after_its_first_layers(whisper_config, tmp_path):
    config = dict(whisper_config)
    WhisperModel(WhisperConfig(**config)).save_pretrained(tmp_path)
    whole, first = (SpeechEQModel.from_backbone(str(tmp_path), num_layers=number).eval() for number in (None, 1))
    assert (first.config.num_encoder_states, len(first.backbone.layers)) == (2, 1)
    inputs = SpeechEQProcessor.for_config(first.config)([waveform(0.5)], sampling_rate=16_000)
    torch.testing.assert_close(first(**inputs).statistics[:, 0], whole(**inputs).statistics[:, 0])
    with pytest.raises(ValueError, match=r"keep_layers: number must lie in \[1, 2\]; got 3"):
        SpeechEQModel.from_backbone(str(tmp_path), num_layers=3)


def test_statistics_known_already_give_the_same_answers(whisper_config):
    model, processor = build(whisper_config)
    output = model(**processor([waveform(0.5), waveform(1.0, seed=1)], sampling_rate=16_000))
    again = model.score_statistics(output.statistics)
    for name in ("esc_logits", "eis_logits", "eis", "gender_logits"):
        torch.testing.assert_close(again[name], output[name])


def test_a_known_speaker_changes_emotion_and_not_gender(whisper_config):
    model, processor = build(whisper_config)
    inputs = processor([waveform(0.5)], sampling_rate=16_000)
    unknown = model(**inputs)
    speaker = SpeakerStatistics(model.standardizer, model.config.speaker_prior).update(unknown.statistics)
    known = model(**inputs, speaker_mean=speaker.mean, speaker_std=speaker.std)
    assert not torch.allclose(known.esc_logits, unknown.esc_logits)
    assert not torch.allclose(known.eis, unknown.eis)
    torch.testing.assert_close(known.gender_logits, unknown.gender_logits)
    nobody = SpeakerStatistics(model.standardizer, model.config.speaker_prior)
    same = model(**inputs, speaker_mean=nobody.mean, speaker_std=nobody.std)
    torch.testing.assert_close(same.esc_logits, unknown.esc_logits)


def test_emotion_is_also_read_from_the_first_states_alone(whisper_config, tmp_path):
    model, processor = build(whisper_config, shallow_states=2, head_dropout=0.0)
    inputs = processor([waveform(0.5), waveform(1.0, seed=1)], sampling_rate=16_000)
    answer = model(**inputs)
    assert answer.esc_shallow_logits is None and answer.eis_shallow_logits is None
    statistics = answer.statistics.detach()
    first, every = model.standardizer(statistics)[:, :2], model.standardizer(statistics)
    for task in ("esc", "eis"):
        deep = getattr(model, f"{task}_head")(every).log_softmax(-1)
        shallow = getattr(model, f"{task}_shallow_head")(first).log_softmax(-1)
        torch.testing.assert_close(answer[f"{task}_logits"], (deep + shallow) / 2)
        assert (deep - shallow).abs().max() > 1e-3
    changed = statistics.clone()
    changed[:, 2] += 1
    later = model.score_statistics(changed)
    assert not torch.allclose(later.esc_logits, answer.esc_logits)  # the deep head uses the last state
    model.esc_head.classifier.weight.data.zero_()
    torch.testing.assert_close(
        model.score_statistics(changed).esc_logits, model.score_statistics(statistics).esc_logits
    )
    model.save_pretrained(tmp_path)
    loaded = SpeechEQModel.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(loaded(**inputs).esc_logits, model(**inputs).esc_logits)


def test_both_heads_of_a_task_learn_each_by_its_own_loss(whisper_config):
    model, processor = build(whisper_config, shallow_states=1, head_dropout=0.0)
    model.train()
    model.standardizer.eval()
    output = model(**processor([waveform(1.0), waveform(2.0)], sampling_rate=16_000), **labels())
    esc = [set_loss(scores, labels()["esc_labels"]) for scores in (output.esc_logits, output.esc_shallow_logits)]
    torch.testing.assert_close(output.esc_loss, sum(esc) / 2)
    levels = interval_targets(labels()["eis_labels"], 5)
    eis = [set_loss(scores, levels) for scores in (output.eis_logits, output.eis_shallow_logits)]
    torch.testing.assert_close(output.eis_loss, sum(eis) / 2)
    output.loss.backward()
    for name, parameter in model.named_parameters():
        if "head" in name and ".layer_mix." not in name:  # one state needs no mix
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_temperatures_divide_the_logits_in_use_and_not_in_training(whisper_config):
    model, processor = build(whisper_config, head_dropout=0.0)
    inputs = processor([waveform(0.5)], sampling_rate=16_000)
    plain = model(**inputs)
    model.config.temperatures = {"esc": 2.0, "eis": 4.0, "gender": 0.5}
    cooled = model(**inputs)
    torch.testing.assert_close(cooled.esc_logits, plain.esc_logits / 2)
    torch.testing.assert_close(cooled.eis_logits, plain.eis_logits / 4)
    torch.testing.assert_close(cooled.gender_logits, plain.gender_logits / 0.5)
    torch.testing.assert_close(cooled.eis, plain.eis)
    statistics = plain.statistics
    model.esc_head.train()
    model.training = True
    model.standardizer.eval()
    torch.testing.assert_close(model.score_statistics(statistics).esc_logits, plain.esc_logits)


def test_states_made_before_stand_for_the_input(backbone_config):
    model, processor = build(backbone_config)
    inputs = processor([waveform(0.6), waveform(1.5, seed=1)], sampling_rate=16_000)
    with torch.no_grad():
        expected = model(**inputs)
        states, lengths = encode(model.backbone, inputs[model.main_input_name], inputs["attention_mask"].sum(dim=-1))
        mask = frame_mask(lengths, states[0].shape[1])
        model.backbone.forward = None  # the encoder does not run
        found = model(encoder_states=torch.stack(states, dim=2), attention_mask=mask)
        alone = model(encoder_states=torch.stack(states, dim=2)[1:])
    assert found.frame_lengths.tolist() == expected.frame_lengths.tolist()
    for name in LOGITS:
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-5, rtol=0)
        torch.testing.assert_close(getattr(alone, name), getattr(expected, name)[1:], atol=1e-4, rtol=0)
