"""The payload of a laboratory file: one rANS stream, written and read in the order of the walk."""

from __future__ import annotations

import atexit
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from calotype.errors import FormatError


@cache
def _range_tables() -> Any:
    """Table for the ends of a mixture's range: small numbers are likely, any can be coded."""
    from calotype.coder import gaussian_tables

    return gaussian_tables([16.0])


atexit.register(_range_tables.cache_clear)  # before the native module goes


class Writer:
    """Collects what the encoder codes."""

    def __init__(self) -> None:
        from calotype.coder import Encoder

        self._encoder = Encoder()
        self.range = (0, 0)  # integers that the current mixture is coded over, both ends included

    def put_range(self, low: int, high: int) -> None:
        """Begin a map of mixtures over the integers ``low .. high``."""
        self.range = (low, high)
        self._encoder.put(np.array(self.range, np.int32), np.zeros(2, np.uint8), _range_tables())

    def put(self, symbols: Tensor, index: np.ndarray, tables: Any) -> None:
        """Code integers, each with the table that ``index`` (of their shape) names."""
        self._encoder.put(symbols.detach().cpu().numpy().astype(np.int32), index, tables)

    def put_slots(self, start: np.ndarray, freq: np.ndarray) -> None:
        """Code symbols by their slots in distributions of their own."""
        self._encoder.put_ranges(start, freq)

    def finish(self) -> bytes:
        return self._encoder.finish()


class Reader:
    """Gives back what `Writer` took.

    Raises:
        FormatError: for a payload that is damaged, truncated or too long.
    """

    def __init__(self, payload: bytes | memoryview) -> None:
        from calotype.coder import Decoder

        self._decoder = Decoder(payload)
        self.range = (0, 0)

    def get_range(self, limit: int) -> None:
        """Read the range that `Writer.put_range` wrote; both ends must be within ``+-limit``."""
        low, high = (int(v) for v in self._decoder.get(np.zeros(2, np.uint8), _range_tables()))
        if not -limit <= low <= high <= limit:
            raise FormatError(f"latents: impossible range {low} to {high}; the file is damaged")
        self.range = (low, high)

    def get(self, index: np.ndarray, tables: Any) -> Tensor:
        """Integers, int64 of the shape of ``index``."""
        return torch.from_numpy(self._decoder.get(index, tables).astype(np.int64)).reshape(index.shape)

    def get_search(self, rows: np.ndarray) -> np.ndarray:
        """Positions of the coded slots in the rows of cumulative frequencies."""
        return self._decoder.get_search(rows)

    def finish(self) -> None:
        """Check that all was read."""
        self._decoder.finish()
