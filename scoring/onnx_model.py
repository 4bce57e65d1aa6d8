"""A model exported by `speecheq.scoring.onnx_export`, run by ONNX Runtime in the place of [`SpeechEQModel`]."""

import json
import os
from pathlib import Path

import onnxruntime
import torch
from safetensors import safe_open
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.dataset_scripts.build.manifest import file_sha256
from speecheq.modeling_speecheq import SpeechEQOutput
from speecheq.pooling_speecheq import RunningStandardizer, SpeakerStatistics

FILE, INT8_FILE = "onnx/model.onnx", "onnx/model_int8.onnx"  # as on the Hub
OUTPUTS = ("esc_logits", "eis_logits", "eis", "phoneme_logits", "gender_logits", "frame_lengths", "statistics")
SOURCE = "speecheq_source"  # in the metadata of an exported file: what it was made of


class OnnxModel(nn.Module):
    """The answers of the four heads by ONNX Runtime, on the CPU.

    Utterances run one by one: nothing is spent on padding, and with 8-bit integers, whose steps follow from all that runs
    together, none changes the answer of another.

    Args:
        folder (`str` or `os.PathLike`): of the saved model; its configuration, and what its training corpus is like.
        file_name (`str`, *optional*, defaults to `"onnx/model_int8.onnx"`): the exported file in it.

    Raises:
        ValueError: if there is no such file, or it was exported before the model was trained or calibrated anew.

    Example:

    ```python
    >>> model, processor = OnnxModel("runs/mine"), SpeechEQProcessor.from_pretrained("runs/mine")
    >>> pipe = SpeechEQPipeline(model=model, processor=processor)
    ```
    """

    # What a pipeline asks a model for.
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
                f"`python -m speecheq.scoring.onnx_export {os.fspath(folder)}` writes it."
            )
        self.config = SpeechEQConfig.from_pretrained(folder)
        self.standardizer = RunningStandardizer(self.config.head_states, 2 * self.config.head_channels)
        with safe_open(os.path.join(folder, "model.safetensors"), framework="pt") as weights:
            for name, buffer in self.standardizer.named_buffers():
                buffer.copy_(weights.get_tensor(f"standardizer.{name}"))
        nobody = SpeakerStatistics(self.standardizer, self.config.speaker_prior)
        self._unknown = {"speaker_mean": nobody.mean, "speaker_std": nobody.std}
        self.session = open_session(path)
        if self.session.get_modelmeta().custom_metadata_map.get(SOURCE) != source_of(folder, self.config):
            raise ValueError(
                f"OnnxModel: {file_name!r} must be exported from the weights and settings in {os.fspath(folder)!r}; got an "
                f"export of others. `python -m speecheq.scoring.onnx_export {os.fspath(folder)}` writes it anew."
            )

    def __reduce__(self):
        """Another process opens the file anew: a session cannot be sent to it."""
        return type(self), self._saved

    def forward(
        self,
        attention_mask: torch.Tensor | None = None,
        speaker_mean: torch.Tensor | None = None,
        speaker_std: torch.Tensor | None = None,
        **inputs: torch.Tensor,
    ) -> SpeechEQOutput:
        """As [`SpeechEQModel`] without labels, from what the processor gives.

        Raises:
            TypeError: if its input is missing, or another argument is given, such as labels or `return_dict`.
        """
        name = self.session.get_inputs()[0].name
        if set(inputs) != {name}:
            raise TypeError(
                f"OnnxModel: arguments must be {name}, and attention_mask, speaker_mean and speaker_std if need be; got "
                f"{', '.join(sorted(inputs)) or 'none'}. For labels and tuples take SpeechEQModel."
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
        """A pipeline asks for it."""
        return False


def open_session(path: str | os.PathLike) -> onnxruntime.InferenceSession:
    """Open an exported file for the CPU, with as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def source_of(folder: str | os.PathLike, config: SpeechEQConfig) -> str:
    """What the answers of a saved model follow from: the SHA-256 of its weights, and the settings that act on them."""
    settings = {
        "pooling": config.pooling,
        "shallow_states": config.shallow_states,
        "temperatures": {task: float(value) for task, value in config.temperatures.items()},
    }
    return f"{file_sha256(Path(folder, 'model.safetensors'))} {json.dumps(settings, sort_keys=True)}"


def answer(session: onnxruntime.InferenceSession, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Run an exported file; shapes as in [`SpeechEQModel`]."""
    found = session.run(OUTPUTS, {name: value.numpy() for name, value in inputs.items()})
    return {name: torch.from_numpy(value) for name, value in zip(OUTPUTS, found, strict=True)}


def time_axis(config: SpeechEQConfig) -> int:
    """Of the encoder's input."""
    return 2 if config.backbone_config.model_type == "whisper" else 1
