"""Coding of arrays to bytes and back. One stream may hold several arrays; docs/FORMAT.md has its layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calotype.coder.native import load
from calotype.coder.tables import TableSet
from calotype.errors import FormatError

if TYPE_CHECKING:
    import calotype._rans as _rans

Bytes = bytes | bytearray | memoryview


def encode(values: ArrayLike, index: ArrayLike, tables: TableSet, *, skip: int | None = None) -> bytes:
    """Code one array to a stream of its own. See ``Encoder.put``."""
    encoder = Encoder()
    encoder.put(values, index, tables, skip=skip)
    return encoder.finish()


def decode(data: Bytes, index: ArrayLike, tables: TableSet, *, skip: int | None = None) -> NDArray[np.int32]:
    """Return the array that ``encode`` coded with the same index, tables and skip.

    Raises FormatError when the data is truncated, damaged or longer than its symbols.
    """
    decoder = Decoder(data)
    values = decoder.get(index, tables, skip=skip)
    decoder.finish()
    return values


class Encoder:
    """Collects arrays and codes them, in order, to one stream.

    How the symbols are cut into calls does not change the bytes.
    Memory: about 4 bytes per coded symbol until ``finish``.
    """

    def __init__(self) -> None:
        self._coder: _rans.Encoder = load().Encoder()

    def put(self, values: ArrayLike, index: ArrayLike, tables: TableSet, skip: int | None = None) -> None:
        """Append ``values``, any int32, each coded with the table that ``index`` names; same shape, C order.

        Symbols whose index equals ``skip`` are not coded and decode to 0, so they must be 0.
        uint8, uint16 and int32 indices are read as they are; others are converted.
        Raises ValueError, and appends nothing, for an index without a table, a skipped value that is not 0,
        or arrays of different shapes.
        """
        value, table = _flat(values, np.int32), _index(index)
        if np.shape(values) != np.shape(index):
            raise ValueError(f"values of shape {np.shape(values)} but an index of shape {np.shape(index)}")
        self._coder.put(value, table, tables.native, skip)

    def put_ranges(self, start: ArrayLike, freq: ArrayLike) -> None:
        """Append symbols with probabilities of their own, as slots start .. start + freq - 1 out of TOTAL.

        Raises ValueError for a range that is empty or leaves 0 .. TOTAL.
        """
        self._coder.put_ranges(_flat(start, np.uint32), _flat(freq, np.uint32))

    def finish(self) -> bytes:
        """Return the stream. The encoder cannot be used afterwards."""
        return self._coder.finish()


class Decoder:
    """Reads arrays back in the order in which they were put.

    After an error the decoder refuses further calls (RuntimeError).
    """

    def __init__(self, data: Bytes) -> None:
        """Open a stream. Raises FormatError if it is too short to be one or starts impossibly."""
        native = load()
        self._error: type[Exception] = native.StreamError
        stream = np.frombuffer(data, np.uint8) if len(data) else np.zeros(0, np.uint8)
        try:
            self._coder: _rans.Decoder = native.Decoder(stream)
        except native.StreamError as error:
            raise FormatError(str(error)) from None

    def get(self, index: ArrayLike, tables: TableSet, skip: int | None = None) -> NDArray[np.int32]:
        """Return the next ``index.size`` values in the shape of ``index``; skipped ones are 0.

        Raises FormatError for damaged data (not all damage shows before ``finish``), ValueError for an index
        without a table.
        """
        table = _index(index)
        out = np.empty(table.size, np.int32)
        try:
            self._coder.get(table, tables.native, skip, out)
        except self._error as error:
            raise FormatError(str(error)) from None
        return out.reshape(np.shape(index))

    def get_search(self, cdfs: ArrayLike) -> NDArray[np.int32]:
        """Return the next n symbols, each decoded with its own row of cumulative frequencies.

        ``cdfs``: uint32 [n, L + 1], each row rising from 0 to TOTAL. A symbol is its position 0 .. L - 1.
        Raises FormatError for damaged data, ValueError for a row that is not cumulative frequencies.
        """
        rows = np.ascontiguousarray(_checked(cdfs, np.uint32))
        if rows.ndim != 2:
            raise ValueError(f"cdfs must be [n, L + 1], not of shape {rows.shape}")
        out = np.empty(rows.shape[0], np.int32)
        try:
            self._coder.search(rows, out)
        except self._error as error:
            raise FormatError(str(error)) from None
        return out

    def finish(self) -> None:
        """Check that the stream ends exactly here. Raises FormatError otherwise."""
        try:
            self._coder.finish()
        except self._error as error:
            raise FormatError(str(error)) from None


def _checked(array: ArrayLike, dtype: type[np.generic]) -> NDArray[Any]:
    """Return ``array`` in ``dtype``. Raises ValueError if it is not of integers or one does not fit."""
    a = np.asarray(array)
    if a.dtype == dtype:
        return a
    if a.size == 0:
        return a.astype(dtype)
    if not np.issubdtype(a.dtype, np.integer):
        raise ValueError(f"integers expected, not {a.dtype}")
    limits = np.iinfo(np.dtype(dtype))
    if int(a.min()) < limits.min or int(a.max()) > limits.max:
        raise ValueError(f"an integer is outside the range of {np.dtype(dtype).name}")
    return a.astype(dtype)


def _flat(array: ArrayLike, dtype: type[np.generic]) -> NDArray[Any]:
    return np.ascontiguousarray(_checked(array, dtype)).reshape(-1)


def _index(index: ArrayLike) -> NDArray[Any]:
    a = np.asarray(index)
    dtype = a.dtype.type if a.dtype in (np.uint8, np.uint16) else np.int32
    return _flat(a, dtype)
