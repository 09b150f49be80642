"""Parts of the coarse-to-fine model (Hu, Yang, Liu, AAAI 2020; Coarse2Fine-PyTorch)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.layers.conv import conv


def down(cin: int, cout: int) -> nn.Sequential:
    """conv5/2 with TensorFlow's padding: one row before, two after."""
    return nn.Sequential(nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(cin, cout, 5, 2))


def up(cin: int, cout: int) -> nn.Sequential:
    """Transposed conv5/2 with the padding that mirrors `down`."""
    return nn.Sequential(nn.ZeroPad2d((1, 0, 1, 0)), nn.ConvTranspose2d(cin, cout, 5, 2, 3, 1))


def hyper_analysis(cin: int, widths: tuple[int, int, int]) -> nn.Sequential:
    """``[B, cin, h, w]`` to ``[B, widths[2], h/2, w/2]``."""
    a, b, c = widths
    return nn.Sequential(
        conv(cin, a, 3, 1), nn.PixelUnshuffle(2),
        conv(4 * a, b, 1, 1), nn.ReLU(), conv(b, b, 1, 1), nn.ReLU(), conv(b, c, 1, 1),
    )  # fmt: skip


def hyper_synthesis(cin: int, width: int, cout: int) -> nn.Sequential:
    """``[B, cin, h, w]`` to ``[B, cout, 2h, 2w]``."""
    return nn.Sequential(
        conv(cin, width, 1, 1), conv(width, width, 1, 1), nn.ReLU(), conv(width, width, 1, 1), nn.ReLU(),
        nn.PixelShuffle(2), conv(width // 4, cout, 3, 1),
    )  # fmt: skip


class Aggregation(nn.Module):
    """Synthesis features at 1/2, h2 at 1/16 and h1 at 1/32 to pixels -1..1."""

    def __init__(self, n: int, h1: int) -> None:
        super().__init__()
        act = nn.LeakyReLU(0.2)
        self.raise_ = nn.Sequential(up(n + h1 // 4, n), up(n, n), act, up(n, n), act)
        self.fuse = nn.Sequential(conv(2 * n, n, 3, 1), act, conv(n, n, 3, 1), act, conv(n, 2 * n, 3, 1), act)
        self.out = nn.Sequential(up(2 * n, n // 3), conv(n // 3, n // 12, 3, 1), act, conv(n // 12, 3, 1, 1))

    def forward(self, pf: Tensor, h2: Tensor, h1: Tensor) -> Tensor:
        t = torch.cat((pf, self.raise_(torch.cat((h2, F.pixel_shuffle(h1, 2)), 1))), 1)
        return self.out(t + self.fuse(t))
