"""Interpolation between trained levels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.codec import levels
from calotype.codec.pack import Pack

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
    assert levels.exact(table, number).tolist() == [expected]


def test_trained_levels_are_met_exactly(pack: Pack) -> None:
    tables = pack._tables
    for anchor in range(pack.manifest.levels):
        level = pack.level(256 * anchor)
        assert level.anchor == anchor
        assert np.array_equal(level.feeds["z_mul"], tables["z_mul"][anchor])
        for name in ("z_place", "z_scale", "low_bias", "high_bias"):
            assert np.array_equal(level.feeds[name], tables[name][anchor])
            assert np.array_equal(level.integers[name], tables[name][anchor])
        assert np.array_equal(level.feeds["level"], tables["level_vector"][anchor])
        for name in ("low_gain", "low_inv_gain", "high_gain", "high_inv_gain"):
            assert np.allclose(level.feeds[name], tables[name][anchor], rtol=1e-6)


def test_gains_lie_between_their_neighbours_and_rise_evenly_in_the_log(pack: Pack) -> None:
    tables = {**pack._tables, "gain": np.array([[1.0], [16.0]] + [[16.0]] * (pack.manifest.levels - 2))}
    assert float(levels.at(tables, 64).feeds["gain"][0]) == pytest.approx(2)
    assert float(levels.at(tables, 128).feeds["gain"][0]) == pytest.approx(4)


@pytest.mark.parametrize(("number", "anchor"), [(0, 0), (127, 0), (128, 1), (383, 1), (384, 2)])
def test_z_tables_are_those_of_the_nearest_level(pack: Pack, number: int, anchor: int) -> None:
    assert pack.level(number).anchor == anchor


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
