"""Linear probe of a frozen encoder, the baseline of a trained model.

For each corpus, a logistic regression predicts the corpus's own labels from the standardised mean and standard deviation over
the frames of one encoder layer. The layer is selected on the validation split.
"""

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, recall_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from speecheq.backbones_speecheq import backbone_from_pretrained
from speecheq.pooling_speecheq import StatisticsPooling
from speecheq.training.seqd import SPLITS, require_split
from speecheq.training.states import utterance_statistics


def probe_scores(backbone_name: str, splits: dict) -> dict[str, float]:
    """Train a probe per corpus on `train`, select its layer on `validation`, score it on `test`.

    Args:
        backbone_name (`str`): Hub repository or folder of a pretrained encoder.
        splits (`dict[str, datasets.Dataset]`): from [`~speecheq.training.seqd.load_seqd`].

    Returns:
        `dict[str, float]`: `<corpus>/esc_uar`, `<corpus>/esc_wa` and `<corpus>/layer`.

    Raises:
        ValueError: if one of the three splits is missing.
    """
    for split in SPLITS:
        require_split("probe_scores", splits, split)
    backbone = backbone_from_pretrained(backbone_name).eval()
    splits = {name: rows.filter(lambda row: bool(row["esc"])) for name, rows in splits.items()}
    pooling = StatisticsPooling(backbone.config.hidden_size, attentive=False)
    features = {name: utterance_statistics(backbone, pooling, rows).numpy() for name, rows in splits.items()}
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
            _logistic().fit(part["train"][0][:, layer], part["train"][1])
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


class Probe(NamedTuple):
    """A linear probe of one layer.

    Args:
        layer (`int`): index of the hidden state; 0 is the input of the first layer.
        classifier (`sklearn.pipeline.Pipeline`): fitted.
    """

    layer: int
    classifier: Pipeline

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Predict class ids `(n,)` from features `(n, states, 2 * hidden)`."""
        return self.classifier.predict(features[:, self.layer])


def fit_probe(features: np.ndarray, classes: list[int | None], speakers: np.ndarray, number: int = 3) -> Probe:
    """Fit a probe on the best layer, selected by speaker-disjoint cross-validation.

    Args:
        features (`np.ndarray` of shape `(n, states, 2 * hidden)`): of the training utterances.
        classes (`list[int | None]`): class id of each utterance; `None` excludes it.
        speakers (`np.ndarray` of shape `(n,)`): speaker of each utterance.
        number (`int`, *optional*, defaults to 3): folds of the cross-validation, at most the number of speakers.

    Returns:
        [`Probe`]: fitted on all utterances with a class.

    Raises:
        ValueError: if fewer than two speakers have a class.
    """
    known = np.array([index for index, name in enumerate(classes) if name is not None])
    features, speakers = features[known], speakers[known]
    references = np.array([classes[index] for index in known])
    number = min(number, len(set(speakers)))
    if number < 2:
        raise ValueError(
            f"fit_probe: speakers must be at least 2, because other speakers select the layer; got {number}."
        )
    parts = list(StratifiedGroupKFold(number).split(features, references, speakers))

    def rate(layer: int) -> float:
        predicted = np.empty_like(references)
        for train, test in parts:
            predicted[test] = _logistic().fit(features[train, layer], references[train]).predict(features[test, layer])
        return recall_score(references, predicted, average="macro", zero_division=0)

    best = max(range(features.shape[1]), key=rate)
    return Probe(best, _logistic().fit(features[:, best], references))


def _logistic() -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
