"""Small pictures beyond quality 95: their few tiles have many forms, so sizes and qualities rise in steps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from tests.conftest import every

from calotype.codec import library, metrics
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.front import Front
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.codec.rate import Target

Scene = Callable[..., np.ndarray]
SIZES = [(1, 1), (5, 3), (40, 48), (120, 136)]
NOISE = 0.03
"""dB between neighbouring levels of latents, whose errors do not fall quite evenly."""


def picture(scene: Scene, size: tuple[int, int], kind: str) -> Picture:
    """Of a photograph, of a page of marks, or with both."""
    pixels = scene(*size)
    if kind != "photograph":
        random = np.random.default_rng(3)
        part = size[1] if kind == "page" else size[1] // 2
        pixels[:, :part] = 250
        for top in range(0, size[0] - 8, 12):
            for left in range(0, part - 8, 9):
                pixels[top : top + 8, left + random.integers(0, 6) :][:, :2] = random.integers(0, 160, 3)
    return Picture(pixels)


def likeness(original: Picture, data: bytes, pack: Pack) -> float:
    return metrics.psnr(original.pixels, decode(data, pack=pack).picture.pixels)


@pytest.mark.parametrize("kind", every(2, ["mixed", "page", "photograph"]))
@pytest.mark.parametrize(("height", "width"), every(2, SIZES[2:]))
def test_a_larger_size_is_no_worse(scene: Scene, height: int, width: int, kind: str) -> None:
    pack = library.load("photo-psnr")  # levels of a pack that has learnt nothing do not get better evenly
    original = picture(scene, (height, width), kind)
    least = len(encode(original, quality=95, pack=pack).data)
    whole = len(encode(original, lossless=True).data)
    before = 0.0
    for share in np.linspace(0.1, 1, 7):
        most = math.ceil(least ** (1 - share) * whole**share)
        data = encode(original, target=Target("size", most), pack=pack).data
        assert len(data) <= most
        found = likeness(original, data, pack)
        assert found >= before - NOISE
        before = found
    assert before == math.inf


@pytest.mark.parametrize("kind", ["photograph", "page"])
@pytest.mark.parametrize("size", SIZES)
def test_qualities_beyond_95_only_rise(pack: Pack, scene: Scene, size: tuple[int, int], kind: str) -> None:
    original = picture(scene, size, kind)
    coded = {quality: encode(original, quality=quality, pack=pack).data for quality in (95, 96, 98, 100)}
    found = [likeness(original, data, pack) for data in coded.values()]
    assert found == sorted(found)
    assert found[-1] == math.inf
    assert max(len(coded[96]), len(coded[98])) <= len(coded[100])


def test_photographs_of_one_tile_have_steps(pack: Pack, scene: Scene) -> None:
    """Between what latents reach and no loss each likeness has a file, well below no loss."""
    original = picture(scene, (120, 136), "photograph")
    whole = len(encode(original, lossless=True).data)
    sizes = []
    for asked in (42, 46, 50):
        data = encode(original, target=Target("psnr", asked), pack=pack).data
        assert asked - 0.5 < likeness(original, data, pack) < asked + 2.5
        sizes.append(len(data))
    assert sizes == sorted(set(sizes))
    assert sizes[-1] < 0.85 * whole


def test_the_front_has_the_best_of_all_choices() -> None:
    random = np.random.default_rng(5)
    bits, errors = random.integers(1, 60, (2, 4, 5)).astype(float)
    bits[1, 2] = np.inf
    front, rows = Front(bits, errors), np.arange(4)
    every = [np.array(forms) for forms in itertools.product(range(5), repeat=4)]
    every = [forms for forms in every if np.isfinite(bits[rows, forms]).all()]
    for most in range(0, 240, 8):
        best = min((errors[rows, f].sum() for f in every if bits[rows, f].sum() <= most), default=None)
        found = front.within(most)
        assert (found is None) == (best is None)
        if found is not None:
            assert bits[rows, found].sum() <= most
            assert errors[rows, found].sum() == best


@pytest.mark.parametrize("size", [(120, 136), (150, 190)])
def test_steps_are_even(scene: Scene, size: tuple[int, int]) -> None:
    """Of one tile, whose pixels come nearer to their own, and of several, which become pixels in turn."""
    pack, original = library.load("photo-psnr"), picture(scene, size, "photograph")
    sizes = [len(encode(original, quality=quality, pack=pack).data) for quality in range(95, 101)]
    even = (sizes[-1] / sizes[0]) ** (1 / 5)
    for less, more in itertools.pairwise(sizes):
        assert less * even**0.45 < more < less * even**1.6
