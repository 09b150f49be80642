"""He, Zheng, Sun, Wang, Qin: Checkerboard context model for efficient learned image compression.  CVPR 2021,
arXiv 2103.15306.

::

    x --g_a--> y ------------------- round(y - mu) + mu --> y_hat --g_s--> x_hat
               h_a--> z --> z_hat --h_s--> [ 1x1 convs ] <-- checkerboard 5x5 conv (12 taps of the other
               colour)

    a o a o      1. anchors a (row + column even): the context counts as zero
    o a o a      2. the others o: the context sees the decoded anchors
    a o a o

Coding order: z; then the anchors, all channels; then the others.  Two steps whatever the size, against one
per position. The transforms are those of Minnen 2018 or Cheng 2020; the number of parameters is that of their
autoregressive models.
"""

from __future__ import annotations

import torch
from torch import Tensor

from calotype.lab.entropy import Coder, FactorizedPrior, Gaussian, given, two_pass
from calotype.lab.layers.masked import CheckerboardConv
from calotype.lab.layers.transforms import gdn_analysis, gdn_synthesis, residual_analysis, residual_synthesis
from calotype.lab.models import cheng2020, minnen2018
from calotype.lab.models.base import Entry, LabModel


class _Checkerboard(LabModel):
    """The entropy model: needs ``h_a``, ``h_s``."""

    multiple = 64
    quantisation = "mixed"

    def _entropy(self, n: int, m: int) -> None:
        self.prior = FactorizedPrior(n)
        self.context = CheckerboardConv(m, 2 * m)
        self.joint = minnen2018.joint_parameters(m)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        return two_pass(coder, "y", y, self.h_s(z_hat), self.context, self.distribution)

    def distribution(self, side: Tensor, context: Tensor) -> Gaussian:
        sigma, mu = self.joint(torch.cat((side, context), 1)).chunk(2, 1)
        return Gaussian(mu, sigma)


class CheckerboardMinnen(_Checkerboard):
    """On the transforms of Minnen 2018: y ``[B, m, H/16, W/16]``, z ``[B, n, H/64, W/64]``."""

    def __init__(self, n: int = 192, m: int = 192) -> None:
        super().__init__()
        self.config = {"n": n, "m": m}
        self.g_a, self.g_s = gdn_analysis(n, m), gdn_synthesis(n, m)
        self.h_a, self.h_s = minnen2018.hyper_analysis(n, m), minnen2018.hyper_synthesis(n, m)
        self._entropy(n, m)


class CheckerboardCheng(_Checkerboard):
    """On the transforms of Cheng 2020: ``n`` channels everywhere."""

    def __init__(self, n: int = 192, *, attention: bool = False) -> None:
        super().__init__()
        self.config = {"n": n, "attention": attention}
        self.g_a = residual_analysis(n, attention=attention)
        self.g_s = residual_synthesis(n, attention=attention)
        self.h_a, self.h_s = cheng2020.hyper_analysis(n), cheng2020.hyper_synthesis(n)
        self._entropy(n, n)


_PAPER = "He, Zheng, Sun, Wang, Qin, CVPR 2021, arXiv 2103.15306"

SYSTEMS = {
    "he2021-minnen": Entry(
        CheckerboardMinnen,
        "checkerboard context on Minnen's transforms",
        _PAPER,
        {"n": 192, "m": 192},
        {"n": 192, "m": 320},
        {"n": 8, "m": 12},
    ),
    "he2021-cheng": Entry(
        CheckerboardCheng,
        "checkerboard context on Cheng's transforms",
        _PAPER,
        {"n": 128},
        {"n": 192},
        {"n": 8},
    ),
}
