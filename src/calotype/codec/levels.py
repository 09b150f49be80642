"""What a pack's tables say at one quality level, for the codec (calotype.pack.levels has what is exact)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.coder import LevelIntegers, LevelPixels, LevelSteps
from calotype.pack import STEPS
from calotype.pack.levels import CODING, EXACT, GAINS, RESTORATION, interpolated, neighbours, powers_of_two


@dataclass(frozen=True, eq=False)
class Level:
    """What a pack's tables say at a level.

    number:   the level
    gains:    float32, an encoder's own tables
    integers: int32, those tables that are exact
    restoration: int16 [144, 20], taps of the filter behind the synthesis, or None
    """

    number: int
    gains: Mapping[str, NDArray[np.float32]]
    integers: Mapping[str, NDArray[np.int32]]
    restoration: NDArray[np.int16] | None

    @property
    def parser(self) -> LevelIntegers:
        """What the parser needs of them."""
        return LevelIntegers(**{name: self.integers[name] for name in CODING})

    @property
    def steps(self) -> LevelSteps:
        """What latents are made with."""
        return LevelSteps(*(self.integers[name] for name in ("low_step", "high_step", "z_mul")))

    @property
    def vector(self) -> NDArray[np.int32]:
        """What the synthesis adds to the latents, [M]."""
        return self.integers["level_vector"]

    @property
    def pixels(self) -> LevelPixels:
        """What the synthesis needs of them."""
        return LevelPixels(self.vector, self.restoration)


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
    integers = {name: interpolated(tables[name], number).astype(np.int32) for name in EXACT}
    for part in ("low", "high"):
        integers[f"{part}_step"] = powers_of_two(integers.pop(f"{part}_log_step"))
    gains = {name: _geometric(tables[name], number).astype(np.float32) for name in GAINS}
    taps = tables.get(RESTORATION)
    filter_ = None if taps is None else interpolated(taps, number).astype(np.int16)
    return Level(number, gains, integers, filter_)


def _geometric(table: NDArray[Any], number: int) -> NDArray[np.float64]:
    return np.asarray(np.exp(_linear(np.log(table.astype(np.float64)), number)))


def _linear(table: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    low, high, step = neighbours(len(table), number)
    return np.asarray((table[low] * (STEPS - step) + table[high] * step) / STEPS)
