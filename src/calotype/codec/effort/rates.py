"""What integers cost in bits, and how that changes between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.coder import TableSet

REACH = 400
"""Larger values are priced as this one; the coder takes any."""

NEAR = np.arange(-1, 2, dtype=np.float32)[:, None]
"""Integers that a latent may become, about the one where its error is smallest."""


class Prices:
    """The cost of every value in every table, for values that may lie between integers.

    Values are half steps, and the tables of the second quantiser are the second half; a value costs what it
    does in the quantiser that has it, and 0, which both have, the mean.

    classes: tables in a set; the first of each set is that of the class which is not coded
    """

    def __init__(self, tables: TableSet, classes: int) -> None:
        values = np.arange(-REACH, REACH + 2)
        bits = _of_both(tables, values)
        bits[::classes] = 0
        self._bits, self._rise = bits.reshape(-1), np.diff(bits, append=0).astype(np.float32).reshape(-1)
        self._width = len(values)

    def at(self, values: NDArray[Any], index: NDArray[np.integer[Any]]) -> NDArray[Any]:
        """Bits of each value, linear between integers."""
        low = np.floor(np.clip(values, -REACH, REACH))
        entry = index.astype(np.int32) * self._width + (low.astype(np.int32) + REACH)
        above = np.clip(values, -REACH, REACH) - low
        return np.asarray(self._bits.take(entry) + self._rise.take(entry) * above)

    def expected(
        self, bottom: NDArray[Any], curvature: NDArray[Any], index: NDArray[np.integer[Any]], heat: float
    ) -> NDArray[Any]:
        """The mean of integers n, each as likely as exp(-(bits + curvature (n - bottom)^2) / heat)."""
        near = np.rint(bottom) + NEAR
        costs = self.at(near, index) + curvature * (near - bottom) ** 2
        weights = np.exp((costs.min(0) - costs) / np.float32(heat))
        return np.asarray((weights * near).sum(0) / weights.sum(0))


def _of_both(tables: TableSet, values: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Bits of half steps [tables of one quantiser, values]."""
    half = len(tables) // 2
    table, value = np.arange(half)[:, None], values[None]
    numbers = np.sign(value) * ((np.abs(value) + 1) // 2)
    first, second = (tables.bits(*np.broadcast_arrays(numbers, table + k * half)) for k in (0, 1))
    found = np.where(value % 2, second, first)
    return np.asarray(np.where(value == 0, (first + second) / 2, found), np.float32)
