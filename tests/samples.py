"""Shared test helpers: tiny backbones, waveforms and paths."""

import io
import os
import zlib
from operator import attrgetter
from pathlib import Path

import numpy as np
import soundfile

from speecheq.dataset_scripts.corpora.records import NativeRecord, Skipped

ROOT = Path(__file__).resolve().parents[1]
MINI_SEQD = str(ROOT / "dataset_scripts" / "seqd_mini")
SHARED = Path(os.environ.get("SPEECHEQ_SHARED", ROOT.parent / "shared"))

_TINY = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
_TINY_WAVEFORM = _TINY | {"conv_dim": [16] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
TINY_BACKBONES = {
    "whisper": {
        "model_type": "whisper", "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2,
        "encoder_ffn_dim": 24, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 24,
        "num_mel_bins": 80, "vocab_size": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
        "decoder_start_token_id": 3,
    },
    "wav2vec2": {"model_type": "wav2vec2", **_TINY_WAVEFORM},
    "wav2vec2 (stable)": {
        "model_type": "wav2vec2", **_TINY_WAVEFORM, "feat_extract_norm": "layer", "do_stable_layer_norm": True,
    },
    "hubert": {"model_type": "hubert", **_TINY_WAVEFORM},
    "hubert (batch norm)": {"model_type": "hubert", **_TINY_WAVEFORM, "conv_pos_batch_norm": True},
    "wavlm": {"model_type": "wavlm", **_TINY_WAVEFORM},
    "wavlm (stable)": {
        "model_type": "wavlm", **_TINY_WAVEFORM, "feat_extract_norm": "layer", "do_stable_layer_norm": True,
    },
    "data2vec-audio": {"model_type": "data2vec-audio", **_TINY_WAVEFORM, "conv_pos_kernel_size": 5},
    "unispeech-sat": {"model_type": "unispeech-sat", **_TINY_WAVEFORM},
    "wav2vec2-bert": {"model_type": "wav2vec2-bert", **_TINY, "feature_projection_input_dim": 160},
}  # fmt: skip


def waveform(seconds: float, seed: int = 0, rate: int = 16_000) -> np.ndarray:
    """Noise with a time-varying level, float32 of shape `(samples,)`."""
    size = int(seconds * rate)
    noise = np.random.default_rng(seed).normal(size=size)
    return (0.1 * noise * np.linspace(0.2, 1, size)).astype(np.float32)


def utterances(count: int) -> list[np.ndarray]:
    """Synthetic speech at 16 kHz: the first test utterances of the mini SEQD."""
    from pyarrow import parquet

    rows = parquet.read_table(Path(MINI_SEQD, "synthetic", "test-00000-of-00001.parquet"), columns=["audio"])
    audio = rows.column("audio").to_pylist()[:count]
    return [soundfile.read(io.BytesIO(each["bytes"]), dtype="float32")[0] for each in audio]


def wav_bytes(samples: np.ndarray, rate: int = 16_000, subtype: str | None = None) -> bytes:
    """Write a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return file.getvalue()


def write_seqd(folder: Path, splits: dict) -> str:
    """Write a SEQD from splits, `datasets.Dataset` by name, with one configuration, `all`."""
    folder.mkdir(parents=True)
    files = ""
    for split, rows in splits.items():
        path = folder / "written"
        rows.to_parquet(path)
        # datasets caches by the names of folders and files, so other rows need another name.
        path = path.rename(folder / f"{split}-{zlib.crc32(path.read_bytes()):08x}.parquet")
        files += f"  - split: {split}\n    path: {path.name}\n"
    (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: all\n  data_files:\n{files}---\n")
    return str(folder)


def touch(folder: Path, *names: str) -> Path:
    """Create empty files in a folder, for adapters, which read only names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def split(found, key: str = "path.name") -> tuple[dict[str, NativeRecord], dict[str, str]]:
    """Return the records of an adapter by an attribute, and the reasons for skipped files by name."""
    found = list(found)
    records = {attrgetter(key)(item): item for item in found if isinstance(item, NativeRecord)}
    return records, {item.path.name: item.reason for item in found if isinstance(item, Skipped)}


def tiny_pipeline():
    """A pipeline with a tiny random model, whose head weights are large enough for distinct predictions."""
    import torch

    from speecheq import SpeechEQConfig, SpeechEQModel, SpeechEQProcessor
    from speecheq.pipeline_speecheq import SpeechEQPipeline

    torch.manual_seed(0)
    config = SpeechEQConfig(backbone_config=TINY_BACKBONES["whisper"], phoneme_labels=["<blank>", "a", "ə", "tʃ"])
    model = SpeechEQModel(config).eval()
    for head in (model.esc_head, model.phoneme_head, model.gender_head):
        torch.nn.init.normal_(head.classifier.weight, std=1.0)
    return SpeechEQPipeline(model=model, processor=SpeechEQProcessor.for_config(config), device="cpu")
