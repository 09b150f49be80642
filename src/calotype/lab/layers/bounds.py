"""Bounds and roundings through which gradients still flow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _LowerBound(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bound: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.bound = bound
        return x.clamp_min(bound)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return grad * ((x >= ctx.bound) | (grad < 0)), None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """``max(x, bound)``; below it, gradients that would raise ``x`` still pass (Balle et al. 2018)."""
    return _LowerBound.apply(x, bound)


def round_ste(x: Tensor) -> Tensor:
    """``round(x)``, half to even, with the gradient of the identity (straight-through)."""
    return x + (torch.round(x) - x).detach()
