"""Analysis and synthesis in integers: `int8` chooses the numbers, `qdq` has the layers.

Everything is channels last: patches, merge and split are copies of rows and one matrix product, and each
bottleneck three integer kernels and an addition.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.pack.int8 import Observed, bias, stage
from calotype.lab.pack.qdq import Array, Dense, Product, blocks, floats, to_bytes, unblocks, unshuffled


class IntAnalysisGraph(nn.Module):
    """uint8 pixels to latents.

    The pixels are integers already; the patch layer's weights are the sum of a coarse and a fine 7-bit part.
    """

    def __init__(self, model: Calotype, seen: Observed) -> None:
        super().__init__()
        net = model.analysis
        with torch.no_grad():
            self.blocks8, x = stage(net.blocks8, net.patch(seen.pixels - 0.5))
            self.blocks16, _ = stage(net.blocks16, net.merge(x))
        over8, over16 = self.blocks8.divisor, self.blocks16.divisor
        w = _linear(net.patch)
        b = (bias(net.patch) - 0.5 * w.sum(1)) / over8
        w /= 255 * over8[:, None]
        self.coarse = Product(w)
        self.fine = Product(w - self.coarse.integers())
        self.shift = _constant(b)
        w = _linear(net.merge)
        b = bias(net.merge) + w @ np.tile(self.blocks8.offset, 4)
        self.merge = Dense(w * np.tile(over8, 4) / over16[:, None], b / over16)
        self.scale, self.offset = _constant(over16), _constant(self.blocks16.offset)

    def forward(self, pixels: Tensor) -> Tensor:
        t = floats(blocks(pixels, 8))
        t = self.blocks8(self.coarse(t) + self.fine(t) + self.shift)
        t = self.blocks16(self.merge(blocks(t, 2)))
        return (t * self.scale + self.offset).permute(0, 3, 1, 2)


class IntSynthesisGraph(nn.Module):
    """Latents to uint8 pixels."""

    def __init__(self, model: Calotype, seen: Observed) -> None:
        super().__init__()
        net = model.synthesis
        with torch.no_grad():
            self.blocks16, x = stage(net.blocks16, seen.synthesis)
            self.blocks8, _ = stage(net.blocks8, F.pixel_shuffle(net.split(x), 2))
        over16, over8 = self.blocks16.divisor, np.tile(self.blocks8.divisor, 4)
        self.scale = _constant(1 / over16)
        w, b = unshuffled(net.split, 2)
        self.split = Dense(w * over16 / over8[:, None], (b + w @ self.blocks16.offset) / over8)
        w, b = unshuffled(net.patch, 8)
        self.patch = Dense(255 * w * self.blocks8.divisor, 255 * (b + w @ self.blocks8.offset) + 127.5)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        t = self.blocks16((y_hat.permute(0, 2, 3, 1) + level) * self.scale)
        t = self.patch(self.blocks8(unblocks(self.split(t), 2)))
        return unblocks(to_bytes(t), 8)


def _linear(layer: nn.Conv2d) -> Array:
    """A strided convolution as a product with blocks of a map: ``[out, (row column in)]``."""
    return np.array(layer.weight.detach().double().permute(0, 2, 3, 1).flatten(1).numpy())


def _constant(values: Array) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(values).float())
