"""What is trained: a model by name, its sizes, and the objective."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.losses.ssimulacra2 import ssimulacra2
from calotype.lab.metrics import ms_ssim, mse255
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.sizes import checked_fields, truth

PRODUCT = "calotype"
"""Name of the product's own model."""
Values = dict[str, Any]
"""Names to numbers, or to tensors of one number."""


class Objective(Protocol):
    """What the loop asks for; `calotype.lab.objective.RateDistortion` is another one."""

    model: Any

    def training_loss(
        self, x: Tensor, generator: torch.Generator | None, hard: bool
    ) -> tuple[Tensor, Values]:
        """Loss and figures for the log, of crops uint8 ``[B, 3, S, S]``; ``generator`` drives all noise."""
        ...

    def validate(self, x: Tensor) -> Values:
        """Figures of the model as it is, on pictures uint8 ``[n, 3, S, S]``, rounded as in a file."""
        ...


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

    def rate_distortion(
        self,
        x: Tensor,
        level: Tensor,
        *,
        hard: bool,
        generator: torch.Generator | None = None,
        ends: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Per picture, ``[B]`` each: ``loss``, ``bpp`` (estimated), ``z_bpp`` (that part of it which is
        z's), ``mse`` on a 0..255 scale and, where it is what counts, ``ms_ssim`` or ``ssimulacra2``; ``x``
        in 0..1; ``ends`` as in `Calotype.forward`.
        """
        out = self.model(x, level, hard=hard, generator=generator, ends=ends)
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
        ends = {}  # only what has borders takes them
        if self.borders:
            drawn = torch.rand(n, 3, generator=generator, device=device)
            drawn = drawn[:, :2] * (drawn[:, 2:] < self.borders)
            rows, columns = (side // 16 for side in x.shape[2:])
            ends["ends"] = torch.stack((_early(rows, drawn[:, 0]), _early(columns, drawn[:, 1])), 1)
        found = self.rate_distortion(self.given(x), level, hard=hard, generator=generator, **ends)
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


@dataclass
class Subject:
    """A model to train and what for; kept in every checkpoint."""

    model: str = PRODUCT
    """``calotype``, or a name from ``calotype lab list``."""
    options: dict[str, Any] = field(default_factory=dict)
    """Sizes of the model that are not the default ones."""
    lam: float | None = None
    """Rate-distortion multiplier; None for the product, which has its own list."""
    distortion: str = "mse"
    """`mse`, `ms-ssim` or, for the product, `ssimulacra2`."""
    correlation: dict[str, Any] = field(default_factory=dict)
    """Options of `calotype.lab.losses.CorrelationLoss`; without any, the loss is not used."""

    def __post_init__(self) -> None:
        if "stop_gradient" in self.correlation:  # a command line gives words
            given = self.correlation["stop_gradient"]
            self.correlation = {**self.correlation, "stop_gradient": truth(given)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Subject:
        """Build from a mapping.

        Raises:
            ValueError: for a key that is not a field.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    def check_crop(self, side: int) -> None:
        """Whether a crop may have that side.

        Raises:
            ValueError: if not: the published systems have latents at 1/64 of the picture.
        """
        if self.model != PRODUCT and side % 64:
            raise ValueError(f"{self.model}: crop must be a multiple of 64, got {side}")

    def build(self) -> Objective:
        """The objective around a model with fresh weights.

        Raises:
            ValueError: for options that the model does not have or that do not fit.
            UnknownModel: for a name that is not known.
        """
        if not self.correlation:
            return self._rate_distortion()
        from calotype.lab.losses import CorrelationLoss, WithCorrelation

        known = list(inspect.signature(CorrelationLoss).parameters)
        if unknown := [option for option in self.correlation if option not in known]:
            raise ValueError(f"correlation loss: no option {unknown[0]!r}; it has {', '.join(known)}")
        try:
            loss = CorrelationLoss(**self.correlation)
        except ValueError as error:
            raise ValueError(f"correlation loss: {error}") from None
        return WithCorrelation(self._rate_distortion(), loss)

    def _rate_distortion(self) -> Objective:
        if self.model == PRODUCT:
            if self.lam is not None:
                raise ValueError("calotype trains all its lambdas at once; set model.lambdas instead")
            return AllQualities(Calotype(product_config(self.options)), self.distortion)
        from calotype.lab import registry
        from calotype.lab.objective import RateDistortion

        if self.lam is None:
            raise ValueError(f"{self.model} needs a lambda (--lambda)")
        return RateDistortion(registry.build(self.model, **self.options), self.lam, self.distortion)


def product_config(options: Mapping[str, Any]) -> Config:
    """Sizes of the product's model.

    Raises:
        ValueError: for a size that it does not have, or a value of the wrong kind or out of range.
    """
    try:
        return Config.from_dict(checked_fields(Config, options))
    except ValueError as error:
        raise ValueError(f"model {PRODUCT!r}: {error}") from None


def transforms(model: nn.Module) -> list[nn.Module]:
    """The parts of a model that most of the work is in, and that no probability depends on."""
    names: tuple[str, ...] = getattr(model, "transforms", ()) or getattr(model, "encoder_only", ())
    return [part for name in names if (part := getattr(model, name, None)) is not None]


def mixed_precision(model: nn.Module) -> None:
    """Run the heavy parts of a model in bfloat16 from now on; what they return is float32 again."""
    if isinstance(model, Calotype):
        model.mixed_precision(True)
        return
    for part in transforms(model):
        part.register_forward_pre_hook(_enter)
        part.register_forward_hook(_leave, always_call=True)


def _enter(part: Any, args: Any) -> None:
    part.autocast = torch.autocast(args[0].device.type, torch.bfloat16)
    part.autocast.__enter__()


def _leave(part: Any, args: Any, out: Any) -> Any:
    part.autocast.__exit__(None, None, None)
    del part.autocast
    return out.float() if isinstance(out, Tensor) else out
