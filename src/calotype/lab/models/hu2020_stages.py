"""The four stages in which Hu et al. train the coarse-to-fine model (Coarse2Fine-PyTorch), and their heads.

::

    stage  from          levels       pixels from           further losses
      1    the start     y, z2        y alone, one layer    MSE(y_hat, conv3(h2))
      2    1000 / 5500   y, z2, z1    the same              the same, and MSE(z2_hat, conv3(h1))
      3    1200 / 5500   y, z2, z1    the aggregation       the same
      4    1300 / 5500   y, z2, z1    the aggregation       none

In stage 1, z2 has a normal law with a trained sigma per channel.  The further losses keep the hyperpriors
informative; their targets get no gradient.  That the layer of stages 1 and 2 is a transposed conv5/2, and the
weight 1 of these losses, are ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.conv import conv

BEGIN = (0.0, 1000 / 5500, 1200 / 5500, 1300 / 5500)
"""Where the stages begin, as parts of the training."""


def stage_at(done: float) -> int:
    """The stage, 1 to 4, when a part ``done`` (0..1) of the training is over."""
    return sum(done >= begin for begin in BEGIN)


class Heads(nn.Module):
    """What only training needs.  ``pixels``: synthesis features to pixels."""

    def __init__(self, n: int, z2: int, pixels: nn.Module) -> None:
        super().__init__()
        self.pixels = pixels
        self.from_h2, self.from_h1 = conv(n, n, 3, 1), conv(z2, z2, 3, 1)
        self.sigma2 = nn.Parameter(torch.ones(1, z2, 1, 1))

    def loss(self, y_hat: Tensor, h2: Tensor, z2_hat: Tensor, h1: Tensor | None) -> Tensor:
        """How far the hyperpriors are from showing what is below them."""
        found = F.mse_loss(self.from_h2(h2), y_hat.detach())
        return found if h1 is None else found + F.mse_loss(self.from_h1(h1), z2_hat.detach())
