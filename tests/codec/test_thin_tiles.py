"""Pictures whose last tiles are one pixel wide or high: their look decides whether they become pixels."""

from __future__ import annotations

import numpy as np
import pytest

import calotype
from calotype.codec import mixed
from calotype.codec.ssimulacra2 import ssimulacra2

SIZES = [(1, 300), (300, 1), (257, 255), (300, 257), (1025, 700)]


def page(height: int, width: int, grey: bool) -> np.ndarray:
    """Lines of marks on white."""
    pixels = np.full((height, width), 250, np.uint8)
    random = np.random.default_rng(4)
    for top in range(0, height, 11):
        for left in range(0, width, 8):
            pixels[top : top + 7, left + random.integers(0, 4) :][:, :2] = random.integers(0, 90)
    return pixels if grey else np.stack([pixels, pixels, pixels // 2 + 60], -1)


@pytest.mark.parametrize("tune", ["eyes", "psnr"])
@pytest.mark.parametrize("grey", [True, False])
@pytest.mark.parametrize("size", SIZES)
def test_pages_with_thin_tiles_are_coded(size: tuple[int, int], grey: bool, tune: str) -> None:
    pixels = page(*size, grey)
    for quality in (40, 80):
        data = calotype.encode(pixels, quality=quality, tune=tune, threads=1)
        shown = np.asarray(calotype.decode(data, threads=1)).astype(int)
        assert shown.shape == pixels.shape
        assert np.abs(shown - pixels).mean() < 40


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (40, 40)])
@pytest.mark.parametrize("values", [1, 3])
def test_tiles_of_any_form_are_looked_at_as_pictures(size: tuple[int, int], values: int) -> None:
    rng = np.random.default_rng(1)
    tile = rng.integers(0, 256, (*size, values), dtype=np.uint8)
    other = tile // 2 + 60
    wanted = ssimulacra2(tile.repeat(3 // values, 2), other.repeat(3 // values, 2))
    assert mixed._likeness(tile, other) == pytest.approx(wanted, abs=1e-6)
