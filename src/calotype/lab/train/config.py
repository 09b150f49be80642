"""Training configuration: one sentence under every field, unknown keys are errors."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

OPTIMIZERS = ("adam", "soap", "muon")
SHAPES = ("cosine", "step")
COMPILED = ("no", "transforms", "loss")
LONGEST_WARMUP = 0.05
"""Where minutes end the schedule, the warm-up is over after this fraction of them, however slow the steps."""


@dataclass
class TrainConfig:
    """Everything that decides a training run besides the model and the photographs."""

    steps: int = 20_000
    """Optimiser steps in all, those of earlier sessions included; 0: `minutes` alone decide."""
    minutes: float = 0.0
    """Minutes of training in all, those of earlier sessions included; 0: `steps` alone decide.  With both,
    the schedule is as far as the one that is further, and ends with it.  With neither, a run gets the minutes
    that its first session has left."""
    batch: int = 16
    """Crops per step over all processes."""
    parts: int = 0
    """Equal parts in which a batch is worked through, shared by the processes; 0: one for each process.  The
    same number of parts gives the same run on any number of processes, and more parts need less memory."""
    crop: int = 128
    """Side of a training crop in pixels, a multiple of 16; of 64 for the published systems."""
    scale: float = 0.0
    """Share of crops at another scale: enlarged by 1.2 to 2 (four of seven) or reduced to 0.5 to 0.9."""
    flat: float = 0.0
    """Share of crops that are drawn: one colour, two with an edge between, or a gradient."""
    borders: float = 0.0
    """Share of crops of calotype that end early, by up to half of their rows and columns of latents: so
    training sees borders at every place of the grids that latents are coded on."""
    latents: bool = False
    """Train the latent networks of calotype alone, on what the analysis gives of the photographs, once, in
    the cache.  Tiles have the area of a crop, and any sides from 1/1.55 to 1.55 of its own."""
    lr: float = 1e-3
    """Peak learning rate."""
    warmup: int = 200
    """Steps over which the learning rate rises from 0; at most a twentieth of `minutes`, if those are set."""
    decay: float = 0.25
    """Last fraction of the schedule, in which the learning rate falls."""
    final: float = 0.01
    """What the learning rate falls to, as a fraction of its peak."""
    shape: str = "cosine"
    """How it falls: `cosine`, or `step` (at once)."""
    hard: float = 0.15
    """Last fraction of the schedule, trained on hard-rounded latents."""
    clip: float = 1.0
    """Largest norm of the gradient; longer ones are scaled down."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which is what gets exported."""
    optimizer: str = "adam"
    """`adam`, `soap` or `muon`."""
    betas: str = ""
    """Decay of the optimiser's two averages, as in `0.9,0.99`, which are Adam's; SOAP's are 0.95,0.95."""
    precondition: int = 10
    """Steps between refreshes of SOAP's bases."""
    freeze: str = ""
    """Parameters that stay as they are: patterns of their names, with commas between; with
    `analysis.*,latents.hyper.*,levels.*_log_gain,levels.log_z_step` the encoder does."""
    paces: str = ""
    """Learning rates of some parameters, as factors: `PATTERN=FACTOR` with commas between, before the model's
    own list; the first that fits a name counts.  What learns alone may go faster than beside the rest."""
    leak: float = 0.0
    """Slope below zero of the ReLUs in calotype's transforms at the start; it falls to 0 by half of the
    schedule.  For branches drawn afresh: without it, many of their units are off for good."""
    bf16: bool = False
    """Run the heavy layers in bfloat16."""
    compile: str = "no"
    """What `torch.compile` compiles: `no`, `transforms` (both; half a minute of waiting, then faster steps
    on a GPU), or the whole `loss` (a minute of waiting)."""
    graph: bool = True
    """On a single GPU, with fused Adam, record the whole step once as a CUDA graph and replay it."""
    rollbacks: int = 0
    """How often a run whose loss breaks goes back to its last good weights and on at half the learning rate;
    after that, it stops."""
    seed: int = 0
    """Seed of crops, levels and noise."""
    start_batches: int = 24
    """Batches of 16 crops of 256x256 that the linear start is measured on."""
    held_out: int = 20
    """Photographs kept out of training for the validation curve; a run that begins with another's weights
    keeps out those that the other one did, by their names."""
    log_every: int = 50
    """Steps between lines of the log."""
    validate_every: int = 1000
    """Steps between validations."""
    validate_seconds: float = 0.0
    """Seconds between validations, in the place of steps."""
    save_every: int = 250
    """Steps between checkpoints."""
    save_seconds: float = 0.0
    """Seconds between checkpoints, in the place of steps."""

    def __post_init__(self) -> None:
        self.compile = {"False": "no", "True": "transforms"}.get(str(self.compile).capitalize(), self.compile)
        for field in fields(self):
            setattr(self, field.name, _typed(field.name, getattr(self, field.name), type(field.default)))
        if self.crop % 16 or self.crop < 16:
            raise ValueError(f"crop must be a multiple of 16, got {self.crop}")
        for name, choices in (("optimizer", OPTIMIZERS), ("shape", SHAPES), ("compile", COMPILED)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        for name in ("decay", "hard", "final", "ema", "scale", "flat", "borders", "leak"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be within 0..1, got {getattr(self, name)}")
        for name in ("batch", "precondition", "start_batches", "log_every", "validate_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        whole = ("steps", "parts", "warmup", "seed", "held_out", "rollbacks")
        for name in (*whole, "minutes", "validate_seconds", "save_seconds"):
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

    def progress(self, step: int, seconds: float = 0.0) -> float:
        """How far a run is after so many steps and seconds of training: 0 at the start, 1 at the end."""
        by_steps = step / self.steps if self.steps else 0.0
        return min(1.0, max(by_steps, self._by_time(seconds)))

    def learning_rate(self, step: int, seconds: float = 0.0) -> float:
        """Of the step with that number, from 0, after so many seconds of training: warm-up, plateau, fall."""
        risen = (step + 1) / max(1, self.warmup)
        rate = self.lr * min(1.0, max(risen, self._by_time(seconds) / LONGEST_WARMUP))
        done, begin = self.progress(step, seconds), 1 - self.decay
        if done <= begin:
            return rate
        if self.shape == "step":
            return rate * self.final
        t = min(1.0, (done - begin) / self.decay)
        return rate * (self.final + (1 - self.final) * 0.5 * (1 + math.cos(math.pi * t)))

    def hardened(self, step: int, seconds: float = 0.0) -> bool:
        """Whether that step is trained on hard-rounded latents."""
        return self.progress(step, seconds) >= 1 - self.hard

    def slope(self, step: int, seconds: float = 0.0) -> float:
        """Of the ReLUs below zero."""
        return self.leak * max(0.0, 1 - 2 * self.progress(step, seconds))

    def _by_time(self, seconds: float) -> float:
        return seconds / (60 * self.minutes) if self.minutes else 0.0


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
