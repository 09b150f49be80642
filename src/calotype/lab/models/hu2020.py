"""Hu, Yang, Liu: Coarse-to-fine hyper-prior modeling for learned image compression.  AAAI 2020; with Ma:
Learning end-to-end lossy image compression, a benchmark.  TPAMI 2021, arXiv 2002.03711.

::

    x --g_a--> y -- round --> y_hat --g_s--------------------> |
               |                                               |
               h_a2--> z2 -- round --h_s2--> h2 -------------> | aggregate--> x_hat
                       |                     predict3 --> y    |
                       h_a1--> z1 -- round --h_s1--> h1 -----> |
                                     :               predict2 --> z2
                          N(0, sigma per channel)

Each level is analysed from the *rounded* level below, without divisive normalisation and with space-to-depth
instead of strides, so that the hyperprior keeps what the signal holds.  The synthesis sees the
hyper-features too.

Coding order: z1, then z2 from z1, then y (z3 in the paper) from z2; each all at once.  No context.  With
``partition`` (768 in the authors' codec) the picture is coded in squares of that many pixels, one after the
other, each like a picture of its own; ``smooth`` blurs the seams (theirs, at low rates).

``staged``: trained in the four stages of `hu2020_stages`, whose extra layers go at the end (`finished`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy import Coder, Gaussian, Mixture, given
from calotype.lab.entropy.partition import Part, boxes, cut, join, smooth, tiled
from calotype.lab.layers.bounds import round_ste
from calotype.lab.layers.coarse import Aggregation, down, hyper_analysis, hyper_synthesis, up
from calotype.lab.layers.conv import conv
from calotype.lab.layers.gdn import GDN
from calotype.lab.models.base import Entry, LabModel
from calotype.lab.models.hu2020_stages import Heads, stage_at


class Prediction(nn.Module):
    """Hyper-features ``[B, width, h, w]`` to mu and sigma, each of that shape, from the 5x5 neighbourhood of
    a position.

    Every neighbourhood is a picture of its own, with zeros around it.
    """

    AT_ONCE = 512  # neighbourhoods, when no gradient is needed

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            conv(width, width, 3, 1), nn.LeakyReLU(0.2),
            nn.ZeroPad2d((1, 2, 1, 2)), nn.Conv2d(width, width, 3, 2), nn.LeakyReLU(0.2),
            conv(width, width, 3, 1), nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 3),
        )  # fmt: skip

    def forward(self, t: Tensor) -> Mixture:
        b, c, h, w = t.shape
        step = b * h * w if torch.is_grad_enabled() else self.AT_ONCE
        patches = F.unfold(t, 5, padding=2).transpose(1, 2).reshape(-1, c, 5, 5)
        out = torch.cat([self.net(p) for p in patches.split(step)])
        mu, log_sigma = out.view(b, h, w, 2 * c).permute(0, 3, 1, 2).chunk(2, 1)
        # latents round to plain integers, whatever mu
        return Mixture.single(mu, torch.exp(log_sigma))


class CoarseToFine(LabModel):
    """y ``[B, n, H/16, W/16]``, z2 ``[B, z2, H/32, W/32]``, z1 ``[B, z2 / 2, H/64, W/64]``.

    The paper's low rates have ``n = 192``; its high rates ``n = 384`` and ``wide = 2``.
    """

    multiple = 64
    quantisation = "mixed"
    encoder_only = ("g_a", "g_s", "h_a1", "h_a2", "aggregate")

    def __init__(
        self, n: int = 192, z2: int = 256, wide: int = 1,
        *, partition: int = 0, smooth: bool = False, staged: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        more = {"partition": partition, "smooth": smooth, "staged": staged}
        self.config = {"n": n, "z2": z2, "wide": wide, **{k: v for k, v in more.items() if v}}
        if partition % 64:
            raise ValueError(f"partition must be a multiple of 64, got {partition}")
        z1 = z2 // 2
        self.partition, self.smooth, self.stage = partition, smooth, 4
        self.g_a = nn.Sequential(down(3, n), GDN(n), down(n, n), GDN(n), down(n, n), GDN(n), down(n, n))
        igdn = [GDN(n, inverse=True) for _ in range(3)]
        self.g_s = nn.Sequential(up(n, n), igdn[0], up(n, n), igdn[1], up(n, n), igdn[2])
        self.h_a2 = hyper_analysis(n, (2 * n, 4 * n, z2))
        self.h_a1 = hyper_analysis(z2, (wide * z2, wide * z1, z1))
        self.h_s2 = hyper_synthesis(z2, 4 * n, n)
        self.h_s1 = hyper_synthesis(z1, wide * z2, z2)
        self.predict2, self.predict3 = Prediction(z2), Prediction(n)
        self.sigma1 = nn.Parameter(torch.ones(1, z1, 1, 1))
        self.aggregate = Aggregation(n, z2)
        self.heads = Heads(n, z2, up(n, 3)) if staged else None

    def analyse(self, x: Tensor) -> Tensor:
        found = boxes(x.shape[2], x.shape[3], self.partition)
        return tiled(lambda part: self.g_a(2 * part - 1), found, [(x, 1)])

    def walk(self, coder: Coder, y: Tensor | None = None) -> tuple[Tensor, ...]:
        _, height, width = coder.grid(1)
        found = boxes(height, width, self.partition)
        parts = [
            self.levels(Part(coder, box, k), given(lambda y, box=box: cut(y, box, 16), y))
            for k, box in enumerate(found)
        ]
        return tuple(join(list(maps), found) for maps in zip(*parts))

    def levels(self, coder: Coder | Part, y: Tensor | None) -> tuple[Tensor, ...]:
        """Code the levels of one partition; returns y_hat, h2 and h1."""
        z2 = given(lambda y: self.h_a2(round_ste(y)), y)
        b, h, w = coder.grid(64)
        if self.heads and self.stage == 1:
            sigma2 = self.heads.sigma2.abs().expand(b, -1, 2 * h, 2 * w)
            h1, z2_hat = None, coder.code("z2", z2, Gaussian(None, sigma2))
        else:
            z1 = given(lambda z2: self.h_a1(round_ste(z2)), z2)
            h1 = self.h_s1(coder.code("z1", z1, Gaussian(None, self.sigma1.abs().expand(b, -1, h, w))))
            z2_hat = coder.code("z2", z2, self.predict2(h1))
        h2 = self.h_s2(z2_hat)
        y_hat = coder.code("y", y, self.predict3(h2))
        self.extra = self.heads.loss(y_hat, h2, z2_hat, h1) if self.heads and self.stage < 4 else 0.0
        return (y_hat, h2) if h1 is None else (y_hat, h2, h1)

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        found = boxes(16 * y_hat.shape[2], 16 * y_hat.shape[3], self.partition)
        if self.heads and self.stage < 3:
            pixels = self.heads.pixels
            return (tiled(lambda y: pixels(self.g_s(y)), found, [(y_hat, 16)]) + 1) / 2
        h2, h1 = more
        x = tiled(lambda y, *h: self.aggregate(self.g_s(y), *h), found, [(y_hat, 16), (h2, 16), (h1, 32)])
        return ((smooth(x, self.partition) if self.smooth else x) + 1) / 2

    def aux(self) -> Tensor:
        return super().aux() + self.extra

    def progress(self, done: float) -> None:
        """Enter the stage that belongs to a part ``done`` (0..1) of the training."""
        self.stage = stage_at(done) if self.heads else 4

    def finished(self) -> CoarseToFine:
        """The same without what only training needs."""
        model = CoarseToFine(**{k: v for k, v in self.config.items() if k != "staged"})
        model.load_state_dict({k: v for k, v in self.state_dict().items() if not k.startswith("heads.")})
        model.name = self.name
        return model.to(self.sigma1.device).train(self.training)


_PAPER = "Hu, Yang, Liu, AAAI 2020; Hu, Yang, Ma, Liu, TPAMI 2021, arXiv 2002.03711"

SYSTEMS = {
    "hu2020-low": Entry(
        CoarseToFine,
        "three levels of latents, side-information aggregation",
        _PAPER,
        {"n": 192},
        {},
        {"n": 12, "z2": 16},
    ),
    "hu2020-high": Entry(
        CoarseToFine,
        "the same at the sizes for high rates",
        _PAPER,
        {"n": 384, "wide": 2},
        {},
        {"n": 12, "z2": 16, "wide": 2},
    ),
}
