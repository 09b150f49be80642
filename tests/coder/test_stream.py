"""Round trips, the split into calls, skipping, per-symbol ranges, size, and refusal of wrong arguments."""

from __future__ import annotations

import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.coder import TOTAL, Decoder, Encoder, TableSet, cdf_rows, decode, encode, gaussian_tables

from .strategies import gaussian_message, messages

TABLES = TableSet([[1, 6, 1, 0.1], [3, 3, 3, 3, 0]], [-1, -2])


@given(messages())
def test_round_trip(message):
    tables, values, index, skip = message
    data = encode(values, index, tables, skip=skip)
    back = decode(data, index, tables, skip=skip)
    assert back.dtype == np.int32
    np.testing.assert_array_equal(back, values)
    assert len(data) * 8 <= tables.bits(values, index, skip=skip).sum() * 1.003 + 16 * 8


@given(st.lists(messages(), min_size=1, max_size=4))
def test_several_puts_make_one_stream(parts):
    encoder = Encoder()
    for tables, values, index, skip in parts:
        encoder.put(values, index, tables, skip)
    decoder = Decoder(encoder.finish())
    for tables, values, index, skip in parts:
        np.testing.assert_array_equal(decoder.get(index, tables, skip), values)
    decoder.finish()


@given(messages(), st.lists(st.integers(0, 60), max_size=5), st.lists(st.integers(0, 60), max_size=5))
def test_cuts_do_not_matter(message, cuts_in, cuts_out):
    tables, values, index, skip = message
    encoder = Encoder()
    for a, b in pairwise([0, *sorted(cuts_in), None]):
        encoder.put(values[a:b], index[a:b], tables, skip)
    data = encoder.finish()
    assert data == encode(values, index, tables, skip=skip)
    decoder = Decoder(data)
    parts = [decoder.get(index[a:b], tables, skip) for a, b in pairwise([0, *sorted(cuts_out), None])]
    decoder.finish()
    np.testing.assert_array_equal(np.concatenate(parts), values)


