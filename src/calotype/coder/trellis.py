"""Residuals on a trellis: two quantisers that take turns (docs/FORMAT.md, *Trellis*).

What is here looks at one stage of a tile alone, whose residuals that have a code lie in coding order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.coder.native import load
from calotype.coder.tables import TableSet


def plan(
    tables: TableSet, size: NDArray[np.float32], table: NDArray[np.uint8], worth: float | None = None
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The residuals [n] that cost least, bits and errors together, and which quantiser each is of, 0 or 1.

    tables: 384, those of the second quantiser last
    size:   [n] what the residuals should be, in half steps
    table:  [n] that of each in the first quantiser, 0 .. 191
    worth:  of a squared half step, in bits; what is beyond 56 counts as 56; without it an encoder's usual one

    Raises ValueError for other numbers of tables, and for a table that is the second quantiser's.
    """
    value, second = np.empty(len(size), np.int32), np.empty(len(size), np.uint8)
    size, table = np.ascontiguousarray(size, np.float32), np.ascontiguousarray(table, np.uint8)
    given = () if worth is None else (worth,)
    load().trellis_plan(tables.native, size, table, value, second, *given)
    return value, second


def values(number: NDArray[np.int32]) -> NDArray[np.int32]:
    """The residuals [n] whose numbers in their quantisers these are. Raises ValueError beyond +-2^14."""
    value = np.empty(len(number), np.int32)
    load().trellis_values(np.ascontiguousarray(number), value)
    return value


def numbers(value: NDArray[np.int32], second: NDArray[np.uint8]) -> NDArray[np.int32]:
    """What is coded of residuals: their numbers in their quantisers."""
    return np.asarray(np.sign(value) * ((np.abs(value) + second) // 2), np.int32)
