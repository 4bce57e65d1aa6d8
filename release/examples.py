"""Example recordings of the Space: single clips of test speakers, with their attribution.

`python -m speecheq.release.examples SEQD` predicts every candidate of each slot with the checkpoint, prints a ranking, and
writes the best clips to `space/examples` as 16 kHz WAV, with `ATTRIBUTION.md`. It then updates the model card: the output
below its first snippet, and its picture. A candidate is a clip from the test split of a corpus whose licence permits
redistribution. It is used only if the prediction is its label on every scale. To choose a clip yourself, pass its id:
`--clips angry_en=ravdess/03-01-05-02-01-02-12`. Run the command again after training a new checkpoint.
"""

import argparse
import io
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm import tqdm
from transformers import Pipeline, pipeline

from speecheq.audio_speecheq import SAMPLING_RATE
from speecheq.dataset_scripts.corpora.adapters import get_adapter
from speecheq.labels_speecheq import ESC_SCALES
from speecheq.training.seqd import load_seqd

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "space" / "examples"
PICTURED = "sad_then_angry_pl"
ATTRIBUTION = "ATTRIBUTION.md"
LICENSES = {
    "CC-BY-4.0": "[CC BY 4.0](https://creativecommons.org/licenses/by/4.0/)",
    "CC-BY-NC-SA-4.0": "[CC BY-NC-SA 4.0](https://creativecommons.org/licenses/by-nc-sa/4.0/)",
}
MAX_CLIPS, MAX_BYTES, MAX_SECONDS = 8, 2**20, 4.0  # of all files; of one clip
PAUSE = 0.6  # s between joined clips; a shorter pause does not end a region of speech
SHOWN = 3  # candidates of each slot in the printed ranking
AMONG = 8  # best candidates of each speaker
NOISE = "noise_no_speech"


class Slot(NamedTuple):
    """One example: a corpus, and the fine label and gender of each of its clips, which share a speaker."""

    corpus: str
    labels: tuple[str, ...]
    gender: str | None


# The name of a slot is the name of its file: the labels in order, and the language.
SLOTS = {
    "angry_en": Slot("ravdess", ("angry",), "female"),
    "sad_pl": Slot("nemo", ("sad",), "male"),
    "happy_bn": Slot("banglaser", ("happy",), "female"),
    "fear_pl": Slot("nemo", ("fear",), "female"),
    "neutral_bn": Slot("banglaser", ("neutral",), "male"),
    "calm_en": Slot("ravdess", ("calm",), "male"),
    "sad_then_angry_pl": Slot("nemo", ("sad", "angry"), None),
}


class Clip(NamedTuple):
    """One utterance of SEQD: id, speaker, gender, fine label, samples, and the score of the label, 0 if it is not predicted."""

    id: str
    speaker: str
    gender: str
    label: str
    samples: np.ndarray
    score: float = 0.0

    @property
    def corpus(self) -> str:
        return self.id.split("/")[0]


def candidates(rows: Iterable[dict], slots: Iterable[Slot]) -> Iterator[Clip]:
    """Yield the short clips of SEQD rows that fit a slot, without a score."""
    wanted = {(slot.corpus, label, slot.gender) for slot in slots for label in slot.labels}
    for row in rows:
        label = row["esc"][0] if row["esc"] and len(row["esc"]) == 1 else None
        fits = {(row["corpus"], label, gender) for gender in (row["gender"], None)}
        if fits & wanted and row["duration"] <= MAX_SECONDS:
            samples, _ = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
            yield Clip(row["id"], row["speaker_id"], row["gender"], label, samples)


def scored(pipe: Pipeline, clip: Clip) -> Clip:
    """Predict a clip, and set the score to 0 if the emotion or the gender is wrong."""
    answer = pipe(audio(clip.samples))
    right = answer["label"] == clip.label and answer["gender"]["label"] == clip.gender
    return clip._replace(score=answer["score"] if right else 0.0)


