"""A plan through the trellis costs what the best one does, and values are those of their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.coder import TableSet, trellis

LANES, STATES = 8, 128
UNIT = 1 / 32
"""What costs are counted in, in bits."""


def after(state: int, number: int) -> int:
    return state >> 1 ^ 78 * (state & 1) ^ 43 * (number & 1)


def tables() -> TableSet:
    """Laplacian laws of three scales, each for 64 classes, at the values of each quantiser."""
    number = np.arange(-60, 61)
    laws = []
    for second in (0, 1):
        for scale in np.repeat([0.4, 1.5, 6.0], 64):
            p = np.exp(-np.abs(2 * number - second * np.sign(number)) / scale) + 1e-9
            laws.append(np.append(p, 1e-6) / (p.sum() + 1e-6))
    return TableSet(laws, np.full(len(laws), -60))


TABLES = tables()


def cost(size: np.ndarray, table: np.ndarray, value: np.ndarray, second: np.ndarray, worth: float) -> float:
    bits = TABLES.bits(trellis.numbers(value, second), table + 192 * second.astype(int))
    return float(bits.sum() + worth * np.square(size - value).sum())


def least(size: np.ndarray, table: np.ndarray, worth: float) -> float:
    """Of one machine: the cost of its best way, by all values near each size, and 0."""
    spent = {0: 0.0}
    for x, t in zip(size.tolist(), table.tolist()):
        found: dict[int, float] = {}
        for state, so_far in spent.items():
            second = state & 1
            low = int((abs(x) + second) // 2)
            for n in {0, low, low + 1}:
                v = int(np.sign(x) or 1) * max(2 * n - second, 0) if n else 0
                signed = n if v >= 0 else -n
                bits = float(TABLES.bits(signed, t + 192 * second))
                to, more = after(state, n), so_far + bits + worth * (x - v) ** 2
                found[to] = min(found.get(to, np.inf), more)
        spent = found
    return min(spent.values())


@pytest.mark.parametrize("worth", [0.5, 6.0, 25.0])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 70, 333])
def test_no_way_costs_less(count: int, worth: float) -> None:
    rng = np.random.default_rng(count)
    kind = rng.integers(0, 3, count)
    size = rng.laplace(0, np.array([0.6, 2.0, 8.0])[kind]).astype(np.float32)
    table = (64 * kind + 5).astype(np.uint8)
    value, second = trellis.plan(TABLES, size, table, worth)
    best = sum(least(size[k::LANES], table[k::LANES], worth) for k in range(min(LANES, count)))
    assert best - 1e-3 <= cost(size, table, value, second, worth) <= best + UNIT * count


def test_it_pays() -> None:
    """Against the nearest of even steps: fewer bits for the same error."""
    rng = np.random.default_rng(3)
    size = rng.laplace(0, 1.5, 40_000).astype(np.float32)
    table = np.full(len(size), 64, np.uint8)
    found = []
    for worth in (2.0, 6.0, 18.0):
        value, second = trellis.plan(TABLES, size, table, worth)
        bits = TABLES.bits(trellis.numbers(value, second), 64 + 192 * second.astype(int)).mean()
        found.append((np.log2(np.square(size - value).mean()), bits))
    rounded = np.rint(size / 1.6)
    share = np.unique(rounded, return_counts=True)[1] / len(size)
    error, bits = np.log2(np.square(size - 1.6 * rounded).mean()), -(share * np.log2(share)).sum()
    errors, rates = zip(*sorted(found))
    assert errors[0] < error < errors[-1]
    assert np.interp(error, errors, rates) < 0.97 * bits


@given(st.lists(st.integers(-(2**14), 2**14), max_size=60))
@settings(deadline=None)
def test_values_and_numbers_are_each_others(number: list[int]) -> None:
    value = trellis.values(np.array(number, np.int32))
    states, second = [0] * LANES, []
    for k, n in enumerate(number):
        second.append(states[k % LANES] & 1)
        states[k % LANES] = after(states[k % LANES], n)
    assert trellis.numbers(value, np.array(second, np.uint8)).tolist() == number
    assert all(v == 0 or v & 1 == s for v, s in zip(value.tolist(), second))


def test_sizes_that_are_too_large_are_cut() -> None:
    value, _ = trellis.plan(TABLES, np.float32([1e9, -1e9, np.inf]), np.full(3, 130, np.uint8))
    assert (np.abs(value - np.array([32000, -32000, 32000])) <= 2).all()


@pytest.mark.parametrize("table", [192, 255])
def test_tables_are_the_first_quantisers(table: int) -> None:
    with pytest.raises(ValueError, match="not the first quantiser's"):
        trellis.plan(TABLES, np.zeros(1, np.float32), np.array([table], np.uint8))
    with pytest.raises(ValueError, match="384 tables"):
        trellis.plan(TableSet([[0.5, 0.5]], [0]), np.zeros(1, np.float32), np.zeros(1, np.uint8))
