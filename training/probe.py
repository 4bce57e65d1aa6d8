"""The floor that a trained model must not fall below: a linear probe of the frozen encoder.

For each corpus by itself: mean and standard deviation over the frames of one encoder layer, standardised, into a logistic
regression on the corpus's own labels; the layer is the best on the validation split.
"""

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

from speecheq.backbones_speecheq import backbone_from_pretrained, encode, frame_mask
from speecheq.pooling_speecheq import StatisticsPooling
from speecheq.processing_speecheq import SAMPLING_RATE, SpeechEQFeatureExtractor
from speecheq.training.data import SpeechDataset


@torch.inference_mode()
def pooled_states(backbone, rows, batch_size: int = 16) -> np.ndarray:
    """Mean and deviation of every hidden state of a frozen encoder.

    Args:
        backbone (`PreTrainedModel`): a speech encoder.
        rows (`datasets.Dataset`): of SEQD.
        batch_size (`int`, *optional*, defaults to 16): utterances at once.

    Returns:
        `np.ndarray` of shape `(len(rows), states, 2 * hidden)`, float32, in the order of the rows.
    """
    extractor = SpeechEQFeatureExtractor.for_backbone(backbone.config)
    pooling = StatisticsPooling(backbone.config.hidden_size, attentive=False)
    order = np.argsort(rows["duration"])
    items, parts = SpeechDataset(rows), []
    for start in tqdm(range(0, len(order), batch_size), desc="frozen encoder"):
        waveforms = [items[index]["waveform"] for index in order[start : start + batch_size]]
        batch = extractor(waveforms, sampling_rate=SAMPLING_RATE)
        inputs = batch[extractor.model_input_names[0]]
        states, lengths = encode(backbone, inputs, batch["attention_mask"].sum(dim=-1))
        mask = frame_mask(lengths, states[0].shape[1])
        parts.append(pooling(states, mask).numpy())
    features = np.concatenate(parts)
    return features[np.argsort(order)]


def probe_scores(backbone_name: str, splits: dict) -> dict[str, float]:
    """Train the probe on `train`, choose its layer on `validation`, score it on `test`.

    Args:
        backbone_name (`str`): Hub repository or folder of a pretrained encoder.
        splits (`dict[str, datasets.Dataset]`): as [`~speecheq.training.data.load_seqd`] gives them.

    Returns:
        `dict[str, float]`: `<corpus>/esc_uar`, `<corpus>/esc_wa` and `<corpus>/layer`.
    """
    backbone = backbone_from_pretrained(backbone_name).eval()
    splits = {name: rows.filter(lambda row: bool(row["esc"])) for name, rows in splits.items()}
    features = {name: pooled_states(backbone, rows) for name, rows in splits.items()}
    labels = {name: np.array(rows["native_label"]) for name, rows in splits.items()}
    corpora = {name: np.array(rows["corpus"]) for name, rows in splits.items()}
    scores = {}
    for corpus in sorted(set(corpora["train"])):
        part = {
            name: (features[name][corpora[name] == corpus], labels[name][corpora[name] == corpus]) for name in splits
        }
        if len(set(part["train"][1])) < 2 or not len(part["validation"][1]) or not len(part["test"][1]):
            continue
        probes = [
            make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(
                part["train"][0][:, layer], part["train"][1]
            )
            for layer in range(features["train"].shape[1])
        ]

        def uar(layer, split, probes=probes, part=part):
            inputs, references = part[split]
            return recall_score(references, probes[layer].predict(inputs[:, layer]), average="macro", zero_division=0)

        best = max(range(len(probes)), key=lambda layer: uar(layer, "validation"))
        inputs, references = part["test"]
        scores[f"{corpus}/esc_uar"] = uar(best, "test")
        scores[f"{corpus}/esc_wa"] = accuracy_score(references, probes[best].predict(inputs[:, best]))
        scores[f"{corpus}/layer"] = float(best)
    return scores
