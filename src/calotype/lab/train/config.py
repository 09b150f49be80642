"""Training configuration: one sentence under every field, unknown keys are errors."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

OPTIMIZERS = ("adam", "soap", "muon")
SHAPES = ("cosine", "step")


@dataclass
class TrainConfig:
    """Everything that decides a training run besides the model and the photographs."""

    steps: int = 20_000
    """Optimiser steps in all, those of earlier runs included."""
    batch: int = 16
    """Crops per step over all processes."""
    parts: int = 0
    """Equal parts in which a batch is worked through, shared by the processes; 0: one for each process.  The
    same number of parts gives the same run on any number of processes, and more parts need less memory."""
    crop: int = 128
    """Side of a training crop in pixels, a multiple of 64."""
    lr: float = 1e-3
    """Peak learning rate."""
    warmup: int = 200
    """Steps over which the learning rate rises from 0."""
    decay: float = 0.25
    """Last fraction of the steps, in which the learning rate falls."""
    final: float = 0.01
    """What the learning rate falls to, as a fraction of its peak."""
    shape: str = "cosine"
    """How it falls: `cosine`, or `step` (at once)."""
    hard: float = 0.15
    """Last fraction of the steps, trained on hard-rounded latents."""
    clip: float = 1.0
    """Largest norm of the gradient; longer ones are scaled down."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is what gets exported."""
    optimizer: str = "adam"
    """`adam`, `soap` or `muon`."""
    freeze: str = ""
    """Parameters that stay as they are: patterns of their names, with commas between; with
    `analysis.*,latents.hyper.*,levels.*_log_gain,levels.log_z_step` the encoder does."""
    paces: str = ""
    """Learning rates of some parameters, as factors: `PATTERN=FACTOR` with commas between, before the model's
    own list; the first that fits a name counts.  What learns alone may go faster than beside the rest."""
    bf16: bool = False
    """Run the heavy layers in bfloat16."""
    compile: bool = False
    """Compile the two transforms with `torch.compile`: a minute of waiting, then faster steps on a GPU."""
    seed: int = 0
    """Seed of crops, levels and noise."""
    start_batches: int = 24
    """Batches of 16 crops of 256x256 that the linear start is measured on."""
    held_out: int = 20
    """Photographs kept out of training for the validation curve."""
    log_every: int = 50
    """Steps between lines of the log."""
    validate_every: int = 1000
    """Steps between validations."""
    save_every: int = 250
    """Steps between checkpoints."""

    def __post_init__(self) -> None:
        for field in fields(self):
            setattr(self, field.name, _typed(field.name, getattr(self, field.name), type(field.default)))
        if self.crop % 64 or self.crop < 64:
            raise ValueError(f"crop must be a multiple of 64, got {self.crop}")
        for name, choices in (("optimizer", OPTIMIZERS), ("shape", SHAPES)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("decay", "hard", "final", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, got {getattr(self, name)}")
        for name in ("steps", "batch", "start_batches", "log_every", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("parts", "warmup", "seed", "held_out"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if self.parts and self.batch % self.parts:
            raise ValueError(f"batch {self.batch} cannot be divided into {self.parts} equal parts")
        if not self.lr > 0 or not self.clip > 0:
            raise ValueError("lr and clip must be above 0")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Build from a mapping.

        Raises:
            ValueError: for a key that is not a field, or a value of the wrong type or out of range.
        """
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            near = difflib.get_close_matches(unknown[0], known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            if "." in unknown[0]:
                hint = "sizes of the model are set with model.NAME=VALUE"
            raise ValueError(f"unknown training option {unknown[0]!r}; {hint}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return asdict(self)

    def learning_rate(self, step: int) -> float:
        """Of the step with that number, from 0: warm-up, plateau, fall."""
        rate = self.lr * min(1.0, (step + 1) / max(1, self.warmup))
        begin = self.steps * (1 - self.decay)
        if step <= begin:
            return rate
        if self.shape == "step":
            return rate * self.final
        t = min(1.0, (step - begin) / max(1.0, self.steps - begin))
        return rate * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * t)))


def _typed(name: str, value: Any, kind: type) -> Any:
    """``value``, a number perhaps given as text, as ``kind``; nothing is cut off."""
    try:
        if kind is str:
            return str(value)
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        number = float(value)
        if isinstance(value, bool) or not math.isfinite(number) or (kind is int and not number.is_integer()):
            raise ValueError
        return kind(number)
    except (KeyError, TypeError, ValueError):
        words = {bool: "true or false", int: "a whole number", float: "a number"}
        raise ValueError(f"{name} must be {words[kind]}, got {value!r}") from None
