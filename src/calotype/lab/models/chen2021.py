"""Chen, Liu, Ma, Shen, Cao, Wang: End-to-end learnt image compression via non-local attention optimization
and improved context modeling (NLAIC).  TIP 2021, arXiv 1910.06244.

::

    x --convolutions, non-local attention--> y ---- round --> y_hat --mirror--> x_hat
                                             |        :         |
                                             |   weights, mu, sigma of 3 Gaussians
                                             |        ^
                                             |   [ 1x1x1 convs ] <-- masked 11x11x11 conv of y_hat (24 maps)
                                             |        ^
                              h_a--> z --> z_hat --h_s, features--> one side value for each latent

Attention is ``x + trunk(x) sigmoid(mask(x))`` with a non-local block in the mask: at half the resolution,
and on the latents.  There every position attends to those of its tile only (``tile`` x ``tile``), since to
attend to all takes time by the square of the picture.  The authors' released code has the weights of the
attention at half the resolution, but leaves its mask out when it runs; here it is used.

Coding order: z; then y as a volume, channel after channel, each in raster order, each latent conditioned on
all before it within 5 channels, rows and columns.  What does not see each other is coded in one step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, Mixture, given
from calotype.lab.entropy.volume import MaskedConv3d, See, volume
from calotype.lab.layers.attention import NonLocalAttention
from calotype.lab.layers.conv import conv, deconv
from calotype.lab.layers.residual import PlainResidual
from calotype.lab.models.base import Entry, LabModel

REACH = 5


def _blocks(width: int, count: int = 3) -> list[nn.Module]:
    return [PlainResidual(width) for _ in range(count)]


class Context(nn.Module):
    """What came before and the side value of each latent, to the parameters of ``mixture`` Gaussians."""

    def __init__(self, mixture: int, maps: int) -> None:
        super().__init__()
        self.past = MaskedConv3d(1, maps, 2 * REACH + 1, first=True)
        self.joint = nn.Sequential(
            nn.Conv3d(maps + 1, 2 * maps, 1), nn.ReLU(),
            nn.Conv3d(2 * maps, 4 * maps, 1), nn.ReLU(),
            nn.Conv3d(4 * maps, 3 * mixture, 1),
        )  # fmt: skip

    def forward(self, see: See, side: Tensor | None) -> Tensor:
        assert side is not None
        return self.joint(torch.cat((see(self.past, None), side), 1))


class NonLocalCodec(LabModel):
    """y is ``[B, m, H/16, W/16]``, z ``[B, n, H/64, W/64]``; ``thick`` channels at the pixels, twice as many
    at half the resolution.
    """

    multiple = 64
    quantisation = "noise"

    def __init__(
        self, n: int = 128, m: int = 192, thick: int = 96, maps: int = 24, mixture: int = 3, tile: int = 64
    ) -> None:
        super().__init__()
        self.config = {"n": n, "m": m, "thick": thick, "maps": maps, "mixture": mixture, "tile": tile}
        self.mixture, t = mixture, 2 * thick
        self.g_a = nn.Sequential(
            conv(3, thick, 5, 1), *_blocks(thick, 2), conv(thick, t),
            NonLocalAttention(t, tile), conv(t, m),
            *_blocks(m), conv(m, m),
            *_blocks(m), conv(m, m),
            NonLocalAttention(m, tile),
        )  # fmt: skip
        self.g_s = nn.Sequential(
            NonLocalAttention(m, tile), deconv(m, m),
            *_blocks(m), deconv(m, m),
            *_blocks(m), deconv(m, t),
            NonLocalAttention(t, tile), deconv(t, thick),
            *_blocks(thick), conv(thick, 3, 5, 1),
        )  # fmt: skip
        self.h_a = nn.Sequential(
            *_blocks(m, 2), conv(m, m), *_blocks(m, 2), conv(m, m),
            NonLocalAttention(m, tile), conv(m, n, 3, 1),
        )  # fmt: skip
        self.h_s = nn.Sequential(
            conv(n, m, 3, 1), NonLocalAttention(m, tile),
            *_blocks(m, 2), deconv(m, m), *_blocks(m, 2), deconv(m, m),
        )  # fmt: skip
        self.features = nn.Sequential(*_blocks(m), conv(m, 2 * m, 3, 1))
        self.side = conv(2 * m, m, 3, 1)
        self.context = Context(mixture, maps)
        self.prior = FactorizedPrior(n)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        side = self.side(self.features(self.h_s(z_hat)))[:, None]
        b, _, c, h, w = side.shape
        return volume(coder, "y", y, (b, c, h, w), self.context, self.distribution, side, reach=REACH)

    def distribution(self, parameters: Tensor) -> Mixture:
        logits, mu, sigma = parameters.unflatten(1, (3, self.mixture)).unbind(1)
        return Mixture(logits, mu, sigma)


SYSTEMS = {
    "chen2021-nlaic": Entry(
        NonLocalCodec,
        "non-local attention, masked 3-D context, mixture of Gaussians",
        "Chen, Liu, Ma, Shen, Cao, Wang, TIP 2021, arXiv 1910.06244",
        {},
        {},
        {"n": 4, "m": 4, "thick": 8, "maps": 4, "tile": 16},
    ),
}
