"""The transforms of a pack with their bottlenecks in 8-bit integers (post-training, static).

What is quantised is what costs: the three convolutions of every bottleneck, with 8-bit weights (one scale per
output channel) and 8-bit activations (one scale per tensor).  The residual stream and the four linear layers
that carry it stay in float32.  Three things that cost nothing keep the loss small:

* Channels are *equalised*: the stream of a stage, and the hidden channels of a branch (ReLU lets a positive
  scale pass), are divided by one number each, chosen so that a common step suits all, and the layers around
  take the inverse.
* Steps are chosen for the least error after the weights that follow, not to cover the largest value.
* Biases take up the mean error that rounding a layer's weights makes on the calibration pictures.

The bias of a branch's last layer would take a pass over the stream of its own; it is moved into the layers
that read the stream.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_parts import Bottleneck
from calotype.lab.pack.qdq import Array, Writer

WEIGHT_PEAK = 127
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


@dataclass
class Range:
    """Steps of a quantised tensor: it holds ``scale * (q - zero)``, q from 0 to 255."""

    scale: float
    zero: int

    def __call__(self, x: Array) -> Array:
        return self.scale * (np.clip(np.rint(x / self.scale) + self.zero, 0, 255) - self.zero)


@dataclass
class Layer:
    """Integer weights ``[out, in, kh, kw]``, their scales ``[out]``, the bias, the range of the input."""

    weight: Array
    scale: Array
    bias: Array
    input: Range


@dataclass
class Stage:
    """A row of quantised bottlenecks on a stream that is divided by ``divisor`` ``[channels]``.

    ``offset`` ``[channels]`` (in units of the undivided stream) is missing from the stream at its end.
    """

    blocks: list[tuple[Layer, Layer, Layer]]
    divisor: Array
    offset: Array


# ---- choosing steps ----


def choose(x: Array, weights: list[Array], strength: float) -> tuple[Array, Range, float]:
    """Divisors ``[C]`` and range for samples ``x`` ``[P, C]`` that layers ``[O, C]`` read, and the error."""
    rms = np.sqrt((x**2).mean(0)) + 1e-6 * np.abs(x).max() + 1e-12
    divisor = rms**strength
    divisor /= np.exp(np.log(divisor).mean())
    scaled = x / divisor
    gains = sum((w * divisor) ** 2 for w in weights).sum(0)  # [C]
    rounding = sum(
        float(((np.abs(w * divisor).max(1) / WEIGHT_PEAK) ** 2 / 12).sum()) for w in weights
    ) * float((scaled**2).mean(0).sum())
    low, high = min(0.0, float(scaled.min())), float(scaled.max())
    best: tuple[float, Range] | None = None
    for clip in CLIPS:
        scale = max(clip * (high - low) / 255, 1e-9)
        steps = Range(scale, int(np.clip(round(-low * clip / scale), 0, 255)))
        error = float((((steps(scaled) - scaled) ** 2).mean(0) * gains).sum())
        if best is None or error < best[0]:
            best = error, steps
    assert best is not None
    return divisor, best[1], best[0] + rounding


def best_choice(x: Array, weights: list[Array]) -> tuple[Array, Range]:
    divisor, steps, _ = min((choose(x, weights, s) for s in STRENGTHS), key=lambda c: c[2])
    return divisor, steps
