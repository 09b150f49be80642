"""What lies over the latents of a tile: letters, lines and symbols in a few colours, without loss.

Latents are bad at text, and pixels at photographs; a text over a photograph is both. So what is drawn is
taken off, the latents show what is beneath, and the file has the drawing beside them (docs/FORMAT.md,
"Layer"). Finding it is native (native/inks.hpp).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.codec.arrays import UInt8Array
from calotype.coder import pixel_bits
from calotype.coder.native import load
from calotype.errors import FormatError


def find(pixels: UInt8Array, grey: bool, worth: float) -> tuple[bytes, UInt8Array] | None:
    """The layer of a tile as a file has it, and the tile without it, [h, w, 3]; None if it promises nothing.

    pixels: uint8 [h, w, 3], h w up to 2**24
    grey:   whether the picture is
    worth:  of a squared error of 1 in one colour of a pixel, in bits
    """
    below = np.empty_like(pixels)
    part = load().layer_find(np.ascontiguousarray(pixels), grey, worth, below)
    return (part, below) if part else None


def over(part: bytes | memoryview, below: UInt8Array, grey: bool) -> UInt8Array:
    """What is shown of a tile, [h, w, 3], or [h, w, 1] of a grey picture.

    below: what its latents give, [h, w, 3]

    Raises FormatError when the layer is damaged.
    """
    out = np.empty((*below.shape[:2], 1 if grey else 3), np.uint8)
    try:
        load().layer_over(np.frombuffer(part, np.uint8), np.ascontiguousarray(below), out)
    except load().StreamError as error:
        raise FormatError(str(error), field="layer") from None
    return out


def bits(part: bytes | memoryview, height: int, width: int, grey: bool, cell: int) -> NDArray[np.float64]:
    """Bits that each square of ``cell`` pixels takes, as `calotype.coder.pixel_bits` tells them."""
    found = np.zeros((-(-height // cell), -(-width // cell)))
    for stream, channels in streams(part, grey):
        found += pixel_bits(stream, height, width, channels, cell)
    return found


def streams(part: bytes | memoryview, grey: bool) -> list[tuple[bytes | memoryview, int]]:
    """The pixel streams of a layer and how many channels each has: the covers, and of several colours their
    numbers.
    """
    count = 1 + int.from_bytes(part[1:3], "little")
    end = 3 + count * (1 if grey else 3)
    if count == 1:
        return [(part[end:], 1)]
    first = end + 4 + int.from_bytes(part[end : end + 4], "little")
    return [(part[end + 4 : first], 1), (part[first:], 1 if count <= 256 else 2)]
