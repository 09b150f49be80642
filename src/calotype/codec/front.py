"""Small pictures between quality 95 and no loss: every tile has many forms, and all good choices are known.

A picture of one tile has no steps in which tile after tile becomes better, so its pixels come nearer to their
own: in wide steps first, with whatever is cheap near them (native/economy.hpp), then in narrow ones. What the
choices of all tiles make is a front: files such that none of the same size has a smaller error. It does not
depend on what is asked for, so a larger size never has a larger error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMALL = 4 * 256 * 256
"""Pixels of a picture up to which all forms of all its tiles are made."""
TINY = 256 * 256
"""The same with all rungs: of two tiles and more the choices between them make steps, too."""
RUNGS = ((7, 0.6), (7, 2.0), (5, 0.6), (5, 2.0), (3, 0.6), (3, 1.0), (3, 2.0), (3, 0.0), (1, 1.0), (1, 2.0))
"""Forms of photographs but the exact one: between values, and bits that a squared error of 1 is worth."""
FEWER = ((7, 2.0), (5, 2.0), (3, 1.0), (3, 0.0), (1, 1.0))
DRAWN = ((1, 0.03), (1, 0.1), (1, 0.3), (1, 1.0), (3, 0.0))
"""The same of drawings, whose flat places are exact."""
POINTS = 2048
"""Choices that are kept of a front."""

Figures = NDArray[np.float64]


class Front:
    """The good choices, from the smallest file to the exact one.

    bits, errors: [n] of all tiles together; bits rise, errors fall
    forms:        [n, tiles], the form of each tile
    """

    def __init__(self, bits: Figures, errors: Figures) -> None:
        """bits, errors: [tiles, forms], of each tile; infinite bits for a form that it lacks"""
        self.bits, self.errors = np.zeros(1), np.zeros(1)
        self.forms = np.zeros((1, 0), np.int64)
        for more, missed in zip(bits, errors):
            there = np.flatnonzero(np.isfinite(more))
            taken = np.add.outer(self.bits, more[there]).ravel()
            wrong = np.add.outer(self.errors, missed[there]).ravel()
            order = np.lexsort((wrong, taken))
            least = np.minimum.accumulate(wrong[order])
            order = order[np.r_[True, least[1:] < least[:-1]]]
            if len(order) > POINTS:
                order = order[np.linspace(0, len(order) - 1, POINTS).round().astype(int)]
            before, form = np.divmod(order, len(there))
            self.forms = np.column_stack([self.forms[before], there[form]])
            self.bits, self.errors = taken[order], wrong[order]

    def within(self, most: float) -> NDArray[np.int64] | None:
        """The forms of the tiles that have the smallest error in at most so many bits; None if none has."""
        count = int(np.searchsorted(self.bits, most, "right"))
        return self.forms[count - 1] if count else None

    def near(self, goal: float, error: float) -> NDArray[np.int64]:
        """The forms whose bits are nearest to a goal, as a factor, with an error of at most ``error``."""
        good = np.flatnonzero(self.errors <= error)
        return np.asarray(self.forms[good[np.abs(np.log(self.bits[good] / goal)).argmin()]])
