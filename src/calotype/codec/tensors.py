"""Named arrays in the safetensors layout, read with numpy alone.

The layout: a 64-bit little-endian length, a JSON object ``{name: {"dtype", "shape", "data_offsets"}}`` of
that length, then the bytes of the arrays. Source: the format section of the safetensors README (huggingface).
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
}
_MAX_HEADER = 1 << 20


def load(data: bytes) -> dict[str, NDArray[Any]]:
    """The arrays in `data` by name, as read-only views of it. Raises ValueError for anything malformed."""
    if len(data) < 8:
        raise ValueError("shorter than 8 bytes")
    size = int.from_bytes(data[:8], "little")
    if size > min(_MAX_HEADER, len(data) - 8):
        raise ValueError(f"header of {size} bytes in a file of {len(data)}")
    try:
        header = json.loads(data[8 : 8 + size])
    except RecursionError as error:
        raise ValueError("the header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError("the header is not an object")
    arrays: dict[str, NDArray[Any]] = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        try:
            dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(int(n) for n in entry["shape"])
            start, stop = (8 + size + int(offset) for offset in entry["data_offsets"])
        except (KeyError, TypeError, OverflowError) as error:
            raise ValueError(f"array {name}: malformed entry") from error
        if min((*shape, 0)) < 0 or not 8 + size <= start <= stop <= len(data):
            raise ValueError(f"array {name}: outside the file")
        if math.prod(shape) * dtype.itemsize != stop - start:
            raise ValueError(f"array {name}: {stop - start} bytes for shape {list(shape)}")
        try:
            arrays[name] = np.frombuffer(data, dtype, math.prod(shape), start).reshape(shape)
        except OverflowError as error:  # sides of an empty array
            raise ValueError(f"array {name}: malformed entry") from error
    return arrays
