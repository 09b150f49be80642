"""Files that Pillow cannot write: PNG and TIFF of any depth, with any chunks and tags."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

MAGIC = b"\x89PNG\r\n\x1a\n"
SRGB_CHRM = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3_CHRM = (0.3127, 0.3290, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray, bits: int, colour_type: int, extra: bytes = b"") -> bytes:
    """A PNG of values [H, W] or [H, W, C], with chunks before its pixels."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + packed(row, bits, ">") for row in values)
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(rows))
    return MAGIC + chunk(b"IHDR", header) + extra + pixels + chunk(b"IEND", b"")


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000)))


def chrm(values: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def cicp(primaries: int, transfer: int, full: int = 1, matrix: int = 0) -> bytes:
    return chunk(b"cICP", bytes([primaries, transfer, matrix, full]))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"test\0\0" + zlib.compress(profile))


def packed(row: np.ndarray, bits: int, order: str) -> bytes:
    """One row of samples, each of 1, 2, 4, 8, 12 or 16 bits."""
    if bits == 16:
        return row.ravel().astype(f"{order}u2").tobytes()
    digits = "".join(f"{int(value):0{bits}b}" for value in row.ravel())
    digits += "0" * (-len(digits) % 8)
    return bytes(int(digits[k : k + 8], 2) for k in range(0, len(digits), 8))


def tiff(values: np.ndarray, bits: int, photometric: int, order: str = "<", **tags: int) -> bytes:
    """A TIFF of values [H, W] or [H, W, 3]; ``tag_339=2`` adds a tag."""
    height, width = values.shape[:2]
    samples = values.shape[2] if values.ndim == 3 else 1
    data = b"".join(packed(row, bits, order) for row in values)
    data += bytes(len(data) % 2)
    directory = 8 + len(data)
    fields = {256: width, 257: height, 258: bits, 259: 1, 262: photometric, 273: 8, 277: samples, 278: height}
    fields |= {279: len(data)} | {int(name.removeprefix("tag_")): value for name, value in tags.items()}
    body = struct.pack(f"{order}H", len(fields))
    beyond = directory + 2 + 12 * len(fields) + 4
    for tag in sorted(fields):
        if tag == 258 and samples > 1:
            body += struct.pack(f"{order}HHII", tag, 3, samples, beyond)
        else:
            body += struct.pack(f"{order}HHII", tag, 4, 1, fields[tag])
    body += bytes(4) + struct.pack(f"{order}{samples}H", *[bits] * samples)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(f"{order}I", directory) + data + body


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()
