"""The filter behind a synthesis in floats, and backwards: that of the second reader, and its adjoint."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from tests import reader_filter

from calotype.coder import Restored

Planes = NDArray[np.float32]
SIZES = [(2, 2), (4, 70), (62, 6), (48, 176)]


def made(height: int, width: int) -> tuple[NDArray[np.int16], Planes]:
    """Taps, and pixels in 1/32 of a grey level that have places of many kinds."""
    rng = np.random.default_rng(height)
    busy = np.linspace(0.1, 12, width) * rng.normal(size=(3, height, width))
    slanted = 60 * np.sin(np.add.outer(np.arange(height), 2 * np.arange(width)) / 9)
    pixels = np.rint(32 * (busy + slanted + 120)).clip(0, 8160) / 32
    return rng.integers(-1500, 1500, (144, 20)).astype(np.int16), pixels.astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
def test_what_it_shows_is_that_of_the_second_reader(size: tuple[int, int]) -> None:
    """But for its rounding, of each of the 20 products that a colour is made of, and of luma."""
    taps, pixels = made(*size)
    integers = np.rint(32 * pixels).astype(np.int64).transpose(1, 2, 0)
    expected = reader_filter.restored(integers, taps.astype(np.int64)).transpose(2, 0, 1) / 32
    assert np.abs(expected - pixels).max() > 1
    assert np.abs(Restored(taps, pixels).shown - expected).max() < 12 / 32


@pytest.mark.parametrize("size", SIZES)
def test_backwards_it_is_the_adjoint(size: tuple[int, int]) -> None:
    """<F a, b> = <a, F^T b>, also at borders and where parts of lines end."""
    taps, pixels = made(*size)
    taps *= 6
    filtered = Restored(taps, pixels)
    for seed in range(3):
        b = np.random.default_rng(seed).normal(size=pixels.shape).astype(np.float32)
        forwards = float((filtered.shown.astype(np.float64) * b).sum())
        backwards = float((pixels.astype(np.float64) * filtered.back(b)).sum())
        scale = float(np.linalg.norm(filtered.shown) * np.linalg.norm(b))
        assert forwards == pytest.approx(backwards, abs=1e-5 * scale)


def test_planes_have_even_sides_and_slopes_fit_them() -> None:
    taps, pixels = made(4, 6)
    with pytest.raises(ValueError, match="even sides"):
        Restored(taps, np.zeros((3, 5, 6), np.float32))
    with pytest.raises(ValueError, match=r"planes must be of shape \[3, 4, 8\]"):
        Restored(taps, pixels).back(np.zeros((3, 4, 8), np.float32))
    with pytest.raises(ValueError, match="restoration must be of shape"):
        Restored(taps[:-1], pixels)
