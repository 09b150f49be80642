"""Mentzer, Agustsson, Tschannen, Timofte, Van Gool: Conditional probability models for deep image
compression.  CVPR 2018, arXiv 1801.04260.

::

    x --g_a--> importance, y --mask--> nearest of L centres --> y_hat --g_s--> x_hat
                   |            ^              :
                   sigmoid -----'      index, L probabilities
                                               ^
                                   [ four masked 3x3x3 convs ] <-- centres of the indices before

The importance map says how many of the m channels a position needs; those beyond are 0, always the centre
nearest to 0, and so cost next to nothing.  Forward takes the nearest centre, gradients are those of the soft
assignment at sharpness 1.  Each index is conditioned on those before it in a volume: earlier channels,
rows above, columns to the left.  What is outside counts as 0 in every layer; the authors pad once, with a
centre.

In the paper the loss is a hinge on the rate (only what exceeds a target costs); here it is ``bpp + lambda D``
as for all.  As there, half of the rate is weighed by the importance map, in gradients only.

Coding order: the indices of y as a volume, channel after channel, each in raster order.  What does not see
each other is coded in one step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder
from calotype.lab.entropy.categories import Categories
from calotype.lab.entropy.quantize import VectorQuantizer
from calotype.lab.entropy.volume import MaskedConv3d, See, volume
from calotype.lab.layers.conv import conv, deconv
from calotype.lab.models.base import Entry, LabModel

# Of the pixels of ImageNet, 0..1: inputs have mean 0 and variance 1.
_MEAN = (121.85 / 255, 113.59 / 255, 100.64 / 255)
_DEVIATION = (68.89 / 255, 66.74 / 255, 69.37 / 255)


def _normed(layer: nn.Module, width: int, *, relu: bool = True) -> list[nn.Module]:
    return [layer, nn.BatchNorm2d(width), *([nn.ReLU()] if relu else [])]


class _Sum(nn.Sequential):
    """``x + layers(x)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


def _block(n: int, last: bool = False) -> _Sum:
    relu = not last
    return _Sum(*_normed(conv(n, n, 3, 1), n, relu=relu), *_normed(conv(n, n, 3, 1), n, relu=False))


def _trunk(n: int, groups: int) -> _Sum:
    """Groups of three residual blocks with a skip around each and one around all."""
    return _Sum(*(_Sum(_block(n), _block(n), _block(n)) for _ in range(groups)), _block(n, last=True))


class Context(nn.Module):
    """Masked convolutions from the centres before to logits of L classes; 24 maps in the paper."""

    def __init__(self, levels: int, maps: int) -> None:
        super().__init__()
        self.first = MaskedConv3d(1, maps, 3, first=True)
        self.second, self.third = MaskedConv3d(maps, maps, 3), MaskedConv3d(maps, maps, 3)
        self.last = MaskedConv3d(maps, levels, 3)

    def forward(self, see: See, side: Tensor | None) -> Tensor:
        t = torch.relu(see(self.first, None))
        t = t + see(self.third, torch.relu(see(self.second, t)))
        return see(self.last, t)


class ConditionalProbability(LabModel):
    """y is ``[B, m, H/8, W/8]``, each one of ``levels`` centres that all channels share.

    ``n`` channels and ``groups`` groups of residual blocks in either transform, ``maps`` in the context.
    """

    multiple = 8
    quantisation = "round"  # of the indices, which are whole numbers; the centres do the rest
    mean: Tensor
    deviation: Tensor

    def __init__(self, n: int = 128, m: int = 32, levels: int = 6, groups: int = 5, maps: int = 24) -> None:
        super().__init__()
        self.config = {"n": n, "m": m, "levels": levels, "groups": groups, "maps": maps}
        k = n // 2
        self.g_a = nn.Sequential(
            *_normed(conv(3, k), k), *_normed(conv(k, n), n), _trunk(n, groups),
            *_normed(conv(n, m + 1), m + 1, relu=False),
        )  # fmt: skip
        self.g_s = nn.Sequential(
            *_normed(deconv(m, n, 3), n), _trunk(n, groups),
            *_normed(deconv(n, k), k), *_normed(deconv(k, 3), 3, relu=False),
        )  # fmt: skip
        self.quantizer = VectorQuantizer(levels)
        self.context = Context(levels, maps)
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def analyse(self, x: Tensor) -> Tensor:
        """Importance in the first channel, then the latents."""
        return self.g_a((x - self.mean.to(x.dtype)) / self.deviation.to(x.dtype))

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        return self.g_s(y_hat) * self.deviation.to(y_hat.dtype) + self.mean.to(y_hat.dtype)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        (b, h, w), m = coder.grid(8), self.config["m"]
        y_hat = index = mask = assigned = None
        if y is not None:
            mask = importance(y[:, :1], m)
            y_hat, found = self.quantizer(mask * y[:, 1:])
            assigned = self.quantizer.assign(mask * y[:, 1:]).movedim(-1, 1)
            index = found.to(self.quantizer.centres.dtype)

        def law(logits: Tensor) -> Categories:
            whole = logits.ndim == 5  # not a group of positions, whose gradients nobody asks for
            return Categories(logits, *((assigned, mask) if whole else ()))

        centres = self.quantizer.centres
        known = volume(
            coder, "y", index, (b, m, h, w), self.context, law,
            reach=1, value=lambda i: centres[i.long()], seen=y_hat,
        )  # fmt: skip
        if y_hat is not None and torch.is_grad_enabled():
            return y_hat  # the same but for rounding, and with the gradient of the soft assignment
        return centres[known.long()]

    def aux(self) -> Tensor:
        return super().aux() + self.quantizer.penalty()


def importance(t: Tensor, channels: int) -> Tensor:
    """``[B, 1, h, w]`` to a mask ``[B, channels, h, w]``: 1 for the first ``channels sigmoid(t)`` channels,
    a part for the one where that ends, 0 beyond.
    """
    steps = torch.arange(channels, device=t.device, dtype=t.dtype)[None, :, None, None]
    return (channels * torch.sigmoid(t) - steps).clamp(0, 1)


SYSTEMS = {
    "mentzer2018": Entry(
        ConditionalProbability,
        "importance map, learned centres, masked 3-D context",
        "Mentzer, Agustsson, Tschannen, Timofte, Van Gool, CVPR 2018, arXiv 1801.04260",
        {"n": 128, "m": 32},
        {"n": 128, "m": 64},
        {"n": 8, "m": 3, "groups": 1, "maps": 4},
    ),
}
