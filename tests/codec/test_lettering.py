"""Lettering in photographs is found, nearly nothing else is, and with packs for eyes it gets more bits."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from tests.golden import scene

import calotype
from calotype.cli import demo
from calotype.codec import lettering
from calotype.codec.focus import FULL

Pixels = NDArray[np.uint8]
BOX = (96, 96, 224, 128)
"""Of the sign's letters, in pixels."""


def wall() -> Pixels:
    """A rough wall beside something darker."""
    grain = np.random.default_rng(1).normal(0, 5, (256, 320, 1))
    pixels = np.full((256, 320, 3), (214, 208, 190)) + grain
    pixels[:, 280:] -= 120
    return pixels.clip(0, 255).astype(np.uint8)


def sign(ink: tuple[int, int, int] = (40, 36, 30)) -> Pixels:
    image = Image.fromarray(wall())
    draw = ImageDraw.Draw(image)
    draw.text((BOX[0] + 2, BOX[1] + 2), "Bakery, since 1871", ink, ImageFont.load_default(15))
    return np.asarray(image)


def places(found: Pixels) -> tuple[float, float]:
    """The share of the letters' squares, and of all others, that count fully."""
    left, top, right, bottom = (side // 16 for side in BOX)
    inside = np.zeros(found.shape, bool)
    inside[top:bottom, left:right] = True
    return float((found[inside] == FULL).mean()), float((found[~inside] == FULL).mean())


@pytest.mark.parametrize("bright", [False, True])
def test_a_sign_is_found_and_the_wall_is_not(bright: bool) -> None:
    pixels = (255 - sign()) if bright else sign()
    found = lettering.find(pixels)
    assert found.shape == (16, 20)
    inside, outside = places(found)
    assert inside > 0.6
    assert outside < 0.02
    assert set(np.unique(found)) == {0, FULL // 2 + 1, FULL}
    full = np.argwhere(found == FULL)
    for row, column in np.argwhere(found > 0):
        assert np.abs(full - (row, column)).max(1).min() <= 1, "one square around, and no more"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 500), (500, 3), (17, 33), (256, 320)])
def test_any_picture_has_a_map(height: int, width: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    for pixels in (noise, np.zeros_like(noise), scene(height, width, 2)):
        found = lettering.find(pixels)
        assert found.shape == (-(-height // 16), -(-width // 16))
        assert found.max() == 0


def test_photographs_without_lettering_have_next_to_none() -> None:
    with Image.open(demo.PHOTO) as image:
        found = lettering.find(np.asarray(image.convert("RGB")))
    assert (found == FULL).mean() < 0.01


def test_strokes_that_go_on_upwards_are_no_line() -> None:
    """As rigging and twigs before a sky do; a few rows of them could be letters."""
    bars = np.full((160, 320, 3), 210, np.uint8)
    bars[:, 100:200:8], bars[:, 101:200:8] = 40, 40
    assert lettering.find(bars).max() == 0
    bars[:70], bars[90:] = 210, 210
    assert lettering.find(bars).max() == FULL


def test_faint_letters_are_left_to_masking() -> None:
    assert lettering.find(sign((180, 172, 150))).max() == 0


def _wrong(pixels: Pixels, data: bytes) -> tuple[float, float]:
    """Mean squared errors of the letters, and of all."""
    wrong = np.square(np.asarray(calotype.decode(data)) - pixels.astype(float))
    left, top, right, bottom = BOX
    return float(wrong[top:bottom, left:right].mean()), float(wrong.mean())


@pytest.mark.filterwarnings("ignore:text or lines")
@pytest.mark.parametrize("tune", ["eyes", "psnr"])
def test_letters_get_more_bits_where_it_is_for_eyes(
    tune: Literal["eyes", "psnr"], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = sign()
    found = calotype.encode(pixels, target_bpp=0.25, tune=tune)
    monkeypatch.setattr(lettering, "find", lambda p: np.zeros((p.shape[0] // 16, p.shape[1] // 16), np.uint8))
    usual = calotype.encode(pixels, target_bpp=0.25, tune=tune)
    if tune == "psnr":
        assert found == usual
    else:
        assert _wrong(pixels, found)[0] < 0.9 * _wrong(pixels, usual)[0]


@pytest.mark.filterwarnings("ignore:text or lines")
def test_parts_that_a_user_asks_for_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = sign()
    everywhere = np.full((16, 20), FULL, np.uint8)
    found = lettering.find(pixels)
    np.testing.assert_array_equal(lettering.with_focus(found, everywhere), everywhere)
    np.testing.assert_array_equal(lettering.with_focus(found, None), found)
    assert lettering.with_focus(np.zeros_like(found), None) is None
    monkeypatch.setattr(lettering, "find", lambda _: everywhere)
    assert calotype.encode(pixels, 50) == calotype.encode(pixels, 50, roi=(0, 0, 320, 256))
