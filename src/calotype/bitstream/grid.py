"""Where the tiles of a picture lie. All coordinates are pixels; boxes are (left, top, right, bottom)."""

from __future__ import annotations

from typing import NamedTuple

from calotype.bitstream.fields import Header


class Box(NamedTuple):
    """A rectangle of pixels; ``right`` and ``bottom`` are one past the last pixel, as in Pillow."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels per row."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top


def grid_size(header: Header) -> tuple[int, int]:
    """(columns, rows) of the tile grid; a lab file has one tile, the picture."""
    if header.lab:
        return 1, 1
    return -(-header.width // header.tile), -(-header.height // header.tile)


def tile_count(header: Header) -> int:
    """Number of tiles."""
    columns, rows = grid_size(header)
    return columns * rows


def alpha_grid(header: Header) -> Header:
    """The header whose tiles alpha is cut into: those of the picture, in a lab file, too."""
    return header.replace(lab=False)


def tile_box(header: Header, index: int) -> Box:
    """The pixels of tile ``index`` (raster order); tiles at the right and bottom edge may be smaller.

    Raises ``IndexError`` for an index outside the grid.
    """
    columns, rows = grid_size(header)
    if not 0 <= index < columns * rows:
        raise IndexError(f"tile {index} of a grid of {columns} x {rows}")
    if header.lab:
        return Box(0, 0, header.width, header.height)
    left = index % columns * header.tile
    top = index // columns * header.tile
    return Box(left, top, min(left + header.tile, header.width), min(top + header.tile, header.height))


def tiles_in(header: Header, region: tuple[int, int, int, int]) -> list[int]:
    """Indices, in raster order, of the tiles that share at least one pixel with ``region``.

    Raises ``ValueError`` for a region that is empty or not inside the picture.
    """
    left, top, right, bottom = region
    if not (0 <= left < right <= header.width and 0 <= top < bottom <= header.height):
        raise ValueError(
            f"region {left},{top},{right},{bottom} is empty or not inside the picture, "
            f"which is {header.width} x {header.height}"
        )
    if header.lab:
        return [0]
    columns, _ = grid_size(header)
    return [
        row * columns + column
        for row in range(top // header.tile, (bottom - 1) // header.tile + 1)
        for column in range(left // header.tile, (right - 1) // header.tile + 1)
    ]
