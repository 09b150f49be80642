"""Agustsson, Tschannen, Mentzer, Timofte, Van Gool: Generative adversarial networks for extreme learned image
compression.  ICCV 2019, arXiv 1804.02958.

::

    x --g_a--> y -- nearest of -2, -1, 0, 1, 2 --> y_hat --g_s--> x_hat
                                 :                                 |
                   index, one learned distribution     [ discriminators at 1, 1/2 and 1/4 ] <- x
                             per channel

The rate is bounded by what there is: ``m`` channels at 1/16 of the resolution with five centres that stay
where they are cost ``m log2(5) / 256`` bpp at most (m = 4: 0.036), and no rate is in the loss of the
transforms.  Loss: ``bpp + lambda 255^2 MSE + deceived``, with the discriminators' own, by least squares
(LSGAN); what the paper adds from VGG is left out.  Only global compression: no semantic maps.

Coding order: the indices of all of y at once, channel after channel; nothing is conditioned on anything.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.adversarial import adversarial
from calotype.lab.entropy import Coder
from calotype.lab.entropy.quantize import VectorQuantizer
from calotype.lab.layers.generative import GenerativeSynthesis, PatchDiscriminator, generative_analysis
from calotype.lab.models.agustsson2017 import Categorical
from calotype.lab.models.base import Entry, LabModel, Output

LEVELS = 5


class GenerativeCompression(LabModel):
    """y is ``[B, m, H/16, W/16]``; ``width`` channels at the pixels, ``critic`` in the first layers of
    ``scales`` discriminators.

    weight:      of deceiving the discriminators, against ``bpp + lambda D``.
    adversarial: with the discriminators, which only training needs (`finished` is without).
    """

    multiple = 16
    quantisation = "round"  # of the indices, which are whole numbers; the centres do the rest
    encoder_only = ("g_a", "g_s", "discriminators")

    def __init__(
        self, width: int = 60, m: int = 4, blocks: int = 9, critic: int = 64, scales: int = 3,
        weight: float = 1.0, *, adversarial: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = {
            "width": width, "m": m, "blocks": blocks, "critic": critic, "scales": scales, "weight": weight,
            "adversarial": adversarial,
        }  # fmt: skip
        self.g_a, self.g_s = generative_analysis(width, m), GenerativeSynthesis(width, m, blocks)
        self.quantizer = VectorQuantizer(LEVELS)
        self.quantizer.centres.requires_grad_(False)
        with torch.no_grad():
            self.quantizer.centres.copy_(torch.arange(LEVELS) - LEVELS // 2)
        self.logits = nn.Parameter(torch.zeros(m, LEVELS))
        self.weight = weight
        self.discriminators = (
            nn.ModuleList(PatchDiscriminator(critic) for _ in range(scales)) if adversarial else None
        )

    @property
    def bound(self) -> float:
        """Most bits per pixel, before padding."""
        return self.config["m"] * math.log2(LEVELS) / 256

    def analyse(self, x: Tensor) -> Tensor:
        return self.g_a(2 * x - 1)

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        return (self.g_s(y_hat) + 1) / 2

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        y_hat, index = (None, None) if y is None else self.quantizer(y)
        p = Categorical(self.logits, coder.grid(16))
        known = coder.code("y", None if index is None else index.to(p.dtype), p)
        if y_hat is not None and torch.is_grad_enabled():
            return y_hat  # the same but for rounding, and with the gradient of the soft assignment
        return self.quantizer.centres[known.long()]

    def loss(self, x: Tensor, out: Output, objective: Any) -> Tensor:
        total = super().loss(x, out, objective)
        real, fake = x, out.x_hat
        for critic in self.discriminators or ():
            deceived, own = adversarial(critic, real, fake, None, "least-squares")
            total = total + own + self.weight * deceived
            real, fake = F.avg_pool2d(real, 2), F.avg_pool2d(fake, 2)
        return total

    def finished(self) -> GenerativeCompression:
        """The same without the discriminators."""
        model = GenerativeCompression(**{**self.config, "adversarial": False})
        kept = {k: v for k, v in self.state_dict().items() if not k.startswith("discriminators.")}
        model.load_state_dict(kept)
        model.name = self.name
        return model.to(self.logits.device).train(self.training)


SYSTEMS = {
    "agustsson2019": Entry(
        GenerativeCompression,
        "generative: five fixed centres, discriminators at three scales",
        "Agustsson, Tschannen, Mentzer, Timofte, Van Gool, ICCV 2019, arXiv 1804.02958",
        {"m": 4},
        {"m": 8},
        {"width": 4, "blocks": 1, "critic": 8, "scales": 2},
    ),
}
