"""Fitting a picture's own taps, so that bits + what squared errors are worth gets smaller.

The filter behind a synthesis has the taps of its pack, fitted to many photographs. Least squares over the
picture at hand say what should be added to them, and how much they should count: a picture whose grain they
take for errors is better off with less of them. Sets of such numbers are for places that are alike busy; how
many there are is what costs least.

Related: the adaptive loop filter of VVC, which sends all taps of a picture (Tsai et al. 2013).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import parse
from calotype.codec import library, taps
from calotype.codec.latents import Networks
from calotype.codec.taps import GROUPS, MOST, NOTHING, NUMBERS, SHARE, STEPS, TAP, Integers
from calotype.coder.native import load

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
UNIT = np.repeat([TAP / 32768, 1 / SHARE], [NUMBERS - 2, 2])
"""What numbers count."""
LARGEST = np.concatenate([np.full(g.stop - g.start, most) for g, most in zip(GROUPS, MOST, strict=True)])


class Bowl(NamedTuple):
    """What errors cost in bits, less what they cost without own taps: v power v - 2 v slope."""

    power: NDArray[np.float64]
    slope: NDArray[np.float64]

    def at(self, v: Integers) -> float:
        """The costs of a set."""
        return float(v @ self.power @ v - 2 * v @ self.slope)


def find(networks: Networks, data: bytes, pixels: NDArray[np.uint8], worth: float, threads: int) -> bytes | None:
    """The chunk of own taps for a file that has none, or None if it would cost more than it saves.

    networks: of the file's level, which has a filter
    pixels:   the original, uint8 [H, W, 3]
    worth:    bits for a squared error of 1 of one colour of one pixel
    """
    native = library.native(parse(data).header, networks.pack)
    every = max(1, pixels.shape[0] * pixels.shape[1] // ENOUGH)
    sums = load().moments(data, native, threads, every, np.ascontiguousarray(pixels))
    sums *= worth * every / FRACTION**2
    power, slope = sums[:, :-1, :-1] * UNIT * UNIT[:, None], sums[:, :-1, -1] * UNIT
    best, chosen = 0.0, None
    for count in SETS:
        shape = (count, STEPS // count)
        bowls = [Bowl(*both) for both in zip(*(s.reshape(*shape, *s.shape[1:]).sum(1) for s in (power, slope)))]
        sets = np.stack([_fitted(bowl) for bowl in bowls])
        written = taps.write(sets)
        cost = 8 * len(written) + CHUNK + sum(bowl.at(v) for bowl, v in zip(bowls, sets, strict=True))
        if cost < best:
            best, chosen = cost, written
    return chosen


def _fitted(bowl: Bowl) -> Integers:
    """The numbers of a set with which bits and errors cost least: from those of least squares, and from none,
    one number after the other.
    """
    power = np.diag(bowl.power)
    damping = np.diag(DAMPING * power + 1e-6 * power.mean() + 1e-9)
    start = np.rint(np.linalg.solve(bowl.power + damping, bowl.slope)).clip(-LARGEST, LARGEST)
    ways = (_settled(bowl, v) for v in (start.astype(np.int64), np.zeros(NUMBERS, np.int64)))
    return min(ways, key=lambda v: bowl.at(v) + _bits(v))


def _settled(bowl: Bowl, v: Integers) -> Integers:
    power = np.diag(bowl.power) + 1e-9
    for _ in range(PASSES):
        before = v.copy()
        for group, most in zip(GROUPS, MOST, strict=True):
            low = min(taps.rice(v[group]), NOTHING - 1)
            for i in range(group.start, group.stop):
                slope = bowl.slope[i] - bowl.power[i] @ v + power[i] * v[i]
                bottom = slope / power[i]
                tried = np.array([v[i], np.floor(bottom), np.ceil(bottom), v[i] - 1, v[i] + 1, 0])
                tried = tried.clip(-most, most).astype(np.int64)
                costs = (power[i] * tried - 2 * slope) * tried + taps.bits(tried, low)
                v[i] = tried[np.argmin(costs)]
            without = v.copy()
            without[group] = 0
            if bowl.at(without) + _bits(without) < bowl.at(v) + _bits(v):
                v = without
        if (v == before).all():
            break
    return v


def _bits(v: Integers) -> int:
    found = 0
    for group in GROUPS:
        low = taps.rice(v[group])
        found += 3 + (int(taps.bits(v[group], low).sum()) if low != NOTHING else 0)
    return found
