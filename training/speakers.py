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
        corpus = self.standardizer.mean, self.standardizer.variance
        drawn = []
        for speaker in speakers:
            enrolled, which = torch.rand(()) < self.probability, torch.randint(len(HEARD), ())
            index = self.number.get(speaker)
            if not enrolled or index is None or self.state["heard"][index] < MIN_UTTERANCES:
                drawn.append(draw_to_corpus(*corpus, 0.0, *corpus))
                continue
            mean, variance = (self.state[name][index].to(corpus[0].device) for name in ("mean", "variance"))
            share = 1.0  # weight of the speaker against the corpus
            if (utterances := HEARD[which]) < float("inf"):
                share = utterances / (utterances + self.prior)
                mean = mean + torch.randn_like(mean) * (variance / utterances).sqrt()
                variance = variance * (1 - 1 / utterances)  # expected variance around the mean of the sample
            drawn.append(draw_to_corpus(mean, variance, share, *corpus))
        means, stds = zip(*drawn, strict=True)
        return torch.stack(means), torch.stack(stds)

    @torch.no_grad()
    def update(self, speakers: list[str], statistics: torch.Tensor):
        """Update the running statistics with a batch: speakers, and statistics `(batch, states, 2 * hidden)`."""
        for speaker, utterance in zip(speakers, statistics.detach().float().cpu(), strict=True):
            if (index := self.number.get(speaker)) is None:
                continue
            self.state["heard"][index] += 1
            momentum = max(1 / float(self.state["heard"][index]), MOMENTUM)
            mean, variance = self.state["mean"][index], self.state["variance"][index]
            shift = utterance - mean
            variance.mul_(1 - momentum).add_((1 - momentum) * momentum * shift.square())
            mean.add_(momentum * shift)

    def save(self, folder: Path):
        """Save the running statistics in a checkpoint folder."""
        save_file(self.state, Path(folder) / "speakers.safetensors")

    def load(self, folder: Path):
        """Load the running statistics from a checkpoint folder."""
        self.state = load_file(Path(folder) / "speakers.safetensors")
