"""Speaker statistics during training, so that the model works with and without enrolment.

At inference, [`SpeakerStatistics`] come from any number of enrolment utterances. Training draws this number: 0, 1, 5, 20 or
all utterances of the speaker.
"""

from collections import Counter, defaultdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from speecheq.pooling_speecheq import RunningStandardizer, draw_to_corpus
from speecheq.training.seqd import column

HEARD = (1, 5, 20, float("inf"))
MIN_UTTERANCES = 10
MOMENTUM = 0.02


def speakers_to_know(rows) -> list[str]:
    """Return the speakers that may be enrolled, sorted: at least 10 utterances and half of the classes of their corpus.

    If a speaker expresses few emotions, speaker normalisation removes them.

    Args:
        rows (`datasets.Dataset`): of SEQD.
    """
    classes, of_corpus = defaultdict(set), defaultdict(set)
    for corpus, speaker, label in zip(rows["corpus"], rows["speaker_id"], rows["native_label"], strict=True):
        if label is not None:
            classes[corpus, speaker].add(label)
            of_corpus[corpus].add(label)
    utterances = Counter(column(rows, "speaker_id"))
    return sorted(
        speaker
        for (corpus, speaker), labels in classes.items()
        if utterances[speaker] >= MIN_UTTERANCES and 2 * len(labels) >= len(of_corpus[corpus])
    )


class SpeakerMemory:
    """Running mean and variance of each training speaker's utterance statistics while the encoder is trained.

    Args:
        speakers (`list[str]`): speakers that may be enrolled, see [`speakers_to_know`].
        standardizer ([`RunningStandardizer`]): of the model.
        prior (`float`): `SpeechEQConfig.speaker_prior`, in utterances.
        probability (`float`): probability that a speaker is enrolled, in `[0, 1]`.
    """

    def __init__(self, speakers: list[str], standardizer: RunningStandardizer, prior: float, probability: float):
        self.number = {speaker: index for index, speaker in enumerate(speakers)}
        self.standardizer = standardizer
        self.prior = prior
        self.probability = probability
        shape = (len(speakers), *standardizer.mean.shape)
        self.state = {"mean": torch.zeros(shape), "variance": torch.zeros(shape), "heard": torch.zeros(len(speakers))}

    def draw(self, speakers: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw speaker statistics for a batch: mean and deviation for `forward`, `(batch, states, 2 * hidden)` each.

        The mean of `n` utterances is drawn around the speaker's mean, with `1 / n` of the speaker's variance.
        """
        index, known = self._find(speakers)
        corpus_mean, corpus_variance = self.standardizer.mean, self.standardizer.variance
        mean, variance = corpus_mean.expand(len(index), *corpus_mean.shape), torch.zeros_like(corpus_variance)
        share = torch.zeros(len(index), device=mean.device)  # weight of the speaker against the corpus
        if len(self.number):
            enrolled = known & (torch.rand(len(index)) < self.probability).to(known.device)
            enrolled &= self.state["heard"][index] >= MIN_UTTERANCES
            utterances = torch.tensor(HEARD)[torch.randint(len(HEARD), (len(index),))].to(mean.device)
            share = torch.where(enrolled, 1 / (1 + self.prior / utterances), 0.0)
            utterances = utterances[:, None, None]
            mean, variance = self.state["mean"][index], self.state["variance"][index]
            mean = mean + torch.randn_like(mean) * (variance / utterances).sqrt()
            variance = variance * (1 - 1 / utterances)  # expected variance around the mean of the sample
        return draw_to_corpus(mean, variance, share[:, None, None], corpus_mean, corpus_variance)

    @torch.no_grad()
    def update(self, speakers: list[str], statistics: torch.Tensor):
        """Update the running statistics with a batch: speakers, and statistics `(batch, states, 2 * hidden)`."""
        index, known = self._find(speakers)
        index, statistics = index[known], statistics.detach().float()[known]
        rows, of_row, count = index.unique(return_inverse=True, return_counts=True)
        count = count[:, None, None].float()
        shape = (len(rows), *statistics.shape[1:])
        batch_mean = statistics.new_zeros(shape).index_add_(0, of_row, statistics) / count
        squares = (statistics - batch_mean[of_row]).square()
        batch_variance = statistics.new_zeros(shape).index_add_(0, of_row, squares) / count
        self.state["heard"][rows] += count.flatten()
        heard = self.state["heard"][rows][:, None, None]
        momentum = torch.maximum(count / heard, 1 - (1 - MOMENTUM) ** count)
        mean, variance = self.state["mean"][rows], self.state["variance"][rows]
        shift = batch_mean - mean
        spread = momentum * batch_variance + momentum * (1 - momentum) * shift.square()
        self.state["variance"][rows] = (1 - momentum) * variance + spread
        self.state["mean"][rows] = mean + momentum * shift

    def _find(self, speakers: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the index of each speaker, and whether it is one that may be enrolled, on the device of the model."""
        device = self.standardizer.mean.device
        self.state = {name: values.to(device) for name, values in self.state.items()}
        index = torch.tensor([self.number.get(speaker, -1) for speaker in speakers], device=device)
        return index.clamp(min=0), index >= 0

    def save(self, folder: Path):
        """Save the running statistics in a checkpoint folder."""
        save_file(self.state, Path(folder) / "speakers.safetensors")

    def load(self, folder: Path):
        """Load the running statistics from a checkpoint folder."""
        self.state = load_file(Path(folder) / "speakers.safetensors")
