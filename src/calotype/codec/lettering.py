"""Lettering in photographs, signs, plates, numbers: with packs for eyes an encoder spends more there.

What is looked at first in a street is what is written there. It is busy, and so masking (`masking`) would
save on it, but its ground is calm and hides nothing. So squares of lettering are found in the pixels, and
errors there are worth as much as where they are seen best, as in parts that a user asks for (`focus`); in
those around, half as much more. native/lettering.hpp says how lettering is told from leaves, hair and gravel.

studies/product/README.md says what that gains, what it costs, and what was tried.
"""

from __future__ import annotations

import numpy as np

from calotype.codec.arrays import UInt8Array
from calotype.coder.native import load
from calotype.pack import STRIDE


def find(pixels: UInt8Array) -> UInt8Array:
    """How much more errors count at each latent of pixels [H, W, 3], 0 to 255.

    Returns uint8 [ceil(H / 16), ceil(W / 16)].
    """
    height, width = pixels.shape[:2]
    found = np.empty((-(-height // STRIDE), -(-width // STRIDE)), np.uint8)
    load().lettering_find(np.ascontiguousarray(pixels), found)
    return found


def with_focus(found: UInt8Array, focus: UInt8Array | None) -> UInt8Array | None:
    """What `find` gives and parts that a user asks for, together; None where all counts as usual."""
    if focus is not None:
        return np.maximum(found, focus)
    return found if found.any() else None
