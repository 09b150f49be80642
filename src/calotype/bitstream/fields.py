"""The fields of a .calo file and their limits; names and values are those of docs/FORMAT.md.

Named tuples, not dataclasses, whose import takes a tenth of the time of ``calotype decode``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from calotype.errors import CalotypeError

MAGIC: Final = b"\xcaLO"
VERSION: Final = 1

FLAG_GREY: Final = 0x01
FLAG_LAB: Final = 0x02
FLAG_RESERVED: Final = 0x0C
TILE_SHIFT: Final = 4  # flags bits 4..7 hold log2(tile) - TILE_LOG2_MIN
TILE_LOG2_MIN: Final = 6
TILE_LOG2_MAX: Final = TILE_LOG2_MIN + 15

TILE: Final = 0x01
ALPHA: Final = 0x02
LATENTS: Final = 0x03
PIXELS: Final = 0x04
LAYER: Final = 0x05
TAPS: Final = 0x07
ICC: Final = 0x81
EXIF: Final = 0x82
XMP: Final = 0x83
OPTIONAL_BIT: Final = 0x80
# What a file may hold beside its picture, each as a zlib stream, in the order of the file. A line here is all
# that writing, reading, the limits and ``probe`` need.
METADATA: Final[dict[str, int]] = {"icc": ICC, "exif": EXIF, "xmp": XMP}
NAMES: Final[dict[int, str]] = {
    TILE: "tile", ALPHA: "alpha", LATENTS: "latents", PIXELS: "pixels", LAYER: "layer",
    TAPS: "taps",
    **{type_: name for name, type_ in METADATA.items()},
}  # fmt: skip
PICTURE: Final = (TILE, LATENTS, PIXELS)  # what holds the picture itself
# The order in which the chunks before the picture data must come.
LEADING: Final = (*METADATA.values(), ALPHA, LAYER, TAPS)

MAX_VALUE: Final = 2**31 - 1  # of width, height and every length: fits a signed 32-bit integer
MAX_LEADING: Final = 64  # chunks before the picture data, counting those of unknown type
CRC_SIZE: Final = 4

NO_PACK: Final = bytes(4)
"""The ``pack_id`` of a picture that is stored as pixels alone: nothing is needed to decode it."""

Bytes: TypeAlias = "bytes | bytearray | memoryview"


class Limits(NamedTuple):
    """What a reader is willing to open and a writer to make; a larger file is a ``LimitError``.

    All are checked before anything of that size is allocated.
    """

    max_pixels: int = 2**30
    """Most pixels (width times height) of a picture."""
    max_tile_pixels: int = 2**24
    """Most pixels of its largest tile: bounds the memory of a decoder that works tile by tile."""
    max_tiles: int = 2**16
    """Most tiles."""
    max_metadata: int = 2**24
    """Most bytes of ICC, EXIF and XMP together, after inflation."""


class _Header(NamedTuple):
    width: int
    """Pixels per row, 1 to 2**31 - 1."""
    height: int
    """Rows, 1 to 2**31 - 1."""
    level: int
    """Quality level in 256ths of a trained level (8.8 fixed point), 0 to 65535."""
    pack_id: bytes
    """First 4 bytes of the content hash of the pack (of the model, in a lab file)."""
    tile: int = 1024
    """Side of a tile in pixels, a power of two from 64 to 2**21."""
    grey: bool = False
    """One grey channel instead of RGB."""
    lab: bool = False
    """A file of the laboratory: one ``latents`` chunk instead of tiles."""


class Header(_Header):
    """The header of a .calo file. Values out of range are a ``ValueError``."""

    __slots__ = ()

    def __new__(
        cls,
        width: int,
        height: int,
        level: int,
        pack_id: bytes,
        tile: int = 1024,
        grey: bool = False,
        lab: bool = False,
    ) -> Header:
        """The fields of a header, checked."""
        header = super().__new__(cls, width, height, level, pack_id, tile, grey, lab)
        header._check()
        return header

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Header:  # type: ignore[override]  # typeshed has a type of its own
        return cls(*iterable)  # what `_replace` and Python's own `copy.replace` use: checked as well

    def replace(self, **changes: Any) -> Header:
        """The header with some fields changed, checked as well."""
        return Header(**{**self._asdict(), **changes})

    def _check(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if not 1 <= value <= MAX_VALUE:
                raise ValueError(f"{name} must be 1 to {MAX_VALUE}, got {value}")
        if not 0 <= self.level <= 0xFFFF:
            raise ValueError(f"level must be 0 to 65535, got {self.level}")
        if not isinstance(self.pack_id, bytes) or len(self.pack_id) != 4:
            raise ValueError(f"pack_id must be 4 bytes, got {self.pack_id!r}")
        log2 = self.tile.bit_length() - 1
        if self.tile != 1 << max(log2, 0) or not TILE_LOG2_MIN <= log2 <= TILE_LOG2_MAX:
            raise ValueError(f"tile must be a power of two from 64 to {1 << TILE_LOG2_MAX}, got {self.tile}")

    @property
    def flags(self) -> int:
        """The ``flags`` byte."""
        tile_code = self.tile.bit_length() - 1 - TILE_LOG2_MIN
        return tile_code << TILE_SHIFT | (FLAG_LAB if self.lab else 0) | (FLAG_GREY if self.grey else 0)

    def to_bytes(self) -> bytes:
        """The header as it stands at the start of a file, 13 to 21 bytes."""
        fixed = struct.pack("<3sBB4sH", MAGIC, VERSION, self.flags, self.pack_id, self.level)
        return fixed + varint(self.width) + varint(self.height)


class Chunk(NamedTuple):
    """One chunk as found in a file."""

    type: int
    """Type byte; bit 7 set means that a reader which does not know the type skips the chunk."""
    name: str
    """Name of the type, ``unknown`` for one that this version does not define."""
    offset: int
    """Offset of the type byte in the file."""
    length: int
    """Bytes of payload."""
    payload: memoryview
    """The payload, a view of the caller's buffer."""
    crc_ok: bool
    """Whether the checksum fits header, type, length, index and payload."""
    index: int = 0  # type: ignore[assignment]  # tuples have a method of this name, which is not needed here
    """For a tile, its place in the grid, in raster order; 0 for every other chunk."""
    crc: int = 0
    """The checksum as stored."""


