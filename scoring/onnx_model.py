"""ONNX Runtime model from `speecheq.scoring.onnx_export`, a replacement for [`SpeechEQModel`] at inference."""

import json
import os
from pathlib import Path

import onnxruntime
import torch
from safetensors import safe_open
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.dataset_scripts.files import file_sha256
from speecheq.modeling_speecheq import SpeechEQOutput
from speecheq.pooling_speecheq import RunningStandardizer, SpeakerStatistics

FILE, INT8_FILE = "onnx/model.onnx", "onnx/model_int8.onnx"  # Hub conventions
OUTPUTS = ("esc_logits", "eis_logits", "eis", "phoneme_logits", "gender_logits", "frame_lengths", "statistics")
SOURCE = "speecheq_source"  # metadata key of an exported file: its weights and settings


class OnnxModel(nn.Module):
    """Exported model with four heads, run by ONNX Runtime on the CPU.

    Utterances run one at a time. This avoids padding, and keeps 8-bit predictions independent of the batch, because the
    quantisation steps of activations depend on all inputs of a run.

    Args:
        folder (`str` or `os.PathLike`): folder of the saved model, with its configuration and standardisation.
        file_name (`str`, *optional*, defaults to `"onnx/model_int8.onnx"`): exported file in the folder.

    Raises:
        ValueError: if the file does not exist, or its weights or settings differ from those in the folder.

    Example:

    ```python
    >>> model, processor = OnnxModel("runs/mine"), SpeechEQProcessor.from_pretrained("runs/mine")
    >>> pipe = SpeechEQPipeline(model=model, processor=processor)
    ```
    """

    # Attributes that pipelines read from a model.
    device = torch.device("cpu")
    dtype = torch.float32
    input_modalities = ("audio",)

    def __init__(self, folder: str | os.PathLike, file_name: str = INT8_FILE):
        super().__init__()
        self._saved = os.path.abspath(folder), file_name
        path = os.path.join(folder, file_name)
        if not os.path.isfile(path):
            raise ValueError(
                f"OnnxModel: file_name must be an exported file in {os.fspath(folder)!r}; got {file_name!r}. "
                f"Run `python -m speecheq.scoring.onnx_export {os.fspath(folder)}` to create it."
            )
        self.config = SpeechEQConfig.from_pretrained(folder)
        self.standardizer = RunningStandardizer(self.config.head_states, 2 * self.config.head_channels)
        with safe_open(os.path.join(folder, "model.safetensors"), framework="pt") as weights:
            for name, buffer in self.standardizer.named_buffers():
                buffer.copy_(weights.get_tensor(f"standardizer.{name}"))
        empty = SpeakerStatistics(self.standardizer, self.config.speaker_prior)
        self._unknown = {"speaker_mean": empty.mean, "speaker_std": empty.std}
        self.session = open_session(path)
        if self.session.get_modelmeta().custom_metadata_map.get(SOURCE) != source_of(folder, self.config):
            raise ValueError(
                f"OnnxModel: {file_name!r} must be exported from the weights and settings in {os.fspath(folder)!r}; got an "
                f"export of others. Run `python -m speecheq.scoring.onnx_export {os.fspath(folder)}` to replace it."
            )

    def __reduce__(self):
        """Pickle the arguments only: a session cannot be pickled, so another process opens the file again."""
        return type(self), self._saved

    def forward(
        self,
        attention_mask: torch.Tensor | None = None,
        speaker_mean: torch.Tensor | None = None,
        speaker_std: torch.Tensor | None = None,
        **inputs: torch.Tensor,
    ) -> SpeechEQOutput:
        """Run the model on the output of the processor, like [`SpeechEQModel.forward`] without labels.

        Raises:
            TypeError: if the input is missing, or another argument is given, such as labels or `return_dict`.
        """
        name = self.session.get_inputs()[0].name
        if set(inputs) != {name}:
            raise TypeError(
                f"OnnxModel: arguments must be {name}, and optionally attention_mask, speaker_mean and speaker_std; got "
                f"{', '.join(sorted(inputs)) or 'none'}. Use SpeechEQModel for labels and tuples."
            )
        features = inputs[name]
        if attention_mask is None:
            attention_mask = torch.ones(len(features), features.shape[time_axis(self.config)], dtype=torch.long)
        speaker = self._unknown if speaker_mean is None else {"speaker_mean": speaker_mean, "speaker_std": speaker_std}
        speaker = {part: value.expand(len(features), *value.shape[-2:]) for part, value in speaker.items()}
        rows = []
        for row, mask in enumerate(attention_mask):
            length = int(mask.sum())
            one = {
                name: features.narrow(time_axis(self.config), 0, length),
                "attention_mask": attention_mask[:, :length],
            }
            rows.append(answer(self.session, {part: value[row : row + 1] for part, value in (one | speaker).items()}))
        return SpeechEQOutput(
            **{
                name: pad_sequence([row[name][0] for row in rows], batch_first=True)
                if name == "phoneme_logits"
                else torch.cat([row[name] for row in rows])
                for name in OUTPUTS
            }
        )

    def can_generate(self) -> bool:
        """Return `False`; pipelines call this method."""
        return False


def open_session(path: str | os.PathLike) -> onnxruntime.InferenceSession:
    """Open an exported file on the CPU, with the thread count of torch."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def source_of(folder: str | os.PathLike, config: SpeechEQConfig) -> str:
    """Identify a saved model by the SHA-256 of its weights and the settings that affect its outputs."""
    settings = {
        "pooling": config.pooling,
        "shallow_states": config.shallow_states,
        "temperatures": {task: float(value) for task, value in config.temperatures.items()},
    }
    return f"{file_sha256(Path(folder, 'model.safetensors'))} {json.dumps(settings, sort_keys=True)}"


def answer(session: onnxruntime.InferenceSession, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Run an exported file, and return its outputs by name, with the shapes of [`SpeechEQOutput`]."""
    found = session.run(OUTPUTS, {name: value.numpy() for name, value in inputs.items()})
    return {name: torch.from_numpy(value) for name, value in zip(OUTPUTS, found, strict=True)}


def time_axis(config: SpeechEQConfig) -> int:
    """Return the time axis of the encoder input."""
    return 2 if config.backbone_config.model_type == "whisper" else 1
