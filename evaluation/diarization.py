"""Emotion diarization of concatenated utterances: `python -m speecheq.evaluation.diarization MODEL --dataset SEQD`.

Utterances are concatenated with pauses, as in a conversation. The pipeline's timeline is scored against their labels: by the
share of speech time with the correct label, and by the emotion diarization error rate (EDER) of Wang et al. 2023
(https://arxiv.org/abs/2306.12991). The baseline is one label for the whole file.
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

FRAMES = 100  # per second, of the scoring
UTTERANCES = 8  # per string
PAUSES = (0.2, 1.0)  # s


class String(NamedTuple):
    """A recording made of concatenated utterances.

    Args:
        corpus (`str`): of all utterances.
        samples (`np.ndarray` of shape `(samples,)`): 16 kHz mono.
        segments (`list[tuple[float, float, str]]`): start and end in seconds, and native label.
    """

    corpus: str
    samples: np.ndarray
    segments: list[tuple[float, float, str]]


def strings(rows: Dataset, number: int, seed: int = 0, one_speaker: bool = False) -> list[String]:
    """Concatenate random labelled utterances of one corpus, of any label.

    Args:
        rows (`datasets.Dataset`): of SEQD, with audio.
        number (`int`): strings per corpus.
        seed (`int`, *optional*, defaults to 0): of the draws.
        one_speaker (`bool`, *optional*, defaults to `False`): each string has one random speaker; by default any.
    """
    of_corpus = defaultdict(lambda: defaultdict(list))
    columns = (rows[name] for name in ("corpus", "speaker_id", "native_label", "esc"))
    for row, (corpus, speaker, label, fine) in enumerate(zip(*columns, strict=True)):
        if label is not None and fine:
            of_corpus[corpus][speaker if one_speaker else corpus].append(row)
    random, found = np.random.default_rng(seed), []
    for corpus, groups in sorted(of_corpus.items()):
        for _ in range(number):
            group = list(groups.values())[random.integers(len(groups))] if one_speaker else groups[corpus]
            drawn = random.choice(group, min(UTTERANCES, len(group)), replace=False)
            found.append(_string(corpus, rows.select(drawn), random))
    return found


def _string(corpus: str, rows: Dataset, random: np.random.Generator) -> String:
    """Concatenate the utterances, trimmed of silence at both ends, each after a pause."""
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
    """Score predicted segments against reference segments.

    Args:
        found, known (`list[tuple[float, float, str]]`): predictions and references: start and end in seconds, and label.
        duration (`float`): of the audio, in seconds.
        neutral (`tuple[str, ...]`, *optional*, defaults to `("neutral",)`): labels that are not emotions.

    Returns:
        `dict`: `accuracy`, the share of the reference segments' time with the correct label, and `eder`, the time of
        missed, false and confused emotions divided by the duration.
    """
    predicted, truth = (_frames(segments, duration) for segments in (found, known))
    spoken = truth != ""
    emotion = ~np.isin(truth, ["", *neutral]) | ~np.isin(predicted, ["", *neutral])
    wrong = emotion & (predicted != truth)
    return {"accuracy": float((predicted == truth)[spoken].mean()), "eder": float(wrong.mean())}


def _frames(segments: list[tuple[float, float, str]], duration: float) -> np.ndarray:
    labels = np.full(round(duration * FRAMES), "", dtype=object)
    for start, end, label in segments:
        labels[round(start * FRAMES) : round(end * FRAMES)] = label
    return labels.astype(str)


def evaluate(
    pipe, rows: Dataset, spaces: dict, number: int, seed: int = 0, one_speaker: bool = False
) -> dict[str, dict[str, float]]:
    """Score the timelines of a pipeline, in the label space of each corpus.

    Args:
        pipe ([`SpeechEQPipeline`]): to score.
        rows (`datasets.Dataset`): of SEQD, with audio.
        spaces (`dict`): from [`label_spaces`].
        number (`int`): strings per corpus.
        seed, one_speaker (*optional*): of the strings.

    Returns:
        `dict[str, dict[str, float]]`: corpus -> mean `accuracy` and `eder` of the timelines, and `one_label_accuracy` and
        `one_label_eder` of one label per file.
    """
    scores = defaultdict(lambda: defaultdict(list))
    for string in tqdm(strings(rows, number, seed, one_speaker), unit="string", desc="timelines"):
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
    """Format the scores as a markdown table, in percent."""
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
    parser.add_argument("--number", type=int, default=20, metavar="N", help="concatenated recordings per corpus")
    parser.add_argument("--one-speaker", action="store_true", help="each recording has one speaker (default: any)")
    parser.add_argument("--speaker", choices=("auto",), help="auto: the recording is its own speaker (default: none)")
    options = parser.parse_args(arguments)
    splits = load_seqd(options.dataset, max_seconds=30)
    require_split("diarization", splits, options.split)
    pipe = pipeline(model=options.model, trust_remote_code=True, speaker=options.speaker)
    rows, spaces = splits[options.split], label_spaces(splits)
    scores = evaluate(pipe, rows, spaces, options.number, one_speaker=options.one_speaker)
    print(table(scores))
    return scores


if __name__ == "__main__":
    main()
