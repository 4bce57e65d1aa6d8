"""Claims about the configuration and the label sets."""

import pytest

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.labels_speecheq import ESC_LABELS, ESC_SCALES


def test_there_are_twelve_fine_seven_basic_and_four_valence_classes():
    assert ESC_LABELS == [
        "angry", "frustrated", "disgust", "contempt", "fear", "sad", "bored", "neutral", "calm", "surprise", "happy",
        "excited",
    ]  # fmt: skip
    assert list(ESC_SCALES["basic"]) == ["angry", "disgust", "fear", "sad", "neutral", "surprise", "happy"]
    assert ESC_SCALES["valence"]["negative"] == ESC_LABELS[:7]
    assert list(ESC_SCALES["valence"]) == ["negative", "neutral", "ambiguous", "positive"]


def test_each_scale_holds_each_fine_class_once():
    for classes in ESC_SCALES.values():
        assert sorted(fine for members in classes.values() for fine in members) == sorted(ESC_LABELS)


def test_saving_and_loading_changes_nothing(backbone_config, tmp_path):
    config = SpeechEQConfig(backbone_config=backbone_config, phoneme_labels=["<blank>", "a"], pooling="attentive")
    config.save_pretrained(tmp_path)
    loaded = SpeechEQConfig.from_pretrained(tmp_path)
    assert loaded.to_dict() == config.to_dict()
    assert type(loaded.backbone_config) is type(config.backbone_config)


def test_sizes_come_from_the_backbone(backbone_config):
    config = SpeechEQConfig(backbone_config=backbone_config)
    assert (config.hidden_size, config.num_encoder_states) == (16, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"poolin": "statistics"}, r"unknown field 'poolin'\. Did you mean 'pooling'\?"),
        ({"pooling": "max"}, "pooling must be one of statistics, attentive; got 'max'"),
        ({"shallow_states": 4}, r"shallow_states must lie in \[0, 3\]; got 4"),
        ({"shallow_states": 1, "adapter_size": 8}, r"shallow_states must lie in \[0, 0\] with an adapter; got 1"),
        ({"head_dropout": 1.0}, r"head_dropout must lie in \[0, 1\); got 1.0"),
        ({"head_hidden_size": -1}, "head_hidden_size must be 0 or more; got -1"),
        ({"mask_time_prob": 1.5}, r"mask_time_prob must lie in \[0, 1\); got 1.5"),
        ({"mask_feature_length": 0}, "mask_feature_length must be positive; got 0"),
        ({"loss_weights": {"ecs": 1.0}}, "loss_weights must have keys among esc, eis, phoneme, gender"),
        ({"loss_weights": {"esc": -1.0}}, "loss_weights must be 0 or more"),
        ({"speaker_prior": 0}, "speaker_prior must be positive; got 0"),
        ({"abstain_below": 1.5}, r"abstain_below must lie in \[0, 1\]; got 1.5"),
        ({"temperatures": {"esc": 0.0}}, "temperatures must be positive"),
        ({"temperatures": {"phoneme": 1.0}}, "temperatures must have keys among esc, eis, gender"),
        ({"phoneme_labels": ["a"]}, "phoneme_labels must begin with '<blank>'"),
        ({"gender_labels": ["male", "male"]}, "gender_labels must contain each label once"),
        ({"eis_labels": ["some"]}, "eis_labels must have at least 2 levels"),
        ({"esc_scales": {"two": {"a": ["angry"]}}}, "esc_scales must contain each fine class once in 'two'"),
    ],
)
def test_a_wrong_field_is_named(fields, message, whisper_config):
    with pytest.raises(ValueError, match=message):
        SpeechEQConfig(backbone_config=whisper_config, **fields)


def test_unnamed_loss_weights_are_one():
    assert SpeechEQConfig(loss_weights={"esc": 2.0}).loss_weights == {
        "esc": 2.0, "eis": 1.0, "phoneme": 1.0, "gender": 1.0,
    }  # fmt: skip


def test_what_overrides_a_field_is_checked_and_weights_that_are_not_given_stay(backbone_config, tmp_path):
    SpeechEQConfig(backbone_config=backbone_config, loss_weights={"eis": 0.5}).save_pretrained(tmp_path)
    loaded = SpeechEQConfig.from_pretrained(tmp_path, loss_weights={"esc": 2.0}, temperatures={"esc": 1.5})
    assert loaded.loss_weights == {"esc": 2.0, "eis": 0.5, "phoneme": 1.0, "gender": 1.0}
    assert loaded.temperatures == {"esc": 1.5, "eis": 1.0, "gender": 1.0}
    for name, value in {"pooling": "max", "shallow_states": -1, "abstain_below": 5.0}.items():
        with pytest.raises(ValueError, match=f"SpeechEQConfig: {name} must"):
            SpeechEQConfig.from_pretrained(tmp_path, **{name: value})
