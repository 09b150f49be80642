"""ICC profiles: what one says that it is for, and a small one made from primaries and a curve.

Profiles are made by the ICC specification, version 4 (ICC.1:2010): a matrix of the primaries, adapted from
their white to D50 by Bradford's rule, and one parametric curve for all channels.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

#: x and y of white, red, green and blue in the CIE 1931 diagram, in the order of PNG's cHRM chunk.
Primaries: TypeAlias = tuple[float, float, float, float, float, float, float, float]
#: g, a, b, c, d: light is (a v + b)^g where v >= d, and c v below.
Curve: TypeAlias = tuple[float, float, float, float, float]

D65 = (0.3127, 0.3290)
SRGB: Primaries = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
SRGB_CURVE: Curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def space(profile: bytes) -> str:
    """The colour space of a profile's pixels: "GRAY", "RGB", "CMYK", ...; empty when it is no profile or
    its header says that it is longer."""
    if len(profile) < max(132, int.from_bytes(profile[:4], "big")) or profile[36:40] != b"acsp":
        return ""
    return profile[16:20].decode("latin-1").strip()


def gamma_curve(gamma: float) -> Curve:
    """Light is v^gamma."""
    return (gamma, 1.0, 0.0, 1.0, 0.0)


def to_xyz(primaries: Primaries) -> NDArray[np.float64]:
    """The matrix [3, 3] from linear R, G, B to X, Y, Z under D50.

    Raises ValueError for primaries that span nothing."""
    white, colours = primaries[:2], np.reshape(primaries[2:], (3, 2))
    if min(white[1], *colours[:, 1]) <= 0:
        raise ValueError("a primary without light")
    columns = np.stack([_light(x, y) for x, y in colours], axis=1)
    if abs(np.linalg.det(columns)) < 1e-4:
        raise ValueError("primaries that span no colours")
    from_white = _light(*white)
    scaled = columns * np.linalg.solve(columns, from_white)
    cone = (_BRADFORD @ D50) / (_BRADFORD @ from_white)
    adapted: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ np.diag(cone) @ _BRADFORD @ scaled
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 4:
        raise ValueError("primaries that no light has")
    return adapted


def matrix_profile(name: str, primaries: Primaries, curve: Curve) -> bytes:
    """An RGB profile. Raises ValueError for primaries that span nothing."""
    matrix = to_xyz(primaries)
    tone = b"para" + struct.pack(">IHH", 0, 3, 0) + struct.pack(">5i", *(_fixed(value) for value in curve))
    tags = {b"desc": _text(name), b"cprt": _text("No copyright"), b"wtpt": _xyz(D50)}
    tags |= {key: _xyz(matrix[:, k]) for k, key in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    table, body, start = b"", b"", 132 + 12 * (len(tags) + 3)
    for key, data in tags.items():
        table += key + struct.pack(">II", start + len(body), len(data))
        body += data
    for key in (b"rTRC", b"gTRC", b"bTRC"):
        table += key + struct.pack(">II", start + len(body), len(tone))
    body += tone
    header = struct.pack(">I4sI4s4s4s", start + len(body), bytes(4), 0x04300000, b"mntr", b"RGB ", b"XYZ ")
    header += struct.pack(">6H", 2024, 1, 1, 0, 0, 0) + b"acsp" + bytes(24) + struct.pack(">I", 1)
    header += _xyz(D50)[8:]
    return header.ljust(128, b"\0") + struct.pack(">I", len(tags) + 3) + table + body


def _light(x: float, y: float) -> NDArray[np.float64]:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(value: float) -> int:
    return round(value * 65536)


def _xyz(values: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(_fixed(float(value)) for value in values))


def _text(words: str) -> bytes:
    text = words.encode("utf-16-be")
    data = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(text), 28) + text
    return data + bytes(-len(data) % 4)
