"""Ali et al.: Towards efficient image compression without autoregressive models.  NeurIPS 2023, openreview
1ihGy9vAIg.

The paper changes the loss only (`calotype.lab.losses.correlation`): its systems are Minnen's, Cheng's and
Zhu's hyperpriors, and on Cheng's transforms autoregression, checkerboard and channel-wise autoregression.
All but the last have files of their own (`minnen2018`, `cheng2020`, `zhu2022`, `he2021`); it is here.

::

    x --residual blocks--> y = y_0 | y_1 | .. | y_S-1                                    y_hat --> x_hat
                           h_a--> z --> z_hat --h_s--> scales, means
    slice i:   means,  y_hat_0 .. y_hat_i-1 --mean_i-->  mu     |  round(y_i - mu) + mu
               scales, y_hat_0 .. y_hat_i-1 --scale_i--> sigma  |    + tanh(lrp_i(means, .., y_hat_i)) / 2

Coding order: z; then the slices of y, 0 to S - 1 (`minnen2020` with other transforms; wiring and widths are
ours, the paper does not give them).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, channel_slices, given
from calotype.lab.layers.conv import slice_net
from calotype.lab.layers.transforms import residual_analysis, residual_synthesis
from calotype.lab.models.base import Entry, LabModel
from calotype.lab.models.cheng2020 import hyper_analysis, hyper_synthesis
from calotype.lab.models.minnen2020 import KERNELS


class ChengChARM(LabModel):
    """``n`` channels everywhere: y is ``[B, n, H/16, W/16]`` in ``slices`` of equal width, z ``[B, n, H/64,
    W/64]``.
    """

    multiple = 64
    quantisation = "mixed"

    def __init__(self, n: int = 128, slices: int = 8, widths: tuple[int, int] = (224, 128)) -> None:
        super().__init__()
        if n % slices:
            raise ValueError(f"n = {n} latents do not make {slices} slices of one width")
        self.config = {"n": n, "slices": slices, "widths": list(widths)}
        self.g_a, self.g_s = residual_analysis(n), residual_synthesis(n)
        self.h_a, self.h_s = hyper_analysis(n), hyper_synthesis(n)
        self.prior = FactorizedPrior(n)
        width = n // slices
        self.sizes = [width] * slices
        seen = [n + width * i for i in range(slices)]

        def nets(more: int) -> nn.ModuleList:
            return nn.ModuleList(slice_net(c + more, width, widths, KERNELS) for c in seen)

        self.mean, self.scale, self.lrp = nets(0), nets(0), nets(width)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        scales, means = self.h_s(z_hat).chunk(2, 1)

        def support(i: int, done: list[Tensor]) -> tuple[Tensor, Tensor]:
            return torch.cat((means, *done), 1), torch.cat((scales, *done), 1)

        return channel_slices(coder, "y", y, self.sizes, support, self.mean, self.scale, self.lrp)


_PAPER = "Ali et al., NeurIPS 2023, openreview 1ihGy9vAIg"

SYSTEMS = {
    "ali2023-cheng-charm": Entry(
        ChengChARM,
        "Cheng's transforms, channel-wise autoregression",
        _PAPER,
        {"n": 128},
        {"n": 192},
        {"n": 12, "slices": 3, "widths": [8, 8]},
    ),
}
