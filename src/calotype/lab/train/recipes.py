"""Training recipes: the stages of the product's model, and how the published systems were trained, as far as
this loop can say it.

Schedules that wait for a plateau of the validation loss are given a cosine of the same length.  Set anything
else with ``--set``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from calotype.lab.objective import LAMBDAS


@dataclass(frozen=True)
class Recipe:
    """Multipliers and options of a publication."""

    source: str
    """Where it is from, and what differs."""
    train: dict[str, Any]
    """Fields of `calotype.lab.train.config.TrainConfig`."""
    lambdas: dict[str, tuple[float, ...]] = field(default_factory=lambda: dict(LAMBDAS))
    """Multipliers by distortion, from the lowest rate up; of MSE on a 0..255 scale."""
    model: dict[str, Any] = field(default_factory=dict)
    """Options of the model that belong to the training."""
    product: bool = False
    """Whether it is for the product's model; all others are for the published systems."""


_COMMON = {"crop": 256, "lr": 1e-4, "warmup": 0, "clip": 1.0, "hard": 0.0, "optimizer": "adam"}

RECIPES: dict[str, Recipe] = {
    "short": Recipe(
        "ours: minutes on a CPU, to see that a system learns; not for figures",
        {"steps": 2000, "batch": 8, "lr": 1e-3, "warmup": 50, "decay": 0.5, "hard": 0.0, "ema": 0.99},
    ),
    "compressai": Recipe(
        "CompressAI 1.2: batch 16, 4 to 5 million steps; the learning rate halves on plateaus after 1 to 2 "
        "million.  Its MS-SSIM models are fine-tuned from those for MSE (--from, --set lr=1e-5)",
        {**_COMMON, "steps": 4_500_000, "batch": 16, "decay": 0.65, "final": 0.01},
    ),
    "minnen2020": Recipe(
        "tensorflow/compression, ms2020.py: 1000 x 1000 steps at a constant rate",
        {**_COMMON, "steps": 1_000_000, "batch": 8, "decay": 0.0},
        {"mse": (0.01,), "ms-ssim": LAMBDAS["ms-ssim"]},
    ),
    "cheng2020": Recipe(
        "Cheng et al. 2020: the last 80,000 steps at a tenth of the rate; n=128 for the lower three",
        {**_COMMON, "steps": 1_000_000, "batch": 8, "decay": 0.08, "final": 0.1, "shape": "step"},
        {"mse": (0.0016, 0.0032, 0.0075, 0.015, 0.03, 0.045), "ms-ssim": (3.0, 12.0, 40.0, 120.0)},
    ),
    "hu2020": Recipe(
        "Coarse2Fine-PyTorch: 5500 epochs of 1600 pictures in four stages (models/hu2020_stages.py); "
        "pictures are coded in squares of 768; the rate halves four times from epoch 3900 on, here a cosine "
        "to a sixteenth; its lambda 0.004 is of a range twice as wide",
        {**_COMMON, "steps": 550_000, "batch": 16, "clip": 10.0, "decay": 0.29, "final": 0.0625},
        {"mse": (0.016,), "ms-ssim": LAMBDAS["ms-ssim"]},
        {"staged": True, "partition": 768},
    ),
    "mentzer2020": Recipe(
        "tensorflow/compression, models/hific: a million steps without the discriminator, a million with it "
        "(models/mentzer2020.py), at a tenth of the rate in the second half of each, here of both together.  "
        "The model's target decides the rate, whatever lambda (model.target=0.14)",
        {**_COMMON, "steps": 2_000_000, "batch": 8, "decay": 0.25, "final": 0.1, "shape": "step"},
        {"mse": (1.0,)},
    ),
    "toderici": Recipe(
        "pytorch-image-comp-rnn: crops of 32 (here 64), batch 32, Adam at 5e-4, halved at epochs 3, 10, 20, "
        "50 and 100 (here a cosine to 3 %).  Lambda weighs |x - x_hat| against the model of the bits; the "
        "two share no weights",
        {**_COMMON, "steps": 1_000_000, "batch": 32, "crop": 64, "lr": 5e-4, "decay": 0.9, "final": 0.03},
        {"mse": (0.02,), "ms-ssim": LAMBDAS["ms-ssim"][3:4]},
    ),
}  # fmt: skip
RECIPES["johnston"] = RECIPES["toderici"]


# Both stages fall from the first step on, on latents as a file holds them; Adam's own decays.
_STAGE = {"batch": 4, "warmup": 100, "decay": 1.0, "hard": 1.0, "betas": "0.9,0.999", "save_seconds": 240}

RECIPES |= {
    "latents": Recipe(
        "the latent networks alone, on latents that the analysis gave once",
        {**_STAGE, "latents": True, "crop": 496, "lr": 1e-3, "ema": 0.9985},
        {},
        product=True,
    ),
    "joint": Recipe(
        "everything; some crops at other scales, some of flat colours",
        {**_STAGE, "crop": 208, "lr": 5e-4, "ema": 0.997, "bf16": True, "scale": 0.35, "flat": 0.06},
        {},
        product=True,
    ),
}  # fmt: skip


def names(*, product: bool) -> list[str]:
    """Recipes for the product's model, or those for the published systems."""
    return [name for name, found in RECIPES.items() if found.product == product]


def default(model: str) -> str:
    """The recipe of a model of `calotype.lab.registry`."""
    return next((name for name in names(product=False) if model.startswith(name)), "compressai")


def recipe(name: str, *, product: bool = False) -> Recipe:
    """A recipe by name, for the product's model or for the published systems.

    Raises:
        ValueError: when there is none.
    """
    known = names(product=product)
    if name not in known:
        raise ValueError(f"no recipe is called {name!r} here; there are {', '.join(known)}")
    return RECIPES[name]
