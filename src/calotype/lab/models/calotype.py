"""The product's own model: patch transform, latents coded from coarse to fine, continuous quality.

::

    x --8x8 patches--> 1/8 --B*4--> --2x2 merge--> 1/16 --B*4--> y                                analysis
    y --> z (1/32), r (1/16), integers        z, r --> y_hat                                       latents
    y_hat + level vector --B--> --1x1, shuffle 2--> 1/8 --B*2--> t                               synthesis
    t --1x1, shuffle 8--> + --R--> x_hat

    B: residual bottleneck 1x1 -> 3x3 -> 1x1 with ReLU, on a wide stream
    R: renderer: 1x1, shuffle 2 --> 1/4 --3x3 * 3--> --1x1, shuffle 4-->

The probability of an integer depends on integers before it alone, so a decoder reads all symbols before any
mean is computed (Minnen et al. 2018 for the mean-scale hyperprior, JPEG AI for the split, Cui et al. 2021 for
gain pairs).

Sizes are in `calotype_config`, the networks in `calotype_transforms` and `calotype_latents`, the order of
coding in `calotype_walk`, the pass along it in `calotype_coding`, what the level sets in `calotype_levels`,
the closed-form start in `calotype_start`, the objective in `calotype_objective`.
The shipped codec runs the same parts (`calotype.lab.export`).

Coding order: z from coarse to fine; the low channels of r from coarse to fine; the others in four phases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.models import calotype_start
from calotype.lab.models.base import Entry, Sampler, System
from calotype.lab.models.calotype_coding import CodedLatents, LatentNetworks, Plan, ended, padded
from calotype.lab.models.calotype_config import Config as Config
from calotype.lab.models.calotype_latents import LOG_STEP, SCALE_MIN
from calotype.lab.models.calotype_levels import Knobs, Levels
from calotype.lab.models.calotype_objective import AllQualities
from calotype.lab.models.calotype_transforms import AnalysisTransform, Branch, SynthesisTransform
from calotype.lab.models.calotype_walk import MULTIPLE as BLOCK

MULTIPLE = 16
"""Sides of pictures in training are multiples of this; the codec takes any size."""


@dataclass
class Coded:
    """What one pass through the model gives.  Bits are estimates, summed per picture of the batch."""

    x_hat: Tensor
    """Pixels ``[B, 3, H, W]``, 0..1 but not clipped."""
    r_bits: Tensor
    """Bits of the residuals, ``[B]``."""
    z_bits: Tensor
    """Bits of the hyper-latents, ``[B]``."""
    latents: CodedLatents
    """The integers, and what they cost each."""
    known: tuple[Tensor]
    """Latents as the analysis gave them."""
    knobs: Knobs
    inside: Tensor | None = None
    """Where pictures end before the crop does: ``[B, 1, h, w]``, 1 at latents that belong to them."""
    y_hat: Tensor | None = None
    """None: what the synthesis sees is not in the units of ``y``."""

    @property
    def y(self) -> Tensor:
        """Latents in quantisation steps, ``[B, M, h, w]``."""
        return self.known[0] * self.knobs.gains(*self.latents.size)

    @property
    def residual(self) -> Tensor:
        """The same less their means, before rounding."""
        h, w = self.latents.size
        return self.latents.residual[:, :, :h, :w]

    def normalised(self, *, stop_gradient: bool = False) -> Tensor:
        """Residuals over their scales; ``stop_gradient``: scales count as given."""
        h, w = self.latents.size
        sigma = SCALE_MIN * torch.exp(self.latents.index[:, :, :h, :w] * LOG_STEP)
        return self.residual / (sigma.detach() if stop_gradient else sigma)


class Calotype(System):
    """The model in training; one set of weights for all qualities.

    ``sizes``: fields of `Config`, in its place.
    """

    crops = MULTIPLE
    quantisation = "mixed"
    all_rates = True
    begins = "the best linear codec"

    def __init__(self, config: Config | None = None, **sizes: Any) -> None:
        super().__init__()
        self.config = c = config or Config.from_dict(sizes)
        self.top = len(c.lambdas) - 1
        self.level = self.top / 2
        self.analysis, self.synthesis = AnalysisTransform(c), SynthesisTransform(c)
        self.latents, self.levels = LatentNetworks(c), Levels(c)
        self.log_lambda: Tensor
        self.register_buffer("log_lambda", torch.tensor(c.lambdas).log())

    @staticmethod
    def learning_rate_factors() -> dict[str, float]:
        """Pace of some parameters, by patterns of their names; the first that fits counts.

        The linear path starts at its closed-form optimum and moves slowly, and so do the latent networks,
        which begin there too; class biases are in index steps (~0.1).  Kernels of 3x3 have most inputs and
        bear least.
        """
        linear = ("*patch.*", "synthesis.split.*", "analysis.merge.*")
        classes = ("levels.low_bias", "levels.high_bias", "levels.z_place", "levels.z_scale")
        return {
            **dict.fromkeys(linear, 0.1),
            **dict.fromkeys(("*.blocks*.conv.*", "synthesis.render.convs.*"), 0.4),
            **dict.fromkeys(classes, 10.0),
            "latents.scales.*": 0.2,
            "latents.*": 0.3,
        }

    def leak(self, slope: float | None) -> None:
        """Slope of the transforms' ReLUs below zero from now on; None: plain ReLUs."""
        for part in self.modules():
            if isinstance(part, Branch):
                if slope is None:
                    part.leak = None
                elif part.leak is None:
                    part.leak = torch.full((1,), slope, device=part.given.device)
                else:  # in place: a recorded step reads it
                    part.leak.fill_(slope)

    def mixed_precision(self) -> None:
        """Run the branches of both transforms in bfloat16 from now on."""
        for part in self.modules():
            if isinstance(part, Branch):
                part.bf16 = True

    def settings(self) -> dict[str, Any]:
        return self.config.to_dict()

    def objective(self, lam: float | None, distortion: str) -> AllQualities:
        if lam is not None:
            raise ValueError("calotype trains all its lambdas at once; set model.lambdas instead")
        return AllQualities(self, distortion)

    def start(self, sample: Sampler, batches: int) -> None:
        calotype_start.start(self, sample, batches)

    def finished(self) -> None:
        """Packs are made of it, not checkpoints (`calotype.lab.export`)."""

    def trial(self, x: Tensor) -> dict[str, tuple[int, int, int]]:
        found = self(x, torch.empty(len(x), device=x.device), hard=True).latents
        (_, k, *z), (_, m, *_) = found.z.shape, found.y_hat.shape
        return {"y": (m, *found.size), "z": (k, *z)}

    def analyse(self, x: Tensor) -> Tensor:
        return self.analysis(x)

    def analyse_part(self) -> nn.Module:
        return self.analysis

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        level = torch.full((len(y_hat),), self.level, device=y_hat.device)
        return self.synthesis(y_hat, self.levels(level).vector)

    def heavy(self) -> list[nn.Module]:
        return [self.analysis, self.synthesis]

    def lam(self, level: Tensor) -> Tensor:
        """Multiplier of continuous levels ``[B]``, log-interpolated."""
        low = level.floor().clamp(max=len(self.config.lambdas) - 2).long()
        f = level - low
        mixed: Tensor = self.log_lambda[low] * (1 - f) + self.log_lambda[low + 1] * f
        return mixed.exp()

    def forward(
        self,
        x: Tensor,
        level: Tensor | None = None,
        *,
        hard: bool = False,
        generator: torch.Generator | None = None,
        ends: Tensor | None = None,
        plan: Plan | None = None,
    ) -> Coded:
        """``x`` ``[B, 3, H, W]`` in 0..1 with H, W multiples of 16; ``level`` ``[B]``, 0 .. anchors-1.
        ``hard`` and ``plan`` as in `LatentNetworks.forward`.  Without ``level``: that of the model, as a file
        holds it.

        ends: rows and columns of latents ``[B, 2]`` after which pictures end (`ended`), for training: nothing
            behind is coded, and ``x_hat`` there has no meaning.
        """
        if level is None:
            level, hard = torch.full((len(x),), self.level, device=x.device), True
        k, given = self.levels(level), self.analysis(x)
        y = given
        size, inside = (y.shape[2], y.shape[3]), None
        if ends is not None:
            y, inside = ended(y, ends)
        below, right = -size[0] % BLOCK, -size[1] % BLOCK
        found = self.latents(
            padded(y),
            k,
            size=size,
            inside=None if inside is None else F.pad(inside, (0, right, 0, below)),
            hard=hard,
            generator=generator,
            plan=plan,
        )
        x_hat = self.synthesis(found.y_hat[:, :, : size[0], : size[1]], k.vector)
        r_bits, z_bits = found.bits
        return Coded(x_hat, r_bits, z_bits, found, (given,), k, inside)


SYSTEMS = {
    "calotype": Entry(
        Calotype,
        "the product's own: coded from coarse to fine, all qualities in one",
        "this project, 2026",
        thin={"latents": 24, "width": 24, "narrow": 8, "narrow16": 8, "wide16": 8, "render": 8},
    )
}
