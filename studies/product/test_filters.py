"""The filter by class finds what was taken from pictures, and leaves alone what nothing was taken from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.codec.metrics import psnr
from studies.product import filters


def _stripes(seed: int, blurred: bool) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    rows = np.repeat(rng.integers(40, 216, 32), 4)[:, None] + rng.normal(0, 2, (128, 96))
    if blurred:
        rows = (np.roll(rows, 1, 0) + 2 * rows + np.roll(rows, -1, 0)) / 4
    return np.clip(np.rint(rows), 0, 255).astype(np.uint8)[..., None].repeat(3, -1)


def test_what_was_blurred_gets_sharper_and_another_picture_too() -> None:
    weights = filters.fit([(_stripes(k, False), _stripes(k, True)) for k in range(4)])
    original, blurred = _stripes(9, False), _stripes(9, True)
    assert psnr(original, filters.filtered(blurred, weights)) > psnr(original, blurred) + 3


def test_exact_pictures_stay_as_they_are() -> None:
    exact = _stripes(0, False)
    np.testing.assert_array_equal(filters.filtered(exact, filters.fit([(exact, exact)])), exact)


def test_edges_of_both_ways_are_of_different_classes() -> None:
    luma = _stripes(3, False)[..., 0].astype(float)
    lying, standing = (np.bincount(filters.classes(x).ravel() % 9).argmax() for x in (luma, luma.T))
    assert {lying, standing} in ({5, 6}, {1, 2})
