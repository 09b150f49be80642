"""What tells drawings and text from photographs: equal neighbours, crisp edges, flat areas; counted by tiles.

The arithmetic, and what is crisp or flat, is native (native/traits.hpp).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.codec.arrays import UInt8Array
from calotype.coder.native import load

Counts = NDArray[np.int64]

SMALL = 64 * 64
"""Pixels of a picture that is tried both ways whatever it looks like."""
INKED = 0.0015
"""The share of a tile in pixels of inks from which it is looked at more closely: a line in a small type has
as many in 256 x 256 pixels, and photographs as cameras give them have none.
"""
ALIKE = 0.9
"""How much of a tile is as in drawings where it is a gradient, say, without crisp edges. No photograph that
was looked at is so throughout.
"""


@dataclass(frozen=True)
class Traits:
    """Pixels of each tile of a side, [rows, columns]: all, as in drawings, at crisp edges, in flat areas, of
    inks, which are runs of a colour that end at once.
    """

    side: int
    area: Counts
    drawn: Counts
    crisp: Counts
    solid: Counts
    ink: Counts

    @classmethod
    def of(cls, pixels: UInt8Array, side: int) -> Traits:
        """Those of pixels [H, W, 3]."""
        rows, columns = -(-pixels.shape[0] // side), -(-pixels.shape[1] // side)
        found = np.empty((rows * columns, 5), np.int64)
        load().traits_counts(np.ascontiguousarray(pixels), side, found)
        return cls(side, *found.T.reshape(5, rows, columns))

    def tiles(self, side: int) -> Traits:
        """The same by larger tiles."""
        if side <= self.side:
            return self
        return Traits(side, *(self._sums(counts, side) for counts in self._all()))

    def _sums(self, counts: Counts, side: int) -> Counts:
        step = max(1, side // self.side)
        over_rows = np.add.reduceat(counts, np.arange(0, counts.shape[0], step), axis=0)
        return np.asarray(np.add.reduceat(over_rows, np.arange(0, counts.shape[1], step), axis=1))

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

    def inked(self, side: int) -> NDArray[np.bool_]:
        """The tiles of a larger side, or of this one, over whose latents something may lie, text perhaps."""
        return np.asarray(self._sums((self.ink >= INKED * self.area).astype(np.int64), side) > 0)

    def graphic(self) -> bool:
        """Whether all tiles are suspicious, or of equal neighbours: pixels may take least."""
        return bool((self.suspicious() | (self.drawn >= ALIKE * self.area)).all())

    def is_page(self) -> bool:
        """Whether most of the picture is flat, as pages and windows of programs are."""
        return bool(load().traits_is_page(self._counts()))

    def _counts(self) -> Counts:
        """Of each tile in turn, [tiles, 5]."""
        return np.stack(self._all(), -1).reshape(-1, 5)

    def _all(self) -> tuple[Counts, ...]:
        return self.area, self.drawn, self.crisp, self.solid, self.ink

    def least_drawn(self) -> tuple[int, int]:
        """Row and column of the tile that is most like a photograph."""
        row, column = np.unravel_index(int((self.drawn / self.area).argmin()), self.area.shape)
        return int(row), int(column)
