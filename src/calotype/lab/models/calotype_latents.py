"""Latent networks of the product's model: what is coded is hyper-latents z and residuals r, all integers.

::

    y --log energies, 2x2--> z (1/32)                                                     HyperAnalysis
    z: coarse to fine, each from the z around it                                         HyperModel   integers
    r: class of each from z and from the sizes of the r before it                        Scales       integers
    y: mean of each from z and the y_hat before it                                        Mean

Probabilities depend on integers alone, so that parsing never waits for a mean and is exact everywhere: every
layer named *integers* computes sums of integers below 2^24, which float32 holds exactly.  The order is that
of `calotype_walk`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.integer import IntConv, exact_arithmetic, requantise
from calotype.lab.models.calotype_config import Config
from calotype.lab.models.calotype_transforms import Pointwise
from calotype.lab.models.calotype_walk import LOW, LOW_OCTAVES, PHASES, Stage

SCALE_MIN, SCALE_MAX, SCALES = 0.11, 256.0, 64
"""Standard deviations that the classes of r stand for: 64 from 0.11 to 256 quantisation steps, even in the
logarithm.
"""
LOG_STEP = math.log(SCALE_MAX / SCALE_MIN) / (SCALES - 1)
Z_PEAK = 127
"""Largest magnitude of a dequantised hyper-latent, in 1/16 of a natural-log unit."""
Z_UNIT = 16
Z_SCALE_MIN, Z_SCALE_MAX, Z_SCALES = 0.08, 4.0, 16
"""Scales of the logistic laws of z, in quantisation steps, even in the logarithm."""
Z_LOG_STEP = math.log(Z_SCALE_MAX / Z_SCALE_MIN) / (Z_SCALES - 1)
Z_FRACTIONS = 4
"""Places of a law between two integers: its location is known to a quarter of a step."""
HYPER = 4
"""Hyper-latents of a cell: mean log magnitudes over bands of channels."""
CELL = 2
"""Latents under a cell of z, each way."""
HIDDEN, OUT = 7, 8
"""Shifts of integer layers: hidden ones, and those whose sum is an index."""
RELU = 255
"""Largest activation of a hidden integer layer."""


def magnitude(r: Tensor) -> Tensor:
    """What scales see of residuals: integers 0..160, roughly logarithmic."""
    a = r.abs()
    return 32 * a.clamp(max=1) + 16 * a.clamp(max=4) + 4 * a.clamp(max=16)


def dequantise(z: Tensor, mul: Tensor) -> Tensor:
    """Hyper-latents as integers in 1/16 log units, clipped to +-127; ``mul`` ``[B, K, 1, 1]`` integers."""
    return requantise(z * mul, 8, -Z_PEAK, Z_PEAK)


def cells(stage: Stage, octaves: int, t: Tensor) -> Tensor:
    """The cells of a map on the grid of z under the sites of a stage of r."""
    if stage.octave == 0 and octaves > 0:
        return t
    step, (i, j) = 2**stage.octave, PHASES[stage.phase]
    return t[:, :, (i * step) // 2 :: step, (j * step) // 2 :: step]


class HyperAnalysis(nn.Module):
    """Gained latents ``[B, M, 2a, 2b]`` to hyper-latents ``[B, K, a, b]`` in natural-log units, before
    rounding.
    """

    def __init__(self, c: Config) -> None:
        super().__init__()
        self.bands = Pointwise(c.latents, HYPER)
        self.reduce = Pointwise(2 * c.latents, 64)
        self.conv = nn.Conv2d(64, 64, 3, padding=1)
        self.out = Pointwise(CELL * CELL * 64, HYPER)
        self.out.silence()

    def forward(self, y: Tensor, gain: Tensor) -> Tensor:
        energy = torch.log((y * gain).abs() + 0.2)
        t = F.relu(self.reduce(torch.cat((energy, y), 1)))
        learned: Tensor = self.out(F.pixel_unshuffle(F.relu(self.conv(t)), CELL))
        return F.avg_pool2d(self.bands(energy), CELL) + learned


def _zero(layer: IntConv, *columns: slice) -> IntConv:
    """Weights of some inputs, or all, set to zero."""
    with torch.no_grad():
        for part in columns or (slice(None),):
            layer.weight[:, part].zero_()
    return layer


class HyperModel(nn.Module):
    """Location and scale of every hyper-latent, from those of the phases before (integers).

    Of one cell, channel k also sees channels 0..k-1.
    """

    NARROW = 32

    def __init__(self) -> None:
        super().__init__()
        k, n = HYPER, self.NARROW
        self.hidden = nn.ModuleList(IntConv(k * p, n, 3, shift=HIDDEN, limit=127) for p in (1, 2, 3) * 2)
        self.linear = nn.ModuleList(_zero(IntConv(k * p, k, 3, shift=OUT, limit=511)) for p in (1, 2, 3) * 2)
        self.place = nn.ModuleList(_zero(IntConv(n, k, 1, shift=OUT, limit=511)) for _ in range(6))
        self.scale = nn.ModuleList(_zero(IntConv(n, k, 1, shift=OUT, limit=511)) for _ in range(6))
        self.own = nn.ModuleList(_zero(IntConv(k, k, 1, shift=OUT, limit=511)) for _ in range(7))
        for layers in (self.hidden, self.linear, self.place, self.scale, self.own):
            for layer in layers:
                if layers is not self.hidden:
                    layer.bias.requires_grad_(False)  # the level's takes its place
        self.register_buffer("lower", torch.tril(torch.ones(k, k), -1)[:, :, None, None], persistent=False)

    def forward(
        self, stage: Stage, known: list[Tensor], d: Tensor, place: Tensor, scale: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``known``: dequantised z of the phases before, ``d`` of this one, ``[B, K, a, b]`` each; ``place``,
        ``scale``: the level's biases ``[B, K, 1, 1]``, in ``2**-8`` units.

        Returns location in 1/16 log units and scale class, integers; channel k of either uses only channels
        below k of ``d``.
        """
        weight = self.own[stage.number].integers()[0] * self.lower
        with exact_arithmetic(d.is_cuda):
            acc, size = F.conv2d(d, weight) + place, scale
        if known:
            s = stage.number - 1
            context = torch.cat(known, 1)
            t = requantise(self.hidden[s](context), HIDDEN, 0, RELU)
            acc = acc + self.linear[s](context) + self.place[s](t)
            size = size + self.scale[s](t)
        location = requantise(acc, OUT, -2 * Z_PEAK, 2 * Z_PEAK)
        return location, requantise(size, OUT, 0, Z_SCALES - 1).expand_as(location)


