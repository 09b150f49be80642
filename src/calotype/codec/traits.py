"""What tells drawings from photographs: equal neighbours, crisp edges, flat areas; counted tile by tile.

The arithmetic, and what is crisp or flat, is native (native/traits.hpp).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.coder.native import load

UInt8Array = NDArray[np.uint8]
Counts = NDArray[np.int64]

SMALL = 64 * 64
"""Pixels of a picture that is tried both ways whatever it looks like."""
ALIKE = 0.9
"""How much of a tile is as in drawings where it is a gradient, say, without crisp edges. No photograph that
was looked at is so throughout.
"""


@dataclass(frozen=True)
class Traits:
    """Pixels of each tile of a side, [rows, columns]: all, as in drawings, at crisp edges, in flat areas."""

    side: int
    area: Counts
    drawn: Counts
    crisp: Counts
    solid: Counts

    @classmethod
    def of(cls, pixels: UInt8Array, side: int) -> Traits:
        """Those of pixels [H, W, 3]."""
        rows, columns = -(-pixels.shape[0] // side), -(-pixels.shape[1] // side)
        found = np.empty((rows * columns, 4), np.int64)
        load().traits_counts(np.ascontiguousarray(pixels), side, found)
        return cls(side, *found.T.reshape(4, rows, columns))

    def tiles(self, side: int) -> Traits:
        """The same by larger tiles."""
        if side <= self.side:
            return self
        step = side // self.side

        def sums(counts: Counts) -> Counts:
            over_rows = np.add.reduceat(counts, np.arange(0, counts.shape[0], step), axis=0)
            return np.asarray(np.add.reduceat(over_rows, np.arange(0, counts.shape[1], step), axis=1))

        return Traits(side, *(sums(counts) for counts in (self.area, self.drawn, self.crisp, self.solid)))

    def suspicious(self) -> NDArray[np.bool_]:
        """The tiles that may be better as pixels: those of drawings, and all of a small picture, for which
        trying costs little.
        """
        return np.asarray(self.drawings() | (self.area.sum() <= SMALL))

    def drawings(self) -> NDArray[np.bool_]:
        """The tiles of drawings: much is as in them, and there are their crisp edges, or little but flat
        areas. Smooth photographs have many equal neighbours, too.
        """
        found = np.empty(self.area.shape, bool)
        load().traits_suspicious(self._counts(), found.reshape(-1))
        return found

    def graphic(self) -> bool:
        """Whether all tiles are suspicious, or of equal neighbours: pixels may take least."""
        return bool((self.suspicious() | (self.drawn >= ALIKE * self.area)).all())

    def is_page(self) -> bool:
        """Whether most of the picture is flat, as pages and windows of programs are."""
        return bool(load().traits_is_page(self._counts()))

    def _counts(self) -> Counts:
        """Of each tile in turn, [tiles, 4]."""
        return np.stack([self.area, self.drawn, self.crisp, self.solid], -1).reshape(-1, 4)

    def least_drawn(self) -> tuple[int, int]:
        """Row and column of the tile that is most like a photograph."""
        row, column = np.unravel_index(int((self.drawn / self.area).argmin()), self.area.shape)
        return int(row), int(column)
