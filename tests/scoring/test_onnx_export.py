"""Claims about exported models: outputs match the model, alone and in a batch, and the pipeline."""

import json
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from fresh_process import CONTEXT
from samples import ROOT, TINY_BACKBONES, waveform

from speecheq import SpeechEQConfig, SpeechEQModel, SpeechEQProcessor
from speecheq.pipeline_speecheq import SpeechEQPipeline

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
from speecheq.heads_speecheq import OrdinalHead
from speecheq.scoring import onnx_export, onnx_model
from speecheq.scoring.command import CommandError, load_pipeline, main
from speecheq.scoring.onnx_model import FILE, INT8_FILE, OUTPUTS, OnnxModel, source_of

SPEECH = str(ROOT / "tests/speech/angry_high_en.wav")
RECORDING = str(ROOT / "space/examples/angry_en.wav")  # 8-bit scores of synthetic speech differ by up to 0.17
SMALL = TINY_BACKBONES["whisper"] | {"d_model": 256, "encoder_layers": 1, "encoder_ffn_dim": 256}
SIXTEEN = tuple(np.linspace(0.2, 8, 16).round(2).tolist())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A small model of random weights with its exported files. Its matrices are just large enough for 8 bits."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("exported")
    config = SpeechEQConfig(backbone_config=SMALL, phoneme_labels=["<blank>", "a", "ə", "tʃ"])
    model = SpeechEQModel(config)
    for head in (model.esc_head, model.phoneme_head, model.gender_head):
        torch.nn.init.normal_(head.classifier.weight, std=0.1)
    model.save_pretrained(folder)
    SpeechEQProcessor.for_config(config).save_pretrained(folder)
    onnx_export.main([str(folder)])
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """The checkpoint with its exported files."""
    folder = tmp_path_factory.mktemp("checkpoint")
    for name in ("config.json", "model.safetensors", "processor_config.json"):
        shutil.copy(ROOT / name, folder)
    onnx_export.main([str(folder)])
    return folder


def loaded(folder: Path) -> tuple[SpeechEQModel, SpeechEQProcessor]:
    return SpeechEQModel.from_pretrained(folder).eval(), SpeechEQProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder) -> SpeechEQModel:
    return loaded(folder)[0]


@pytest.fixture(scope="module")
def processor(folder) -> SpeechEQProcessor:
    return loaded(folder)[1]


def answers(model, processor, waveforms, **speaker) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        output = model(**processor(waveforms, sampling_rate=16_000), **speaker)
    return {name: output[name] for name in OUTPUTS}


@pytest.mark.slow
def test_the_files_have_the_names_that_the_hub_knows_and_nothing_is_left_beside_them(checkpoint):
    sizes = {path.name: path.stat().st_size / 1e6 for path in (checkpoint / "onnx").iterdir()}

    assert set(sizes) == {"model.onnx", "model_int8.onnx"}
    assert sizes["model_int8.onnx"] < 40 < sizes["model.onnx"] < 100


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [(0.2,), (30.0,), (30.0, 0.2), SIXTEEN], ids=["0.2", "30", "2", "16"])
def test_the_graph_gives_the_model_s_answers_whatever_the_length_and_the_batch(checkpoint, seconds):
    model, processor = loaded(checkpoint)
    onnx_export.check(model, processor, checkpoint / FILE, [seconds])


