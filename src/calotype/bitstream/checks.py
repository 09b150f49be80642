"""Checks and sums that the reader and the writer share."""

from __future__ import annotations

import struct
import zlib

from calotype.bitstream.fields import Bytes, Header, Limits, varint
from calotype.bitstream.grid import alpha_grid, grid_size, tile_count
from calotype.errors import LimitError


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


def parts_of(payload: memoryview, header: Header) -> list[memoryview]:
    """What a chunk of alpha or a layer has for each tile. Raises ValueError when it holds anything else."""
    parts, at = [], 0
    for _ in range(tile_count(alpha_grid(header))):
        length, shift, byte = 0, 0, 0x80
        while byte >= 0x80:
            if at == len(payload) or shift > 28:
                raise ValueError("not parts with a length before each, one for every tile")
            byte = payload[at]
            length |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
        if length > len(payload) - at or (byte == 0 and shift > 7):
            raise ValueError("not parts with a length before each, one for every tile")
        parts.append(payload[at : at + length])
        at += length
    if at != len(payload):
        raise ValueError(f"{len(payload) - at} bytes follow its last part")
    return parts


def _too_large(what: str, name: str, limits: Limits) -> LimitError:
    return LimitError(
        f"{what}: more than {name} = {getattr(limits, name)}; raise that limit if this is meant"
    )
