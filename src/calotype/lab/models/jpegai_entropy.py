"""The entropy model that all versions of JPEG AI share here, for each of two branches, luma and
chroma.

::

    y --|y|, h_a--> z -- round --> z_hat, clipped to +-31
                                     |--- h_scale, integers only --> index of sigma         (all of y at once)
                                     `--- h_mean --> side --> context --> mu                (phase by phase)
                                                                ^
      0 2 0 2                             y_hat of the phases before it
      3 1 3 1      y_hat = round(y - mu) + mu
      0 2 0 2

Coding order: luma, then chroma; in each z, then y in the four phases of a 2x2 grid, all channels of a phase
together. The probability of ``round(y - mu)`` depends on z alone: a decoder can read all symbols before it
computes any mean.

Layers as in JPEG AI's reference software, multiply-accumulates too; no gain units, no skipping of blocks, no
lossless tricks.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy import Coder, FactorizedPrior, Gaussian, given, log_scales, parts
from calotype.lab.layers.bounds import lower_bound
from calotype.lab.layers.conv import conv
from calotype.lab.layers.integer import IntConv, exact_arithmetic, requantise, round_through
from calotype.lab.layers.jpegai import deconv4
from calotype.lab.models.base import LabModel

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Row and column offsets on the 2x2 grid, in coding order."""
Z_PEAK = 31
"""Largest magnitude of a hyper-latent that the decoder's networks see."""
SCALES = (0.11, 100.0, 35)
"""The standard deviations that an index stands for: first, last, number; even in the logarithm."""


@lru_cache(maxsize=1)
def _tables() -> Any:
    from calotype.coder import gaussian_tables

    return gaussian_tables(log_scales(*SCALES))


class Indexed(Gaussian):
    """A Gaussian whose sigma is one of `SCALES`."""

    scales = SCALES

    @classmethod
    def of(cls, mu: Tensor, index: Tensor) -> Indexed:
        """From indices, integers in floating point (anything between them interpolates: training passes
        gradients).
        """
        low, high, count = SCALES
        return cls(mu, low * (high / low) ** (index / (count - 1)))

    @classmethod
    def tables(cls) -> Any:
        return _tables()


def hyper_analysis(c: int) -> nn.Sequential:
    """``|y|`` ``[B, c, h, w]`` to ``[B, c, h/4, w/4]``."""
    return nn.Sequential(
        conv(c, c, 3, 1), nn.LeakyReLU(), conv(c, c, 3, 1),
        conv(c, c, 3, 2), nn.LeakyReLU(), conv(c, c, 3, 1),
        conv(c, c, 3, 2),
    )  # fmt: skip


def hyper_mean(c: int) -> nn.Sequential:
    """z ``[B, c, a, b]`` to side information ``[B, 4 c, 2a, 2b]``: c channels for each of the four phases."""
    return nn.Sequential(
        conv(c, c, 1, 1, bias=False),
        deconv4(c, c),
        nn.ReLU6(),
        conv(c, c, 3, 1),
        nn.ReLU6(),
        conv(c, 4 * c, 3, 1),
    )


class ScaleIndices(nn.Module):
    """z, integers ``[B, c, a, b]`` within +-31, to indices of sigma ``[B, c, 4a, 4b]``, integers 0..34.

    conv1, conv3, conv1 with ReLU, then pixel shuffle 4, all in integers: activations in 1/8 from 0 to 255/8.
    The limits on the weights keep every sum below 2**24 up to 160 channels, so it is exact in float32 as
    well; a file runs it in float64 anyway.  Starts at index 12 (sigma 1.2) everywhere.
    """

    def __init__(self, c: int) -> None:
        super().__init__()
        self.first = IntConv(c, c, 1, shift=7, limit=127)
        self.second = IntConv(c, c, 3, shift=7, limit=44)
        self.last = IntConv(c, 16 * c, 1, shift=8, limit=255)
        with torch.no_grad():
            # never all zero, so that the last layer learns where z is 0
            self.first.bias.fill_(0.5)
            self.second.bias.fill_(4.0)  # in 1/8
            self.last.weight.zero_()
            self.last.bias.fill_(24.0)  # in half indices

    def forward(self, z: Tensor) -> Tensor:
        with exact_arithmetic():
            t = requantise(self.first(z), 4, 0, 255)
            t = requantise(self.second(t), 7, 0, 255)
            index = round_through(F.pixel_shuffle(self.last(t), 4) * 2.0**-9)
        # an index that has left the range still learns to come back
        return -lower_bound(-lower_bound(index, 0.0), 1.0 - SCALES[2])


