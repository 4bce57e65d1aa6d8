"""SEQD rows to batches of tensors."""

import io
from collections import Counter
from collections.abc import Callable, Sequence

import datasets
import numpy as np
import soundfile
import torch
from torch.nn.utils.rnn import pad_sequence

from speecheq.backbones_speecheq import frame_mask
from speecheq.configuration_speecheq import SpeechEQConfig
from speecheq.labels_speecheq import MISSING, VALENCE_CLASSES
from speecheq.processing_speecheq import SAMPLING_RATE, SpeechEQProcessor, pad_labels, to_mono_16khz

NEUTRAL_INTENSITY, EMOTIONAL_INTENSITY = [0.0, 0.375], [0.125, 1.0]  # none or low; all but none


def sampling_weights(rows: datasets.Dataset, corpus_balance: float, class_balance: float) -> np.ndarray:
    """How often each row should be drawn, relative to the mean row.

    A corpus of `n` of all `N` rows is drawn as if it had `n^(1 - corpus_balance)` parts, a class within its corpus
    likewise: 0 leaves the data as they are, 1 makes all corpora, or all classes of a corpus, equally frequent.

    Args:
        rows (`datasets.Dataset`): with columns `corpus` and `native_label`.
        corpus_balance (`float`): in `[0, 1]`.
        class_balance (`float`): in `[0, 1]`.

    Returns:
        `np.ndarray` of shape `(len(rows),)`, mean 1.
    """
    corpora, classes = list(rows["corpus"]), list(zip(rows["corpus"], rows["native_label"], strict=True))
    corpus_count, class_count = Counter(corpora), Counter(classes)
    within = {pair: count ** (1 - class_balance) for pair, count in class_count.items()}
    total = Counter()
    for (corpus, _), share in within.items():
        total[corpus] += share
    weights = np.array(
        [
            corpus_count[pair[0]] ** (1 - corpus_balance) * within[pair] / total[pair[0]] / class_count[pair]
            for pair in classes
        ]
    )
    return weights / weights.mean()


class SpeechDataset(torch.utils.data.Dataset):
    """Rows of SEQD with their audio decoded, and augmented if asked.

    An item is asked for by its row, or by its row and the seed of its augmentation, as [`BalancedLengthSampler`] does: what
    an item is then depends on nothing that a resumed run would have to restore.

    Args:
        rows (`datasets.Dataset`): as [`load_seqd`] gives them.
        augment (`Callable`, *optional*): takes a waveform of shape `(samples,)` at 16 kHz and a seed, gives a waveform.
        states ([`EncoderStates`], *optional*): read in place of the audio, which is not decoded.
    """

    def __init__(
        self, rows: datasets.Dataset, augment: Callable[[np.ndarray, int], np.ndarray] | None = None, states=None
    ):
        self.rows = rows
        self.augment = augment
        self.states = states

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | tuple[int, int]) -> dict:
        index, seed = key if isinstance(key, tuple) else (key, 0)
        row = dict(self.rows[int(index)])
        audio = row.pop("audio")
        if self.states is not None:
            row["encoder_states"] = self.states.read(audio)
            return row
        samples, rate = soundfile.read(
            io.BytesIO(audio["bytes"]) if audio["bytes"] else audio["path"], dtype="float32"
        )
        waveform = to_mono_16khz(samples, rate)
        row["waveform"] = self.augment(waveform, seed) if self.augment else waveform
        return row


