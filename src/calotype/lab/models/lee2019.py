"""Lee, Cho, Beack: Context-adaptive entropy model for end-to-end optimized image compression.  ICLR 2019,
arXiv 1809.10452.

::

    x --g_a--> y -- round --> y_hat ---------------------------------------------> --g_s--> x_hat
                        |        :                        ^
                        |    mu, sigma                    |
                        |        ^                        |
                        |    [ estimator ] <-- 14 positions of y_hat: three rows above, two to the left
                        |        ^             (context without bits)
                        h_a      '------------ the same and two more of c
                        |                      (context with bits)
                        z -- round --> z_hat --h_s--> c
                               :
                   N(0, sigma per channel)

The hyperprior is analysed from the *rounded* latents.  The estimator sees windows of 4 x 4 positions, of c
and of what is decoded of y.  The paper gives it three convolutions over the window; here one takes in
the window and two more go on with each position, so that contexts of decoded positions cost one product.  The
model for the highest rates, with a second set of latents without context, is left out.

Coding order: z; then y position after position in raster order, the channels of a position together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy import Coder, Gaussian, Mixture, given, raster, wavefronts
from calotype.lab.layers.bounds import round_ste
from calotype.lab.layers.conv import Pointwise, conv, deconv
from calotype.lab.layers.masked import MaskedConv
from calotype.lab.layers.transforms import gdn_analysis, gdn_synthesis
from calotype.lab.models.base import Entry, LabModel


def window_mask() -> Tensor:
    """``[7, 7]`` of 0 and 1: rows -3 .. 0 and columns -2 .. 1 of what a raster scan has passed, 14 taps."""
    mask = torch.zeros(7, 7)
    mask[:3, 1:5] = 1
    mask[3, 1:3] = 1
    return mask


class ContextAdaptive(LabModel):
    """y is ``[B, m, H/16, W/16]``, z ``[B, n, H/64, W/64]``."""

    multiple = 64
    quantisation = "noise"
    order = staticmethod(wavefronts)

    def __init__(self, n: int = 128, m: int = 192) -> None:
        super().__init__()
        self.config = {"n": n, "m": m}
        self.g_a, self.g_s = gdn_analysis(n, m), gdn_synthesis(n, m)
        self.h_a = nn.Sequential(conv(m, n, 3, 1), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n))
        self.h_s = nn.Sequential(deconv(n, n), nn.ReLU(), deconv(n, n), nn.ReLU(), conv(n, m, 3, 1))
        self.sigma_z = nn.Parameter(torch.ones(1, n, 1, 1))
        self.with_bits, self.without_bits = nn.Conv2d(m, m, 4), MaskedConv(m, m, window_mask())
        self.estimator = nn.Sequential(
            nn.LeakyReLU(), Pointwise(2 * m, 2 * m), nn.LeakyReLU(), Pointwise(2 * m, 2 * m)
        )

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        b, h, w = coder.grid(64)
        z = given(lambda y: self.h_a(round_ste(y)), y)
        z_hat = coder.code("z", z, Gaussian(None, self.sigma_z.abs().expand(b, -1, h, w)))
        side = self.with_bits(F.pad(self.h_s(z_hat), (2, 1, 3, 0)))
        return raster(
            coder, "y", y, side, self.without_bits, self.distribution, self.order, plain=True
        )  # fmt: skip

    def distribution(self, side: Tensor, context: Tensor) -> Mixture:
        mu, log_sigma = self.estimator(torch.cat((side, context), 1)).chunk(2, 1)
        return Mixture.single(mu, torch.exp(log_sigma))  # latents round to plain integers, whatever mu


SYSTEMS = {
    "lee2019": Entry(
        ContextAdaptive,
        "contexts with and without bits, Gaussian of mean and scale",
        "Lee, Cho, Beack, ICLR 2019, arXiv 1809.10452",
        {"n": 128, "m": 192},
        {"n": 192, "m": 320},
        {"n": 8, "m": 12},
    ),
}
