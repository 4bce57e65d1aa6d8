"""Phoneme error rate, as an `evaluate` module.

jiwer computes the edit distance between symbol sequences (Levenshtein): https://jitsi.github.io/jiwer.
"""

import datasets
import evaluate
import jiwer

_DESCRIPTION = """
Phoneme error rate (PER): substitutions, deletions and insertions over all utterances, divided by the number of symbols
in all references. It exceeds 1 if there are more insertions than hits.
"""

_CITATION = """
@article{levenshtein1966binary,
  title = {Binary Codes Capable of Correcting Deletions, Insertions and Reversals},
  author = {Levenshtein, Vladimir I.},
  journal = {Soviet Physics Doklady},
  volume = {10},
  number = {8},
  pages = {707--710},
  year = {1966}
}
"""

_INPUTS = """
Args:
    predictions (`list[list[str]]`): recognised IPA symbols, one list per utterance. A list may be empty.
    references (`list[list[str]]`): true IPA symbols, one list per utterance.

Returns:
    `dict` with `per` (`float`, 0 or more; NaN if all references are empty).

Example:

    >>> per = evaluate.load("metrics/per", keep_in_memory=True)
    >>> per.compute(predictions=[["h", "a", "l", "o"]], references=[["h", "a", "l", "oʊ"]])
    {'per': 0.25}
"""


class PER(evaluate.Metric):
    """Metric with the phoneme error rate over all utterances."""

    def _info(self) -> evaluate.MetricInfo:
        symbols = datasets.Sequence(datasets.Value("string"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": symbols, "references": symbols}),
            reference_urls=["https://jitsi.github.io/jiwer"],
        )

    def _compute(self, predictions: list[list[str]], references: list[list[str]]) -> dict[str, float]:
        if not any(references):
            return {"per": float("nan")}
        # The sequences are already split. The default transforms of jiwer would join and split them at spaces.
        output = jiwer.process_words(references, predictions, reference_transform=list, hypothesis_transform=list)
        return {"per": float(output.wer)}
