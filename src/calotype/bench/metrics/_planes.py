"""The planes on which the metrics work, and the padding of pictures that are too small for them.

Everything here takes 8-bit RGB ``[H, W, 3]``. The JPEG AI group measures in 10 bits with BT.709 (full
range): RGB is rounded to 10 bits first and Y again after the matrix, as its quality framework does; `rgb10`
and `luma709` repeat that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Plane = NDArray[np.float64]

_TEN_BITS = 1023.0


def luma601(image: Picture) -> Plane:
    """BT.601 luma of 8-bit RGB, not rounded, 0 to 255, ``[H, W]``."""
    return np.asarray(image @ np.array([0.299, 0.587, 0.114]))


def rgb10(image: Picture) -> Plane:
    """RGB on the 10-bit grid, 0 to 1, ``[H, W, 3]``."""
    table = np.round(np.arange(256) / 255.0 * _TEN_BITS) / _TEN_BITS
    return table[image]


def luma709(image: Picture) -> Plane:
    """BT.709 luma on the 10-bit grid, 0 to 1, ``[H, W]``."""
    luma = rgb10(image) @ np.array([0.2126, 0.7152, 0.0722])
    return np.asarray(np.round(luma * _TEN_BITS) / _TEN_BITS)


def at_least(plane: NDArray[Any], side: int) -> NDArray[Any]:
    """`plane` with its last row and column repeated until both sides have `side` samples."""
    grow = [(0, max(0, side - n)) for n in plane.shape[:2]]
    return np.pad(plane, grow + [(0, 0)] * (plane.ndim - 2), mode="edge")


def to_multiple(plane: Plane, step: int) -> Plane:
    """`plane` with its last row and column repeated until both sides are multiples of `step`."""
    return np.pad(plane, [(0, -n % step) for n in plane.shape], mode="edge")
