"""The analysis in integers: `int8` chooses the numbers, `qdq` has the layers.

Everything is channels last: patches, merge and split are copies of rows and one matrix product, and each
bottleneck three integer kernels and an addition.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import folded
from calotype.lab.pack.int8 import Observed, best_range, bias, samples, stage
from calotype.lab.pack.qdq import (
    Array,
    Dense,
    Product,
    Quantise,
    blocks,
    floats,
)


class IntAnalysisGraph(nn.Module):
    """uint8 pixels to latents.

    The pixels are integers already; the patch layer's weights are the sum of a coarse and a fine 7-bit part.
    """

    def __init__(self, model: Calotype, seen: Observed) -> None:
        super().__init__()
        net = folded(model.analysis)
        w = _linear(net.patch)
        with torch.no_grad():
            start = bias(net.patch) - 0.5 * w.sum(1)
            self.blocks8, x = stage(net.blocks8, net.patch(seen.pixels - 0.5), start)
            self.blocks16, _ = stage(net.blocks16, net.merge(x))
        over8, over16 = self.blocks8.divisor, self.blocks16.divisor
        w /= 255 * over8[:, None]
        self.coarse = Product(w)
        self.fine = Product(w - self.coarse.integers())
        w = _linear(net.merge)
        b = bias(net.merge) + w @ np.tile(self.blocks8.offset, 4)
        s8 = (samples(x) - self.blocks8.offset) / over8
        self.merge = MixedDense(w * np.tile(over8, 4) / over16[:, None], b / over16, s8, strong=0.25, side=2)
        self.scale, self.offset = _constant(over16), _constant(self.blocks16.offset)

    def forward(self, pixels: Tensor) -> Tensor:
        t = floats(blocks(pixels, 8))
        t = self.blocks8(self.coarse(t) + self.fine(t))
        t = self.blocks16(self.merge(t))
        return (t * self.scale + self.offset).permute(0, 3, 1, 2)


class MixedDense(nn.Module):
    """``weight`` ``[out, (row column in)]`` times blocks of ``side * side`` positions, plus ``bias``.

    A part ``strong`` of the channels, the first ones, is multiplied in float32: the network begins as a
    Karhunen-Loeve transform, and there they are the strong ones, whose rounding would show.  The others are
    in integers.  ``x`` ``[positions, in]``: samples of the input.
    """

    def __init__(self, weight: Array, bias: Array, x: Array, *, strong: float, side: int = 1) -> None:
        super().__init__()
        self.strong, self.side = round(strong * x.shape[1]), side
        first, w = self.strong, weight.reshape(len(weight), side * side, -1)
        rest = x[:, first:]
        steps, _ = best_range(rest, w[:, :, first:].transpose(0, 2, 1))
        self.quantise = Quantise(steps)
        self.weak = Product(w[:, :, first:].reshape(len(w), -1), np.tile(rest, side * side))
        self.dense = Dense(w[:, :, :first].reshape(len(w), -1), bias + self.weak.lost)

    def forward(self, x: Tensor) -> Tensor:
        strong, rest = x[..., : self.strong], x[..., self.strong :]
        rest = self.quantise(blocks(rest, self.side))
        return self.dense(blocks(strong, self.side)) + self.weak(rest)


def _linear(layer: nn.Conv2d) -> Array:
    """A strided convolution as a product with blocks of a map: ``[out, (row column in)]``."""
    return np.array(layer.weight.detach().double().permute(0, 2, 3, 1).flatten(1).numpy())


def _constant(values: Array) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values).float())
