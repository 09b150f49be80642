"""Invertible layers (Kingma and Dhariwal 2018, Dinh et al. 2017), as Xie, Cheng, Chen 2021 have them.

Each is called as ``layer(x)`` and, for the way back, as ``layer(y, reverse=True)``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.conv import conv
from calotype.lab.layers.shuffle import pixel_unshuffle


def _start(layer: nn.Conv2d, scale: float) -> nn.Conv2d:
    """Xavier's weights times ``scale`` and no bias: with 0, what is added or multiplied starts as nothing."""
    if layer.weight.is_meta:  # sizes only; drawing there would load torch's compiler, for seconds
        return layer
    nn.init.xavier_normal_(layer.weight)
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight *= scale
        layer.bias.zero_()
    return layer


class Squeeze(nn.Module):
    """Space to depth: ``[B, C, H, W]`` to ``[B, 4C, H/2, W/2]``, the four phases one after the other."""

    def forward(self, x: Tensor, *, reverse: bool = False) -> Tensor:
        if reverse:
            return F.pixel_shuffle(x.unflatten(1, (4, -1)).transpose(1, 2).flatten(1, 2), 2)
        return pixel_unshuffle(x, 2).unflatten(1, (-1, 4)).transpose(1, 2).flatten(1, 2)


class Mixing(nn.Module):
    """Invertible 1x1 convolution, a rotation at first.  Its inverse is found in float64."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, channels))
        nn.init.orthogonal_(self.weight)

    def forward(self, x: Tensor, *, reverse: bool = False) -> Tensor:
        weight = torch.linalg.inv(self.weight.double()).to(x.dtype) if reverse else self.weight
        return F.conv2d(x, weight[:, :, None, None])


class _Bottleneck(nn.Sequential):
    """conv, conv1, conv with LeakyReLU 0.2; zero at first."""

    def __init__(self, cin: int, cout: int, kernel: int, inner: int) -> None:
        super().__init__(
            _start(conv(cin, inner, kernel, 1), 0.1), nn.LeakyReLU(0.2),
            _start(conv(inner, inner, 1, 1), 0.1), nn.LeakyReLU(0.2),
            _start(conv(inner, cout, kernel, 1), 0.0),
        )  # fmt: skip


class Coupling(nn.Module):
    """Affine coupling of a quarter ``a`` of the channels and the rest ``b``, each scaled and shifted by what
    the other says:

        ``a' = a s(b) + t(b)``,  ``b' = b s(a') + t(a')``,  ``s`` within 1/e .. e

    ``inner``: channels inside the networks; 0: as many as they return (published).
    """

    def __init__(self, channels: int, kernel: int, inner: int = 0) -> None:
        super().__init__()
        a = channels // 4
        b = channels - a
        self.sizes = [a, b]
        self.scale_a, self.shift_a = (_Bottleneck(b, a, kernel, inner or a) for _ in range(2))
        self.scale_b, self.shift_b = (_Bottleneck(a, b, kernel, inner or b) for _ in range(2))

    def forward(self, x: Tensor, *, reverse: bool = False) -> Tensor:
        a, b = x.split(self.sizes, 1)
        if reverse:
            b = (b - self.shift_b(a)) / _bounded(self.scale_b(a))
            a = (a - self.shift_a(b)) / _bounded(self.scale_a(b))
        else:
            a = a * _bounded(self.scale_a(b)) + self.shift_a(b)
            b = b * _bounded(self.scale_b(a)) + self.shift_b(a)
        return torch.cat((a, b), 1)


def _bounded(t: Tensor) -> Tensor:
    return torch.exp(2 * torch.sigmoid(t) - 1)


class Flow(nn.Module):
    """Levels of squeeze, mixing and three couplings: ``[B, 3, H, W]`` to ``[B, 3 * 4^n, H/2^n, W/2^n]`` and
    back, exactly but for rounding.

    ``kernels``: of the couplings of each of the n levels.
    """

    def __init__(self, kernels: Sequence[int], inner: int = 0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.channels = 3
        for kernel in kernels:
            self.channels *= 4
            layers += [Squeeze(), Mixing(self.channels)]
            layers += [Coupling(self.channels, kernel, inner) for _ in range(3)]
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, *, reverse: bool = False) -> Tensor:
        for layer in reversed(self.layers) if reverse else self.layers:
            x = layer(x, reverse=reverse)
        return x


class _Dense(nn.Module):
    """Five conv3, each of all that came before it; LeakyReLU 0.2; zero at first (Huang et al. 2017)."""

    def __init__(self, cin: int, cout: int, growth: int) -> None:
        super().__init__()
        self.grow = nn.ModuleList(_start(conv(cin + i * growth, growth, 3, 1), 0.1) for i in range(4))
        self.last = _start(conv(cin + 4 * growth, cout, 3, 1), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.grow:
            x = torch.cat((x, F.leaky_relu(layer(x), 0.2)), 1)
        return self.last(x)


class Enhancement(nn.Module):
    """``x + 0.2 f(x)`` on pixels: two dense blocks with three convolutions between."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.net = nn.Sequential(
            _Dense(3, width, width // 2),
            conv(width, width, 1, 1), conv(width, width, 3, 1), conv(width, width, 1, 1),
            _Dense(width, 3, width // 2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + 0.2 * self.net(x)
