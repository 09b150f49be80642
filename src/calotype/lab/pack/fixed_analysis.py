"""An encoder's networks in fixed point, as `native/analysis.hpp` computes them: analysis and hyper-analysis.

::

    pixels (bytes) --8x8--> stream at 1/8 (words) --bottlenecks, 2x2--> at 1/16 (words) --bottlenecks--> y
    energies, y (words) --1x1--> bytes --3x3--> bytes --2x2--> + means of energies over bands --> z
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_latents import CELL, Z_UNIT, HyperAnalysis
from calotype.lab.models.calotype_transforms import AnalysisTransform, folded
from calotype.lab.pack.calibrate import SIDE, Array, bias, hard_pictures, samples, weight
from calotype.lab.pack.fixed import WORD, Layer, bytes_, finest, quantised, words
from calotype.lab.pack.fixed_blocks import Block, Seen, byte_units, hidden_units, stream_units

PIXEL = 255
ENERGY_UNIT = math.log(2) / 512
"""What 1 stands for in energies, natural logarithms of latents in quantisation steps."""
ENERGY_PEAK = 1 << 14
Z_FINE = 1 / 1024
"""What 1 stands for in the sums that make hyper-latents, in natural-log units."""
FLOOR = 0.2
"""What is added to the size of a latent before its logarithm is taken, as `HyperAnalysis` does."""


class FixedAnalysis:
    """Made from the float network, calibrated on pictures ``[N, 3, H, W]`` (0..1).

    extremes: pictures of pure colours and hard edges, which words have to hold as well

    ``unit``: what 1 stands for in the latents, ``[M]``.
    """

    def __init__(self, net: AnalysisTransform, x: Tensor, extremes: Tensor) -> None:
        net = folded(net)
        seen, far = Seen(net, x), Seen(net, extremes)
        bytes8, unit8 = _units(net.patch, net.blocks8, seen, far)
        bytes16, self.unit = _units(net.merge, net.blocks16, seen, far)
        w = _strided(net.patch)
        mean = samples(F.pixel_unshuffle(x, 8).unflatten(1, (3, 64)).transpose(1, 2).flatten(1, 2)).mean(0)
        inputs = np.full(w.shape[1], 1 / PIXEL)
        self.patch = quantised(w, bias(net.patch) - 0.5 * w.sum((1, 2)), inputs, unit8, "words", mean, PIXEL)
        self.blocks8 = [
            Block(block, seen, unit8, hidden) for block, hidden in zip(net.blocks8, bytes8, strict=True)
        ]
        mean = np.tile(samples(seen.into(net.merge)).mean(0), 4)
        inputs = np.tile(unit8, 4)
        self.merge = quantised(_strided(net.merge), bias(net.merge), inputs, self.unit, "words", mean)
        self.blocks16 = [
            Block(block, seen, self.unit, hidden) for block, hidden in zip(net.blocks16, bytes16, strict=True)
        ]

    def layers(self) -> dict[str, Layer]:
        """All layers by name."""
        found = {"patch": self.patch, "merge": self.merge}
        for name, blocks in (("blocks8", self.blocks8), ("blocks16", self.blocks16)):
            for k, block in enumerate(blocks):
                found |= {f"{name}.{k}.{part}": layer for part, layer in block.layers().items()}
        return found

    def __call__(self, pixels: Tensor) -> Tensor:
        """Pixels ``[1, 3, 16h, 16w]``, 0..255, to words ``[1, M, h, w]``; all float64."""
        t = words(self.patch(_unshuffled(pixels, 8)))
        for block in self.blocks8:
            t = block(t)
        y = words(self.merge(_unshuffled(t, 2)))
        for block in self.blocks16:
            y = block(y)
        return y


class FixedHyperAnalysis:
    """Made from the float network, calibrated on latents ``[N, M, h, w]`` and their gains ``[N, M, 1, 1]``.

    unit: of the latents, ``[M]``
    """

    def __init__(self, net: HyperAnalysis, y: Tensor, gain: Tensor, unit: Array) -> None:
        seen = Seen(net, y, gain)
        both, t = (samples(seen.into(layer)) for layer in (net.reduce, net.conv))
        m = len(unit)
        energy = np.full(m, ENERGY_UNIT)
        out = _blocked(weight(net.out), CELL)
        after = samples(F.relu(seen.of(net.conv)))
        first = byte_units(t, weight(net.conv))
        parts = out[:, :, 0].reshape(len(out) * CELL * CELL, -1, 1)
        second = byte_units(after, parts, finest(weight(net.conv), first))
        fine = np.full(len(out), Z_FINE)
        self.bands = quantised(
            weight(net.bands), bias(net.bands), energy, fine, "words", both[:, :m].mean(0), ENERGY_PEAK
        )
        units, peaks = np.concatenate((energy, unit)), np.repeat((ENERGY_PEAK, WORD), m)
        self.reduce = quantised(
            weight(net.reduce), bias(net.reduce), units, first, "words", both.mean(0), peaks
        )
        self.conv = quantised(weight(net.conv), bias(net.conv), first, second, "bytes", t.mean(0))
        tiled = np.tile(after.mean(0), CELL * CELL)
        self.out = quantised(out, bias(net.out), np.tile(second, CELL * CELL), fine, "bytes", tiled)

    def layers(self) -> dict[str, Layer]:
        """All layers by name."""
        return {"bands": self.bands, "reduce": self.reduce, "conv": self.conv, "out": self.out}

    def __call__(self, y: Tensor, gained: Tensor, mul: Tensor, limit: int) -> Tensor:
        """Words ``[1, M, 2a, 2b]``, the same in quantisation steps (float) and ``mul`` ``[K]`` to
        hyper-latents ``[1, K, a, b]``.
        """
        energy = torch.round(torch.log(gained.abs() + FLOOR) / ENERGY_UNIT).clamp(max=ENERGY_PEAK)
        bands = words(self.bands(energy))
        t = bytes_(self.conv(bytes_(self.reduce(torch.cat((energy, y), 1)))))
        learned = words(self.out(_unshuffled(t, CELL)))
        fine = F.avg_pool2d(bands, CELL) + learned
        scale = 256 * Z_UNIT * Z_FINE / mul[:, None, None]
        return torch.floor(fine * scale + 0.5).clamp(-limit, limit)


def encoder_arrays(model: Calotype, x: Tensor, levels: Tensor) -> dict[str, Array]:
    """What the encoder's file of a pack holds, by name, calibrated on pictures ``x`` coded at ``levels``."""
    analysis = FixedAnalysis(model.analysis, x, hard_pictures(SIDE))
    with torch.no_grad():
        gain = model.levels(levels).gain
        hyper = FixedHyperAnalysis(model.latents.hyper, model.analysis(x), gain, analysis.unit)
    found = {"unit": analysis.unit.astype(np.float32)}
    for prefix, layers in (("analysis", analysis.layers()), ("hyper_analysis", hyper.layers())):
        for name, layer in layers.items():
            found |= {f"{prefix}.{name}.{part}": array for part, array in layer.arrays().items()}
    return found


