"""Layers in fixed point, as decoders compute them (docs/FORMAT.md): quantised from float weights, and run.

A layer sums integers and ends with one multiplication for each output::

    v = (bias + sum of weight * input) * mul + 2^31 >> 32

Inputs are bytes (what a ReLU gave, 0..255, with weights of 7 bits) or words (16 bits, with weights of 16 bits
and sums below 2^31 whatever the input).  Here sums are made in float64, which holds them exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from calotype.lab.models.calotype_rounding import WEIGHT_PEAK
from calotype.lab.pack.calibrate import Array
from calotype.lab.pack.exact import ExportError

WORD = 32767
"""Largest magnitude of a word."""
CONTEXT = 4095
"""Largest magnitude of a word that a context network reads or hides; -4096 may occur."""
CONTEXT_SHIFT = 3
"""Latents are divided by 2 to this power where a context network reads them."""
HEADROOM = 3.0
"""How far beyond what was seen while calibrating a word reaches."""
SUM = 2**31 - 2**20
FINEST = 2.0**-20
"""Least unit of a sum, in units of the output: more would cost precision of ``mul``."""

Input = Literal["bytes", "words"]


@dataclass
class Layer:
    """One 1x1 or 3x3 convolution in fixed point.

    weight: integers ``[out, in, taps]``, taps 1 or 9 in reading order
    bias, mul: integers ``[out]``
    reads: what its inputs are
    """

    weight: Array
    bias: Array
    mul: Array
    reads: Input

    def __call__(self, x: Tensor) -> Tensor:
        """Integers ``[1, in, h, w]`` (float64) to integers ``[1, out, h, w]``, not clipped."""
        side = round(self.weight.shape[2] ** 0.5)
        w = torch.from_numpy(self.weight.astype(np.float64)).unflatten(2, (side, side))
        acc = F.conv2d(x, w, torch.from_numpy(self.bias.astype(np.float64)), padding=side // 2)
        mul = torch.from_numpy(self.mul.astype(np.int64))[:, None, None]
        return ((acc.to(torch.int64) * mul + 2**31) >> 32).double()

    def arrays(self) -> dict[str, Array]:
        """What a file holds of it, by name: ``weight`` ``[out, in, side, side]``, ``bias``, ``mul``."""
        side = round(self.weight.shape[2] ** 0.5)
        shape = (*self.weight.shape[:2], side, side)
        kind = np.int8 if self.reads == "bytes" else np.int16
        return {
            "weight": self.weight.reshape(shape).astype(kind),
            "bias": self.bias.astype(np.int32),
            "mul": self.mul.astype(np.int32),
        }


def quantised(
    weight: Array,
    bias: Array,
    unit_in: Array,
    unit_out: Array,
    reads: Input,
    mean: Array,
    peak: int | Array = WORD,
) -> Layer:
    """A float layer in fixed point.

    weight:   ``[out, in, taps]``
    unit_in:  what 1 stands for in each input ``[in]``; ``unit_out`` ``[out]`` in each output
    mean:     the mean of each input ``[in]``, in float: biases absorb what rounding takes away there
    peak:     largest magnitude of a word, of all inputs or of each

    Raises ExportError where no multiplier fits.
    """
    units = weight * unit_in[:, None]
    if reads == "bytes":
        step = np.abs(units).max((1, 2)) / WEIGHT_PEAK
    else:
        peaks = np.broadcast_to(peak, unit_in.shape).astype(np.float64) + 1
        reach = (np.abs(units) * peaks[:, None]).sum((1, 2)) + np.abs(bias)
        # The sum of all rounding errors, half a step for each weight, has to fit as well.
        room = SUM - 0.5 * peaks.sum() * weight.shape[2]
        step = np.maximum(reach / room, np.abs(units).max((1, 2)) / WORD)
    step = np.maximum(step, FINEST * unit_out)
    integers = np.rint(units / step[:, None, None])
    lost = (units - integers * step[:, None, None]).sum(2) @ (mean / unit_in)
    mul = np.rint(step / unit_out * 2.0**32)
    if mul.max() >= 2**31:
        raise ExportError("a layer's outputs are too fine for its sums: no multiplier below 1/2 fits")
    return Layer(integers, np.rint((bias + lost) / step), mul, reads)


def finest(weight: Array, unit_in: Array) -> Array:
    """The least unit of each output of a layer that reads bytes: a unit of its sum is at most half of it."""
    return np.asarray(2.01 * np.abs(weight * unit_in[:, None]).max((1, 2)) / WEIGHT_PEAK)


def units(x: Array, most: int = WORD) -> Array:
    """What 1 stands for in words for channels with samples ``[positions, channels]``."""
    peak = HEADROOM * np.abs(x).max(0)
    return np.asarray(np.maximum(peak, 1e-3 * peak.max() + 1e-9) / most)


def words(x: Tensor, most: int = WORD) -> Tensor:
    """Clipped to words."""
    return x.clamp(-most if most != WORD else -WORD - 1, most)


def bytes_(x: Tensor) -> Tensor:
    """Clipped to bytes: a ReLU, too."""
    return x.clamp(0, 255)


def context(x: Tensor) -> Tensor:
    """Latents as context networks read them."""
    return torch.floor(x / 2**CONTEXT_SHIFT)
