"""The synthesis in integers: as the analysis (`int8_transforms`), but with a stream at 1/8 mostly of bytes.

At 1/8 its time goes, and much of it into products in float32 and into moving a float32 stream of 192 channels
to and from memory.  So the weak channels of that stream, which show little in the pixels, are bytes from
beginning to end: the split writes them, the bottlenecks add to them, the last patch reads them.  The strong
ones, the first, stay float32, and only they need the part of the split that is in float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import Bottleneck, folded
from calotype.lab.pack.int8 import Hidden, Observed, best_range, bias, samples, stage, traced, units
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
    reader: weights ``[(row column colour), C]`` of the last patch

    ``stream`` has samples of what leaves it, ``[positions, C]``.
    """

    def __init__(self, blocks: Iterable[Bottleneck], x: Tensor, strong: int, reader: Array) -> None:
        super().__init__()
        traces, x = traced(blocks, x)
        offset = np.zeros(x.shape[1])
        divisor, ranges = units(traces, offset, tones(reader))
        end = sum(bias(trace.block.expand) for trace in traces)
        last = ((samples(x) - end) / divisor)[:, strong:]
        ranges.append(best_range(last, (reader * divisor)[:, strong:, None])[0])
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
        self.entry, self.exit = made[0].hidden.entry, made[-1].after

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
        w, b = unshuffled(net.patch, 8)
        with torch.no_grad():
            self.blocks16, x = stage(net.blocks16, seen.synthesis)
            self.blocks8 = ByteStage(net.blocks8, F.pixel_shuffle(net.split(x), 2), strong, 255 * w)
        over16, over8 = self.blocks16.divisor, self.blocks8.divisor
        self.scale = nn.Parameter(torch.from_numpy(1 / over16).float())
        b = 255 * (b + w @ self.blocks8.offset) + 127.5
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
        return unblocks(to_bytes(self.strong(strong) + self.weak(self.blocks8.exit.values(weak))), 8)


def tones(patch: Array) -> Array:
    """The largest magnitudes ``[FLAT]`` that the channels of flat tones have in any colour.

    ``patch``: weights ``[(row column colour), C]`` to pixels of 0..255.
    """
    colours = patch.reshape(-1, 3, patch.shape[1])[:, :, :FLAT].mean(0)
    corners = np.array(list(itertools.product((-127.5, 127.5), repeat=3)))
    return np.asarray(OVERSHOOT * np.abs(np.linalg.pinv(colours) @ corners.T).max(1))


def _rows(weight: Array) -> Array:
    """``[4, out, in]`` to ``[4 * out, in]``."""
    return weight.reshape(-1, weight.shape[2])
