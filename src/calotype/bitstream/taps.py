"""A picture's own taps as a file has them (docs/FORMAT.md, "Own taps"): sets of 22 numbers in Rice's code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from calotype.bitstream.fields import Bytes

GROUPS = ((12, 127), (8, 127), (2, 8))
"""How many numbers a group has, and their largest magnitude: taps of luma and of colours, shares."""
NUMBERS = sum(count for count, _ in GROUPS)
LONGEST = (2 + 8 * sum(3 + count * (2 * most + 1) for count, most in GROUPS)) // 8 + 1
"""Bytes that 8 sets may take."""
NOTHING = 7
"""In place of a parameter: all numbers of a group are 0."""


def write(sets: Sequence[Sequence[int]]) -> bytes:
    """A chunk's payload. sets: 1, 2, 4 or 8. Raises ValueError for a number out of range."""
    bits = _raw(len(sets).bit_length() - 1, 2)
    for one in sets:
        start = 0
        for count, most in GROUPS:
            values = one[start : start + count]
            start += count
            if max(map(abs, values)) > most:
                raise ValueError(f"a number of a picture's own taps is beyond {most}")
            low = parameter(values)
            bits += _raw(low, 3)
            if low != NOTHING:
                bits += "".join(
                    "1" * (m >> low) + "0" + _raw(m % (1 << low), low) for m in map(folded, values)
                )
    size = -(-len(bits) // 8)
    return int(bits.ljust(8 * size, "0"), 2).to_bytes(size, "big")


def read(payload: Bytes) -> list[list[int]]:
    """The sets of a chunk's payload. Raises ValueError where it is anything else."""
    text = "".join(f"{byte:08b}" for byte in bytes(payload[:LONGEST]))
    at = 0

    def raw(width: int) -> int:
        nonlocal at
        if width > len(text) - at:
            raise ValueError("they end early")
        at += width
        return int(text[at - width : at] or "0", 2)

    def numbers(count: int, most: int) -> Iterator[int]:
        low = raw(3)
        for _ in range(count):
            m = 0
            if low != NOTHING:
                while raw(1):
                    m += 1
                    if m > 2 * most:
                        raise ValueError("a number is beyond its range")
                m = m << low | raw(low)
                if m > 2 * most:
                    raise ValueError("a number is beyond its range")
            yield (m + 1) // 2 if m % 2 else -m // 2

    sets = [[n for group in GROUPS for n in numbers(*group)] for _ in range(1 << raw(2))]
    if 8 * len(payload) - at > 7:
        raise ValueError("bytes follow their last set")
    if raw(len(text) - at):
        raise ValueError("bits behind their last set are not 0")
    return sets


def parameter(values: Sequence[int]) -> int:
    """The parameter with which a group takes the fewest bits; NOTHING where all its numbers are 0."""
    if not any(values):
        return NOTHING
    codes = [*map(folded, values)]
    return min(range(NOTHING), key=lambda low: sum(m >> low for m in codes) + low * len(codes))


def folded(value: int) -> int:
    """Numbers without signs: 0, 1, -1, 2, ... are 0, 1, 2, 3, ..."""
    return 2 * value - 1 if value > 0 else -2 * value


def _raw(value: int, width: int) -> str:
    return f"{value:0{width}b}" if width else ""
