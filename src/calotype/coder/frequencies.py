"""Real probabilities to integer frequencies that sum to exactly 2^PRECISION, none of them zero.

Only IEEE additions, multiplications and divisions are used, in a fixed order: a given pmf gives the same
frequencies on every machine.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import ArrayLike, NDArray

PRECISION = 14
"""Bits of precision of the coder's frequencies; part of the format."""
TOTAL = 1 << PRECISION
"""Sum of the frequencies of one table."""


def quantise(pmf: ArrayLike) -> NDArray[np.uint32]:
    """Return the frequencies for one pmf: uint32 [n], each at least 1, with the sum TOTAL.

    ``pmf``: [n] finite, non-negative, not all zero; normalised here. 1 <= n <= TOTAL.
    Starts from rounding, then moves single units where that costs the least expected code length
    (the cost's derivative with respect to a frequency f is proportional to p / f).
    """
    p = np.asarray(pmf, dtype=np.float64)
    if p.ndim != 1 or not 1 <= p.size <= TOTAL:
        raise ValueError(f"a pmf must have 1 to {TOTAL} entries in one dimension, not shape {p.shape}")
    total = float(p.sum())
    if not np.isfinite(total) or total <= 0 or float(p.min()) < 0:
        raise ValueError("a pmf must be finite, non-negative and not all zero")
    p = p / total
    freq = np.maximum(1, np.floor(p * TOTAL + 0.5)).astype(np.int64)
    error = TOTAL - int(freq.sum())
    step = 1 if error > 0 else -1
    if step > 0:
        heap = [(-value / (f + 0.5), i) for i, (value, f) in enumerate(zip(p.tolist(), freq.tolist()))]
    else:
        heap = [
            (value / (f - 0.5), i) for i, (value, f) in enumerate(zip(p.tolist(), freq.tolist())) if f > 1
        ]
    heapq.heapify(heap)
    for _ in range(abs(error)):
        _, i = heap[0]
        freq[i] += step
        f = int(freq[i])
        if step > 0:
            heapq.heapreplace(heap, (-float(p[i]) / (f + 0.5), i))
        elif f > 1:
            heapq.heapreplace(heap, (float(p[i]) / (f - 0.5), i))
        else:
            heapq.heappop(heap)
    return freq.astype(np.uint32)


def cdf_rows(pmfs: ArrayLike) -> NDArray[np.uint32]:
    """Return cumulative frequencies for many pmfs at once: uint32 [n, L + 1], each row from 0 to TOTAL.

    ``pmfs``: [n, L], normalised here; for distributions of their own per symbol, such as mixtures.
    Row i of the result goes to ``Decoder.get_search``; to encode symbol s pass ``start = row[s]`` and
    ``freq = row[s + 1] - row[s]`` to ``Encoder.put_ranges``. Faster and a little coarser than ``quantise``:
    what rounding leaves over goes to the most probable symbol.
    """
    p = np.asarray(pmfs, dtype=np.float64)
    if p.ndim != 2 or not 1 <= p.shape[1] <= TOTAL:
        raise ValueError(f"pmfs must be [n, L] with L from 1 to {TOTAL}, not of shape {p.shape}")
    totals = p.sum(axis=1, keepdims=True)
    if p.size and (not np.isfinite(totals).all() or float(totals.min()) <= 0 or float(p.min()) < 0):
        raise ValueError("every pmf must be finite, non-negative and not all zero")
    freq = np.maximum(1, np.floor(p / totals * TOTAL + 0.5)).astype(np.int64)
    rows = np.arange(len(freq))
    mode = p.argmax(axis=1) if p.size else rows
    freq[rows, mode] += TOTAL - freq.sum(axis=1)
    for i in np.flatnonzero(freq[rows, mode] < 1):  # very long, flat rows only
        freq[i] = quantise(p[i])
    cdf = np.zeros((len(freq), p.shape[1] + 1), np.uint32)
    cdf[:, 1:] = freq.cumsum(axis=1)
    return cdf
