"""The payload of a laboratory file: a few side numbers, then one rANS stream.

    payload = count varint*count rans

The side numbers are the ranges of integers that mixtures are coded over, as zigzag varints; most systems have none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from calotype.errors import FormatError


def _varint(n: int) -> bytes:
    n = 2 * n if n >= 0 else -2 * n - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


class Writer:
    """Collects what the encoder codes."""

    def __init__(self) -> None:
        from calotype.coder import Encoder

        self._encoder = Encoder()
        self._side: list[int] = []
        self._range: tuple[int, int] | None = None

    def set_range(self, low: int, high: int) -> None:
        """Begin a mixture over the integers ``low .. high``."""
        self._range = (low, high)
        self._side += self._range

    def range(self) -> tuple[int, int]:
        assert self._range is not None
        return self._range

    def put(self, symbols: Tensor, index: np.ndarray, tables: Any) -> None:
        self._encoder.put(symbols.detach().cpu().numpy().astype(np.int32), index, tables)

    def put_ranges(self, start: np.ndarray, freq: np.ndarray) -> None:
        self._encoder.put_ranges(start, freq)

    def finish(self) -> bytes:
        return b"".join(map(_varint, [len(self._side), *self._side])) + self._encoder.finish()


class Reader:
    """Gives back what `Writer` took.

    Raises:
        FormatError: for a payload that is damaged, truncated or too long.
    """

    def __init__(self, payload: bytes | memoryview) -> None:
        from calotype.coder import Decoder

        self._data, self._at = bytes(payload), 0
        count = self._number()
        if not 0 <= count <= 64:
            raise FormatError(f"latents: {count} side numbers; at most 64 are possible")
        self._side = [self._number() for _ in range(count)]
        self._range: tuple[int, int] | None = None
        self._decoder = Decoder(self._data[self._at :])

    def _number(self) -> int:
        value = shift = 0
        while True:
            if self._at >= len(self._data) or shift > 28:
                raise FormatError("latents: the payload ends within its side numbers; the file is truncated")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value >> 1 if value % 2 == 0 else -((value + 1) >> 1)

    def set_range(self, limit: int) -> None:
        if len(self._side) < 2:
            raise FormatError("latents: the range of a mixture is missing")
        low, high, *self._side = self._side
        if not -limit <= low <= high <= limit:
            raise FormatError(f"latents: impossible range {low} to {high}")
        self._range = (low, high)

    def range(self) -> tuple[int, int]:
        assert self._range is not None
        return self._range

    def get(self, index: np.ndarray, tables: Any) -> Tensor:
        return torch.from_numpy(self._decoder.get(index, tables).astype(np.int64)).reshape(index.shape)

    def get_search(self, rows: np.ndarray) -> np.ndarray:
        return self._decoder.get_search(rows)

    def finish(self) -> None:
        """Check that all was read."""
        if self._side:
            raise FormatError("latents: side numbers are left over")
        self._decoder.finish()
