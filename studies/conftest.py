"""What the studies' tests share: photographs that are made for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums depend on the number of threads."""
    torch.set_num_threads(1)


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[[int, int, int], Path]:
    """photographs(count, height, width): a folder of PNG files with waves and a little texture."""

    def make(count: int, height: int, width: int) -> Path:
        folder = tmp_path / "photos"
        folder.mkdir()
        i, j = np.mgrid[0:height, 0:width] / 64
        for k in range(count):
            waves = [0.5 + 0.3 * np.sin(2 * i + 3 * j + c + k) * np.cos(i * j + c) for c in range(3)]
            texture = np.random.default_rng(k).normal(0, 0.03, (height, width, 3))
            pixels = np.clip(np.stack(waves, axis=-1) + texture, 0, 1) * 255
            Image.fromarray(pixels.round().astype(np.uint8)).save(folder / f"{k}.png")
        return folder

    return make
