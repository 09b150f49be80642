"""Interpolation between trained levels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.codec import levels
from calotype.codec.pack import Pack
from calotype.pack.levels import EXACT, GAINS, interpolated, powers_of_two

INT32 = st.integers(-(2**31), 2**31 - 1)


@given(st.lists(INT32, min_size=2, max_size=5), st.data())
def test_exact_interpolation_is_the_rule_in_unlimited_integers(
    values: list[int], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, 256 * (len(values) - 1)))
    low, step = divmod(number, 256)
    high = min(low + 1, len(values) - 1)
    expected = math.floor((values[low] * (256 - step) + values[high] * step + 128) / 256)
    table = np.array(values, np.int32)[:, None]
    assert interpolated(table, number).tolist() == [expected]


def test_trained_levels_are_met_exactly(pack: Pack) -> None:
    tables = pack._tables
    for anchor in range(pack.manifest.levels):
        level = pack.level(256 * anchor)
        for name in (name for name in EXACT if "step" not in name):
            assert np.array_equal(level.integers[name], tables[name][anchor])
            assert level.integers[name].dtype == np.int32
        for name in GAINS:
            np.testing.assert_allclose(level.gains[name], tables[name][anchor], rtol=1e-6)
        for steps, name in ((level.steps.low, "low_log_step"), (level.steps.high, "high_log_step")):
            wanted = 2.0 ** (tables[name][anchor] / 65536)
            assert np.allclose(steps, wanted, rtol=2e-6, atol=0.5)  # a chord of 1/256 octave, and rounding
        assert np.array_equal(level.vector, tables["level_vector"][anchor])


def test_powers_of_two() -> None:
    logs = np.array([0, 65536, 3 * 65536 + 32768, 29 * 65536 + 65535, 12345678 // 7], np.int32)
    wanted = 2.0 ** (logs / 65536)
    assert np.abs(powers_of_two(logs) / wanted - 1).max() < 0.05  # small ones are rounded to integers
    assert powers_of_two(logs)[[0, 1]].tolist() == [1, 2]
    every = powers_of_two(np.arange(0, 30 << 16, 97, dtype=np.int32))
    assert (np.diff(every) >= 0).all()
    assert every.max() < 2**30


def test_gains_and_steps_are_even_in_the_logarithm(pack: Pack) -> None:
    gain = pack._tables["low_gain"].copy()
    gain[0], gain[1] = 1.0, 4.0
    tables = {**pack._tables, "low_gain": gain}
    assert levels.at(tables, 128).gains["low_gain"] == pytest.approx(2)
    assert levels.at(tables, 64).gains["low_gain"] == pytest.approx(2**0.5)


def test_levels_outside_are_refused(pack: Pack) -> None:
    for number in (-1, pack.manifest.max_level + 1):
        with pytest.raises(ValueError, match="level"):
            pack.level(number)


def test_quality_and_level_are_inverse(pack: Pack) -> None:
    assert pack.level_of(0) == pack.manifest.quality[0][1]
    assert pack.level_of(100) == pack.manifest.quality[-1][1]
    found = [pack.level_of(q) for q in np.linspace(0, 100, 201)]
    assert found == sorted(found)
    for level in found:
        assert pack.level_of(pack.quality_of(level)) == level
    for quality in (-0.1, 100.5, math.nan):
        with pytest.raises(ValueError, match="quality"):
            pack.level_of(quality)
