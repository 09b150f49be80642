"""Text over photographs that no layer takes: the strokes of its letters, and the note on their blur."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from tests.golden import scene

from calotype import ConversionWarning, encode
from calotype.codec import strokes

Pixels = NDArray[np.uint8]
SIDES = 400, 420
WORDS = "The quick brown fox jumps over the lazy dog, meeting at half past nine"


def place() -> Pixels:
    return np.ascontiguousarray(scene(*SIDES, 3) // 2 + 40)


def written(fill: tuple[int, ...], size: int = 18) -> Pixels:
    """A place full of lines of a colour, the fourth number of which is how opaque it is."""
    below = Image.fromarray(place()).convert("RGBA")
    over = Image.new("RGBA", below.size)
    for top in range(8, SIDES[0] - size, size * 3 // 2):
        ImageDraw.Draw(over).text((8, top), WORDS, fill, ImageFont.load_default(size))
    return np.asarray(Image.alpha_composite(below, over).convert("RGB"))


def damaged(pixels: Pixels) -> Pixels:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=70)
    return np.asarray(Image.open(out))


def grey(pixels: Pixels) -> Pixels:
    return pixels.mean(2, keepdims=True).astype(np.uint8).repeat(3, 2)


HARD = {
    "half transparent": lambda: written((255, 255, 255, 130)),
    "dark": lambda: written((0, 0, 0, 150)),
    "JPEG": lambda: damaged(written((255, 255, 255, 255))),
    "grey": lambda: grey(written((255, 255, 255, 130))),
}


@pytest.mark.parametrize("kind", HARD)
def test_strokes_of_text_are_found(kind: str) -> None:
    """Most lie where something was written, the others between."""
    pixels = HARD[kind]()
    found = strokes.find(pixels)
    assert found is not None
    assert found.shape == SIDES
    before = grey(place()) if kind == "grey" else place()
    changed = np.abs(pixels.astype(int) - before).max(2) > 12
    assert changed[found].mean() > 0.6 > 2 * changed[~found].mean()
    assert found.mean() > 0.01


@pytest.mark.parametrize("size", [13, 20, 32])
@pytest.mark.parametrize("top", [30, 210, 340])
def test_one_line_is_enough(size: int, top: int) -> None:
    """A caption, wherever it lies, and nothing far from it."""
    below = Image.fromarray(place()).convert("RGBA")
    over = Image.new("RGBA", below.size)
    ImageDraw.Draw(over).text((8, top), WORDS, (255, 255, 255, 150), ImageFont.load_default(size))
    found = strokes.find(np.asarray(Image.alpha_composite(below, over).convert("RGB")))
    assert found is not None
    rows = np.flatnonzero(found.any(1))
    assert top - size / 2 < rows[0]
    assert rows[-1] < top + 2 * size


@pytest.mark.parametrize("seed", range(4))
def test_without_text_there_are_none(seed: int) -> None:
    assert strokes.find(scene(*SIDES, seed)) is None
    noise = np.random.default_rng(seed).integers(0, 256, (*SIDES, 3), np.uint8)
    assert strokes.find(noise) is None
    assert strokes.find(noise[:40, :7]) is None


def test_a_note_says_that_text_is_blurred() -> None:
    """At low qualities; at high ones it is not, and without text there is no note."""
    pixels = HARD["half transparent"]()
    with pytest.warns(ConversionWarning, match="text or lines in the picture are blurred"):
        encode(pixels, 20)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encode(pixels, 95)
        encode(place(), 20)
