"""Text over photographs that no layer takes: thin, half-transparent, or damaged by JPEG.

It is told by rows of squares that have strokes, with few above and below (native/strokes.hpp). Of 54 captions
of many kinds, drawn over photographs, 39 are found; of those 18 that had no part in the choice of its
figures, 13. Of 280 photographs of training without text seven count as such: fences and windows in rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.coder.native import load

Mask = NDArray[np.bool_]


def find(pixels: NDArray[np.uint8]) -> Mask | None:
    """Which pixels of [H, W, 3] are in strokes of a text, [H, W]; None where there is none."""
    found = np.zeros(pixels.shape[:2], bool)
    return found if load().strokes_find(np.ascontiguousarray(pixels), found) else None
