"""Training configuration: one sentence under every field, unknown keys are errors."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass
class TrainConfig:
    """Everything that decides a training run besides the model and the photographs."""

    steps: int = 20_000
    """Optimiser steps in all, those of earlier runs included."""
    batch: int = 16
    """Crops per step over all processes."""
    crop: int = 128
    """Side of a training crop in pixels, a multiple of 64."""
    lr: float = 1e-3
    """Peak learning rate."""
    warmup: int = 200
    """Steps over which the learning rate rises from 0."""
    decay: float = 0.25
    """Last fraction of the steps, in which the learning rate falls to 1 % of its peak along a cosine."""
    hard: float = 0.15
    """Last fraction of the steps, trained on hard-rounded latents."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is what gets exported."""
    optimizer: str = "adam"
    """`adam` or `soap`."""
    bf16: bool = False
    """Run the heavy layers in bfloat16."""
    seed: int = 0
    """Seed of crops, levels and noise."""
    held_out: int = 20
    """Photographs kept out of training for the validation curve."""
    validate_every: int = 1000
    """Steps between validations."""
    save_every: int = 250
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        if self.crop % 64 or self.crop < 64:
            raise ValueError(f"crop must be a multiple of 64, got {self.crop}")
        if self.optimizer not in ("adam", "soap"):
            raise ValueError(f"optimizer must be 'adam' or 'soap', got {self.optimizer!r}")
        for name in ("decay", "hard"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, got {getattr(self, name)}")
        for name in ("steps", "batch", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainConfig:
        """Build from a mapping.

        Raises:
            ValueError: for a key that is not a field.
        """
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"unknown training option {unknown[0]!r}")
        return cls(**values)

    @classmethod
    def load(cls, path: Path) -> TrainConfig:
        """Read a JSON file."""
        return cls.from_dict(json.loads(path.read_text()))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
