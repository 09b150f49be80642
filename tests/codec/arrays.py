"""Arrays as files of packs hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

TYPES = {
    "<f8": "F64",
    "<f4": "F32",
    "<i4": "I32",
    "<u4": "U32",
    "|u1": "U8",
    "<i8": "I64",
    "<i2": "I16",
    "|i1": "I8",
}
"""How safetensors spells NumPy's types."""


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """In the layout that the safetensors README gives."""
    header: dict[str, Any] = {}
    body = b""
    for name, array in arrays.items():
        start, body = len(body), body + array.tobytes()
        header[name] = {
            "dtype": TYPES[array.dtype.str],
            "shape": list(array.shape),
            "data_offsets": [start, len(body)],
        }
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body
