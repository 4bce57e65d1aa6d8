"""Benchmark of inference speed, compared with common alternatives: `python benchmarks/inference.py --audio FOLDER`.

All contestants run in one process, in turns, on the same waveforms, with the same number of threads; the median counts. The
time includes feature extraction. The contestants:

- `speecheq`: the checkpoint at the root of the repository, in torch (float32), and exported for ONNX Runtime (float32, int8).
- `whisper`: `WhisperForAudioClassification` with the same encoder, padded to 30 s. All contestants except `speecheq` have
  random weights.
- `wav2vec2`: `Wav2Vec2ForSequenceClassification` with the size of wav2vec2-base.
- `opensmile`: eGeMAPS functionals and a support vector machine, if `opensmile` is installed.

`one` is an utterance of 3 s, `batch` 16 utterances of 1 to 6 s. `folder` is prediction for files on disk: the SpeechEQ
pipeline, which reads files, against the stock pipeline of transformers on `whisper`, which gets arrays, with a batch size of 8.
`start` is a new process until it prints its first prediction, and the import of the package alone.
"""

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from machine import SUFFIXES, describe, recordings, time_in_turns
from transformers import (
    AudioClassificationPipeline,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForSequenceClassification,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForAudioClassification,
)

from speecheq import SpeechEQConfig, SpeechEQModel, SpeechEQProcessor
from speecheq.audio_speecheq import SAMPLING_RATE, read_blocks
from speecheq.pipeline_speecheq import SpeechEQPipeline
from speecheq.scoring.onnx_export import export_onnx
from speecheq.scoring.onnx_model import FILE, INT8_FILE, OnnxModel

ROOT = Path(__file__).resolve().parents[1]
OURS = "speecheq, ONNX int8"
EMOTIONS = 7  # classes of the other classifiers
STOCK_BATCH = 8


def speech(folder: Path, number: int) -> list[Path]:
    """Return a number of files of a folder, sorted by name and repeated if there are fewer.

    Raises:
        ValueError: if the folder contains no audio.
    """
    files = recordings(folder)
    if not files:
        raise ValueError(f"inference: --audio must be a folder with {', '.join(SUFFIXES)} files; got {str(folder)!r}.")
    return list(itertools.islice(itertools.cycle(files), number))


def of_length(files: Iterable[Path], seconds: float) -> np.ndarray:
    """Join and cut files to speech of a given length."""
    samples = np.zeros(0, np.float32)
    for file in files:
        samples = np.concatenate([samples, *read_blocks(file)])
        if len(samples) >= seconds * SAMPLING_RATE:
            break
    return np.resize(samples, int(seconds * SAMPLING_RATE))


def ours(model) -> Callable[[list[np.ndarray]], list]:
    """Return a function from waveforms to the predictions of the four heads."""
    processor = SpeechEQProcessor.from_pretrained(ROOT)

    def answer(waveforms):
        with torch.inference_mode():
            output = model(**processor(waveforms, sampling_rate=SAMPLING_RATE))
        phonemes = processor.decode_phonemes(output.phoneme_logits, output.frame_lengths)
        return [output.esc_logits.softmax(-1), output.eis, output.gender_logits.argmax(-1), phonemes]

    return answer


def stock(model, extractor, **padding) -> Callable[[list[np.ndarray]], torch.Tensor]:
    """Return a function from waveforms to the probabilities of a transformers classifier."""

    def answer(waveforms):
        with torch.inference_mode():
            return model(
                **extractor(waveforms, sampling_rate=SAMPLING_RATE, return_tensors="pt", **padding)
            ).logits.softmax(-1)

    return answer


def whisper():
    """Create the stock classifier with the encoder of the checkpoint, and its feature extractor."""
    encoder = SpeechEQConfig.from_pretrained(ROOT).backbone_config.to_dict()
    encoder = {name: value for name, value in encoder.items() if name not in ("id2label", "label2id", "architectures")}
    config = WhisperConfig(**encoder, num_labels=EMOTIONS)
    return WhisperForAudioClassification(config).eval(), WhisperFeatureExtractor(feature_size=config.num_mel_bins)


