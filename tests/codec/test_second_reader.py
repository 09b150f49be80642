"""The second reader, written from docs/FORMAT.md alone, where stored files do not lead it.

Every mode of the pixel stream, and files that a reader must refuse.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests import reader_file, reader_pixels
from tests.golden import DATA

from calotype.coder import Encoder, TableSet, decode_pixels, encode_pixels

HOSTILE = json.loads((DATA / "hostile" / "index.json").read_text(encoding="utf-8"))


def shading(height: int, width: int, channels: int) -> np.ndarray:
    rng = np.random.default_rng(height)
    y, x = np.mgrid[0:height, 0:width]
    planes = 120 + 60 * np.sin(x / 9 + y / 7)[..., None] + 9 * np.arange(channels)
    return np.clip(planes + rng.normal(0, 4, (height, width, channels)), 0, 255).astype(np.uint8)


def screen(height: int, width: int, channels: int) -> np.ndarray:
    """Letters that repeat, and boxes."""
    rng = np.random.default_rng(width)
    out = np.full((height, width, channels), 250, np.uint8)
    letter = rng.integers(0, 2, (5, 7, 1), np.uint8) * 200
    for top in range(0, height - 5, 7):
        for left in range(0, width - 7, 8):
            out[top : top + 5, left : left + 7] = letter
    for _ in range(6):
        top, left = rng.integers(height), rng.integers(width)
        out[top : top + 4, left : left + 9] = rng.integers(0, 256, channels)
    return out


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("step", [1, 7])
def test_every_mode_of_the_pixel_stream(channels: int, step: int) -> None:
    for size in ((1, 1), (1, 9), (9, 1), (17, 23)):
        for scene in (shading, screen):
            data, coded = encode_pixels(scene(*size, channels), step)
            assert np.array_equal(reader_pixels.read(data, size[1], size[0], channels), coded)
            if scene is screen and size == (17, 23) and step == 1:
                assert data[0] & 4, "whole pixels should have been guessed"


@pytest.mark.parametrize("colour", [0, 1, 2, 3])
@pytest.mark.parametrize("whole", [0, 1])
def test_every_colour(colour: int, whole: int) -> None:
    pixels = screen(14, 19, 3)
    data, coded = encode_pixels(pixels, like=bytes([colour | whole << 2]))
    assert data[0] == colour | whole << 2
    assert np.array_equal(reader_pixels.read(data, 19, 14, 3), coded)


@pytest.mark.parametrize("step", [1, 7])
def test_a_flat_area_that_ends(step: int) -> None:
    """Ours passes over the pixels from which nothing more is learnt: it has to wake up where they end."""
    pixels = np.full((36, 300, 1), 90, np.uint8)
    pixels[30, 150:153], pixels[33, 200], pixels[35, 120:] = 200, 0, 91
    data, coded = encode_pixels(pixels, step, like=b"\x04")
    assert len(data) < 100
    assert np.array_equal(decode_pixels(data, *pixels.shape), coded)
    assert np.array_equal(reader_pixels.read(data, 300, 36, 1), coded)


def test_a_damaged_pixel_stream_is_refused() -> None:
    data, _ = encode_pixels(shading(9, 9, 3))
    for spoilt in (data[:-1], data + b"\0", b"", b"\x0b" + data[1:]):
        with pytest.raises(ValueError, match="pixel stream"):
            reader_pixels.read(spoilt, 9, 9, 3)


@pytest.mark.parametrize("far", [0, 5, -200, 2**31 - 1, -(2**31)])
def test_escapes(far: int) -> None:
    laws = TableSet([np.full(4, 0.25), np.array([0.5, 0.25, 0.125, 0.125])], [-1, 3])
    values, index = np.array([0, far, 4, -1, far, 3]), np.array([0, 1, 1, 0, 0, 1])
    coder = Encoder()
    coder.put(values, index, laws)
    stream = reader_file.Symbols(coder.finish())
    found = stream.get(index, reader_file.Laws(laws.frequencies, laws.lengths, laws.offsets))
    stream.finish()
    assert found.tolist() == values.tolist()


@pytest.mark.parametrize("name", HOSTILE)
def test_what_must_be_refused_is(name: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        reader_file.parse((DATA / "hostile" / name).read_bytes())
