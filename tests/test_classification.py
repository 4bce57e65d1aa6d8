"""Claims about the standard task: `audio-classification` in the way of every model of the Hub."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from datasets import Audio, load_dataset
from samples import MINI_SEQD, ROOT, TINY_BACKBONES, waveform
from transformers import DataCollatorWithPadding

from speecheq import SpeechEQConfig, SpeechEQForAudioClassification, SpeechEQModel, SpeechEQProcessor
from speecheq.audio_speecheq import read_blocks
from speecheq.backbones_speecheq import encode, frame_mask
from speecheq.configuration_speecheq import save_with_code
from speecheq.training.saving import save_for_hub

TONES = {"low": 300, "middle": 700, "high": 1500, "highest": 3500}  # class -> Hz
WITHOUT_SPEECHEQ = "import sys\nsys.modules['speecheq'] = None\n"
# What the Hub shows to every visitor, and scores of the pipeline of the whole model.
SNIPPETS = """
import json, sys
import evaluate, numpy as np, soundfile, torch
from datasets import Dataset
from transformers import AutoFeatureExtractor, AutoModelForAudioClassification, pipeline

def scores(ranked):
    return {each["label"]: each["score"] for each in ranked}

def answers(folder, audio):
    pipe = pipeline("audio-classification", model=folder, trust_remote_code=True)
    model = AutoModelForAudioClassification.from_pretrained(folder, trust_remote_code=True, dtype="auto")
    extractor = AutoFeatureExtractor.from_pretrained(folder, trust_remote_code=True)
    with torch.no_grad():
        logits = model(**extractor(audio, sampling_rate=16000, return_tensors="pt")).logits[0]
    return {
        "all": scores(pipe(audio, top_k=None)), "three": scores(pipe(audio, top_k=3)),
        "none": scores(pipe(audio, top_k=None, function_to_apply="none")),
        "direct": dict(zip(model.config.id2label.values(), logits.softmax(-1).tolist())),
        "logits": dict(zip(model.config.id2label.values(), logits.tolist())),
        "class": type(model).__name__, "module": type(model).__module__.split(".")[0],
    }

def whole(folder, audio):
    pipe = pipeline(model=folder, trust_remote_code=True, vad=False)
    return {"class": type(pipe).__name__, "all": scores(pipe(audio, sampling_rate=16000)["emotion"])}
"""
# As the example script of transformers, examples/pytorch/audio-classification, and its guide of the task do it.
FINE_TUNE = """
import sys
from pathlib import Path
import numpy as np, soundfile
from datasets import ClassLabel, Dataset
from transformers import (
    AutoConfig, AutoFeatureExtractor, AutoModelForAudioClassification, Trainer, TrainingArguments, set_seed,
)

model_name, data, output, epochs, rate = sys.argv[1:]
set_seed(0)
labels = sorted(folder.name for folder in Path(data, "train").iterdir())
label2id = {label: str(index) for index, label in enumerate(labels)}
id2label = {str(index): label for index, label in enumerate(labels)}
hub = {"cache_dir": None, "revision": "main", "token": None, "trust_remote_code": True}
feature_extractor = AutoFeatureExtractor.from_pretrained(model_name, return_attention_mask=True, **hub)

def rows(split):
    paths = sorted(Path(data, split).rglob("*.wav"))
    rows = [{"audio": soundfile.read(path)[0], "label": labels.index(path.parent.name)} for path in paths]
    return Dataset.from_list(rows)

def preprocess(batch):
    audio = [np.array(samples) for samples in batch["audio"]]
    return feature_extractor(
        audio, sampling_rate=feature_extractor.sampling_rate, max_length=32000, truncation=True, padding=True
    )

def compute_metrics(eval_pred):
    return {"accuracy": float((np.argmax(eval_pred.predictions, axis=1) == eval_pred.label_ids).mean())}

