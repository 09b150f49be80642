"""The order in which the product's model codes a tile, written once.

A map is coded from coarse to fine.  ``octaves = 3`` begins with every eighth row and column (*base*), and
each octave halves the distance in three phases of one 2x2 grid: the sites between four known ones, those
between two known ones of a row, those between two of a column.  So only one site in 64 is coded without a
neighbour::

    octave 2          octave 1          octave 0
    0 . . . 2 . . .   0 . 2 . 0 . 2 .   0 2 0 2 0 2 0 2
    . . . . . . . .   . . . . . . . .   3 1 3 1 3 1 3 1
    . . . . . . . .   3 . 1 . 3 . 1 .   0 2 0 2 0 2 0 2
    . . . . . . . .   . . . . . . . .   3 1 3 1 3 1 3 1
    3 . . . 1 . . .   0 . 2 . 0 . 2 .   0 2 0 2 0 2 0 2
    ...               ...               ...             0: known, 1 2 3: phases

Hyper-latents go first, then the low channels of y, then the others.  What `code` does is all that training,
encoder and decoder differ in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from calotype.lab.layers.shuffle import pixel_shuffle

PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Row and column offsets of the 2x2 grid, in coding order; phase 0 is what is known."""
LOW = 16
"""Channels of y that are coded first, coarse to fine: means and slopes of 16x16 blocks, what previews
show."""
LOW_OCTAVES, HIGH_OCTAVES, HYPER_OCTAVES = 3, 1, 2
MULTIPLE = 2**LOW_OCTAVES
"""A tile is padded to multiples of so many latents for the networks."""


BASE, OTHER_LOW, HIGH = range(3)
"""Kinds of residuals, by their tables: without a neighbour, of other low channels, of high ones."""


class Stage(NamedTuple):
    """Some sites of a map, coded at once."""

    number: int
    """In coding order, from 0 (base)."""
    octave: int
    """Sites are ``2**(octave + 1)`` apart; that of base is the number of octaves, less one."""
    phase: int
    """0 for base, 1 to 3."""

    def pick(self, t: Tensor) -> Tensor:
        """The values ``[B, C, h / step, w / step]`` of this stage in a whole map ``[B, C, h, w]``."""
        step, (i, j) = 2 ** (self.octave + 1), PHASES[self.phase]
        return t[:, :, (i * step) // 2 :: step, (j * step) // 2 :: step]


def stages(octaves: int) -> list[Stage]:
    """All stages of a map, in coding order."""
    found = [Stage(0, octaves - 1, 0)]
    for octave in reversed(range(octaves)):
        found += [Stage(len(found) + p, octave, 1 + p) for p in range(3)]
    return found


def split_phases(t: Tensor) -> list[Tensor]:
    """``[B, C, 2a, 2b]`` to four maps ``[B, C, a, b]`` in coding order."""
    return [t[:, :, i::2, j::2] for i, j in PHASES]


def join_phases(maps: list[Tensor]) -> Tensor:
    """Inverse of `split_phases`."""
    order = [maps[PHASES.index((i, j))] for i in (0, 1) for j in (0, 1)]
    b, c, h, w = maps[0].shape
    return pixel_shuffle(torch.stack(order, 2).reshape(b, 4 * c, h, w), 2)


def walk(
    octaves: int,
    code: Callable[[Stage, list[Tensor]], Tensor],
    join: Callable[[list[Tensor]], Tensor] = join_phases,
) -> Tensor:
    """Code a map; ``code(stage, known) -> values`` gets the maps ``[B, C, h', w']`` of phase 0 and of the
    phases before its own, and gives that of its own.  Returns the whole map.

    join: `join_phases`, or the same for maps of another layout
    """
    base, *others = stages(octaves)
    whole = code(base, [])
    known = [whole]
    for stage in others:
        known.append(code(stage, known))
        if len(known) == len(PHASES):
            whole = join(known)
            known = [whole]
    return whole
