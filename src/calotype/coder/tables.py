"""Sets of integer frequency tables: what the coder and a pack share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calotype.coder.frequencies import TOTAL, quantise
from calotype.coder.native import load

if TYPE_CHECKING:
    import calotype._rans as _rans

MAX_TABLES = 65536
MAX_OFFSET = 1 << 30


class TableSet:
    """Immutable frequency tables; a symbol's index says which of them codes it.

    Table t covers the values ``offsets[t] .. offsets[t] + lengths[t] - 2``. Its last entry is the escape,
    after which any other int32 value is coded by its distance from the table. Entries are at least 1 and sum
    to TOTAL in each table.
    """

    frequencies: NDArray[np.uint32]  # all tables one after the other
    lengths: NDArray[np.uint32]  # [T] entries per table, escape included, 2 .. TOTAL
    offsets: NDArray[np.int32]  # [T] value of each table's first entry

    def __init__(self, pmfs: Sequence[ArrayLike], offsets: ArrayLike) -> None:
        """Build from probabilities: ``pmfs[t]`` for offset, offset + 1, ... and, last, all others.

        Raises ValueError for a pmf that is not one, or for a count or an offset out of range.
        """
        rows = [quantise(pmf) for pmf in pmfs]
        lengths = [len(row) for row in rows]
        self._set(np.concatenate(rows) if rows else [], lengths, offsets)

    @classmethod
    def from_frequencies(cls, frequencies: ArrayLike, lengths: ArrayLike, offsets: ArrayLike) -> TableSet:
        """Build from exact integers, as a pack stores them: uint32 [total], uint32 [T], int32 [T].

        Raises ValueError unless every table is valid.
        """
        self = cls.__new__(cls)
        self._set(frequencies, lengths, offsets)
        return self

    def _set(self, frequencies: ArrayLike, lengths: ArrayLike, offsets: ArrayLike) -> None:
        freq, length, offset = (_integers(a) for a in (frequencies, lengths, offsets))
        if length.shape != offset.shape:
            raise ValueError(f"{length.size} lengths but {offset.size} offsets")
        if not 1 <= length.size <= MAX_TABLES:
            raise ValueError(f"the number of tables must be 1 to {MAX_TABLES}, not {length.size}")
        if int(length.min()) < 2 or int(length.max()) > TOTAL:
            raise ValueError(f"every table needs 2 to {TOTAL} entries, escape included")
        if int(np.abs(offset).max()) > MAX_OFFSET:
            raise ValueError("an offset is beyond +-2^30")
        if int(length.sum()) != freq.size:
            raise ValueError(
                f"the lengths add up to {int(length.sum())}, but there are {freq.size} frequencies"
            )
        if int(freq.min()) < 1 or int(freq.max()) > TOTAL:
            raise ValueError(f"a frequency is outside 1 .. {TOTAL}")
        sums = np.add.reduceat(freq, np.cumsum(length) - length)
        if (sums != TOTAL).any():
            t = int(np.flatnonzero(sums != TOTAL)[0])
            raise ValueError(f"the frequencies of table {t} sum to {int(sums[t])}, not {TOTAL}")
        self.frequencies = freq.astype(np.uint32)
        self.lengths = length.astype(np.uint32)
        self.offsets = offset.astype(np.int32)
        for array in (self.frequencies, self.lengths, self.offsets):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.lengths)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TableSet):
            return NotImplemented
        mine, theirs = self.to_arrays(), other.to_arrays()
        return all(np.array_equal(mine[name], theirs[name]) for name in mine)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TableSet({len(self)} tables, {self.frequencies.size} entries)"

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays that define the set, for storage: ``frequencies``, ``lengths``, ``offsets``."""
        return {"frequencies": self.frequencies, "lengths": self.lengths, "offsets": self.offsets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, ArrayLike]) -> TableSet:
        """Build from what ``to_arrays`` returned. Raises ValueError if an array is missing or invalid."""
        missing = {"frequencies", "lengths", "offsets"} - set(arrays)
        if missing:
            raise ValueError(f"the tables lack {', '.join(sorted(missing))}")
        return cls.from_frequencies(arrays["frequencies"], arrays["lengths"], arrays["offsets"])

    def bits(self, values: ArrayLike, index: ArrayLike, *, skip: int | None = None) -> NDArray[np.float64]:
        """Return what each value costs in bits, escapes included: float64 in the shape of ``values``.

        ``index``: the table of each value, same shape; symbols whose index is ``skip`` cost nothing.
        """
        value, table = np.broadcast_arrays(_integers(values, flat=False), _integers(index, flat=False))
        kept = np.full(table.shape, True) if skip is None else table != skip
        table = np.where(kept, table, 0)
        if table.size and (int(table.min()) < 0 or int(table.max()) >= len(self)):
            raise ValueError(f"an index has no table (there are {len(self)})")
        n = self.lengths.astype(np.int64)[table] - 1
        t = value - self.offsets[table]
        inside = (t >= 0) & (t < n)
        starts = np.cumsum(self.lengths, dtype=np.int64) - self.lengths
        cost = self._entry_bits[starts[table] + np.where(inside, t, n)]
        # After an escape: Exp-Golomb of order 1, twice as many bits as the exponent of (distance code + 2).
        code = np.where(t < 0, 2 * (-t - 1) + 1, 2 * (t - n)) + 2
        exponent = np.frexp(np.where(inside, 1, code).astype(np.float64))[1] - 1
        return np.where(kept, cost + 2.0 * exponent, 0.0)

    @cached_property
    def _entry_bits(self) -> NDArray[np.float64]:
        return np.asarray(-np.log2(self.frequencies / TOTAL))

    @cached_property
    def native(self) -> _rans.Tables:
        """The same tables in the native coder's layout (built at the first use)."""
        tables: _rans.Tables = load().Tables(self.frequencies, self.lengths, self.offsets)
        return tables


def _integers(array: ArrayLike, *, flat: bool = True) -> NDArray[np.int64]:
    """Return ``array`` as int64, refusing what is not integer valued by type."""
    a = np.asarray(array)
    if a.size and not np.issubdtype(a.dtype, np.integer):
        raise ValueError(f"integers expected, not {a.dtype}")
    if flat and a.ndim != 1:
        raise ValueError(f"an array of one dimension expected, not of shape {a.shape}")
    return a.astype(np.int64)