class PhaseMeans(nn.Module):
    """Means of one phase of y, ``[B, c, 2a, 2b]``, from its side information and the phases before it (MCM).

    The earlier phases pass a 1x1 and a grouped 3x3 convolution, then three 1x1 convolutions join both.
    """

    def __init__(self, c: int) -> None:
        super().__init__()
        groups = max(1, c // 32) if c % 32 == 0 else 1
        self.context, self.joint = nn.ModuleList(), nn.ModuleList()
        for p in range(4):
            grouped = nn.Conv2d(c, c, 3, padding=1, groups=groups)
            mixes = [conv(n * c, c, 1, 1, bias=False) for n in (p, 1 + (p > 0), 1, 1) if n]
            self.context.append(nn.Sequential(mixes.pop(0), grouped) if p else nn.Identity())
            self.joint.append(nn.Sequential(mixes[0], nn.ReLU(), mixes[1], nn.ReLU(), mixes[2]))

    def forward(self, p: int, side: Tensor, earlier: list[Tensor]) -> Tensor:
        seen = [self.context[p](torch.cat(earlier, 1))] if p else []
        return self.joint[p](torch.cat((*seen, side), 1))


class TwoBranches(LabModel):
    """A codec with ``channels`` = (luma, chroma) latents at 1/16, kept in one map, luma first; z at 1/64
    likewise.
    """

    multiple = 64
    quantisation = "mixed"
    channels: tuple[int, int]

    def entropy_parts(self, luma: int, chroma: int) -> None:
        """Make the networks of the entropy model."""
        self.channels = (luma, chroma)
        self.h_a = nn.ModuleList(hyper_analysis(c) for c in self.channels)
        self.prior = nn.ModuleList(FactorizedPrior(c) for c in self.channels)
        self.h_scale = nn.ModuleList(ScaleIndices(c) for c in self.channels)
        self.h_mean = nn.ModuleList(hyper_mean(c) for c in self.channels)
        self.means = nn.ModuleList(PhaseMeans(c) for c in self.channels)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        branches = [self.branch(coder, i, y_i) for i, y_i in enumerate(parts(y, list(self.channels)))]
        return torch.cat(branches, 1)

    def branch(self, coder: Coder, i: int, y: Tensor | None) -> Tensor:
        """Code z and y of branch i; return its ``y_hat``."""
        prior = self.prior[i]
        z_hat = coder.code(f"z/{i}", given(lambda v: self.h_a[i](v.abs()), y), prior(coder.grid(64)))
        z = round_through(z_hat - prior.medians).clamp(-Z_PEAK, Z_PEAK)  # the integers that the file holds
        index, side = self.h_scale[i](z), self.h_mean[i](z).chunk(4, 1)
        b, _, h, w = index.shape
        positions = torch.arange(h * w, device=index.device).view(h, w)
        phases: list[Tensor] = []
        for p, (row, column) in enumerate(PHASES):
            mu = self.means[i](p, side[p], phases)
            sigma = index[:, :, row::2, column::2]
            part = coder.code(
                f"y/{i}",
                y,
                Indexed.of(mu.flatten(2), sigma.flatten(2)),
                at=positions[row::2, column::2].flatten(),
            )
            phases.append(part.view(b, -1, h // 2, w // 2))
        grid = torch.stack([phases[PHASES.index(at)] for at in ((0, 0), (0, 1), (1, 0), (1, 1))], 2)
        return F.pixel_shuffle(grid.flatten(1, 2), 2)
