"""What the product's model is trained for: all its qualities at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from calotype.lab.losses.ssimulacra2 import ssimulacra2
from calotype.lab.metrics import ms_ssim, mse255
from calotype.lab.objective import Values

if TYPE_CHECKING:
    from calotype.lab.models.calotype import Calotype

MS_SSIM_WEIGHT = 1270.0
"""What ``1 - MS-SSIM`` is multiplied by beside an MSE on a 0..255 scale: the ratio of the lambdas at which
published models trained for either have about one rate (`calotype.lab.objective.LAMBDAS`)."""

SSIMULACRA2_WEIGHT, SSIMULACRA2_POWER = 0.45, -0.3
"""What ``100 - SSIMULACRA2`` is multiplied by, times ``lambda^POWER``, beside an MSE on a 0..255 scale. The
score is nearly straight in log(rate), the MSE in log(1 / lambda): on Kodak the pack trained for MSE gives
``d bpp / d score = 0.35 lambda^0.7`` within a tenth at every level, and ``d bpp / d MSE = 0.75 lambda``.
Dividing one by the other leaves the rate of each level where it is for MSE."""
MSE_SHARE = 0.2
"""Share of the MSE beside SSIMULACRA2, which is blind to fine differences in chroma and to those of areas
larger than 64 pixels, so that a model could let them go."""
DISTORTIONS = ("mse", "ms-ssim", "ssimulacra2")


class AllQualities:
    """The product's objective: ``bpp + lambda * D`` at every level of one model at once.

    ``D`` is the MSE on a 0..255 scale; or ``1 - MS-SSIM`` brought to that scale by `MS_SSIM_WEIGHT`; or
    ``100 - SSIMULACRA2`` brought to it by `SSIMULACRA2_WEIGHT`, with a share of MSE.

    Raises:
        ValueError: for another distortion.
    """

    def __init__(self, model: Calotype, distortion: str = "mse") -> None:
        if distortion not in DISTORTIONS:
            raise ValueError(f"distortion must be one of {', '.join(DISTORTIONS)}, got {distortion!r}")
        self.model, self.distortion = model, distortion
        self.borders = 0.0
        """Share of training crops that end early (`TrainConfig.borders`)."""

    @staticmethod
    def given(x: Tensor) -> Tensor:
        """What `rate_distortion` takes, of what `training_loss` and `validate` are given."""
        return (x.float() / 255.0).contiguous(memory_format=torch.channels_last)

    def rate_distortion(self, x: Tensor, level: Tensor, **how: Any) -> dict[str, Tensor]:
        """Per picture, ``[B]`` each: ``loss``, ``bpp`` (estimated), ``z_bpp`` (that part of it which is
        z's), ``mse`` on a 0..255 scale and, where it is what counts, ``ms_ssim`` or ``ssimulacra2``; ``x``
        in 0..1; ``how``: ``hard``, ``generator`` and ``ends`` of `Calotype.forward`.
        """
        out = self.model(x, level, **how)
        x_hat = out.x_hat if self.model.training else (out.x_hat.clamp(0, 1) * 255).round() / 255
        share: Tensor | float = 1.0  # of the crop that is picture
        if out.inside is not None:
            share = out.inside.mean((1, 2, 3))
            x_hat = torch.where(F.interpolate(out.inside, scale_factor=16) > 0.5, x_hat, x)
        pixels = x.shape[2] * x.shape[3] * share
        found = {"bpp": (out.r_bits + out.z_bits) / pixels, "z_bpp": out.z_bits / pixels}
        found["mse"] = distance = mse255(x, x_hat) / share
        if self.distortion == "ms-ssim":
            found["ms_ssim"] = ms_ssim(x, x_hat)
            distance = MS_SSIM_WEIGHT * (1 - found["ms_ssim"])
        lam = self.model.lam(level)
        if self.distortion == "ssimulacra2":
            found["ssimulacra2"] = ssimulacra2(x, x_hat)
            seen = SSIMULACRA2_WEIGHT * lam**SSIMULACRA2_POWER * (100 - found["ssimulacra2"])
            distance = MSE_SHARE * distance + (1 - MSE_SHARE) * seen
        return {"loss": (found["bpp"] + lam * distance) / lam.sqrt(), **found}

    def training_loss(
        self, x: Tensor, generator: torch.Generator | None, hard: bool
    ) -> tuple[Tensor, Values]:
        """Mean over the batch of ``(bpp + lambda * D) / sqrt(lambda)``, so that every level weighs alike.

        Levels are drawn evenly over the trained range, one for each crop.
        """
        n, device = len(x), x.device
        shift = torch.rand(1, generator=generator, device=device)
        level = ((torch.arange(n, device=device) / n + shift) % 1.0) * (len(self.model.config.lambdas) - 1)
        how: Values = {"hard": hard, "generator": generator}
        if self.borders:
            drawn = torch.rand(n, 3, generator=generator, device=device)
            drawn = drawn[:, :2] * (drawn[:, 2:] < self.borders)
            rows, columns = (side // 16 for side in x.shape[2:])
            how["ends"] = torch.stack((_early(rows, drawn[:, 0]), _early(columns, drawn[:, 1])), 1)
        found = self.rate_distortion(self.given(x), level, **how)
        return found["loss"].mean(), {
            "bpp": found["bpp"].detach().mean(),
            "z": found["z_bpp"].detach().mean(),
        }

    @torch.no_grad()
    def validate(self, x: Tensor) -> Values:
        """Curve over the trained levels: bpp, bpp of z, PSNR, loss and, where it is what counts, MS-SSIM in
        dB or SSIMULACRA2 of each; and the mean of the losses.
        """
        curve: dict[str, list[float]] = {}
        for anchor in range(len(self.model.config.lambdas)):
            parts = []
            for chunk in x.split(8):
                level = torch.full((len(chunk),), float(anchor), device=x.device)
                parts.append(self.rate_distortion(self.given(chunk), level, hard=True))
            found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
            found["psnr"] = 10 * torch.log10(255.0**2 / found.pop("mse"))
            if "ms_ssim" in found:
                found["ms_ssim"] = -10 * torch.log10(1 - found["ms_ssim"])
            for name in ("bpp", "psnr", "z_bpp", "ms_ssim", "ssimulacra2", "loss"):
                if name in found:
                    curve.setdefault(name, []).append(round(float(found[name].mean()), 4))
        return {**curve, "mean_loss": round(sum(curve["loss"]) / len(curve["loss"]), 4)}


def _early(side: int, drawn: Tensor) -> Tensor:
    """Ends from ``side`` (for 0) down to half of it (for 1)."""
    return side - (drawn * (side // 2 + 1)).long()
