"""What the quality level sets in the product's model, and the prior laws that rates are counted with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from calotype.lab.layers.integer import round_through
from calotype.lab.models.calotype_config import Config
from calotype.lab.models.calotype_latents import HYPER, LOG_STEP, OUT, SCALE_MIN, SCALES, Z_UNIT
from calotype.lab.models.calotype_walk import HYPER_OCTAVES, LOW, LOW_OCTAVES, PHASES, Stage, stages

P_MIN = 1e-9
"""Smallest probability that a rate is counted with: about 30 bits."""
LOW_STEPS = LOW_OCTAVES + 1
"""Sets of steps of the low channels: base, then one per octave, coarse to fine."""


def steps_of(stage: Stage) -> int:
    """Which set of steps a stage of the low channels has."""
    return 0 if stage.phase == 0 else LOW_OCTAVES - stage.octave


@dataclass
class Knobs:
    """Everything that the quality level sets, for a batch of levels.  Shapes are ``[B, n, C, 1, 1]``."""

    low_gain: Tensor
    """n = 4 sets of steps: what a residual of a low channel is multiplied by before it is rounded."""
    low_inv_gain: Tensor
    """What the decoder multiplies it by."""
    high_gain: Tensor
    """n = 4 phases: the same for the other channels."""
    high_inv_gain: Tensor
    low_bias: Tensor
    """n = 10 stages: offset of the class of low channels, integers in ``2**-8`` steps."""
    high_bias: Tensor
    """n = 4 phases: the same for the other channels."""
    z_mul: Tensor
    """``[B, K, 1, 1]`` integers: step of the hyper-latents in 1/256 of 1/16 log unit."""
    z_place: Tensor
    """n = 7 stages: offset of the location of z, integers in ``2**-8`` of 1/16 log unit."""
    z_scale: Tensor
    """n = 7 stages: offset of the scale class of z, integers in ``2**-8`` classes."""
    vector: Tensor
    """``[B, M, 1, 1]``: what the synthesis adds to the latents."""

    @property
    def gain(self) -> Tensor:
        """Gains ``[B, M, 1, 1]`` of the finest grid."""
        return torch.cat((self.low_gain[:, -1], self.high_gain[:, -1]), 1)

    def gains(self, height: int, width: int) -> Tensor:
        """Gain of every latent of a map, ``[B, M, height, width]``."""
        low = self.low_gain[:, -1].repeat(1, 1, height, width)
        for number in range(1, LOW_STEPS):
            step = 2**number
            low[:, :, ::step, ::step] = self.low_gain[:, -1 - number]
        high = self.high_gain[:, 0].repeat(1, 1, height, width)
        for phase, (i, j) in enumerate(PHASES):
            high[:, :, i::2, j::2] = self.high_gain[:, phase]
        return torch.cat((low, high), 1)


class Levels(nn.Module):
    """Per-level parameters at the trained anchors; between them gains are interpolated in log, the rest
    linearly.

    Integers are rounded at the anchors and again after interpolation, so at every level that a file can have
    (multiples of 1/256) they are the very integers that the codec computes.
    """

    def __init__(self, c: Config) -> None:
        super().__init__()
        n, high = len(c.lambdas), c.latents - LOW
        low_stages, z_stages = len(stages(LOW_OCTAVES)), len(stages(HYPER_OCTAVES))
        self.low_log_gain = nn.Parameter(torch.zeros(n, LOW_STEPS, LOW))
        self.low_log_inv_gain = nn.Parameter(torch.zeros(n, LOW_STEPS, LOW))
        self.high_log_gain = nn.Parameter(torch.zeros(n, len(PHASES), high))
        self.high_log_inv_gain = nn.Parameter(torch.zeros(n, len(PHASES), high))
        self.low_bias = nn.Parameter(torch.zeros(n, low_stages, LOW))  # in classes
        self.high_bias = nn.Parameter(torch.zeros(n, len(PHASES), high))
        self.log_z_step = nn.Parameter(torch.linspace(-0.2, -1.1, n)[:, None].repeat(1, HYPER))
        self.z_place = nn.Parameter(torch.zeros(n, z_stages, HYPER))  # in 1/16 log units
        self.z_scale = nn.Parameter(torch.full((n, z_stages, HYPER), 9.0))  # in scale classes
        self.vector = nn.Parameter(torch.zeros(n, c.latents))

    def integers(self) -> dict[str, Tensor]:
        """The integer tables at the anchors, as floats."""
        scale = 2.0**OUT
        found = {"z_mul": round_through(self.log_z_step.exp() * (256 * Z_UNIT))}
        for name in ("low_bias", "high_bias", "z_place", "z_scale"):
            found[name] = round_through(getattr(self, name) * scale)
        return found

    def forward(self, level: Tensor) -> Knobs:
        """``level`` ``[B]``, 0 .. anchors-1."""
        anchors = torch.arange(self.vector.shape[0], device=level.device)
        hats = (1 - (level[:, None] - anchors).abs()).clamp_min(0)

        def mix(t: Tensor) -> Tensor:
            # No lookup, whose slope is slow on a GPU, and no matrix product, which may round there.
            flat = (hats[:, :, None] * t.flatten(1)).sum(1)
            return flat.unflatten(1, t.shape[1:])[..., None, None]

        exact = {name: round_through(mix(t)) for name, t in self.integers().items()}
        return Knobs(
            low_gain=mix(self.low_log_gain).exp(),
            low_inv_gain=mix(self.low_log_inv_gain).exp(),
            high_gain=mix(self.high_log_gain).exp(),
            high_inv_gain=mix(self.high_log_inv_gain).exp(),
            vector=mix(self.vector),
            **exact,
        )


def gaussian_bits(v: Tensor, sigma: Tensor) -> Tensor:
    """Bits of a zero-mean Gaussian of scale sigma integrated over a unit interval around v; all of one
    shape.
    """
    v = v.abs()
    scale = 2**-0.5 / sigma
    p = 0.5 * (torch.erfc((v - 0.5) * scale) - torch.erfc((v + 0.5) * scale))
    return -torch.log2(p.clamp_min(P_MIN))


class _TrainingRate(torch.autograd.Function):
    """Bits of rounded residuals, whose slope along the values is that of the noisy rate.

    A rounded zero has no slope, so nothing would hold small residuals down and the low levels would drift to
    higher rates (seen).  Written by hand since this is half of a training step otherwise.
    """

    @staticmethod
    def forward(
        ctx: Any, residual: Tensor, index: Tensor, r: Tensor, noise: Tensor, bits: Tensor, by_index: Tensor
    ) -> Tensor:
        place = index.long() * R_TABLE + r.abs().clamp(max=R_TABLE - 1).long()
        sigma = SCALE_MIN * torch.exp(index * LOG_STEP)
        v, scale = residual + noise, 2**-0.5 / sigma
        sign, v = v.sign(), v.abs()
        low, high = (v - 0.5) * scale, (v + 0.5) * scale
        p = (0.5 * (torch.erfc(low) - torch.erfc(high))).clamp_min(P_MIN)
        density = torch.exp(-low.square()) - torch.exp(-high.square())
        by_value = sign * density * scale / (p * (math.pi**0.5 * math.log(2)))
        ctx.save_for_backward(by_value, by_index.flatten()[place])
        return bits.flatten()[place]

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        by_value, by_index = ctx.saved_tensors
        return by_value * slope, by_index * slope, None, None, None, None


R_TABLE = 512
"""Residuals that `rate_tables` tells apart; the largest has about the bits of all beyond."""


@torch.enable_grad()
def rate_tables() -> tuple[Tensor, Tensor]:
    """Bits of every class and size of a residual ``[64, 512]``, and their slope along the class; the skip
    class costs nothing.
    """
    index = torch.arange(SCALES, dtype=torch.float64)[:, None].expand(-1, R_TABLE).clone().requires_grad_()
    r = torch.arange(R_TABLE, dtype=torch.float64).expand(SCALES, -1)
    bits = gaussian_bits(r, SCALE_MIN * torch.exp(index * LOG_STEP))
    (slope,) = torch.autograd.grad(bits.sum(), index)
    bits, slope = bits.detach().float(), slope.float()
    bits[0], slope[0] = 0, 0
    return bits, slope


def training_rate(
    residual: Tensor, index: Tensor, r: Tensor, noise: Tensor, tables: tuple[Tensor, Tensor]
) -> Tensor:
    """Bits of integers ``r`` of classes ``index`` (0: skipped, no bits), with the tables of `rate_tables`.
    Classes learn from the rounded residuals; ``residual`` gets the slope of the rate with ``noise``, uniform
    in -1/2 .. 1/2.
    """
    bits: Tensor = _TrainingRate.apply(residual, index, r, noise, *tables)
    return bits


def logistic_bits(v: Tensor, loc: Tensor, scale: Tensor) -> Tensor:
    """Bits of a logistic distribution integrated over a unit interval around v."""
    v = (v - loc).abs()
    p = torch.sigmoid((0.5 - v) / scale) - torch.sigmoid((-0.5 - v) / scale)
    return -torch.log2(p.clamp_min(P_MIN))


def shrinkage(strength: float = 0.5) -> Tensor:
    """Factor on ``|residual|`` before rounding, for each sigma index: ``[64]``, 0.55 .. 1.

    Training's rate-distortion optimised quantisation, in closed form.  A step matched to lambda
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