config = AutoConfig.from_pretrained(
    model_name, num_labels=len(labels), label2id=label2id, id2label=id2label,
    finetuning_task="audio-classification", **hub,
)
model = AutoModelForAudioClassification.from_pretrained(
    model_name, from_tf=False, config=config, ignore_mismatched_sizes=True, **hub
)
model.freeze_feature_encoder()
arguments = TrainingArguments(
    output, num_train_epochs=float(epochs), learning_rate=float(rate), per_device_train_batch_size=8,
    eval_strategy="no", save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
)
train, test = (
    rows(split).map(preprocess, batched=True, batch_size=5, remove_columns="audio") for split in ("train", "test")
)
trainer = Trainer(
    model=model, args=arguments, train_dataset=train, eval_dataset=test, compute_metrics=compute_metrics,
    processing_class=feature_extractor,
)
random_head = trainer.evaluate()
trainer.train()
trainer.save_model()
print(random_head["eval_accuracy"], trainer.evaluate()["eval_accuracy"])
trainer.create_model_card(finetuned_from=model_name, tasks="audio-classification")
"""


def run(code: str, tmp_path: Path, *arguments, **environment) -> str:
    """Last line of the output of code in a fresh process that cannot import `speecheq`."""
    offline = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "PATH": "", "OMP_NUM_THREADS": "2"}
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_SPEECHEQ + code, *map(str, arguments)],
        cwd=tmp_path, env=offline | environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert "is not supported for audio-classification" not in result.stderr
    return result.stdout.splitlines()[-1]


def statistics_of(model, inputs) -> torch.Tensor:
    """Pooled statistics of a whisper model."""
    states, lengths = encode(model.backbone, inputs["input_features"], inputs["attention_mask"].sum(-1))
    return model.pooling(states, frame_mask(lengths, states[0].shape[1]))


def tiny(name: str = "whisper", model_class=SpeechEQModel, **fields):
    """A tiny model of random weights whose ESC heads have large weights."""
    torch.manual_seed(0)
    model = model_class(SpeechEQConfig(backbone_config=dict(TINY_BACKBONES[name]), **fields)).eval()
    for head in filter(None, (model.esc_head, model.esc_shallow_head)):
        torch.nn.init.normal_(head.classifier.weight, std=1.0)
    return model


def write_tones(folder: Path) -> Path:
    """A folder of splits and classes: tones of one frequency per class, of several lengths."""
    random = np.random.default_rng(0)
    for split, number in (("train", 10), ("test", 4)):
        for label, frequency in TONES.items():
            (folder / split / label).mkdir(parents=True)
            for index in range(number):
                time = np.arange(int(random.uniform(0.2, 0.3) * 16_000)) / 16_000
                tone = random.uniform(0.2, 0.4) * np.sin(2 * np.pi * frequency * time)
                noise = random.normal(size=len(time)) * 0.001
                soundfile.write(folder / split / label / f"{index}.wav", tone + noise, 16_000)
    return folder


@pytest.fixture(scope="module")
def answers(tmp_path_factory) -> dict:
    """All answers of one process: the root, a saved folder, and a classifier that the stock script has trained."""
    folder = tmp_path_factory.mktemp("standard")
    model = tiny(shallow_states=2, temperatures={"esc": 1.7}, head_dropout=0.0)
    save_for_hub(model, SpeechEQProcessor.for_config(model.config), folder / "tiny", int8_weights=True)
    data = write_tones(folder / "tones")
    trained = run(FINE_TUNE, folder, folder / "tiny", data, folder / "trained", 20, 0.01)
    soundfile.write(folder / "audio.wav", waveform(1.0), 16_000, subtype="FLOAT")
    code = """
