"""What is trained: a model by name, its sizes, and the objective."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from calotype.lab import registry
from calotype.lab.losses import CorrelationLoss, WithCorrelation
from calotype.lab.models.base import System
from calotype.lab.objective import Objective
from calotype.lab.sizes import truth

PRODUCT = "calotype"
"""What is trained when nothing is named."""


@dataclass
class Subject:
    """A model to train and what for; kept in every checkpoint."""

    model: str = PRODUCT
    """A name from ``calotype lab list``."""
    options: dict[str, Any] = field(default_factory=dict)
    """Sizes of the model that are not the default ones."""
    lam: float | None = None
    """Rate-distortion multiplier; None for a model of all rates, which has its own list."""
    distortion: str = "mse"
    """`mse`, `ms-ssim` or, for a model of all rates, `ssimulacra2`."""
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

    @property
    def system(self) -> type[System]:
        """The class of the model.

        Raises:
            UnknownModel: for a name that is not known.
        """
        return registry.entry(self.model).model

    def check_crop(self, side: int) -> None:
        """Whether a crop may have that side.

        Raises:
            ValueError: if not: latents of most systems go down to 1/64 of the picture.
        """
        if side % self.system.crops:
            raise ValueError(f"{self.model}: crop must be a multiple of {self.system.crops}, got {side}")

    def build(self) -> Objective:
        """The objective around a model with fresh weights.

        Raises:
            ValueError: for options of the objective that do not fit the model.
            UnknownModel: for a name that is not known, or sizes that the model does not have.
        """
        objective = registry.build(self.model, **self.options).objective(self.lam, self.distortion)
        if not self.correlation:
            return objective
        known = list(inspect.signature(CorrelationLoss).parameters)
        if unknown := [option for option in self.correlation if option not in known]:
            raise ValueError(f"correlation loss: no option {unknown[0]!r}; it has {', '.join(known)}")
        try:
            loss = CorrelationLoss(**self.correlation)
        except ValueError as error:
            raise ValueError(f"correlation loss: {error}") from None
        return WithCorrelation(objective, loss)

    def settings(self) -> dict[str, Any]:
        """All that decides what is trained, by the names that ``--set`` has for it, defaults included."""
        with torch.device("meta"):  # sizes only
            options = registry.build(self.model, **self.options).settings()
        found = {"distortion": self.distortion, "lambda": self.lam}
        found |= {f"model.{key}": value for key, value in options.items()}
        if self.correlation:
            defaults = {p.name: p.default for p in inspect.signature(CorrelationLoss).parameters.values()}
            found |= {f"correlation.{key}": v for key, v in {**defaults, **self.correlation}.items()}
        return found
