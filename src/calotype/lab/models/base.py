"""What all systems share: what the laboratory asks of each, padding, the three uses of a walk, the result of
a forward pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.entropy.coders import Coder, Estimate
from calotype.lab.entropy.factorized import FactorizedPrior
from calotype.lab.entropy.order import Groups
from calotype.lab.objective import Objective, RateDistortion

Sampler = Callable[[int], Tensor]
"""Seed to pictures ``[B, 3, H, W]`` in 0..1, H and W multiples of 128."""


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

    def normalised(self, *, stop_gradient: bool = False) -> Tensor | None:
        """``(y - mu) / sigma``, if there are such; ``stop_gradient``: mu and sigma count as given."""
        if self.y is None or self.mu is None or self.sigma is None:
            return None
        mu, sigma = (self.mu.detach(), self.sigma.detach()) if stop_gradient else (self.mu, self.sigma)
        return (self.y - mu) / sigma

    @property
    def residual(self) -> Tensor | None:
        """``y - mu``; None where the entropy model is not Gaussian."""
        return None if self.y is None or self.mu is None else self.y - self.mu


def as_tuple(known: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """What a walk returned, as a tuple."""
    return (known,) if isinstance(known, Tensor) else known


class System(nn.Module):
    """What the laboratory asks of every model: to be listed and described, trained, and looked at.

    Called with pictures ``[B, 3, H, W]`` alone, in ``eval()``, it gives what a file would hold: an `Output`,
    or something that has its ``x_hat``, ``y``, ``y_hat``, ``known``, ``residual`` and ``normalised``.  Some
    have more, which training asks for: ``progress(done)`` (training in stages), ``leak(slope)`` (of ReLUs),
    ``learning_rate_factors()``, ``hidden_layers``.
    """

    multiple: ClassVar[int] = 64
    """Pictures are padded to multiples of this: the stride of the coarsest latents."""
    crops: ClassVar[int] = 64
    """Sides of crops in training are multiples of this."""
    quantisation: ClassVar[str] = "noise"
    """How the paper quantises in training, one of `calotype.lab.entropy.coders.MODES`."""
    all_rates: ClassVar[bool] = False
    """Whether one set of weights serves all rates: training then has no lambda."""
    begins: ClassVar[str] = ""
    """What `start` makes of the model; nothing where weights are drawn."""
    top: float | None = None
    """The highest quality level of a model of all rates, which ``level`` sets for passes that name none."""
    level: float | None = None
    name: str = ""
    """Name in the registry, set by `calotype.lab.registry.build`."""

    def settings(self) -> dict[str, Any]:
        """The keyword arguments that rebuild the model, ready for JSON."""
        raise NotImplementedError

    def objective(self, lam: float | None, distortion: str) -> Objective:
        """What it is trained for.

        Raises:
            ValueError: for a multiplier or a distortion that does not fit.
        """
        raise NotImplementedError

    def start(self, sample: Sampler, batches: int) -> None:
        """Set first weights in closed form, from so many batches of training crops."""

    def finished(self) -> LabModel | None:
        """What training leaves as a checkpoint, without what only training needs; None: no checkpoint."""
        raise NotImplementedError

    def trial(self, x: Tensor) -> dict[str, tuple[int, int, int]]:
        """Run every part once, without looking at values (``x`` may be on the meta device); returns channels,
        rows and columns of the latents by name.
        """
        raise NotImplementedError

    def analyse(self, x: Tensor) -> Tensor:
        """Padded pixels to latents."""
        raise NotImplementedError

    def analyse_part(self) -> nn.Module:
        """The network behind `analyse`, for measurements on it."""
        raise NotImplementedError

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        """What a pass knows (``known``) to padded pixels."""
        raise NotImplementedError

    def heavy(self) -> list[nn.Module]:
        """The parts that most of the work is in, and that no probability depends on."""
        raise NotImplementedError

    def mixed_precision(self) -> None:
        """Run the heavy parts in bfloat16 from now on; what they return is float32 again."""
        for part in self.heavy():
            part.register_forward_pre_hook(_enter)
            part.register_forward_hook(_leave, always_call=True)


def _enter(part: Any, args: Any) -> None:
    part.autocast = torch.autocast(args[0].device.type, torch.bfloat16)
    part.autocast.__enter__()


def _leave(part: Any, args: Any, out: Any) -> Any:
    part.autocast.__exit__(None, None, None)
    del part.autocast
    return out.float() if isinstance(out, Tensor) else out


class LabModel(System):
    """A transform codec with an entropy model that is a walk over groups of latents; its files are written by
    `calotype.lab.codec.ModelCodec`.

    A system defines ``g_a`` (pixels to latents), ``g_s`` (latents to pixels) and `walk`; and the class
    attributes. ``config`` holds the keyword arguments that rebuild it.
    """

    encoder_only: ClassVar[tuple[str, ...]] = ("g_a", "g_s", "h_a")
    """Parts that no probability depends on: they stay float32 in coding, all others run in float64."""
    progressive: ClassVar[bool] = False
    """Whether the walk codes in parts (`Coder.next_part`), so that a file may end after any of them."""
    order: Groups | None = None
    """Of systems with a raster scan: the positions that it codes together, and so their order in a file."""
    config: dict[str, Any]

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        """Code the latents ``y`` ``[B, M, h, w]``, or decode them if None.

        Returns ``y_hat``, and what else `synthesise` takes.
        """
        raise NotImplementedError

    def analyse(self, x: Tensor) -> Tensor:
        return self.g_a(x)

    def analyse_part(self) -> nn.Module:
        return self.g_a

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
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

    def settings(self) -> dict[str, Any]:
        return self.config

    def objective(self, lam: float | None, distortion: str) -> RateDistortion:
        if lam is None:
            raise ValueError(f"{self.name} needs a lambda (--lambda)")
        return RateDistortion(self, lam, distortion)

    def finished(self) -> LabModel | None:
        return self

    def trial(self, x: Tensor) -> dict[str, tuple[int, int, int]]:
        coder = Estimate(self.quantisation)  # needs no step per position
        self(x, coder=coder)
        shapes: dict[str, tuple[int, int, int]] = {}
        seen: set[int] = set()
        for name, values, _, _ in coder.coded:
            if id(values) not in seen:  # once for all groups of a map
                seen.add(id(values))
                c, h, w = values.shape[1:]
                shapes[name] = (c + shapes.get(name, (0, 0, 0))[0], h, w)
        return shapes

    def heavy(self) -> list[nn.Module]:
        return [part for name in self.encoder_only if (part := getattr(self, name, None)) is not None]


@dataclass(frozen=True)
class Entry:
    """One system, as its file lists it in ``SYSTEMS``."""

    model: type[System]
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
