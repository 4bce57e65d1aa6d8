"""Pipeline that predicts emotion, intensity, gender, phonemes and a timeline for audio of any format and length.

`pipeline(model=..., trust_remote_code=True)` creates it from a repository or a folder.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import TextIOBase
from itertools import combinations

import numpy as np
import torch
from transformers.pipelines.base import ChunkPipeline

from .audio_speecheq import SAMPLING_RATE, SILENT_PEAK, OneChannel
from .configuration_speecheq import save_with_code
from .pooling_speecheq import Answer, Recording, SpeakerStatistics, folded, mean_of, own_mean, segments, timed_phonemes
from .processing_speecheq import blocks_of, multiple_inputs, symbol_runs
from .speech_speecheq import SpeechDetector, SpeechStream, SpeechWindows, one_thread, stretches, windows

WHOLE_SECONDS = 10.0  # audio up to this length is one utterance, as in the training corpora
MARGIN = 0.3  # s around the speech of an utterance; more silence is cut, because training utterances have little of it
WINDOW = 2 * SAMPLING_RATE  # samples, window of longer audio; chosen among 2, 3, 4 and 6 s on validation speakers
HOP = SAMPLING_RATE
ROWS = 256  # windows that are normalised at once
CHANGE = 2.0  # nats, cost of a label change within a region of speech
SURE = 0.8  # probability of the intensity interval


class SpeechEQPipeline(ChunkPipeline):
    """Pipeline for speech emotion recognition with a [`SpeechEQModel`].

    Args:
        model ([`SpeechEQModel`]): model; the processor, `device`, `dtype` and `batch_size` are as in every pipeline.
        scale (`str`, *optional*, defaults to `"fine"`): `fine` (12 classes), `basic` (7) or `valence` (4).
        candidate_labels (`list[str]` or `dict[str, list[str]]`, *optional*): label space of the prediction: class names of
            any scale, or your own labels with the fine classes of each.
        top_k (`int`, *optional*): number of labels in `emotion`; all by default.
        abstain_below (`float`, *optional*): lowest score of a label; by default the value in the configuration.
        timeline (`bool`, *optional*, defaults to `True`): return segments of speech with their emotion.
        phonemes (`bool`, *optional*, defaults to `True`): return phonemes with their times.
        channels (`str`, *optional*, defaults to `"mix"`): `mix` predicts for the average of the channels, `each` for every
            channel separately, for recordings with one person per channel.
        vad (`bool`, *optional*): separate speech from noise and music with silero-vad; by default if it is installed.
        speaker ([`SpeakerStatistics`] or `str`, *optional*): speaker statistics from [`~SpeechEQPipeline.new_speaker`], used
            for every input and updated after it; or `auto`: every input (with `channels="each"`, every channel) is one speaker,
            with the mean of its own windows, see [`own_mean`].
        sampling_rate (`int`, *optional*): sampling rate of arrays without their own, in Hz.
        on_error (`str`, *optional*): `raise`, or `return` `{"error": reason}` for the input. By default a single input
            raises, and multiple inputs return, so that a bad input does not affect the others.
    """

    _load_processor = True
    _load_feature_extractor = _load_tokenizer = _load_image_processor = _load_video_processor = False

    def _sanitize_parameters(self, **parameters):
        steps = {
            "preprocess": ("channels", "vad", "sampling_rate", "timeline"),
            "forward": ("speaker", "on_error"),
            "postprocess": ("scale", "candidate_labels", "top_k", "abstain_below", "timeline", "phonemes"),
        }
        unknown = sorted(set(parameters) - set().union(*steps.values()))
        if unknown:
            known = sorted(set().union(*steps.values()))
            raise TypeError(
                f"SpeechEQPipeline: parameters must be among {', '.join(known)}; got {', '.join(unknown)}."
            )
        chosen = [{name: parameters[name] for name in names if name in parameters} for names in steps.values()]
        # Refuse wrong parameters before reading any input.
        self._label_space(parameters.get("scale", "fine"), parameters.get("candidate_labels"))
        for name, values in (("on_error", ("raise", "return")), ("channels", ("mix", "each"))):
            if parameters.get(name) not in (None, *values):
                raise ValueError(f"SpeechEQPipeline: {name} must be {' or '.join(values)}; got {parameters[name]!r}.")
        speaker = parameters.get("speaker")
        if not (speaker is None or speaker == "auto" or isinstance(speaker, SpeakerStatistics)):
            raise ValueError(f"SpeechEQPipeline: speaker must be auto or come from new_speaker(); got {speaker!r}.")
        if speaker == "auto" and not hasattr(self.model, "score_statistics"):
            raise ValueError(
                "SpeechEQPipeline: speaker must not be auto with an ONNX model (--int8). Load the PyTorch model."
            )
        return chosen

    def __call__(self, inputs, **kwargs):
        """Predict for one or multiple inputs.

        Args:
            inputs: a path, an `http(s)` URL, the bytes of a file, a binary file object, a dict with `array` and
                `sampling_rate` or with `path` or `bytes`, a pair of array and rate, or an array or a list of numbers with the
                parameter `sampling_rate`; or a list, a generator, a torch dataset, a `datasets` column or a series of these.
            kwargs: parameters of this call; see the class.

        Returns:
            `dict`, or a list or iterator of `dict` in the order of `inputs`: `label` and `score`, `abstained` (`None`,
            or `"silence"`, `"no speech"` or `"low confidence"` if `label` is `None`), `emotion` (list of `label` and
            `score`), `intensity` (`value`, `level`, and `interval`, with a probability of 0.8 or more),
            `gender` (`label`, `score`), `phonemes` (list of `phoneme`, `start`, `end`), `timeline` (list of `start`, `end`,
            `label`, `score`, `intensity`), `duration` and `speech` (s). If the audio contains no speech, every field except
            `abstained`, `duration` and `speech` is empty. With `channels="each"`, each input gives a list with one `dict`
            per channel; it and its segments also have `channel`, from 1.

        Raises:
            ValueError, TypeError: if an input is not usable audio (`AudioError` for files), with `on_error="raise"`.
        """
        several = multiple_inputs(inputs)
        on_error = self._forward_params.get("on_error") or ("raise" if several is None else "return")
        kwargs.setdefault("on_error", on_error)
        if several is None and isinstance(
            inputs, list
        ):  # numbers, or array and rate; transformers takes a list for several
            inputs = tuple(inputs)
        return super().__call__(inputs if several is None else several, **kwargs)

    def new_speaker(self, path: str | os.PathLike | None = None) -> SpeakerStatistics:
        """Create empty speaker statistics, or load those saved with `speaker.save(path)`."""
        speaker = SpeakerStatistics(self.model.standardizer, self.model.config.speaker_prior)
        return speaker if path is None else speaker.load(path)

    def stream(
        self, sampling_rate=None, scale=None, candidate_labels=None, vad=None, speaker: SpeakerStatistics | None = None
    ) -> SpeechStream:
        """Open a live stream: `stream.feed(chunk)` and `stream.close()` return events, see [`SpeechStream`].

        The finished segments are those that the pipeline gives for a recording of the whole stream, if it is longer than
        10 s. Streams of one pipeline are independent of each other.

        Args:
            sampling_rate (`int`, *optional*): sampling rate of chunks without their own, in Hz.
            scale, candidate_labels, vad (*optional*): as in a call; by default those of the pipeline.
            speaker ([`SpeakerStatistics`], *optional*): speaker statistics, updated when the stream is closed.
        """
        given = {"sampling_rate": sampling_rate, "scale": scale, "candidate_labels": candidate_labels, "vad": vad}
        given = {name: value for name, value in (given | {"speaker": speaker}).items() if value is not None}
        given = {**self._preprocess_params, **self._forward_params, **self._postprocess_params, **given}
        label_space = self._label_space(given.get("scale", "fine"), given.get("candidate_labels"))
        fold, speaker = self._fold(label_space), given.get("speaker")
        if speaker == "auto":
            raise ValueError("SpeechEQPipeline: speaker must not be auto in a stream: it needs the whole recording.")
        own = None if speaker is None else self.new_speaker()

        def predict(samples: np.ndarray, provisional: bool) -> tuple[np.ndarray, float]:
            with one_thread:  # a window is short: one thread takes the least computation, and leaves cores for others
                (found,) = self.forward([{"samples": samples}], speaker=speaker)
            if own is not None and not provisional:
                own.update(found["statistics"][None])
            return folded(torch.tensor(found["scores"]), fold).numpy(), found["intensity"]

        splitter = SpeechWindows(SpeechDetector(given.get("vad")), WINDOW, HOP)
        ended = None if own is None else lambda: speaker.merge(own)
        return SpeechStream(splitter, predict, list(label_space), CHANGE, given.get("sampling_rate"), ended)

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs):
        """Save a folder from which `pipeline(model=folder, trust_remote_code=True)` loads this pipeline.

        The folder does not contain the parameters of the pipeline. `push_to_hub(repo_id)` uploads the same files.

        Args:
            save_directory (`str` or `os.PathLike`): the folder, see [`save_with_code`].
            kwargs: arguments of the model's `save_pretrained`.

        Raises:
            ValueError: if `push_to_hub` is `True`.
        """
        if kwargs.pop("push_to_hub", False):
            raise ValueError(
                "SpeechEQPipeline: push_to_hub must be False; got True. Call `pipe.push_to_hub(repo_id)` instead."
            )
        save_with_code(self.model, self.processor, save_directory, **kwargs)

    def preprocess(self, inputs, vad=None, sampling_rate=None, timeline=True, channels=None) -> Iterator[dict]:
        """Split one input into chunks for the model: windows of long audio, utterances of short audio.

        Yields:
            `dict`: a chunk with `samples`, `start` (s), `starts_region` and `is_utterance`; at the end a summary with
            `duration`, `speech` (s), `silent`, and `regions` of speech without windows, `(start, end)` in seconds.
        """
        one_channel = isinstance(inputs, _Channel)
        stream = _AudioStream(inputs.blocks(sampling_rate) if one_channel else blocks_of(inputs, sampling_rate))
        short_audio = stream.read_if_short(WHOLE_SECONDS)
        held_back, regions, end = [], [], 0
        speech = 0
        for window in windows(stream, SpeechDetector(vad), WINDOW, HOP):
            stop = window.start + len(window.samples)
            speech, end = speech + stop - max(window.start, end), stop
            regions += [[window.start, stop]] if window.starts_region else []
            regions[-1][1] = stop
            start = window.start / SAMPLING_RATE
            chunk = {"start": start, "starts_region": window.starts_region, "is_utterance": False}
            chunk["samples"] = window.samples
            if short_audio is None:
                yield chunk
            else:
                held_back.append(chunk)
        if short_audio is not None and speech:
            for start, stop in stretches(regions, len(short_audio), int(MARGIN * SAMPLING_RATE)):
                chunk = {"start": start / SAMPLING_RATE, "starts_region": True, "is_utterance": True}
                yield chunk | {"samples": short_audio[start:stop]}
            if timeline and end - regions[0][0] > 2 * WINDOW:
                yield from held_back
                regions = []
        yield {
            "duration": stream.samples / SAMPLING_RATE,
            "speech": speech / SAMPLING_RATE,
            "silent": stream.peak < SILENT_PEAK,
            "regions": []
            if short_audio is None
            else [(start / SAMPLING_RATE, stop / SAMPLING_RATE) for start, stop in regions],
        }

    def _forward(self, chunks: list[dict], speaker=None, **parameters) -> list[dict]:
        """Run the model on a batch of chunks."""
        inputs = self.processor([chunk["samples"] for chunk in chunks], sampling_rate=SAMPLING_RATE)
        normalisation = {} if speaker is None else {"speaker_mean": speaker.mean, "speaker_std": speaker.std}
        inputs = {name: self._placed(value) for name, value in {**inputs, **normalisation}.items()}
        output = self.model(**inputs)
        symbols, statistics = output.phoneme_logits.argmax(dim=-1).cpu().numpy(), output.statistics.cpu()
        answers = _answers_of(output, gender=output.gender_logits.float().softmax(dim=-1), frames=output.frame_lengths)
        for row, answer in enumerate(answers):
            answer["symbols"] = list(symbol_runs(symbols[row, : answer["frames"]]))
            answer["statistics"] = statistics[row]
        return answers

    def postprocess(
        self, audio, scale="fine", candidate_labels=None, top_k=None, abstain_below=None, timeline=True, phonemes=True
    ) -> dict:
        """Combine the chunk predictions of one recording."""
        if audio.error is not None:
            return {"error": audio.error}
        self._normalise(audio)
        summary = audio.summary
        answer = {"label": None, "score": None, "abstained": None, "emotion": [], "intensity": None, "gender": None}
        answer |= {
            "phonemes": [],
            "timeline": [],
            "duration": round(summary["duration"], 3),
            "speech": round(summary["speech"], 3),
        }
        if not audio.answers:
            return answer | {"abstained": "silence" if summary["silent"] else "no speech"}
        label_space = self._label_space(scale, candidate_labels)
        labels, fold = list(label_space), self._fold(label_space)

        utterances = [chunk for chunk in audio.answers if chunk["is_utterance"]] or audio.answers
        names = ("scores", "levels", "intensity", "gender")
        scores, levels, intensity, gender = (mean_of(utterances, name) for name in names)
        scores = folded(scores, fold)
        ranked = [{"label": labels[index], "score": float(scores[index])} for index in scores.argsort(descending=True)]
        best = int(gender.argmax())
        answer |= {"emotion": ranked[:top_k], "intensity": self._intensity(levels, float(intensity))}
        answer |= {"gender": {"label": self.model.config.gender_labels[best], "score": float(gender[best])}}
        threshold = self.model.config.abstain_below if abstain_below is None else abstain_below
        sure = ranked[0]["score"] >= threshold
        answer |= {"score": ranked[0]["score"]} | (
            {"label": ranked[0]["label"]} if sure else {"abstained": "low confidence"}
        )
        if phonemes:
            answer["phonemes"] = timed_phonemes(utterances, self.model.config.phoneme_labels)
        if timeline:
            cut = [chunk for chunk in audio.answers if not chunk["is_utterance"]]
            spans = [(chunk["start"], chunk["end"], chunk["starts_region"], chunk) for chunk in cut]
            for start, end in summary["regions"]:  # each is inside one utterance, the last one that starts before it
                spans.append((start, end, True, [chunk for chunk in utterances if chunk["start"] <= start][-1]))
            answers = [
                Answer(start, end, starts, folded(torch.tensor(chunk["scores"]), fold).numpy(), chunk["intensity"])
                for start, end, starts, chunk in spans
            ]
            answer["timeline"] = segments(answers, labels, CHANGE)
        return answer

    def _normalise(self, audio: Recording):
        """Replace the predictions for emotion and intensity by those with the mean of the recording, for `speaker="auto"`."""
        if audio.statistics is None:
            return
        of_speaker = [row for row, answer in enumerate(audio.answers) if audio.is_counted(answer)]
        if len(of_speaker) < 2:
            return
        statistics = torch.stack(audio.statistics)
        scores = torch.tensor([audio.answers[row]["scores"] for row in of_speaker])
        corpus_mean = self.model.standardizer.mean.float().cpu()
        mean = self._placed(own_mean(statistics[of_speaker].float(), scores, corpus_mean))
        for row in range(0, len(statistics), ROWS):
            with torch.inference_mode():
                output = self.model.score_statistics(self._placed(statistics[row : row + ROWS]), mean)
            for answer, normalised in zip(audio.answers[row : row + ROWS], _answers_of(output), strict=True):
                answer |= normalised

    def get_iterator(
        self, inputs, num_workers, batch_size, preprocess_params, forward_params, postprocess_params
    ) -> Iterator[dict] | Iterator[list[dict]]:
        """Yield predictions in the order of the inputs; with `channels="each"`, a list for each input."""
        parameters = (batch_size, preprocess_params, forward_params, postprocess_params)
        if preprocess_params.get("channels") != "each":
            return self._answers(inputs, *parameters)
        if forward_params.get("speaker") not in (None, "auto"):
            raise ValueError(
                'SpeechEQPipeline: speaker must be None with channels="each"; got statistics of one speaker. Pass each channel '
                "as its own input."
            )
        return _by_channel(inputs, lambda channels: self._answers(channels, *parameters))

    def _answers(self, inputs, batch_size, preprocess_params, forward_params, postprocess_params) -> Iterator[dict]:
        """Yield predictions in the order of the inputs; chunks of several inputs share a batch."""
        speaker, on_error = forward_params.get("speaker"), forward_params.get("on_error")
        speaker, auto = (None, True) if speaker == "auto" else (speaker, False)
        forward_params = forward_params | {"speaker": speaker}
        waiting, batch = deque(), []

        def run_batch():
            answers = self.forward([chunk for _, chunk in batch], **forward_params) if batch else []
            for (audio, chunk), answer in zip(batch, answers, strict=True):
                audio.add(chunk, answer)
            batch.clear()

        for source in inputs:
            audio = Recording(None if speaker is None else self.new_speaker(), [] if auto else None)
            waiting.append(audio)
            try:
                for chunk in self.preprocess(source, **preprocess_params):
                    if "samples" not in chunk:
                        audio.summary = chunk
                        continue
                    batch.append((audio, chunk))
                    audio.pending += 1
                    if len(batch) >= batch_size:
                        run_batch()
            except (ValueError, TypeError, OSError) as error:
                if on_error != "return":
                    raise
                audio.error = str(error)
            if speaker is not None:  # update the statistics before the next input of the same speaker
                run_batch()
                if audio.error is None:
                    speaker.merge(audio.speaker)
            while waiting and waiting[0].complete:
                yield self.postprocess(waiting.popleft(), **postprocess_params)
        run_batch()
        yield from (self.postprocess(audio, **postprocess_params) for audio in waiting)

    def _label_space(self, scale: str, wanted: list[str] | dict[str, list[str]] | None) -> dict[str, list[str]]:
        """Return the label space: each label with its fine classes. A name in several scales is taken from `scale`."""
        config = self.model.config
        scales = {"fine": {label: [label] for label in config.esc_labels}} | config.esc_scales
        if scale not in scales:
            raise ValueError(f"SpeechEQPipeline: scale must be one of {', '.join(scales)}; got {scale!r}.")
        if wanted is None:
            return scales[scale]
        known = {
            name: fine for of_scale in [*reversed(scales.values()), scales[scale]] for name, fine in of_scale.items()
        }
        space = dict(wanted) if isinstance(wanted, dict) else {name: known.get(name, [name]) for name in wanted}
        unknown = sorted({fine for members in space.values() for fine in members} - set(config.esc_labels))
        if unknown or not space or not all(space.values()):
            got = ", ".join(map(repr, unknown)) or "a label without classes"
            raise ValueError(
                f"SpeechEQPipeline: candidate_labels must be among {', '.join(known)}, or map your own labels to fine "
                f"classes; got {got}."
            )
        return space

    def _fold(self, label_space: dict[str, list[str]]) -> torch.Tensor:
        """Return the matrix that sums fine-class probabilities to those of a label space, `(fine classes, labels)`."""
        members = label_space.values()
        return torch.tensor([[float(fine in of) for of in members] for fine in self.model.config.esc_labels])

    def _placed(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.device, self.model.dtype if value.is_floating_point() else None)

    def _intensity(self, levels: torch.Tensor, value: float) -> dict:
        """Return the intensity value, the nearest level, and the shortest interval with a probability of 0.8 or more."""
        last = len(levels) - 1
        runs = combinations(range(last + 2), 2)  # runs of levels, from `start` to before `stop`
        sure = [(stop - start, -float(levels[start:stop].sum()), start, stop) for start, stop in runs]
        _, _, start, stop = min(run for run in sure if -run[1] >= SURE or run[0] == last + 1)
        level = self.model.config.eis_labels[int(value * last + 0.5)]
        return {"value": value, "level": level, "interval": [start / last, (stop - 1) / last]}


def _answers_of(output, **further: torch.Tensor) -> list[dict]:
    """Return the predictions of each chunk as Python numbers: small tensors kept among large temporary ones make the heap grow
    by 200 kB per window."""
    scores, levels = (logits.float().softmax(dim=-1) for logits in (output.esc_logits, output.eis_logits))
    columns = {"scores": scores, "levels": levels, "intensity": output.eis} | further
    return [dict(zip(columns, row, strict=True)) for row in zip(*(c.tolist() for c in columns.values()), strict=True)]


class _AudioStream:
    """Iterator over blocks of 16 kHz mono audio that tracks the number of samples and the peak.

    Args:
        blocks (`Iterator[np.ndarray]`): blocks of the stream.
    """

    def __init__(self, blocks: Iterator[np.ndarray]):
        self.blocks, self.samples, self.peak = blocks, 0, 0.0
        self._buffer = deque()

    def read_if_short(self, seconds: float) -> np.ndarray | None:
        """Return all samples if the stream has at most `seconds`, else `None`; iteration still yields every block."""
        while sum(map(len, self._buffer)) <= seconds * SAMPLING_RATE:
            block = next(self.blocks, None)
            if block is None:
                return np.concatenate(self._buffer)
            self._buffer.append(block)
        return None

    def __iter__(self) -> Iterator[np.ndarray]:
        while (block := self._buffer.popleft() if self._buffer else next(self.blocks, None)) is not None:
            self.samples += len(block)
            self.peak = max(self.peak, float(np.abs(block).max()))
            yield block


@dataclass
class _Channel:
    """One channel of an input."""

    source: object
    selection: OneChannel

    def blocks(self, sampling_rate: int | None) -> Iterator[np.ndarray]:
        """Read the channel. A file object is read once, and its content becomes the source of the other channels."""
        if hasattr(self.source, "read") and not isinstance(self.source, TextIOBase):
            content = self.source.read()
            self.source = content if isinstance(content, bytes) else self.source
        return blocks_of(self.source, sampling_rate, self.selection)


def _by_channel(inputs: Iterable, predict: Callable[[Iterator[_Channel]], Iterator[dict]]) -> Iterator[list[dict]]:
    """Predict for each channel of each input, and yield a list for each input. Every channel is decoded separately, so
    that memory does not depend on the length of the audio."""
    waiting, found = deque(), []

    def channels() -> Iterator[_Channel]:
        for source in inputs:
            first = _Channel(source, OneChannel(1))
            waiting.append(first.selection)
            yield first  # the next channel is requested after all of this one is read
            for number in range(2, (first.selection.total or 1) + 1):
                waiting.append(OneChannel(number, first.selection.total))
                yield _Channel(first.source, waiting[-1])

    for answer in predict(channels()):
        channel = waiting.popleft()
        number = {"channel": channel.number if channel.total else None}
        parts = {"timeline": [number | part for part in answer["timeline"]]} if "timeline" in answer else {}
        found.append(number | answer | parts)
        if channel.number == (channel.total or 1):
            yield found
            found = []