def wav2vec2():
    """Create the stock classifier with the size of wav2vec2-base, and its feature extractor."""
    return Wav2Vec2ForSequenceClassification(Wav2Vec2Config(num_labels=EMOTIONS)).eval(), Wav2Vec2FeatureExtractor()


def opensmile() -> Callable[[list[np.ndarray]], list] | None:
    """Return a function for eGeMAPS functionals and a support vector machine; `None` if openSMILE is not installed."""
    try:
        import opensmile
    except ImportError:
        return None
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    random = np.random.default_rng(0)
    classifier = make_pipeline(StandardScaler(), SVC()).fit(
        random.normal(size=(700, len(smile.feature_names))), np.arange(700) % EMOTIONS
    )
    return lambda waveforms: [
        classifier.predict(smile.process_signal(waveform, SAMPLING_RATE).to_numpy()) for waveform in waveforms
    ]


def contestants() -> dict[str, Callable[[list[np.ndarray]], object]]:
    """Create the contestants, functions of waveforms; export the checkpoint first if needed."""
    if not (ROOT / INT8_FILE).is_file():
        export_onnx(ROOT)
    found = {
        OURS: ours(OnnxModel(ROOT, INT8_FILE)),
        "speecheq, ONNX float32": ours(OnnxModel(ROOT, FILE)),
        "speecheq, torch float32": ours(SpeechEQModel.from_pretrained(ROOT).eval()),
        "whisper (30 s)": stock(*whisper()),
        "wav2vec2-base": stock(*wav2vec2(), padding=True),
        "openSMILE eGeMAPS, SVM": opensmile(),
    }
    return {name: contestant for name, contestant in found.items() if contestant is not None}


