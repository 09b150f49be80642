"""``probe``: every field of a file by its name in docs/FORMAT.md."""

from __future__ import annotations

from typing import Any

from calotype.bitstream.fields import Bytes, Chunk, Limits
from calotype.bitstream.grid import grid_size
from calotype.bitstream.scan import Scan, scan


def probe(data: Bytes, *, limits: Limits | None = None) -> dict[str, Any]:
    """Describe a .calo file, damaged or not, as far as it can be read; the result is ready for JSON.

    Keys are the names in docs/FORMAT.md and are always all there; the value of a field that could not be read
    is None. ``error`` is None for a good file, else the first error, which is the one that ``parse`` raises.

    Raises ``FormatError`` if the magic number is not that of a .calo file.
    """
    found = scan(data, limits or Limits())
    if "magic" not in found.fields:
        assert found.error is not None
        raise found.error
    return {
        **_header(found),
        "chunks": [_chunk(chunk) for chunk in found.chunks],
        **_derived(found),
        "error": None
        if found.error is None
        else {"message": str(found.error), "field": found.error.field, "offset": found.error.offset},
    }


def _header(found: Scan) -> dict[str, Any]:
    fields, header = found.fields, found.header
    named: dict[str, Any] = {}
    for name in ("magic", "version", "flags", "pack_id", "level", "width", "height"):
        value = fields.get(name)
        named[name] = value.hex() if isinstance(value, bytes) else value
        if name == "flags":
            named["grey"] = header.grey if header else None
            named["lab"] = header.lab if header else None
            named["tile"] = header.tile if header else None
    return named


def _chunk(chunk: Chunk) -> dict[str, Any]:
    return {
        "type": chunk.type,
        "name": chunk.name,
        "index": chunk.index,
        "offset": chunk.offset,
        "length": chunk.length,
        "crc": f"{chunk.crc:08x}",
        "crc_ok": chunk.crc_ok,
    }


def _derived(found: Scan) -> dict[str, Any]:
    header = found.header
    columns, rows = grid_size(header) if header else (None, None)
    payload = sum(chunk.length for chunk in found.chunks)
    return {
        "file_size": found.size,
        "header_size": found.header_size,
        "overhead": found.size - payload,
        "tile_columns": columns,
        "tile_rows": rows,
        "tile_count": columns * rows if columns and rows else None,
        "bpp": 8 * found.size / (header.width * header.height) if header else None,
    }
