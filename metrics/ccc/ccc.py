"""CCC, MAE and QWK of an ordinal value in [0, 1], as an `evaluate` module.

Concordance correlation: Lin 1989, https://doi.org/10.2307/2532051, with the variances and the covariance over n.
Quadratic weighted kappa: Cohen 1968, https://doi.org/10.1037/h0026256.
"""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import cohen_kappa_score

# Rounding errors of a bfloat16 expectation can leave [0, 1] slightly; a percentage or a 1-5 scale is far outside.
_TOLERANCE = 0.01

_DESCRIPTION = """
Concordance correlation coefficient (CCC), mean absolute error (MAE) and quadratic weighted kappa (QWK) of values in
[0, 1]. QWK compares the nearest of K equally spaced levels (halves round up). CCC is NaN if all references are equal,
and QWK is NaN if all predictions and references round to one level.
"""

_CITATION = """
@article{lin1989concordance,
  title = {A Concordance Correlation Coefficient to Evaluate Reproducibility},
  author = {Lin, Lawrence I-Kuei},
  journal = {Biometrics},
  volume = {45},
  number = {1},
  pages = {255--268},
  year = {1989}
}
"""

_INPUTS = """
Args:
    predictions (`list[float]`): predicted values in [0, 1].
    references (`list[float]`): true values in [0, 1], one per prediction.
    num_levels (`int`, *optional*, defaults to 5): number of levels K of the QWK, at 0, 1/(K-1), ..., 1.

Returns:
    `dict` with `ccc` (in [-1, 1], or NaN), `mae` (in [0, 1]) and `qwk` (in [-1, 1], or NaN).

Raises:
    ValueError: if there is no reference, if a value is not a number in [0, 1], or if `num_levels` is under 2.

Example:

    >>> ccc = evaluate.load("metrics/ccc", keep_in_memory=True)
    >>> ccc.compute(predictions=[0.0, 0.5, 0.5, 1.0], references=[0.0, 0.25, 0.75, 1.0])
    {'ccc': 0.8888888888888888, 'mae': 0.125, 'qwk': 0.8888888888888888}
"""


class CCC(evaluate.Metric):
    """Metric with Lin's concordance correlation coefficient, MAE and quadratic weighted kappa."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("float64"), "references": datasets.Value("float64")}
            ),
            reference_urls=["https://doi.org/10.2307/2532051", "https://doi.org/10.1037/h0026256"],
        )

    def _compute(self, predictions: list[float], references: list[float], num_levels: int = 5) -> dict[str, float]:
        if num_levels < 2:
            raise ValueError(f"ccc: num_levels must be at least 2; got {num_levels}.")
        predicted = _in_unit_interval(predictions, "predictions")
        reference = _in_unit_interval(references, "references")
        return {
            "ccc": _concordance(predicted, reference),
            "mae": float(np.abs(predicted - reference).mean()),
            "qwk": _kappa(predicted, reference, num_levels),
        }


def _in_unit_interval(values: list[float], field: str) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if not values.size:
        raise ValueError(f"ccc: {field} must contain at least one value; got none. Leave the empty task out.")
    wrong = ~((values >= -_TOLERANCE) & (values <= 1 + _TOLERANCE))
    if wrong.any():
        item = int(wrong.argmax())
        raise ValueError(f"ccc: {field} must be numbers in [0, 1]; got {values[item]} in item {item}.")
    return values.clip(0, 1)


def _concordance(predicted: np.ndarray, reference: np.ndarray) -> float:
    if reference.min() == reference.max():
        return float("nan")
    covariance = ((predicted - predicted.mean()) * (reference - reference.mean())).mean()
    return float(2 * covariance / (predicted.var() + reference.var() + (predicted.mean() - reference.mean()) ** 2))


def _kappa(predicted: np.ndarray, reference: np.ndarray, num_levels: int) -> float:
    levels = np.floor(np.stack([predicted, reference]) * (num_levels - 1) + 0.5).astype(int)
    if levels.min() == levels.max():
        return float("nan")
    return float(cohen_kappa_score(levels[0], levels[1], labels=range(num_levels), weights="quadratic"))
