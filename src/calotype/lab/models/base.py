"""What all systems share: padding, the three uses of a walk, the result of a forward pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy.coders import Coder, Estimate
from calotype.lab.entropy.factorized import FactorizedPrior
from calotype.lab.entropy.order import Groups


@dataclass
class Output:
    """What a forward pass gives.  Bits are estimates, summed per picture."""

    x_hat: Tensor
    """Pixels ``[B, 3, H, W]``, 0..1 but not clipped."""
    bits: dict[str, Tensor]
    """Bits of each latent map, ``[B]``."""
    pixels: int
    """Pixels of one picture."""
    y_hat: Tensor
    """What the synthesis saw."""
    aux: Tensor
    """Small loss of the quantiles of the factorized priors; add it to the training loss."""
    y: Tensor | None = None
    """Latents before quantisation, ``[B, M, h, w]``, with ..."""
    mu: Tensor | None = None
    """... the mean ..."""
    sigma: Tensor | None = None
    """... and the (bounded) scale predicted for each; None where the entropy model is not Gaussian."""
    known: tuple[Tensor, ...] = ()
    """All that the walk returned."""

    @property
    def bpp(self) -> Tensor:
        """Estimated bits per pixel, ``[B]``."""
        return sum(self.bits.values()) / self.pixels


def as_tuple(known: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a walk returned, as a tuple."""
    return (known,) if isinstance(known, Tensor) else known


class LabModel(nn.Module):
    """A transform codec with an entropy model that is a walk over groups of latents; its files are written by
    `calotype.lab.codec.ModelCodec`.

    A system defines ``g_a`` (pixels to latents), ``g_s`` (latents to pixels) and `walk`; and the three class
    attributes. ``config`` holds the keyword arguments that rebuild it.
    """

    multiple: ClassVar[int] = 64
    """Pictures are padded to multiples of this: the stride of the coarsest latents."""
    quantisation: ClassVar[str] = "noise"
    """How the paper quantises in training, one of `calotype.lab.entropy.coders.MODES`."""
    encoder_only: ClassVar[tuple[str, ...]] = ("g_a", "g_s", "h_a")
    """Parts that no probability depends on: they stay float32 in coding, all others run in float64."""
    progressive: ClassVar[bool] = False
    """Whether the walk codes in parts (`Coder.next_part`), so that a file may end after any of them."""
    order: Groups | None = None
    """Of systems with a raster scan: the positions that it codes together, and so their order in a file."""
    name: str = ""
    """Name in the registry, set by `calotype.lab.registry.build`."""
    config: dict[str, Any]

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Code the latents ``y`` ``[B, M, h, w]``, or decode them if None.

        Returns ``y_hat``, and what else `synthesise` takes.
        """
        raise NotImplementedError

    def analyse(self, x: Tensor) -> Tensor:
        """Padded pixels to latents."""
        return self.g_a(x)

    def analyse_part(self) -> nn.Module:
        """The network behind `analyse`, for measurements on it."""
        return self.g_a

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        """What the walk returned to padded pixels."""
        return self.g_s(y_hat)

    def pad(self, x: Tensor) -> Tensor:
        """Repeat the right and bottom edges up to the next multiple."""
        h, w = x.shape[2:]
        extra = (0, -w % self.multiple, 0, -h % self.multiple)
        return F.pad(x, extra, mode="replicate") if any(extra) else x

    def forward(self, x: Tensor, *, coder: Estimate | None = None) -> Output:
        """``x`` ``[B, 3, H, W]`` in 0..1, any size; ``coder``: how to quantise and count."""
        coder = coder or Estimate(self.quantisation if self.training else "round")
        h, w = x.shape[2:]
        padded = self.pad(x)
        coder.begin(len(x), *padded.shape[2:])
        known = as_tuple(self.walk(coder, self.analyse(padded)))
        x_hat = self.synthesise(*known)[:, :, :h, :w]
        y, mu, sigma = coder.maps("y") or (None, None, None)
        return Output(x_hat, coder.bits, h * w, known[0], self.aux(), y, mu, sigma, known)

    def loss(self, x: Tensor, out: Output, objective: Any) -> Tensor:
        """What training lowers, but for `aux`: ``rate + lambda distortion``, mean of the batch ``x``.

        ``objective``: a `calotype.lab.objective.RateDistortion`, with ``lam``, ``distortion`` and
        ``distance``.
        """
        return (out.bpp + objective.lam * objective.distance(x, out.x_hat)).mean()

    def aux(self) -> Tensor:
        """Loss of all quantiles, small so that gradient clipping does not feel it; Adam does not mind."""
        priors = [m for m in self.modules() if isinstance(m, FactorizedPrior)]
        losses = [p.quantile_loss() for p in priors]
        return 1e-4 * torch.stack(losses).sum() if losses else torch.zeros(())


@dataclass(frozen=True)
class Entry:
    """One system, as its file lists it in ``SYSTEMS``."""

    model: type[LabModel]
    """The class that is built."""
    summary: str
    """One line for lists."""
    citation: str
    """Authors, venue, year, arXiv number."""
    config: dict[str, Any] = field(default_factory=dict)
    """Arguments of the class, at the sizes published for low rates."""
    high: dict[str, Any] = field(default_factory=dict)
    """What the paper changes for high rates."""
    thin: dict[str, Any] = field(default_factory=dict)
    """Few channels, the same structure: for tests and receptive fields."""
