"""Small text of many colours over a smooth ground: its letters lie in a layer, and quality rises evenly."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from calotype.bitstream import parse
from calotype.codec import layer
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.metrics import ms_ssim, psnr
from calotype.codec.pack import Pack
from calotype.codec.rate import Target
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.coder import encode_pixels, pixel_bits

Pixels = NDArray[np.uint8]
WORDS = [
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dogs",
    "while",
    "settings",
    "show",
    "status",
    "of",
    "every",
    "file",
]


def page(width: int, height: int, *, each: bool = False) -> Pixels:
    """Words of all colours in small types over a gradient; ``each`` letter of another."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:height, :width]
    ground = np.stack([30 + 150 * x / width, 60 + 140 * y / height, 120 + 60 * (x + y) / (width + height)], 2)
    image = Image.fromarray(ground.round().astype(np.uint8))
    draw, top = ImageDraw.Draw(image), 4
    while top < height - 18:
        font, left = ImageFont.load_default(int(rng.integers(10, 17))), 6.0
        while left < width - 50:
            word = str(rng.choice(WORDS))
            for part in word if each else [word]:
                draw.text((int(left), top), part, tuple(map(int, rng.integers(0, 256, 3))), font)
                left += draw.textlength(part, font)
            left += 5
        top += 20
    return np.asarray(image)


@pytest.mark.parametrize("each", [False, True])
def test_letters_are_taken_off_a_gradient(each: bool) -> None:
    pixels = page(300, 150, each=each)
    found = layer.find(pixels, False, 0.02)
    assert found is not None
    part, below = found
    assert psnr(pixels, layer.over(part, below, False)) > 36
    assert len(part) < 0.3 * len(encode_pixels(pixels)[0])
    smooth = np.abs(np.diff(below.astype(int), axis=1)).max(2)
    assert (smooth > 8).mean() < 0.02, "most letters are gone"


def test_photographs_have_grain_and_no_letters() -> None:
    grain = np.random.default_rng(1).normal(0, 2, (150, 300, 1))
    pixels = (page(300, 150) + grain).clip(0, 255).round().astype(np.uint8)
    assert layer.find(pixels, False, 0.02) is None


@pytest.mark.parametrize("tune", ["photo-psnr", "photo-eyes"])
def test_a_higher_quality_looks_no_worse(tune: str) -> None:
    pixels = page(320, 160)
    found = [encode(Picture(pixels), quality=q, pack=tune, threads=1) for q in (25, 45, 60, 90)]
    likeness = [psnr(pixels, decode(one.data).picture.pixels) for one in found]
    assert all(later > before - 0.1 for before, later in itertools.pairwise(likeness)), likeness
    assert parse(found[2].data).layer
    assert likeness[2] > 38
    assert found[2].note is None


def test_all_squares_bear_a_palette() -> None:
    colours = np.random.default_rng(3).integers(0, 256, (200, 3), np.uint8)
    pixels = np.ascontiguousarray(colours[np.arange(128 * 128).reshape(128, 128) // 64 % 200])
    data = encode_pixels(pixels)[0]
    assert data[0] & 3 == 3, "a palette"
    bits = pixel_bits(data, 128, 128, 3, 16)
    assert bits.max() < 0.1 * bits.sum()
    assert bits.sum() == pytest.approx(8 * len(data), rel=0.02)


@pytest.mark.parametrize(
    "target", [Target("ssimulacra2", 60.0), Target("psnr", 33.0), Target("ms_ssim", 0.95)]
)
def test_targets_are_those_of_the_file_with_its_layer(tiny: Pack, target: Target) -> None:
    """A search ends at a level that it may have looked at before others."""
    pixels = page(300, 150)
    coded = encode(Picture(pixels), target=target, pack=tiny)
    decoded = decode(coded.data, pack=tiny).picture.pixels
    like = {"ssimulacra2": ssimulacra2, "psnr": psnr, "ms_ssim": ms_ssim}[target.kind]
    assert like(pixels, decoded) == pytest.approx(coded.reached, rel=1e-3)


def test_a_likeness_that_a_level_jumps_over_takes_no_exact_file(tiny: Pack) -> None:
    """Where the tile of a page turns to pixels, files jump from 40 dB to no loss: other tiles lie between."""
    pixels = page(300, 150)
    exact = encode(Picture(pixels), lossless=True, pack=tiny)
    coded = encode(Picture(pixels), target=Target("psnr", 45.0), pack=tiny)
    assert coded.reached is not None
    assert coded.reached > 44.5
    assert len(coded.data) <= len(exact.data)
