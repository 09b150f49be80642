"""Generalised divisive normalisation (Balle, Laparra, Simoncelli: arXiv 1511.06281)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.bounds import lower_bound

PEDESTAL = 2.0**-36


class GDN(nn.Module):
    """``y_i = x_i / sqrt(beta_i + sum_j gamma_ij x_j^2)``; the inverse form multiplies by the root.

    ``[B, C, H, W]`` to the same shape.  ``beta >= 1e-6`` starts at 1 and ``gamma >= 0`` at 0.1 I.  The
    parameters hold their square roots (plus a pedestal), which keeps gradients alive near zero; CompressAI
    and TFC store the same.
    """

    def __init__(self, channels: int, *, inverse: bool = False, beta_min: float = 1e-6) -> None:
        super().__init__()
        self.inverse = inverse
        self.beta_bound = (beta_min + PEDESTAL) ** 0.5
        self.gamma_bound = PEDESTAL**0.5
        self.beta = nn.Parameter((torch.ones(channels) + PEDESTAL).sqrt())
        self.gamma = nn.Parameter((0.1 * torch.eye(channels) + PEDESTAL).sqrt())

    def forward(self, x: Tensor) -> Tensor:
        beta = lower_bound(self.beta, self.beta_bound).square() - PEDESTAL
        gamma = lower_bound(self.gamma, self.gamma_bound).square() - PEDESTAL
        norm = F.conv2d(x.square(), gamma[:, :, None, None], beta)
        if not torch.is_grad_enabled():  # in place: large pictures spend half of their time on memory
            return (norm.sqrt_() if self.inverse else norm.rsqrt_()).mul_(x)
        return x * (norm.sqrt() if self.inverse else norm.rsqrt())

    def extra_repr(self) -> str:
        return f"{len(self.beta)}, inverse={self.inverse}"
