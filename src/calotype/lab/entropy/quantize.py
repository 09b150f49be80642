"""Quantizers: how a real latent becomes what the rate is counted on, and what the decoder sees.

A quantizer is called as ``q(v, centre, generator) -> v_hat`` with tensors of one shape; ``centre`` is the
mean that rounding is aligned to (0 where none is known), and ``generator`` drives the noise.  `centred` says
whether the result depends on ``centre``: if not, all of a picture's latents can be quantised before any
parameter is known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from calotype.lab.layers.bounds import round_ste

Centre: TypeAlias = Tensor | float
Quantizer = Callable[[Tensor, Centre, "torch.Generator | None"], Tensor]


def _uniform(v: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.rand(v.shape, generator=generator, device=v.device, dtype=v.dtype)


def noise(v: Tensor, centre: Centre, generator: torch.Generator | None = None) -> Tensor:
    """``v + u``, u uniform in -1/2 .. 1/2: its density is the rounded probability (Balle 2017)."""
    return v + (_uniform(v, generator) - 0.5)


def shifted(v: Tensor, centre: Centre, generator: torch.Generator | None = None) -> Tensor:
    """``round(v - centre) + centre``, gradient straight-through: what a file holds (Minnen et al. 2018)."""
    return round_ste(v - centre) + centre


def plain(v: Tensor, centre: Centre, generator: torch.Generator | None = None) -> Tensor:
    """``round(v)``, gradient straight-through, whatever the centre."""
    return round_ste(v)


def stochastic(v: Tensor, centre: Centre, generator: torch.Generator | None = None) -> Tensor:
    """``floor(v)`` or one more, so that the mean stays; straight-through (Theis et al. 2017)."""
    return v + (torch.floor(v + _uniform(v, generator)) - v).detach()


noise.centred = plain.centred = stochastic.centred = False  # type: ignore[attr-defined]
shifted.centred = True  # type: ignore[attr-defined]


class VectorQuantizer(nn.Module):
    """Soft-to-hard scalar quantisation to L learned centres (Agustsson et al. 2017; Mentzer et al. 2018).

    Forward takes the nearest centre; the gradient is that of ``sum_j softmax_j(-sharpness |v - c_j|^2) c_j``.
    ``sharpness`` grows in training (2017) or stays 1 (2018).  Centres start uniform in -2 .. 2.
    """

    def __init__(self, levels: int = 6, sharpness: float = 1.0) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.empty(levels).uniform_(-2, 2).sort().values)
        self.sharpness = sharpness

    def assign(self, v: Tensor) -> Tensor:
        """Soft assignments of ``v`` to the centres, ``[..., L]``, positive with sum 1."""
        return torch.softmax(-self.sharpness * (v[..., None] - self.centres).square(), -1)

    def forward(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """Return the quantised ``v`` and the index of its centre (int64), both of its shape."""
        soft = (self.assign(v) * self.centres).sum(-1)
        index = (v[..., None] - self.centres).square().argmin(-1)
        return soft + (self.centres[index] - soft).detach(), index

    def penalty(self, weight: float = 0.1) -> Tensor:
        """L2 penalty on the centres, which keeps them from drifting (2018)."""
        return weight * self.centres.square().sum()
