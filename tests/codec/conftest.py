"""What the codec's tests share: the shipped pack, and pictures made on the spot."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from calotype.codec import library
from calotype.codec.pack import Pack

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="session")
def pack() -> Pack:
    return library.load()


@pytest.fixture(scope="session")
def scene() -> Callable[..., Pixels]:
    """scene(height, width, seed=0): a picture with shading, edges, texture and colour, uint8 [H, W, 3]."""

    def make(height: int, width: int, seed: int = 0) -> Pixels:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        planes = []
        for phase in rng.uniform(0, 6.28, 3):
            plane = 110 + 50 * np.sin(x / 61 + phase) * np.cos(y / 47 - phase)
            plane += 40 * ((x // 37 + y // 53) % 2) + 15 * np.sin(x * y / 900 + phase)
            planes.append(plane + rng.normal(0, 4, plane.shape))
        return np.clip(np.stack(planes, axis=2), 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def cmyk_profile() -> bytes:
    """A small ICC v2 output profile: a 2x2x2x2 table from CMYK to Lab. Full cyan is Lab (60, -40, -40), and
    each other ink darkens."""

    def lab(c: int, m: int, y: int, k: int) -> bytes:
        lightness, a, b = (60.0, -40.0, -40.0) if c else (100.0, 0.0, 0.0)
        lightness *= 0.6**m * 0.9**y * 0.2**k
        return struct.pack(">HHH", round(lightness * 652.8), round((a + 128) * 256), round((b + 128) * 256))

    table = b"".join(lab(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1))
    identity = [65536, 0, 0, 0, 65536, 0, 0, 0, 65536]
    lut = b"mft2\0\0\0\0" + struct.pack(">BBBB9iHH", 4, 3, 2, 0, *identity, 2, 2)
    lut += struct.pack(">HH", 0, 65535) * 4 + table + struct.pack(">HH", 0, 65535) * 3
    text = b"test\0"
    description = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)
    white = b"XYZ \0\0\0\0" + struct.pack(">iii", 63190, 65536, 54061)
    tags = [(b"desc", description), (b"wtpt", white), (b"A2B0", lut), (b"A2B1", lut)]
    offset, entries, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, data in tags:
        data += bytes(-len(data) % 4)
        entries += name + struct.pack(">II", offset + len(body), len(data))
        body += data
    size = offset + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"test", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    header += (
        struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
        + b"acsp"
        + bytes(28)
        + struct.pack(">3i", 63190, 65536, 54061)
    )
    header += bytes(128 - len(header))
    return header + struct.pack(">I", len(tags)) + entries + body