def test_levels_that_are_all_but_certain_survive_the_export(tmp_path):
    head = OrdinalHead(SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"])).eval()
    first, steps = head.initial_thresholds()
    head.first_threshold.data, head.log_steps.data = first, steps
    head.classifier.weight.data, head.classifier.bias.data = torch.ones(1, 32), torch.zeros(1)
    statistics = (
        torch.tensor([-1.0, -0.4, 0.0, 0.4, 1.0])[:, None, None].expand(5, 3, 32).contiguous()
    )  # locations up to 32
    torch.onnx.export(head, (statistics,), tmp_path / "head.onnx", input_names=["statistics"], dynamo=True)
    session = onnx_model.open_session(tmp_path / "head.onnx")
    (found,) = session.run(None, {"statistics": statistics.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), head(statistics), atol=1e-4, rtol=1e-5)


def test_an_answer_that_is_off_is_refused(folder, model, processor):
    with pytest.raises(
        ValueError,
        match=r"outputs must match the model within 0.0001; got a difference of .* in \w+ for utterances of 1 s, 0.5 s",
    ):
        onnx_export.check(model, processor, folder / INT8_FILE, [(1.0, 0.5)])


@pytest.mark.parametrize("name", [FILE, INT8_FILE])
def test_an_utterance_is_answered_alone_as_in_a_batch(folder, processor, name):
    model, waveforms = OnnxModel(folder, name), [waveform(length, seed) for seed, length in enumerate((3.0, 0.2, 1.4))]
    together = answers(model, processor, waveforms)

    for row, samples in enumerate(waveforms):
        alone = answers(model, processor, samples)
        frames = int(alone["frame_lengths"])
        assert torch.equal(alone["phoneme_logits"][0], together["phoneme_logits"][row, :frames])
        assert together["phoneme_logits"][row, frames:].abs().sum() == 0
        for output in set(OUTPUTS) - {"phoneme_logits"}:
            assert torch.equal(alone[output][0], together[output][row]), output


def test_what_is_known_of_a_speaker_counts(folder, model, processor):
    heard = answers(model, processor, [waveform(2.0, seed) for seed in (1, 2)])["statistics"]
    pipe = SpeechEQPipeline(model=OnnxModel(folder, FILE), processor=processor)
    speaker = pipe.new_speaker().update(heard)
    known = {"speaker_mean": speaker.mean, "speaker_std": speaker.std}
    expected = answers(model, processor, waveform(3.0), **known)
    found = answers(pipe.model, processor, waveform(3.0), **known)

    for name in OUTPUTS:
        torch.testing.assert_close(found[name], expected[name], atol=1e-4, rtol=1e-5)
    assert (answers(pipe.model, processor, waveform(3.0))["esc_logits"] - found["esc_logits"]).abs().max() > 0.1


@pytest.mark.slow
def test_the_pipeline_takes_an_exported_model(checkpoint):
    model, processor = loaded(checkpoint)
    expected = SpeechEQPipeline(model=model, processor=processor)(RECORDING, vad=False)
    exact, int8 = (
        SpeechEQPipeline(model=OnnxModel(checkpoint, name), processor=processor)([RECORDING], vad=False)[0]
        for name in (FILE, INT8_FILE)
    )

    for found, tolerance in ((exact, 1e-4), (int8, 0.1)):
        scores, others = ({entry["label"]: entry["score"] for entry in each["emotion"]} for each in (found, expected))
        assert scores == pytest.approx(others, abs=tolerance)
        assert found["gender"]["label"] == expected["gender"]["label"]
    assert (
        exact["phonemes"] == expected["phonemes"] and exact["timeline"][0]["label"] == expected["timeline"][0]["label"]
    )


def test_the_command_takes_an_exported_model(folder, capsys):
    assert main([SPEECH, "--model", str(folder), "--int8", "--no-vad", "--format", "jsonl"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = load_pipeline(str(folder), "cpu", int8=True)(SPEECH, vad=False)

    assert (found["label"], found["phonemes"]) == (expected["label"], expected["phonemes"])
    assert isinstance(load_pipeline(str(folder), None, int8=True).model, OnnxModel)
    with pytest.raises(CommandError, match=r"--int8 must go with --device cpu; got 'cuda'"):
        load_pipeline(str(folder), "cuda", int8=True)
    with pytest.raises(CommandError, match=r"--int8: OnnxModel: file_name must be an exported file"):
        load_pipeline(str(folder.parent), None, int8=True)


def test_a_folder_without_the_file_says_how_to_make_it(tmp_path):
    with pytest.raises(
        ValueError, match=r"file_name must be an exported file .*; got 'onnx/model_int8.onnx'\. Run `python -m"
    ):
        OnnxModel(tmp_path)


@pytest.mark.parametrize("changed", ["weights", "temperatures", "shallow_states", "pooling"])
def test_an_export_of_another_model_is_refused(folder, tmp_path, changed):
    later = shutil.copytree(folder, tmp_path / "later")
    config = json.loads((later / "config.json").read_text())
    if changed == "temperatures":
        config["temperatures"]["esc"] *= 2
        (later / "config.json").write_text(json.dumps(config))
    elif changed != "weights":
        other = {"shallow_states": config["shallow_states"] + 1, "pooling": "attentive"}
        assert config["pooling"] != other["pooling"]
        (later / "config.json").write_text(json.dumps(config | {changed: other[changed]}))
    else:
        config = SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"])
        SpeechEQModel(config).save_pretrained(later)

    for name in (FILE, INT8_FILE):
        with pytest.raises(ValueError, match=r"must be exported from the weights and settings in .*; got an export"):
            OnnxModel(later, name)


def test_a_whole_temperature_is_that_number_however_it_is_written(folder):
    one, other = (SpeechEQConfig.from_pretrained(folder, temperatures={"esc": value}) for value in (1, 1.0))
    assert source_of(folder, one) == source_of(folder, other)


def test_without_a_mask_all_is_speech(folder, processor):
    model, inputs = OnnxModel(folder), processor([waveform(1.0), waveform(1.0, 1)], sampling_rate=16_000)
    expected, found = model(**inputs), model(input_features=inputs["input_features"])
    for name in OUTPUTS:
        assert torch.equal(found[name], expected[name]), name


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({"gender_labels": torch.tensor([0])}, "gender_labels, input_features"),
        ({"return_dict": False}, "input_features, return_dict"),
    ],
)
def test_an_argument_that_it_has_no_answer_to_is_named(folder, processor, given, got):
    model, inputs = OnnxModel(folder), processor(waveform(1.0), sampling_rate=16_000)
    with pytest.raises(
        TypeError,
        match=rf"OnnxModel: arguments must be input_features, and optionally attention_mask, .*; got {got}\.",
    ):
        model(**inputs, **given)
    with pytest.raises(TypeError, match=r"got none\."):
        model(attention_mask=inputs["attention_mask"])


def test_another_process_can_have_it(folder, processor):
    inputs = processor(waveform(1.0), sampling_rate=16_000)
    expected = OnnxModel(folder, FILE)
    with ProcessPoolExecutor(1, CONTEXT) as pool:
        found = pool.submit(expected, **inputs).result(timeout=300)
    torch.testing.assert_close(found.esc_logits, expected(**inputs).esc_logits)


def test_an_encoder_that_cannot_be_exported_is_named(tmp_path):
    config = SpeechEQConfig(backbone_config=dict(TINY_BACKBONES["wav2vec2"]))
    SpeechEQModel(config).save_pretrained(tmp_path)
    SpeechEQProcessor.for_config(config).save_pretrained(tmp_path)

    with pytest.raises(ValueError, match="export_onnx: the encoder must be one that torch can export; got wav2vec2: "):
        onnx_export.export_onnx(tmp_path)
    assert list((tmp_path / "onnx").iterdir()) == []
