"""Transforms that several systems share: pixels ``[B, 3, H, W]``, latents ``[B, M, H/16, W/16]``."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from calotype.lab.layers.attention import SimplifiedAttention
from calotype.lab.layers.conv import conv, deconv, subpixel
from calotype.lab.layers.gdn import GDN
from calotype.lab.layers.residual import ResidualBlock, ResidualDown, ResidualUp


def gdn_analysis(n: int, m: int) -> nn.Sequential:
    """conv5/2, GDN three times, conv5/2 (Balle et al. 2018)."""
    return nn.Sequential(conv(3, n), GDN(n), conv(n, n), GDN(n), conv(n, n), GDN(n), conv(n, m))


def gdn_synthesis(n: int, m: int, up: Callable[[int, int], nn.Module] = deconv) -> nn.Sequential:
    """Mirror of `gdn_analysis`: transposed convolutions, or another ``up``, and inverse GDN."""
    igdn = [GDN(n, inverse=True) for _ in range(3)]
    return nn.Sequential(up(m, n), igdn[0], up(n, n), igdn[1], up(n, n), igdn[2], up(n, 3))


def residual_analysis(n: int, *, attention: bool = False) -> nn.Sequential:
    """Down, block three times, conv3/2; attention in the second stage and last (Cheng et al. 2020)."""
    layers = [ResidualDown(3, n), ResidualBlock(n, n), ResidualDown(n, n)]
    layers += [SimplifiedAttention(n)] if attention else []
    layers += [ResidualBlock(n, n), ResidualDown(n, n), ResidualBlock(n, n), conv(n, n, 3, 2)]
    layers += [SimplifiedAttention(n)] if attention else []
    return nn.Sequential(*layers)


def residual_synthesis(n: int, *, attention: bool = False) -> nn.Sequential:
    """Mirror of `residual_analysis` with sub-pixel convolutions."""
    layers: list[nn.Module] = [SimplifiedAttention(n)] if attention else []
    layers += [ResidualBlock(n, n), ResidualUp(n, n), ResidualBlock(n, n), ResidualUp(n, n)]
    layers += [SimplifiedAttention(n)] if attention else []
    layers += [ResidualBlock(n, n), ResidualUp(n, n), ResidualBlock(n, n), subpixel(n, 3, 2)]
    return nn.Sequential(*layers)
