"""Weights as 8-bit integers on disk, as float32 in memory: a quarter of the size, with nothing to install.

Every matrix is rounded to 255 steps between the largest and the smallest value that each of its rows may have (symmetric,
per output channel: https://arxiv.org/abs/1806.08342, section 2). Vectors become float16, buffers stay as they are.
"""

import torch
from safetensors import safe_open

SCALE = ".int8_scale"  # behind the name of a weight: the step of each row


def quantize(
    weights: dict[str, torch.Tensor], parameters: set[str], keep: tuple[str, ...] = ()
) -> dict[str, torch.Tensor]:
    """Make the weights of a file small.

    Args:
        weights (`dict[str, torch.Tensor]`): a state dict.
        parameters (`set[str]`): names of the parameters among them.
        keep (`tuple[str, ...]`, *optional*): parameters that become float16 instead, matrices or not.

    Returns:
        `dict[str, torch.Tensor]`: matrices as int8 of the same shape, each with its steps, float32 of shape `(rows,)`.
    """
    stored = {}
    for name, weight in weights.items():
        weight = weight.detach()
        if name not in parameters:
            stored[name] = weight
        elif weight.ndim < 2 or name in keep:
            stored[name] = weight.half()
        else:
            rows = weight.float().flatten(1)
            steps = rows.abs().amax(dim=1).clamp(min=1e-12) / 127
            stored[name] = (rows / steps[:, None]).round().to(torch.int8).view_as(weight)
            stored[name + SCALE] = steps
    return stored


def dequantize(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights of such a file as a state dict, matrices in float32."""
    restored = {}
    for name, weight in weights.items():
        if name.endswith(SCALE):
            continue
        steps = weights.get(name + SCALE)
        restored[name] = weight if steps is None else weight.float() * steps.view(-1, *[1] * (weight.ndim - 1))
    return restored


def is_quantized(file: str) -> bool:
    """Whether a safetensors file holds weights of [`quantize`]: the file itself says so, whatever a configuration says."""
    with safe_open(file, framework="pt") as weights:
        return any(name.endswith(SCALE) for name in weights.keys())  # noqa: SIM118
