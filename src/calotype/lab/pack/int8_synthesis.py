"""The synthesis in integers: as the analysis (`int8_transforms`), but with a stream at 1/8 mostly of bytes.

At 1/8 its time goes, and much of it into products in float32 and into moving a float32 stream of 192 channels
to and from memory.  So the weak channels of that stream, which show little in the pixels, are bytes from
beginning to end: the split writes them, the bottlenecks add to them, the last patch and the renderer read
them.  The strong ones, the first, stay float32, and only they need the part of the split that is in float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import Bottleneck, Renderer, folded
from calotype.lab.pack.int8 import Hidden, Observed, best_range, bias, samples, stage, traced, units, weight
from calotype.lab.pack.int8_renderer import IntRenderer, TracedRenderer
from calotype.lab.pack.int8_transforms import MixedDense
from calotype.lab.pack.qdq import (
    Array,
    Conv,
    Dense,
    Product,
    Quantise,
    Range,
    to_bytes,
    unblocks,
    unshuffled,
)

STRONG = 5 / 12
"""The part of the channels at 1/8 that stay float32, 80 of 192.  With half of them the noise is a little
lower (BD-rate -0.02 %), with a third (64) higher (+0.1 %).
"""
FLAT = 3
"""The first channels are flat tones: brightness and two colours.  Where a picture is flat, neighbouring
positions round them alike, so the sums of a 3x3 kernel do not average the errors out, as `best_range` takes
them to.  So their steps are as fine as they can be without clipping a colour (BD-rate -0.1 %).
"""
OVERSHOOT = 1.1
"""How far beyond black and white a tone may be within the network."""


class ByteBottleneck(nn.Module):
    """A bottleneck, channels last, on a stream of strong channels in float32 and weak ones in bytes: those of
    the range ``hidden.entry`` before it, of the range ``after`` behind it.
    """

    def __init__(self, hidden: Hidden, strong: Product, weak: Conv, added: Range, after: Range) -> None:
        super().__init__()
        self.hidden, self.strong, self.weak = hidden, strong, weak
        self.added, self.after = Quantise(added), Quantise(after)

    def forward(self, strong: Tensor, weak: Tensor) -> tuple[Tensor, Tensor]:
        entry = self.hidden.entry
        t = self.hidden(entry.values(torch.cat((entry.bytes(strong), weak), 3)))
        weak = self.after.bytes(entry.values(weak) + self.added(self.weak(t)))
        return strong + self.strong(t), weak


class ByteStage(nn.Module):
    """A row of them on the stream ``(x - offset) / divisor``, as in `int8.Stage`; ``x`` enters with offset 0.

    blocks: the float32 bottlenecks
    x:      the stream that enters them, ``[N, C, h, w]``, to calibrate on
    strong: how many channels are float32
    reader: weights ``[(row column colour), C]`` of the last patch to pixels of 0..255
    render: the float32 renderer, which reads all channels as bytes

    ``stream`` has samples of what leaves it, ``[positions, C]``, and ``render`` is what the renderer makes of
    it.
    """

    def __init__(
        self, blocks: Iterable[Bottleneck], x: Tensor, strong: int, reader: Array, render: Renderer
    ) -> None:
        super().__init__()
        traces, x = traced(blocks, x)
        self.render = TracedRenderer(render, x)
        weak = np.where(
            np.arange(x.shape[1]) < strong, 0, reader
        )  # of the last patch, what it reads as bytes
        readers = np.concatenate((weak, 255 * self.render.gain * weight(render.up)[:, :, 0]))
        offset = np.zeros(x.shape[1])
        divisor, ranges = units(traces, offset, tones(reader), (samples(x), readers[:, :, None]))
        made = []
        for k, trace in enumerate(traces):
            hidden, weights, inputs = trace.quantised(ranges[k], divisor, offset)
            adds = Product(weights[:strong], inputs)
            weak = weights[strong:, :, None]
            added, _ = best_range(inputs @ weak[:, :, 0].T, np.eye(len(weak))[:, :, None])
            weak_layer = Conv(weak, np.zeros(len(weak)), hidden.ranges[2], inputs)
            made.append(ByteBottleneck(hidden, adds, weak_layer, added, ranges[k + 1]))
            offset = offset + bias(trace.block.expand)
            offset[:strong] += adds.lost * divisor[:strong]
        self.blocks = nn.ModuleList(made)
        self.divisor, self.offset = divisor, offset
        self.stream = (samples(x) - offset) / divisor
        self.entry, self.exit, self.last = made[0].hidden.entry, made[-1].after, ranges[-1]

    def forward(self, strong: Tensor, weak: Tensor) -> tuple[Tensor, Tensor]:
        for block in self.blocks:
            strong, weak = block(strong, weak)
        return strong, weak


class IntSynthesisGraph(nn.Module):
    """Latents to uint8 pixels."""

    def __init__(self, model: Calotype, seen: Observed) -> None:
        super().__init__()
        net = folded(model.synthesis)
        strong = round(STRONG * net.patch.in_channels)
        w, b = (_quarters(values) for values in unshuffled(net.patch, 8))
        with torch.no_grad():
            self.blocks16, x = stage(net.blocks16, seen.synthesis)
            t = F.pixel_shuffle(net.split(x), 2)
            self.blocks8 = end = ByteStage(net.blocks8, t, strong, 255 * w, net.render)
        over16, over8 = self.blocks16.divisor, end.divisor
        self.scale = nn.Parameter(torch.from_numpy(1 / over16).float())
        self.render = IntRenderer(end.render, end.last, end.stream, over8, end.offset)
        b = 255 * (b + w @ end.offset) + 127.5 + np.tile(self.render.bias, 4)
        w = 255 * w * over8
        self.weak = Product(w[:, strong:], self.blocks8.stream[:, strong:])
        self.strong = Dense(w[:, :strong], b + self.weak.lost)

        w, b = unshuffled(net.split, 2)
        b = (b + w @ self.blocks16.offset).reshape(4, -1) / over8
        w = (w * over16).reshape(4, len(over8), -1) / over8[:, None]
        s16 = (samples(x) - self.blocks16.offset) / over16
        self.split = MixedDense(_rows(w[:, :strong]), b[:, :strong].flatten(), s16, strong=0.5)
        weak = _rows(w[:, strong:])[:, :, None]
        steps, _ = best_range(s16, weak)
        self.split_entry = Quantise(steps)
        self.split_weak = Conv(weak, b[:, strong:].flatten(), steps, s16)

    def forward(self, y_hat: Tensor, level: Tensor) -> Tensor:
        t = self.blocks16((y_hat.permute(0, 2, 3, 1) + level) * self.scale)
        weak = self.blocks8.entry.bytes(self.split_weak(self.split_entry(t)))
        strong, weak = self.blocks8(unblocks(self.split(t), 2), unblocks(weak, 2))
        patches = self.strong(strong) + self.weak(self.blocks8.exit.values(weak))
        rendered = self.render(torch.cat((self.blocks8.exit.bytes(strong), weak), 3))
        return unblocks(to_bytes(unblocks(patches, 2) + rendered), 4)


def tones(patch: Array) -> Array:
    """The largest magnitudes ``[FLAT]`` that the channels of flat tones have in any colour.

    ``patch``: weights ``[(row column colour), C]`` to pixels of 0..255.
    """
    colours = patch.reshape(-1, 3, patch.shape[1])[:, :, :FLAT].mean(0)
    corners = np.array(list(itertools.product((-127.5, 127.5), repeat=3)))
    return np.asarray(OVERSHOOT * np.abs(np.linalg.pinv(colours) @ corners.T).max(1))


def _quarters(values: Array) -> Array:
    """Rows ``[(row column colour), ...]`` of patches of 8x8 pixels, in the order of four of 4x4."""
    order = np.arange(192).reshape(2, 4, 2, 4, 3).transpose(0, 2, 1, 3, 4)
    return np.asarray(values[order.ravel()])


def _rows(weight: Array) -> Array:
    """``[4, out, in]`` to ``[4 * out, in]``."""
    return weight.reshape(-1, weight.shape[2])
