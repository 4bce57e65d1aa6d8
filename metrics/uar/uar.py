"""UAR, WA and macro-F1 of a classifier, as an `evaluate` module.

Unweighted average recall is the measure of the INTERSPEECH emotion challenges
(https://www.isca-archive.org/interspeech_2009/schuller09_interspeech.html): rare and frequent classes have equal weight.
"""

import datasets
import evaluate
from sklearn.metrics import accuracy_score, f1_score, recall_score

_DESCRIPTION = """
Unweighted average recall (UAR, also UA): the mean of the recalls of the classes. Weighted accuracy (WA): the share of
correct predictions. Macro-F1: the mean F1 of the classes. The classes are those in the references; a prediction of
another class counts as wrong.
"""

_CITATION = """
@inproceedings{schuller2009interspeech,
  title = {The {INTERSPEECH} 2009 Emotion Challenge},
  author = {Schuller, Bj{\\"o}rn and Steidl, Stefan and Batliner, Anton},
  booktitle = {Interspeech},
  pages = {312--315},
  year = {2009}
}
"""

_INPUTS = """
Args:
    predictions (`list[int]`): predicted class ids.
    references (`list[int]`): true class ids, one per prediction.

Returns:
    `dict` with `uar`, `wa` and `macro_f1` (`float` in [0, 1]).

Raises:
    ValueError: if there is no reference.

Example:

    >>> uar = evaluate.load("metrics/uar", keep_in_memory=True)
    >>> uar.compute(predictions=[0, 0, 0, 0], references=[0, 0, 0, 1])
    {'uar': 0.5, 'wa': 0.75, 'macro_f1': 0.42857142857142855}
"""


class UAR(evaluate.Metric):
    """Metric with unweighted average recall, weighted accuracy and macro-F1."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
            reference_urls=["https://scikit-learn.org/stable/modules/generated/sklearn.metrics.recall_score.html"],
        )

    def _compute(self, predictions: list[int], references: list[int]) -> dict[str, float]:
        if not references:
            raise ValueError("uar: references must contain at least one class id; got none. Leave the empty task out.")
        options = {"labels": sorted(set(references)), "average": "macro", "zero_division": 0}
        return {
            "uar": float(recall_score(references, predictions, **options)),
            "wa": float(accuracy_score(references, predictions)),
            "macro_f1": float(f1_score(references, predictions, **options)),
        }