def audio(samples: np.ndarray) -> dict:
    """The input of the pipeline for samples at 16 kHz."""
    return {"array": samples, "sampling_rate": SAMPLING_RATE}


def answered(pipe: Pipeline, samples: np.ndarray, labels: tuple[str, ...]) -> bool:
    """Return whether the pipeline gives these labels, on the fine and on every coarser scale.

    With one label, the recording and each of its segments must have it. With several, the timeline must have them in
    this order and no others.
    """
    for scale in ("fine", *ESC_SCALES):
        answer = pipe(audio(samples), scale=scale)
        found = [segment["label"] for segment in answer["timeline"]]
        expected = [coarse(label, scale) for label in labels]
        if without_repeats(found) != without_repeats(expected) or (len(labels) == 1 and [answer["label"]] != expected):
            return False
    return True


def without_repeats(labels: list[str]) -> list[str]:
    """Leave out labels that equal the one before."""
    return [label for label, _ in groupby(labels)]


def coarse(label: str, scale: str) -> str:
    """Return the class of a scale that holds a fine label."""
    return label if scale == "fine" else next(name for name, fine in ESC_SCALES[scale].items() if label in fine)


def joined(clips: Iterable[Clip]) -> np.ndarray:
    """Join clips with a pause."""
    pause = np.zeros(int(PAUSE * SAMPLING_RATE), np.float32)
    parts = [part for clip in clips for part in (pause, clip.samples)]
    return np.concatenate(parts[1:])


def fitting(slot: Slot, label: str, clips: Iterable[Clip]) -> list[Clip]:
    """Return the clips that fit a label of a slot, in their order."""
    return [
        clip
        for clip in clips
        if (clip.corpus, clip.label) == (slot.corpus, label) and slot.gender in (None, clip.gender)
    ]


def choose(pipe: Pipeline, slot: Slot, ranked: list[Clip]) -> tuple[Clip, ...] | None:
    """Return the best clips of a slot that the pipeline answers correctly, or `None`."""
    right, options = [clip for clip in ranked if clip.score > 0], []
    for speaker in {clip.speaker for clip in right}:
        parts = [
            [clip for clip in fitting(slot, label, right) if clip.speaker == speaker][:AMONG] for label in slot.labels
        ]
        options += product(*parts)
    options.sort(key=lambda clips: min(clip.score for clip in clips), reverse=True)
    return next((clips for clips in options if answered(pipe, joined(clips), slot.labels)), None)


