"""The renderer of the synthesis in integers: bytes from the stream at 1/8 to its last layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype_transforms import Renderer
from calotype.lab.pack.int8 import between, bias, equalise, samples, weight
from calotype.lab.pack.qdq import Array, Conv, Product, Quantise, Range, unblocks, unshuffled


class TracedRenderer:
    """A float32 renderer, and samples of what its layers after the first read and of what it gives.

    ``x``: the stream that it reads, ``[N, C, h, w]``
    """

    @torch.no_grad()
    def __init__(self, net: Renderer, x: Tensor) -> None:
        self.net = net
        first = net.up(x)
        t = F.relu(F.pixel_shuffle(first, 2))
        self.inputs = [samples(t)]
        for conv in net.convs:
            t = F.relu(conv(t))
            self.inputs.append(samples(t))
        given = net.out(t)
        self.gain = float(given.std() / first.std().clamp_min(1e-12))
        """How much of a change of the first layer's outputs gets into the pixels, roughly."""


class IntRenderer(nn.Module):
    """Bytes ``[1, h, w, C]`` at 1/8 to patches of 4x4 pixels of 0..255, ``[1, 2h, 2w, (row column colour)]``.

    entry:   the range of the bytes
    stream:  samples ``[positions, C]`` of what they stand for, which is ``(x - offset) / divisor``

    ``bias`` ``[48]`` is what the patches lack.
    """

    def __init__(
        self, trace: TracedRenderer, entry: Range, stream: Array, divisor: Array, offset: Array
    ) -> None:
        super().__init__()
        net, inputs = trace.net, trace.inputs
        w_out, b_out = unshuffled(net.out, 4)
        over, ranges = [], []
        for x, reader in zip(inputs, [*map(weight, net.convs), w_out[:, :, None]], strict=True):
            units, (steps,) = equalise([(x, reader)])
            over.append(units)
            ranges.append(steps)
        w, b = unshuffled(net.up, 2)
        after = np.tile(over[0], 4)
        w, b = w * divisor / after[:, None], (b + w @ offset) / after
        self.entry = Quantise(entry)
        self.up = Conv(w[:, :, None], b, entry, stream)
        self.convs = nn.ModuleList(
            Conv(
                between(weight(conv), over[k], over[k + 1]), bias(conv) / over[k + 1], ranges[k], x / over[k]
            )
            for k, (conv, x) in enumerate(zip(net.convs, inputs))
        )
        self.steps = nn.ModuleList(Quantise(steps) for steps in ranges)
        self.out = Product(255 * w_out * over[-1], inputs[-1] / over[-1])
        self.bias = 255 * b_out + self.out.lost

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self.steps
        assert isinstance(first, Quantise)
        t = first.bytes(F.relu(self.up(self.entry.values(x))))
        t = first.values(unblocks(t, 2))
        for conv, steps in zip(self.convs, rest, strict=True):
            t = steps(F.relu(conv(t)))
        out: Tensor = self.out(t)
        return out
