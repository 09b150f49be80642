"""Convolutions that see part of their window: the past, or the other colour of a checkerboard."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def raster_mask(kernel: int, kind: str = "A") -> Tensor:
    """``[kernel, kernel]`` of 0 and 1: the rows above, the columns to the left; kind B: the centre."""
    if kind not in ("A", "B"):
        raise ValueError(f"mask kind must be 'A' or 'B', got {kind!r}")
    mask = torch.zeros(kernel, kernel)
    mask[: kernel // 2] = 1
    mask[kernel // 2, : kernel // 2 + (kind == "B")] = 1
    return mask


def checkerboard_mask(kernel: int) -> Tensor:
    """``[kernel, kernel]``: 1 where row + column is odd, 0 elsewhere and in the centre (odd kernel)."""
    i = torch.arange(kernel)
    return ((i[:, None] + i[None, :]) % 2).float()


class MaskedConv(nn.Conv2d):
    """Convolution of stride 1 whose dead taps count as zero whatever their weights hold.

    ``[B, cin, H, W]`` to ``[B, cout, H, W]``.  `at` evaluates it at chosen positions only.
    """

    def __init__(self, cin: int, cout: int, mask: Tensor) -> None:
        super().__init__(cin, cout, len(mask), padding=len(mask) // 2)
        self.register_buffer("mask", mask, persistent=False)
        with torch.no_grad():
            self.weight *= mask

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)

    def taps(self) -> tuple[Tensor, Tensor]:
        """Live taps as ``[cout, taps * cin]``, tap-major, and their offsets (row, column) ``[taps, 2]``."""
        live = self.mask.nonzero()
        weight = self.weight[:, :, live[:, 0], live[:, 1]]  # [cout, cin, taps]
        return weight.transpose(1, 2).reshape(len(weight), -1), live - len(self.mask) // 2


def RasterConv(cin: int, cout: int, kernel: int = 5, kind: str = "A") -> MaskedConv:
    """Context of earlier positions in raster order (van den Oord et al. 2016): 12 of 25 taps."""
    return MaskedConv(cin, cout, raster_mask(kernel, kind))


def CheckerboardConv(cin: int, cout: int, kernel: int = 5) -> MaskedConv:
    """Context of the positions of the other colour (He et al. 2021): 12 of 25 taps."""
    return MaskedConv(cin, cout, checkerboard_mask(kernel))
