"""Xie, Cheng, Chen: Enhanced invertible encoding for learned image compression (InvCompress).  ACM Multimedia
2021, arXiv 2108.03690.

::

    x --enhance--> --flow--> 768 channels --mean of 768 / n groups--> --attention--> y -- round --> y_hat
                                                                                     |     :
                                                                          mu, sigma as in Cheng et al. 2020
    x_hat <--enhance-- <--flow, reversed-- 768 channels <--768 / n copies-- <--attention-- y_hat

One set of invertible layers is the analysis and, run backwards, the synthesis: four levels of space to
depth, a 1x1 convolution and three affine couplings.  Nothing is lost in them, but ``n`` channels have to
stand for 768.  Attention and the enhancement of pixels are two networks each, one for either way.

Coding order: z; then y position after position in raster order, the channels of a position together.
"""

from __future__ import annotations

from torch import Tensor, nn

from calotype.lab.entropy import FactorizedPrior
from calotype.lab.layers.attention import SimplifiedAttention
from calotype.lab.layers.flow import Enhancement, Flow
from calotype.lab.layers.masked import RasterConv
from calotype.lab.models.base import Entry
from calotype.lab.models.cheng2020 import hyper_analysis, hyper_synthesis
from calotype.lab.models.minnen2018 import JointContext, joint_parameters


class InvCompress(JointContext):
    """y is ``[B, n, H/16, W/16]``, z ``[B, n, H/64, W/64]``; ``n`` divides 768.

    ``enhance``: channels of the enhancement; ``couplings``: inside the couplings, 0 for those published.
    """

    multiple = 64
    quantisation = "noise"
    encoder_only = ("enhance", "flow", "attend", "attend_back", "restore", "h_a")

    def __init__(self, n: int = 192, enhance: int = 64, couplings: int = 0) -> None:
        super().__init__()
        self.config = {"n": n, "enhance": enhance, "couplings": couplings}
        self.enhance, self.restore = Enhancement(enhance), Enhancement(enhance)
        self.flow = Flow((5, 5, 3, 3), couplings)
        if self.flow.channels % n:
            raise ValueError(f"n must divide {self.flow.channels}, got {n}")
        self.attend, self.attend_back = SimplifiedAttention(n), SimplifiedAttention(n)
        self.h_a, self.h_s = hyper_analysis(n), hyper_synthesis(n)
        self.prior = FactorizedPrior(n)
        self.context = RasterConv(n, 2 * n)
        self.joint = joint_parameters(n)

    def analyse(self, x: Tensor) -> Tensor:
        wide = self.flow(self.enhance(x))
        return self.attend(wide.unflatten(1, (-1, self.config["n"])).mean(1))

    def analyse_part(self) -> nn.Module:
        return _Analysis(self)

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        wide = self.attend_back(y_hat).repeat(1, self.flow.channels // y_hat.shape[1], 1, 1)
        return self.restore(self.flow(wide, reverse=True))


class _Analysis(nn.Module):
    """`InvCompress.analyse` as a module of its own, for measurements."""

    def __init__(self, model: InvCompress) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model.analyse(x)


SYSTEMS = {
    "xie2021-invcompress": Entry(
        InvCompress,
        "invertible transforms, Cheng's entropy model",
        "Xie, Cheng, Chen, ACM Multimedia 2021, arXiv 2108.03690",
        {"n": 128},
        {"n": 192},
        {"n": 8, "enhance": 8, "couplings": 8},
    ),
}
