"""What errors are worth in bits, at a level, for the picture at hand."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box
from calotype.codec import latents, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.codec.ssimulacra2 import ssimulacra2

APART = 64
"""The slope is taken between so many levels below and above."""
AROUND = 32
"""Latents on a side of the part of a picture that speaks for it."""
SHARE = 0.2
"""Of squared error beside SSIMULACRA2, as packs for eyes are trained (docs/training.md)."""


class Worth(NamedTuple):
    """Bits that errors are worth together.

    error: a unit of squared error (of one colour of one pixel)
    look:  a point of SSIMULACRA2 of one pixel, so many times of a tile of so many pixels
    """

    error: float
    look: float = 0.0


class Worths:
    """What errors are worth to a picture at any level, found out once for each.

    frame: in latents, may reach beyond the picture; the part around its middle speaks for the picture
    """

    def __init__(self, analysis: Analysis, frame: Box) -> None:
        bounds = analysis.bounds
        height, width = min(AROUND, bounds.bottom), min(AROUND, bounds.right)
        left = min(max(frame.left + (frame.width - width) // 2, 0), bounds.right - width)
        top = min(max(frame.top + (frame.height - height) // 2, 0), bounds.bottom - height)
        self.analysis, self.part = analysis, Box(left, top, left + width, top + height)
        self._found: dict[tuple[int, bool], Worth] = {}
        self._lock = threading.Lock()

    def at(self, level: int) -> float:
        """Bits for a unit of squared error at a level, where nothing else counts."""
        return self._at(level, looks=False).error

    def as_trained(self, level: int) -> Worth:
        """Bits for errors at a level, of the kinds that the pack was trained to avoid."""
        return self._at(level, looks=self.analysis.pack.manifest.distortion == "ssimulacra2")

    def _at(self, level: int, looks: bool) -> Worth:
        with self._lock:
            if (level, looks) not in self._found:
                pixels = tiles.cut(self.analysis.pixels, self.part)
                found = worth(self.analysis.pack, level, pixels, looks, self.analysis.threads)
                self._found[level, looks] = found
            return self._found[level, looks]


def worth(pack: Pack, level: int, pixels: NDArray[np.uint8], looks: bool = False, threads: int = 1) -> Worth:
    """Bits that errors are worth: the slope of the picture's own curve of rate over distortion. 0 where it
    has none (a flat picture).

    pixels: a part of the picture, uint8 [1, H, W, 3], sides multiples of 16
    looks:  whether SSIMULACRA2 counts, too; then squared error has its SHARE
    """
    bits, errors, lost = [], [], []
    y = pack.encoder.analysis(pixels[0])[None]
    for near in (max(0, level - APART), min(pack.manifest.max_level, level + APART)):
        networks = Networks(pack, pack.level(near), threads)
        coded = latents.quantise(networks, y)
        decoded = pack.decoder.synthesis(networks.level.pixels, latents.restored(networks, coded))
        bits.append(8 * len(latents.write(networks, coded)))
        errors.append(int(np.square(decoded.astype(np.int32) - pixels[0]).sum(dtype=np.int64)))
        if looks:
            lost.append(-ssimulacra2(pixels[0], decoded) * pixels[0, ..., 0].size)
    error = _slope(bits, errors)
    return Worth(SHARE * error, (1 - SHARE) * _slope(bits, lost)) if looks else Worth(error)


def _slope(bits: list[int], lost: list[int] | list[float]) -> float:
    """Bits for what is lost less between two points, not below 0."""
    return max(0.0, (bits[1] - bits[0]) / (lost[0] - lost[1])) if lost[1] < lost[0] else 0.0
