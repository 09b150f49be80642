"""A picture's own taps: what a file adds to those of the restoration filter of its pack (docs/FORMAT.md)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from calotype.pack.tables import LUMA, TAPS

Integers = NDArray[np.int64]

NUMBERS = TAPS + 2
"""Of a set: taps, and last by how much more the pack's taps count, those for luma and those for colours."""
GROUPS = (slice(0, LUMA), slice(LUMA, TAPS), slice(TAPS, NUMBERS))
MOST = (127, 127, 8)
"""Largest numbers of a group."""
STEPS = 16
"""Of how busy a place is, by which sets are chosen."""
NOTHING = 7
"""What says that all numbers of a group are 0."""
TAP, SHARE = 1 << 8, 8
"""What a number counts: a tap 256 of 1/32768, a share an eighth."""


def write(sets: Integers) -> bytes:
    """The chunk's payload. sets: [1, 2, 4 or 8, 22], within MOST"""
    bits = [_raw(len(sets).bit_length() - 1, 2)]
    for one in sets:
        for group, most in zip(GROUPS, MOST, strict=True):
            values = one[group]
            if np.abs(values).max() > most:
                raise ValueError(f"a number of a picture's own taps is beyond {most}")
            low, codes = rice(values), folded(values)
            bits.append(_raw(low, 3))
            if low != NOTHING:
                bits += ["1" * (m >> low) + "0" + _raw(m & (1 << low) - 1, low) for m in codes.tolist()]
    text = "".join(bits)
    return int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")


def rice(values: Integers) -> int:
    """The parameter of Rice's code with which numbers take the fewest bits; NOTHING where all are 0."""
    if not values.any():
        return NOTHING
    codes = folded(values)
    return min(range(NOTHING), key=lambda low: int((codes >> low).sum()) + low * len(codes))


def bits(values: Integers, low: int) -> Integers:
    """Bits that numbers take with a parameter below NOTHING."""
    return (folded(values) >> low) + 1 + low


def folded(values: Integers) -> Integers:
    """Numbers without signs: 0, 1, -1, 2, ... as 0, 1, 2, 3, ..."""
    return np.where(values > 0, 2 * values - 1, -2 * values)


def _raw(value: int, width: int) -> str:
    return f"{value:0{width}b}" if width else ""
