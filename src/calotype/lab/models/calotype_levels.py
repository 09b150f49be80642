"""What the quality level sets in the product's model, and the prior laws that rates are counted with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from calotype.lab.layers.integer import round_through
from calotype.lab.models.calotype_parts import HYPER, LOG_STEP, SCALE_MIN, SCALES, Z_UNIT, Scales

if TYPE_CHECKING:
    from calotype.lab.models.calotype import Config

P_MIN = 1e-9
"""Smallest probability that a rate is counted with: about 30 bits."""


@dataclass
class Knobs:
    """Everything that the quality level sets, for a batch of levels."""

    gain: Tensor
    """``[B, M, 1, 1]``, positive: what a residual is multiplied by before it is rounded."""
    inv_gain: Tensor
    """``[B, M, 1, 1]``, positive: what the decoder multiplies the rounded residual by."""
    z_mul: Tensor
    """``[B, 64, 1, 1]``, integers: step of the hyper-latents in 1/256 of 1/16 log unit."""
    bias: Tensor
    """``[B, M, 1, 1]``, integers: offset of the sigma index in ``2**-8`` steps."""
    vector: Tensor
    """``[B, M, 1, 1]``: what the synthesis adds to the latents."""
    z_loc: Tensor
    """``[B, 64, 1, 1]``: location of the logistic prior of the hyper-latents, and ..."""
    z_scale: Tensor
    """... its scale, both in quantisation steps."""


class Levels(nn.Module):
    """Per-level parameters at the trained anchors; between them gains are interpolated in log, the rest
    linearly.

    ``z_mul`` and ``bias`` are rounded at the anchors and again after interpolation, so at every level that a
    file can have (multiples of 1/256) they are the very integers that the codec computes.
    """

    def __init__(self, c: Config) -> None:
        super().__init__()
        n = len(c.lambdas)
        self.log_gain = nn.Parameter(torch.zeros(n, c.latents))
        self.log_inv_gain = nn.Parameter(torch.zeros(n, c.latents))
        self.log_z_step = nn.Parameter(torch.linspace(-0.2, -1.1, n)[:, None].repeat(1, HYPER))
        self.bias = nn.Parameter(torch.zeros(n, c.latents))  # in sigma index steps
        self.vector = nn.Parameter(torch.zeros(n, c.latents))
        self.z_loc = nn.Parameter(torch.zeros(n, HYPER))
        self.z_log_scale = nn.Parameter(torch.zeros(n, HYPER))

    def integers(self) -> tuple[Tensor, Tensor]:
        """``z_mul`` ``[L, 64]`` and ``bias`` ``[L, M]`` at the anchors, integers as floats."""
        z_mul = round_through(self.log_z_step.exp() * (256 * Z_UNIT))
        return z_mul, round_through(self.bias * 2.0**Scales.OUT)

    def forward(self, level: Tensor) -> Knobs:
        """``level`` ``[B]``, 0 .. anchors-1."""
        anchors = torch.arange(self.log_gain.shape[0], device=level.device)
        hat = (1 - (level[:, None] - anchors).abs()).clamp_min(0)[:, :, None]

        def mix(t: Tensor) -> Tensor:
            # No lookup, whose slope is slow on a GPU, and no matrix product, which may round there.
            return (hat * t).sum(1)[:, :, None, None]

        z_mul, bias = self.integers()
        return Knobs(
            gain=mix(self.log_gain).exp(),
            inv_gain=mix(self.log_inv_gain).exp(),
            z_mul=round_through(mix(z_mul)),
            bias=round_through(mix(bias)),
            vector=mix(self.vector),
            z_loc=mix(self.z_loc),
            z_scale=mix(self.z_log_scale).exp(),
        )


def gaussian_bits(v: Tensor, sigma: Tensor) -> Tensor:
    """Bits of a zero-mean Gaussian of scale sigma integrated over a unit interval around v; all of one
    shape.
    """
    v = v.abs()
    scale = 2**-0.5 / sigma
    p = 0.5 * (torch.erfc((v - 0.5) * scale) - torch.erfc((v + 0.5) * scale))
    return -torch.log2(p.clamp_min(P_MIN))


def logistic_bits(v: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Bits of a logistic distribution integrated over a unit interval around v."""
    v = (v - loc).abs()
    p = torch.sigmoid((0.5 - v) / scale) - torch.sigmoid((-0.5 - v) / scale)
    return -torch.log2(p.clamp_min(P_MIN))


def shrinkage(strength: float = 0.5) -> Tensor:
    """Factor on ``|residual|`` before rounding, for each sigma index: ``[64]``, 0.55 .. 1.

    The encoder's share of rate-distortion optimised quantisation, in closed form.  A step matched to lambda
    (4.5 / sqrt(lambda), see `calotype_start`) makes one squared step worth 6.75 bits, so a 1 instead of a 0
    pays only above ``0.5 + bits saved / 13.5``.  Half of that (``strength``) measured best: later phases and
    neighbours feel each zero too.
    """
    sigma = SCALE_MIN * torch.exp(torch.arange(SCALES) * LOG_STEP)
    saved = gaussian_bits(torch.ones(SCALES), sigma) - gaussian_bits(torch.zeros(SCALES), sigma)
    return 0.5 / (0.5 + (strength * saved / 13.5).clamp(max=0.4))


def frugal_round(v: Tensor, shrink: Tensor) -> Tensor:
    """``sign(v) floor(|v| shrink + 0.5)``, straight-through."""
    return v + (v.sign() * torch.floor(v.abs() * shrink + 0.5) - v).detach()
