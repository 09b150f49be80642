"""Tables for zero-mean Gaussians of many scales: the entropy model of hyperprior codecs.

Source: Balle, Minnen, Singh, Hwang, Johnston, "Variational image compression with a scale hyperprior",
ICLR 2018.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calotype.coder.tables import TableSet

TAIL = 2.0**-15
"""Mass outside a table by default, coded by its escape."""


def log_scales(count: int = 64, low: float = 0.11, high: float = 256.0) -> NDArray[np.float64]:
    """Return ``count`` standard deviations from ``low`` to ``high``, evenly spaced in their logarithm."""
    if count < 2 or not 0 < low < high:
        raise ValueError("scales need a count of 2 or more and 0 < low < high")
    return np.array([low * math.exp(i / (count - 1) * math.log(high / low)) for i in range(count)])


def gaussian_pmf(scale: float, radius: int) -> NDArray[np.float64]:
    """Return the masses of -radius .. radius under a rounded Gaussian, then the mass of everything else.

    Shape [2 radius + 2]. Made of differences of erfc, which is precise however far out the tail is.
    """
    edges = [0.5 * math.erfc((k + 0.5) / (scale * math.sqrt(2))) for k in range(radius + 1)]  # P(x > k + 1/2)
    side = [edges[k - 1] - edges[k] for k in range(1, radius + 1)]
    return np.array([*reversed(side), 1 - 2 * edges[0], *side, 2 * edges[radius]])


def gaussian_tables(scales: ArrayLike, *, tail: float = TAIL, min_radius: int = 1) -> TableSet:
    """Return one table per scale, covering -r .. r with at most ``tail`` of the mass outside.

    ``scales``: [T] standard deviations in units of the quantisation step, above 0 and at most 1000.
    ``min_radius``: smallest r, so that a real source's heavier tail near 0 stays out of the escape.
    Raises ValueError for scales or a tail out of range.
    """
    sigma = np.asarray(scales, dtype=np.float64)
    if (
        sigma.ndim != 1
        or sigma.size == 0
        or not np.isfinite(sigma).all()
        or sigma.min() <= 0
        or sigma.max() > 1000
    ):
        raise ValueError("scales must be a list of numbers above 0 and at most 1000")
    if not 2.0**-40 <= tail < 1 or not 0 <= min_radius < 1000:
        raise ValueError("tail must be in [2^-40, 1) and min_radius in 0 .. 999")
    radii = [max(min_radius, _radius(float(s), tail)) for s in sigma]
    return TableSet([gaussian_pmf(float(s), r) for s, r in zip(sigma, radii)], [-r for r in radii])


def _radius(scale: float, tail: float) -> int:
    """Return the smallest r with P(|x| > r + 1/2) <= tail."""
    low, high = -1, 1
    while math.erfc((high + 0.5) / (scale * math.sqrt(2))) > tail:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if math.erfc((middle + 0.5) / (scale * math.sqrt(2))) > tail:
            low = middle
        else:
            high = middle
    return high
