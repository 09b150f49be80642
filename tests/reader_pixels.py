"""The pixel stream of a second reader, from docs/FORMAT.md alone; names are those of the page."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def clip(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


def divided(a: int, b: int) -> int:
    """Rounded towards 0."""
    return a // b if a >= 0 else -(-a // b)


def _squashed() -> list[int]:
    e, found = 2**31, [2**15]
    for _ in range(2816):
        e = e * 4278222805 >> 32
        found.append(2**16 * e // (2**31 + e))
    return [*found[:0:-1], 2**15, *(2**16 - low for low in found[1:])]


SQUASH = _squashed()
"""From -2816 to 2816."""
STRETCH = [min(int(np.searchsorted(SQUASH, 16 * i + 8)) - 2816, 2816) for i in range(4096)]


class Shares:
    def __init__(self) -> None:
        self.cuts, self.seen = [2048 * i for i in range(16)], 0

    def learn(self, s: int) -> None:
        k = min(2 + min(self.seen, 15).bit_length(), 6)
        self.seen += 1
        for i in range(1, 16):
            self.cuts[i] += ((32768 - 8 * (16 - i) if i > s else 8 * i) - self.cuts[i]) >> k


class Chance:
    def __init__(self) -> None:
        self.p, self.n = 32768, 0

    def learn(self, b: int, limit: int) -> None:
        self.p += (65535 * b - self.p) * (65536 // (2 * self.n + 3)) >> 15
        self.n = min(self.n + 1, limit)


class Range:
    """The range decoder."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self.range, self.code = data, 4, 2**32 - 1, int.from_bytes(data[:4], "big")
        if len(data) < 4:
            raise ValueError("the pixel stream ends early")

    def step(self, below: int, range_: int) -> None:
        self.code, self.range = self.code - below, range_
        while self.range < 2**24:
            if self.at == len(self.data):
                raise ValueError("the pixel stream ends early")
            self.code, self.range = self.code << 8 | self.data[self.at], self.range << 8
            self.at += 1

    def symbol(self, cuts: Sequence[int]) -> int:
        r = self.range >> 15
        s = max(i for i, cut in enumerate(cuts) if r * cut <= self.code)
        self.step(r * cuts[s], r * (cuts[s + 1] - cuts[s]) if s < 15 else self.range - r * cuts[15])
        return s

    def bit(self, p: int) -> int:
        cut = self.range * p >> 16
        one = self.code < cut
        self.step(0 if one else cut, cut if one else self.range - cut)
        return int(one)

    def raw(self, n: int) -> int:
        r = self.range >> n
        v = min(self.code // r, 2**n - 1)
        self.step(r * v, r)
        return v

    def lone(self, chance: Chance, limit: int) -> int:
        b = self.bit(clip(chance.p, 64, 65472))
        chance.learn(b, limit)
        return b

    def mixed(self, weights: list[int], chances: Sequence[Chance]) -> int:
        stretched = [STRETCH[chance.p >> 4] for chance in chances]
        t = clip(sum(w * x for w, x in zip(weights, stretched, strict=True)) >> 16, -2816, 2816)
        p = clip(SQUASH[t + 2816], 2, 65534)
        b = self.bit(p)
        for i, x in enumerate(stretched):
            weights[i] = clip(weights[i] + ((65535 * b - p) * x >> 13), -(2**20), 2**20)
            chances[i].learn(b, 250)
        return b


class Rows:
    """Values by row, of which the last three are kept: two more at each end, as the page has it."""

    def __init__(self, width: int, outside: Any, *, edges: bool) -> None:
        self.width, self.outside, self.edges = width, outside, edges
        self.rows = [[outside] * (width + 4) for _ in range(3)]

    def next(self) -> None:
        """Begins a row; that before it gets its right end."""
        last = self.rows[2]
        if self.edges:
            last[-2:] = [last[-3]] * 2
        first = last[2] if self.edges else self.outside
        self.rows = [*self.rows[1:], [first] * 2 + [self.outside] * (self.width + 2)]

    def at(self, x: int, dx: int, dy: int) -> Any:
        return self.rows[2 + dy][2 + x + dx]

    def put(self, x: int, value: Any) -> None:
        self.rows[2][2 + x] = value


def hashed(h: int, p: int) -> int:
    return (h ^ p) * 2654435761 % 2**32 ^ h >> 15


class Place:
    def __init__(self) -> None:
        self.check = self.pixel = self.right = 0
        self.used = False

    def look(self, check: int) -> None:
        if check != self.check:
            self.check, self.right, self.used = check, 0, False

    def trust(self, most: int) -> int:
        return min(self.right, most) + 1 if self.used else 0

    def learn(self, pixel: int) -> None:
        if self.used and self.pixel == pixel:
            self.right = min(self.right + 1, 255)
        elif self.right > 3:
            self.right = 1
        else:
            self.pixel, self.right, self.used = pixel, 0, True


class PixelReader:
    def __init__(self, data: bytes, width: int, height: int, channels: int) -> None:
        first = data[0] if data else 0
        self.colour, self.screen, self.step = first & 3, first >> 2 & 1, (first >> 3) + 1
        if (self.colour == 3 and self.step > 1) or (self.colour in (1, 2) and channels < 3):
            raise ValueError("a pixel stream of unknown colours")
        self.code, self.size, self.channels, self.top = Range(data[1:]), (width, height), channels, 255
        self.palette = self.colours(channels) if self.colour == 3 else None
        if self.palette is not None:
            self.colour, self.channels, self.top = 0, 1, len(self.palette) - 1
            channels = 1
        self.shares: dict[Any, Shares] = defaultdict(Shares)
        self.chances: dict[Any, Chance] = defaultdict(Chance)
        self.weights: dict[Any, list[int]] = defaultdict(lambda: [33306] * 3)
        self.bias: dict[Any, list[int]] = defaultdict(lambda: [0, 1, 0])
        self.values = [Rows(width, 0, edges=True) for _ in range(channels)]
        self.missed = [Rows(width, 0, edges=False) for _ in range(channels)]
        self.misses = [Rows(width, (0,) * 8, edges=False) for _ in range(channels)]
        self.pixels = Rows(width, 0, edges=True)
        self.bits = min((width * height).bit_length(), 16)
        self.places: tuple[dict[int, Place], ...] = (defaultdict(Place), defaultdict(Place))
        self.hits, self.history = deque([True] * 8, 8), 0
        self.last: dict[int, int] = defaultdict(int)

    def read(self) -> Array:
        """Pixels ``[height, width, channels]``."""
        width, height = self.size
        out = np.zeros((height, width, self.channels), np.uint8)
        for y in range(height):
            for rows in (*self.values, *self.missed, *self.misses, self.pixels):
                rows.next()
            for x in range(width):
                pixel = self.pixel(x)
                self.pixels.put(x, pixel)
                out[y, x] = [pixel >> 8 * c & 255 for c in range(self.channels)]
        if self.code.at != len(self.code.data) or self.code.code:
            raise ValueError("the pixel stream does not end as it must")
        return out if self.palette is None else self.palette[out[:, :, 0]]

    def number(self, chances: Sequence[Chance]) -> int:
        length = 0
        while length < 12 and self.code.lone(chances[length], 60):
            length += 1
        return 2**length + self.code.raw(length) - 1

    def colours(self, channels: int) -> Array:
        """The palette, [K, channels]."""
        learnt = [[Chance() for _ in range(12)] for _ in range(channels)]
        count, v, found = self.code.raw(8) + 1, [0] * channels, []
        for _ in range(count):
            for c in range(channels):
                n = self.number(learnt[c])
                v[c] += n if c == 0 else (n + 1) // 2 if n % 2 else -(n // 2)
            plain = [v[1] + v[0], v[0], v[2] + v[0], *v[3:]] if channels > 2 else v
            found.append([clip(value, 0, 255) for value in plain])
        return np.array(found, np.uint8)

    def pixel(self, x: int) -> int:
        if not self.screen:
            return self.coded(x)
        near_by = [self.pixels.at(x, *d) for d in ((-1, 0), (0, -1), (1, -1), (-1, -1), (-2, 0), (0, -2))]
        w, n, ne, nw, ww, nn = near_by
        near = hashed(hashed(hashed(hashed(1, w), n), ne), nw)
        far = near
        for p in (ww, nn, *(self.pixels.at(x, *d) for d in ((2, -1), (1, -2), (-1, -2)))):
            far = hashed(far, p)
        places = [table[h >> 32 - self.bits] for table, h in zip(self.places, (far, near), strict=True)]
        for place, h in zip(places, (far, near), strict=True):
            place.look(h & 0xFFFF)
        found = self.candidate(places, near_by, near)
        pixel = self.coded(x) if found is None else found
        self.hits.append(found is not None)
        for place in places:
            place.learn(pixel)
        if found is not None:
            self.whole(x, pixel)
        return pixel

    def candidate(self, places: list[Place], around: list[int], near: int) -> int | None:
        """The candidate that the pixel is, if it is one."""
        w, n, ne, nw, ww, nn = around
        listed = [(place.pixel, kind) for kind, place in enumerate(places) if place.used]
        if not listed or any(self.hits):
            listed += [(w, 2), (n, 3), (ne, 4), (nw, 4)]
        distinct: dict[int, int] = {}
        for p, kind in listed:
            distinct.setdefault(p, kind)
        t0, t1 = places[0].trust(6), places[1].trust(2)
        same = (w == n) + 2 * (n == nw) + 4 * (n == ne) + 8 * (w == ww) + 16 * (n == nn)
        right, found = 0, None
        for i, (p, kind) in enumerate([*distinct.items()][:5]):
            turn = 5 * i + kind
            keys = (
                ("trust", turn, 4 * min(t0, 3) + t1, same),
                ("history", turn, self.history),
                ("hash", hashed(near, turn) >> 18),
            )
            if self.code.mixed(self.weights[turn, t0], [self.chances[key] for key in keys]):
                right, found = int(i == 0), p
                break
        self.history = (self.history << 1 | right) & 511
        return found

    def coded(self, x: int) -> int:
        """A pixel whose values are coded, or that is the last one with such a first value."""
        v = [self.value(x, 0, [], 0)]
        if self.screen and self.channels > 1 and self.code.lone(self.chances["last", v[0]], 30):
            pixel = self.last[v[0]]
            self.whole(x, pixel)
            return pixel
        for c in range(1, self.channels):
            v.append(self.value(x, c, v, self.missed[c - 1].at(x, 0, 0)))
        pixel = sum(value << 8 * c for c, value in enumerate(self.unmixed(v)))
        self.last[v[0]] = pixel
        return pixel

    def unmixed(self, v: list[int]) -> list[int]:
        if self.colour == 1:
            return [clip(p, 0, 255) for p in (v[1] + v[0], v[0], v[2] + v[0])] + v[3:]
        if self.colour == 2:
            t = v[0] - (v[1] >> 1)
            b = t - (v[2] >> 1)
            return [clip(p, 0, 255) for p in (b + v[2], v[1] + t, b)] + v[3:]
        return v

    def mixed(self, p: list[int]) -> list[int]:
        if self.colour == 0:
            return p
        r, g, b, *others = p
        if self.colour == 1:
            return [g, r - g, b - g, *others]
        t = b + ((r - b) >> 1)
        return [t + ((g - t) >> 1), g - t, r - b, *others]

    def whole(self, x: int, pixel: int) -> None:
        """What a pixel that is found whole leaves."""
        for c, v in enumerate(self.mixed([pixel >> 8 * c & 255 for c in range(self.channels)])):
            self.settle(x, c, v, 0, self.guesses(x, c, 0))

    def settle(self, x: int, c: int, v: int, miss: int, guesses: list[int]) -> None:
        self.values[c].put(x, v)
        self.missed[c].put(x, miss)
        self.misses[c].put(x, tuple(min(255, abs(g - v)) for g in guesses))

    def guesses(self, x: int, c: int, before: int) -> list[int]:
        at = self.values[c].at
        w, n, nw, ne = (at(x, *d) for d in ((-1, 0), (0, -1), (-1, -1), (1, -1)))
        ww, nn, nne = (at(x, *d) for d in ((-2, 0), (0, -2), (1, -2)))
        s = w + n - nw
        return [
            w + ne - n, clip(s, min(w, n), max(w, n)), n + ne - nne, n + ((n - nn + w - nw) >> 1),
            w + ((w - ww + ne - n) >> 1), s, s + (before >> 1), (w + n + 1) >> 1,
        ]  # fmt: skip

    def value(self, x: int, c: int, known: list[int], before: int) -> int:
        k, at, code = min(c, 2), self.values[c].at, self.code
        w, n, nw, ne = (at(x, *d) for d in ((-1, 0), (0, -1), (-1, -1), (1, -1)))
        ww, nn = at(x, -2, 0), at(x, 0, -2)
        e = {name: self.missed[c].at(x, *d) for name, d in AROUND.items()}
        low, high = 0, self.top
        if self.colour == 1 and c in (1, 2):
            low, high = -known[0], 255 - known[0]
        elif self.colour == 2 and c in (1, 2):
            low, high = -255, 255
        g, miss = self.guesses(x, c, before), self.misses[c].at
        around = [miss(x, *d) for d in ((-1, 0), (0, -1), (-1, -1), (1, -1))]
        d = [2 * (a + b) + p + q for a, b, p, q in zip(*around, strict=True)]
        u = [2**17 // (t + 3) ** 2 + 1 for t in d]
        total = sum(u)
        f = (8 * sum(a * b for a, b in zip(g, u, strict=True)) + (total >> 1) + 2**13 * total) // total - 8192

        energy = 4 + 3 * (abs(e["W"]) + abs(e["N"])) + 2 * (abs(e["NE"]) + abs(e["NW"])) + abs(e["WW"])
        energy += (d[0] + d[1] + d[2] + d[4]) // 2
        energy += abs(w - nw) + abs(n - nw) + abs(ne - n) + 3 * abs(before)
        octave, m = energy.bit_length() - 3, f >> 3
        level = min(31, 4 * octave + (energy >> octave) % 4)
        texture = sum((t > m) << i for i, t in enumerate((w, n, nw, ne, ww, nn)))
        bias = self.bias[k, texture, level // 4]
        f += bias[2]
        predicted, cut = clip((f + 4) >> 3, low, high), max(octave - 4, 0)
        q = [clip((e[name] + (2**cut >> 1)) >> cut, -2, 2) for name in ("N", "NE", "W")]
        a = self.shares["A", k, level, 0 if cut else ((f + 4) >> 1) % 4]
        b = self.shares[("B", k, predicted, cut) if self.screen else ("B", k, cut, *q)]
        parts = (2, 2) if self.screen else (3, 1)
        symbol = code.symbol(
            [(parts[0] * s + parts[1] * t) >> 2 for s, t in zip(a.cuts, b.cuts, strict=True)]
        )
        a.learn(symbol)
        b.learn(symbol)
        r = symbol - 8
        if symbol in (0, 15):
            far = self.number([self.chances["open", k, symbol, length] for length in range(12)])
            r += far if symbol else -far
        v = clip(predicted + (2**cut * r + code.raw(cut)) * self.step, low, high)
        bias[0] += 8 * v - f + bias[2]
        bias[1] += 1
        if bias[1] == 64:
            bias[0], bias[1] = bias[0] >> 1, 32
        bias[2] = clip(divided(bias[0], bias[1]), -64, 64)
        self.settle(x, c, v, v - predicted, g)
        return v


AROUND = {"W": (-1, 0), "N": (0, -1), "NW": (-1, -1), "NE": (1, -1), "WW": (-2, 0)}


def read(data: bytes, width: int, height: int, channels: int) -> Array:
    """Pixels uint8 ``[height, width, channels]``."""
    return PixelReader(data, width, height, channels).read()
