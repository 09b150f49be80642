"""An encoder's networks with their convolutions in 8-bit integers, quantised after training.

What costs is quantised: the three convolutions of every bottleneck, and the weaker channels of the linear
layer (merge).  The residual streams stay float32, as do the strong channels of that layer.  Three things that
are free at run time keep the loss small:

* Channels are equalised: the stream of a stage, and the hidden channels of a branch (ReLU lets positive
  factors pass), are divided by one number each so that one step suits all; the layers around take the
  inverse (Nagel et al. 2019, Xiao et al. 2022).
* Steps are those of least error behind the weights that follow, not those that cover the largest value.
* Biases absorb the mean error of a layer's rounded weights on the calibration pictures.

The bias of a branch's last layer, which would cost a pass over the stream, moves into whatever reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import Bottleneck
from calotype.lab.pack.qdq import WEIGHT_PEAK, Array, Conv, Product, Quantise, Range

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far channels are equalised: 0 not at all, 1 to equal power.  The best is taken."""
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
SAMPLES = 8192
"""Positions whose activations are looked at."""


@dataclass
class Observed:
    """Activations of the float32 model, ``[N, C, h, w]``, that ranges are chosen for."""

    pixels: Tensor
    """What was coded, 0..1."""
    hyper: Tensor
    """What the hyper-analysis convolves."""


def observe(model: Calotype, pixels: Tensor, levels: Tensor) -> Observed:
    """Code pictures ``[N, 3, H, W]`` (0..1, sides multiples of 128) at ``levels`` ``[N]`` and look on."""
    seen: list[Tensor] = []
    hook = model.latents.hyper.conv.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.no_grad():
        model(pixels, levels, hard=True)
    hook.remove()
    return Observed(pixels, seen[0])


class Hidden(nn.Module):
    """The first two layers of a bottleneck, channels last: from the stream, rounded by ``entry``, to what its
    last layer reads.
    """

    def __init__(self, ranges: Sequence[Range], reduce: Conv, conv: Conv) -> None:
        super().__init__()
        self.ranges = ranges
        self.entry, self.middle, self.last = (Quantise(r) for r in ranges)
        self.reduce, self.conv = reduce, conv

    def forward(self, x: Tensor) -> Tensor:
        t = F.relu(self.conv(self.middle(F.relu(self.reduce(x)))))
        out: Tensor = self.last(t)
        return out


class IntBottleneck(nn.Module):
    """A bottleneck, channels last; what its branch adds lacks the last layer's bias."""

    def __init__(self, hidden: Hidden, expand: Product) -> None:
        super().__init__()
        self.hidden, self.expand = hidden, expand

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.expand(self.hidden(self.hidden.entry(x)))
        return out


class Stage(nn.Sequential):
    """Quantised bottlenecks on a stream held as ``(x - offset) / divisor``, both ``[channels]``.

    ``offset`` is that at the end.
    """

    def __init__(self, blocks: Iterable[IntBottleneck], divisor: Array, offset: Array) -> None:
        super().__init__(*blocks)
        self.divisor, self.offset = divisor, offset


def stage(blocks: Iterable[Bottleneck], x: Tensor, start: Array | None = None) -> tuple[Stage, Tensor]:
    """A row of bottlenecks in integers, calibrated on the stream ``x`` ``[N, C, h, w]`` that enters them.

    Returns it and the stream that leaves the float32 blocks.  ``start``: offset at the entrance, 0 without.
    """
    traces, x = traced(blocks, x)
    offset = np.zeros(x.shape[1]) if start is None else start
    divisor, ranges = units(traces, offset)
    made = []
    for trace, steps in zip(traces, ranges, strict=True):
        hidden, weights, inputs = trace.quantised(steps, divisor, offset)
        expand = Product(weights, inputs)
        offset = offset + bias(trace.block.expand) + expand.lost * divisor
        made.append(IntBottleneck(hidden, expand))
    return Stage(made, divisor, offset), x


@dataclass
class Trace:
    """A float32 bottleneck and samples of what its three layers read."""

    block: Bottleneck
    stream: Array
    first: Array
    second: Array

    def quantised(self, steps: Range, divisor: Array, offset: Array) -> tuple[Hidden, Array, Array]:
        """Its first two layers in integers, for a stream ``(x - offset) / divisor`` rounded to ``steps``;
        the weights ``[out, in]`` that its last one then has, and samples of what that reads.
        """
        over1, (range1,) = equalise([(self.first, weight(self.block.conv))])
        over2, (range2,) = equalise([(self.second, weight(self.block.expand))])
        w0, w1, w2 = (weight(layer) for layer in (self.block.reduce, self.block.conv, self.block.expand))
        bias0 = (bias(self.block.reduce) + w0[:, :, 0] @ offset) / over1
        reduce = Conv(between(w0, divisor, over1), bias0, steps, (self.stream - offset) / divisor)
        conv = Conv(between(w1, over1, over2), bias(self.block.conv) / over2, range1, self.first / over1)
        hidden = Hidden((steps, range1, range2), reduce, conv)
        return hidden, between(w2, over2, divisor)[:, :, 0], self.second / over2