class Collator:
    """Items of [`SpeechDataset`] to a batch: the inputs, all four kinds of labels, present or missing, and who speaks.

    Args:
        processor ([`SpeechEQProcessor`]): of the model.
        config ([`SpeechEQConfig`]): of the model.
        use_votes (`bool`, *optional*, defaults to `True`): where the raters' votes are known, learn their distribution
            instead of the corpus's one label.
    """

    def __init__(self, processor: SpeechEQProcessor, config: SpeechEQConfig, use_votes: bool = True):
        self.processor = processor
        self.esc_labels = list(config.esc_labels)
        self.gender_labels = list(config.gender_labels)
        self.known_phonemes = set(config.phoneme_labels[1:])
        self.use_votes = use_votes

    def __call__(self, items: list[dict]) -> dict[str, torch.Tensor]:
        if "encoder_states" in items[0]:
            batch = pad_states([item["encoder_states"] for item in items])
        else:
            batch = self.processor([item["waveform"] for item in items], sampling_rate=SAMPLING_RATE)
        phonemes = pad_labels([self.phoneme_target(item) for item in items])
        speakers = [item["speaker_id"] for item in items]
        return {**batch, **self.utterance_labels(items), "phoneme_labels": phonemes, "speakers": speakers}

    def utterance_labels(self, items: list[dict]) -> dict[str, torch.Tensor]:
        """`esc_labels`, `eis_labels` and `gender_labels` of [`SpeechEQModel`]; no audio is needed."""
        targets = [self.esc_target(item) for item in items]
        esc = torch.zeros(len(items), max(len(target) for target in targets), len(self.esc_labels))
        for row, target in zip(esc, targets, strict=True):
            row[: len(target)] = target
        return {
            "esc_labels": esc,
            "eis_labels": torch.tensor([self.eis_target(item) for item in items]),
            "gender_labels": torch.tensor([self.gender_target(item) for item in items]),
        }

    def esc_target(self, item: dict) -> torch.Tensor:
        """`(sets, classes)`: the weight of each set on its members; all 1 where there is no label."""
        votes = item.get("esc_votes") if self.use_votes else None
        sets = [(vote["esc"], vote["weight"]) for vote in votes] if votes else [(item.get("esc"), 1.0)]
        if not sets[0][0]:
            return torch.ones(1, len(self.esc_labels))
        unknown = sorted({label for labels, _ in sets for label in labels} - set(self.esc_labels))
        if unknown:
            raise ValueError(
                f"Collator: esc must be among {', '.join(self.esc_labels)}; got {', '.join(unknown)} in {item.get('id')}."
            )
        return torch.tensor([[weight * (label in labels) for label in self.esc_labels] for labels, weight in sets])

    @staticmethod
    def eis_target(item: dict) -> list[float]:
        """Low and high. What an ESC label alone says of the intensity is an interval: neutral speech has little, other more
        than none.

        The zeros that SEQD gives neutral labels would teach that a corpus without ratings knows no other intensity: of
        1,476 emotional test utterances of nEMO, ASED and URDU, a model so trained put 46 % on the lowest level. And raters
        do not give neutral speech 0: in EmoTale it has 0.30 on average, half of it between 0.20 and 0.39.
        """
        low, high, esc = item.get("eis_low"), item.get("eis_high"), set(item.get("esc") or ())
        neutral = esc & set(VALENCE_CLASSES["neutral"])
        if low is not None and high is not None and not (esc and esc == neutral and low == high == 0):
            return [low, high]
        if not esc or (neutral and esc != neutral):
            return [float(MISSING)] * 2
        return NEUTRAL_INTENSITY if neutral else EMOTIONAL_INTENSITY

    def phoneme_target(self, item: dict) -> list[int]:
        """Ids of the phonemes. A symbol that train never had cannot be learned from validation: it is left out."""
        return self.processor.encode_phonemes(
            [symbol for symbol in item.get("phonemes") or [] if symbol in self.known_phonemes]
        )

    def gender_target(self, item: dict) -> int:
        gender = item.get("gender")
        if gender is not None and gender not in self.gender_labels:
            raise ValueError(
                f"Collator: gender must be among {', '.join(self.gender_labels)}; got {gender!r} in {item.get('id')}."
            )
        return MISSING if gender is None else self.gender_labels.index(gender)


def pad_states(states: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """`encoder_states` and `attention_mask` of [`SpeechEQModel`] from arrays of shape `(frames, states, hidden)`."""
    lengths = torch.tensor([len(of_utterance) for of_utterance in states])
    padded = pad_sequence([torch.from_numpy(of_utterance) for of_utterance in states], batch_first=True)
    return {"encoder_states": padded, "attention_mask": frame_mask(lengths, padded.shape[1]).long()}


class BalancedLengthSampler(torch.utils.data.Sampler):
    """Rows drawn by weight, then batched with others of about their length.

    A row of weight `w` comes `floor(w)` times in an epoch, and once more with the probability of the rest. Neighbourhoods
    of 50 batches are sorted by length, as in transformers' `LengthGroupedSampler`. Each item is a pair of a row and a seed
    for its augmentation. All follows from seed and epoch alone, so that a resumed run sees what an uninterrupted one sees.

    Args:
        lengths (`Sequence[float]`): of each row, in any unit.
        weights (`np.ndarray` of shape `(rows,)`): mean 1, see [`sampling_weights`].
        batch_size (`int`): rows per step, of all processes together.
        seed (`int`, *optional*, defaults to 0): of the order.
        num_processes (`int`, *optional*, defaults to 1): each takes a run of `batch_size / num_processes` rows of a batch; the
            runs are every `num_processes`-th row of the sorted batch, so that they are about equally long.
    """

    def __init__(
        self, lengths: Sequence[float], weights: np.ndarray, batch_size: int, seed: int = 0, num_processes: int = 1
    ):
        self.lengths = np.asarray(lengths, dtype=np.float64)
        self.weights = weights
        self.batch_size = batch_size
        self.seed = seed
        self.num_processes = num_processes
        self.epoch = 0

    def set_epoch(self, epoch: int):
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self):
        random = np.random.default_rng([self.seed, self.epoch])
        # Systematic resampling: exactly len(self) draws, each row within one of its weight.
        edges = np.cumsum(self.weights) / self.weights.sum() * len(self)
        drawn = np.searchsorted(edges, np.arange(len(self)) + random.uniform(), side="right").clip(max=len(self) - 1)
        drawn = random.permutation(drawn)
        size = 50 * self.batch_size
        batches = []
        for start in range(0, len(drawn), size):
            block = drawn[start : start + size]
            block = block[np.argsort(-self.lengths[block], kind="stable")]
            batches += [block[at : at + self.batch_size] for at in range(0, len(block), self.batch_size)]
        # The longest batch first, so that memory runs out at once or never; a short last batch stays last.
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        order = random.permutation(len(batches))
        if len(order):
            longest = max(order, key=lambda index: self.lengths[batches[index]].max())
            order = [longest, *(index for index in order if index != longest)]
        drawn = np.concatenate([batches[index] for index in order] + last)
        seeds = random.integers(2**31, size=len(drawn))
        whole = np.arange(len(drawn) // self.batch_size * self.batch_size)
        shared_out = (
            whole.reshape(-1, self.batch_size // self.num_processes, self.num_processes).swapaxes(1, 2).ravel()
        )
        drawn[whole], seeds[whole] = drawn[shared_out], seeds[shared_out]
        return iter([(int(row), int(seed)) for row, seed in zip(drawn, seeds, strict=True)])
