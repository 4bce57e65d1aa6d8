"""How well a timeline says which emotion is heard when: `python -m speecheq.evaluation.diarization MODEL --dataset SEQD`.

Utterances are strung together with pauses between them, as in a conversation, and the pipeline's timeline is compared with
what is known: by the share of the time of speech that has the right label, and by the emotion diarization error rate (EDER) of
Wang et al. 2023 (https://arxiv.org/abs/2306.12991). Beside it stands what one label for the whole file would score.
"""

import argparse
import io
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import soundfile
from datasets import Dataset
from tqdm import tqdm
from transformers import pipeline

from speecheq.audio_speecheq import SAMPLING_RATE
from speecheq.dataset_scripts.build.audio import Preparation, prepare
from speecheq.labels_speecheq import VALENCE_CLASSES
from speecheq.metrics.scores import native_classes
from speecheq.training.seqd import SPLITS, label_spaces, load_seqd, require_split

FRAMES = 100  # per second, of the comparison
UTTERANCES = 8  # of a string
PAUSES = (0.2, 1.0)  # s


class String(NamedTuple):
    """Utterances behind each other.

    Args:
        corpus (`str`): of all of them.
        samples (`np.ndarray` of shape `(samples,)`): 16 kHz mono.
        segments (`list[tuple[float, float, str]]`): start and end in seconds, and the native label.
    """

    corpus: str
    samples: np.ndarray
    segments: list[tuple[float, float, str]]


def strings(rows: Dataset, number: int, seed: int = 0) -> list[String]:
    """String utterances of SEQD together as in a conversation: of one corpus, drawn without regard to speaker and label.

    Args:
        rows (`datasets.Dataset`): of SEQD, with audio.
        number (`int`): strings of each corpus.
        seed (`int`, *optional*, defaults to 0): of what is drawn.
    """
    of_corpus = defaultdict(list)
    for row, (corpus, label, fine) in enumerate(zip(rows["corpus"], rows["native_label"], rows["esc"], strict=True)):
        if label is not None and fine:
            of_corpus[corpus].append(row)
    random = np.random.default_rng(seed)
    return [
        _string(corpus, rows.select(random.choice(found, min(UTTERANCES, len(found)), replace=False)), random)
        for corpus, found in sorted(of_corpus.items())
        for _ in range(number)
    ]


def _string(corpus: str, rows: Dataset, random: np.random.Generator) -> String:
    """Utterances without the silence at their ends, which is nobody's, and pauses before them."""
    parts, segments, at = [], [], 0
    for row in rows:
        pause = np.zeros(int(random.uniform(*PAUSES) * SAMPLING_RATE), np.float32)
        samples, _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
        samples = prepare(samples, Preparation(trim=True))
        start = at + len(pause)
        at = start + len(samples)
        parts += [pause, samples]
        segments.append((start / SAMPLING_RATE, at / SAMPLING_RATE, row["native_label"]))
    return String(corpus, np.concatenate(parts), segments)


def time_scores(
    found: list[tuple[float, float, str]],
    known: list[tuple[float, float, str]],
    duration: float,
    neutral: tuple[str, ...] = ("neutral",),
) -> dict[str, float]:
    """Compare segments with what is known.

    Args:
        found, known (`list[tuple[float, float, str]]`): start and end in seconds, and the label.
        duration (`float`): of the audio, in seconds.
        neutral (`tuple[str, ...]`, *optional*, defaults to `("neutral",)`): labels that are no emotion.

    Returns:
        `dict`: `accuracy`, the share of the known segments' time with the right label, and `eder`: time in which an emotion
        is missed, heard where there is none, or mistaken for another, by the duration. Neutral speech has no emotion.
    """
    heard, truth = (_frames(segments, duration) for segments in (found, known))
    spoken = truth != ""
    emotion = ~np.isin(truth, ["", *neutral]) | ~np.isin(heard, ["", *neutral])
    wrong = emotion & (heard != truth)
    return {"accuracy": float((heard == truth)[spoken].mean()), "eder": float(wrong.mean())}


def _frames(segments: list[tuple[float, float, str]], duration: float) -> np.ndarray:
    labels = np.full(round(duration * FRAMES), "", dtype=object)
    for start, end, label in segments:
        labels[round(start * FRAMES) : round(end * FRAMES)] = label
    return labels.astype(str)


def evaluate(pipe, rows: Dataset, spaces: dict, number: int, seed: int = 0) -> dict[str, dict[str, float]]:
    """Means over the strings of each corpus: `accuracy` and `eder` of the timeline, and of `one_label` for each file.

    Args:
        pipe ([`SpeechEQPipeline`]): to score; it answers inside each corpus's label space.
        rows (`datasets.Dataset`): of SEQD, with audio.
        spaces (`dict`): as [`label_spaces`] gives them.
        number (`int`): strings of each corpus.
        seed (`int`, *optional*, defaults to 0): of the strings.
    """
    scores = defaultdict(lambda: defaultdict(list))
    for string in tqdm(strings(rows, number, seed), unit="string", desc="timelines"):
        _, classes = native_classes(spaces[string.corpus])
        names = {fine: " or ".join(sorted(fine)) for fine in classes}
        neutral = tuple(name for fine, name in names.items() if fine <= set(VALENCE_CLASSES["neutral"]))
        known = [(start, end, names[frozenset(spaces[string.corpus][label])]) for start, end, label in string.segments]
        answer = pipe(
            string.samples,
            sampling_rate=SAMPLING_RATE,
            candidate_labels={name: sorted(fine) for fine, name in names.items()},
        )
        found = [(segment["start"], segment["end"], segment["label"]) for segment in answer["timeline"]]
        overall = answer["emotion"][0]["label"] if answer["emotion"] else ""
        for way, segments in {"": found, "one_label_": [(start, end, overall) for start, end, _ in found]}.items():
            for name, value in time_scores(segments, known, answer["duration"], neutral).items():
                scores[string.corpus][way + name].append(value)
    return {corpus: {name: float(np.mean(values)) for name, values in of.items()} for corpus, of in scores.items()}


def table(scores: dict[str, dict[str, float]]) -> str:
    """Scores as a markdown table, in percent."""
    lines = [
        "| corpus | time with the right label | with one label a file | EDER | with one label a file |",
        "|---|---:|---:|---:|---:|",
    ]
    for corpus, of in scores.items():
        cells = [of[name] for name in ("accuracy", "one_label_accuracy", "eder", "one_label_eder")]
        lines.append(f"| {corpus} | {' | '.join(f'{100 * cell:.1f}' for cell in cells)} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="folder or Hub repository of a model")
    parser.add_argument("--dataset", required=True, help="folder or Hub repository of a SEQD")
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--number", type=int, default=20, metavar="N", help="strings of each corpus")
    options = parser.parse_args(arguments)
    splits = load_seqd(options.dataset, max_seconds=30)
    require_split("diarization", splits, options.split)
    pipe = pipeline(model=options.model, trust_remote_code=True)
    scores = evaluate(pipe, splits[options.split], label_spaces(splits), options.number)
    print(table(scores))
    return scores


if __name__ == "__main__":
    main()
