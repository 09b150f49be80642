"""What the correlation-loss experiment trains, and at which size.

The claim (Ali et al. 2023): the loss gains rate at no cost in decoding; on Cheng's hyperprior half of what
autoregression gains, with a checkerboard 90 %, with channel slices 98 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from typing import Any

from calotype.lab.losses.correlation import MASKS, MEAN_ALPHA, window_mask
from calotype.lab.sizes import checked
from calotype.lab.train.config import TrainConfig

HYPERPRIORS = {
    "mean-scale": "minnen2018-mean-scale",
    "cheng": "cheng2020-hyperprior",
    "swin": "zhu2022-hyperprior",
}
CONTEXTS = {
    "cheng-autoregressive": "cheng2020-anchor",
    "cheng-checkerboard": "he2021-cheng",
    "cheng-charm": "ali2023-cheng-charm",
}
WITH = "+loss"
"""What the names of rows that were trained with the loss end with."""
PAPER = {
    "gain": {"mean-scale": 3.2, "cheng": 9.5, "swin": 4.8},
    "share": {"cheng+loss": 50, "cheng-checkerboard+loss": 90, "cheng-charm+loss": 98},
    "speed": {"cheng+loss": 55, "cheng-checkerboard+loss": 50, "cheng-charm+loss": 30},
}
"""Published: percent of rate gained; percent of autoregression's gain; times faster than autoregression."""


@dataclass(frozen=True)
class Budget:
    """How large and how long."""

    note: str
    """For people: what may be concluded from it."""
    n: int = 128
    """Channels of Cheng's systems (multiple of 8), and of the hyper-latents of the mean-scale hyperprior."""
    m: int = 192
    """Latents of the mean-scale hyperprior."""
    swin: dict[str, Any] = field(default_factory=dict)
    """Sizes of the Swin hyperprior; the published ones if empty."""
    charm: dict[str, Any] = field(default_factory=lambda: {"slices": 8})
    """Slices and widths of the channel-wise model."""
    lambdas: tuple[float, ...] = (0.05, 0.025, 0.013, 0.0067)
    """Multipliers, the first trained from scratch, each other from the one before."""
    chain: float = 0.3
    """Steps of those others, as a fraction of the first one's."""
    base: int = 0
    """Steps without the loss, at the mean of the lambdas, of a start that a system's rows and lambdas share;
    each of them then trains from there for the steps of `train`.  0: no such start."""
    seeds: int = 1
    """How often the system of the ablation is trained with and without the loss, with other crops and noise
    each time: how much of a gain is chance."""
    ablate: str = "cheng"
    """The hyperprior that weight, mask and window are tried on."""
    train: dict[str, Any] = field(default_factory=dict)
    """Fields of `calotype.lab.train.config.TrainConfig`."""
    alpha: float = MEAN_ALPHA
    """Weight of the loss, for averages."""
    alphas: tuple[float, ...] = (0.1, 10.0, 100.0)
    """Multiples of alpha that the ablation tries."""
    windows: tuple[int, ...] = (5, 7)
    """Other windows that the ablation tries."""
    pictures: int = 24
    """How many pictures are measured on."""

    def __post_init__(self) -> None:
        for f in fields(self):
            like = "" if f.name == "note" else f.default if f.default is not MISSING else {}
            checked(f.name, getattr(self, f.name), like, zero=f.name in ("base", "alpha", "alphas"))
        for window in self.windows:
            window_mask("point", window)  # refuses what is no window
        if self.n % 8 or not self.lambdas or not 0 < self.chain <= 1:
            raise ValueError("n must be a multiple of 8, lambdas not empty, chain within 0 .. 1")
        if self.base < 0 or self.seeds < 1 or self.ablate not in HYPERPRIORS:
            known = ", ".join(HYPERPRIORS)
            raise ValueError(f"base must not be negative, seeds at least 1, ablate one of {known}")
        TrainConfig.from_dict(self.train)

    def config(self, first: bool, seed: int = 0) -> TrainConfig:
        """The training of the first multiplier or of the others; with a common start, of all."""
        config = TrainConfig.from_dict(self.train)
        config = replace(config, seed=config.seed + seed)
        if first or self.base:
            return config
        return replace(config, steps=max(1, round(config.steps * self.chain)))

    def base_config(self) -> TrainConfig:
        """The training of the common start: at a constant rate."""
        return replace(TrainConfig.from_dict(self.train), steps=self.base, decay=0.0, warmup=self.base // 10)

    @property
    def base_lambda(self) -> float:
        """Multiplier of the common start: the geometric mean of the others."""
        return math.exp(sum(map(math.log, self.lambdas)) / len(self.lambdas))

    def options(self, system: str) -> dict[str, Any]:
        """What the model of a system is built with, by its key in `HYPERPRIORS` or `CONTEXTS`."""
        if system == "mean-scale":
            return {"n": self.n, "m": self.m}
        if system == "swin":
            return dict(self.swin)
        return {"n": self.n, **(self.charm if system == "cheng-charm" else {})}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Budget:
        """Inverse of `to_dict`.

        Raises:
            ValueError: for a key that is not a field, a missing note, or a value that does not fit.
        """
        if not isinstance(values, Mapping):
            raise ValueError("a budget must be a JSON object of fields and values")
        if "note" not in values:
            raise ValueError("a budget needs a note")
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise ValueError(f"a budget has no {unknown[0]!r}")
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**lists)


