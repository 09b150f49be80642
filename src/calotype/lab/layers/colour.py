"""YCbCr with BT.709 weights, full range, and 4:2:0 chroma."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

RED, BLUE = 0.2126, 0.0722
GREEN = 1 - RED - BLUE


def to_ycbcr(x: Tensor) -> tuple[Tensor, Tensor]:
    """RGB ``[B, 3, H, W]`` in 0..1 to luma ``[B, 1, H, W]`` in 0..1 and chroma (Cb, Cr) ``[B, 2, H, W]`` in
    -1/2..1/2.
    """
    r, g, b = x.split(1, 1)
    y = RED * r + GREEN * g + BLUE * b
    return y, torch.cat(((b - y) / (2 * (1 - BLUE)), (r - y) / (2 * (1 - RED))), 1)


def to_rgb(y: Tensor, chroma: Tensor) -> Tensor:
    """Inverse of `to_ycbcr`; not clipped."""
    cb, cr = chroma.split(1, 1)
    r, b = y + 2 * (1 - RED) * cr, y + 2 * (1 - BLUE) * cb
    return torch.cat((r, (y - RED * r - BLUE * b) / GREEN, b), 1)


def halve(chroma: Tensor) -> Tensor:
    """4:4:4 to 4:2:0: means of 2 x 2 samples.  ``[B, C, H, W]`` to ``[B, C, H/2, W/2]``, H and W even."""
    return F.avg_pool2d(chroma, 2)


def double(chroma: Tensor) -> Tensor:
    """4:2:0 to 4:4:4, bilinear between the centres: ``[B, C, h, w]`` to ``[B, C, 2h, 2w]``."""
    return F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False)
