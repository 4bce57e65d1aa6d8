"""The heads of SpeechEQ: three that answer once an utterance, one that answers once a frame.

Each task reads its own learned sum over the states that it is given (https://arxiv.org/abs/2105.01051).
"""

from collections.abc import Sequence

import torch
from torch import nn

from .configuration_speecheq import SpeechEQConfig


class LayerMix(nn.Module):
    """A learned weighted sum of the states that a head is given (https://arxiv.org/abs/2105.01051).

    Args:
        num_states (`int`): how many there are.
    """

    def __init__(self, num_states: int):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(num_states))

    def forward(self, states: Sequence[torch.Tensor]) -> torch.Tensor:
        """Sum the states, tensors of one shape."""
        weights = self.weights.softmax(dim=-1)
        return sum(weight.to(state.dtype) * state for weight, state in zip(weights, states, strict=True))


class UtteranceHead(nn.Module):
    """One prediction per utterance from the statistics of the states that it is given.

    Args:
        config (`SpeechEQConfig`): gives sizes, `head_hidden_size` and `head_dropout`.
        num_outputs (`int`): scores per utterance.
        num_states (`int`, *optional*): states that it is given; all by default.
    """

    def __init__(self, config: SpeechEQConfig, num_outputs: int, num_states: int | None = None):
        super().__init__()
        width = 2 * config.head_channels
        self.layer_mix = LayerMix(num_states or config.head_states)
        self.dropout = nn.Dropout(config.head_dropout)
        self.dense = nn.Linear(width, config.head_hidden_size) if config.head_hidden_size else None
        self.classifier = nn.Linear(config.head_hidden_size or width, num_outputs)

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        """
        Args:
            statistics (`torch.FloatTensor` of shape `(batch, states, 2 * hidden)`): standardised mean and deviation of
                `num_states` hidden states of the encoder.

        Returns:
            `torch.FloatTensor` of shape `(batch, outputs)`: unnormalised scores.
        """
        hidden = self.layer_mix(statistics.unbind(dim=1)).to(self.classifier.weight.dtype)
        hidden = self.dropout(hidden)
        if self.dense is not None:
            hidden = self.dropout(nn.functional.gelu(self.dense(hidden)))
        return self.classifier(hidden)


class OrdinalHead(UtteranceHead):
    """Ordered levels by the proportional-odds model (McCullagh 1980): one location, K - 1 ordered thresholds.

    Args:
        config (`SpeechEQConfig`): `eis_labels` gives the K levels.
        num_states (`int`, *optional*): states that it is given; all by default.
    """

    def __init__(self, config: SpeechEQConfig, num_states: int | None = None):
        super().__init__(config, num_outputs=1, num_states=num_states)
        self.num_levels = len(config.eis_labels)
        self.first_threshold = nn.Parameter(torch.empty(1))
        self.log_steps = nn.Parameter(torch.empty(self.num_levels - 2))

    def initial_thresholds(self) -> tuple[torch.Tensor, torch.Tensor]:
        """First threshold and logarithms of the steps for which all levels are equally likely at location 0."""
        thresholds = torch.logit(torch.arange(1, self.num_levels) / self.num_levels)
        return thresholds[:1], thresholds.diff().log()

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        """As in [`UtteranceHead`]; `torch.FloatTensor` of shape `(batch, levels)`: log-probabilities."""
        location = super().forward(statistics).float()
        steps = torch.cat([self.first_threshold, self.log_steps.exp()]).float()
        below = steps.cumsum(dim=0) - location  # (batch, levels - 1): logits of "at most level k"
        lower = nn.functional.pad(below, (1, 0), value=-torch.inf)
        upper = nn.functional.pad(below, (0, 1), value=torch.inf)
        # log(sigmoid(u) - sigmoid(l)) = logsigmoid(u) + logsigmoid(-l) + log(1 - exp(l - u)), without cancellation; by
        # softplus, for ONNX has no logsigmoid, and takes the logarithm of a sigmoid that is 0 from -18 on.
        gap = torch.log(-torch.expm1(lower - upper))
        return gap - nn.functional.softplus(-upper) - nn.functional.softplus(lower)


class PhonemeHead(nn.Module):
    """CTC scores per frame from a sum of all layers, each brought to unit variance first: their scales differ.

    Args:
        config (`SpeechEQConfig`): `phoneme_labels` gives the symbols.
    """

    def __init__(self, config: SpeechEQConfig):
        super().__init__()
        self.layer_mix = LayerMix(config.head_states)
        self.dropout = nn.Dropout(config.head_dropout)
        self.classifier = nn.Linear(config.head_channels, len(config.phoneme_labels))

    def forward(self, states: list[torch.Tensor]) -> torch.Tensor:
        """
        Args:
            states (`list[torch.FloatTensor]` of shape `(batch, frames, hidden)`): hidden states of the encoder.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames, symbols)`: unnormalised scores.
        """
        hidden = self.layer_mix([nn.functional.layer_norm(state, state.shape[-1:]) for state in states])
        return self.classifier(self.dropout(hidden))
