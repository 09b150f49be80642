"""Walking through a .calo file. No number is trusted before it is checked against the bytes that are left.

``scan`` goes as far as it can and never raises; ``parse`` and ``probe`` judge what it found.
"""

from __future__ import annotations

import zlib
from collections import Counter

from calotype.bitstream import taps
from calotype.bitstream.checks import chunk_crc, limit_error, metadata_limit_error, parts_of
from calotype.bitstream.fields import (
    ALPHA,
    CRC_SIZE,
    FLAG_GREY,
    FLAG_LAB,
    FLAG_RESERVED,
    LATENTS,
    LAYER,
    LEADING,
    MAGIC,
    MAX_LEADING,
    MAX_VALUE,
    NAMES,
    OPTIONAL_BIT,
    PICTURE,
    PIXELS,
    TAPS,
    TILE,
    TILE_LOG2_MIN,
    TILE_SHIFT,
    VERSION,
    Bytes,
    Chunk,
    Header,
    Limits,
)
from calotype.bitstream.grid import tile_count
from calotype.errors import CalotypeError, FormatError, LimitError


class Scan:
    """What ``scan`` found in so many bytes."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.fields: dict[str, int | bytes] = {}
        """Header fields, as far as they could be read."""
        self.header: Header | None = None
        self.header_size: int | None = None
        self.chunks: list[Chunk] = []
        self.metadata: dict[int, bytes] = {}
        """Inflated metadata, by chunk type."""
        self.parts: dict[int, memoryview] = {}
        """Alpha and layer, which have something for each tile, by chunk type."""
        self.taps: memoryview | None = None
        """The picture's own taps, as the file has them."""
        self.tiles: list[Chunk] = []
        self.cut: memoryview | None = None
        """What there is of the payload of the tile that the file ends in: a preview may need no more."""
        self.error: CalotypeError | None = None
        """The first error."""
        self.fatal = False
        """Whether an error is of a kind that leaves nothing to save."""
        self.trusted = False
        """Whether the header is known to be good: every checksum covers it, so one good chunk proves it."""


def scan(data: Bytes, limits: Limits) -> Scan:
    """Read the whole file, or up to where its structure is lost. Never raises on account of the bytes."""
    view = memoryview(data).cast("B").toreadonly()
    scanner = _Scanner(view, limits)
    try:
        scanner.read_header()
        scanner.read_chunks()
    except CalotypeError as error:
        scanner.note(error)
    return scanner.found


