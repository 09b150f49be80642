"""The bytes themselves: fixed vectors that must never change, and a decoder made from the document."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given

from calotype.coder import Decoder, Encoder, TableSet, encode

from .reference import Reference
from .strategies import messages

# Two tables in exact integers: 5 values from -2 and 3 values from 10, each with its escape.
TABLES = TableSet.from_frequencies([100, 2000, 12000, 2000, 200, 84, 16000, 300, 80, 4], [6, 4], [-2, 10])
VALUES = [0, 0, 1, 10, -1, 0, 11, 10, 0, -2, 2, 12, 0, 3, -3, 9, 13, -70000, 2**31 - 1, -(2**31), 0, 0]
INDEX = [0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0, 0]
GOLDEN = "038a0600c7ed6610453d0a006bf4ca0c0496f77eef9fffdfefdf5be4d4edffefffefff3f0030ffefffefffff0028"
GOLDEN_LARGE = "28f3aa71ce8967fe0dc25ba00b9a4ffaeea6b411db42b03433433ef0ae2bda7d"


def large_message() -> tuple[TableSet, np.ndarray, np.ndarray]:
    """100,000 symbols from a 32-bit linear congruential generator, so that no library can change them."""
    x, numbers = 12345, []
    for _ in range(100_000):
        x = (1664525 * x + 1013904223) % 2**32
        numbers.append(x >> 8)
    random = np.array(numbers)
    index = (random % 3 == 0).astype(np.uint8)
    noise = random // 3 % 64
    values = np.where(noise < 2, noise * 100, noise % 5 - 2) + 12 * index
    return TABLES, values, index


def test_golden_bytes():
    assert encode(VALUES, INDEX, TABLES).hex() == GOLDEN


def test_golden_ranges():
    encoder = Encoder()
    encoder.put_ranges([0, 16383, 5000, 0, 8192, 1], [16384, 1, 3000, 1, 8192, 2])
    encoder.put(VALUES[:3], INDEX[:3], TABLES)
    assert encoder.finish().hex() == "147d1000ff3f0008845d0700000075570100"


def test_golden_digest():
    tables, values, index = large_message()
    assert hashlib.sha256(encode(values, index, tables)).hexdigest() == GOLDEN_LARGE


def test_nothing_is_the_empty_stream():
    assert encode([], [], TABLES) == b""
    Decoder(b"").finish()
    Decoder(bytes.fromhex("00000100" * 4)).finish()  # the same states, written out


@given(messages())
def test_the_document_decodes_what_the_coder_writes(message):
    tables, values, index, skip = message
    reference = Reference(encode(values, index, tables, skip=skip))
    ends = np.cumsum(tables.lengths)
    rows = [tables.frequencies[end - n : end].tolist() for end, n in zip(ends, tables.lengths)]
    back = [0 if t == skip else reference.symbol(rows[t], int(tables.offsets[t])) for t in index]
    assert back == values.tolist()
    assert reference.at_end()


def test_the_document_decodes_ranges():
    encoder = Encoder()
    encoder.put_ranges([0, 100, 300, 300], [100, 200, 16084, 16084])
    encoder.put(VALUES, INDEX, TABLES)
    reference = Reference(encoder.finish())
    assert [reference.position([0, 100, 300, 16384]) for _ in range(4)] == [0, 1, 2, 2]
    assert reference.symbol([100, 2000, 12000, 2000, 200, 84], -2) == 0
