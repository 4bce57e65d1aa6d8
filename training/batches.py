"""Dataset, collator and sampler: SEQD rows to batches of tensors."""

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

LABEL_COLUMNS = ("id", "esc", "esc_votes", "eis_low", "eis_high", "gender")
NEUTRAL_INTENSITY, EMOTIONAL_INTENSITY = [0.0, 0.375], [0.125, 1.0]  # levels none and low; all levels except none


def sampling_weights(
    rows: datasets.Dataset,
    corpus_balance: float,
    class_balance: float,
    corpus_shares: dict[str, float] | None = None,
) -> np.ndarray:
    """Compute the sampling weight of each row, relative to the mean row.

    The share of a corpus with `n` rows is proportional to `n^(1 - corpus_balance)`; a class within its corpus likewise.
    0 keeps the original frequencies, 1 makes all corpora, or all classes of a corpus, equally frequent.

    Args:
        rows (`datasets.Dataset`): with columns `corpus` and `native_label`.
        corpus_balance (`float`): in `[0, 1]`.
        class_balance (`float`): in `[0, 1]`.
        corpus_shares (`dict[str, float]`, *optional*): shares of some corpora; `corpus_balance` divides the rest among the
            others. Without other corpora only their ratio counts.

    Returns:
        `np.ndarray` of shape `(len(rows),)`, mean 1.

    Raises:
        ValueError: if a corpus with a share has no rows.
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
    if corpus_shares:
        corpora = np.array(corpora)
        if missing := sorted(set(corpus_shares) - set(corpora)):
            known = ", ".join(sorted(set(corpora)))
            raise ValueError(f"sampling_weights: corpus_shares must be of {known}; got {', '.join(missing)}.")
        others = ~np.isin(corpora, list(corpus_shares))
        weights[others] *= (1 - sum(corpus_shares.values())) / max(weights[others].sum(), 1e-12)
        for corpus, share in corpus_shares.items():
            weights[corpora == corpus] *= share / weights[corpora == corpus].sum()
    return weights / weights.mean()


def corpus_priors(
    targets: torch.Tensor, corpora: Sequence[str], weights: np.ndarray, smoothing: float
) -> dict[str, torch.Tensor]:
    """Compute the log prior of each ESC class in each corpus, relative to equal priors.

    Adding them to the logits in the loss of [`SpeechEQModel`] (logit adjustment, https://arxiv.org/abs/2007.07314) makes the
    model independent of the class frequencies of a corpus and of missing classes. Without them, a model learns from an
    Amharic corpus without surprise that Amharic speech never expresses surprise.

    Args:
        targets (`torch.Tensor` of shape `(rows, sets, classes)`): `esc_labels` of the training rows, from [`Collator`].
        corpora (`Sequence[str]`): of the same rows.
        weights (`np.ndarray` of shape `(rows,)`): from [`sampling_weights`].
        smoothing (`float`): in `[0, 1]`, share of the uniform distribution in each prior. 0: classes missing from a corpus
            are ignored in its utterances; 1: all offsets are 0.

    Returns:
        `dict[str, torch.Tensor]`: corpus -> offsets of shape `(classes,)`. A class that no corpus expresses has offset 0: it
        is a negative example everywhere.
    """
    names, of_row = np.unique(list(corpora), return_inverse=True)
    labelled = ~((targets > 0).all(dim=-1).any(dim=-1))
    shares = (targets / (targets > 0).sum(dim=-1, keepdim=True).clamp(min=1)).sum(dim=1)  # (rows, classes)
    shares = shares * labelled[:, None] * torch.from_numpy(weights).float()[:, None]
    expressed = shares.sum(dim=0) > 0
    totals = shares.new_zeros(len(names), shares.shape[1]).index_add_(0, torch.from_numpy(of_row), shares)
    ratios = (1 - smoothing) * expressed.sum() * totals / totals.sum(dim=1, keepdim=True).clamp(min=1e-12) + smoothing
    known = expressed & (totals.sum(dim=1, keepdim=True) > 0)
    return dict(zip(names.tolist(), torch.where(known, ratios.clamp(min=1e-9).log(), 0.0), strict=True))


class SpeechDataset(torch.utils.data.Dataset):
    """SEQD rows with decoded and optionally augmented audio.

    A key is a row number, or a pair of a row number and an augmentation seed, as [`BalancedLengthSampler`] yields them:
    a resumed run then needs no random state to get the same items.

    Args:
        rows (`datasets.Dataset`): from [`load_seqd`].
        augment (`Callable`, *optional*): maps a waveform of shape `(samples,)` at 16 kHz and a seed to a waveform.
        states ([`EncoderStates`], *optional*): stored hidden states to read instead of the audio.
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
    """Collate items of [`SpeechDataset`] into a batch: inputs, labels of all four tasks (possibly missing) and speakers.

    Args:
        processor ([`SpeechEQProcessor`]): of the model.
        config ([`SpeechEQConfig`]): of the model.
        use_votes (`bool`, *optional*, defaults to `True`): if a row has raters' votes, use their distribution as the
            target instead of the corpus's single label.
    """

    def __init__(self, processor: SpeechEQProcessor, config: SpeechEQConfig, use_votes: bool = True):
        self.processor = processor
        self.esc_labels = list(config.esc_labels)
        self.gender_labels = list(config.gender_labels)
        self.known_phonemes = set(config.phoneme_labels[1:])
        self.use_votes = use_votes
        self.offsets: dict[str, torch.Tensor] = {}

    def learn_priors(self, rows: datasets.Dataset, weights: np.ndarray, smoothing: float):
        """Add `esc_offsets` to all batches from now on; see [`corpus_priors`].

        Args:
            rows (`datasets.Dataset`): the training split. Utterances of other corpora get offsets of 0.
            weights (`np.ndarray` of shape `(rows,)`): from [`sampling_weights`].
            smoothing (`float`): in `[0, 1]`, see [`corpus_priors`].
        """
        described = rows.select_columns([name for name in LABEL_COLUMNS if name in rows.column_names]).to_list()
        targets = self.utterance_labels(described)["esc_labels"]
        self.offsets = corpus_priors(targets, rows["corpus"], weights, smoothing)

    def __call__(self, items: list[dict]) -> dict[str, torch.Tensor]:
        if "encoder_states" in items[0]:
            batch = pad_states([item["encoder_states"] for item in items])
        else:
            batch = self.processor([item["waveform"] for item in items], sampling_rate=SAMPLING_RATE)
        phonemes = pad_labels([self.phoneme_target(item) for item in items])
        speakers = [item["speaker_id"] for item in items]
        return {**batch, **self.utterance_labels(items), "phoneme_labels": phonemes, "speakers": speakers}

    def utterance_labels(self, items: list[dict]) -> dict[str, torch.Tensor]:
        """Make the labels of the utterance heads of [`SpeechEQModel`], and the offsets; needs no audio."""
        targets = [self.esc_target(item) for item in items]
        esc = torch.zeros(len(items), max(len(target) for target in targets), len(self.esc_labels))
        for row, target in zip(esc, targets, strict=True):
            row[: len(target)] = target
        return {
            "esc_labels": esc,
            "eis_labels": torch.tensor([self.eis_target(item) for item in items]),
            "gender_labels": torch.tensor([self.gender_target(item) for item in items]),
            **self._offsets_of(items),
        }

    def _offsets_of(self, items: list[dict]) -> dict[str, torch.Tensor]:
        if not self.offsets:
            return {}
        none = torch.zeros(len(self.esc_labels))
        return {"esc_offsets": torch.stack([self.offsets.get(item.get("corpus"), none) for item in items])}

    def esc_target(self, item: dict) -> torch.Tensor:
        """Make the ESC target `(sets, classes)`: each set's weight on its members; all 1 if the label is missing.

        Raises:
            ValueError: if a label is not one of the model's fine classes.
        """
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
        """Make the EIS target `[low, high]`; an ESC label without an intensity gives a wide interval.

        Neutral labels with intensity 0 also get the wide interval. Trained on the zeros, a model put 46 % of 1,476
        emotional test utterances of nEMO, ASED and URDU on the lowest level, since these corpora have no other intensity.
        Raters do not give neutral speech 0 either: in EmoTale its mean is 0.30, half of it between 0.20 and 0.39.
        """
        low, high, esc = item.get("eis_low"), item.get("eis_high"), set(item.get("esc") or ())
        neutral = esc & set(VALENCE_CLASSES["neutral"])
        if low is not None and high is not None and not (esc and esc == neutral and low == high == 0):
            return [low, high]
        if not esc or (neutral and esc != neutral):
            return [float(MISSING)] * 2
        return NEUTRAL_INTENSITY if neutral else EMOTIONAL_INTENSITY

    def phoneme_target(self, item: dict) -> list[int]:
        """Encode the phonemes; drop symbols that are not in the training split, as they are not in the inventory."""
        return self.processor.encode_phonemes(
            [symbol for symbol in item.get("phonemes") or [] if symbol in self.known_phonemes]
        )

    def gender_target(self, item: dict) -> int:
        """Encode the gender; -100 if it is missing.

        Raises:
            ValueError: if the gender is not one of the model's labels.
        """
        gender = item.get("gender")
        if gender is not None and gender not in self.gender_labels:
            raise ValueError(
                f"Collator: gender must be among {', '.join(self.gender_labels)}; got {gender!r} in {item.get('id')}."
            )
        return MISSING if gender is None else self.gender_labels.index(gender)


def pad_states(states: Sequence[np.ndarray]) -> dict[str, torch.Tensor]:
    """Pad arrays of shape `(frames, states, hidden)` to `encoder_states` and `attention_mask` of [`SpeechEQModel`]."""
    lengths = torch.tensor([len(of_utterance) for of_utterance in states])
    padded = pad_sequence([torch.from_numpy(of_utterance) for of_utterance in states], batch_first=True)
    return {"encoder_states": padded, "attention_mask": frame_mask(lengths, padded.shape[1]).long()}


class BalancedLengthSampler(torch.utils.data.Sampler):
    """Sample rows by weight and batch rows of similar length.

    A row of weight `w` appears `floor(w)` times in an epoch, and once more with the remaining probability. Blocks of 50
    batches are sorted by length, as in transformers' `LengthGroupedSampler`. Each item is a pair of a row and an
    augmentation seed. Seed and epoch determine everything, so a resumed run gets the same items as an uninterrupted one.

    Args:
        lengths (`Sequence[float]`): of each row, in any unit.
        weights (`np.ndarray` of shape `(rows,)`): mean 1, see [`sampling_weights`].
        batch_size (`int`): rows per step, over all processes.
        seed (`int`, *optional*, defaults to 0): of the order.
        num_processes (`int`, *optional*, defaults to 1): processes, each of which takes `batch_size / num_processes`
            consecutive rows of a batch. They are every `num_processes`-th row by length, so that processes are balanced.
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
        # Systematic resampling: exactly len(self) draws; the count of each row differs from its weight by less than 1.
        edges = np.cumsum(self.weights) / self.weights.sum() * len(self)
        drawn = np.searchsorted(edges, np.arange(len(self)) + random.uniform(), side="right").clip(max=len(self) - 1)
        drawn = random.permutation(drawn)
        size = 50 * self.batch_size
        batches = []
        for start in range(0, len(drawn), size):
            block = drawn[start : start + size]
            block = block[np.argsort(-self.lengths[block], kind="stable")]
            batches += [block[at : at + self.batch_size] for at in range(0, len(block), self.batch_size)]
        # The longest batch is first, so that a lack of memory shows at once; a short last batch stays last.
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        order = random.permutation(len(batches))
        if len(order):
            longest = max(order, key=lambda index: self.lengths[batches[index]].max())
            order = [longest, *(index for index in order if index != longest)]
        drawn = np.concatenate([batches[index] for index in order] + last)
        seeds = random.integers(2**31, size=len(drawn))
        whole = np.arange(len(drawn) // self.batch_size * self.batch_size)
        interleaved = (
            whole.reshape(-1, self.batch_size // self.num_processes, self.num_processes).swapaxes(1, 2).ravel()
        )
        drawn[whole], seeds[whole] = drawn[interleaved], seeds[interleaved]
        return iter([(int(row), int(seed)) for row, seed in zip(drawn, seeds, strict=True)])
