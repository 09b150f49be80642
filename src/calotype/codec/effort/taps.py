"""Fitting a picture's own taps, so that bits + what squared errors are worth gets smaller.

The filter behind a synthesis has the taps of its pack, fitted to many photographs. Least squares over the
picture at hand say what should be added to them, and how much they should count: a picture whose grain they
take for errors is better off with less of them. Sets of such numbers are for places that are alike busy; how
many there are is what costs least.

Related: the adaptive loop filter of VVC, which sends all taps of a picture (Tsai et al. 2013).
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import parse, taps
from calotype.bitstream.taps import GROUPS, NOTHING, NUMBERS
from calotype.codec import library
from calotype.codec.pack import Pack
from calotype.coder.native import load

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

SETS = (1, 2, 4, 8)
ENOUGH = 1 << 20
"""Pixels that are looked at: of larger pictures some rows."""
CHUNK = 48
"""Bits of a chunk beside its payload."""
FRACTION = 32
"""Parts of a grey level in which pixels are added up."""
DAMPING = 2e-4
"""Of its power, what is added to each number's in least squares."""
PASSES = 5
"""Most times that all numbers are gone over."""
UNIT = np.repeat([1 / 128, 1 / 8], [NUMBERS - 2, 2])
"""What numbers count: taps, and shares of what the pack's taps move."""
MOST = np.repeat([most for _, most in GROUPS], [count for count, _ in GROUPS])
_ENDS = np.cumsum([0, *(count for count, _ in GROUPS)])
PARTS = [slice(int(a), int(b)) for a, b in itertools.pairwise(_ENDS)]


class Bowl(NamedTuple):
    """What errors cost in bits, less what they cost without own taps: v power v - 2 v slope."""

    power: Floats
    slope: Floats

    def at(self, v: Integers) -> float:
        """The cost of numbers, their bits among it."""
        bits = 0
        for part in PARTS:
            low = taps.parameter(v[part].tolist())
            bits += 3 + (int(_bits(v[part], low).sum()) if low != NOTHING else 0)
        return bits + float(v @ self.power @ v - 2 * v @ self.slope)


def find(pack: Pack, data: bytes, pixels: NDArray[np.uint8], worth: float, threads: int) -> bytes | None:
    """The own taps for a file that has none, as a chunk's payload; None if they cost more than they save.

    pack:   the file's; it has a filter
    pixels: the original, uint8 [H, W, 3]
    worth:  bits for a squared error of 1 of one colour of one pixel
    """
    native = library.native(parse(data).header, pack)
    every = max(1, pixels.shape[0] * pixels.shape[1] // ENOUGH)
    sums = load().moments(data, native, threads, every, np.ascontiguousarray(pixels))
    sums *= worth * every / FRACTION**2
    power, slope = sums[:, :-1, :-1] * UNIT * UNIT[:, None], sums[:, :-1, -1] * UNIT
    best, chosen = 0.0, None
    for count in SETS:
        kinds = [part.reshape(count, len(part) // count, *part.shape[1:]).sum(1) for part in (power, slope)]
        bowls = [Bowl(*both) for both in zip(*kinds, strict=True)]
        sets = [_fitted(bowl) for bowl in bowls]
        cost = CHUNK + sum(bowl.at(v) for bowl, v in zip(bowls, sets, strict=True))
        if cost < best:
            best, chosen = cost, sets
    return taps.write([v.tolist() for v in chosen]) if chosen else None


def _fitted(bowl: Bowl) -> Integers:
    """The numbers of a set with which bits and errors cost least: from those of least squares, and from none,
    one number after the other.
    """
    power = np.diag(bowl.power)
    damping = np.diag(DAMPING * power + 1e-6 * power.mean() + 1e-9)
    start = np.rint(np.linalg.solve(bowl.power + damping, bowl.slope)).clip(-MOST, MOST)
    ways = [_settled(bowl, v) for v in (start.astype(np.int64), np.zeros(NUMBERS, np.int64))]
    return min(ways, key=bowl.at)


def _settled(bowl: Bowl, v: Integers) -> Integers:
    power = np.diag(bowl.power) + 1e-9
    for _ in range(PASSES):
        before = v.copy()
        for part in PARTS:
            low = min(taps.parameter(v[part].tolist()), NOTHING - 1)
            for i in range(part.start, part.stop):
                slope = bowl.slope[i] - bowl.power[i] @ v + power[i] * v[i]
                bottom, most = slope / power[i], int(MOST[i])
                near = int(min(max(np.floor(bottom), -most), most - 1))
                tried = {int(v[i]), near, near + 1, max(int(v[i]) - 1, -most), min(int(v[i]) + 1, most), 0}
                cost = {n: (power[i] * n - 2 * slope) * n + (taps.folded(n) >> low) for n in tried}
                v[i] = min(sorted(tried), key=cost.__getitem__)
            without = v.copy()
            without[part] = 0
            if bowl.at(without) < bowl.at(v):
                v = without
        if (v == before).all():
            break
    return v


def _bits(values: Integers, low: int) -> Integers:
    return (np.where(values > 0, 2 * values - 1, -2 * values) >> low) + 1 + low
