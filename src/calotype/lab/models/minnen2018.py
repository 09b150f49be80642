"""Minnen, Balle, Toderici: Joint autoregressive and hierarchical priors for learned image compression.
NeurIPS 2018, arXiv 1809.02736.

::

    x --g_a--> y ------------------------ round(y - mu) + mu --> y_hat --g_s--> x_hat
               |                              :                    |
               h_a--> z -- round -- z_hat     mu, sigma            |
                            :         |          ^                 |
                     factorized       h_s --> [ 1x1 convs ] <-- masked 5x5 conv (12 taps of the past)

`MeanScale` has no masked convolution: h_s gives sigma and mu.

Coding order: z; then y.  MeanScale: all of y at once.  Autoregressive: position after position in raster
order, the channels of a position together; `raster` takes the positions that do not see each other in one
step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, Gaussian, Mixture, given, raster, wavefronts
from calotype.lab.layers.conv import Pointwise, conv, deconv
from calotype.lab.layers.masked import RasterConv
from calotype.lab.layers.transforms import gdn_analysis, gdn_synthesis
from calotype.lab.models.base import Entry, LabModel


def hyper_analysis(n: int, m: int) -> nn.Sequential:
    """``[B, m, h, w]`` to ``[B, n, h/4, w/4]``."""
    return nn.Sequential(conv(m, n, 3, 1), nn.LeakyReLU(), conv(n, n), nn.LeakyReLU(), conv(n, n))


def hyper_synthesis(n: int, m: int) -> nn.Sequential:
    """``[B, n, h/4, w/4]`` to ``[B, 2m, h, w]``."""
    k = m * 3 // 2
    return nn.Sequential(deconv(n, m), nn.LeakyReLU(), deconv(m, k), nn.LeakyReLU(), conv(k, 2 * m, 3, 1))


def joint_parameters(m: int, outputs: int | None = None) -> nn.Sequential:
    """1x1 convolutions from side information and context, ``4m`` channels, to parameters (``2m`` unless
    given).
    """
    a, b = m * 10 // 3, m * 8 // 3
    return nn.Sequential(
        Pointwise(4 * m, a), nn.LeakyReLU(), Pointwise(a, b), nn.LeakyReLU(), Pointwise(b, outputs or 2 * m)
    )


class MeanScale(LabModel):
    """y is ``[B, m, H/16, W/16]``, z ``[B, n, H/64, W/64]``."""

    multiple = 64
    quantisation = "noise"

    def __init__(self, n: int = 128, m: int = 192) -> None:
        super().__init__()
        self.config = {"n": n, "m": m}
        self.g_a, self.g_s = gdn_analysis(n, m), gdn_synthesis(n, m)
        self.h_a, self.h_s = hyper_analysis(n, m), hyper_synthesis(n, m)
        self.prior = FactorizedPrior(n)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        sigma, mu = self.h_s(z_hat).chunk(2, 1)
        return coder.code("y", y, Gaussian(mu, sigma))


class JointContext(LabModel):
    """A hyperprior and a context together, by wavefronts; needs h_a, h_s, prior, context and joint."""

    order = staticmethod(wavefronts)

    h_a: nn.Module
    h_s: nn.Module
    prior: FactorizedPrior
    context: nn.Module
    joint: nn.Module

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        return raster(coder, "y", y, self.h_s(z_hat), self.context, self.distribution, self.order)

    def distribution(self, side: Tensor, context: Tensor) -> Gaussian | Mixture:
        sigma, mu = self.joint(torch.cat((side, context), 1)).chunk(2, 1)
        return Gaussian(mu, sigma)


class Autoregressive(JointContext):
    """Mean-scale hyperprior and a context of 12 earlier positions; same shapes."""

    multiple = 64
    quantisation = "noise"

    def __init__(self, n: int = 192, m: int = 192) -> None:
        super().__init__()
        self.config = {"n": n, "m": m}
        self.g_a, self.g_s = gdn_analysis(n, m), gdn_synthesis(n, m)
        self.h_a, self.h_s = hyper_analysis(n, m), hyper_synthesis(n, m)
        self.prior = FactorizedPrior(n)
        self.context = RasterConv(m, 2 * m)
        self.joint = joint_parameters(m)


_PAPER = "Minnen, Balle, Toderici, NeurIPS 2018, arXiv 1809.02736"

SYSTEMS = {
    "minnen2018-mean-scale": Entry(
        MeanScale,
        "mean-scale hyperprior",
        _PAPER,
        {"n": 128, "m": 192},
        {"n": 192, "m": 320},
        {"n": 8, "m": 12},
    ),
    "minnen2018-autoregressive": Entry(
        Autoregressive,
        "hyperprior and raster autoregression",
        _PAPER,
        {"n": 192, "m": 192},
        {"n": 192, "m": 320},
        {"n": 8, "m": 12},
    ),
}
