"""Gaussian tables against known values and an independent computation."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from calotype.coder import TOTAL, gaussian_tables, log_scales
from calotype.coder.gaussian import gaussian_pmf


def test_known_answers():
    assert gaussian_pmf(1.0, 4)[4] == pytest.approx(0.3829249, abs=1e-7)
    assert gaussian_pmf(0.11, 1)[1] == pytest.approx(0.9999945, abs=1e-7)


@pytest.mark.parametrize("scale", [0.11, 0.5, 1.0, 7.3, 64.0])
def test_pmf_is_the_mass_between_edges(scale):
    radius = 12
    pmf, normal = gaussian_pmf(scale, radius), NormalDist(0, scale)
    edges = [normal.cdf(k - 0.5) for k in range(-radius, radius + 2)]
    np.testing.assert_allclose(pmf[:-1], np.diff(edges), atol=1e-15)
    assert pmf[-1] == pytest.approx(2 * edges[0], rel=1e-9)
    assert pmf.sum() == pytest.approx(1.0, abs=1e-12)
    np.testing.assert_array_equal(pmf[:-1], pmf[-2::-1])


def test_the_tail_keeps_its_precision():
    # P(x > 9.5) for sigma 1, beyond what 1 - cdf can resolve: the erfc value from tables is 1.05e-21.
    assert gaussian_pmf(1.0, 9)[-1] == pytest.approx(2 * 1.0494515e-21, rel=1e-6)


def test_log_scales():
    scales = log_scales()
    assert len(scales) == 64
    assert scales[0] == 0.11
    assert scales[-1] == pytest.approx(256)
    np.testing.assert_allclose(np.diff(np.log(scales)), math.log(256 / 0.11) / 63)


@pytest.mark.parametrize("tail", [2.0**-8, 2.0**-15, 2.0**-20])
def test_tables_are_as_short_as_the_tail_allows(tail):
    scales = log_scales(20, 0.11, 200)
    tables = gaussian_tables(scales, tail=tail, min_radius=0)
    for scale, length, offset in zip(scales, tables.lengths.tolist(), tables.offsets.tolist()):
        radius = -offset
        assert length == 2 * radius + 2
        normal = NormalDist(0, scale)
        assert 2 * normal.cdf(-radius - 0.5) <= tail * (1 + 1e-9)
        assert radius == 0 or 2 * normal.cdf(-radius + 0.5) > tail * (1 - 1e-9)


def test_frequencies_follow_the_pmf():
    tables = gaussian_tables([0.05, 2.0], min_radius=2)
    first, second = np.split(tables.frequencies, np.cumsum(tables.lengths)[:-1])
    assert first.tolist() == [1, 1, TOTAL - 5, 1, 1, 1]
    np.testing.assert_allclose(second / TOTAL, gaussian_pmf(2.0, len(second) // 2 - 1), atol=1.5 / TOTAL)


@pytest.mark.parametrize("scales", [[], [0.0], [-1.0], [np.nan], [np.inf], [1001.0], [[1.0]]])
def test_wrong_scales_are_refused(scales):
    with pytest.raises(ValueError, match="scales"):
        gaussian_tables(scales)


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="tail"):
        gaussian_tables([1.0], tail=0.0)
    with pytest.raises(ValueError, match="scales need"):
        log_scales(1)
