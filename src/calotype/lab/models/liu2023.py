"""Liu, Sun, Katto: Learned image compression with mixed Transformer-CNN architectures.  CVPR 2023, arXiv
2303.14978.

::

    x --g_a--> y = y_0 | y_1 | .. | y_4                                              y_hat --g_s--> x_hat
               h_a--> z --> z_hat --h_mean--> means                                    ^
                                  `-h_scale-> scales                                   |
    slice i:   SWAtten_i(means,  y_hat_0..i-1) --mean_i-->  mu    |  round(y_i - mu) + mu
               SWAtten_i(scales, y_hat_0..i-1) --scale_i--> sigma |   + tanh(lrp_i(attended means, ..)) / 2

    TCM block:  x --1x1--+-- N channels: 2 x + f(x), two conv3 -----+--1x1-- + x
                         `-- N channels: Swin block, window 8 or 4 --'
    SWAtten:    1x1 to 128, then x + units(x) sigmoid(units(Swin, shifted Swin)), 1x1 back

Coding order: z; then the slices of y, 0 to 4, each from side information and all slices before it, which
carry their latent residual prediction (lrp), an estimate of the rounding error.  `minnen2020` with attention
in front of each context network.  N = 64, 96 and 128 are the paper's small, medium and large.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, channel_slices, given
from calotype.lab.layers.attention import SimplifiedAttention
from calotype.lab.layers.conv import conv, slice_net, subpixel
from calotype.lab.layers.residual import ResidualBlock, ResidualDown, ResidualUp
from calotype.lab.layers.window_attention import SwinBlock, swin_blocks
from calotype.lab.models.base import Entry, LabModel

BLOCKS = ("tcm", "conv", "swin")


class MixedBlock(nn.Module):
    """One TCM block on ``2n`` channels: half of them through convolutions, half through a Swin block.

    ``kind`` "conv" or "swin" sends all channels one way: the paper's counterparts with one kind of branch
    (our reading).
    """

    def __init__(self, n: int, head_width: int, window: int, *, shifted: bool, kind: str = "tcm") -> None:
        super().__init__()
        self.widths = {"tcm": (n, n), "conv": (2 * n, 0), "swin": (0, 2 * n)}[kind]
        a, b = self.widths
        self.first, self.last = conv(2 * n, 2 * n, 1, 1), conv(2 * n, 2 * n, 1, 1)
        self.convolution = ResidualBlock(a, a) if a else None
        self.swin = SwinBlock(b, head_width, window, shifted=shifted) if b else None

    def forward(self, x: Tensor) -> Tensor:
        local, wide = self.first(x).split(self.widths, 1)
        if self.convolution is not None:
            local = local + self.convolution(local)  # the block has a skip of its own: 2 x + f(x)
        if self.swin is not None:
            wide = self.swin(wide)
        return x + self.last(torch.cat((local, wide), 1))


class SwinAttention(nn.Module):
    """SWAtten: `SimplifiedAttention` whose mask sees a pair of Swin blocks, at ``inner`` channels to be
    cheap.
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.squeeze, self.expand = conv(width, inner, 1, 1), conv(inner, width, 1, 1)
        self.swin = nn.Sequential(*swin_blocks(2, inner, 16, 8))
        self.gate = SimplifiedAttention(inner)

    def forward(self, x: Tensor) -> Tensor:
        x = self.squeeze(x)
        return self.expand(x + self.gate.trunk(x) * torch.sigmoid(self.gate.mask(self.swin(x))))


class TCM(LabModel):
    """y is ``[B, m, H/16, W/16]`` in ``slices`` of equal width, z ``[B, z, H/64, W/64]``.

    ``attention=False`` leaves out SWAtten, ``blocks`` "conv" or "swin" one branch of all TCM blocks: the
    paper's ablations.
    """

    multiple = 64
    quantisation = "mixed"

    def __init__(
        self,
        n: int = 128,
        m: int = 320,
        z: int = 192,
        slices: int = 5,
        inner: int = 128,
        widths: tuple[int, int] = (224, 128),
        *,
        attention: bool = True,
        blocks: str = "tcm",
    ) -> None:
        super().__init__()
        if m % slices:
            raise ValueError(f"m = {m} latents do not make {slices} slices of one width")
        if blocks not in BLOCKS:
            raise ValueError(f"blocks must be one of {', '.join(BLOCKS)}, got {blocks!r}")
        self.config = {"n": n, "m": m, "z": z, "slices": slices, "inner": inner, "widths": list(widths)}
        self.config |= {"attention": attention, "blocks": blocks}
        self.sizes = [m // slices] * slices

        def pair(head_width: int, window: int = 8) -> list[nn.Module]:
            return [
                MixedBlock(n, head_width, window, shifted=shifted, kind=blocks) for shifted in (False, True)
            ]

        c = 2 * n
        self.g_a = nn.Sequential(
            ResidualDown(3, c), *pair(8), ResidualDown(c, c), *pair(16), ResidualDown(c, c), *pair(32),
            conv(c, m, 3, 2),
        )  # fmt: skip
        self.g_s = nn.Sequential(
            ResidualUp(m, c),
            *pair(32),
            ResidualUp(c, c),
            *pair(16),
            ResidualUp(c, c),
            *pair(8),
            subpixel(c, 3),
        )
        self.h_a = nn.Sequential(ResidualDown(m, c), *pair(32, 4), conv(c, z, 3, 2))
        self.h_mean = nn.Sequential(ResidualUp(z, c), *pair(32, 4), subpixel(c, m))
        self.h_scale = nn.Sequential(ResidualUp(z, c), *pair(32, 4), subpixel(c, m))
        self.prior = FactorizedPrior(z)
        width = m // slices
        seen = [m + width * i for i in range(slices)]
        self.mean_attention, self.scale_attention = (
            nn.ModuleList(SwinAttention(w, inner) if attention else nn.Identity() for w in seen)
            for _ in range(2)
        )

        def nets(more: int) -> nn.ModuleList:
            return nn.ModuleList(slice_net(w + more, width, widths, (3, 3, 3), nn.GELU) for w in seen)

        self.mean, self.scale, self.lrp = nets(0), nets(0), nets(width)

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        means, scales = self.h_mean(z_hat), self.h_scale(z_hat)

        def support(i: int, done: list[Tensor]) -> tuple[Tensor, Tensor]:
            for_mean = self.mean_attention[i](torch.cat((means, *done), 1))
            return for_mean, self.scale_attention[i](torch.cat((scales, *done), 1))

        return channel_slices(coder, "y", y, self.sizes, support, self.mean, self.scale, self.lrp)


_PAPER = "Liu, Sun, Katto, CVPR 2023, arXiv 2303.14978"

SYSTEMS = {
    "liu2023-tcm-small": Entry(
        TCM,
        "mixed Transformer-CNN blocks, SWAtten slices",
        _PAPER,
        {"n": 64},
        {},
        {"n": 8, "m": 20, "z": 8, "inner": 16, "widths": [8, 8]},
    ),
    "liu2023-tcm-medium": Entry(
        TCM,
        "the same, wider",
        _PAPER,
        {"n": 96},
        {},
        {"n": 8, "m": 20, "z": 8, "inner": 16, "widths": [8, 8]},
    ),
    "liu2023-tcm-large": Entry(
        TCM,
        "the same, widest",
        _PAPER,
        {"n": 128},
        {},
        {"n": 8, "m": 20, "z": 8, "inner": 16, "widths": [8, 8]},
    ),
}
