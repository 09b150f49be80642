"""What integers cost in bits, and how that changes between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.coder import TableSet

REACH = 400
"""Larger values are priced as this one; the coder takes any."""


class Prices:
    """The cost of every value in every table, for values that may lie between integers."""

    def __init__(self, tables: TableSet) -> None:
        values = np.arange(-REACH, REACH + 2)
        table = np.arange(len(tables))
        bits = tables.bits(*np.broadcast_arrays(values[None], table[:, None])).astype(np.float32)
        bits[0] = 0  # the class that is not coded
        self._bits, self._rise = bits.reshape(-1), np.diff(bits, append=0).astype(np.float32).reshape(-1)
        self._width = len(values)

    def at(self, values: NDArray[Any], index: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(bits, slope) of each value, linear between integers; the slope is that above an integer."""
        low = np.floor(np.clip(values, -REACH, REACH))
        entry = index.astype(np.int32) * self._width + (low.astype(np.int32) + REACH)
        rise = self._rise.take(entry)
        return self._bits.take(entry) + rise * (np.clip(values, -REACH, REACH) - low), rise
