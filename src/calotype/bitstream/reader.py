"""Reading a .calo file."""

from __future__ import annotations

from typing import Literal

from calotype.bitstream.checks import parts_of
from calotype.bitstream.fields import ALPHA, LAYER, MAGIC, NAMES, PIXELS, Bytes, File, Limits
from calotype.bitstream.grid import tile_count
from calotype.bitstream.scan import scan


def is_calo(prefix: Bytes) -> bool:
    """Whether a file that starts with ``prefix`` (3 bytes or more) is a .calo file, of any version."""
    return bytes(prefix[: len(MAGIC)]) == MAGIC


def parse(
    data: Bytes, *, limits: Limits | None = None, damaged: Literal["error", "keep", "prefix"] = "error"
) -> File:
    """Take a .calo file apart without copying the tiles.

    ``damaged="error"`` raises the first error. ``damaged="keep"`` saves what can be saved of a damaged or
    truncated file: ``File.tile_ok`` says which tiles are good, metadata and alpha that are not good are None,
    and ``File.error`` is the first error. It still raises when the header cannot be trusted (no chunk has a
    good checksum), and when an intact file breaks the rules or needs a newer reader. ``damaged="prefix"`` is
    for previews: as "keep", and where the file ends within a tile, ``File.tiles`` has what there is of it and
    ``File.cut`` its number, though no checksum vouches for it, nor for the header when it is the first chunk.

    Raises ``FormatError``; ``LimitError`` for a file larger than ``limits``.
    """
    found = scan(data, limits or Limits())
    prefix = damaged == "prefix" and found.cut is not None
    trusted = found.trusted or (prefix and not found.chunks)
    if found.error is not None and (damaged == "error" or found.fatal or not trusted):
        raise found.error
    assert found.header is not None  # or there would be an error
    count = len(found.tiles)
    missing = tile_count(found.header) - count
    tiles = [chunk.payload for chunk in found.tiles] + [memoryview(b"")] * missing
    if prefix:
        assert found.cut is not None
        tiles[count] = found.cut
    parts = {type_: parts_of(payload, found.header) for type_, payload in found.parts.items()}
    return File(
        header=found.header,
        metadata={NAMES[type_]: content for type_, content in found.metadata.items()},
        alpha=parts.get(ALPHA),
        layer=parts.get(LAYER),
        taps=found.taps,
        tiles=tiles,
        chunks=found.chunks,
        pixels=[chunk.type == PIXELS for chunk in found.tiles] + [False] * missing,
        tile_ok=[chunk.crc_ok for chunk in found.tiles] + [False] * missing,
        error=found.error,
        cut=count if prefix else None,
    )
