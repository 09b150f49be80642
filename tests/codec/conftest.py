"""What the codec's tests share: the shipped pack, and pictures made on the spot."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype.codec import library
from calotype.codec.pack import Pack

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="session")
def pack() -> Pack:
    return library.load()


@pytest.fixture(scope="session")
def scene() -> Callable[..., Pixels]:
    """scene(height, width, seed=0): a picture with shading, edges, texture and colour, uint8 [H, W, 3]."""

    def make(height: int, width: int, seed: int = 0) -> Pixels:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        planes = []
        for phase in rng.uniform(0, 6.28, 3):
            plane = 110 + 50 * np.sin(x / 61 + phase) * np.cos(y / 47 - phase)
            plane += 40 * ((x // 37 + y // 53) % 2) + 15 * np.sin(x * y / 900 + phase)
            planes.append(plane + rng.normal(0, 4, plane.shape))
        return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)

    return make
