"""Balle, Minnen, Singh, Hwang, Johnston: Variational image compression with a scale hyperprior.  ICLR 2018,
arXiv 1802.01436.

::

    x --g_a--> y ----------------------------- round -- y_hat --g_s--> x_hat
               |                                 :
              |y| --h_a--> z -- round -- z_hat --h_s--> sigma
                                  :
                            factorized prior

`FactorizedModel` is the paper's baseline: the same transforms, y coded with the factorized prior.

Coding order: z, then all of y from z alone (one group).
"""

from __future__ import annotations

from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, Gaussian, given
from calotype.lab.layers.conv import conv, deconv, resized
from calotype.lab.layers.transforms import gdn_analysis, gdn_synthesis
from calotype.lab.models.base import Entry, LabModel


class FactorizedModel(LabModel):
    """``n`` channels inside, ``m`` latents; y is ``[B, m, H/16, W/16]``."""

    multiple = 16
    quantisation = "noise"

    def __init__(self, n: int = 128, m: int = 192) -> None:
        super().__init__()
        self.config = {"n": n, "m": m}
        self.g_a = gdn_analysis(n, m)
        self.g_s = gdn_synthesis(n, m)
        self.prior = FactorizedPrior(m)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        return coder.code("y", y, self.prior(coder.grid(16)))


class ScaleHyperprior(LabModel):
    """y is ``[B, m, H/16, W/16]``, z ``[B, n, H/64, W/64]``; y has mean 0.

    resize: the synthesis upsamples by repetition (`resized`), which is not the paper's.
    """

    multiple = 64
    quantisation = "noise"

    def __init__(self, n: int = 128, m: int = 192, *, resize: bool = False) -> None:
        super().__init__()
        self.config = {"n": n, "m": m, **({"resize": True} if resize else {})}  # files know it by this
        self.g_a = gdn_analysis(n, m)
        self.g_s = gdn_synthesis(n, m, resized if resize else deconv)
        self.h_a = nn.Sequential(conv(m, n, 3, 1), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n))
        self.h_s = nn.Sequential(
            deconv(n, n), nn.ReLU(), deconv(n, n), nn.ReLU(), conv(n, m, 3, 1), nn.ReLU()
        )
        self.prior = FactorizedPrior(n)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z = given(lambda y: self.h_a(y.abs()), y)
        z_hat = coder.code("z", z, self.prior(coder.grid(64)))
        return coder.code("y", y, Gaussian(mu=None, sigma=self.h_s(z_hat)))


_PAPER = "Balle, Minnen, Singh, Hwang, Johnston, ICLR 2018, arXiv 1802.01436"

SYSTEMS = {
    "balle2018-factorized": Entry(
        FactorizedModel,
        "factorized prior, GDN, four strided layers",
        _PAPER,
        {"n": 128, "m": 192},
        {"n": 192, "m": 320},
        {"n": 8, "m": 12},
    ),
    "balle2018-hyperprior": Entry(
        ScaleHyperprior,
        "scale hyperprior",
        _PAPER,
        {"n": 128, "m": 192},
        {"n": 192, "m": 320},
        {"n": 8, "m": 12},
    ),
}
