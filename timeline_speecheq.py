"""From overlapping windows of speech to segments: which emotion from when to when."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

STEP = 0.5  # s, resolution of the timeline


class Answer(NamedTuple):
    """What was heard in a window.

    Args:
        start, end (`float`): in seconds.
        first (`bool`): whether a region of speech begins here.
        scores (`np.ndarray` of shape `(labels,)`): probabilities.
        intensity (`float`): in [0, 1].
    """

    start: float
    end: float
    first: bool
    scores: np.ndarray
    intensity: float


def segments(answers: list[Answer], labels: list[str], change: float) -> list[dict]:
    """Merge the windows of each region of speech into segments of one label.

    In steps of half a second the probabilities of the windows that cover them are averaged, and the likeliest sequence of
    labels is found (Viterbi), where a change of label costs `change`. Regions of the same label stay apart: there is a
    pause between them.

    Args:
        answers (`list[Answer]`): in the order of time.
        labels (`list[str]`): of the scores.
        change (`float`): what another label than that of the step before costs, in nats.

    Returns:
        `list[dict]`: `start`, `end` (s), `label`, `score` (mean probability of the label) and `intensity`.
    """
    found = []
    for region in _regions(answers):
        edges = _edges(region[0].start, region[-1].end)
        scores, intensities = _averaged(region, edges)
        path = _likeliest(np.log(np.maximum(scores, 1e-8)), change)
        starts = np.flatnonzero(np.diff(path, prepend=-1))
        for first, stop in zip(starts, [*starts[1:], len(path)], strict=True):
            found.append(
                {
                    "start": round(edges[first][0], 3),
                    "end": round(edges[stop - 1][1], 3),
                    "label": labels[path[first]],
                    "score": float(scores[first:stop, path[first]].mean()),
                    "intensity": float(np.mean(intensities[first:stop])),
                }
            )
    return found


def _regions(answers: list[Answer]) -> list[list[Answer]]:
    regions = []
    for answer in answers:
        if answer.first:
            regions.append([])
        regions[-1].append(answer)
    return regions


def _edges(start: float, end: float) -> list[tuple[float, float]]:
    """Steps of about half a second that fill a region."""
    return list(pairwise(np.linspace(start, end, max(1, round((end - start) / STEP)) + 1).tolist()))


def _averaged(region: list[Answer], edges: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Mean scores, `(steps, labels)`, and intensity, `(steps,)`: each window by how much of the step it covers."""
    starts, ends = (np.array([getattr(answer, name) for answer in region]) for name in ("start", "end"))
    scores = np.stack([answer.scores for answer in region])
    intensities = np.array([answer.intensity for answer in region])
    means = []
    for start, end in edges:
        near = slice(np.searchsorted(ends, start, side="right"), np.searchsorted(starts, end))
        shares = np.minimum(ends[near], end) - np.maximum(starts[near], start)
        shares = shares / shares.sum()
        means.append((shares @ scores[near], shares @ intensities[near]))
    return np.stack([mean for mean, _ in means]), np.array([intensity for _, intensity in means])


def _likeliest(scores: np.ndarray, change: float) -> np.ndarray:
    """The label of each step, `(steps,)`, from log-probabilities `(steps, labels)`."""
    best, came_from = scores[0], []
    for of_step in scores[1:]:
        stay, jump = best, best.max() - change
        came_from.append(np.where(stay >= jump, np.arange(len(best)), best.argmax()))
        best = np.maximum(stay, jump) + of_step
    path = [int(best.argmax())]
    for previous in reversed(came_from):
        path.append(int(previous[path[-1]]))
    return np.array(path[::-1])
