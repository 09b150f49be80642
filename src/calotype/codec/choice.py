"""Which integers a tile is coded as: those of one pass, or with effort better ones for this picture."""

from __future__ import annotations

import threading

from calotype.bitstream import Box
from calotype.codec import latents, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.latents import Floats, Latents, Networks

AROUND = 32
"""Latents on a side of the part of the picture that says what bits are worth to it."""


class Choice:
    """The integers of a picture's tiles.

    analysis: where y comes from; with effort its margin is what a tile's pixels depend on
    effort:   0 to 9, calotype.codec.effort
    """

    def __init__(self, analysis: Analysis, effort: int = 0) -> None:
        self.analysis, self.effort = analysis, effort
        self._refined: dict[tuple[int, int], Latents] = {}  # by level and tile, during a search
        self._worths: dict[int, float] = {}
        self._lock = threading.Lock()

    def integers(self, networks: Networks, tile: int, y: Floats) -> Latents:
        """Those of tile k, from what ``Analysis.each`` gives for it."""
        if not self.effort:
            return latents.quantise(networks, y)
        key = (networks.level.number, tile)
        if key in self._refined:
            return self._refined[key]
        found = self._refine(networks, tile, y)
        if self.analysis.kept:  # a search asks twice: for the likeness, and for the file
            self._refined[key] = found
        return found

    def _refine(self, networks: Networks, tile: int, y: Floats) -> Latents:
        from calotype.codec.effort import refine  # late: most files are coded without

        box, seen = self.analysis.tile(tile), self.analysis.seen(tile)
        inside = Box(box.left - seen.left, box.top - seen.top, box.right - seen.left, box.bottom - seen.top)
        part = refine.Tile(y, tiles.cut(self.analysis.pixels, seen), inside)
        slope = self._worth(networks.level.number)
        return refine.refine(networks, part, slope, refine.STEPS[self.effort])

    def _worth(self, level: int) -> float:
        """Bits that a unit of squared error is worth to this picture, from its middle."""
        from calotype.codec.effort.worth import worth

        bounds = self.analysis.bounds
        with self._lock:
            if level not in self._worths:
                left, top = ((size - min(size, AROUND)) // 2 for size in (bounds.right, bounds.bottom))
                middle = Box(left, top, min(left + AROUND, bounds.right), min(top + AROUND, bounds.bottom))
                pixels = tiles.cut(self.analysis.pixels, middle)
                self._worths[level] = worth(self.analysis.pack, level, pixels, self.analysis.threads)
            return self._worths[level]