def traced(blocks: Iterable[Bottleneck], x: Tensor) -> tuple[list[Trace], Tensor]:
    """Run float32 bottlenecks on the stream ``x`` ``[N, C, h, w]`` and look on; also returns what leaves."""
    traces = []
    with torch.no_grad():
        for block in blocks:
            first = F.relu(block.reduce(x))
            second = F.relu(block.conv(first))
            traces.append(Trace(block, samples(x), samples(first), samples(second)))
            x = x + block.expand(second)
    return traces, x


def units(
    traces: Sequence[Trace],
    start: Array,
    peaks: Array | Sequence[float] = (),
    end: tuple[Array, Array] | None = None,
) -> tuple[Array, list[Range]]:
    """Divisors ``[channels]`` of a stream with offset ``start`` at the entrance, and its range before each
    bottleneck.  The first channels never go beyond ``peaks``: their steps are as fine as that allows.

    end: samples of the stream that leaves, and the weights ``[out, channels, 1]`` of what reads it in
         integers; then there is a range for it too.
    """
    entries, offset = [], start
    for trace in traces:
        entries.append((trace.stream - offset, weight(trace.block.reduce)))
        offset = offset + bias(trace.block.expand)
    if end is not None:
        entries.append((end[0] - offset, end[1]))
    divisor, ranges = equalise(entries)
    reach = min(steps.scale * min(steps.zero, 255 - steps.zero) for steps in ranges)
    known = len(peaks)
    divisor[:known] = np.minimum(divisor[:known], np.divide(peaks, reach))
    return divisor, ranges


# ---- choosing divisors and ranges; samples are [positions, channels], weights [out, in, taps] ----


def equalise(entries: Sequence[tuple[Array, Array]]) -> tuple[Array, list[Range]]:
    """Common divisors ``[in]`` for tensors that layers read, and each tensor's range.

    ``entries``: samples of a tensor and the weights of the layer behind it.
    """
    power = np.sum([(x**2).mean(0) for x, _ in entries], axis=0)
    rms = np.sqrt(power) + 1e-4 * np.sqrt(power.max()) + 1e-12
    best: tuple[float, Array, list[Range]] | None = None
    for strength in STRENGTHS:
        divisor = rms**strength
        found = [best_range(x / divisor, w * divisor[:, None]) for x, w in entries]
        error = sum(e for _, e in found)
        if best is None or error < best[0]:
            best = error, divisor, [steps for steps, _ in found]
    assert best is not None
    return best[1], best[2]


def best_range(x: Array, weight: Array, *, symmetric: bool = False) -> tuple[Range, float]:
    """The range for a tensor, and the error behind the weights relative to what they give."""
    gain = (weight**2).sum((0, 2))
    coarse = np.abs(weight).max((1, 2)) / WEIGHT_PEAK
    rounding = (coarse**2).sum() / 12 * weight.shape[2] * float((x**2).mean(0).sum())
    signal = float(((x - x.mean(0)) ** 2).mean(0) @ gain) + 1e-12
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    best: tuple[float, Range] | None = None
    for clip in CLIPS:
        scale = max(clip * (high - low) / 255, 1e-9)
        steps = Range(scale, 128 if symmetric else round(-low * clip / scale))
        error = float(((steps(x) - x) ** 2).mean(0) @ gain)
        if best is None or error < best[0]:
            best = error, steps
    assert best is not None
    return best[1], (best[0] + rounding) / signal


def between(weight: Array, before: Array, after: Array) -> Array:
    """Weights for an input divided by ``before`` and an output divided by ``after``."""
    return np.asarray(weight * before[:, None] / after[:, None, None])


def samples(x: Tensor) -> Array:
    """Up to SAMPLES positions of ``[N, C, h, w]``, evenly taken, as ``[positions, C]``."""
    flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    return np.asarray(flat[:: -(-len(flat) // SAMPLES)].double().numpy())


def weight(layer: nn.Module) -> Array:
    """Weights of a convolution, ``[out, in, taps]`` in float64."""
    assert isinstance(layer, nn.Conv2d)
    return np.asarray(layer.weight.detach().double().flatten(2).numpy())


def bias(layer: nn.Module) -> Array:
    """Its biases, ``[out]``."""
    assert isinstance(layer, nn.Conv2d)
    assert layer.bias is not None
    return np.asarray(layer.bias.detach().double().numpy())
