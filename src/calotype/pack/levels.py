"""A level of a pack, between two trained ones where need be, in integers: every machine gets the same.

A level is a whole number 0 .. 256 * (L - 1), L the number of trained levels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from calotype.pack import STEPS

CODING = ("z_mul", "z_place", "z_scale", "low_bias", "high_bias")
"""Tables that are interpolated in integers: what coding needs to know,"""
EXACT = (*CODING, "low_log_step", "high_log_step", "level_vector")
"""and what latents are made with."""
RESTORATION = "restoration"
"""Taps of the filter behind the synthesis, interpolated in integers; packs need not have it."""
GAINS = ("low_gain", "high_gain")
"""Tables of positive numbers that are an encoder's own, interpolated in the logarithm."""
STEP_SHIFT = 12
STEP = 2.0**-STEP_SHIFT
"""A step of the quantiser is in such parts of its latent's unit."""
OCTAVES = 30
"""Steps are below 2 to this power, which clips any latent, and `powers_of_two` counts with so many bits."""
_POWERS = np.rint(2.0 ** (np.arange(257) / 256 + OCTAVES)).astype(np.int64)
"""2^(k/256), k = 0 .. 256, times 2^30, rounded."""


def neighbours(count: int, number: int) -> tuple[int, int, int]:
    """The trained levels, of `count`, below and above a level, and how many of `STEPS` it is above the lower.

    Raises ValueError outside.
    """
    if not 0 <= number <= STEPS * (count - 1):
        raise ValueError(f"level {number} is not within 0 to {STEPS * (count - 1)}")
    low, step = divmod(number, STEPS)
    return low, min(low + 1, count - 1), step


def interpolated(table: NDArray[Any], number: int) -> NDArray[np.int64]:
    """Integers ``[L, ...]`` at a level, ``[...]``, int64. Raises ValueError for a level that is not there."""
    low, high, step = neighbours(len(table), number)
    a, b = table[low].astype(np.int64), table[high].astype(np.int64)
    return np.asarray((a * (STEPS - step) + b * step + STEPS // 2) >> 8, np.int64)


def powers_of_two(logs: NDArray[Any]) -> NDArray[np.int32]:
    """2 to the power of logs / 65536, rounded: by a table of 256 places, linear between them.

    logs: integers, at least 0 and below ``OCTAVES`` << 16
    """
    whole, part = logs.astype(np.int64) >> 16, logs.astype(np.int64) & 65535
    low, high = _POWERS[part >> 8], _POWERS[(part >> 8) + 1]
    mantissa = low + (((high - low) * (part & 255) + 128) >> 8)
    return np.asarray((mantissa + (1 << (OCTAVES - whole)) // 2) >> (OCTAVES - whole), np.int32)
