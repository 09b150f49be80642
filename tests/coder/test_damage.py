"""Damaged and hostile streams: FormatError or some array, never anything else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.coder import Decoder, TableSet, decode, encode
from calotype.errors import FormatError

from .strategies import gaussian_message, messages

MESSAGE = gaussian_message(3000)
STREAM = encode(MESSAGE[1], MESSAGE[2], MESSAGE[0])
MANY = 4 * settings().max_examples  # what is cheap is tried oftener


def decodes_or_refuses(data, index, tables, skip=None) -> bool:
    """True if the data was taken for a whole stream."""
    try:
        values = decode(data, index, tables, skip=skip)
    except FormatError:
        return False
    assert values.dtype == np.int32
    assert values.shape == index.shape
    return True


@given(st.binary(max_size=200), messages())
def test_random_bytes(data, message):
    tables, _, index, skip = message
    decodes_or_refuses(data, index, tables, skip)


@given(st.binary(max_size=64))
def test_random_words_after_good_states(data):
    tables, _, index = MESSAGE
    decodes_or_refuses(STREAM[:16] + data, index, tables)


@given(st.integers(0, len(STREAM) * 8 - 1))
@settings(max_examples=MANY)
def test_one_flipped_bit_is_noticed(bit):
    data = bytearray(STREAM)
    data[bit // 8] ^= 1 << bit % 8
    tables, _, index = MESSAGE
    assert not decodes_or_refuses(bytes(data), index, tables)


@pytest.mark.parametrize("cut", [*range(1, 40), len(STREAM) // 2, len(STREAM) - 2, len(STREAM) - 1])
def test_truncated(cut):
    tables, _, index = MESSAGE
    with pytest.raises(FormatError, match=r"truncated|early"):
        decode(STREAM[:cut], index, tables)


def test_an_empty_stream_is_not_a_long_one():
    tables, _, index = MESSAGE
    with pytest.raises(FormatError, match="early"):
        decode(b"", index, tables)


def test_trailing_bytes_and_missing_symbols():
    tables, _, index = MESSAGE
    with pytest.raises(FormatError, match="left over"):
        decode(STREAM + b"\0\0", index, tables)
    with pytest.raises(FormatError, match="left over"):
        decode(STREAM, index[:-500], tables)
    with pytest.raises(FormatError, match=r"damaged|early"):
        decode(STREAM, np.append(index, index), tables)


def test_impossible_state():
    with pytest.raises(FormatError, match="impossible state"):
        Decoder(b"\xff\xff\0\0" * 4)


def test_endless_escape_ends():
    """All states stay at the all-ones slots, where every bit of an escape's length reads 1."""
    tables = TableSet.from_frequencies([8192, 8192], [2], [0])
    with pytest.raises(FormatError, match="impossible escape"):
        decode(b"\xff" * 4000, np.zeros(100, np.uint8), tables)


def test_escaped_value_beyond_int32():
    """33 bits of distance from an offset at the end of the range cannot be an int32."""
    far = TableSet([[1, 1]], [2**30])
    near = TableSet([[1, 1]], [-(2**30)])
    data = encode([-(2**31)], [0], far)
    with pytest.raises(FormatError, match="32 bits"):
        decode(data, [0], near)


def test_a_failed_decoder_stays_closed():
    tables, _, index = MESSAGE
    decoder = Decoder(STREAM[:100])
    with pytest.raises(FormatError, match="early"):
        decoder.get(index, tables)
    with pytest.raises(RuntimeError, match="failed"):
        decoder.get(index, tables)
    with pytest.raises(RuntimeError, match="failed"):
        decoder.finish()
