"""What a file stores as pixels and not as latents: tiles without loss, whole pictures of them, and alpha."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np

from calotype.bitstream import (
    Box,
    Header,
    StreamWriter,
    alpha_grid,
    tile_box,
    tile_count,
    tiles_in,
)
from calotype.codec import tiles
from calotype.codec.arrays import UInt8Array
from calotype.coder import decode_pixels, encode_pixels
from calotype.errors import FormatError

TILE = 1024
"""Side of the tiles of pictures that are stored as pixels alone."""
PAGE = 2048
"""The same of pages, whose letters and lines come again from top to bottom: -9 % for a page of the web."""


def tile_pixels(pixels: UInt8Array, header: Header, tile: int) -> UInt8Array:
    """The pixels of a tile as they are coded, [h, w, 3]; [h, w, 1] of a grey picture."""
    box = tile_box(header, tile)
    return pixels[box.top : box.bottom, box.left : box.right, : 1 if header.grey else 3]


def read_tile(payload: memoryview, header: Header, tile: int) -> UInt8Array:
    """A tile's pixels, [h, w, 3] or [h, w, 1]. Raises FormatError when the payload is damaged."""
    box = tile_box(header, tile)
    return decode_pixels(payload, box.height, box.width, 1 if header.grey else 3)


def write_whole(writer: StreamWriter, pixels: UInt8Array, header: Header, pool: Executor) -> None:
    """All tiles of a picture as pixels, without loss."""

    def code(tile: int) -> bytes:
        return encode_pixels(tile_pixels(pixels, header, tile))[0]

    for payload in pool.map(code, range(tile_count(header))):
        writer.tile(payload, pixels=True)


def write_alpha(alpha: UInt8Array | None, header: Header) -> list[bytes] | None:
    """Opacity [H, W] as the streams that a file holds."""
    if alpha is None:
        return None
    grid = alpha_grid(header)
    return [encode_pixels(tile_pixels(alpha[:, :, None], grid, tile))[0] for tile in range(tile_count(grid))]


def read_alpha(parts: Sequence[memoryview], header: Header, region: Box) -> UInt8Array:
    """Opacity in a region, [h, w]. Raises FormatError when a part is damaged."""
    grid = alpha_grid(header)
    out = np.empty((region.height, region.width), np.uint8)
    for tile in tiles_in(grid, region):
        box = tile_box(grid, tile)
        try:
            part = decode_pixels(parts[tile], box.height, box.width, 1)[:, :, 0]
        except FormatError as error:
            raise FormatError(str(error), field="alpha") from None
        both = tiles.common(box, region)
        out[tiles.inside(both, region)[1:]] = part[tiles.inside(both, box)[1:]]
    return out
