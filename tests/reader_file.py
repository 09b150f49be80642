"""The container and the rANS stream of a second reader, from docs/FORMAT.md alone.

Whatever is not as the page has it, or beyond its limits, is a ValueError.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
METADATA = {0x81: "icc", 0x82: "exif", 0x83: "xmp"}
ORDER = (0x81, 0x82, 0x83, 0x02, 0x05, 0x07, 0x01)
"""Of the chunks; 0x04, a tile of pixels, stands where 0x01, one of latents, may."""


def require(good: bool, what: str) -> None:
    if not good:
        raise ValueError(what)


def varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for k in range(5):
        require(at + k < len(data), "it ends within a number")
        value |= (data[at + k] & 127) << 7 * k
        if data[at + k] < 128:
            require(value < 2**31 and (data[at + k] > 0 or k == 0), "a number is too large or too long")
            return value, at + k + 1
    raise ValueError("a number is too long")


def own_taps(payload: bytes) -> list[list[int]]:
    bits = [byte >> k & 1 for byte in payload for k in range(7, -1, -1)]

    def take(n: int) -> int:
        require(n <= len(bits), "own taps end early")
        return sum(bits.pop(0) << k for k in range(n - 1, -1, -1))

    def number(p: int, most: int) -> int:
        m = 0
        while p < 7 and take(1):
            m += 1
            require(m <= 2 * most, "a number of own taps is too large")
        m = (m << p) + take(p) if p < 7 else 0
        require(m <= 2 * most, "a number of own taps is too large")
        return (m + 1) // 2 if m % 2 else -(m // 2)

    def group(n: int, most: int) -> list[int]:
        p = take(3)
        return [number(p, most) for _ in range(n)]

    found = [group(12, 127) + group(8, 127) + group(2, 8) for _ in range(1 << take(2))]
    require(len(bits) < 8 and not any(bits), "something follows own taps")
    return found


@dataclass
class Stored:
    """What a file of pictures holds."""

    grey: bool
    side: int
    """Of a tile, in pixels."""
    pack_id: bytes
    level: int
    width: int
    height: int
    boxes: list[tuple[int, int, int, int]]
    """Left, top, width and height of every tile in pixels."""
    tiles: list[tuple[bool, bytes]] = field(default_factory=list)
    """Whether it is one of pixels, and the payload."""
    alpha: list[bytes] = field(default_factory=list)
    """A pixel stream for each tile, or nothing."""
    layer: list[bytes] = field(default_factory=list)
    """What lies over each tile, or nothing."""
    taps: list[list[int]] = field(default_factory=list)
    """Sets of the picture's own, each of 12 + 8 + 2 numbers, or nothing."""
    metadata: dict[str, bytes] = field(default_factory=dict)

    def take(self, kind: int, payload: bytes) -> None:
        if kind in (0x01, 0x04):
            bare = kind == 0x01 or not self.layer or not self.layer[len(self.tiles)]
            require(bare, "something lies over a tile of pixels")
            self.tiles.append((kind == 0x04, payload))
        elif kind in (0x02, 0x05):
            at, parts = 0, self.alpha if kind == 0x02 else self.layer
            for _ in self.boxes:
                length, at = varint(payload, at)
                require(length <= len(payload) - at, "a tile's part is longer than its chunk")
                parts.append(payload[at : at + length])
                at += length
            require(at == len(payload), "something follows the last tile's part")
        elif kind == 0x07:
            self.taps = own_taps(payload)
        elif kind in METADATA:
            stream, room = zlib.decompressobj(), 2**24 - sum(map(len, self.metadata.values()))
            try:
                self.metadata[METADATA[kind]] = found = stream.decompress(payload, room + 1)
            except zlib.error as error:
                raise ValueError(f"metadata: {error}") from None
            require(len(found) <= room, "more than 2^24 bytes of metadata")
            require(bool(found) and stream.eof and not stream.unused_data, "metadata are not one zlib stream")


