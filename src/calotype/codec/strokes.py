"""Text over photographs that no layer takes: thin, half-transparent, or damaged by JPEG.

It is told by the strokes of its letters, which end in the same rows (native/strokes.hpp). Of 99 photographs
that were looked at two count as such: lit windows in rows, and shelves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.coder.native import load

Mask = NDArray[np.bool_]

FEWEST = 3
"""Places with text, of 128 x 192 pixels each, that a picture is to have: two may be by chance."""


def find(pixels: NDArray[np.uint8]) -> Mask | None:
    """Which pixels of [H, W, 3] are in strokes of a text, [H, W]; None where there is none."""
    found = np.zeros(pixels.shape[:2], bool)
    places = load().strokes_find(np.ascontiguousarray(pixels), found)
    return found if places >= FEWEST else None
