"""Small pictures between quality 95 and no loss: every tile has many forms, and all good choices are known.

A picture of one tile has no steps in which tile after tile becomes better, so its pixels come nearer to their
own: in wide steps first, with whatever is cheap near them (native/economy.hpp), then in narrow ones. What the
choices of all tiles make is a front: files such that none of the same size has a smaller error. It does not
depend on what is asked for, so a larger size never has a larger error.

For a quality that would take long: there tiles are small enough to make the steps, each with few forms.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Header, tile_count

SMALL = 4 * 256 * 256
"""Pixels of a picture up to which all forms of its tiles are made, and not guessed."""
TINY = 256 * 256
"""The same with all rungs, for a target: of two tiles and more the choices between them make steps, too."""
TILELESS = 128 * 128
"""The same, for a quality: of fewer pixels there are no tiles that could make steps."""
SEVERAL = 12
"""Tiles that a picture is to have if some of them are to be better than others."""
Rungs = tuple[tuple[int, float], ...]
RUNGS: Rungs = (
    (7, 0.6),
    (7, 2.0),
    (5, 0.6),
    (5, 2.0),
    (3, 0.6),
    (3, 1.0),
    (3, 2.0),
    (3, 0.0),
    (1, 1.0),
    (1, 2.0),
)
"""Forms of photographs but the exact one: between values, and bits that a squared error of 1 is worth."""
FEWER: Rungs = ((7, 2.0), (5, 2.0), (3, 1.0), (3, 0.0), (1, 1.0))
DRAWN: Rungs = ((1, 0.03), (1, 0.1), (1, 0.3), (1, 1.0), (3, 0.0))
"""The same of drawings, whose flat places are exact."""
EARLY: Rungs = ((3, 0.6),)
"""The same of photographs in tiles that make the steps: on the way from latents to no loss, some tiles in
this form have a smaller error than all in one that takes less.
"""
TURN, MIDDLE = 0.7, 0.6
"""So far on the way that is over; after it all pixels are nearer to theirs. In steps of 1 they have the size
that is due at 0.8 of the way with this worth of an error; twice as much is for a tenth of the way more.
"""
DRAWN_EARLY: Rungs = ((1, 0.3),)
DRAWN_LATE: Rungs = ((1, 1.0),)
POINTS = 2048
"""Choices that are kept of a front."""

Figures = NDArray[np.float64]


def rungs(drawn: bool, pixels: int, share: float | None) -> Rungs:
    """The forms of a tile but the exact one.

    drawn:  whether it is a drawing
    pixels: of the picture
    share:  how far on the way to no loss; None: all forms that are tried for a target
    """
    if share is None or pixels <= TILELESS:
        return DRAWN if drawn else RUNGS if pixels <= TINY else FEWER
    if share < TURN:
        return DRAWN_EARLY if drawn else EARLY
    return DRAWN_LATE if drawn else ((1, MIDDLE * 2 ** (10 * share - 8)),)


def side_of(side: int, header: Header) -> int:
    """The side of tiles, or a smaller one, of which a picture has at least SEVERAL."""
    while side > 64 and tile_count(header.replace(tile=side)) < SEVERAL:
        side //= 2
    return side


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

    def near(self, goal: float, error: float, *, below: bool) -> NDArray[np.int64]:
        """The forms whose bits are nearest to a goal, as a factor, with an error of at most ``error``.

        below: of those that are not above it, where there are any: of few choices the next may be the one
               without loss, larger than what a higher quality has
        """
        good = np.flatnonzero(self.errors <= error)
        if below and self.bits[good[0]] <= goal:
            good = good[self.bits[good] <= goal]
        return np.asarray(self.forms[good[np.abs(np.log(self.bits[good] / goal)).argmin()]])
