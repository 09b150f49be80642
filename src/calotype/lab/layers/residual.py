"""Residual blocks of Cheng et al. 2020 and He et al. 2022, ``[B, cin, H, W]`` to ``[B, cout, ..]``."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.conv import conv, subpixel
from calotype.lab.layers.gdn import GDN


class ResidualBlock(nn.Module):
    """``x + lrelu(conv3(lrelu(conv3(x))))``; a 1x1 skip where the widths differ.  Slope 0.01."""

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__()
        self.conv1 = conv(cin, cout, 3, 1)
        self.conv2 = conv(cout, cout, 3, 1)
        self.skip = conv(cin, cout, 1, 1) if cin != cout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + F.leaky_relu(self.conv2(F.leaky_relu(self.conv1(x))))


class ResidualDown(nn.Module):
    """``conv1x1/2(x) + gdn(conv3(lrelu(conv3/2(x))))``: halves the resolution (RBWS)."""

    def __init__(self, cin: int, cout: int, stride: int = 2) -> None:
        super().__init__()
        self.conv1 = conv(cin, cout, 3, stride)
        self.conv2 = conv(cout, cout, 3, 1)
        self.gdn = GDN(cout)
        self.skip, self.stride = conv(cin, cout, 1, 1), stride

    def forward(self, x: Tensor) -> Tensor:
        # A 1x1 convolution sees only what its stride leaves.  Leaving the rest out here is the same, and in
        # torch 2.13 the gradient of a strided one writes out of bounds (channels-last tensors on a CPU).
        skip = self.skip(x[:, :, :: self.stride, :: self.stride])
        return skip + self.gdn(self.conv2(F.leaky_relu(self.conv1(x))))


class ResidualUp(nn.Module):
    """``subpixel(x) + igdn(conv3(lrelu(subpixel(x))))``: doubles the resolution (RBU)."""

    def __init__(self, cin: int, cout: int, factor: int = 2) -> None:
        super().__init__()
        self.subpixel = subpixel(cin, cout, factor)
        self.conv = conv(cout, cout, 3, 1)
        self.igdn = GDN(cout, inverse=True)
        self.skip = subpixel(cin, cout, factor)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.igdn(self.conv(F.leaky_relu(self.subpixel(x))))


class PlainResidual(nn.Module):
    """``x + conv3(relu(conv3(x)))``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = conv(width, width, 3, 1), conv(width, width, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(x)))


class ResidualBottleneck(nn.Module):
    """``x + conv1(relu(conv3(relu(conv1(x)))))`` with half the width inside (He et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = conv(width, width // 2, 1, 1)
        self.conv2 = conv(width // 2, width // 2, 3, 1)
        self.conv3 = conv(width // 2, width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv3(F.relu(self.conv2(F.relu(self.conv1(x)))))
