"""Minnen, Singh: Channel-wise autoregressive entropy models for learned image compression.  ICIP 2020, arXiv
2007.08739.

::

    x --g_a--> y = y_0 | y_1 | ... | y_9 ----> y_hat = y_hat_0 | ... | y_hat_9 --g_s--> x_hat
               h_a--> z --> z_hat --h_mean--> means
                                 `--h_scale--> scales
    slice i:   (means,  y_hat_0 .. y_hat_min(i,5)-1) --mean_i--> mu
               (scales, y_hat_0 .. y_hat_min(i,5)-1) --scale_i--> sigma
               q = round(y_i - mu) + mu
               y_hat_i = q + tanh(lrp_i(means, y_hat_0 .. y_hat_min(i,5)-1, q)) / 2

Coding order: z; then the slices of y, 32 channels each, 0 to 9.  A slice sees at most the *first* five
before it, each with its latent residual prediction (lrp), an estimate of the rounding error, already added.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, channel_slices, given
from calotype.lab.layers.conv import conv, deconv, slice_net
from calotype.lab.layers.transforms import gdn_analysis, gdn_synthesis
from calotype.lab.models.base import Entry, LabModel

KERNELS = (5, 5, 3)
"""Of a slice's networks."""


def hyper_features(widths: tuple[int, int, int], z: int) -> nn.Sequential:
    """``[B, z, h/4, w/4]`` to features ``[B, widths[-1], h, w]``; ReLU after the last layer too."""
    a, b, c = widths
    return nn.Sequential(deconv(z, a), nn.ReLU(), deconv(a, b), nn.ReLU(), conv(b, c, 3, 1), nn.ReLU())


class ChARM(LabModel):
    """y is ``[B, m, H/16, W/16]`` in ``slices`` of equal width, z ``[B, n, H/64, W/64]``."""

    multiple = 64
    quantisation = "mixed"

    def __init__(
        self,
        n: int = 192,
        m: int = 320,
        slices: int = 10,
        support: int = 5,
        widths: tuple[int, int] = (224, 128),
    ) -> None:
        super().__init__()
        if m % slices:
            raise ValueError(f"m = {m} latents do not make {slices} slices of one width")
        self.config = {"n": n, "m": m, "slices": slices, "support": support, "widths": list(widths)}
        self.support, self.sizes = support, [m // slices] * slices
        middle = (n + m) // 2
        self.g_a, self.g_s = gdn_analysis(n, m), gdn_synthesis(n, m)
        self.h_a = nn.Sequential(
            conv(m, m, 3, 1), nn.ReLU(), conv(m, middle), nn.ReLU(), conv(middle, n, bias=False)
        )
        self.h_mean = hyper_features((n, middle, m), n)
        self.h_scale = hyper_features((n, middle, m), n)
        self.prior = FactorizedPrior(n)
        width = m // slices
        seen = [m + width * min(i, support) for i in range(slices)]

        def nets(more: int) -> nn.ModuleList:
            return nn.ModuleList(slice_net(c + more, width, widths, KERNELS) for c in seen)

        self.mean, self.scale, self.lrp = nets(0), nets(0), nets(width)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        means, scales = self.h_mean(z_hat), self.h_scale(z_hat)

        def support(i: int, done: list[Tensor]) -> tuple[Tensor, Tensor]:
            first = done[: self.support]
            return torch.cat((means, *first), 1), torch.cat((scales, *first), 1)

        return channel_slices(coder, "y", y, self.sizes, support, self.mean, self.scale, self.lrp)


_PAPER = "Minnen, Singh, ICIP 2020, arXiv 2007.08739"

SYSTEMS = {
    "minnen2020-charm": Entry(
        ChARM,
        "channel-wise autoregression, latent residual prediction",
        _PAPER,
        {"n": 192, "m": 320},
        {},
        {"n": 8, "m": 12, "slices": 3, "support": 2, "widths": [8, 8]},
    ),
}
