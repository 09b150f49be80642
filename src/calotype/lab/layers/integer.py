"""Exact integer convolutions carried by floating point.

Weights and activations are integers stored in float32.  While ``sum|w| * max|x| + |b| < 2**24`` every partial
sum is an integer that float32 holds exactly, so the result does not depend on the order of summation, the
library, the number of threads or the machine.  Requantisation is ``floor(acc * 2**-shift + 0.5)`` followed by
a clip.

The same arithmetic runs in training; gradients pass the roundings as if they were not there
(straight-through).
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXACT = 2**24


def round_through(x: Tensor) -> Tensor:
    """``floor(x + 0.5)`` with the gradient of the identity."""
    return x + (torch.floor(x + 0.5) - x).detach()


_exact_everywhere = False


def compute_exactly() -> None:
    """Let no convolution of this process round its inputs (a GPU takes them to TF32, 11 bits, or lower where
    it may), so that `exact_arithmetic` has nothing to switch: switching at every step keeps a compiler from
    seeing one graph.
    """
    global _exact_everywhere
    torch.backends.cudnn.allow_tf32 = False
    _exact_everywhere = True


def exact_arithmetic(on_gpu: bool = True) -> contextlib.AbstractContextManager[Any]:
    """Convolutions in full float32 inside; see `compute_exactly`."""
    if not on_gpu or _exact_everywhere:
        return contextlib.nullcontext()
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


class IntConv(nn.Module):
    """Convolution with integer weights ``round(weight * 2**shift)`` clipped to ``+-limit``.

    Input: integers ``[B, cin, H, W]``.  Output: the integer accumulator ``[B, cout, H, W]``, scale
    ``2**shift``.
    """

    def __init__(self, cin: int, cout: int, kernel: int, *, shift: int, limit: int) -> None:
        super().__init__()
        self.shift, self.limit, self.padding = shift, limit, kernel // 2
        self.weight = nn.Parameter(
            torch.randn(cout, cin, kernel, kernel) * (2.0 / (cin * kernel * kernel)) ** 0.5
        )
        self.bias = nn.Parameter(torch.zeros(cout))

    def integers(self) -> tuple[Tensor, Tensor]:
        """Integer weight ``[cout, cin, k, k]`` and bias ``[cout]`` as float tensors."""
        scale = 2.0**self.shift
        weight = round_through((self.weight * scale).clamp(-self.limit, self.limit))
        return weight, round_through(self.bias * scale)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.integers()
        with exact_arithmetic(x.is_cuda):
            return F.conv2d(x, weight, bias, padding=self.padding)

    def bound(self, peak: float) -> float:
        """Largest possible ``|accumulator|`` for inputs within ``+-peak``."""
        weight, bias = (t.detach() for t in self.integers())
        return float((weight.abs().sum((1, 2, 3)) * peak + bias.abs()).max())


def requantise(acc: Tensor, shift: int, low: int, high: int) -> Tensor:
    """``clip(floor(acc * 2**-shift + 0.5), low, high)``, straight-through."""
    return round_through(acc * 2.0**-shift).clamp(low, high)