def compare_waveforms(files: list[Path], repeats: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Measure the median seconds of each contestant for one utterance of 3 s and for a batch of 16."""
    lengths = np.linspace(1, 6, 16)
    batch = [of_length(files[place:], seconds) for place, seconds in enumerate(lengths)]
    inputs = {"one": [of_length(files, 3.0)], "batch": batch}
    answers = contestants()
    for (name, waveforms), number in zip(inputs.items(), (repeats, max(1, repeats // 5)), strict=True):
        yield name, time_in_turns({who: partial(answer, waveforms) for who, answer in answers.items()}, number)


def compare_folder(files: list[Path]) -> dict[str, float]:
    """Measure the seconds of the SpeechEQ pipelines (torch, int8) and the stock pipeline for files, once."""
    processor = SpeechEQProcessor.from_pretrained(ROOT)
    pipes = {
        OURS: SpeechEQPipeline(model=OnnxModel(ROOT), processor=processor, vad=False),
        "speecheq, torch float32": SpeechEQPipeline(
            model=SpeechEQModel.from_pretrained(ROOT).eval(), processor=processor, device="cpu", vad=False
        ),
    }
    with_vad = SpeechEQPipeline(model=OnnxModel(ROOT), processor=processor)
    model, extractor = whisper()
    theirs = AudioClassificationPipeline(model=model, feature_extractor=extractor, device="cpu")
    arrays = ({"raw": np.concatenate(list(read_blocks(file))), "sampling_rate": SAMPLING_RATE} for file in files)
    runs = {name: partial(_all_of, pipe, map(str, files)) for name, pipe in pipes.items()}
    runs[f"{OURS}, silero-vad"] = partial(_all_of, with_vad, map(str, files))
    runs["whisper (30 s), stock pipeline"] = partial(_all_of, theirs, arrays, batch_size=STOCK_BATCH)
    return {name: _seconds(run) for name, run in runs.items()}


def _all_of(pipe, inputs: Iterable, **options):
    for _ in pipe((one for one in inputs), **options):
        pass


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def compare_start(file: Path, repeats: int) -> dict[str, float]:
    """Measure the median seconds of a new process until its first prediction, and of the import of the package."""
    load = "import os\nfrom transformers import pipeline\n"
    end = "\nprint(answer, flush=True)\nos._exit(0)"  # excludes the shutdown of torch
    with tempfile.TemporaryDirectory() as folder:
        model, extractor = whisper()
        model.save_pretrained(folder)
        extractor.save_pretrained(folder)
        scripts = {
            "import speecheq": "import speecheq",
            "speecheq, pipeline": f"{load}answer = pipeline(model={str(ROOT)!r}, trust_remote_code=True)({str(file)!r}){end}",
            "whisper (30 s), stock pipeline": f"{load}import soundfile\n"
            f"answer = pipeline('audio-classification', model={folder!r})(soundfile.read({str(file)!r})[0]){end}",
        }
        runs = {name: partial(_run_script, script) for name, script in scripts.items()}
        return time_in_turns(runs, repeats)


def _run_script(script: str):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"inference: a new process must succeed; got {done.stderr[-2000:]}")


def table(title: str, seconds: dict[str, float], unit: str = "ms") -> list[str]:
    """Format one line per contestant: its time, and the ratio to the first."""
    first = next(iter(seconds.values()))
    scale = 1000 if unit == "ms" else 1
    rows = [f"| {name} | {scale * value:.1f} | {value / first:.2f} |" for name, value in seconds.items()]
    return [f"| {title} | {unit} | times the first |", "|---|---:|---:|", *rows, ""]


def figure(seconds: dict[str, float]) -> bytes:
    """Draw the times of one utterance as bars, in SVG."""
    import matplotlib.style
    from matplotlib.figure import Figure

    from speecheq.dataset_scripts.metric.figures import BLUE, PALE, STYLE, svg

    with matplotlib.style.context(["default", STYLE]):
        drawn = Figure(figsize=(7, 0.4 * len(seconds) + 0.8), layout="constrained")
        axes = drawn.subplots()
        colours = [BLUE if name.startswith("speecheq") else PALE for name in seconds]
        bars = axes.barh(list(seconds), [1000 * value for value in seconds.values()], color=colours)
        axes.bar_label(bars, fmt="%.0f", padding=3)
        axes.invert_yaxis()
        axes.set_xlabel("ms for an utterance of 3 s")
        return svg(drawn).encode()


def measure(folder: Path, utterances: int, repeats: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Yield the results of each comparison; see the module docstring."""
    files = speech(folder, max(utterances, 64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from compare_waveforms(files, repeats)
        if utterances:
            yield "folder", compare_folder(files[:utterances])
        yield "start", compare_start(files[0], max(1, repeats // 5))


def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audio", type=Path, default=ROOT / "space/examples", help="folder of speech")
    parser.add_argument(
        "--utterances", type=int, default=1000, help="files of `folder` (default 1000; 0: skip `folder`)"
    )
    parser.add_argument(
        "--repeats", type=int, default=15, help="repeats of `one`; the others use a fifth (default 15)"
    )
    parser.add_argument("--figure", type=Path, metavar="FILE", help="draw the times of `one`, as SVG")
    given = parser.parse_args(arguments)
    print(describe(), "", sep="\n", flush=True)
    titles = {
        "one": "one utterance of 3 s", "batch": "16 utterances of 1 to 6 s", "folder": f"{given.utterances} files to answers",
        "start": "a new process to its first answer",
    }  # fmt: skip
    for name, seconds in measure(given.audio, given.utterances, given.repeats):
        if name == "one" and given.figure:
            given.figure.write_bytes(figure(seconds))
        print(*table(titles[name], seconds, "s" if name in ("folder", "start") else "ms"), sep="\n", flush=True)


if __name__ == "__main__":
    main()
