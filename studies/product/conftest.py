"""A thin model of the product's kind, and photographs to train it on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.train.data import Photos

THIN: dict[str, Any] = {"latents": 48, "width": 48, "narrow": 8, "narrow16": 8, "wide16": 8, "render": 8}
THIN |= {"analysis_blocks": (1, 1), "synthesis_blocks": (1, 1), "lambdas": (0.001, 0.01, 0.1)}


@pytest.fixture
def folder(photographs: Callable[[int, int, int], Path]) -> Path:
    return photographs(6, 140, 200)


@pytest.fixture
def photos(folder: Path, tmp_path: Path) -> Photos:
    return Photos.open(folder, cache=tmp_path / "cache")


@pytest.fixture
def thin() -> Callable[..., Calotype]:
    """thin(seed=0): a small model with weights far from their start, in ``eval()``."""

    def make(seed: int = 0) -> Calotype:
        torch.manual_seed(seed)
        model = Calotype(Config.from_dict(THIN))
        with torch.no_grad():
            for name, p in model.named_parameters():
                if not name.startswith("levels"):
                    p += 0.02 * torch.randn_like(p)
        return model.eval()

    return make