def quarters(location: Tensor, mul: Tensor) -> Tensor:
    """Location in 1/16 log units to quarters of a step of z, integers; ``mul`` as in `dequantise`."""
    inverse = torch.floor((2**20 + torch.floor(mul.detach() / 2)) / mul.detach())
    exact = torch.floor((location.detach() * inverse + 512) / 1024)
    slope = location * (Z_FRACTIONS * 256.0) / mul
    return slope + (exact - slope).detach()


class Scales(nn.Module):
    """Class of every residual from z and from the residuals before it (integers)."""

    WIDE, LOW_HIDDEN, REDUCED, HIGH_HIDDEN, MIX = 48, 32, 24, 48, 64

    def __init__(self, c: Config) -> None:
        super().__init__()
        high, k, n = c.latents - LOW, HYPER, self.REDUCED
        self.wide = IntConv(k, self.WIDE, 3, shift=HIDDEN, limit=127)
        side = self.WIDE + k

        def index(cin: int, cout: int) -> IntConv:
            layer = _zero(IntConv(cin, cout, 1, shift=OUT, limit=511))
            layer.bias.requires_grad_(False)  # the level's takes its place
            return layer

        self.low = nn.ModuleList(
            IntConv(LOW * p, self.LOW_HIDDEN, 3, shift=HIDDEN, limit=127) for p in (1, 2, 3) * LOW_OCTAVES
        )
        self.low_out = nn.ModuleList(
            index(side + (self.LOW_HIDDEN if s else 0), LOW) for s in range(1 + 3 * LOW_OCTAVES)
        )
        self.below = IntConv(4 * LOW, n, 1, shift=HIDDEN, limit=127)
        self.reduce = nn.ModuleList(IntConv(high, n, 1, shift=HIDDEN, limit=127) for _ in range(3))
        self.near = nn.ModuleList(
            IntConv(n * (1 + p), self.HIGH_HIDDEN, 3, shift=HIDDEN, limit=127) for p in range(4)
        )
        self.mix = nn.ModuleList(
            IntConv(self.HIGH_HIDDEN + side, self.MIX, 1, shift=HIDDEN, limit=127) for _ in range(4)
        )
        self.high_out = nn.ModuleList(index(self.MIX + k, high) for _ in range(4))

    @staticmethod
    def _relu(acc: Tensor) -> Tensor:
        return requantise(acc, HIDDEN, 0, RELU)

    def side(self, d: Tensor) -> Tensor:
        """Dequantised z ``[B, K, a, b]`` to what all stages see of it ``[B, WIDE + K, a, b]``."""
        return torch.cat((self._relu(self.wide(d)), d), 1)

    def low_stage(self, stage: Stage, known: list[Tensor], side: Tensor, bias: Tensor) -> Tensor:
        """Classes of low channels ``[B, LOW, h, w]``, 1..63; ``known``: magnitudes of the phases before."""
        parts = [cells(stage, LOW_OCTAVES, side)]
        if known:
            parts.insert(0, self._relu(self.low[stage.number - 1](torch.cat(known, 1))))
        return requantise(self.low_out[stage.number](torch.cat(parts, 1)) + bias, OUT, 1, SCALES - 1)

    def high_context(self, low: list[Tensor]) -> Tensor:
        """Magnitudes of the low channels, all four phases, reduced."""
        return self._relu(self.below(torch.cat(low, 1)))

    def reduced(self, p: int, known: Tensor) -> Tensor:
        """Magnitudes of phase p of the high channels, reduced for the phases behind it."""
        return self._relu(self.reduce[p](known))

    def high_stage(self, p: int, context: list[Tensor], side: Tensor, bias: Tensor) -> Tensor:
        """Classes of high channels, phase p, 0..63; ``context``: `high_context`, then `reduced` ones."""
        near = self._relu(self.near[p](torch.cat(context, 1)))
        mix = self._relu(self.mix[p](torch.cat((near, side), 1)))
        acc = self.high_out[p](torch.cat((mix, side[:, self.WIDE :]), 1)) + bias
        return requantise(acc, OUT, 0, SCALES - 1)


