"""Sizes as targets on pages of few tiles, whose files jump where a tile turns from latents to pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.conftest import every

from calotype.bitstream import parse
from calotype.codec import metrics
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.codec.pixels import PAGE, TILE
from calotype.codec.rate import Target

Scene = Callable[..., np.ndarray]


def page(scene: Scene, part: int) -> Picture:
    """Marks of many shades in rows on white, and a photograph that takes so many columns."""
    random = np.random.default_rng(7)
    pixels = np.full((100, 136, 3), 255, np.uint8)
    for top in range(4, 92, 12):
        for left in range(4, 126, 8):
            glyph = random.integers(0, 6)
            pixels[top : top + 8, left + glyph % 3 : left + glyph % 3 + 2] = random.integers(0, 160, 3)
            pixels[top + glyph, left : left + 6] = random.integers(60, 200, 3)
    pixels[:, 136 - part :] = scene(100, part)
    return Picture(pixels)


@pytest.mark.parametrize("part", every(2, [90, 0]))
def test_sizes_come_within_a_few_percent(pack: Pack, scene: Scene, part: int) -> None:
    """All the way from what latents alone would take to no loss, and more bytes are never a worse picture."""
    picture = page(scene, part)
    least = len(encode(picture, level=0, pack=pack).data)
    whole = len(encode(picture, lossless=True).data)
    likeness = []
    for share in (0.3, 0.7, 0.95):
        size = int(least ** (1 - share) * whole**share)
        coded = encode(picture, target=Target("size", size), pack=pack)
        assert 0.95 * size <= len(coded.data) == coded.reached <= size
        back = decode(coded.data, pack=pack).picture.pixels
        likeness.append(metrics.psnr(picture.pixels, back))
    assert np.all(np.diff(likeness) > -0.2)


def test_bits_per_pixel_are_a_size_too(pack: Pack, scene: Scene) -> None:
    picture = page(scene, 60)
    size = len(encode(picture, lossless=True).data) * 3 // 4
    by_size = encode(picture, target=Target("size", size), pack=pack)
    by_pixel = encode(picture, target=Target("bpp", 8 * size / (100 * 136)), pack=pack)
    assert by_size.data == by_pixel.data
    assert by_pixel.reached == 8 * len(by_pixel.data) / (100 * 136)


def test_pages_without_loss_are_in_larger_tiles(scene: Scene) -> None:
    """Their letters come again: what the upper tile has learnt is of use below."""
    letters = np.random.default_rng(1).integers(0, 256, (40, 8, 12), np.uint8)
    text = np.full((1300, 320), 255, np.uint8)
    places = np.random.default_rng(2)
    for top in range(10, 1280, 16):
        for left in range(8, 300, 24):
            text[top : top + 8, left : left + 12] = letters[places.integers(40)]
    sides = {}
    for name, grey in (("page", text), ("photograph", scene(1300, 320)[..., 0])):
        picture = Picture(np.repeat(grey[..., None], 3, 2), grey=True)
        data = encode(picture, lossless=True).data
        assert np.array_equal(decode(data).picture.pixels, picture.pixels)
        sides[name] = parse(data).header.tile
        if name == "page":
            assert len(data) < 0.98 * len(encode(picture, lossless=True, tile=TILE).data)
    assert sides == {"page": PAGE, "photograph": TILE}
