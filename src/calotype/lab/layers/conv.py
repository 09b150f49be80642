"""Convolutions as the literature abbreviates them: ``conv5/2`` is kernel 5, stride 2, padding 2."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def conv(cin: int, cout: int, kernel: int = 5, stride: int = 2, *, bias: bool = True) -> nn.Conv2d:
    """``[B, cin, H, W]`` to ``[B, cout, ceil(H / stride), ceil(W / stride)]``, zero padding, odd kernel."""
    return nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=bias)


def deconv(cin: int, cout: int, kernel: int = 5, stride: int = 2, *, bias: bool = True) -> nn.ConvTranspose2d:
    """``[B, cin, h, w]`` to ``[B, cout, stride h, stride w]``: transposed convolution, odd kernel."""
    return nn.ConvTranspose2d(cin, cout, kernel, stride, kernel // 2, stride - 1, bias=bias)


def subpixel(cin: int, cout: int, factor: int = 2, kernel: int = 3) -> nn.Sequential:
    """``[B, cin, h, w]`` to ``[B, cout, factor h, factor w]``: convolution, pixel shuffle."""
    return nn.Sequential(conv(cin, cout * factor**2, kernel, 1), nn.PixelShuffle(factor))


def resized(cin: int, cout: int, factor: int = 2, kernel: int = 3) -> nn.Sequential:
    """``[B, cin, h, w]`` to ``[B, cout, factor h, factor w]``: values repeated, then a convolution.  What is
    the same everywhere stays so, and no grid is printed, as the other two can (Odena, Dumoulin, Olah 2016:
    Deconvolution and checkerboard artifacts).
    """
    return nn.Sequential(nn.Upsample(scale_factor=factor), conv(cin, cout, kernel, 1))


def slice_net(
    cin: int,
    cout: int,
    widths: tuple[int, int],
    kernels: tuple[int, int, int],
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Three convolutions at the latents' resolution: from what is decoded to parameters of the next slice."""
    (a, b), (first, second, third) = widths, kernels
    return nn.Sequential(
        conv(cin, a, first, 1), activation(), conv(a, b, second, 1), activation(), conv(b, cout, third, 1)
    )


class Pointwise(nn.Conv2d):
    """1x1 convolution ``[B, cin, H, W]`` to ``[B, cout, H, W]``.

    Lists of positions, ``[B, cin, n, 1]``, go through a matrix product, which is twice as fast for the few
    positions that an autoregressive decoder has at a time.
    """

    def __init__(self, cin: int, cout: int) -> None:
        super().__init__(cin, cout, 1)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[3] != 1:
            return super().forward(x)
        return F.linear(x[..., 0].transpose(1, 2), self.weight[:, :, 0, 0], self.bias).transpose(1, 2)[
            ..., None
        ]
