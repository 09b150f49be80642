"""Analysis and synthesis with their bottlenecks in 8-bit integers, quantised after training.

What costs is quantised: the three convolutions of every bottleneck, to 8-bit weights with one scale per
output channel and 8-bit activations with one scale per tensor.  The residual stream and the linear layers
that carry it (patch, merge, split) stay float32.  Three things that are free at run time keep the loss small:

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
from torch import Tensor
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import Bottleneck
from calotype.lab.pack.qdq import Array

WEIGHT_PEAK = 127
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far channels are equalised: 0 not at all, 1 to equal power.  The best is taken."""
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
SAMPLES = 8192
"""Positions whose activations are looked at."""


@dataclass
class Range:
    """A quantised tensor holds ``scale * (q - zero)``, q from 0 to 255."""

    scale: float
    zero: int

    def __call__(self, x: Array) -> Array:
        return self.scale * (np.clip(np.rint(x / self.scale) + self.zero, 0, 255) - self.zero)


@dataclass
class Layer:
    """``weight`` ``[out, in, taps]`` integers, ``scale`` and ``bias`` ``[out]``; ``input`` is its input's range.

    It computes ``scale * (weight * x) + bias``.
    """

    weight: Array
    scale: Array
    bias: Array
    input: Range


@dataclass
class Stage:
    """Quantised bottlenecks on a stream held as ``(x - offset) / divisor``, both ``[channels]``.

    The offset is zero at the entrance; the one here is that at the end.
    """

    blocks: list[tuple[Layer, Layer, Layer]]
    divisor: Array
    offset: Array


def quantise(blocks: Iterable[Bottleneck], x: Tensor) -> tuple[Stage, Tensor]:
    """A row of bottlenecks, calibrated on the stream ``x`` ``[N, C, h, w]`` that enters them.

    Returns the stage and the stream that leaves the float32 blocks.
    """
    traces = []
    with torch.no_grad():
        for block in blocks:
            first = F.relu(block.reduce(x))
            second = F.relu(block.conv(first))
            traces.append((block, _samples(x), _samples(first), _samples(second)))
            x = x + block.expand(second)
    offset = np.zeros(x.shape[1])
    entries = []
    for block, stream, _, _ in traces:
        entries.append((stream - offset, _weight(block.reduce)))
        offset = offset + _bias(block.expand)
    divisor, ranges = _equalise(entries)

    offset = np.zeros(x.shape[1])
    layers = []
    for (block, stream, first, second), steps in zip(traces, ranges, strict=True):
        inner1, (range1,) = _equalise([(first, _weight(block.conv))])
        inner2, (range2,) = _equalise([(second, _weight(block.expand))])
        reduce = _layer(_weight(block.reduce), _bias(block.reduce), divisor, inner1, steps, (stream - offset))
        reduce.bias += _weight(block.reduce)[:, :, 0] @ offset / inner1
        conv = _layer(_weight(block.conv), _bias(block.conv), inner1, inner2, range1, first)
        expand = _layer(_weight(block.expand), _bias(block.expand), inner2, divisor, range2, second)
        offset = offset + expand.bias * divisor
        expand.bias = np.zeros_like(expand.bias)
        layers.append((reduce, conv, expand))
    return Stage(layers, divisor, offset), x


def transforms(model: Calotype, pixels: Tensor, levels: Tensor) -> dict[str, list[Stage]]:
    """The stages of analysis (1/8, 1/16) and synthesis (1/16, 1/8), calibrated on pictures.

    ``pixels`` ``[N, 3, H, W]`` in 0..1, sides multiples of 64, coded at ``levels`` ``[N]``.
    """
    with torch.no_grad():
        a, s = model.analysis, model.synthesis
        eighth, x = quantise(a.blocks8, a.patch(pixels - 0.5))
        sixteenth, _ = quantise(a.blocks16, a.merge(x))
        entered: list[Tensor] = []
        hook = s.register_forward_pre_hook(lambda _, given: entered.append(given[0] + given[1]))
        model(pixels, levels, hard=True)
        hook.remove()
        first, x = quantise(s.blocks16, entered[0])
        last, _ = quantise(s.blocks8, F.pixel_shuffle(s.split(x), 2))
    return {"analysis": [eighth, sixteenth], "synthesis": [first, last]}


# ---- choosing divisors and steps; samples are [positions, channels], weights [out, in, taps] ----


def _equalise(entries: Sequence[tuple[Array, Array]]) -> tuple[Array, list[Range]]:
    """Common divisors ``[in]`` for tensors that layers read, and each tensor's range.

    ``entries``: samples of a tensor and the weights of the layer behind it.
    """
    power = sum((x**2).mean(0) for x, _ in entries)
    rms = np.sqrt(power) + 1e-4 * np.sqrt(power.max()) + 1e-12
    best: tuple[float, Array, list[Range]] | None = None
    for strength in STRENGTHS:
        divisor = rms**strength
        found = [_range(x / divisor, w * divisor[:, None]) for x, w in entries]
        error = sum(e for _, e in found)
        if best is None or error < best[0]:
            best = error, divisor, [steps for steps, _ in found]
    assert best is not None
    return best[1], best[2]


def _range(x: Array, weight: Array) -> tuple[Range, float]:
    """The range for a tensor, and the error behind the weights relative to what they give."""
    gain = (weight**2).sum((0, 2))
    steps_of_weight = np.abs(weight).max((1, 2)) / WEIGHT_PEAK
    rounding = (steps_of_weight**2).sum() / 12 * weight.shape[2] * float((x**2).mean(0).sum())
    signal = float(((x - x.mean(0)) ** 2).mean(0) @ gain) + 1e-12
    low, high = min(0.0, float(x.min())), max(0.0, float(x.max()))
    best: tuple[float, Range] | None = None
    for clip in CLIPS:
        scale = max(clip * (high - low) / 255, 1e-9)
        steps = Range(scale, round(-low * clip / scale))
        error = float(((steps(x) - x) ** 2).mean(0) @ gain)
        if best is None or error < best[0]:
            best = error, steps
    assert best is not None
    return best[1], (best[0] + rounding) / signal


def _layer(weight: Array, bias: Array, before: Array, after: Array, steps: Range, x: Array) -> Layer:
    """Weights between an input divided by ``before`` and an output divided by ``after``, as integers."""
    weight = weight * before[:, None] / after[:, None, None]
    scale = np.maximum(np.abs(weight).max((1, 2)), 1e-12) / WEIGHT_PEAK
    integers = np.rint(weight / scale[:, None, None])
    lost = (weight - integers * scale[:, None, None]).sum(2)
    return Layer(integers, scale, bias / after + lost @ (x / before).mean(0), steps)


def _samples(x: Tensor) -> Array:
    """Up to SAMPLES positions of ``[N, C, h, w]``, evenly taken, as ``[positions, C]``."""
    flat = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])
    return np.asarray(flat[:: -(-len(flat) // SAMPLES)].double().numpy())


def _weight(layer: torch.nn.Conv2d) -> Array:
    return np.asarray(layer.weight.detach().double().flatten(2).numpy())


def _bias(layer: torch.nn.Conv2d) -> Array:
    assert layer.bias is not None
    return np.asarray(layer.bias.detach().double().numpy())
