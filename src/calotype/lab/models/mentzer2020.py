"""Mentzer, Toderici, Tschannen, Agustsson: High-fidelity generative image compression (HiFiC).  NeurIPS 2020,
arXiv 2006.09965.

::

    x --g_a--> y ------------------------ round(y - mu) + mu --> y_hat --g_s--> x_hat
               |                              :                    |             |
               h_a--> z -- round -- z_hat --> mu, sigma            '-> [ discriminator ] <- x
                            :                                              |
                     factorized                                    real, or decoded from y_hat?

Loss: ``C (R / lambda_t + C_D MSE) + perceptual + C_P deceived``, and the discriminator's own.  ``lambda_t``
is small (rate counts much) while the rate is above ``target`` bpp, large below: the target decides the
rate, and the lambda that training is given has no say.  Two stages of equal length: without the
discriminator, then with it; in the first twentieth of each the rate counts half and its target is 0.20 /
0.14 of what it will be.  `progress` says where training is.

The networks see pixels in -1 .. 1: a norm over the channels of a position hardly tells how bright a flat
area in 0 .. 1 is.

Perceptual is LPIPS in the paper.  Its weights are not to be had here, so a stand-in is in its place:
distances of features of this encoder, and MS-SSIM (`lab/adversarial.py`).

Coding order: z; then all of y at once.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from calotype.lab.adversarial import adversarial, feature_stand_in
from calotype.lab.entropy import Coder, FactorizedPrior, Gaussian, given
from calotype.lab.layers.conv import conv, deconv
from calotype.lab.layers.generative import GenerativeSynthesis, PatchDiscriminator, generative_analysis
from calotype.lab.metrics import mse255
from calotype.lab.models.base import Entry, LabModel, Output

C, C_D, C_P = 0.1 * 2**-5, 0.75, 0.15
LAMBDA_ABOVE, LAMBDA_BELOW = 0.1 * 2**-6, 0.1 * 2
EARLY, EARLY_TARGET, EARLY_LAMBDA = 0.05, 0.20 / 0.14, 2.0


def _hyper_synthesis(n: int, m: int) -> nn.Sequential:
    return nn.Sequential(deconv(n, n), nn.ReLU(), deconv(n, n), nn.ReLU(), conv(n, m, 3, 1))


class HiFiC(LabModel):
    """y is ``[B, m, H/16, W/16]``, z ``[B, n, H/64, W/64]``; ``width`` channels at the pixels.

    target:      bits per pixel that training aims at.
    strength:    C_P; the paper tries 0.1 x 1.5^n.
    adversarial: with the discriminator, which only training needs (`finished` is without).
    """

    multiple = 64
    quantisation = "mixed"
    encoder_only = ("g_a", "g_s", "h_a", "discriminator")

    def __init__(
        self, width: int = 60, m: int = 220, n: int = 320, blocks: int = 9, critic: int = 64,
        target: float = 0.14, strength: float = C_P, *, adversarial: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config = {
            "width": width, "m": m, "n": n, "blocks": blocks, "critic": critic, "target": target,
            "strength": strength, "adversarial": adversarial,
        }  # fmt: skip
        self.target, self.strength = target, strength
        self.g_a, self.g_s = generative_analysis(width, m), GenerativeSynthesis(width, m, blocks)
        self.h_a = nn.Sequential(conv(m, n, 3, 1), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n))
        self.h_mean, self.h_scale = _hyper_synthesis(n, m), _hyper_synthesis(n, m)
        self.prior = FactorizedPrior(n)
        self.discriminator = PatchDiscriminator(critic, m) if adversarial else None
        self.early, self.deceive = False, adversarial

    def progress(self, done: float) -> None:
        """Enter what belongs to a part ``done`` (0..1) of the training."""
        self.deceive = self.discriminator is not None and done >= 0.5
        self.early = 2 * done % 1 < EARLY and done < 1

    def analyse(self, x: Tensor) -> Tensor:
        return self.g_a(2 * x - 1)

    def synthesise(self, y_hat: Tensor, *more: Tensor) -> Tensor:
        return (self.g_s(y_hat) + 1) / 2

    def walk(self, coder: Coder, y: Tensor | None = None) -> Tensor:
        z_hat = coder.code("z", given(self.h_a, y), self.prior(coder.grid(64)))
        return coder.code("y", y, Gaussian(self.h_mean(z_hat), self.h_scale(z_hat)))

    def loss(self, x: Tensor, out: Output, objective: Any) -> Tensor:
        rate, x_hat = out.bpp.mean(), out.x_hat
        total = C * (self.rate_weight(rate) * rate + C_D * mse255(x, x_hat).mean())
        total = total + feature_stand_in(self.g_a, x, x_hat)
        if self.discriminator is None or not self.deceive:
            return total
        deceived, own = adversarial(self.discriminator, x, x_hat, out.y_hat, "non-saturating")
        return total + own + self.strength * deceived

    def rate_weight(self, rate: Tensor) -> Tensor:
        """``1 / lambda_t``, by whether the rate is above the target now."""
        target = self.target * (EARLY_TARGET if self.early else 1)
        above, below = 1 / LAMBDA_ABOVE, 1 / LAMBDA_BELOW
        weight = torch.where(
            rate.detach() > target, torch.full_like(rate, above), torch.full_like(rate, below)
        )
        return weight / (EARLY_LAMBDA if self.early else 1)

    def finished(self) -> HiFiC:
        """The same without the discriminator."""
        model = HiFiC(**{**self.config, "adversarial": False})
        kept = {k: v for k, v in self.state_dict().items() if not k.startswith("discriminator.")}
        model.load_state_dict(kept)
        model.name = self.name
        return model.to(self.prior.quantiles.device).train(self.training)


SYSTEMS = {
    "mentzer2020-hific": Entry(
        HiFiC,
        "generative: conditional discriminator, rate targeting, mean-scale hyperprior",
        "Mentzer, Toderici, Tschannen, Agustsson, NeurIPS 2020, arXiv 2006.09965",
        {"target": 0.14},
        {},
        {"width": 4, "m": 8, "n": 8, "blocks": 1, "critic": 8},
    ),
}
