"""Audio of any kind and length to emotion, its intensity and its place in time, gender and phonemes.

`pipeline(model=..., trust_remote_code=True)` makes one from a repository or a folder.
"""

import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import torch
from transformers.dynamic_module_utils import custom_object_save
from transformers.pipelines.base import ChunkPipeline

from .audio_speecheq import SAMPLING_RATE, SILENT_PEAK
from .pooling_speecheq import SpeakerStatistics
from .processing_speecheq import blocks_of, many, symbol_runs
from .speech_speecheq import Answer, SpeechDetector, segments, stretches, windows

WHOLE_SECONDS = 10.0  # audio up to this long is answered as a whole, as the utterances of the training corpora are
MARGIN = (
    0.3  # s; but silence that is farther from speech is left out: they have little of it, and it misleads the model
)
WINDOW_SECONDS = 2.0  # and longer audio in windows of its speech; 2, 3, 4 and 6 s were tried on validation speakers
HOP_SECONDS = 1.0
CHANGE = 2.0  # nats, what a change of label within a region of speech costs
SURE = 0.8  # probability that the interval of the intensity holds
# What `pipeline(model=...)` makes of a folder; https://hf.co/docs/transformers/add_new_pipeline.
PIPELINES = {
    "speech-emotion-recognition": {"impl": "pipeline_speecheq.SpeechEQPipeline", "pt": ["AutoModel"], "type": "audio"}
}


