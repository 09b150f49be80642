"""PNG files of the native writer, as Pillow reads them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from calotype.cli.options import MAX_PIXELS
from calotype.coder.files import png

SHAPES = [(1, 1, 1), (1, 1, 4), (3, 1, 2), (1, 500, 3), (7, 5, 3), (64, 64, 1), (257, 900, 3), (300, 333, 4)]


def _noise(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(0, 256, shape)


def _flat(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.full(shape, rng.integers(0, 256))


def _smooth(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    return np.cumsum(rng.integers(-2, 3, shape), axis=1)


def _bands(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Runs of all lengths, and rows that are like those above."""
    row = np.repeat(rng.integers(0, 256, shape[1]), rng.integers(1, 300, shape[1]))[: shape[1]]
    return np.broadcast_to(row[None, :, None], shape)


def _rare(shape: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.int64]:
    """Counts like Fibonacci's numbers, with which codes would be longer than they may be."""
    odds = 0.5 ** np.arange(256)
    return rng.choice(256, shape, p=odds / odds.sum()) * (rng.random(shape) < 0.5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [_noise, _flat, _smooth, _bands, _rare])
def test_pixels_come_back(shape: tuple[int, int, int], kind: object) -> None:
    assert callable(kind)
    pixels = np.ascontiguousarray(kind(shape, np.random.default_rng(5)).astype(np.uint8))
    with Image.open(io.BytesIO(png(memoryview(pixels)))) as image:
        assert image.format == "PNG"
        assert image.mode == ("L", "LA", "RGB", "RGBA")[shape[2] - 1]
        assert image.size == (shape[1], shape[0])
        assert image.tobytes() == pixels.tobytes()


@pytest.mark.parametrize("shape", SHAPES)
def test_threads_make_the_same_bytes(shape: tuple[int, int, int]) -> None:
    pixels = memoryview(np.ascontiguousarray(_smooth(shape, np.random.default_rng(7)).astype(np.uint8)))
    alone = png(pixels)
    assert all(png(pixels, threads) == alone for threads in (2, 3, 40))


def test_a_photograph_takes_no_more_than_with_pillow() -> None:
    pixels = np.ascontiguousarray(
        np.clip(np.cumsum(np.random.default_rng(6).normal(0, 4, (256, 256, 3)), axis=1) + 128, 0, 255).astype(
            np.uint8
        )
    )
    other = io.BytesIO()
    Image.fromarray(pixels).save(other, "PNG", compress_level=1)
    assert len(png(memoryview(pixels))) < 1.02 * other.tell()


@pytest.mark.parametrize("shape", [(0, 4, 3), (4, 0, 3), (4, 4, 5)])
def test_what_png_cannot_hold_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="PNG cannot hold"):
        png(memoryview(np.zeros(shape, np.uint8)))


def test_the_limit_is_that_of_pillow() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    assert 2 * Image.MAX_IMAGE_PIXELS in (MAX_PIXELS, MAX_PIXELS + 1)
