"""He, Yang, Peng, Ma, Qin, Wang: ELIC, efficient learned image compression with unevenly grouped
space-channel contextual adaptive coding.  CVPR 2022, arXiv 2203.10886.

::

    x --g_a--> y = 16 | 16 | 32 | 64 | 192 channels ----> y_hat --g_s--> x_hat
               h_a--> z --> z_hat --h_s--> side
    group k:   y_hat_0 .. y_hat_k-1 --channel_k-->  |
               side ------------------------------> | [ 1x1 convs_k ] --> sigma, mu of y_k
               anchors of y_hat_k --spatial_k-----> |

Coding order: z; then the groups of y from the narrow to the wide; within a group the anchors of a
checkerboard, then the others.  Ten steps in all.

Two published variants: ``"official"`` (each group sees all earlier ones) and ``"chandelier"``, a
re-implementation whose groups see the first and the latest only.
"""

from __future__ import annotations

import itertools
from functools import partial

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Coder, FactorizedPrior, Gaussian, given, parts, two_pass
from calotype.lab.layers.attention import SimplifiedAttention
from calotype.lab.layers.conv import Pointwise, conv, deconv, slice_net
from calotype.lab.layers.masked import CheckerboardConv
from calotype.lab.layers.residual import ResidualBottleneck
from calotype.lab.models.base import Entry, LabModel


def _blocks(n: int) -> list[nn.Module]:
    return [ResidualBottleneck(n) for _ in range(3)]


def _joint(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(widths):
        layers += [Pointwise(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Elic(LabModel):
    """y is ``[B, m, H/16, W/16]``, z ``[B, n, H/64, W/64]``; ``groups`` are channels of y, their sum is
    ``m``.
    """

    multiple = 64
    quantisation = "mixed"

    def __init__(
        self, n: int = 192, m: int = 320, groups: list[int] | None = None, variant: str = "official"
    ) -> None:
        super().__init__()
        if variant not in ("official", "chandelier"):
            raise ValueError(f"variant must be 'official' or 'chandelier', got {variant!r}")
        groups = list(groups or [16, 16, 32, 64, m - 128])
        if min(groups) < 1 or sum(groups) != m:
            raise ValueError(f"groups {groups} do not add up to {m} latents")
        self.config = {"n": n, "m": m, "groups": groups, "variant": variant}
        self.groups, self.official = groups, variant == "official"
        attention = SimplifiedAttention
        self.g_a = nn.Sequential(
            conv(3, n), *_blocks(n),
            conv(n, n), *_blocks(n), attention(n),
            conv(n, n), *_blocks(n),
            conv(n, m), attention(m),
        )  # fmt: skip
        self.g_s = nn.Sequential(
            attention(m), deconv(m, n), *_blocks(n),
            deconv(n, n), attention(n), *_blocks(n),
            deconv(n, n), *_blocks(n),
            deconv(n, 3),
        )  # fmt: skip
        self.h_a = nn.Sequential(conv(m, n, 3, 1), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n))
        k, side = n * 3 // 2, 2 * (n if self.official else m)
        last = deconv(k, side, 3, 1) if self.official else conv(k, side, 3, 1)
        self.h_s = nn.Sequential(deconv(n, n), nn.ReLU(), deconv(n, k), nn.ReLU(), last)
        self.prior = FactorizedPrior(n)
        self.channel, self.spatial, self.joint = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for i, g in enumerate(groups):
            seen = sum(groups[:i]) if self.official else groups[0] + (groups[i - 1] if i > 1 else 0)
            self.channel.append(slice_net(seen, 2 * g, (224, 128), (5, 5, 5)) if i else nn.Identity())
            self.spatial.append(CheckerboardConv(g, 2 * g))
            first = 2 * g * (1 + (i > 0)) + side
            # official: widths fall in even steps from input to output, but not below 2n
            steps = [max(2 * n, first + (2 * g - first) * s // 3) for s in (1, 2)]
            self.joint.append(_joint([first, *(steps if self.official else [side, 512]), 2 * g]))

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        side = self.h_s(z_hat)
        done: list[Tensor] = []
        for i, y_i in enumerate(parts(y, self.groups)):
            known = side
            if i:
                seen = done if self.official or i == 1 else [done[0], done[-1]]
                known = torch.cat((self.channel[i](torch.cat(seen, 1)), side), 1)
            # two steps: anchors from `known`, the others from `known` and the anchors
            law = partial(self.distribution, i)
            y_hat = two_pass(coder, f"y/{i}", y_i, known, self.spatial[i], law)
            done.append(y_hat)
        return torch.cat(done, 1)

    def distribution(self, i: int, known: Tensor, context: Tensor) -> Gaussian:
        first, second = self.joint[i](torch.cat((context, known), 1)).chunk(2, 1)
        sigma, mu = (first, second) if self.official else (second, first)
        return Gaussian(mu, sigma)


_PAPER = "He, Yang, Peng, Ma, Qin, Wang, CVPR 2022, arXiv 2203.10886"

SYSTEMS = {
    "he2022-elic": Entry(
        Elic,
        "uneven channel groups x checkerboard",
        _PAPER,
        {"n": 192, "m": 320},
        {},
        {"n": 8, "m": 12, "groups": [2, 2, 3, 5]},
    ),
    "he2022-elic-chandelier": Entry(
        Elic,
        "the same, groups see the first and the latest only",
        _PAPER,
        {"n": 192, "m": 320, "variant": "chandelier"},
        {},
        {"n": 8, "m": 12, "groups": [2, 2, 3, 5], "variant": "chandelier"},
    ),
}
