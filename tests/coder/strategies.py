"""Hypothesis strategies and data shared by the coder's tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from calotype.coder import TOTAL, TableSet, gaussian_tables, log_scales

INT32 = st.integers(-(2**31), 2**31 - 1)


@st.composite
def table_sets(draw: st.DrawFn) -> TableSet:
    """1 to 5 tables of 2 to 40 entries: flat, peaked, or nearly deterministic; offsets near 0 or extreme."""
    pmfs, offsets = [], []
    for _ in range(draw(st.integers(1, 5))):
        weights = st.sampled_from([0, 1, 1, 2, 5, 100, 10_000, 10**8])
        pmf = draw(st.lists(weights, min_size=2, max_size=40).filter(any))
        pmfs.append(pmf)
        offsets.append(draw(st.sampled_from([-len(pmf) // 2, 0, 7, -(2**30), 2**30])))
    return TableSet(pmfs, offsets)


@st.composite
def messages(draw: st.DrawFn) -> tuple[TableSet, NDArray[np.int32], NDArray[np.uint8], int | None]:
    """Tables, values, their indices and a skip index (or None): everything that one put takes."""
    tables = draw(table_sets())
    n = draw(st.integers(0, 30))
    index = np.array(draw(st.lists(st.integers(0, len(tables) - 1), min_size=n, max_size=n)), np.uint8)
    inside = [draw(st.integers(-2, int(tables.lengths[t]))) + int(tables.offsets[t]) for t in index]
    values = np.array([draw(st.one_of(st.just(v), INT32)) for v in inside], np.int64).astype(np.int32)
    skip = draw(st.one_of(st.none(), st.integers(0, len(tables))))
    if skip is not None:
        values[index == skip] = 0
    return tables, values, index, skip


def gaussian_message(n: int, seed: int = 0) -> tuple[TableSet, NDArray[np.int32], NDArray[np.uint8]]:
    """n rounded Gaussians over 64 scales, small ones the most common, as a hyperprior codec has them."""
    random = np.random.default_rng(seed)
    scales = log_scales(64, 0.11, 64.0)
    index = np.minimum(63, random.exponential(12.0, n)).astype(np.uint8)
    values = np.rint(random.standard_normal(n) * scales[index]).astype(np.int32)
    return gaussian_tables(scales), values, index


__all__ = ["INT32", "TOTAL", "gaussian_message", "messages", "table_sets"]