def parse(data: bytes) -> Stored:
    """A whole file of a picture, not one of the laboratory."""
    require(data[:4] == b"\xcaLO\x01", "no .calo file of version 1")
    require(len(data) > 11 and data[4] & 0b1110 == 0, "reserved bits, or a file of the laboratory")
    width, at = varint(data, 11)
    height, at = varint(data, at)
    side, start = 1 << (data[4] >> 4) + 6, zlib.crc32(data[:at])
    require(0 < width * height <= 2**30, "no pixels, or more than 2^30")
    require(min(side, width) * min(side, height) <= 2**24, "a tile has more than 2^24 pixels")
    require(-(-width // side) * -(-height // side) <= 2**16, "more than 2^16 tiles")
    boxes = [
        (x, y, min(side, width - x), min(side, height - y))
        for y in range(0, height, side)
        for x in range(0, width, side)
    ]
    level = int.from_bytes(data[9:11], "little")
    file, before, others = Stored(data[4] % 2 == 1, side, data[5:9], level, width, height, boxes), -1, 0
    while len(file.tiles) < len(boxes):
        require(at < len(data), "tiles are missing")
        kind = data[at]
        length, begin = varint(data, at + 1)
        end = begin + length
        require(end + 4 <= len(data), "a chunk is longer than the file")
        index = len(file.tiles) if kind in (0x01, 0x04) else 0
        crc = zlib.crc32(
            data[begin:end], zlib.crc32(index.to_bytes(4, "little"), zlib.crc32(data[at:begin], start))
        )
        require(crc == int.from_bytes(data[end : end + 4], "little"), "a checksum is wrong")
        place = 0x01 if kind == 0x04 else kind
        if place in ORDER:
            rank = ORDER.index(place)
            require(rank > before or rank == before == 6, "chunks are repeated or out of order")
            before = rank
            file.take(kind, data[begin:end])
        else:
            require(kind >= 128 and not file.tiles, "a chunk is not known, or stands among tiles")
        others += not file.tiles
        require(others <= 64, "more than 64 chunks before the first tile")
        at = end + 4
    require(at == len(data), "something follows the last tile")
    return file


class Laws:
    """A set of tables: cumulative frequencies and offset of each."""

    def __init__(self, frequencies: Array, lengths: Array, offsets: Array) -> None:
        ends = np.cumsum(lengths)
        require(len(lengths) == len(offsets) and ends[-1] == len(frequencies), "tables of other lengths")
        self.starts = [[0, *np.cumsum(part).tolist()] for part in np.split(frequencies, ends[:-1])]
        self.offsets = offsets.tolist()
        require(all(len(c) > 2 and c[-1] == 1 << 14 for c in self.starts), "a table does not sum to 2^14")


class Symbols:
    """A decoder of a rANS stream."""

    def __init__(self, data: bytes) -> None:
        data = data or 4 * b"\0\0\1\0"
        require(len(data) >= 16 and len(data) % 2 == 0, "a stream of a wrong length")
        self.states = [int.from_bytes(data[k : k + 4], "little") for k in range(0, 16, 4)]
        require(min(self.states) >= 1 << 16, "a state is below 2^16")
        self.words = [int.from_bytes(data[k : k + 2], "little") for k in range(16, len(data), 2)]
        self.at = self.count = 0

    def step(self, lane: int, start: int, end: int) -> None:
        x = self.states[lane]
        x = (end - start) * (x >> 14) + x % (1 << 14) - start
        if x < 1 << 16:
            require(self.at < len(self.words), "the stream ends early")
            x, self.at = x << 16 | self.words[self.at], self.at + 1
        self.states[lane] = x

    def bits(self, lane: int, width: int) -> int:
        value = self.states[lane] % (1 << 14) >> 14 - width
        self.step(lane, value << 14 - width, value + 1 << 14 - width)
        return value

    def escape(self, lane: int) -> int:
        k = 1
        while self.bits(lane, 1):
            k += 1
            require(k <= 33, "an escape without end")
        u = 1
        while k:
            width = min(k, 14)
            u, k = u << width | self.bits(lane, width), k - width
        return u - 2

    def get(self, index: Array, laws: Laws, skip: int = -1) -> Array:
        """A symbol by the table of each ``index``, in order; 0, and nothing read, by table ``skip``."""
        found = np.zeros(index.size, np.int64)
        for i, t in enumerate(index.ravel().tolist()):
            if t == skip:
                continue
            lane, starts, offset = self.count % 4, laws.starts[t], laws.offsets[t]
            self.count += 1
            entry, n = bisect_right(starts, self.states[lane] % (1 << 14)) - 1, len(starts) - 2
            self.step(lane, starts[entry], starts[entry + 1])
            value = offset + entry
            if entry == n:
                e = self.escape(lane)
                value = offset - 1 - e // 2 if e % 2 else offset + n + e // 2
            require(-(2**31) <= value < 2**31, "a value beyond 32 bits")
            found[i] = value
        return found.reshape(index.shape)

    def finish(self) -> None:
        require(
            self.at == len(self.words) and self.states == [1 << 16] * 4, "the stream does not end as it must"
        )
