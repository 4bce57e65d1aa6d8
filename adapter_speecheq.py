"""A small trunk between a speech encoder and the four heads, which learns while the encoder stays as it is.

Every state of the encoder is standardised, projected together to few channels, and read by residual convolutions over time.
The four tasks share it, and nothing behind it is large: with the encoder's states kept on disk, training takes minutes on
two CPU cores. In kind it is the downstream model of https://arxiv.org/abs/2105.01051, with convolutions.
"""

import torch
from torch import nn

from .pooling_speecheq import RunningStandardizer

KERNEL = 5  # frames: 0.1 s
SKIP = 8  # neighbouring frames are alike: every eighth tells mean and deviation as well


class FrameAdapter(nn.Module):
    """Hidden states of an encoder to one state of few channels.

    Args:
        num_states (`int`): hidden states of the encoder.
        hidden_size (`int`): channels of each.
        adapter_size (`int`): channels of the result.
        num_layers (`int`): convolutions of 5 frames each.
        dropout (`float`): probability that a channel is dropped from a whole utterance.
    """

    def __init__(self, num_states: int, hidden_size: int, adapter_size: int, num_layers: int, dropout: float):
        super().__init__()
        self.standardizer = RunningStandardizer(num_states * hidden_size)
        self.projection = nn.Linear(num_states * hidden_size, adapter_size)
        self.norm = nn.LayerNorm(adapter_size)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(adapter_size, adapter_size, KERNEL, padding=KERNEL // 2) for _ in range(num_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(adapter_size) for _ in range(num_layers))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: list[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
        """
        Args:
            states (`list[torch.FloatTensor]` of shape `(batch, frames, hidden)`): of the encoder.
            mask (`torch.BoolTensor` of shape `(batch, frames)`): `True` on speech, `False` on padding.

        Returns:
            `torch.FloatTensor` of shape `(batch, frames, adapter_size)`: 0 on padding.
        """
        frames, speech = torch.cat(list(states), dim=-1), mask[..., None]
        if self.training:
            self.standardizer.update(frames[:, ::SKIP][mask[:, ::SKIP]])
        frames = self.standardizer(frames, mean=self.standardizer.mean)  # given a mean, it learns no other
        hidden = nn.functional.gelu(self.norm(self.projection(self._drop(frames)))) * speech
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            found = convolution(hidden.transpose(1, 2)).transpose(1, 2)  # over (batch, channels, frames)
            hidden = (hidden + self._drop(nn.functional.gelu(norm(found)))) * speech
        return hidden

    def _drop(self, frames: torch.Tensor) -> torch.Tensor:
        return frames * self.dropout(frames.new_ones(frames.shape[0], 1, frames.shape[2]))
