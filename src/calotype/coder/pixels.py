"""Pixels to bytes and back, without loss or with a bounded error; docs/FORMAT.md, "Pixel stream"."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from calotype.coder.native import load
from calotype.errors import FormatError


def encode_pixels(
    pixels: NDArray[np.uint8],
    step: int = 1,
    like: bytes | None = None,
    worth: float = 0.0,
    most: float = math.inf,
) -> tuple[bytes, NDArray[np.uint8]]:
    """Code ``pixels``, uint8 [h, w, c], h w from 1 to 2**24, c from 1 to 4.

    step: between the values that can be coded, 1 to 32: errors are at most half of it; 1 is without loss
    like: the stream of nearly the same pixels, so that nothing has to be tried: many times faster
    worth: bits that a squared error of 1 is worth, 1000 at most: what is near a pixel is coded in its place
          when that costs less; 0 trades nothing
    most: what the stream may cost, in bits with the worth of its errors; one that costs more is given up:
          empty; what is limited is a trial, and fewer ways are tried

    Returns the stream and the pixels that it decodes to. Raises ValueError for other shapes.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3:
        raise ValueError(f"pixels must be uint8 [h, w, c], not {pixels.dtype} {list(pixels.shape)}")
    coded = np.array(pixels, order="C")
    return load().pixels_encode(coded, step, like[0] if like else -1, worth, most), coded


def decode_pixels(
    data: bytes | bytearray | memoryview, height: int, width: int, channels: int
) -> NDArray[np.uint8]:
    """The pixels [height, width, channels] of a stream. Raises FormatError when it is damaged."""
    out = np.empty((height, width, channels), np.uint8)
    with _format_errors():
        load().pixels_decode(_array(data), out)
    return out


def pixel_bits(
    data: bytes | bytearray | memoryview, height: int, width: int, channels: int, cell: int
) -> NDArray[np.float64]:
    """Bits that each square of ``cell`` pixels takes, [ceil(height / cell), ceil(width / cell)]; their sum is
    the stream's but for some bytes. Raises FormatError when it is damaged.
    """
    with _format_errors():
        found = load().pixels_places(_array(data), height, width, channels, cell)
    return np.frombuffer(found, np.float64).reshape(-(-height // cell), -(-width // cell))


def _array(data: bytes | bytearray | memoryview) -> NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)


@contextmanager
def _format_errors() -> Iterator[None]:
    try:
        yield
    except load().StreamError as error:
        raise FormatError(str(error)) from None
