"""What the tests of the product's model, its training and its export share: photographs, thin models."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from calotype.lab.layers.integer import IntConv
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_start import start
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.data import Photos
from calotype.lab.train.loop import Trainer
from calotype.lab.train.subject import Subject


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums depend on the number of threads, and other tests of the session may have set it."""
    torch.set_num_threads(1)


THIN: dict[str, Any] = {"latents": 48, "width": 48, "narrow": 8, "narrow16": 8, "wide16": 8, "render": 8}
THIN |= {"analysis_blocks": (1, 1), "synthesis_blocks": (1, 1), "lambdas": (0.001, 0.01, 0.1)}


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Shading, edges, texture and colour, uint8 ``[H, W, 3]``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = []
    edges = 40 * ((x // 37 + (y + 0.3 * x) // 53) % 2) + 15 * np.sin(x * y / 900)
    for phase in rng.uniform(0, 6.28, 3):
        plane = 110 + 50 * np.sin(x / 61 + phase) * np.cos(y / 47 - phase) + edges
        planes.append(plane + rng.normal(0, 4, plane.shape))
    return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    return photograph


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photographs of several sizes, one smaller than a crop."""
    folder = tmp_path_factory.mktemp("photographs")
    for k, (height, width) in enumerate(
        [(160, 200), (96, 240), (300, 130), (40, 50), (128, 128), (200, 160)]
    ):
        Image.fromarray(photograph(height, width, k)).save(folder / f"{k}.png")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def photos(folder: Path, cache: Path) -> Photos:
    return Photos.open(folder, cache=cache)


@pytest.fixture(scope="session")
def thin() -> Callable[..., Calotype]:
    """thin(seed=0, **sizes): a small model with weights far from their start, in ``eval()``.

    It is made once and copied; torch's generator goes on as if it had been made anew.
    """
    made: dict[str, tuple[Calotype, torch.Tensor]] = {}

    def make(seed: int = 0, **sizes: Any) -> Calotype:
        key = f"{seed} {sorted(sizes.items())}"
        if key not in made:
            torch.manual_seed(seed)
            model = Calotype(Config.from_dict({**THIN, **sizes}))
            with torch.no_grad():
                for name, p in model.named_parameters():
                    if p.requires_grad and not name.startswith("levels"):
                        p += 0.02 * torch.randn_like(p)
            made[key] = model.eval(), torch.get_rng_state()
        model, state = made[key]
        torch.set_rng_state(state)
        return copy.deepcopy(model)

    return make


@pytest.fixture(scope="session")
def lively(thin: Callable[..., Calotype]) -> Callable[..., Calotype]:
    """lively(seed=0, **sizes): a thin model whose integer layers have weights of all sizes that are exact,
    and whose laws differ from site to site.
    """

    def make(seed: int = 0, **sizes: Any) -> Calotype:
        model = thin(seed, **sizes)
        net, levels = model.latents, model.levels
        generator = torch.Generator().manual_seed(seed)

        def fill(p: torch.Tensor, low: float, high: float) -> None:
            p.copy_(low + (high - low) * torch.rand(p.shape, generator=generator))

        with torch.no_grad():
            for layer in (m for part in (net.hyper_model, net.scales) for m in part.modules()):
                if isinstance(layer, IntConv):
                    fill(layer.weight, -layer.limit / 2**layer.shift, layer.limit / 2**layer.shift)
                    if layer.bias.requires_grad:
                        fill(layer.bias, -2, 2)
            # Else most laws would be at one end of their range.
            for outer in (*net.scales.low_out, *net.scales.high_out, *net.hyper_model.scale):
                outer.weight *= 0.02
            for outer in (*net.hyper_model.linear, *net.hyper_model.place, *net.hyper_model.own):
                outer.weight *= 0.2
            fill(levels.low_bias, 5, 50)
            fill(levels.high_bias, -10, 50)
            fill(levels.z_place, -60, 60)
            fill(levels.z_scale, 2, 14)
            fill(levels.low_log_gain, 0, 3)
            fill(levels.high_log_gain, 0, 3)
            levels.low_log_inv_gain.copy_(-levels.low_log_gain)
            levels.high_log_inv_gain.copy_(-levels.high_log_gain)
            fill(levels.vector, -0.1, 0.1)
        return model

    return make


@pytest.fixture(scope="session")
def started(photos: Photos) -> Calotype:
    """A started model with branches that are not zero."""
    torch.manual_seed(3)
    sizes = {
        "latents": 96,
        "width": 96,
        "narrow": 8,
        "narrow16": 8,
        "wide16": 8,
        "render": 8,
        "lambdas": (0.002, 0.01, 0.05),
    }
    model = Calotype(Config.from_dict(sizes))
    start(model, lambda seed: photos.crops([0, 2, 4, 5], (seed,), 8, 256) / 255.0, batches=4)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "expand" in name or name.startswith(("latents.mean.out", "latents.mean.low_out")):
                p += 0.003 * torch.randn_like(p)
        # So small a set makes sigmas too small; estimates then count outliers that a file escapes for less.
        model.levels.low_bias += 12.0
        model.levels.high_bias += 8.0
        model.levels.z_scale += 2.0
    return model.eval()


@pytest.fixture
def trainer(photos: Photos, tmp_path: Path) -> Callable[..., Trainer]:
    """trainer(folder="run", subject=..., **fields): a trainer of a thin model."""

    def make(
        folder: str = "run", subject: Subject | None = None, reporter: Any = None, **fields: Any
    ) -> Trainer:
        options = {"steps": 6, "batch": 4, "crop": 64, "warmup": 2, "held_out": 1, "log_every": 1, **fields}
        config = TrainConfig.from_dict({"save_every": 3, "validate_every": 1000, **options})
        subject = subject or Subject(options=THIN)
        return Trainer(subject, photos, config, tmp_path / folder, reporter=reporter)

    return make


@pytest.fixture(scope="session")
def calibration() -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures ``[N, 3, 128, 128]`` and levels that units are chosen on."""
    pixels = np.stack([photograph(128, 128, 100 + k) for k in range(6)])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255.0, torch.linspace(0, 2, 6)
