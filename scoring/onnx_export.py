"""Export a saved model for ONNX Runtime: `python -m speecheq.scoring.onnx_export MODEL`.

`MODEL/onnx/model.onnx` matches the model within 1e-4, for any number of utterances of any length. In `model_int8.onnx` the
encoder matrices are 8-bit integers, the fastest option on a CPU. Both files need only ONNX Runtime.
[`speecheq.scoring.onnx_model.OnnxModel`] runs them in a pipeline.
"""

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from torch import nn

from speecheq import SpeechEQModel, SpeechEQProcessor
from speecheq.audio_speecheq import SAMPLING_RATE
from speecheq.pooling_speecheq import SpeakerStatistics
from speecheq.scoring.onnx_model import FILE, INT8_FILE, OUTPUTS, SOURCE, answer, open_session, source_of, time_axis

TOLERANCE, RELATIVE = 1e-4, 1e-5  # the rounding of float32 grows with the value: some phoneme scores exceed 10
SECONDS = ((0.2,), (3.0, 0.5))  # s, lengths of the noise in the batches that check an export
SAMPLES = (48_000, 24_000)  # lengths of the noise that traces the graph


def export_onnx(folder: str | os.PathLike) -> list[Path]:
    """Export a saved model to two ONNX files in its folder.

    Args:
        folder (`str` or `os.PathLike`): folder of the model.

    Returns:
        `list[Path]`: `onnx/model.onnx` and `onnx/model_int8.onnx`.

    Raises:
        ValueError: if the encoder cannot be exported, or the outputs of the exported model differ.
    """
    model, processor = SpeechEQModel.from_pretrained(folder).eval(), SpeechEQProcessor.from_pretrained(folder)
    path, int8_path = Path(folder, FILE), Path(folder, INT8_FILE)
    path.parent.mkdir(exist_ok=True)
    program = _trace(model, processor)
    with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
        unfinished, quantized = Path(scratch, "model.onnx"), Path(scratch, "int8.onnx")
        program.save(unfinished)
        check(model, processor, unfinished)
        quantize_dynamic(
            unfinished, quantized, per_channel=True, weight_type=QuantType.QInt8,
            nodes_to_quantize=_encoder_matrices(unfinished),
        )  # fmt: skip
        source = source_of(folder, model.config)
        for made, kept in ((unfinished, path), (quantized, int8_path)):
            proto = onnx.load(made)
            onnx.helper.set_model_props(proto, {SOURCE: source})
            onnx.save(proto, made)
            os.replace(made, kept)
    return [path, int8_path]


def _trace(model: SpeechEQModel, processor: SpeechEQProcessor) -> torch.onnx.ONNXProgram:
    """Trace the graph of a model, for any number of utterances of any length."""
    inputs = _inputs(model, processor, SAMPLES)
    kind = model.config.backbone_config.model_type
    shapes = ({0: "batch", time_axis(model.config): "time"}, {0: "batch", 1: "time"}, {0: "batch"}, {0: "batch"})
    try:
        return torch.onnx.export(
            _Answers(model).eval(), tuple(inputs.values()), dynamo=True, verbose=False, dynamic_shapes=shapes,
            input_names=list(inputs), output_names=list(OUTPUTS),
        )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise ValueError(
            f"export_onnx: the encoder must be one that torch can export; got {kind}: {reason}. Encoders that run one "
            "utterance at a time, for example with feat_extract_norm='group', cannot be exported."
        ) from error


class _Answers(nn.Module):
    """Model wrapper with inputs in a fixed order and outputs as a tuple."""

    def __init__(self, model: SpeechEQModel):
        super().__init__()
        self.model = model

    def forward(self, inputs, attention_mask, speaker_mean, speaker_std):
        known = {"attention_mask": attention_mask, "speaker_mean": speaker_mean, "speaker_std": speaker_std}
        output = self.model(**{self.model.main_input_name: inputs}, **known)
        return tuple(output[name] for name in OUTPUTS)


@torch.no_grad()
def check(model: SpeechEQModel, processor: SpeechEQProcessor, path: Path, seconds=SECONDS):
    """Compare the outputs of a model and its export on noise.

    Args:
        model ([`SpeechEQModel`]), processor ([`SpeechEQProcessor`]): the exported model and its processor.
        path (`Path`): the exported file.
        seconds (`Sequence[Sequence[float]]`, *optional*, defaults to `SECONDS`): utterance lengths of each batch, in s.

    Raises:
        ValueError: if the outputs differ by more than 1e-4, plus 1e-5 of their size.
    """
    session = open_session(path)
    for lengths in seconds:
        inputs = _inputs(model, processor, [int(SAMPLING_RATE * length) for length in lengths])
        expected, found = model(**inputs), answer(session, inputs)
        answers = set(OUTPUTS) - {"statistics"}  # unbounded values, and the other outputs depend on them
        apart = {
            name: float(((found[name] - expected[name]).abs() - RELATIVE * expected[name].abs()).max())
            for name in answers
        }
        worst = max(apart, key=apart.get)
        if apart[worst] > TOLERANCE:
            raise ValueError(
                f"onnx_export: outputs must match the model within {TOLERANCE}; got a difference of {apart[worst]:.2g} in "
                f"{worst} for utterances of {', '.join(f'{length:g} s' for length in lengths)}."
            )


def _encoder_matrices(path: Path) -> list[str]:
    """Return the names of the nodes that multiply by an encoder matrix; the heads are small and stay in float32."""
    graph = onnx.load(path).graph
    width = {tensor.name: min(tensor.dims) for tensor in graph.initializer if len(tensor.dims) == 2}
    return [
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and any(width.get(name, 0) >= 256 for name in node.input)
    ]


def _inputs(model: SpeechEQModel, processor: SpeechEQProcessor, samples: Sequence[int]) -> dict[str, torch.Tensor]:
    """Create model inputs: noise with the given lengths, and empty speaker statistics."""
    inputs = dict(processor([_noise(size) for size in samples], sampling_rate=SAMPLING_RATE))
    empty = SpeakerStatistics(model.standardizer, model.config.speaker_prior)
    speaker = {"speaker_mean": empty.mean, "speaker_std": empty.std}
    return inputs | {name: value.expand(len(samples), -1, -1) for name, value in speaker.items()}


def _noise(samples: int) -> np.ndarray:
    return np.random.default_rng(samples).normal(scale=0.1, size=samples).astype(np.float32)


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder of a saved model")
    given = parser.parse_args(arguments)
    for path in export_onnx(given.model):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
