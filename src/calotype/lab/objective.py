"""The training objective: rate + lambda x distortion, for any laboratory model.

    ``L = bpp + lambda * 255^2 * MSE``        or        ``L = bpp + lambda * (1 - MS-SSIM)``

plus the small auxiliary loss of the factorized priors.  `Objective` is what training asks of any objective.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from calotype.lab.entropy import Estimate
from calotype.lab.metrics import ms_ssim, mse255, psnr

if TYPE_CHECKING:
    from calotype.lab.models.base import LabModel, Output

Values = dict[str, Any]
"""Names to numbers, or to tensors of one number."""


class Objective(Protocol):
    """What the loop of `calotype.lab.train` asks for."""

    model: Any

    def training_loss(
        self, x: Tensor, generator: torch.Generator | None, hard: bool
    ) -> tuple[Tensor, Values]:
        """Loss and figures for the log, of crops uint8 ``[B, 3, S, S]``; ``generator`` drives all noise."""
        ...

    def validate(self, x: Tensor) -> Values:
        """Figures of the model as it is, on pictures uint8 ``[n, 3, S, S]``, rounded as in a file."""
        ...


# Multipliers of the published quality levels 1 to 8 (CompressAI)
LAMBDAS = {
    "mse": (0.0018, 0.0035, 0.0067, 0.0130, 0.0250, 0.0483, 0.0932, 0.1800),
    "ms-ssim": (2.40, 4.58, 8.73, 16.64, 31.73, 60.50, 115.37, 220.00),
}


class RateDistortion(nn.Module):
    """A model and what it is trained for."""

    def __init__(self, model: LabModel, lam: float, distortion: str = "mse") -> None:
        super().__init__()
        if distortion not in LAMBDAS:
            raise ValueError(f"distortion must be 'mse' or 'ms-ssim', got {distortion!r}")
        if not lam > 0:
            raise ValueError(f"lambda must be above 0, got {lam}")
        self.model, self.lam, self.distortion = model, lam, distortion

    def distance(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Distortion per picture, ``[B]``."""
        return mse255(x, x_hat) if self.distortion == "mse" else 1 - ms_ssim(x, x_hat)

    def loss(self, x: Tensor, out: Output) -> Tensor:
        """Mean of the objective over the batch (some models have their own), with the auxiliary loss."""
        return self.model.loss(x, out, self) + out.aux

    def training_loss(
        self, x: Tensor, generator: torch.Generator | None, hard: bool
    ) -> tuple[Tensor, Values]:
        """``x`` uint8 ``[B, 3, H, W]``.  ``hard``: on rounded latents, as a file holds them."""
        pixels = x.float() / 255
        mode = "round" if hard else self.model.quantisation
        out = self.model(pixels, coder=Estimate(mode, generator=generator))
        loss = self.loss(pixels, out)
        with torch.no_grad():
            values = {"bpp": out.bpp.mean(), "psnr": psnr(pixels, out.x_hat.clamp(0, 1)).mean()}
        return loss, values

    @torch.no_grad()
    def validate(self, x: Tensor) -> Values:
        """Means over uint8 pictures ``[n, 3, H, W]`` of bpp (estimated, as in a file), PSNR, objective."""
        rows = []
        for picture in x.split(1):
            pixels = picture.float() / 255
            out = self.model(pixels, coder=Estimate("round"))
            shown = (out.x_hat.clamp(0, 1) * 255).round() / 255
            rows.append(
                torch.stack(
                    (
                        out.bpp[0],
                        psnr(pixels, shown)[0],
                        (out.bpp + self.lam * self.distance(pixels, shown))[0],
                    )
                )
            )
        bpp, quality, loss = torch.stack(rows).mean(0).tolist()
        return {"bpp": bpp, "psnr": quality, "loss": loss}
