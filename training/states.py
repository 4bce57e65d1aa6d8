"""Hidden states and utterance statistics of an encoder, cached on disk for a frozen one: heads then train in seconds."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from tqdm import tqdm

from speecheq.backbones_speecheq import encode, frame_mask
from speecheq.modeling_speecheq import SpeechEQModel
from speecheq.pooling_speecheq import StatisticsPooling
from speecheq.processing_speecheq import SAMPLING_RATE, SpeechEQFeatureExtractor, SpeechEQProcessor
from speecheq.training.batches import SpeechDataset

ROWS_PER_PART = 512


@torch.inference_mode()
def utterance_statistics(
    backbone, pooling: StatisticsPooling, rows, cache: Path | None = None, batch_size: int = 16
) -> torch.Tensor:
    """Compute mean and deviation over time of each hidden state of a frozen encoder, as [`SpeechEQModel`] pools them.

    Args:
        backbone (`PreTrainedModel`): a speech encoder, in evaluation mode; it runs on its current device.
        pooling ([`StatisticsPooling`]): of the model, on the same device.
        rows (`datasets.Dataset`): of SEQD, with encoded audio.
        cache (`Path`, *optional*): folder for parts of 512 utterances. A killed run resumes from them, and later runs
            with the same encoder and audio read them.
        batch_size (`int`, *optional*, defaults to 16): utterances per batch.

    Returns:
        `torch.FloatTensor` of shape `(len(rows), states, 2 * hidden)`, on the CPU, in the order of the rows.
    """
    items = SpeechDataset(rows)
    extractor = SpeechEQFeatureExtractor.for_backbone(backbone.config)
    order = np.argsort(rows["duration"], kind="stable")
    folder = None
    if cache is not None:
        digest = _identity((backbone, pooling))
        for audio in rows["audio"]:
            digest.update(_fingerprint(audio))
        folder = Path(cache) / digest.hexdigest()[:32]
    parts = []
    for start in tqdm(range(0, len(order), ROWS_PER_PART), desc="frozen encoder", unit="part"):
        file = folder and folder / f"{start:07}.npy"
        if file and file.is_file():
            parts.append(torch.from_numpy(np.load(file)))
            continue
        part = order[start : start + ROWS_PER_PART]
        batches = [part[at : at + batch_size] for at in range(0, len(part), batch_size)]
        parts.append(torch.cat([_encode(backbone, pooling, extractor, items, batch) for batch in batches]))
        if file:
            write_array(file, parts[-1].numpy())
    statistics = torch.cat(parts)
    return statistics[torch.from_numpy(np.argsort(order, kind="stable"))]


@torch.inference_mode()
def answer_rows(model: SpeechEQModel, processor: SpeechEQProcessor, rows: Dataset, batch_size: int = 16) -> dict:
    """Run a model on rows of SEQD, on its current device.

    Returns:
        `dict`: `statistics` (`torch.FloatTensor` of shape `(n, states, 2 * hidden)`, on the CPU) and `phonemes`
        (`list[list[str]]`), in the order of the rows. `SpeechEQModel.score_statistics` computes the predictions of the
        utterance heads from the statistics.
    """
    items, order = SpeechDataset(rows), np.argsort(rows["duration"], kind="stable")
    statistics, phonemes = [None] * len(rows), [None] * len(rows)
    for start in tqdm(range(0, len(order), batch_size), desc="model", unit="batch"):
        batch = order[start : start + batch_size]
        inputs = processor([items[int(row)]["waveform"] for row in batch], sampling_rate=SAMPLING_RATE)
        output = model(**inputs.to(model.device))
        symbols = processor.decode_phonemes(output.phoneme_logits, output.frame_lengths)
        for row, values, spoken in zip(batch, output.statistics.cpu(), symbols, strict=True):
            statistics[row], phonemes[row] = values, spoken
    return {"statistics": torch.stack(statistics), "phonemes": phonemes}


class EncoderStates:
    """Hidden states of a frozen encoder, one file per utterance: `(frames, states, hidden)` in float16.

    The file name is a digest of the audio, so all folds and datasets share the files, and a killed run resumes.

    Args:
        backbone (`PreTrainedModel`): a speech encoder; it runs in evaluation mode, on its current device.
        cache (`Path`): folder of the files.
    """

    def __init__(self, backbone, cache: Path):
        self.backbone = backbone
        self.folder = Path(cache) / _identity((backbone,)).hexdigest()[:32]

    @torch.inference_mode()
    def fill(self, rows: Dataset, batch_size: int = 16):
        """Run the encoder on the rows that do not have a file yet."""
        missing = [row for row, audio in enumerate(rows["audio"]) if not self._file(audio).is_file()]
        if not missing:
            return
        rows = rows.select(missing).sort("duration")
        items, extractor = SpeechDataset(rows), SpeechEQFeatureExtractor.for_backbone(self.backbone.config)
        training = self.backbone.training
        self.backbone.eval()
        for start in tqdm(range(0, len(rows), batch_size), desc="frozen encoder", unit="batch"):
            batch = range(start, min(start + batch_size, len(rows)))
            states, lengths = _states(self.backbone, extractor, items, batch)
            states = torch.stack(states, dim=2).half().cpu().numpy()
            for row, of_utterance, length in zip(batch, states, lengths, strict=True):
                write_array(self._file(rows[row]["audio"]), of_utterance[: int(length)])
        self.backbone.train(training)

    def read(self, audio: dict) -> np.ndarray:
        """Read the states of an utterance, given the column `audio` of its row."""
        return np.load(self._file(audio))

    def _file(self, audio: dict) -> Path:
        name = _fingerprint(audio).hex()
        return self.folder / name[:2] / f"{name}.npy"


def _states(backbone, extractor, items: SpeechDataset, batch) -> tuple[list[torch.Tensor], torch.Tensor]:
    waveforms = [items[int(row)]["waveform"] for row in batch]
    inputs = extractor(waveforms, sampling_rate=SAMPLING_RATE).to(backbone.device)
    lengths = inputs["attention_mask"].sum(dim=-1)
    return encode(backbone, inputs[extractor.model_input_names[0]], lengths)


def _encode(backbone, pooling, extractor, items: SpeechDataset, batch: np.ndarray) -> torch.Tensor:
    states, lengths = _states(backbone, extractor, items, batch)
    return pooling(states, frame_mask(lengths, states[0].shape[1])).cpu()


def _identity(modules) -> "hashlib._Hash":
    """Return the digest of the encoder's configuration and the weights of all modules; the encoder is first."""
    digest = hashlib.sha256(json.dumps(modules[0].config.to_dict(), sort_keys=True, default=str).encode())
    for module in modules:
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().contiguous().cpu().numpy())
    return digest


def _fingerprint(audio: dict) -> bytes:
    return hashlib.sha256(audio["bytes"] or Path(audio["path"]).read_bytes()).digest()


def write_array(file: Path, array: np.ndarray):
    """Write an array atomically: the file is complete or missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}.partial.npy")
    np.save(partial, array)
    os.replace(partial, file)
