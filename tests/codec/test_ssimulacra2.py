"""SSIMULACRA2 with NumPy. Agreement with the package of that name: tests/bench/test_ssimulacra2_peer.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from calotype.codec import ssimulacra2 as module
from calotype.codec.ssimulacra2 import ssimulacra2

Scene = Callable[..., np.ndarray]


def noisy(image: np.ndarray, spread: int, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-spread, spread + 1, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def test_order_and_ends(scene: Scene) -> None:
    image = scene(200, 170)
    scores = [ssimulacra2(image, noisy(image, spread)) for spread in (0, 1, 4, 16, 64)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 100.0
    assert scores[-1] < 30
    assert ssimulacra2(image, 255 - image) < 0


def test_it_does_not_depend_on_the_strips(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    image = scene(201, 150)
    whole = ssimulacra2(image, noisy(image, 8))
    monkeypatch.setattr(module, "_STRIP", 16)
    assert ssimulacra2(image, noisy(image, 8)) == pytest.approx(whole, abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (112, 300)])
def test_small_pictures_are_extended(scene: Scene, shape: tuple[int, int]) -> None:
    image = scene(*shape)
    other = noisy(image, 20)
    grow = (*((0, max(0, 113 - side)) for side in shape), (0, 0))
    extended = [np.pad(x, grow, mode="symmetric") for x in (image, other)]
    assert ssimulacra2(image, other) == ssimulacra2(*extended) < 100


def test_grey_is_rgb_of_three_equal_channels(scene: Scene) -> None:
    grey = scene(130, 140)[..., 1]
    other = noisy(grey, 12)
    rgb = [np.repeat(x[..., None], 3, axis=2) for x in (grey, other)]
    assert ssimulacra2(grey, other) == ssimulacra2(*rgb) < 95


@pytest.mark.parametrize("values", [(0, 255), (255, 0), (0, 1), (128, 128)])
def test_flat_pictures(values: tuple[int, int]) -> None:
    a, b = (np.full((120, 130, 3), value, np.uint8) for value in values)
    score = ssimulacra2(a, b)
    assert np.isfinite(score)
    assert (score == 100) == (values[0] == values[1])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.zeros((20, 20, 3), np.uint8), np.zeros((20, 21, 3), np.uint8)),
        (np.zeros((20, 20, 3)), np.zeros((20, 20, 3))),
        (np.zeros((20, 20, 4), np.uint8), np.zeros((20, 20, 4), np.uint8)),
        (np.zeros((0, 20, 3), np.uint8), np.zeros((0, 20, 3), np.uint8)),
    ],
)
def test_what_it_refuses(a: np.ndarray, b: np.ndarray) -> None:
    with pytest.raises(ValueError, match="SSIMULACRA2 takes"):
        ssimulacra2(a, b)
