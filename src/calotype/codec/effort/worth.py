"""What a squared error is worth in bits, at a level, for the picture at hand."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import latents, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack

APART = 64
"""The slope is taken between so many levels below and above."""
AROUND = 32
"""Latents on a side of the part of a picture that speaks for it."""


class Worths:
    """What a squared error is worth to a picture at any level, found out once for each.

    frame: in latents, may reach beyond the picture; the part around its middle speaks for the picture
    """

    def __init__(self, analysis: Analysis, frame: Box) -> None:
        bounds = analysis.bounds
        height, width = min(AROUND, bounds.bottom), min(AROUND, bounds.right)
        left = min(max(frame.left + (frame.width - width) // 2, 0), bounds.right - width)
        top = min(max(frame.top + (frame.height - height) // 2, 0), bounds.bottom - height)
        self.analysis, self.part = analysis, Box(left, top, left + width, top + height)
        self._found: dict[int, float] = {}
        self._lock = threading.Lock()

    def at(self, level: int) -> float:
        """Bits for a unit of squared error at a level, see `worth`."""
        with self._lock:
            if level not in self._found:
                pixels = tiles.cut(self.analysis.pixels, self.part)
                self._found[level] = worth(self.analysis.pack, level, pixels, self.analysis.threads)
            return self._found[level]


def worth(pack: Pack, level: int, pixels: NDArray[np.uint8], threads: int = 1) -> float:
    """Bits that a unit of squared error (of one colour of one pixel) is worth: the slope of the picture's own
    curve of rate over distortion. 0 where it has none (a flat picture).

    pixels: a part of the picture, uint8 [1, H, W, 3], sides multiples of 16
    """
    bits, errors = [], []
    y = pack.encoder.analysis(pixels[0])[None]
    for near in (max(0, level - APART), min(pack.manifest.max_level, level + APART)):
        networks = Networks(pack, pack.level(near), threads)
        coded = latents.quantise(networks, y)
        decoded = pack.decoder.synthesis(networks.level.vector, latents.restored(networks, coded))
        bits.append(8 * len(latents.write(networks, coded)))
        errors.append(int(np.square(decoded.astype(np.int32) - pixels[0]).sum(dtype=np.int64)))
    if errors[1] >= errors[0]:
        return 0.0
    return max(0.0, (bits[1] - bits[0]) / (errors[0] - errors[1]))