class SpeechEQPipeline(ChunkPipeline):
    """Speech emotion recognition with a [`SpeechEQModel`].

    Args:
        model ([`SpeechEQModel`]): and its processor, as in every pipeline; `device`, `dtype` and `batch_size` too.
        scale (`str`, *optional*, defaults to `"fine"`): `fine` (12 classes), `basic` (7) or `valence` (4).
        candidate_labels (`list[str]` or `dict[str, list[str]]`, *optional*): answer among these labels alone: names of
            classes of any scale, or names of one's own with the fine classes of each.
        top_k (`int`, *optional*): scores of so many labels; all by default.
        abstain_below (`float`, *optional*): no label is given below this score; by default what the configuration says.
        timeline (`bool`, *optional*, defaults to `True`): give segments of speech with their emotion.
        phonemes (`bool`, *optional*, defaults to `True`): give phonemes with their times.
        vad (`bool`, *optional*): tell speech from noise and music by silero-vad; by default if it is installed.
        speaker ([`SpeakerStatistics`], *optional*): what is known of the speaker, see [`~SpeechEQPipeline.new_speaker`]. It
            is used for every audio, and learns from it.
        sampling_rate (`int`, *optional*): of arrays, in Hz; a dict brings its own.
        on_error (`str`, *optional*): `raise`, or `return` an answer `{"error": reason}`. By default one audio raises, and
            many return: a bad one does not cost the others.
    """

    _load_processor = True
    _load_feature_extractor = _load_tokenizer = _load_image_processor = _load_video_processor = False

    def _sanitize_parameters(self, **parameters):
        steps = {
            "preprocess": ("vad", "sampling_rate", "timeline"),
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
        # Wrong ones are refused now, before anything is read.
        self._label_space(parameters.get("scale", "fine"), parameters.get("candidate_labels"))
        if parameters.get("on_error") not in (None, "raise", "return"):
            raise ValueError(f"SpeechEQPipeline: on_error must be raise or return; got {parameters['on_error']!r}.")
        return chosen

    def __call__(self, inputs, **kwargs):
        """Answer one audio, or many.

        Args:
            inputs: a path, an `http(s)` address, the bytes of a file, a file opened in binary, a dict with `array` and
                `sampling_rate` or with `path` or `bytes`, or an array with the parameter `sampling_rate`; or a list, a tuple, a
                generator, a torch dataset or a column of `datasets` of these.
            kwargs: parameters of this call; see the class.

        Returns:
            `dict`, or a list or iterator of `dict` in the order of `inputs`: `label` and `score`, `abstained` (`None`,
            `"silence"`, `"no speech"` or `"low confidence"`, for which `label` is `None`), `emotion` (list of `label` and
            `score`), `intensity` (`value`, `level`, and `interval`, which holds it with a probability of 0.8 or more),
            `gender` (`label`, `score`), `phonemes` (list of `phoneme`, `start`, `end`), `timeline` (list of `start`, `end`,
            `label`, `score`, `intensity`), `duration` and `speech` (s). Without speech all but the last two are empty.

        Raises:
            ValueError, TypeError: if audio cannot be used (`AudioError` for files), with `on_error="raise"`.
        """
        several = many(inputs)
        on_error = self._forward_params.get("on_error") or ("raise" if several is None else "return")
        kwargs.setdefault("on_error", on_error)
        return super().__call__(inputs if several is None else several, **kwargs)

    def new_speaker(self, path: str | os.PathLike | None = None) -> SpeakerStatistics:
        """A speaker of whom nothing is known yet; or what was kept of one with `speaker.save(path)`."""
        speaker = SpeakerStatistics(self.model.standardizer, self.model.config.speaker_prior)
        return speaker if path is None else speaker.load(path)

    def save_pretrained(self, save_directory: str | os.PathLike, **kwargs):
        """Save a folder that `pipeline(model=folder, trust_remote_code=True)` makes this pipeline of, see [`save_with_code`].

        `push_to_hub(repo_id)` pushes one. The parameters of the pipeline are not part of it.
        """
        if kwargs.pop("push_to_hub", False):
            raise ValueError(
                "SpeechEQPipeline: push_to_hub must be False; got True. `pipe.push_to_hub(repo_id)` does it."
            )
        save_with_code(self.model, self.processor, save_directory, **kwargs)

    def preprocess(self, inputs, vad=None, sampling_rate=None, timeline=True) -> Iterator[dict]:
        """What of one audio is to be answered.

        Yields:
            `dict`: `samples`, `start` (s), `first` (see `Window`) and `whole`; at the end what there was: `duration`, `speech`
            (s), `silent`, and `regions` of speech, `(start, end)` in seconds, if they have no windows of their own.
        """
        stream = _Heard(blocks_of(inputs, sampling_rate))
        whole = stream.beginning(WHOLE_SECONDS)
        found, regions, end = [], [], 0
        cut = windows(
            stream, SpeechDetector(vad), int(WINDOW_SECONDS * SAMPLING_RATE), int(HOP_SECONDS * SAMPLING_RATE)
        )
        speech = 0
        for window in cut:
            stop = window.start + len(window.samples)
            speech, end = speech + stop - max(window.start, end), stop
            regions += [[window.start, stop]] if window.first else []
            regions[-1][1] = stop
            start = window.start / SAMPLING_RATE
            asked = {"samples": window.samples, "start": start, "first": window.first, "whole": False}
            if whole is None:
                yield asked
            else:
                found.append(asked)
        if whole is not None and speech:
            for start, stop in stretches(regions, len(whole), int(MARGIN * SAMPLING_RATE)):
                yield {"samples": whole[start:stop], "start": start / SAMPLING_RATE, "first": True, "whole": True}
            if timeline and end - regions[0][0] > 2 * WINDOW_SECONDS * SAMPLING_RATE:
                yield from found
                regions = []
        yield {
            "duration": stream.samples / SAMPLING_RATE,
            "speech": speech / SAMPLING_RATE,
            "silent": stream.peak < SILENT_PEAK,
            "regions": []
            if whole is None
            else [(start / SAMPLING_RATE, stop / SAMPLING_RATE) for start, stop in regions],
        }

    def _forward(self, asked: list[dict], speaker=None, **parameters) -> list[dict]:
        """Answer a batch of windows."""
        inputs = self.processor([window["samples"] for window in asked], sampling_rate=SAMPLING_RATE)
        known = {} if speaker is None else {"speaker_mean": speaker.mean, "speaker_std": speaker.std}
        inputs = {name: self._placed(value) for name, value in {**inputs, **known}.items()}
        output = self.model(**inputs)
        heard = {
            "scores": output.esc_logits.float().softmax(dim=-1),
            "levels": output.eis_logits.float().softmax(dim=-1),
            "intensity": output.eis,
            "gender": output.gender_logits.float().softmax(dim=-1),
            "frames": output.frame_lengths,
        }
        # Numbers: small tensors, kept between the large ones that come and go, make the heap grow by 200 kB a window.
        numbers = zip(*(value.tolist() for value in heard.values()), strict=True)
        symbols, statistics = output.phoneme_logits.argmax(dim=-1).cpu().numpy(), output.statistics.cpu()
        answers = [dict(zip(heard, row, strict=True)) for row in numbers]
        for row, answer in enumerate(answers):
            answer["symbols"] = list(symbol_runs(symbols[row, : answer["frames"]]))
            answer["statistics"] = statistics[row]
        return answers

    def postprocess(
        self, audio, scale="fine", candidate_labels=None, top_k=None, abstain_below=None, timeline=True, phonemes=True
    ) -> dict:
        """What the windows of one audio add up to."""
        if audio.error is not None:
            return {"error": audio.error}
        about = audio.about
        answer = {"label": None, "score": None, "abstained": None, "emotion": [], "intensity": None, "gender": None}
        answer |= {
            "phonemes": [],
            "timeline": [],
            "duration": round(about["duration"], 3),
            "speech": round(about["speech"], 3),
        }
        if not audio.answers:
            return answer | {"abstained": "silence" if about["silent"] else "no speech"}
        label_space = self._label_space(scale, candidate_labels)
        labels, members = list(label_space), list(label_space.values())
        fold = torch.tensor(
            [[float(fine in of_label) for of_label in members] for fine in self.model.config.esc_labels]
        )

        wholes = [heard for heard in audio.answers if heard["whole"]] or audio.answers
        names = ("scores", "levels", "intensity", "gender")
        scores, levels, intensity, gender = (_mean(wholes, name) for name in names)
        scores = _folded(scores, fold)
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
            answer["phonemes"] = self._phonemes(wholes)
        if timeline:
            cut = [heard for heard in audio.answers if not heard["whole"]]
            spans = [(heard["start"], heard["end"], heard["first"], heard) for heard in cut]
            for start, end in about["regions"]:  # each lies in one stretch, the last that begins before it
                spans.append((start, end, True, [heard for heard in wholes if heard["start"] <= start][-1]))
            answers = [
                Answer(start, end, first, _folded(torch.tensor(heard["scores"]), fold).numpy(), heard["intensity"])
                for start, end, first, heard in spans
            ]
            answer["timeline"] = segments(answers, labels, CHANGE)
        return answer

    def get_iterator(
        self, inputs, num_workers, batch_size, preprocess_params, forward_params, postprocess_params
    ) -> Iterator[dict]:
        """Answers in the order of the inputs; windows of several inputs share a batch."""
        speaker, on_error = forward_params.get("speaker"), forward_params.get("on_error")
        waiting, batch = deque(), []

        def answer_batch():
            answers = self.forward([asked for _, asked in batch], **forward_params) if batch else []
            for (audio, asked), heard in zip(batch, answers, strict=True):
                audio.add(asked, heard)
            batch.clear()

        for source in inputs:
            audio = _Audio(heard=None if speaker is None else self.new_speaker())
            waiting.append(audio)
            try:
                for asked in self.preprocess(source, **preprocess_params):
                    if "samples" not in asked:
                        audio.about = asked
                        continue
                    batch.append((audio, asked))
                    audio.unanswered += 1
                    if len(batch) >= batch_size:
                        answer_batch()
            except (ValueError, TypeError, OSError) as error:
                if on_error != "return":
                    raise
                audio.error = str(error)
            if speaker is not None:  # the next audio is of the same speaker
                answer_batch()
                if audio.error is None:
                    speaker.merge(audio.heard)
            while waiting and waiting[0].complete:
                yield self.postprocess(waiting.popleft(), **postprocess_params)
        answer_batch()
        yield from (self.postprocess(audio, **postprocess_params) for audio in waiting)

    def _label_space(self, scale: str, wanted: list[str] | dict[str, list[str]] | None) -> dict[str, list[str]]:
        """The labels to answer with, each with its fine classes. A name of several scales is first one of `scale`."""
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
            got = ", ".join(map(repr, unknown)) or "a label without any"
            raise ValueError(
                f"SpeechEQPipeline: candidate_labels must be names of {', '.join(known)}, or map names of one's own to fine "
                f"classes; got {got}."
            )
        return space

    def _placed(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.device, self.model.dtype if value.is_floating_point() else None)

    def _intensity(self, levels: torch.Tensor, value: float) -> dict:
        """Value, the level nearest to it, and the shortest run of levels that is sure enough, as values in [0, 1]."""
        last = len(levels) - 1
        runs = combinations(range(last + 2), 2)  # of levels, from `start` to before `stop`
        sure = [(stop - start, -float(levels[start:stop].sum()), start, stop) for start, stop in runs]
        _, _, start, stop = min(run for run in sure if -run[1] >= SURE or run[0] == last + 1)
        level = self.model.config.eis_labels[int(value * last + 0.5)]
        return {"value": value, "level": level, "interval": [start / last, (stop - 1) / last]}

    def _phonemes(self, heard: list[dict]) -> list[dict]:
        """CTC symbols with their times; where windows overlap, each answers up to the middle."""
        found, names = [], self.model.config.phoneme_labels
        for index, window in enumerate(heard):
            before, after = heard[index - 1] if index else None, heard[index + 1] if index + 1 < len(heard) else None
            low = (before["end"] + window["start"]) / 2 if before and not window["first"] else -np.inf
            high = (window["end"] + after["start"]) / 2 if after and not after["first"] else np.inf
            step = (window["end"] - window["start"]) / max(window["frames"], 1)
            for symbol, start, stop in window["symbols"]:
                begin, end = window["start"] + start * step, window["start"] + stop * step
                if low <= (begin + end) / 2 < high:
                    times = {"start": round(max(begin, low), 3), "end": round(min(end, high), 3)}
                    found.append({"phoneme": names[symbol], **times})
        return found


def save_with_code(model, processor, folder: str | os.PathLike, **kwargs):
    """Save weights, configuration with `auto_map`, processor, and the code that reads them and answers.

    Args:
        model ([`SpeechEQModel`]), processor ([`SpeechEQProcessor`]): what to save; as remote code too.
        folder (`str` or `os.PathLike`): made if need be; must not be the folder of the code itself.
        kwargs: of the model's `save_pretrained`.
    """
    parts = {"AutoConfig": model.config, "AutoModel": model, "AutoProcessor": processor}
    for auto_class, part in (parts | {"AutoFeatureExtractor": processor.feature_extractor}).items():
        type(part).register_for_auto_class(auto_class)
    model.config.backbone_config._name_or_path = ""  # a path of this machine means nothing elsewhere
    model.config.custom_pipelines = PIPELINES
    model.save_pretrained(folder, **kwargs)
    processor.save_pretrained(folder)
    custom_object_save(SpeechEQPipeline, folder)  # the Auto classes do not reach its code


class _Heard:
    """Blocks of 16 kHz mono, whose samples and peak are counted as they pass.

    Args:
        blocks (`Iterator[np.ndarray]`): the stream.
    """

    def __init__(self, blocks: Iterator[np.ndarray]):
        self.blocks, self.samples, self.peak = blocks, 0, 0.0
        self._first = deque()

    def beginning(self, seconds: float) -> np.ndarray | None:
        """The whole stream if it is no longer than this, and `None` otherwise; nothing passes."""
        while sum(map(len, self._first)) <= seconds * SAMPLING_RATE:
            block = next(self.blocks, None)
            if block is None:
                return np.concatenate(self._first)
            self._first.append(block)
        return None

    def __iter__(self) -> Iterator[np.ndarray]:
        while (block := self._first.popleft() if self._first else next(self.blocks, None)) is not None:
            self.samples += len(block)
            self.peak = max(self.peak, float(np.abs(block).max()))
            yield block


@dataclass
class _Audio:
    """One audio while it is answered: answers so far, what was heard of its speaker, and at the end what there was."""

    heard: SpeakerStatistics | None
    answers: list[dict] = field(default_factory=list)
    unanswered: int = 0
    about: dict | None = None
    error: str | None = None

    @property
    def complete(self) -> bool:
        return self.error is not None or (self.about is not None and not self.unanswered)

    def add(self, asked: dict, answer: dict):
        """Keep what is needed of an answer; of the speaker, an audio that is answered as a whole says its whole."""
        self.unanswered -= 1
        end = asked["start"] + len(asked["samples"]) / SAMPLING_RATE
        statistics = answer.pop("statistics")
        self.answers.append(
            answer | {"start": asked["start"], "end": end, "first": asked["first"], "whole": asked["whole"]}
        )
        if self.heard is not None and self.answers[0]["whole"] == asked["whole"]:
            self.heard.update(statistics[None])


def _mean(answers: list[dict], name: str) -> torch.Tensor:
    """Mean of some probabilities over windows, each by its length."""
    lengths = torch.tensor([answer["end"] - answer["start"] for answer in answers])
    return (lengths / lengths.sum()) @ torch.tensor([answer[name] for answer in answers])


def _folded(scores: torch.Tensor, fold: torch.Tensor) -> torch.Tensor:
    """Probabilities of the asked labels, which together are certain."""
    scores = scores @ fold
    return scores / scores.sum().clamp(min=1e-12)
