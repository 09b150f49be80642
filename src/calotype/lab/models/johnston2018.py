"""Johnston, Vincent, Minnen, Covell, Singh, Chinen, Hwang, Shor, Toderici: Improved lossy image compression
with priming and spatially adaptive bit rates for recurrent networks.  CVPR 2018, arXiv 1703.10114.

::

    as Toderici et al. 2017 (GRU, one-shot), and

    priming     x --encoder, 3 times--> dropped, then --encoder--> bits
                bits --decoder, 3 times--> dropped, then --decoder--> x_hat
    adaptive    mean |r| of blocks of 16 x 16 --above a target here or next to it?--> active --> bits, or 0
                                                                                         :
                                                                    probability of going on, by iteration
    loss        |r| weighed by 1 - SSIM of the place

Before the first code the units go over the picture some times, so that their states have seen beyond their
own place; the decoder does the same with the first code.  ``diffuse`` does it before every later code.

Bits end where the picture is good enough: a block that has left is never coded again, and the decoder is
given 0 there.  The paper chooses blocks by their quality in the finished file; here they are chosen on the
way, by the mean absolute error that is left (``target``, of 255), so that a file stays progressive.

Coding order: iteration after iteration, each a part of the file: from the second on which blocks go on, all
at once; then their bits position after position in raster order, all maps together.  A file cut after any
iteration decodes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy import Coder, given
from calotype.lab.entropy.binary import Binary
from calotype.lab.models.base import Entry
from calotype.lab.models.recurrent import Recurrent


class Primed(Recurrent):
    """Recurrent autoencoder with priming and adaptive rates; codes are ``[B, bits, H/16, W/16]``."""

    adaptive = True

    def __init__(
        self, n: int = 512, bits: int = 32, iterations: int = 16, context: int = 64, truncate: int = 0,
        prime: int = 3, diffuse: int = 0, target: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__(
            n=n, bits=bits, iterations=iterations, cell="gru", reconstruction="one-shot", context=context,
            truncate=truncate, prime=prime, diffuse=diffuse,
        )  # fmt: skip
        self.config = {
            "n": n, "bits": bits, "iterations": iterations, "context": context, "truncate": truncate,
            "prime": prime, "diffuse": diffuse, "target": target,
        }  # fmt: skip
        self.target = target
        self.going_on = nn.Parameter(torch.zeros(max(1, iterations - 1)))

    def allocate(self, coder: Coder, t: int, x: Tensor | None, x_hat: Tensor, active: Tensor) -> Tensor:
        wanted = given(lambda x: self.wanted(x, x_hat) * active, x)
        law = Binary(self.going_on[t - 1].expand(active.shape), active.to(self.going_on.dtype))
        answer = coder.code(f"active/{t}", given(lambda m: (2 * m - 1) * active, wanted), law)
        return (answer.detach() > 0).to(active.dtype)

    @torch.no_grad()
    def wanted(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Which blocks of 16 x 16 pixels, or one of the eight around, miss the target: 0 or 1."""
        error = 255 * F.avg_pool2d((x - x_hat).abs().mean(1, keepdim=True), 16)
        return (F.max_pool2d(error, 3, 1, 1) > self.target).to(x.dtype)

    def distance(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Mean absolute error on a 0..255 scale, weighed by `dissimilarity`; ``[B]``."""
        return 255 * ((x - x_hat).abs() * dissimilarity(x, x_hat)).flatten(1).mean(1)


@torch.no_grad()
def dissimilarity(x: Tensor, y: Tensor) -> Tensor:
    """``1 - SSIM`` of windows of 8 x 8, four pixels apart, at each pixel (nearest); 1 on average."""
    mx, my = F.avg_pool2d(x, 8, 4), F.avg_pool2d(y, 8, 4)
    vx, vy, vxy = (F.avg_pool2d(a * b, 8, 4) - ma * mb for a, b, ma, mb in (
        (x, x, mx, mx), (y, y, my, my), (x, y, mx, my)
    ))  # fmt: skip
    c1, c2 = 0.01**2, 0.03**2
    ssim = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    weight = F.interpolate(1 - ssim.mean(1, keepdim=True), size=x.shape[2:], mode="nearest") + 1e-3
    return weight / weight.mean((2, 3), keepdim=True)


SYSTEMS = {
    "johnston2018": Entry(
        Primed,
        "recurrent (GRU), primed, bits where they are needed; progressive",
        "Johnston et al., CVPR 2018, arXiv 1703.10114",
        {},
        {},
        {"n": 64, "bits": 8, "iterations": 3, "context": 8, "prime": 1},
    ),
}
