"""Integer tables: quantisation, validation, storage, and the price of symbols."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.coder import PRECISION, TOTAL, TableSet, cdf_rows, quantise

PMF = st.lists(st.floats(0, 1e6, allow_subnormal=False), min_size=1, max_size=80).filter(lambda p: sum(p) > 0)


def test_precision_is_part_of_the_format():
    from calotype import _rans

    assert PRECISION == _rans.PRECISION == 14


@given(PMF)
def test_quantised_frequencies_are_a_table(pmf):
    freq = quantise(pmf)
    assert freq.dtype == np.uint32
    assert int(freq.sum()) == TOTAL
    assert freq.min() >= 1
    np.testing.assert_array_equal(freq, quantise(pmf))


@given(PMF)
def test_no_single_move_would_lower_the_cost(pmf):
    freq, p = quantise(pmf).astype(float), np.array(pmf) / sum(pmf)
    if len(p) < 2:
        return
    gain = p * np.log2((freq + 1) / freq)
    loss = np.where(freq > 1, p * np.log2(freq / np.maximum(freq - 1, 0.5)), np.inf)
    for i in np.argsort(loss)[:2]:
        assert np.delete(gain, i).max() <= loss[i] + 2e-4 * p.max()


def test_quantising_costs_little():
    x = np.arange(-40, 41)
    pmf = np.exp(-0.5 * (x / 9.0) ** 2)
    pmf /= pmf.sum()
    assert (pmf * np.log2(pmf / (quantise(pmf) / TOTAL))).sum() < 1e-3


def test_an_exact_pmf_stays_exact():
    assert quantise([1, 2, 1]).tolist() == [4096, 8192, 4096]
    assert quantise(np.ones(TOTAL)).tolist() == [1] * TOTAL
    assert quantise([0, 1, 0]).tolist() == [1, TOTAL - 2, 1]


@pytest.mark.parametrize(
    "pmf", [[], [0, 0], [1, -1e-9], [np.nan, 1], [np.inf, 1], [[1, 1]], [1] * (TOTAL + 1)]
)
def test_what_is_not_a_pmf_is_refused(pmf):
    with pytest.raises(ValueError, match="pmf"):
        quantise(pmf)


@given(st.integers(1, 700), st.integers(0, 2**32 - 1), st.floats(0.01, 30))
def test_cdf_rows(length, seed, power):
    pmfs = np.random.default_rng(seed).random((6, length)) ** power + 1e-300
    cdf = cdf_rows(pmfs)
    assert cdf.dtype == np.uint32
    assert cdf.shape == (6, length + 1)
    assert (cdf[:, 0] == 0).all()
    assert (cdf[:, -1] == TOTAL).all()
    assert (np.diff(cdf.astype(np.int64)) >= 1).all()


def test_cdf_rows_of_nothing_and_of_no_pmf():
    assert cdf_rows(np.zeros((0, 4))).shape == (0, 5)
    with pytest.raises(ValueError, match="pmf"):
        cdf_rows([[1.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match="L"):
        cdf_rows([1.0, 2.0])


def test_storage():
    tables = TableSet([[5, 2, 1], [1, 1, 1, 1]], [-3, 0])
    assert TableSet.from_arrays(tables.to_arrays()) == tables
    assert TableSet.from_arrays(tables.to_arrays()) != TableSet([[5, 2, 1]], [-3])
    assert len(tables) == 2
    assert tables.lengths.tolist() == [3, 4]
    with pytest.raises(ValueError, match="read-only"):
        tables.frequencies[0] = 3
    with pytest.raises(ValueError, match="lack lengths, offsets"):
        TableSet.from_arrays({"frequencies": [1]})


@pytest.mark.parametrize(
    ("frequencies", "lengths", "offsets", "message"),
    [
        ([8192, 8192], [2], [0, 0], "2 offsets"),
        ([], [], [], "number of tables"),
        ([TOTAL], [1], [0], "2 to"),
        ([8192, 8192], [3], [0], "add up"),
        ([8192, 8192, 1], [2], [0], "add up"),
        ([8192, 8191], [2], [0], "sum to 16383"),
        ([TOTAL, 0], [2], [0], "outside"),
        ([TOTAL + 1, -1], [2], [0], "outside"),
        ([8192, 8192], [2], [2**30 + 1], "offset"),
        ([8192, 8192], [2], [-(2**31)], "offset"),
        ([0.5, 0.5], [2], [0], "integers"),
        ([[8192, 8192]], [2], [0], "one dimension"),
    ],
)
def test_invalid_tables_are_refused(frequencies, lengths, offsets, message):
    with pytest.raises(ValueError, match=message):
        TableSet.from_frequencies(frequencies, lengths, offsets)


@pytest.mark.parametrize(
    ("frequencies", "lengths", "offsets"),
    [
        ([8192, 8191], [2], [0]),
        ([TOTAL, 0], [2], [0]),
        ([8192] * 2, [3], [0]),
        ([8192] * 3, [2], [0]),
        ([8192] * 2, [2**31], [0]),
        ([8192] * 2, [2], [2**30 + 1]),
        ([2**32 - 1, 16385], [2], [0]),
        ([], [], []),
    ],
)
def test_the_native_coder_checks_for_itself(frequencies, lengths, offsets):
    from calotype import _rans

    arrays = np.array(frequencies, np.uint32), np.array(lengths, np.uint32), np.array(offsets, np.int32)
    with pytest.raises(ValueError, match=r"table|frequencies"):
        _rans.Tables(*arrays)


def test_bits():
    tables = TableSet.from_frequencies([8192, 4096, 4096, TOTAL - 1, 1], [3, 2], [10, 0])
    values = np.array([[10, 11, 0], [12, 9, 15]])
    index = np.array([[0, 0, 1], [0, 0, 0]])
    # The escape costs 2 bits here; then distance codes 0, 1 and 6 take 2, 2 and 6 bits.
    expected = [[1, 2, -math.log2((TOTAL - 1) / TOTAL)], [2 + 2, 2 + 2, 2 + 6]]
    np.testing.assert_allclose(tables.bits(values, index), expected)
    assert tables.bits([0], [7], skip=7).tolist() == [0]
    with pytest.raises(ValueError, match="no table"):
        tables.bits([0], [2])
