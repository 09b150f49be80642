"""The restoration filter behind a synthesis, and how its taps are found.

Every pixel is moved by what its neighbours differ from it, and how much each of them counts depends on what
is around: one of 144 classes, for how busy a place is and which way its lines run. docs/FORMAT.md has the
arithmetic. Video codecs have such filters (VVC's adaptive loop filter, AV1's loop restoration); there an
encoder sends the taps of each picture, here they are the pack's, a set for each trained level, fitted to
photographs by least squares.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from calotype.lab.pack.calibrate import Array
from calotype.pack.tables import FILTERS, REACH, TAPS

Integers = NDArray[np.int32]

FRACTION = 32
"""Parts of a grey level in which a synthesis adds pixels up."""
PEAK = 255 * FRACTION
"""Pixels are within 0 .. PEAK before the filter, and what it adds within +-PEAK."""
LUMA = ((0, 1), (0, 2), *((1, j) for j in range(-2, 3)), *((2, j) for j in range(-2, 3)))
CHROMA = ((0, 1), (0, 2), (1, -1), (1, 0), (1, 1), (2, 0))
CROSS = ((0, 1), (1, 0))
"""Taps (down, right) of luma, of a colour (red or blue, less luma), and of luma for a colour. Each weighs
what a pixel there and the one opposite differ from the middle."""
LIMITS = (32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096)
"""Between steps of how busy a place is: half an octave each."""
REST = 8
"""Added to how much a place bends, so that one that hardly does has no direction."""
ONE = 1 << 15
"""What a tap of 1 is stored as."""
ROOM = 0.97
"""What of 16 bits the taps of a class may fill."""
CAUTION = 0.8
"""What of the best taps is used: a photograph that is like the others loses a twenty-fifth of what the filter
gains, one whose grain the filter takes for errors loses a third less."""
DAMPING = 1e-3
"""Of the mean power of what the taps weigh: what least squares add to the diagonal."""
LEAST = 1e-3
"""Squared error, in grey levels, that is added where photographs are made to count alike."""


def restored(fine: Integers, taps: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Pixels ``[h, w, 3]`` of those that a synthesis made, in 1/32 of a grey level; h and w even.

    taps: ``[144, 20]``, in 1/32768
    """
    luma, first, second, green = _planes(fine)
    kind = classes(luma)
    weights = taps[kind].astype(np.int32)

    def sums(rows: Iterator[Integers], first_tap: int) -> Integers:
        found = np.zeros_like(luma)
        for k, row in enumerate(rows, first_tap):
            found += (row * weights[..., k] + ONE // 2) >> 15
        return np.clip(found, -PEAK, PEAK)

    moved = sums(_differences(luma, LUMA), 0)
    red, blue = (sums(_of_colours(plane, luma), len(LUMA)) for plane in (first, second))
    whole = np.stack(
        (first + luma + moved + red, green + moved - ((red + blue) >> 1), second + luma + moved + blue), -1
    )
    return np.clip((whole + FRACTION // 2) // FRACTION, 0, 255).astype(np.uint8)


def classes(luma: Integers) -> NDArray[np.intp]:
    """The class of each pixel ``[h, w]``, 0 .. 143: 9 * how busy + direction (0 none; 1 to 4 weak, 5 to 8
    strong). Blocks of 2x2 pixels have one, by the 4x4 pixels in whose middle they are.
    """
    h, w = luma.shape
    near = _around(luma, 2)

    def bends(i: int, j: int) -> Integers:
        def part(down: int, right: int) -> Integers:
            return near[1 + down : h + 3 + down, 1 + right : w + 3 + right]

        bent = np.abs(part(i, j) + part(-i, -j) - 2 * part(0, 0)) >> 3
        places = ((a, b) for a in range(4) for b in range(4))
        return np.asarray(sum(bent[a : a + h : 2, b : b + w : 2] for a, b in places), np.int64)

    across, along, falling, rising = (bends(*way) for way in ((0, 1), (1, 0), (1, 1), (1, -1)))
    most, least = np.maximum(across, along), np.minimum(across, along) + REST
    slanted, calm = np.maximum(falling, rising), np.minimum(falling, rising) + REST
    straight = most - least > slanted - calm
    low, more = np.where(straight, least, calm), np.where(straight, most - least, slanted - calm)
    way = np.where(straight, np.where(across > along, 1, 2), np.where(falling > rising, 3, 4))
    way = np.where(more < low >> 1, 0, np.where(more - low < low >> 1, way, way + 4))
    kind = 9 * np.searchsorted(LIMITS, across + along) + way
    return np.asarray(np.repeat(np.repeat(kind, 2, 0), 2, 1))


class Fit:
    """Least squares over photographs, each of which counts by the logarithm of its error."""

    def __init__(self) -> None:
        own = len(CHROMA) + len(CROSS)
        self._sums = [np.zeros((FILTERS, n + 1, n + 1)) for n in (len(LUMA), own)]

    def add(self, original: NDArray[np.uint8], decoded: NDArray[np.uint8]) -> None:
        """Pixels ``[h, w, 3]`` of a photograph and what a synthesis makes of it, without a filter."""
        luma, first, second, _ = _planes(decoded.astype(np.int32) * FRACTION)
        wanted = _planes(original.astype(np.int32) * FRACTION)
        kind = classes(luma).reshape(-1)
        order = np.argsort(kind, kind="stable")
        edges = np.searchsorted(kind[order], np.arange(FILTERS + 1))
        kinds = (_differences(luma, LUMA), *(_of_colours(plane, luma) for plane in (first, second)))
        error = float(np.square(original.astype(np.float64) - decoded).mean())
        weight = 1 / (error + LEAST) / luma.size / FRACTION**2
        luma_sums, sums_of_colours = self._sums
        all_sums = (luma_sums, sums_of_colours, sums_of_colours)
        for sums, rows, is_, was in zip(all_sums, kinds, wanted, (luma, first, second), strict=False):
            stacked = np.stack([*rows, is_ - was], -1).reshape(-1, sums.shape[1]).astype(np.float32)[order]
            for k in np.flatnonzero(np.diff(edges)):
                some = stacked[edges[k] : edges[k + 1]]
                sums[k] += weight * (some.T @ some)

    def taps(self) -> NDArray[np.int16]:
        """``[144, 20]``, in 1/32768."""
        found = CAUTION * np.concatenate([np.stack([_solved(s) for s in sums]) for sums in self._sums], 1)
        assert found.shape == (FILTERS, TAPS)
        for part in (slice(0, len(LUMA)), slice(len(LUMA), TAPS)):
            filled = np.abs(found[:, part]) @ REACH[part] / ONE
            found[:, part] *= np.minimum(1, ROOM / np.maximum(filled, 1e-9))[:, None]
        return np.rint(found * ONE).clip(1 - ONE, ONE - 1).astype(np.int16)


def _solved(sums: Array) -> Array:
    n = len(sums) - 1
    power = float(np.trace(sums[:n, :n])) / n
    return np.asarray(np.linalg.solve(sums[:n, :n] + (DAMPING * power + 1e-9) * np.eye(n), sums[:n, n]))


def _planes(fine: Integers) -> tuple[Integers, Integers, Integers, Integers]:
    """Luma, red - luma, blue - luma, and green."""
    red, green, blue = (np.clip(fine[..., c], 0, PEAK) for c in range(3))
    luma = (red + 2 * green + blue) >> 2
    return luma, red - luma, blue - luma, green


def _differences(plane: Integers, taps: Iterable[tuple[int, int]]) -> Iterator[Integers]:
    (h, w), near = plane.shape, _around(plane, 2)
    for i, j in taps:
        a, b = near[2 + i : 2 + i + h, 2 + j : 2 + j + w], near[2 - i : 2 - i + h, 2 - j : 2 - j + w]
        yield a + b - 2 * plane


def _of_colours(plane: Integers, luma: Integers) -> Iterator[Integers]:
    yield from _differences(plane, CHROMA)
    yield from _differences(luma, CROSS)


def _around(plane: Integers, margin: int) -> Integers:
    """With the nearest pixel's values beyond the borders."""
    return np.pad(plane, margin, mode="edge")
