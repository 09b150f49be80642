"""Pixel shuffle and its inverse, with channels last in memory."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """As `torch.nn.functional.pixel_shuffle`: ``[B, C*f*f, H, W]`` to ``[B, C, H*f, W*f]``.

    On a GPU that one returns channels first, and all that follows would be computed so; here they stay last.
    Elsewhere it is that one, which an export knows.
    """
    return _channels_last(x, factor) if x.is_cuda else F.pixel_shuffle(x, factor)


def _channels_last(x: Tensor, factor: int) -> Tensor:
    b, c, h, w = x.shape
    t = x.permute(0, 2, 3, 1).reshape(b, h, w, c // factor**2, factor, factor)
    t = t.permute(0, 1, 4, 2, 5, 3).reshape(b, h * factor, w * factor, c // factor**2)
    return t.permute(0, 3, 1, 2)


def pixel_unshuffle(x: Tensor, factor: int) -> Tensor:
    """The inverse, as `torch.nn.functional.pixel_unshuffle`, channels last on every device."""
    b, c, h, w = x.shape
    t = x.permute(0, 2, 3, 1).reshape(b, h // factor, factor, w // factor, factor, c)
    t = t.permute(0, 1, 3, 5, 2, 4).reshape(b, h // factor, w // factor, c * factor**2)
    return t.permute(0, 3, 1, 2)
