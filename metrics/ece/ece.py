"""Expected calibration error, as an `evaluate` module.

Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3: https://arxiv.org/abs/1706.04599.
"""

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """
Expected calibration error (ECE): the difference between confidence and accuracy in bins of equal width, averaged over
the predictions. Bin m of M is ((m-1)/M, m/M]; a confidence of 0 belongs to the first bin.
"""

_CITATION = """
@inproceedings{guo2017calibration,
  title = {On Calibration of Modern Neural Networks},
  author = {Guo, Chuan and Pleiss, Geoff and Sun, Yu and Weinberger, Kilian Q.},
  booktitle = {International Conference on Machine Learning},
  pages = {1321--1330},
  year = {2017}
}
"""

_INPUTS = """
Args:
    predictions (`list[float]`): confidence of each prediction, the probability of its class, in [0, 1].
    references (`list[int]`): 1 if the prediction is correct, 0 if it is not.
    num_bins (`int`, *optional*, defaults to 15): number of bins.

Returns:
    `dict` with `ece` (`float` in [0, 1]).

Raises:
    ValueError: if there is no prediction, a confidence is not a number in [0, 1], a reference is neither 0 nor 1, or
        `num_bins` is under 1.

Example:

    >>> ece = evaluate.load("metrics/ece", keep_in_memory=True)
    >>> ece.compute(predictions=[0.75, 0.75, 0.75, 0.75], references=[1, 1, 0, 0])
    {'ece': 0.25}
"""


class ECE(evaluate.Metric):
    """Metric with the expected calibration error over bins of equal width."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("int64")}
            ),
            reference_urls=["https://arxiv.org/abs/1706.04599"],
        )

    def _compute(self, predictions: list[float], references: list[int], num_bins: int = 15) -> dict[str, float]:
        confidence = np.asarray(predictions, dtype=np.float64)
        correct = np.asarray(references, dtype=np.float64)
        _check(confidence, correct, num_bins)
        bins = np.digitize(confidence, np.linspace(0, 1, num_bins + 1)[1:-1], right=True)
        # |accuracy - confidence| of a bin, weighted by its share of the predictions, is |sum of differences| / n.
        gaps = np.bincount(bins, weights=correct - confidence, minlength=num_bins)
        return {"ece": float(np.abs(gaps).sum() / len(confidence))}


def _check(confidence: np.ndarray, correct: np.ndarray, num_bins: int):
    if num_bins < 1:
        raise ValueError(f"ece: num_bins must be at least 1; got {num_bins}.")
    if not confidence.size:
        raise ValueError("ece: predictions must contain at least one confidence; got none. Leave the empty task out.")
    wrong = ~((confidence >= 0) & (confidence <= 1))
    if wrong.any():
        item = int(wrong.argmax())
        raise ValueError(f"ece: predictions must be numbers in [0, 1]; got {confidence[item]} in item {item}.")
    wrong = (correct != 0) & (correct != 1)
    if wrong.any():
        item = int(wrong.argmax())
        raise ValueError(f"ece: references must be 0 or 1; got {correct[item]:g} in item {item}.")
