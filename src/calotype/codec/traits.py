"""What tells drawings from photographs: equal neighbours, crisp edges, flat areas; counted tile by tile."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.codec.pixels import FLAT, drawn, keys

UInt8Array = NDArray[np.uint8]
Counts = NDArray[np.int64]

JUMP = 32
"""Grey levels between neighbours that make an edge."""
CRISP, SOLID = 0.01, 0.7
"""How much of a tile of a drawing is at crisp edges, or within flat areas."""
SMALL = 64 * 64
"""Pixels of a picture that is tried both ways whatever it looks like."""
AROUND = 2
"""Rows around a pixel that say what it is."""


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
        """Those of pixels [H, W, C], looked at a row of tiles at a time."""
        rows = []
        for top in range(0, len(pixels), side):
            first, past = max(top - AROUND, 0), min(top + side + AROUND, len(pixels))
            band = pixels[first:past]
            here = slice(top - first, min(top + side, len(pixels)) - first)
            marks = [np.ones(band.shape[:2], bool), drawn(band)]
            found = [_counts(mark[here], side) for mark in marks]
            if (found[1] >= FLAT * found[0]).any():
                found += [_counts(mark(band)[here], side) for mark in (crisp, solid)]
            else:  # photographs: nothing more is asked of them
                found += [np.zeros_like(found[0])] * 2
            rows.append(found)
        return cls(side, *(np.stack(column) for column in zip(*rows)))

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
        edges = (self.crisp >= CRISP * self.area) | (self.solid >= SOLID * self.area)
        return np.asarray((self.drawn >= FLAT * self.area) & edges)

    def is_page(self) -> bool:
        """Whether most of the picture is flat, as pages and windows of programs are."""
        return bool(self.solid.sum() >= SOLID * self.area.sum())

    def least_drawn(self) -> tuple[int, int]:
        """Row and column of the tile that is most like a photograph."""
        row, column = np.unravel_index(int((self.drawn / self.area).argmin()), self.area.shape)
        return int(row), int(column)


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


def _counts(marks: NDArray[np.bool_], side: int) -> Counts:
    """How many are marked in each tile of a row of them, [columns]."""
    columns = np.arange(0, marks.shape[1], side)
    return np.asarray(np.add.reduceat(marks.sum(axis=0, dtype=np.int64), columns))
