"""Convolutions of stride 1 with fewer products: Winograd's minimal filtering (Winograd 1980; for
convolutional networks Lavin, Gray, CVPR 2016, arXiv 1509.09308).

Whatever decides a probability is computed in float64 (`calotype.lab.codec`), where nothing but the number of
products makes a convolution fast. A tile of 4 x 4 outputs takes 8 x 8 products a pair of channels with 5x5
kernels instead of 400, and 6 x 6 instead of 144 with 3x3. Results differ from the plain sum by about 1e-13 of
their size: no reason not to in float64, and why this is not used in float32.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 4
"""Outputs of a tile, in each direction."""
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
"""Where polynomials are evaluated; infinity is one more."""
LEAST = 512
"""Positions of a map below which the plain sum is as fast: bringing the kernels to the points costs the same
for any map."""


@cache
def matrices(taps: int) -> tuple[Tensor, Tensor, Tensor]:
    """(A ``[16, n^2]``, G ``[n^2, taps^2]``, B ``[n^2, n^2]``), float64, with ``n = taps + 3``: for a patch
    ``d`` ``[n^2]`` and a kernel ``g`` ``[taps^2]`` the 4 x 4 sums of the kernel within the patch are
    ``A ((G g) * (B d))``, everything row by row.

    Toom and Cook's multiplication of polynomials, transposed, in both directions.
    """
    n = SIDE + taps - 1

    def values(coefficients: int) -> np.ndarray:
        last = np.eye(coefficients)[-1:]  # at infinity the leading coefficient counts
        return np.concatenate((np.vander(POINTS[: n - 1], coefficients, increasing=True), last))

    a, g, b = (
        torch.from_numpy(np.kron(m, m)) for m in (values(SIDE).T, values(taps), np.linalg.inv(values(n)).T)
    )
    return a, g, b


def quick_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``F.conv2d`` of ``x`` ``[B, C, H, W]`` with ``weight`` ``[O, C, k, k]``, k 3 or 5, and zeros around."""
    batch, _, h, w = x.shape
    cout, cin, taps, _ = weight.shape
    a, g, b = (m.to(x) for m in matrices(taps))
    n, edge = SIDE + taps - 1, taps // 2
    x = F.pad(x, (edge, edge + -w % SIDE, edge, edge + -h % SIDE))
    tiles = x.unfold(2, n, SIDE).unfold(3, n, SIDE)  # [B, C, rows, columns, n, n]
    rows, columns = tiles.shape[2:4]
    seen = b @ tiles.permute(4, 5, 1, 0, 2, 3).reshape(n * n, -1)
    filters = g @ weight.reshape(cout * cin, taps * taps).T
    out = filters.view(-1, cout, cin) @ seen.view(n * n, cin, -1)
    out = (a @ out.view(n * n, -1)).view(SIDE, SIDE, cout, batch, rows, columns)
    out = out.permute(3, 2, 4, 0, 5, 1).reshape(batch, cout, rows * SIDE, columns * SIDE)[:, :, :h, :w]
    return out.contiguous() if bias is None else out + bias[:, None, None]


class QuickConv(nn.Module):
    """A convolution's weights, summed by `quick_conv` where that is faster.

    Which way is taken follows from the map's size alone, so that writing and reading agree.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias, self.padding = layer.weight, layer.bias, layer.padding

    @staticmethod
    def suits(layer: nn.Module) -> bool:
        """Whether a layer is a plain float64 convolution of stride 1 with 3x3 or 5x5 taps."""
        if type(layer) is not nn.Conv2d or layer.weight.dtype != torch.float64:
            return False
        k = layer.kernel_size[0]
        plain = layer.stride == (1, 1) and layer.dilation == (1, 1) and layer.padding_mode == "zeros"
        square = layer.kernel_size == (k, k) and layer.padding == (k // 2, k // 2)
        return plain and square and layer.groups == 1 and k in (3, 5)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] < LEAST:
            return F.conv2d(x, self.weight, self.bias, padding=self.padding)
        return quick_conv(x, self.weight, self.bias)


def quicken(model: nn.Module) -> None:
    """Replace the layers of a model that `QuickConv` suits; they keep their weights."""
    for module in list(model.modules()):
        for name, layer in list(module.named_children()):
            if QuickConv.suits(layer):
                setattr(module, name, QuickConv(layer))
