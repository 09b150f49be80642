"""The stream layout once more, in plain Python, written from docs/FORMAT.md alone.

A check on both the document and the coder.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import pairwise


class Reference:
    """Decodes one symbol at a time; slow and simple."""

    def __init__(self, data: bytes) -> None:
        if not data:
            data = struct.pack("<4I", *[1 << 16] * 4)
        self.states = list(struct.unpack("<4I", data[:16]))
        self.words = [w for (w,) in struct.iter_unpack("<H", data[16:])]
        self.symbols = 0

    def _step(self, lane: int, start: int, freq: int) -> None:
        x = self.states[lane]
        x = freq * (x >> 14) + (x & 16383) - start
        if x < 1 << 16:
            x = x << 16 | self.words.pop(0)
        self.states[lane] = x

    def _bits(self, lane: int, width: int) -> int:
        value = (self.states[lane] & 16383) >> (14 - width)
        self._step(lane, value << (14 - width), 1 << (14 - width))
        return value

    def _entry(self, lane: int, freqs: Sequence[int]) -> int:
        slot = self.states[lane] & 16383
        start = 0
        for entry, freq in enumerate(freqs):
            if slot < start + freq:
                self._step(lane, start, freq)
                return entry
            start += freq
        raise AssertionError("the frequencies do not sum to 16384")

    def symbol(self, freqs: Sequence[int], offset: int) -> int:
        lane = self.symbols % 4
        self.symbols += 1
        entry = self._entry(lane, freqs)
        n = len(freqs) - 1
        if entry < n:
            return offset + entry
        k = 1
        while self._bits(lane, 1):
            k += 1
        u, left = 1, k
        while left:
            width = min(left, 14)
            u = u << width | self._bits(lane, width)
            left -= width
        e = u - 2
        return offset - 1 - e // 2 if e % 2 else offset + n + e // 2

    def position(self, cdf: Sequence[int]) -> int:
        lane = self.symbols % 4
        self.symbols += 1
        return self._entry(lane, [b - a for a, b in pairwise(cdf)])

    def at_end(self) -> bool:
        return not self.words and self.states == [1 << 16] * 4
