"""The restoration filter behind a synthesis, in plain NumPy: a part of the second reader (`tests.reader`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
SQUARE = [(i, j) for i in range(3) for j in range(-2, 3) if (i, j) > (0, 0)]
COLOUR = [(i, j) for i, j in SQUARE if i + abs(j) < 3]
LIMITS = (32, 45, 64, 90, 128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096)


def restored(v: Array, taps: Array) -> Array:
    """Numbers in 1/32 of a grey level [H, W, 3] after taps [144, 20]."""
    r, g, b = np.moveaxis(v.clip(0, 8160), 2, 0)
    y = (r + 2 * g + b) >> 2
    weights = taps[np.repeat(np.repeat(kinds(y), 2, 0), 2, 1)]
    cross = [bent(y, 0, 1), bent(y, 1, 0)]
    luma = moved(weights, 0, [bent(y, i, j) for i, j in SQUARE])
    red, blue = (
        moved(weights, 12, [bent(plane, i, j) for i, j in COLOUR] + cross) for plane in (r - y, b - y)
    )
    return np.stack((r + luma + red, g + luma - ((red + blue) >> 1), b + luma + blue), 2)


def corrected(taps: Array | None, sets: list[list[int]]) -> Array:
    """Taps [144, 20] with a picture's own."""
    if taps is None:
        raise ValueError("own taps, and the pack has no filter")
    found = taps.copy()
    reach = np.repeat([16320, 32640, 16320], [12, 6, 2])
    for kind in range(144):
        own = np.array(sets[kind // 9 * len(sets) // 16])
        for k, part in enumerate((slice(12), slice(12, 20))):
            t = taps[kind, part]
            t = np.clip(t + ((t * own[20 + k] + 4) >> 3) + 256 * own[part], -32767, 32767)
            s = ((np.abs(t) * reach[part] >> 15) + 1).sum()
            found[kind, part] = t if s <= 32767 else np.sign(t) * (np.abs(t) * 32755 // s)
    return found


def bent(plane: Array, i: int, j: int, more: int = 0) -> Array:
    """d(P, i, j), for ``more`` pixels beyond the borders, too."""
    (h, w), p = plane.shape, np.pad(plane, 2 + more, "edge")
    far, near, middle = (
        p[2 + y : 2 + y + h + 2 * more, 2 + x : 2 + x + w + 2 * more] for y, x in ((i, j), (-i, -j), (0, 0))
    )
    return far + near - 2 * middle


def kinds(y: Array) -> Array:
    """Of blocks of 2 x 2 pixels, [H / 2, W / 2]."""
    h, w = y.shape

    def bend(i: int, j: int) -> Array:
        found = np.abs(bent(y, i, j, 1)) >> 3
        return np.sum([found[k : k + h : 2, m : m + w : 2] for k in range(4) for m in range(4)], 0)

    across, along, falling, rising = (bend(*way) for way in ((0, 1), (1, 0), (1, 1), (1, -1)))
    a, b = np.maximum(across, along), np.minimum(across, along) + 8
    c, e = np.maximum(falling, rising), np.minimum(falling, rising) + 8
    straight = a - b > c - e
    low, more = np.where(straight, b, e), np.where(straight, a - b, c - e)
    way = np.where(straight, 2 - (across > along), 4 - (falling > rising))
    way = np.where(more < low >> 1, 0, way + 4 * (more - low >= low >> 1))
    return 9 * np.sum([across + along > limit for limit in LIMITS], 0) + way


def moved(weights: Array, first: int, rows: Iterable[Array]) -> Array:
    parts = [(row * weights[..., first + k] + 2**14) >> 15 for k, row in enumerate(rows)]
    return np.sum(parts, 0).clip(-8160, 8160)