_LOOP = {"hard": 0.0, "clip": 1.0, "validate_every": 5000, "held_out": 8}
BUDGETS = {
    "smoke": Budget(
        "seconds: shows that everything runs; figures mean nothing",
        n=8, m=12, swin={"widths": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "hyper": 8, "hyper_depths": [1, 1]},
        charm={"slices": 2, "widths": [8, 8]}, lambdas=(0.05, 0.01), chain=1.0, alphas=(10.0,), windows=(),
        train={**_LOOP, "steps": 3, "batch": 2, "crop": 64, "warmup": 0, "held_out": 1}, pictures=1,
    ),
    "short": Budget(
        "hours on two cores, narrow networks: directions and relative speeds; BD-rates need longer training",
        n=64, m=96,
        swin={"widths": [32, 64, 96, 96], "depths": [1, 1, 2, 1], "hyper": 64, "hyper_depths": [2, 1]},
        charm={"slices": 8, "widths": [96, 64]},
        train={**_LOOP, "steps": 3000, "batch": 8, "crop": 128, "lr": 5e-4, "decay": 0.5, "ema": 0.99},
    ),
    "narrow": Budget(
        "three hours on one core, very narrow networks, each row trained for some minutes from a start that "
        "it shares with the others of its system: directions at best, and relative speeds",
        n=32, m=64,
        swin={"widths": [32, 32, 64, 64], "depths": [1, 1, 1, 1], "hyper": 32, "hyper_depths": [1, 1]},
        charm={"slices": 4, "widths": [48, 32]}, lambdas=(0.03, 0.0035), base=3000, seeds=2,
        alphas=(0.1, 10.0), windows=(5,), pictures=4,
        train={
            **_LOOP, "steps": 800, "batch": 4, "crop": 128, "lr": 1e-3, "warmup": 10, "decay": 0.7,
            "ema": 0.98, "save_every": 400, "bf16": True,
        },
    ),
    "pairs": Budget(
        "an hour and a half on a core, one system: ten pairs of trainings from a common start, with and "
        "without the loss on the same crops and noise; whether a gain can be told from chance. For others "
        "--set ablate=cheng",
        n=64, m=96, lambdas=(0.0067,), base=8000, seeds=10, ablate="mean-scale", alphas=(), windows=(),
        pictures=6,
        train={
            **_LOOP, "steps": 800, "batch": 2, "crop": 128, "lr": 1e-4, "warmup": 20, "decay": 0.7,
            "ema": 0.998, "save_every": 200, "held_out": 2,
        },
    ),
    "medium": Budget(
        "hours on one GPU, published widths: a first estimate of BD-rates",
        train={**_LOOP, "steps": 30_000, "batch": 8, "crop": 256, "lr": 2e-4, "decay": 0.4},
    ),
    "paper": Budget(
        "as published, as far as that is known: CompressAI's recipe",
        lambdas=(0.0483, 0.025, 0.013, 0.0067, 0.0035, 0.0018), chain=1.0,
        train={**_LOOP, "steps": 2_000_000, "batch": 16, "crop": 256, "lr": 1e-4, "decay": 0.4, "warmup": 0},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One curve: a system, with or without the loss, at all multipliers."""

    key: str
    model: str
    """Name in the registry."""
    options: dict[str, Any]
    correlation: dict[str, Any]
    """Options of the loss; empty without it."""
    group: str
    """"main", "context", "noise" or "ablation"."""
    system: str = ""
    """Key of the row whose common start it uses."""
    seed: int = 0
    """Added to the seed of crops and noise."""


def plan(budget: Budget) -> list[Row]:
    """All rows, the most important ones first."""
    loss, rows = {"alpha": budget.alpha}, []
    for group, systems in (("main", HYPERPRIORS), ("context", CONTEXTS)):
        for key, model in systems.items():
            rows.append(Row(key, model, budget.options(key), {}, group, key))
            if key != "cheng-autoregressive":
                rows.append(Row(key + WITH, model, budget.options(key), loss, group, key))
    one = budget.ablate
    for seed in range(1, budget.seeds):
        for end, correlation in (("", {}), (WITH, loss)):
            rows.append(
                Row(
                    f"{one}{end} seed {seed}",
                    HYPERPRIORS[one],
                    budget.options(one),
                    correlation,
                    "noise",
                    one,
                    seed,
                )
            )
    tried = [(f"alpha x {f:g}", {"alpha": budget.alpha * f}) for f in budget.alphas]
    tried += [(f"mask {mask}", {**loss, "mask": mask}) for mask in MASKS[1:]]
    tried += [(f"window {w}", {**loss, "window": w}) for w in budget.windows]
    tried += [("stop-gradient", {**loss, "stop_gradient": True})]
    for what, correlation in tried:
        rows.append(
            Row(f"{one}{WITH} {what}", HYPERPRIORS[one], budget.options(one), correlation, "ablation", one)
        )
    return rows
