"""Attention: simplified (Cheng et al. 2020) and non-local (Liu et al. 2019, Chen et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.conv import conv
from calotype.lab.layers.residual import PlainResidual, ResidualBottleneck


class _Unit(ResidualBottleneck):
    """``relu(x + conv1(relu(conv3(relu(conv1(x))))))``, half the width inside."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


class SimplifiedAttention(nn.Module):
    """``x + a(x) sigmoid(b(x))``: a trunk of three residual units, a mask of three and a 1x1 convolution.

    ``[B, C, H, W]`` to the same shape (Cheng et al. 2020: non-local attention without the non-local part).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(_Unit(width) for _ in range(3)))
        self.mask = nn.Sequential(*(_Unit(width) for _ in range(3)), conv(width, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.trunk(x) * torch.sigmoid(self.mask(x))


class NonLocal(nn.Module):
    """Embedded-Gaussian non-local block: every position attends to every other (Wang et al. 2018).

    ``[B, C, H, W]`` to the same shape; the output projection starts at zero, so the block starts as the
    identity. Time grows with ``(H W)^2``; memory does not, because attention is computed blockwise by torch.

    tile: side of tiles, in positions, that are attended to each by itself (0: one for all); then time and
    memory grow with ``H W``, and a map that is no larger than a tile does not notice.
    """

    def __init__(self, width: int, tile: int = 0) -> None:
        super().__init__()
        self.tile = tile
        inner = width // 2
        self.query, self.key, self.value = (conv(width, inner, 1, 1) for _ in range(3))
        self.out = conv(inner, width, 1, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        side = self.tile or max(x.shape[2:])
        if max(x.shape[2:]) <= side:
            return x + self._attend(x)
        rows = [[self._attend(part) for part in row.split(side, 3)] for row in x.split(side, 2)]
        return x + torch.cat([torch.cat(row, 3) for row in rows], 2)

    def _attend(self, x: Tensor) -> Tensor:
        b, _, h, w = x.shape
        q, k, v = (f(x).flatten(2).mT.contiguous()[:, None] for f in (self.query, self.key, self.value))
        # torch computes blockwise only of [B, heads, positions, inner] whose last axis is dense
        t = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return self.out(t.transpose(2, 3).reshape(b, -1, h, w))


class NonLocalAttention(nn.Module):
    """``x + trunk(x) sigmoid(mask(x))``, the mask led by a non-local block (Chen et al. 2021)."""

    def __init__(self, width: int, tile: int = 0) -> None:
        super().__init__()
        self.trunk = nn.Sequential(*(PlainResidual(width) for _ in range(3)))
        self.mask = nn.Sequential(
            NonLocal(width, tile), *(PlainResidual(width) for _ in range(3)), conv(width, width, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.trunk(x) * torch.sigmoid(self.mask(x))
