"""What a pack's tables say at one quality level, between two trained levels where need be.

A level is a whole number 0 .. 256 * (L - 1), L the number of trained levels: 256 steps from each to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STEPS = 256


LOG = ("gain", "inv_gain", "z_gain", "low_gain", "low_inv_gain", "high_gain", "high_inv_gain")
"""Tables of positive numbers, interpolated in the logarithm."""
EXACT = ("z_mul", "bias", "z_place", "z_scale", "low_bias", "high_bias")
"""Tables of integers that classes follow from, interpolated in integers."""


@dataclass(frozen=True, eq=False)
class Level:
    """What a pack's tables say at a level.

    number:   the level
    anchor:   the nearest trained level
    feeds:    float32 inputs of the networks by name: all tables interpolated, and ``level``, the vector [K]
    integers: int32, those tables that are exact
    """

    number: int
    anchor: int
    feeds: Mapping[str, NDArray[np.float32]]
    integers: Mapping[str, NDArray[np.int32]]


@dataclass(frozen=True)
class Ladder:
    """Qualities and levels.

    points: pairs (quality, level), rising in both, straight between; levels beyond the last have its quality
    """

    points: tuple[tuple[float, float], ...]

    def level_of(self, quality: float) -> int:
        """The level for a quality of 0 to 100. Raises ValueError outside."""
        if not 0 <= quality <= 100:
            raise ValueError(f"quality must be 0 to 100, is {quality}")
        return round(float(np.interp(quality, *np.array(self.points).T)))

    def quality_of(self, level: int) -> float:
        """The quality that leads to a level (that of the nearest level which has one)."""
        return float(np.interp(level, *np.array(self.points).T[::-1]))


def at(tables: Mapping[str, NDArray[Any]], number: int) -> Level:
    """The level `number` of a pack with these tables (names and shapes: calotype.codec.pack)."""
    integers = {name: exact(tables[name], number).astype(np.int32) for name in EXACT if name in tables}
    feeds = {name: _log(tables[name], number).astype(np.float32) for name in LOG if name in tables}
    feeds |= {name: table.astype(np.float32) for name, table in integers.items()}
    feeds["level"] = _linear(tables["level_vector"].astype(np.float64), number).astype(np.float32)
    return Level(number, (number + STEPS // 2) // STEPS, feeds, integers)


def exact(table: NDArray[Any], number: int) -> NDArray[np.int64]:
    """Integers interpolated in integers, so that every machine gets the same; int64."""
    low, high, step = _neighbours(len(table), number)
    a, b = table[low].astype(np.int64), table[high].astype(np.int64)
    return np.asarray((a * (STEPS - step) + b * step + STEPS // 2) >> 8, np.int64)


def _log(table: NDArray[Any], number: int) -> NDArray[np.float64]:
    return np.asarray(np.exp(_linear(np.log(table.astype(np.float64)), number)))


def _linear(table: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    low, high, step = _neighbours(len(table), number)
    return np.asarray((table[low] * (STEPS - step) + table[high] * step) / STEPS)


def _neighbours(count: int, number: int) -> tuple[int, int, int]:
    if not 0 <= number <= STEPS * (count - 1):
        raise ValueError(f"level {number} is not within 0 to {STEPS * (count - 1)}")
    low, step = divmod(number, STEPS)
    return low, min(low + 1, count - 1), step
