"""Pictures with something in them that is no photograph: text, lines, flat areas. Their tiles may be pixels.

A tile becomes what costs least, bits + worth x squared error: latents, its pixels, or its pixels with the
colours between flat areas rounded, which is what the smooth edges of letters bear well. The worth of an error
in bits is that of the picture's own latents at the level.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box, tile_box, tile_count
from calotype.codec import latents, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.choice import Choice
from calotype.codec.effort.worth import worth
from calotype.codec.latents import Networks, Words
from calotype.codec.pixels import FLAT, drawn, flat, keys, tile_pixels
from calotype.codec.synthesis import Development
from calotype.coder import encode_pixels

UInt8Array = NDArray[np.uint8]

SIDE = 256
"""Side of the tiles of a picture that has both kinds."""
STEPS = (6, 7, 8, 9, 10, 12, 16, 24, 32, 0)
"""Numbers of steps from 0 to 255 that colours between flat areas are rounded to, the shortest stream first;
0: not at all.
"""
BLURRED = 255**2 / 10**2.8
"""A mean squared error (28 dB) of a drawing beyond which people are told."""
NOTE = "text or lines in the picture are blurred at this quality; a higher one or lossless keeps them sharp"
JUMP = 32
"""Grey levels between neighbours that make an edge."""
CRISP, SOLID = 0.01, 0.9
"""How much of a tile of a drawing is at crisp edges, or within flat areas."""
AROUND = 32
"""Latents on a side of the part that says what an error is worth."""


def rounded(pixels: UInt8Array, steps: int) -> UInt8Array:
    """Pixels with those that are not flat on a grid of so many steps; all of them as they are for 0."""
    if not steps:
        return pixels
    step = (np.arange(256) * steps + 127) // 255
    table = ((step * 255 + steps // 2) // steps).astype(np.uint8)
    return np.where(flat(pixels)[:, :, None], pixels, table[pixels])


def suited(usual: Mixture, level: int, finer: Callable[[], Mixture]) -> Mixture:
    """The mixture whose tiles suit a picture: the usual ones, or ``finer`` ones, of SIDE, where tiles of both
    kinds are best at the level.
    """
    analysis = usual.analysis
    if analysis.header.tile <= SIDE or not suspicious(analysis.pixels, SIDE).any():
        return usual
    networks = Networks(analysis.pack, analysis.pack.level(level), analysis.threads)
    if len(usual.decide(networks)) == tile_count(analysis.header):
        return usual
    other = finer()
    return other if other.decide(networks) else usual


def suspicious(pixels: UInt8Array, side: int) -> NDArray[np.bool_]:
    """The tiles [rows, columns] that may be better as pixels: much is as in drawings, and there are their
    crisp edges, or nearly nothing but flat areas. Smooth photographs have many equal neighbours, too.
    """
    found = _shares(drawn(pixels), side) >= FLAT
    if found.any():
        found &= (_shares(crisp(pixels), side) >= CRISP) | (_shares(solid(pixels), side) >= SOLID)
    return found


def crisp(pixels: UInt8Array) -> NDArray[np.bool_]:
    """Where a colour ends at once: pixels of [H, W, C] with an equal one on one side and one far off on the
    other; and lines of one pixel.
    """
    found, colours = np.zeros(pixels.shape[:2], bool), keys(pixels)
    for p, c, out in ((pixels, colours, found), (pixels.transpose(1, 0, 2), colours.T, found.T)):
        same, line, jump = c[1:] == c[:-1], c[2:] == c[:-2], np.zeros((len(c) - 1, c.shape[1]), bool)
        for k in range(p.shape[2]):
            jump |= np.abs(p[1:, :, k].astype(np.int16) - p[:-1, :, k]) >= JUMP
        out[1:-1] |= (same[:-1] & jump[1:]) | (jump[:-1] & (same[1:] | line))
    return found


def solid(pixels: UInt8Array) -> NDArray[np.bool_]:
    """Where a pixel is the same as that on the left, that above and that between."""
    found, c = np.zeros(pixels.shape[:2], bool), keys(pixels)
    here = c[1:, 1:]
    found[1:, 1:] = (here == c[:-1, 1:]) & (here == c[1:, :-1]) & (here == c[:-1, :-1])
    return found


def _shares(marks: NDArray[np.bool_], side: int) -> NDArray[np.float64]:
    """How much of each tile is marked, [rows, columns]."""
    rows, columns = np.arange(0, marks.shape[0], side), np.arange(0, marks.shape[1], side)
    sums = np.add.reduceat(np.add.reduceat(marks, rows, axis=0, dtype=np.int64), columns, axis=1)
    counts = np.diff(rows, append=marks.shape[0])[:, None] * np.diff(columns, append=marks.shape[1])
    return np.asarray(sums / counts)


@dataclass(frozen=True)
class Stored:
    """A way to store a tile as pixels: its stream, and the squared error of what it decodes to."""

    data: bytes
    error: int


class Mixture:
    """Which tiles of a picture are stored as pixels, at any level."""

    def __init__(self, analysis: Analysis, choice: Choice) -> None:
        self.analysis, self.choice = analysis, choice
        header = analysis.header
        shares = _shares(drawn(analysis.pixels), header.tile)
        self.suspects = [int(k) for k in np.flatnonzero(suspicious(analysis.pixels, header.tile))]
        self._ways: dict[int, list[Stored]] = {}
        self._worths: dict[int, float] = {}
        self._decided: dict[int, dict[int, Stored]] = {}
        self._blurred: dict[int, bool] = {}
        self._lock = threading.Lock()
        self._middle = self._least_flat(shares)
        if self.suspects:
            analysis.keep()

    def decide(self, networks: Networks) -> dict[int, Stored]:
        """The tiles that are better as pixels at the level of ``networks``."""
        level = networks.level.number
        if level not in self._decided:  # a search and the file ask for the same one
            self._decided[level] = self._decide(networks) if self.suspects else {}
        return self._decided[level]

    def _decide(self, networks: Networks) -> dict[int, Stored]:
        worth_of_error = self._worth(networks.level.number)
        learned = self._learned(networks)

        def best(tile: int) -> Stored | None:
            bits, error = learned[tile]
            cost = bits + worth_of_error * error
            ways = self._ways_below(tile, cost)
            found = min(ways, key=lambda way: 8 * len(way.data) + worth_of_error * way.error, default=None)
            if found and 8 * len(found.data) + worth_of_error * found.error < cost:
                return found
            box = tile_box(self.analysis.header, tile)
            if error > BLURRED * 3 * box.width * box.height:
                self._blurred[networks.level.number] = True
            return None

        ways = zip(self.suspects, self.analysis.pool.map(best, self.suspects))
        return {tile: way for tile, way in ways if way is not None}

    def note(self, level: int) -> str | None:
        """A sentence when drawings in the picture, text perhaps, are far from what they were at a level."""
        return NOTE if self._blurred.get(level) else None

    def _ways_below(self, tile: int, cost: float) -> list[Stored]:
        """All ways to store a tile as pixels, made once; none while the shortest alone costs as much."""
        ways = self._ways.setdefault(tile, [])
        original = tile_pixels(self.analysis.pixels, self.analysis.header, tile)
        for steps in STEPS[len(ways) :]:
            if ways and 8 * len(ways[0].data) >= cost:
                return []
            wanted = rounded(original, steps)
            data, coded = encode_pixels(wanted, like=ways[0].data if ways and steps else None)
            difference = coded.astype(np.int32) - original
            error = int(np.square(difference).sum(dtype=np.int64)) * (3 // difference.shape[2])
            ways.append(Stored(data, error))
        return ways

    def _learned(self, networks: Networks) -> dict[int, tuple[int, int]]:
        """Bits and squared error of the suspects as latents."""
        analysis = self.analysis
        errors = dict.fromkeys(self.suspects, 0)
        coded = dict[int, latents.Latents]()
        for tile, integers in zip(
            range(tile_count(analysis.header)),
            analysis.each(lambda tile, y: self.choice.integers(networks, tile, y)),
        ):
            coded[tile] = integers

        def y_hat(tile: int) -> Words:
            return latents.restored(networks, coded[tile])

        def compare(box: Box, pixels: UInt8Array) -> None:
            for tile in self.suspects:
                both = tiles.common(tile_box(analysis.header, tile), box)
                if both.width > 0 and both.height > 0:
                    original = analysis.pixels[both.top : both.bottom, both.left : both.right]
                    difference = original.astype(np.int32) - pixels[tiles.inside(both, box)[1:]]
                    squares = int(np.square(difference).sum(dtype=np.int64))
                    with self._lock:
                        errors[tile] += squares

        picture = Box(0, 0, analysis.header.width, analysis.header.height)
        Development(analysis.header, networks, y_hat, picture, analysis.workers).each(analysis.pool, compare)
        return {k: (8 * len(latents.write(networks, coded[k])), errors[k]) for k in self.suspects}

    def _least_flat(self, shares: NDArray[np.float64]) -> Box:
        """The part of the picture, in latents, that is most like a photograph."""
        bounds, side = self.analysis.bounds, self.analysis.header.tile // tiles.STRIDE
        row, column = np.unravel_index(int(shares.argmin()), shares.shape)
        height, width = min(AROUND, bounds.bottom), min(AROUND, bounds.right)
        left = min(max(int(column) * side + (side - width) // 2, 0), bounds.right - width)
        top = min(max(int(row) * side + (side - height) // 2, 0), bounds.bottom - height)
        return Box(left, top, left + width, top + height)

    def _worth(self, level: int) -> float:
        if level not in self._worths:
            pixels = tiles.cut(self.analysis.pixels, self._middle)
            self._worths[level] = worth(self.analysis.pack, level, pixels, self.analysis.threads)
        return self._worths[level]
