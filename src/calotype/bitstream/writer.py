"""Writing a .calo file, whole or tile after tile."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from calotype.bitstream.checks import chunk_crc, limit_error, metadata_limit_error
from calotype.bitstream.fields import (
    ALPHA,
    LATENTS,
    LAYER,
    METADATA,
    NAMES,
    PIXELS,
    TAPS,
    TILE,
    Bytes,
    Header,
    Limits,
    varint,
)
from calotype.bitstream.grid import alpha_grid, tile_count


class Sink(Protocol):
    """A binary file open for writing. Only ``write`` is used: a pipe will do."""

    def write(self, data: bytes | memoryview, /) -> int | None: ...


def write(
    header: Header,
    tiles: Sequence[Bytes],
    icc: Bytes | None = None,
    exif: Bytes | None = None,
    xmp: Bytes | None = None,
    alpha: Sequence[Bytes] | None = None,
    *,
    layer: Sequence[Bytes] | None = None,
    taps: Bytes | None = None,
    limits: Limits | None = None,
    **more: Bytes | None,
) -> bytes:
    """A whole .calo file. Arguments and errors are those of ``StreamWriter``.

    ``tiles`` are in raster order, as many as the grid has (one stream, in a lab file).
    """
    out = io.BytesIO()
    writer = StreamWriter(out, header, icc, exif, xmp, alpha, layer=layer, taps=taps, limits=limits, **more)
    with writer:
        for tile in tiles:
            writer.tile(tile)
    return out.getvalue()


class StreamWriter:
    """Writes header and metadata at once, then tiles as they come; holds nothing back.

    ::

        with StreamWriter(file, header, icc=profile) as writer:
            for index in range(tile_count(header)):
                writer.tile(payload)

    ``more``: other metadata, by its name in `METADATA`. Empty metadata is left out, as None is.
    ``alpha``: for each tile of the grid (`alpha_grid`) a pixel stream of one channel.
    ``layer``: for each tile of the grid what lies over its latents, or nothing.
    ``taps``: the picture's own, as the file has them.
    Raises ``LimitError`` for a picture or metadata beyond ``limits``, which a reader would refuse, and
    ``ValueError`` for an alpha or a layer that does not fit and for more or fewer tiles than the grid has.
    """

    def __init__(
        self,
        file: Sink,
        header: Header,
        icc: Bytes | None = None,
        exif: Bytes | None = None,
        xmp: Bytes | None = None,
        alpha: Sequence[Bytes] | None = None,
        *,
        layer: Sequence[Bytes] | None = None,
        taps: Bytes | None = None,
        limits: Limits | None = None,
        **more: Bytes | None,
    ) -> None:
        limits = limits or Limits()
        given = {"icc": icc, "exif": exif, "xmp": xmp, **more}
        if unknown := given.keys() - METADATA.keys():
            raise ValueError(f"a file has no place for {min(unknown)!r}; it has {', '.join(METADATA)}")
        metadata = [(type_, given.get(name)) for name, type_ in METADATA.items()]
        if (error := limit_error(header, limits)) is not None:
            raise error
        if sum(len(content or b"") for _, content in metadata) > limits.max_metadata:
            raise metadata_limit_error(limits)
        parts = {ALPHA: alpha, LAYER: layer}
        for type_, given_parts in parts.items():
            count = tile_count(alpha_grid(header))
            if given_parts is not None and len(given_parts) != count:
                raise ValueError(f"{NAMES[type_]} has {len(given_parts)} tiles, and the grid has {count}")

        self._file = file
        self._type = LATENTS if header.lab else TILE
        self._count = tile_count(header)
        self._done = 0
        self.bytes_written = 0
        """Size of the file so far."""
        start = header.to_bytes()
        self._header_crc = zlib.crc32(start)
        self._put(start)
        for type_, content in metadata:
            if content:
                self._chunk(type_, zlib.compress(content, 9))
        for type_, given_parts in parts.items():
            if given_parts is not None:
                self._chunk(type_, b"".join(varint(len(part)) + bytes(part) for part in given_parts))
        if taps is not None:
            self._chunk(TAPS, taps)

    def tile(self, payload: Bytes, *, pixels: bool = False) -> None:
        """Write the next tile: latents or, with ``pixels``, a pixel stream."""
        if self._done == self._count:
            raise ValueError(f"the file has all of its {self._count} tiles already")
        self._chunk(PIXELS if pixels else self._type, payload, self._done)
        self._done += 1

    def close(self) -> None:
        """Check that every tile was written. Does not close the file."""
        if self._done != self._count:
            raise ValueError(f"{self._done} of {self._count} tiles were written")

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()

    def _chunk(self, type_: int, payload: Bytes, index: int = 0) -> None:
        payload = memoryview(payload).cast("B")
        self._put(bytes([type_]) + varint(len(payload)))
        self._put(payload)
        self._put(struct.pack("<I", chunk_crc(self._header_crc, type_, index, payload)))

    def _put(self, data: bytes | memoryview) -> None:
        # An unbuffered file may take less than it is given.
        view = memoryview(data)
        while len(view):
            taken = self._file.write(view)
            if not taken:  # None or 0: a non-blocking file that is full
                raise BlockingIOError("the output takes no more bytes now; give one that blocks")
            view = view[taken:]
            self.bytes_written += taken