class File(NamedTuple):
    """A parsed .calo file. Views point into the buffer given to ``parse``."""

    header: Header
    metadata: dict[str, bytes]
    """What there is of `METADATA`, inflated, by name."""
    alpha: list[memoryview] | None
    """Opacity: for each tile of the grid a pixel stream of one channel."""
    layer: list[memoryview] | None
    """What lies over the latents: for each tile a part as in docs/FORMAT.md, "Layer", or nothing."""
    taps: memoryview | None
    """The picture's own taps, as in docs/FORMAT.md, "Own taps"."""
    tiles: list[memoryview]
    """Payload of each tile in raster order (in a lab file, of its ``latents`` chunk); empty where missing."""
    chunks: list[Chunk]
    """Every chunk in file order, with those that were skipped."""
    pixels: list[bool]
    """For each tile, whether it is stored as pixels and not as latents."""
    tile_ok: list[bool]
    """For each tile, whether it is present and its checksum holds; all true when ``damaged="error"``."""
    error: CalotypeError | None = None
    """The first thing wrong with the file; None when ``damaged="error"``."""
    cut: int | None = None
    """With ``damaged="prefix"``, the tile in which the file ends, of which ``tiles`` has the beginning."""

    @property
    def icc(self) -> bytes | None:
        """ICC profile."""
        return self.metadata.get("icc")

    @property
    def exif(self) -> bytes | None:
        """EXIF block."""
        return self.metadata.get("exif")

    @property
    def xmp(self) -> bytes | None:
        """XMP packet."""
        return self.metadata.get("xmp")


def varint(value: int) -> bytes:
    """``value`` (0 to 2**31 - 1) as unsigned LEB128 in its shortest form, 1 to 5 bytes."""
    if not 0 <= value <= MAX_VALUE:
        raise ValueError(f"a varint holds 0 to {MAX_VALUE}, got {value}")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
