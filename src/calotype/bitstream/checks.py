"""Checks and sums that the reader and the writer share."""

from __future__ import annotations

import struct
import zlib

from calotype.bitstream.fields import Bytes, Header, Limits, varint
from calotype.bitstream.grid import grid_size
from calotype.errors import LimitError

PNG_START = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4s", 13, b"IHDR")


def chunk_crc(header_crc: int, type_: int, index: int, payload: Bytes) -> int:
    """CRC-32 of header, type, length, index (u32) and payload; ``header_crc`` is that of the header alone.

    The index is not stored. It is covered so that two tiles which changed places do not pass as good.
    """
    head = bytes([type_]) + varint(len(payload)) + struct.pack("<I", index)
    return zlib.crc32(payload, zlib.crc32(head, header_crc))


def limit_error(header: Header, limits: Limits) -> LimitError | None:
    """The limit that a picture with this header exceeds, if any."""
    pixels = header.width * header.height
    if pixels > limits.max_pixels:
        return _too_large(f"{header.width} x {header.height} = {pixels} pixels", "max_pixels", limits)
    if header.lab:
        return None
    tile_pixels = min(header.tile, header.width) * min(header.tile, header.height)
    if tile_pixels > limits.max_tile_pixels:
        return _too_large(f"tiles of {tile_pixels} pixels", "max_tile_pixels", limits)
    columns, rows = grid_size(header)
    if columns * rows > limits.max_tiles:
        return _too_large(f"{columns} x {rows} tiles", "max_tiles", limits)
    return None


def metadata_limit_error(limits: Limits) -> LimitError:
    """The error for ICC, EXIF and XMP that together are too long."""
    return _too_large("ICC, EXIF and XMP", "max_metadata", limits)


def alpha_problem(payload: Bytes, header: Header) -> str | None:
    """Why ``payload`` cannot be the alpha plane, judging by the start of the PNG; None if it can."""
    start = bytes(payload[: len(PNG_START) + 13])
    if len(start) < len(PNG_START) + 13 or not start.startswith(PNG_START):
        return "not a PNG"
    width, height, *kind = struct.unpack(">IIBBBBB", start[len(PNG_START) :])
    if (width, height) != (header.width, header.height):
        return f"a PNG of {width} x {height} in a picture of {header.width} x {header.height}"
    if kind != [8, 0, 0, 0, 0]:  # depth 8, grey, deflate, adaptive filters, not interlaced
        return "a PNG that is not 8-bit grey without interlacing"
    return None


def _too_large(what: str, name: str, limits: Limits) -> LimitError:
    return LimitError(
        f"{what}: more than {name} = {getattr(limits, name)}; raise that limit if this is meant"
    )