class Mean(nn.Module):
    """Means of the latents in units of y."""

    LOW_HIDDEN, REDUCED, HIDDEN = 48, 64, 128

    def __init__(self, c: Config) -> None:
        super().__init__()
        n, h, high = self.REDUCED, self.HIDDEN, c.latents - LOW
        self.base = nn.Parameter(torch.zeros(LOW))
        self.low = nn.ModuleList(
            nn.Conv2d(LOW * p, self.LOW_HIDDEN, 3, padding=1) for p in (1, 2, 3) * LOW_OCTAVES
        )
        self.low_far = nn.ModuleList(
            nn.Conv2d(self.LOW_HIDDEN, self.LOW_HIDDEN, 3, padding=1) for _ in self.low
        )
        self.low_out = nn.ModuleList(Pointwise(3 * self.LOW_HIDDEN, LOW) for _ in self.low)
        self.wide = nn.Conv2d(HYPER, 64, 3, padding=1)
        self.up = Pointwise(64, n)
        self.reduce = nn.ModuleList(Pointwise(c.latents, n) for _ in range(3))
        self.conv = nn.ModuleList(nn.Conv2d(n * (1 + p) + LOW * (4 - p), h, 3, padding=1) for p in range(4))
        self.out = nn.ModuleList(Pointwise(2 * h, high) for _ in range(4))
        for layer in (*self.low_out, *self.out):
            layer.silence()

    def low_stage(self, stage: Stage, known: list[Tensor], like: Tensor) -> Tensor:
        """Means of low channels, of the shape of ``like`` ``[B, LOW, h, w]``; ``known``: y_hat before."""
        if not known:
            return self.base[:, None, None].expand_as(like)
        s = stage.number - 1
        t = self.low[s](torch.cat(known, 1))
        near = F.relu(t)
        mean: Tensor = self.low_out[s](torch.cat((t, near, F.relu(self.low_far[s](near))), 1))
        return mean

    def features(self, d: Tensor) -> Tensor:
        """Dequantised hyper-latents ``[B, K, a, b]``, in log units, to features ``[B, REDUCED, a, b]``."""
        return self.up(F.relu(self.wide(d)))

    def high_stage(self, p: int, context: list[Tensor], low: list[Tensor]) -> Tensor:
        """Means of high channels, phase p; ``context``: the features, then the phases before, reduced;
        ``low``: y_hat of the low channels, four phases.
        """
        t = self.conv[p](torch.cat((*context, *low[p:]), 1))
        mean: Tensor = self.out[p](torch.cat((t, F.relu(t)), 1))
        return mean
