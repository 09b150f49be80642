"""Cheng, Sun, Takeuchi, Katto: Learned image compression with discretized Gaussian mixture likelihoods and
attention modules.  CVPR 2020, arXiv 2001.01568.

::

    x --residual blocks, attention--> y ------------ round --> y_hat --residual blocks, sub-pixel--> x_hat
                                      |                :         |
                                      |   weights, mu, sigma of  |
                                      |   K Gaussians            |
                                      |            ^             |
                                      h_a--> z     |             |
                                             |     |             |
                              z_hat --h_s--> [ 1x1 convs ] <-- masked 5x5 conv (12 taps of the past)

``mixture=1`` is a single Gaussian with ``y_hat = round(y - mu) + mu``, as in CompressAI; the paper's is
``mixture=3`` with ``y_hat = round(y)``.

Coding order: z; then y position after position in raster order, the channels of a position together.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, Gaussian, Mixture, given
from calotype.lab.layers.conv import conv, subpixel
from calotype.lab.layers.masked import RasterConv
from calotype.lab.layers.transforms import residual_analysis, residual_synthesis
from calotype.lab.models.base import Entry, LabModel
from calotype.lab.models.minnen2018 import JointContext, joint_parameters


def hyper_analysis(n: int) -> nn.Sequential:
    """``[B, n, h, w]`` to ``[B, n, h/4, w/4]``: five conv3 with strides 1, 1, 2, 1, 2."""
    layers: list[nn.Module] = []
    for stride in (1, 1, 2, 1, 2):
        layers += [conv(n, n, 3, stride), nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1])


def hyper_synthesis(n: int) -> nn.Sequential:
    """``[B, n, h/4, w/4]`` to ``[B, 2n, h, w]``."""
    k = n * 3 // 2
    return nn.Sequential(
        conv(n, n, 3, 1), nn.LeakyReLU(),
        subpixel(n, n), nn.LeakyReLU(),
        conv(n, k, 3, 1), nn.LeakyReLU(),
        subpixel(k, k), nn.LeakyReLU(),
        conv(k, 2 * n, 3, 1),
    )  # fmt: skip


class Cheng2020(JointContext):
    """``n`` channels everywhere: y is ``[B, n, H/16, W/16]``, z ``[B, n, H/64, W/64]``."""

    multiple = 64
    quantisation = "noise"

    def __init__(self, n: int = 128, *, attention: bool = False, mixture: int = 1) -> None:
        super().__init__()
        self.config = {"n": n, "attention": attention, "mixture": mixture}
        self.mixture = mixture
        self.g_a = residual_analysis(n, attention=attention)
        self.g_s = residual_synthesis(n, attention=attention)
        self.h_a, self.h_s = hyper_analysis(n), hyper_synthesis(n)
        self.prior = FactorizedPrior(n)
        self.context = RasterConv(n, 2 * n)
        self.joint = joint_parameters(n, None if mixture == 1 else 3 * mixture * n)

    def distribution(self, side: Tensor, context: Tensor) -> Gaussian | Mixture:
        t = self.joint(torch.cat((side, context), 1))
        if self.mixture == 1:
            sigma, mu = t.chunk(2, 1)
            return Gaussian(mu, sigma)
        logits, mu, sigma = t.unflatten(1, (3, self.mixture, -1)).unbind(1)
        return Mixture(logits, mu, sigma)


class ChengHyperprior(LabModel):
    """Cheng's transforms with a mean-scale hyperprior, without context."""

    multiple = 64
    quantisation = "noise"

    def __init__(self, n: int = 128, *, attention: bool = False) -> None:
        super().__init__()
        self.config = {"n": n, "attention": attention}
        self.g_a = residual_analysis(n, attention=attention)
        self.g_s = residual_synthesis(n, attention=attention)
        self.h_a, self.h_s = hyper_analysis(n), hyper_synthesis(n)
        self.prior = FactorizedPrior(n)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        sigma, mu = self.h_s(z_hat).chunk(2, 1)
        return coder.code("y", y, Gaussian(mu, sigma))


_PAPER = "Cheng, Sun, Takeuchi, Katto, CVPR 2020, arXiv 2001.01568"

SYSTEMS = {
    "cheng2020-hyperprior": Entry(
        ChengHyperprior,
        "Cheng's transforms, mean-scale hyperprior, no context",
        _PAPER,
        {"n": 128},
        {"n": 192},
        {"n": 8},
    ),
    "cheng2020-anchor": Entry(
        Cheng2020,
        "residual transforms, raster autoregression, one Gaussian",
        _PAPER,
        {"n": 128},
        {"n": 192},
        {"n": 8},
    ),
    "cheng2020-attention": Entry(
        Cheng2020,
        "the same with simplified attention",
        _PAPER,
        {"n": 128, "attention": True},
        {"n": 192},
        {"n": 8, "attention": True},
    ),
    "cheng2020-mixture": Entry(
        Cheng2020,
        "the same with the paper's mixture of three Gaussians",
        _PAPER,
        {"n": 128, "attention": True, "mixture": 3},
        {"n": 192},
        {"n": 8, "attention": True, "mixture": 3},
    ),
}
