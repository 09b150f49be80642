"""Losses of a generator and its discriminator in one backward pass, and a stand-in for LPIPS.

Published training takes turns: a step of the discriminator, a step of the generator.  Here both take their
step at once from one loss, each blind to the other's part of it, so that the training loop stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.metrics import ms_ssim

Logits = Callable[[Tensor], Tensor]


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """What is computed inside gives no gradient to the module's parameters, only through it."""
    wanted = [p for p in module.parameters() if p.requires_grad]
    for p in wanted:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in wanted:
            p.requires_grad_(True)


def non_saturating(real: Tensor, fake: Tensor) -> Tensor:
    """Of the discriminator: cross-entropy of its logits (Goodfellow et al. 2014)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def least_squares(real: Tensor, fake: Tensor) -> Tensor:
    """Of the discriminator: squared distance of its outputs from 1 and 0 (Mao et al. 2017)."""
    return (real - 1).square().mean() + fake.square().mean()


def deceiving(fake: Tensor, kind: str) -> Tensor:
    """Of the generator: that its pictures be taken for real; ``kind``: ``non-saturating`` or
    ``least-squares``.
    """
    return F.softplus(-fake).mean() if kind == "non-saturating" else (fake - 1).square().mean()


def adversarial(
    discriminator: nn.Module, x: Tensor, x_hat: Tensor, y_hat: Tensor | None, kind: str
) -> tuple[Tensor, Tensor]:
    """(loss of the generator, loss of the discriminator); the first gives gradients to ``x_hat`` alone, the
    second to the discriminator alone.
    """
    told = () if y_hat is None else (y_hat.detach(),)
    with frozen(discriminator):
        deceived = deceiving(discriminator(x_hat, *told), kind)
    of = non_saturating if kind == "non-saturating" else least_squares
    return deceived, of(discriminator(x, *told), discriminator(x_hat.detach(), *told))


def feature_stand_in(encoder: nn.Sequential, x: Tensor, x_hat: Tensor) -> Tensor:
    """A stand-in for LPIPS, whose weights are not to be had here: it is *not* LPIPS, and its figures are none
    of those.

    Of features that the codec's own encoder has learned (after every ReLU, of pixels in -1 .. 1), each
    position's brought to length 1: squared distance, mean over positions, sum over layers.  Crops of 161
    pixels or more add 1 - MS-SSIM.  The encoder gets no gradient from it.
    """
    distance = torch.zeros((), device=x.device)
    with frozen(encoder):
        a, b = 2 * x - 1, 2 * x_hat - 1
        for layer in encoder:
            a, b = layer(a), layer(b)
            if isinstance(layer, nn.ReLU):
                gap = F.normalize(a.detach(), dim=1) - F.normalize(b, dim=1)
                distance = distance + gap.square().sum(1).mean()
    if min(x.shape[2:]) > 160:
        distance = distance + (1 - ms_ssim(x, x_hat)).mean()
    return distance


def sharpness(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, ``[B]``; what a blur takes away."""
    across = (x[..., :, 1:] - x[..., :, :-1]).abs().flatten(1).mean(1)
    down = (x[..., 1:, :] - x[..., :-1, :]).abs().flatten(1).mean(1)
    return (across + down) / 2