def write(folder: Path, chosen: dict[str, tuple[Clip, ...]]):
    """Replace the recordings of a folder, and write the attribution.

    Args:
        folder (`Path`): folder of the examples.
        chosen (`dict[str, tuple[Clip, ...]]`): clips of each file.

    Raises:
        ValueError: if the examples hold more than `MAX_CLIPS` clips or `MAX_BYTES` bytes.
    """
    noise = np.random.default_rng(0).normal(size=9_600).astype(np.float32) * 0.05
    recordings = {name: joined(clips) for name, clips in chosen.items()} | {NOISE: noise}
    clips, size = sum(map(len, chosen.values())), sum(2 * len(samples) + 44 for samples in recordings.values())
    if clips > MAX_CLIPS or size > MAX_BYTES:
        raise ValueError(
            f"examples: at most {MAX_CLIPS} clips and {MAX_BYTES:,} bytes are allowed; got {clips} clips and {size:,} "
            "bytes. Choose shorter clips."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.wav"):
        old.unlink()
    for name, samples in recordings.items():
        soundfile.write(folder / f"{name}.wav", samples, SAMPLING_RATE, subtype="PCM_16")
    (folder / ATTRIBUTION).write_text(attribution(chosen), encoding="utf-8")


PAGE = """# Attribution

The recordings are single clips of actors in these corpora. The actors are test speakers: the model was not trained on their
speech. The clips come from copies compressed with Ogg Opus and were converted to 16 kHz mono WAV; the table lists other
changes. The licence of a file is the licence of its corpus.

| file | corpus | clips | licence | changes |
|---|---|---|---|---|
{rows}
| `{noise}.wav` | none | generated noise | Apache-2.0 | none |

{citations}

`python -m speecheq.release.examples SEQD` writes this folder.
"""


def attribution(chosen: dict[str, tuple[Clip, ...]]) -> str:
    """Write the page with corpus, licence, clips and changes of each file."""
    rows, citations = [], {}
    for name, clips in chosen.items():
        corpus = get_adapter(clips[0].corpus)
        ids = ", ".join(f"`{clip.id.removeprefix(f'{clip.corpus}/')}`" for clip in clips)
        changes = f"joined with a pause of {PAUSE} s" if len(clips) > 1 else "none"
        rows.append(
            f"| `{name}.wav` | [{corpus.CORPUS}]({corpus.HOMEPAGE}) | {ids} | {LICENSES[corpus.LICENSE]} | {changes} |"
        )
        citations[corpus.CORPUS] = f"- {corpus.CORPUS}: {corpus.CITATION}"
    return PAGE.format(rows="\n".join(rows), noise=NOISE, citations="\n".join(citations.values()))


def ranking(slots: dict[str, Slot], ranked: list[Clip]) -> Iterator[str]:
    """Yield a line with the best candidates of each slot and label."""
    for name, slot in slots.items():
        for label in slot.labels:
            clips = fitting(slot, label, ranked)
            right = sum(clip.score > 0 for clip in clips)
            best = ", ".join(f"{clip.id} {clip.score:.2f}" for clip in clips[:SHOWN] if clip.score)
            yield f"{name}, {label}: {right} of {len(clips)} candidates are right; best: {best or 'none'}"


def update_pages():
    """Run the first snippet of the model card and write its output below it; draw the picture of the card."""
    card = ROOT / "README.md"
    text = card.read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```\n\n<!-- output -->\n```text\n(.*?)```", text, flags=re.DOTALL)
    printed = subprocess.run([sys.executable, "-c", found[1]], cwd=ROOT, capture_output=True, text=True, check=True)
    card.write_text(text[: found.start(2)] + printed.stdout + text[found.end(2) :], encoding="utf-8")
    subprocess.run([sys.executable, ROOT / "space" / "figures.py", EXAMPLES / f"{PICTURED}.wav"], check=True)


def main(arguments: list[str] | None = None):
    """Run the command line, `python -m speecheq.release.examples`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help="folder of a built SEQD")
    parser.add_argument("--model", default=str(ROOT), help="folder or Hub repository (default: this checkpoint)")
    parser.add_argument("--out", type=Path, default=EXAMPLES, help="folder (default space/examples)")
    parser.add_argument("--clips", nargs="+", default=[], metavar="NAME=ID", help="clips to use; join two ids with +")
    given = parser.parse_args(arguments)
    pipe = pipeline(model=given.model, trust_remote_code=True)
    rows = load_seqd(given.dataset, corpora=sorted({slot.corpus for slot in SLOTS.values()}))["test"]
    clips = tqdm(list(candidates(rows, SLOTS.values())), "candidates", disable=None)
    ranked = sorted((scored(pipe, clip) for clip in clips), key=lambda clip: clip.score, reverse=True)
    print(*ranking(SLOTS, ranked), sep="\n", flush=True)
    fixed = {name: ids.split("+") for name, _, ids in (pair.partition("=") for pair in given.clips)}
    chosen = {}
    for name, slot in SLOTS.items():
        clips = choose(pipe, slot, [clip for clip in ranked if clip.id in fixed.get(name, [clip.id])])
        print(f"{name}: {', '.join(clip.id for clip in clips) if clips else 'left out, no clip is right'}")
        chosen |= {name: clips} if clips else {}
    write(given.out, chosen)
    if given.out == EXAMPLES:
        update_pages()


if __name__ == "__main__":
    main()
