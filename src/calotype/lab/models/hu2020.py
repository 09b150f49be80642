"""Hu, Yang, Liu: Coarse-to-fine hyper-prior modeling for learned image compression.  AAAI 2020; with Ma:
Learning end-to-end lossy image compression, a benchmark.  TPAMI 2021, arXiv 2002.03711.

::

    x --g_a--> y -- round --> y_hat --g_s--------------------> |
               |                                               |
               h_a2--> z2 -- round --h_s2--> h2 -------------> | aggregate--> x_hat
                       |                     predict3 --> y    |
                       h_a1--> z1 -- round --h_s1--> h1 -----> |
                                     :               predict2 --> z2
                          N(0, sigma per channel)

Each level is analysed from the *rounded* level below, without divisive normalisation and with space-to-depth
instead of strides, so that the hyperprior keeps what the signal holds.  The synthesis sees the
hyper-features too.

Coding order: z1, then z2 from z1, then y (z3 in the paper) from z2; each all at once.  No context.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy import Coder, Gaussian, Mixture, given
from calotype.lab.layers.bounds import round_ste
from calotype.lab.layers.conv import conv
from calotype.lab.layers.gdn import GDN
from calotype.lab.models.base import LabModel


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


class Prediction(nn.Module):
    """Hyper-features ``[B, width, h, w]`` to mu and sigma, each of that shape, from the 5x5 neighbourhood of
    a position.

    Every neighbourhood is a picture of its own, with zeros around it.
    """

    AT_ONCE = 512  # neighbourhoods, when no gradient is needed

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            conv(width, width, 3, 1), nn.LeakyReLU(0.2),
            nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(width, width, 3, 2), nn.LeakyReLU(0.2),
            conv(width, width, 3, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3),
        )  # fmt: skip

    def forward(self, t: Tensor) -> Mixture:
        b, c, h, w = t.shape
        step = b * h * w if torch.is_grad_enabled() else self.AT_ONCE
        patches = F.unfold(t, 5, padding=2).transpose(1, 2).reshape(-1, c, 5, 5)
        out = torch.cat([self.net(p) for p in patches.split(step)])
        mu, log_sigma = out.view(b, h, w, 2 * c).permute(0, 3, 1, 2).chunk(2, 1)
        # latents round to plain integers, whatever mu
        return Mixture.single(mu, torch.exp(log_sigma))


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


class CoarseToFine(LabModel):
    """y ``[B, n, H/16, W/16]``, z2 ``[B, z2, H/32, W/32]``, z1 ``[B, z2 / 2, H/64, W/64]``.

    The paper's low rates have ``n = 192``; its high rates ``n = 384`` and ``wide = 2``.
    """

    multiple = 64
    quantisation = "mixed"
    encoder_only = ("g_a", "g_s", "h_a1", "h_a2", "aggregate")

    def __init__(self, n: int = 192, z2: int = 256, wide: int = 1) -> None:
        super().__init__()
        self.config = {"n": n, "z2": z2, "wide": wide}
        z1 = z2 // 2
        self.g_a = nn.Sequential(down(3, n), GDN(n), down(n, n), GDN(n), down(n, n), GDN(n), down(n, n))
        igdn = [GDN(n, inverse=True) for _ in range(3)]
        self.g_s = nn.Sequential(up(n, n), igdn[0], up(n, n), igdn[1], up(n, n), igdn[2])
        self.h_a2 = hyper_analysis(n, (2 * n, 4 * n, z2))
        self.h_a1 = hyper_analysis(z2, (wide * z2, wide * z1, z1))
        self.h_s2 = hyper_synthesis(z2, 4 * n, n)
        self.h_s1 = hyper_synthesis(z1, wide * z2, z2)
        self.predict2, self.predict3 = Prediction(z2), Prediction(n)
        self.sigma1 = nn.Parameter(torch.ones(1, z1, 1, 1))
        self.aggregate = Aggregation(n, z2)

    def analyse(self, x: Tensor) -> Tensor:
        return self.g_a(2 * x - 1)

    def walk(self, coder: Coder, y: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        z2 = given(lambda y: self.h_a2(round_ste(y)), y)
        z1 = given(lambda z2: self.h_a1(round_ste(z2)), z2)
        b, h, w = coder.grid(64)
        sigma = self.sigma1.abs().expand(b, -1, h, w)
        h1 = self.h_s1(coder.code("z1", z1, Gaussian(None, sigma)))
        h2 = self.h_s2(coder.code("z2", z2, self.predict2(h1)))
        return coder.code("y", y, self.predict3(h2)), h2, h1

    def synthesise(self, y_hat: Tensor, h2: Tensor, h1: Tensor) -> Tensor:
        return (self.aggregate(self.g_s(y_hat), h2, h1) + 1) / 2
