"""The .calo file: fields, chunks, checksums, and where the tiles lie. docs/FORMAT.md is the norm.

Bytes in, bytes out: nothing here knows what a tile's payload means.
"""

from __future__ import annotations

from calotype.bitstream.fields import NO_PACK, Chunk, File, Header, Limits
from calotype.bitstream.grid import Box, alpha_grid, grid_size, tile_box, tile_count, tiles_in
from calotype.bitstream.reader import is_calo, parse
from calotype.bitstream.report import probe
from calotype.bitstream.writer import StreamWriter, write

__all__ = [
    "NO_PACK",
    "Box",
    "Chunk",
    "File",
    "Header",
    "Limits",
    "StreamWriter",
    "alpha_grid",
    "grid_size",
    "is_calo",
    "parse",
    "probe",
    "tile_box",
    "tile_count",
    "tiles_in",
    "write",
]
