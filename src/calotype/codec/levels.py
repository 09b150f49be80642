"""What a pack's tables say at one quality level, between two trained levels where need be.

A level is a whole number 0 .. 256 * (L - 1), L the number of trained levels: 256 steps from each to the next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.codec.stored import STEPS
from calotype.coder import LevelIntegers, LevelSteps

GAINS = ("low_gain", "high_gain")
"""Tables of positive numbers that are an encoder's own, interpolated in the logarithm."""
EXACT = (
    "z_mul", "z_place", "z_scale", "low_bias", "high_bias", "low_log_step", "high_log_step", "level_vector",
)  # fmt: skip
"""Tables of integers, interpolated in integers."""


@dataclass(frozen=True, eq=False)
class Level:
    """What a pack's tables say at a level.

    number:   the level
    gains:    float32, an encoder's own tables
    integers: int32, those tables that are exact
    """

    number: int
    gains: Mapping[str, NDArray[np.float32]]
    integers: Mapping[str, NDArray[np.int32]]

    @property
    def parser(self) -> LevelIntegers:
        """What the parser needs of them."""
        names = ("z_mul", "z_place", "z_scale", "low_bias", "high_bias")
        return LevelIntegers(**{name: self.integers[name] for name in names})

    @property
    def steps(self) -> LevelSteps:
        """What latents are made with."""
        return LevelSteps(*(self.integers[name] for name in ("low_step", "high_step", "z_mul")))

    @property
    def vector(self) -> NDArray[np.int32]:
        """What the synthesis adds to the latents, [M]."""
        return self.integers["level_vector"]


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
    """The level `number` of a pack with these tables (names and shapes: docs/FORMAT.md)."""
    integers = {name: exact(tables[name], number).astype(np.int32) for name in EXACT}
    for part in ("low", "high"):
        integers[f"{part}_step"] = powers_of_two(integers.pop(f"{part}_log_step"))
    gains = {name: _geometric(tables[name], number).astype(np.float32) for name in GAINS}
    return Level(number, gains, integers)


STEP = 1 / 4096
"""Steps are in such parts of a latent's unit."""
MOST = 30
"""Steps are below 2 to this power, and POWERS has so many bits."""
POWERS = np.rint(2.0 ** (np.arange(257) / 256 + MOST)).astype(np.int64)
"""2^(k/256), k = 0 .. 256, times 2^30, rounded."""


def exact(table: NDArray[Any], number: int) -> NDArray[np.int64]:
    """Integers interpolated in integers, so that every machine gets the same; int64."""
    low, high, step = _neighbours(len(table), number)
    a, b = table[low].astype(np.int64), table[high].astype(np.int64)
    return np.asarray((a * (STEPS - step) + b * step + STEPS // 2) >> 8, np.int64)


def powers_of_two(log: NDArray[np.int32]) -> NDArray[np.int32]:
    """2 to the power of log / 65536, rounded, in integers: POWERS, linear between its entries."""
    whole, part = log.astype(np.int64) >> 16, log.astype(np.int64) & 65535
    low, high = POWERS[part >> 8], POWERS[(part >> 8) + 1]
    mantissa = low + (((high - low) * (part & 255) + 128) >> 8)
    return np.asarray((mantissa + (1 << (MOST - whole)) // 2) >> (MOST - whole), np.int32)


def _geometric(table: NDArray[Any], number: int) -> NDArray[np.float64]:
    return np.asarray(np.exp(_linear(np.log(table.astype(np.float64)), number)))


def _linear(table: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    low, high, step = _neighbours(len(table), number)
    return np.asarray((table[low] * (STEPS - step) + table[high] * step) / STEPS)


def _neighbours(count: int, number: int) -> tuple[int, int, int]:
    if not 0 <= number <= STEPS * (count - 1):
        raise ValueError(f"level {number} is not within 0 to {STEPS * (count - 1)}")
    low, step = divmod(number, STEPS)
    return low, min(low + 1, count - 1), step