root, tiny, trained, tones, metric = sys.argv[1:]
audio, _ = soundfile.read("audio.wav", dtype="float32")
found = {"root": answers(root, audio), "tiny": answers(tiny, audio), "trained": answers(trained, audio)}
found |= {"whole root": whole(root, audio), "whole tiny": whole(tiny, audio)}
from pathlib import Path
pipe = pipeline("audio-classification", model=trained, trust_remote_code=True)
paths = sorted(Path(tones, "test").rglob("*.wav"))
rows = [{"audio": soundfile.read(p, dtype="float32")[0], "label": pipe.model.config.label2id[p.parent.name]} for p in paths]
found["evaluator"] = evaluate.evaluator("audio-classification").compute(  # a pipeline object fails with transformers 5
    model_or_pipeline=pipe.model, feature_extractor=pipe.feature_extractor, input_column="audio",
    data=Dataset.from_list(rows).with_format("numpy"), label_mapping=pipe.model.config.label2id,
    metric=evaluate.load(metric, keep_in_memory=True),
)["wa"]
best = [pipe(row["audio"], top_k=1)[0]["label"] for row in rows]
found["counted"] = float(np.mean([label == path.parent.name for label, path in zip(best, paths)]))
print(json.dumps(found))
"""
    line = run(SNIPPETS + code, folder, ROOT, folder / "tiny", folder / "trained", data, ROOT / "metrics" / "uar")
    return json.loads(line) | {"accuracy": [float(part) for part in trained.split()], "folder": folder}


@pytest.mark.parametrize("model", ["root", "tiny"])
def test_the_snippets_of_the_hub_give_the_scores_of_the_whole_pipeline(answers, model):
    standard, whole = answers[model], answers[f"whole {model}"]
    assert (standard["class"], standard["module"]) == ("SpeechEQForAudioClassification", "transformers_modules")
    assert whole["class"] == "SpeechEQPipeline"
    assert len(whole["all"]) == 12
    assert standard["all"] == pytest.approx(whole["all"], abs=1e-4)
    assert standard["direct"] == pytest.approx(whole["all"], abs=1e-4)


def test_the_parameters_of_the_stock_pipeline_have_their_effect(answers):
    standard = answers["root"]
    ranked = sorted(standard["all"], key=standard["all"].get, reverse=True)
    assert list(standard["three"]) == ranked[:3]
    assert standard["none"] == pytest.approx(standard["logits"], abs=1e-5)


def test_the_stock_script_trains_your_own_classes_and_the_stock_pipeline_opens_them(answers):
    random_head, trained = answers["accuracy"]
    assert trained >= random_head + 0.25
    assert len(FINE_TUNE.strip().splitlines()) <= 60
    assert set(answers["trained"]["all"]) == set(TONES)
    config = json.loads((answers["folder"] / "trained" / "config.json").read_text())
    assert config["id2label"] == {"0": "high", "1": "highest", "2": "low", "3": "middle"}
    assert len(config["esc_labels"]) == 12 and config["custom_pipelines"] == {}
    assert config["auto_map"]["AutoModelForAudioClassification"] == "modeling_speecheq.SpeechEQForAudioClassification"


def test_the_evaluator_gives_the_accuracy_that_we_count(answers):
    assert answers["evaluator"] == answers["counted"] == answers["accuracy"][1]


@pytest.mark.parametrize("name", ["whisper", "wav2vec2", "wav2vec2-bert"])
@pytest.mark.parametrize("shallow_states", [0, 2])
def test_the_classifier_answers_as_the_model_does_in_inference(name, shallow_states):
    fields = {"shallow_states": shallow_states, "temperatures": {"esc": 1.7}}
    model, classifier = tiny(name, **fields), tiny(name, SpeechEQForAudioClassification, **fields)
    inputs = SpeechEQProcessor.for_config(model.config)([waveform(0.5), waveform(0.3, seed=1)], sampling_rate=16_000)
    labels = torch.tensor([3, 11])
    with torch.no_grad():
        expected = model(**inputs).esc_logits.log_softmax(-1)
        output = classifier(**inputs, labels=labels)
        loss, logits = classifier(**inputs, labels=labels, return_dict=False)
        without_mask = classifier(**{key: value for key, value in inputs.items() if key != "attention_mask"}).logits
    torch.testing.assert_close(output.logits.log_softmax(-1), expected)
    torch.testing.assert_close(output.loss, -expected[[0, 1], labels].mean())
    assert loss.equal(output.loss) and logits.equal(output.logits)
    torch.testing.assert_close(without_mask, output.logits)


def test_in_training_both_heads_have_a_loss():
    model = tiny("whisper", SpeechEQForAudioClassification, shallow_states=2, head_dropout=0.0).train()
    inputs = SpeechEQProcessor.for_config(model.config)([waveform(0.5), waveform(0.3, seed=1)], sampling_rate=16_000)
    model(**inputs, labels=torch.tensor([1, 2])).loss.backward()
    for head in (model.esc_head, model.esc_shallow_head):
        assert head.classifier.weight.grad.abs().sum() > 0
    assert model.backbone.conv1.weight.grad is not None
    model.zero_grad()
    model.freeze_feature_encoder()
    model(**inputs, labels=torch.tensor([1, 2])).loss.backward()
    assert model.backbone.conv1.weight.grad is None and model.backbone.layers[0].fc1.weight.grad is not None


def test_regression_and_several_labels_per_utterance_use_the_plain_scores():
    for fields, labels in (
        ({"num_labels": 1, "problem_type": "regression"}, torch.tensor([0.5])),
        ({"num_labels": 3, "problem_type": "multi_label_classification"}, torch.tensor([[1.0, 0.0, 1.0]])),
    ):
        model = tiny("whisper", SpeechEQForAudioClassification, shallow_states=2, **fields)
        inputs = SpeechEQProcessor.for_config(model.config)(waveform(0.5), sampling_rate=16_000)
        output = model(**inputs, labels=labels)
        voice = model.standardizer(statistics_of(model, inputs))
        expected = (model.esc_head(voice) + model.esc_shallow_head(voice[:, :2])) / 2
        torch.testing.assert_close(output.logits, expected)
        loss = (
            torch.nn.functional.mse_loss if labels.ndim == 1 else torch.nn.functional.binary_cross_entropy_with_logits
        )
        torch.testing.assert_close(output.loss, loss(expected.squeeze(), labels.squeeze()))


def test_a_file_of_8_bit_integers_gives_the_classifier_its_weights_and_a_new_head(tmp_path):
    model = tiny(shallow_states=2, temperatures={"esc": 1.7})
    folder = save_for_hub(model, SpeechEQProcessor.for_config(model.config), tmp_path / "stored", int8_weights=True)
    whole = SpeechEQModel.from_pretrained(folder).state_dict()
    same = SpeechEQForAudioClassification.from_pretrained(folder).state_dict()
    assert all(same[name].equal(weight) for name, weight in whole.items()) and same.keys() == whole.keys()
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        SpeechEQForAudioClassification.from_pretrained(folder, num_labels=4)
    own = SpeechEQForAudioClassification.from_pretrained(folder, num_labels=4, ignore_mismatched_sizes=True)
    new = {name for name, weight in own.state_dict().items() if not weight.equal(whole[name])}
    assert new == {f"esc_{kind}head.classifier.{part}" for kind in ("", "shallow_") for part in ("weight", "bias")}
    assert own.config.temperatures["esc"] == 1.7 and own._temperature("esc") == 1.0
    assert own.config.id2label == {index: f"LABEL_{index}" for index in range(4)}


def test_the_model_loads_from_a_saved_classifier_of_the_fine_classes(tmp_path):
    classifier = tiny("whisper", SpeechEQForAudioClassification, shallow_states=2, temperatures={"esc": 1.7})
    classifier.save_pretrained(tmp_path)
    model = SpeechEQModel.from_pretrained(tmp_path).eval()
    inputs = SpeechEQProcessor.for_config(model.config)(waveform(0.5), sampling_rate=16_000)
    scores = model(**inputs).esc_logits.softmax(-1)
    torch.testing.assert_close(scores, classifier(**inputs).logits.softmax(-1))


def test_a_classifier_that_was_imported_is_saved_with_its_code(tmp_path):
    model = tiny("whisper", SpeechEQForAudioClassification, id2label={0: "calm", 1: "tense"})
    save_with_code(model, SpeechEQProcessor.for_config(model.config), tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["auto_map"] == {
        "AutoConfig": "configuration_speecheq.SpeechEQConfig",
        "AutoModel": "modeling_speecheq.SpeechEQModel",
        "AutoModelForAudioClassification": "modeling_speecheq.SpeechEQForAudioClassification",
    }
    assert (tmp_path / "modeling_speecheq.py").is_file() and (tmp_path / "processing_speecheq.py").is_file()
    assert config["custom_pipelines"] == {} and not (tmp_path / "pipeline_speecheq.py").exists()


def test_your_own_classes_survive_and_leave_the_fine_classes_alone(whisper_config, tmp_path):
    for given, expected in (
        ({"id2label": {"1": "tense", "0": "calm"}, "num_labels": 2}, {0: "calm", 1: "tense"}),
        ({"num_labels": 2}, {0: "LABEL_0", 1: "LABEL_1"}),
        ({"num_labels": 12}, dict(enumerate(SpeechEQConfig().esc_labels))),
        ({"esc_labels": ["bad", "good"], "esc_scales": {"all": {"any": ["bad", "good"]}}}, {0: "bad", 1: "good"}),
    ):
        SpeechEQConfig(backbone_config=whisper_config).save_pretrained(tmp_path)
        loaded = SpeechEQConfig.from_pretrained(tmp_path, **given)
        loaded.save_pretrained(tmp_path)
        for config in (SpeechEQConfig(**{"backbone_config": whisper_config} | given), loaded,
                       SpeechEQConfig.from_pretrained(tmp_path)):  # fmt: skip
            assert config.id2label == expected
            assert config.label2id == {label: index for index, label in expected.items()}
            assert config.esc_labels == given.get("esc_labels", SpeechEQConfig().esc_labels)


@pytest.mark.parametrize("name", ["whisper", "wav2vec2", "wav2vec2-bert"])
def test_the_feature_extractor_pads_and_truncates_as_the_stock_ones_do(name):
    extractor = SpeechEQProcessor.for_config(
        SpeechEQConfig(backbone_config=dict(TINY_BACKBONES[name]))
    ).feature_extractor
    audio, key = [waveform(0.2), waveform(0.5, seed=1)], extractor.model_input_names[0]
    full = extractor(audio, sampling_rate=16_000)
    cut = extractor(audio, sampling_rate=16_000, max_length=4_800, truncation=True)
    expected = extractor([waveform(0.2), waveform(0.5, seed=1)[:4_800]], sampling_rate=16_000)
    assert cut[key].equal(expected[key]) and cut["attention_mask"].equal(expected["attention_mask"])
    filled = extractor(audio[:1], sampling_rate=16_000, padding="max_length", max_length=8_000)
    assert filled[key][0].equal(full[key][0]) and filled["attention_mask"][0].equal(full["attention_mask"][0])
    loose = extractor(audio, sampling_rate=16_000, padding=False, return_tensors=None)
    rows = [{key: features, "label": 1} for features in loose[key]]
    for examples in (rows, [row | {key: row[key].tolist()} for row in rows]):
        batch = DataCollatorWithPadding(extractor)(examples)
        assert batch[key].equal(full[key]) and batch["attention_mask"].equal(full["attention_mask"])
        assert batch["labels"].tolist() == [1, 1]
    with pytest.raises(ValueError, match="max_length must be given"):
        extractor(audio, sampling_rate=16_000, truncation=True)
    assert set(extractor(audio, sampling_rate=16_000, return_attention_mask=False)) == {key}


@pytest.mark.slow
def test_the_stock_script_trains_the_checkpoint(tmp_path):
    for split, number in (("train", 6), ("test", 3)):
        counts = dict.fromkeys(("angry", "sad", "neutral", "happy"), 0)
        for row in load_dataset(MINI_SEQD, "all", split=split).cast_column("audio", Audio(decode=False)):
            label = row["esc"][0] if row["esc"] else None
            if counts.get(label, number) < number:
                folder = tmp_path / "data" / split / label
                folder.mkdir(parents=True, exist_ok=True)
                samples = np.concatenate(list(read_blocks(row["audio"]["bytes"])))
                soundfile.write(folder / f"{counts[label]}.wav", samples, 16_000)
                counts[label] += 1
        assert set(counts.values()) == {number}
    line = run(FINE_TUNE, tmp_path, ROOT, tmp_path / "data", tmp_path / "trained", 3, 1e-4)
    random_head, trained = map(float, line.split())
    assert trained >= random_head + 0.25
    code = SNIPPETS + "print(json.dumps(answers(sys.argv[1], np.ones(8000, np.float32) / 10)))"
    assert set(json.loads(run(code, tmp_path, tmp_path / "trained"))["all"]) == {"angry", "sad", "neutral", "happy"}


@pytest.mark.slow
def test_a_pushed_classifier_opens_from_the_hub(hub_endpoint, tmp_path):
    model = tiny("whisper", SpeechEQForAudioClassification, id2label={0: "calm", 1: "tense"})
    save_with_code(model, SpeechEQProcessor.for_config(model.config), tmp_path / "saved")
    code = (
        SNIPPETS
        + """
model = AutoModelForAudioClassification.from_pretrained(sys.argv[1], trust_remote_code=True)
model.push_to_hub("me/classifier")
AutoFeatureExtractor.from_pretrained(sys.argv[1], trust_remote_code=True).push_to_hub("me/classifier")
print(json.dumps(answers("me/classifier", np.ones(8000, np.float32) / 10)))
"""
    )
    environment = hub_endpoint.environment(tmp_path / "home")
    assert set(json.loads(run(code, tmp_path, tmp_path / "saved", **environment))["all"]) == {"calm", "tense"}
