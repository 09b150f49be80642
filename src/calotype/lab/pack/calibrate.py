"""Units and weights of layers in fixed point, chosen on what a float network computes of photographs.

* Channels are equalised: hidden channels (ReLU lets positive factors pass) are divided by one number each so
  that one step suits all; the layers around take the inverse (Nagel et al. 2019, Xiao et al. 2022).
* Steps are those of least error behind the weights that follow, not those that cover the largest value.

Samples are ``[positions, channels]``, weights ``[out, in, taps]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from calotype.lab.models.calotype_rounding import WEIGHT_PEAK

Array = npt.NDArray[Any]
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""How far channels are equalised: 0 not at all, 1 to equal power.  The best is taken."""
CLIPS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
SAMPLES = 8192
"""Positions whose activations are looked at."""
SIDE = 128
"""Side of the pictures of pure colours and hard edges."""


@dataclass
class Range:
    """A quantised tensor holds ``scale * (q - zero)``, q from 0 to 255."""

    scale: float
    zero: int

    def __call__(self, x: Array) -> Array:
        return self.scale * (np.clip(np.rint(x / self.scale) + self.zero, 0, 255) - self.zero)


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


def best_range(x: Array, weight: Array) -> tuple[Range, float]:
    """The range for a tensor, and the error behind the weights relative to what they give."""
    gain = (weight**2).sum((0, 2))
    coarse = np.abs(weight).max((1, 2)) / WEIGHT_PEAK
    rounding = (coarse**2).sum() / 12 * weight.shape[2] * float((x**2).mean(0).sum())
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


def unshuffled(layer: nn.Conv2d, side: int) -> tuple[Array, Array]:
    """Weights and bias of a 1x1 convolution before a pixel shuffle, outputs in the order (row, column,
    channel).
    """

    def reorder(t: Tensor) -> Array:
        return np.array(
            t.detach().double().unflatten(0, (-1, side * side)).transpose(0, 1).flatten(0, 1).numpy()
        )

    assert layer.bias is not None
    return reorder(layer.weight[:, :, 0, 0]), reorder(layer.bias)


def hard_pictures(side: int) -> Tensor:
    """Pictures ``[N, 3, side, side]`` (0..1) of the cube's corners, and of black and white or two colours in
    stripes, boards and noise.
    """
    bits = torch.arange(8)[:, None] >> torch.arange(3) & 1
    made = [corner.float()[:, None, None].expand(3, side, side) for corner in bits]
    place = torch.arange(side)
    for width in (1, 2, 4, 8, 16):
        stripes = (place[:, None] // width % 2).float().expand(side, side)
        board = ((place[:, None] // width + place // width) % 2).float()
        for shape in (stripes, stripes.T, board):
            made += [shape.expand(3, side, side), torch.stack((shape, 1 - shape, shape))]
    noise = torch.rand(3, side, side, generator=torch.Generator().manual_seed(0))
    return torch.stack([*made, (noise > 0.5).float()])
