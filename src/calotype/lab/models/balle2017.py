"""Balle, Laparra, Simoncelli: End-to-end optimized image compression.  ICLR 2017, arXiv 1611.01704.

::

    x --conv9/4 GDN, conv5/2 GDN, conv5/2--> y -- round --> y_hat --mirrored, with inverse GDN--> x_hat
                                                    :
                                   one learned distribution per channel

Coding order: all of y at once, channel after channel; nothing is conditioned on anything.
"""

from __future__ import annotations

from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior
from calotype.lab.layers.conv import conv, deconv
from calotype.lab.layers.gdn import GDN
from calotype.lab.models.base import Entry, LabModel


class Balle2017(LabModel):
    """``n`` channels everywhere; y is ``[B, n, H/16, W/16]``."""

    multiple = 16
    quantisation = "noise"

    def __init__(self, n: int = 128) -> None:
        super().__init__()
        self.config = {"n": n}
        self.g_a = nn.Sequential(conv(3, n, 9, 4), GDN(n), conv(n, n), GDN(n), conv(n, n, bias=False))
        self.g_s = nn.Sequential(
            deconv(n, n), GDN(n, inverse=True), deconv(n, n), GDN(n, inverse=True), deconv(n, 3, 9, 4)
        )
        self.prior = FactorizedPrior(n)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        return coder.code("y", y, self.prior(coder.grid(16)))


_PAPER = "Balle, Laparra, Simoncelli, ICLR 2017, arXiv 1611.01704"

SYSTEMS = {
    "balle2017": Entry(
        Balle2017, "factorized prior, GDN, three strided layers", _PAPER, {"n": 128}, {"n": 192}, {"n": 8}
    ),
}
