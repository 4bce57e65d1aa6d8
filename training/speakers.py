"""What training knows of its speakers, so that the model learns to be told of a speaker, and not to be told.

In use, [`SpeakerStatistics`] come from however many utterances have been heard. In training they are drawn: nothing is known
of a speaker, or the mean of 1, 5, 20 or all of the speaker's utterances is.
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
    """Speakers whose mean does not take the emotion away, sorted: they have at least 10 utterances, and at least half of the
    classes of their corpus.

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
    """Running mean and variance of each training speaker's statistics, while the encoder learns.

    Args:
        speakers (`list[str]`): see [`speakers_to_know`]; of all others nothing is ever known.
        standardizer ([`RunningStandardizer`]): of the model.
        prior (`float`): `SpeechEQConfig.speaker_prior`.
        probability (`float`): how often something is known of a speaker.
    """

    def __init__(self, speakers: list[str], standardizer: RunningStandardizer, prior: float, probability: float):
        self.number = {speaker: index for index, speaker in enumerate(speakers)}
        self.standardizer = standardizer
        self.prior = prior
        self.probability = probability
        shape = (len(speakers), *standardizer.mean.shape)
        self.state = {"mean": torch.zeros(shape), "variance": torch.zeros(shape), "heard": torch.zeros(len(speakers))}

    def draw(self, speakers: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """What is known of the speakers of a batch: mean and deviation for `forward`, `(batch, states, 2 * hidden)` each.

        The mean of `n` utterances is drawn from its distribution, the speaker's mean with a variance of one `n`-th.
        """
        corpus = self.standardizer.mean, self.standardizer.variance
        drawn = []
        for speaker in speakers:
            known, which = torch.rand(()) < self.probability, torch.randint(len(HEARD), ())
            index = self.number.get(speaker)
            if not known or index is None or self.state["heard"][index] < MIN_UTTERANCES:
                drawn.append(draw_to_corpus(*corpus, 0.0, *corpus))
                continue
            mean, variance = (self.state[name][index].to(corpus[0].device) for name in ("mean", "variance"))
            share = 1.0  # of the speaker, against the prior
            if (heard := HEARD[which]) < float("inf"):
                share = heard / (heard + self.prior)
                mean = mean + torch.randn_like(mean) * (variance / heard).sqrt()
                variance = variance * (1 - 1 / heard)  # the spread of so few around their own mean
            drawn.append(draw_to_corpus(mean, variance, share, *corpus))
        means, stds = zip(*drawn, strict=True)
        return torch.stack(means), torch.stack(stds)

    @torch.no_grad()
    def update(self, speakers: list[str], statistics: torch.Tensor):
        """Hear a batch: its speakers and its statistics `(batch, states, 2 * hidden)`."""
        for speaker, heard in zip(speakers, statistics.detach().float().cpu(), strict=True):
            if (index := self.number.get(speaker)) is None:
                continue
            self.state["heard"][index] += 1
            momentum = max(1 / float(self.state["heard"][index]), MOMENTUM)
            mean, variance = self.state["mean"][index], self.state["variance"][index]
            shift = heard - mean
            variance.mul_(1 - momentum).add_((1 - momentum) * momentum * shift.square())
            mean.add_(momentum * shift)

    def save(self, folder: Path):
        """Keep what is known beside a checkpoint."""
        save_file(self.state, Path(folder) / "speakers.safetensors")

    def load(self, folder: Path):
        """Know again what was known at a checkpoint."""
        self.state = load_file(Path(folder) / "speakers.safetensors")