class _Scanner:
    def __init__(self, view: memoryview, limits: Limits) -> None:
        self.view = view
        self.limits = limits
        self.pos = 0
        self.header_crc = 0
        self.covered: set[int] = set()
        self.found = Scan(len(view))

    def note(self, error: CalotypeError) -> None:
        """Remember ``error`` if it is the first."""
        self.found.error = self.found.error or error

    # -- header ---------------------------------------------------------------------------------------------

    def read_header(self) -> None:
        found = self.found
        found.fatal = True  # until the header is through
        if bytes(self.view[: len(MAGIC)]) != MAGIC:
            start = bytes(self.view[:4]).hex(" ")
            what = f"the file starts with {start}" if start else "the file is empty"
            raise FormatError(f"not a .calo file: {what}", field="magic", offset=0)
        found.fields["magic"] = self._take(len(MAGIC), "magic")
        version = found.fields["version"] = self._number(1, "version")
        if version != VERSION:
            raise FormatError(
                f"{version}, and this reader knows {VERSION}; update calotype, or the file is damaged",
                field="version",
                offset=self.pos - 1,
            )
        flags = found.fields["flags"] = self._number(1, "flags")
        if flags & FLAG_RESERVED:
            raise FormatError(
                f"reserved bits are set (0x{flags:02x}); update calotype, or the file is damaged",
                field="flags",
                offset=self.pos - 1,
            )
        pack_id = found.fields["pack_id"] = self._take(4, "pack_id")
        level = found.fields["level"] = self._number(2, "level")
        size_offset = self.pos
        width = found.fields["width"] = self._varint("width", least=1)
        height = found.fields["height"] = self._varint("height", least=1)
        found.header = Header(
            width=width,
            height=height,
            level=level,
            pack_id=pack_id,
            tile=1 << (flags >> TILE_SHIFT) + TILE_LOG2_MIN,
            grey=bool(flags & FLAG_GREY),
            lab=bool(flags & FLAG_LAB),
        )
        found.header_size = self.pos
        self.header_crc = zlib.crc32(self.view[: self.pos])
        if (problem := limit_error(found.header, self.limits)) is not None:
            raise LimitError(str(problem), field="width, height", offset=size_offset)
        found.fatal = False

    # -- chunks ---------------------------------------------------------------------------------------------

    def read_chunks(self) -> None:
        found = self.found
        assert found.header is not None
        count = tile_count(found.header)
        seen: Counter[int] = Counter()
        while self.pos < len(self.view):
            if len(found.tiles) == count:
                raise FormatError(
                    f"{len(self.view) - self.pos} bytes follow the last {self._payload_name}; "
                    "cut them off, or the file is damaged",
                    offset=self.pos,
                )
            chunk = self._read_chunk(seen)
            seen[chunk.type] += chunk.crc_ok  # a damaged type byte is no reason to refuse a later chunk
            found.chunks.append(chunk)
            found.trusted |= chunk.crc_ok
            if chunk.type in PICTURE:
                if chunk.crc_ok and chunk.type == PIXELS and len(found.tiles) in self.covered:
                    raise FormatError(f"it lies over tile {len(found.tiles)}, which is pixels", field="layer")
                found.tiles.append(chunk)
            elif chunk.crc_ok:
                self._use(chunk)
        if len(found.tiles) < count:
            raise FormatError(
                f"the file ends after {len(found.tiles)} of {count}; it is truncated or damaged",
                field=self._payload_name,
                offset=self.pos,
            )

    @property
    def _payload_name(self) -> str:
        assert self.found.header is not None
        return "latents" if self.found.header.lab else "tile"

    def _read_chunk(self, seen: Counter[int]) -> Chunk:
        """Read one chunk that may stand here, good or damaged; raise if the walk cannot go on after it."""
        offset = self.pos
        type_ = self._number(1, "type")
        name = NAMES.get(type_, "unknown")
        length_offset = self.pos
        length = self._varint("length")
        left = len(self.view) - self.pos
        if length + CRC_SIZE > left:
            if name == self._payload_name:  # of pixels the beginning is of no use
                self.found.cut = self.view[self.pos : self.pos + length]
            raise FormatError(
                f"{name} chunk needs {length + CRC_SIZE} more bytes, and {left} are left; "
                "the file is truncated or damaged",
                field="length",
                offset=length_offset,
            )
        payload = self._take_view(length)
        crc = self._number(CRC_SIZE, "crc")
        index = len(self.found.tiles) if type_ in PICTURE else 0
        crc_ok = crc == chunk_crc(self.header_crc, type_, index, payload)
        problem = self._misplaced(type_, name, seen)
        if not crc_ok:
            where = f"tile {index}" if type_ in (TILE, PIXELS) else f"the {name} chunk"
            also = "" if self.found.trusted else " or the header"
            error = FormatError(
                f"checksum mismatch: {where}{also} is damaged; get another copy of the file",
                field="crc",
                offset=self.pos - CRC_SIZE,
            )
            if problem:  # so its type or length is not to be believed, nor what seems to follow
                raise error
            self.note(error)
        elif problem:
            # After damage this may be its consequence; a required chunk that is unknown is what it says.
            self.found.fatal = self.found.error is None or name == "unknown"
            raise FormatError(problem, field="type", offset=offset)
        return Chunk(type_, name, offset, length, payload, crc_ok, index, crc)

    def _misplaced(self, type_: int, name: str, seen: Counter[int]) -> str | None:
        """Why a chunk of this type may not stand here, if it may not."""
        assert self.found.header is not None
        if type_ == (LATENTS if self.found.header.lab else TILE) or (
            type_ == PIXELS and not self.found.header.lab
        ):
            return None
        if type_ in PICTURE or (type_ in (LAYER, TAPS) and self.found.header.lab):
            return f"a {name} chunk, in a file of the kind that holds {self._payload_name} chunks"
        if self.found.tiles:
            return f"{name} chunk (0x{type_:02x}) after the first {self._payload_name}; it must come before"
        if len(self.found.chunks) == MAX_LEADING:
            return f"more than {MAX_LEADING} chunks before the first {self._payload_name}"
        if type_ in LEADING:
            if seen[type_]:
                return f"second {name} chunk; there may be one"
            later = [NAMES[t] for t in LEADING[LEADING.index(type_) :] if seen[t]]
            return f"{name} chunk after {later[0]}; it must come before" if later else None
        if type_ & OPTIONAL_BIT:
            return None
        return f"required chunk of unknown type 0x{type_:02x}; update calotype to open this file"

    def _use(self, chunk: Chunk) -> None:
        """Take the content of an intact chunk other than a tile; unknown optional ones are skipped."""
        payload_offset = chunk.offset + 1 + _varint_size(chunk.length)
        try:
            if chunk.type in (ALPHA, LAYER):
                assert self.found.header is not None
                try:
                    parts = parts_of(chunk.payload, self.found.header)
                except ValueError as error:
                    raise FormatError(str(error), field=chunk.name, offset=payload_offset) from None
                self.found.parts[chunk.type] = chunk.payload
                if chunk.type == LAYER:
                    self.covered = {tile for tile, part in enumerate(parts) if part}
            elif chunk.type == TAPS:
                try:
                    taps.read(chunk.payload)
                except ValueError as error:
                    raise FormatError(str(error), field="taps", offset=payload_offset) from None
                self.found.taps = chunk.payload
            elif chunk.type in LEADING:
                self.found.metadata[chunk.type] = self._inflate(chunk, payload_offset)
        except CalotypeError as error:
            self.note(error)

    def _inflate(self, chunk: Chunk, offset: int) -> bytes:
        room = self.limits.max_metadata - sum(map(len, self.found.metadata.values()))
        inflater = zlib.decompressobj()
        try:
            out = inflater.decompress(chunk.payload, room + 1)
        except zlib.error as error:
            reason = str(error).rpartition(": ")[2]
            raise FormatError(f"not a zlib stream ({reason})", field=chunk.name, offset=offset) from None
        if len(out) > room:
            raise LimitError(str(metadata_limit_error(self.limits)), field=chunk.name, offset=offset)
        if not inflater.eof or inflater.unused_data:
            what = "bytes follow its end" if inflater.eof else "it ends early"
            raise FormatError(f"bad zlib stream: {what}", field=chunk.name, offset=offset)
        if not out:
            raise FormatError("empty after inflation; leave the chunk out", field=chunk.name, offset=offset)
        return out

    # -- values ---------------------------------------------------------------------------------------------

    def _take_view(self, size: int) -> memoryview:
        self.pos += size
        return self.view[self.pos - size : self.pos]

    def _take(self, size: int, name: str) -> bytes:
        if size > len(self.view) - self.pos:
            raise _truncated(name, self.pos)
        return bytes(self._take_view(size))

    def _number(self, size: int, name: str) -> int:
        return int.from_bytes(self._take(size, name), "little")

    def _varint(self, name: str, least: int = 0) -> int:
        start = self.pos
        value = 0
        for shift in range(0, 35, 7):
            if self.pos == len(self.view):
                raise _truncated(name, start)
            byte = self.view[self.pos]
            self.pos += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift:
                    raise FormatError("number not in its shortest form", field=name, offset=start)
                break
        else:
            value = MAX_VALUE + 1
        if not least <= value <= MAX_VALUE:
            raise FormatError(f"out of range, must be {least} to {MAX_VALUE}", field=name, offset=start)
        return value


def _truncated(name: str, offset: int) -> FormatError:
    return FormatError("the file ends here; it is truncated", field=name, offset=offset)


def _varint_size(value: int) -> int:
    return max(1, -(-value.bit_length() // 7))