def _units(
    first: nn.Module, blocks: nn.Sequential, seen: Seen, far: Seen
) -> tuple[list[tuple[Array, Array]], Array]:
    """Units of what the bottlenecks behind a layer hide, and of their stream."""
    hidden = [hidden_units(block, seen) for block in blocks]
    least = [finest(weight(block.expand), after) for block, (_, after) in zip(blocks, hidden, strict=True)]
    return hidden, stream_units([run.of(layer) for layer in (first, *blocks) for run in (seen, far)], least)


def _strided(layer: nn.Conv2d) -> Array:
    """A convolution as large as its stride, on blocks: weights ``[out, (row column in), 1]``."""
    w = layer.weight.detach().double().permute(0, 2, 3, 1).flatten(1)
    return np.asarray(w.numpy())[:, :, None]


def _blocked(weight: Array, side: int) -> Array:
    """Weights ``[out, (c row column), 1]`` for inputs in the order (row, column, c)."""
    w = weight.reshape(len(weight), -1, side * side).transpose(0, 2, 1)
    return np.ascontiguousarray(w.reshape(len(weight), -1, 1))


def _unshuffled(x: Tensor, side: int) -> Tensor:
    """``[1, c, side * h, side * w]`` to ``[1, (row column c), h, w]``."""
    return F.pixel_unshuffle(x, side).unflatten(1, (-1, side * side)).transpose(1, 2).flatten(1, 2)