@given(st.integers(1, 70), st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_symbols_with_their_own_distributions(length, n, seed):
    random = np.random.default_rng(seed)
    pmfs = random.random((n, length)) ** 8 + 1e-9
    cdfs = cdf_rows(pmfs)
    symbols = random.integers(0, length, n)
    rows = np.arange(n)
    start = cdfs[rows, symbols]
    tables, values, index = gaussian_message(50, seed % 100)
    encoder = Encoder()
    encoder.put(values, index, tables)
    encoder.put_ranges(start, cdfs[rows, symbols + 1] - start)
    encoder.put(values, index, tables)
    decoder = Decoder(encoder.finish())
    np.testing.assert_array_equal(decoder.get(index, tables), values)
    np.testing.assert_array_equal(decoder.get_search(cdfs), symbols)
    np.testing.assert_array_equal(decoder.get(index, tables), values)
    decoder.finish()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_index_types_and_shapes(dtype):
    tables, values, index = gaussian_message(6000)
    shaped, strided = values.reshape(3, 40, 50), index.astype(dtype).reshape(50, 40, 3).T
    data = encode(shaped, strided, tables)
    back = decode(bytearray(data), strided, tables)
    np.testing.assert_array_equal(back, shaped)
    assert data == encode(values, np.ascontiguousarray(strided).reshape(-1), tables)


@pytest.mark.parametrize("n", [0, 1, 3, 4, 5, 2047, 2048, 2049, 300_000])
def test_size_is_the_cross_entropy(n):
    tables, values, index = gaussian_message(n)
    data = encode(values, index, tables)
    ideal = tables.bits(values, index).sum() / 8
    assert ideal - 8 <= len(data) <= ideal * 1.003 + 16
    np.testing.assert_array_equal(decode(data, index, tables), values)


@pytest.mark.parametrize("scale", [0.05, 0.11, 0.3, 1.0, 5.0, 60.0, 1000.0])
def test_size_at_one_scale(scale):
    tables = gaussian_tables([scale])
    values = np.rint(np.random.default_rng(3).standard_normal(100_000) * scale).astype(np.int32)
    index = np.zeros(values.size, np.uint8)
    data = encode(values, index, tables)
    assert len(data) <= tables.bits(values, index).sum() / 8 * 1.003 + 16
    np.testing.assert_array_equal(decode(data, index, tables), values)


def test_escapes_reach_all_of_int32():
    values = np.array([-(2**31), 2**31 - 1, -2, 2, 0, 2**30, -(2**30)] * 700, np.int32)
    index = np.zeros(values.size, np.uint16)
    for offset in (-1, -(2**30), 2**30):
        tables = TableSet([[1, 1, 1, 1]], [offset])
        data = encode(values, index, tables)
        np.testing.assert_array_equal(decode(data, index, tables), values)
        assert len(data) * 8 <= tables.bits(values, index).sum() * 1.003 + 128


def test_skipped_symbols_cost_nothing():
    tables, values, index = gaussian_message(20_000)
    values[index < 9], index[index < 9] = 0, 0
    data = encode(values, index, tables, skip=0)
    assert data == encode(values[index > 0], index[index > 0], tables)
    np.testing.assert_array_equal(decode(data, index, tables, skip=0), values)
    assert encode(np.zeros(500, np.int32), np.full(500, 200, np.uint8), tables, skip=200) == b""
    assert not decode(b"", np.full(500, 200, np.uint8), tables, skip=200).any()


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="no table"):
        encode([0], np.array([2], np.uint8), TABLES)
    with pytest.raises(ValueError, match="no table"):
        encode([0], [-1], TABLES)
    with pytest.raises(ValueError, match="not 0"):
        encode([1], [1], TABLES, skip=1)
    with pytest.raises(ValueError, match="shape"):
        encode([1, 1], [1], TABLES)
    with pytest.raises(ValueError, match="integers"):
        encode([0.5], [1], TABLES)
    with pytest.raises(ValueError, match="range"):
        encode([2**31], [1], TABLES)
    with pytest.raises(ValueError, match="no table"):
        decode(encode([0], [1], TABLES), [2], TABLES)
    encoder = Encoder()
    for start, freq in ([0, 0], [TOTAL, 1], [1, TOTAL], [2**32 - 1, 2]):
        with pytest.raises(ValueError, match="range"):
            encoder.put_ranges([start], [freq])
    with pytest.raises(ValueError, match="length"):
        encoder.put_ranges([0, 1], [1])
    assert encoder.finish() == b""


def test_a_refused_put_leaves_the_encoder_as_it_was():
    tables, values, index = gaussian_message(5000)
    bad = index.copy()
    bad[-1] = 64
    encoder = Encoder()
    encoder.put(values, index, tables)
    with pytest.raises(ValueError, match="no table"):
        encoder.put(values, bad, tables)
    assert encoder.finish() == encode(values, index, tables)
    with pytest.raises(RuntimeError, match="finished"):
        encoder.put(values, index, tables)


@pytest.mark.parametrize(
    "row", [[0, 5], [1, TOTAL], [0, 9, 5, TOTAL], [0, 2**31, TOTAL], [0, 0, TOTAL + 1], [TOTAL, 0]]
)
def test_rows_must_be_cumulative(row):
    with pytest.raises(ValueError, match="cumulative"):
        Decoder(b"").get_search(np.array([row], np.uint32))


def test_rows_need_two_entries_and_two_dimensions():
    with pytest.raises(ValueError, match="2 entries"):
        Decoder(b"").get_search(np.zeros((3, 1), np.uint32))
    with pytest.raises(ValueError, match="shape"):
        Decoder(b"").get_search(np.zeros(3, np.uint32))


def test_threads_share_tables():
    tables, values, index = gaussian_message(200_000)
    data = encode(values, index, tables)
    results: list[bool] = []

    def work() -> None:
        back = decode(data, index, tables)
        results.append(np.array_equal(back, values) and encode(back, index, tables) == data)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4
