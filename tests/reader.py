"""A second reader, from docs/FORMAT.md alone: bytes to pixels in the standard library and plain NumPy.

A check on both the page and the codec, of which it uses nothing.  Slow and simple; the container and the rANS
stream are in `tests.reader_file`, tiles of pixels in `tests.reader_pixels`, tiles of latents here, the filter
behind their synthesis in `tests.reader_filter`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests import reader_pixels
from tests.reader_file import Laws, Symbols, parse, require
from tests.reader_filter import corrected, restored

Array = NDArray[Any]
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))
LOW = 16
LEVEL = (
    "low_log_step",
    "high_log_step",
    "level_vector",
    "z_mul",
    "z_place",
    "z_scale",
    "low_bias",
    "high_bias",
)
FILTER = "restoration"
KINDS = {"F64": "<f8", "F32": "<f4", "I32": "<i4", "U32": "<u4", "I16": "<i2", "U8": "u1", "I8": "i1"}


def arrays(data: bytes) -> dict[str, Array]:  # of a safetensors file
    size = int.from_bytes(data[:8], "little")
    found = {}
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            first, end = (8 + size + offset for offset in entry["data_offsets"])
            found[name] = np.frombuffer(data[first:end], KINDS[entry["dtype"]]).reshape(entry["shape"])
    return found


def stages(octaves: int) -> Iterator[tuple[int, int, int]]:
    """Number, octave and phase of each stage; phase 0 is base, in the coarsest octave."""
    yield 0, octaves - 1, 0
    for number in range(1, 3 * octaves + 1):
        yield number, octaves - 1 - (number - 1) // 3, (number - 1) % 3 + 1


def grid(whole: Array, octave: int, phase: int) -> Array:
    """The sites of a phase, a view [C, h, w]."""
    i, j = PHASES[phase]
    return whole[:, i << octave :: 2 << octave, j << octave :: 2 << octave]


def sums(weight: Array, *maps: Array) -> Array:
    """A convolution, exact: no sum reaches 2^53."""
    x = np.concatenate(maps).astype(np.float64)
    (_, h, w), side = x.shape, weight.shape[2]
    x = np.pad(x, ((0, 0), (side // 2,) * 2, (side // 2,) * 2))
    taps = np.ndindex(side, side)
    parts = [np.tensordot(weight[:, :, i, j], x[:, i : i + h, j : j + w], 1) for i, j in taps]
    return np.sum(parts, 0).astype(np.int64)


def column(values: Array) -> Array:
    return np.asarray(values, np.int64)[:, None, None]


def magnitude(r: Array) -> Array:
    a = np.abs(r)
    return 32 * np.minimum(a, 1) + 16 * np.minimum(a, 4) + 4 * np.minimum(a, 16)


def clip(low: int, high: int) -> Callable[[Array], Array]:
    return lambda v: np.clip(v, low, high)


word, byte, near, hidden = clip(-(2**15), 2**15 - 1), clip(0, 255), clip(-4095, 4095), clip(0, 4095)


def finer(v: Array) -> Array:
    """Four parts of the outputs to a grid of twice the rows and columns."""
    (n, h, w) = v.shape
    return v.reshape(2, 2, n // 4, h, w).transpose(2, 3, 0, 4, 1).reshape(n // 4, 2 * h, 2 * w)


def patches(v: Array, side: int) -> Array:
    """(row, column, colour) of squares of pixels [3 side^2, h, w] to a picture [side h, side w, 3]."""
    h, w = v.shape[1:]
    return v.reshape(side, side, 3, h, w).transpose(3, 0, 4, 1, 2).reshape(side * h, side * w, 3)


class Reader:
    """One pack at one level."""

    def __init__(self, tables: dict[str, Array], networks: dict[str, Array], level: int) -> None:
        self.arrays, self.networks = tables, networks
        a, f = divmod(level, 256)
        names = (*LEVEL, FILTER) if FILTER in tables else LEVEL
        ends = ((tables[n].astype(np.int64)[[a, min(a + 1, len(tables[n]) - 1)]]) for n in names)
        self.level = {n: (u * (256 - f) + v * f + 128) >> 8 for n, (u, v) in zip(names, ends, strict=True)}
        powers = np.rint(2.0 ** (30 + np.arange(257) / 256)).astype(np.int64)
        for part in ("low", "high"):
            log = self.level[f"{part}_log_step"]
            p, i, down = powers, log % 65536 >> 8, 30 - (log >> 16)
            mantissa = p[i] + (((p[i + 1] - p[i]) * (log % 256) + 128) >> 8)
            self.level[f"{part}_step"] = (mantissa + (1 << down) // 2) >> down
        parts = ("frequencies", "lengths", "offsets")
        self.z_laws, self.r_laws = (Laws(*(tables[f"{k}_{part}"] for part in parts)) for k in "zr")

    def law(self, name: str, *maps: Array) -> Array:
        """A layer of the laws without its bias."""
        return sums(self.arrays[name + ".weight"], *maps)

    def relu(self, name: str, *maps: Array) -> Array:
        return np.clip((self.law(name, *maps) + column(self.arrays[name + ".bias"]) + 64) >> 7, 0, 255)

    def layer(self, name: str, *maps: Array) -> Array:
        """A layer of the networks from integers to pixels."""
        weight, bias, mul = (self.networks[f"{name}.{part}"] for part in ("weight", "bias", "mul"))
        return ((sums(weight, *maps) + column(bias)) * column(mul) + 2**31) >> 32

    def integers(self, data: bytes, h: int, w: int) -> tuple[Array, Array]:
        """z and r of a tile, padded to multiples of 8 latents."""
        stream, up = Symbols(data), lambda n: -(-n // 8) * 8
        z, side = self.hyper(stream, -(-h // 2), -(-w // 2), up(h) // 2, up(w) // 2)
        d = self.dequantised(z)
        r = np.zeros((LOW + self.level["high_bias"].shape[1], up(h), up(w)), np.int64)
        m = np.zeros_like(r[:LOW])
        for s, octave, phase in stages(3):
            i, j = (k << octave for k in PHASES[phase])
            own = side[:, i // 2 :: 1 << octave, j // 2 :: 1 << octave] if octave else side
            known = [grid(m, octave, p) for p in range(phase)]
            t = [self.relu(f"scales.low.{s - 1}", *known)] if s else []
            index = self.law(f"scales.low_out.{s}", *t, own) + column(self.level["low_bias"][s])
            index = np.clip((index + 128) >> 8, 1, 63) + (64 if s else 0)
            self.read(stream, grid(r[:LOW, :h, :w], octave, phase), index)
            grid(m, octave, phase)[:] = self.size(grid(r[:LOW], octave, phase))
        context = [self.relu("scales.below", *(grid(m, 0, p) for p in range(4)))]
        for p in range(4):
            t = self.relu(f"scales.near.{p}", *context)
            mix = self.relu(f"scales.mix.{p}", t, side)
            index = self.law(f"scales.high_out.{p}", mix, d) + column(self.level["high_bias"][p])
            self.read(stream, grid(r[LOW:, :h, :w], 0, p), np.clip((index + 128) >> 8, 0, 63) + 128)
            context += [self.relu(f"scales.reduce.{p}", self.size(grid(r[LOW:], 0, p)))] if p < 3 else []
        stream.finish()
        return z, r

    def size(self, r: Array) -> Array:
        return magnitude((np.abs(r) + 1) // 2)

    def read(self, stream: Symbols, out: Array, index: Array) -> None:
        """The residuals of a stage, those of its sites that are in the tile."""
        index = index[:, : out.shape[1], : out.shape[2]]
        machines, turn, found = [0] * 8, 0, np.zeros(index.size, np.int64)
        for i, t in enumerate(index.ravel().tolist()):
            if t != 128:
                odd = machines[turn % 8] % 2
                n = int(stream.get(np.array(t + 192 * odd), self.r_laws))
                found[i] = 2 * n - odd * ((n > 0) - (n < 0))
                require(abs(found[i]) < 1 << 15, "a residual beyond 2^15 - 1")
                machines[turn % 8] = machines[turn % 8] >> 1 ^ 78 * odd ^ 43 * (n % 2)
                turn += 1
        out[:] = found.reshape(index.shape)

    def dequantised(self, z: Array) -> Array:
        return np.clip((z * column(self.level["z_mul"]) + 128) >> 8, -127, 127)

    def hyper(self, stream: Symbols, a: int, b: int, rows: int, columns: int) -> tuple[Array, Array]:
        """z of a x b cells, padded to rows x columns, and what is known of the cells."""
        z = np.zeros((len(self.level["z_mul"]), rows, columns), np.int64)
        d = np.zeros_like(z)
        inverse = (2**20 + self.level["z_mul"] // 2) // self.level["z_mul"]
        for s, octave, phase in stages(2):
            known = [grid(d, octave, p) for p in range(phase)]
            own, n = grid(d, octave, phase), s - 1
            place, scale = (column(self.level[t][s]) + np.zeros_like(own) for t in ("z_place", "z_scale"))
            if s:
                t = self.relu(f"hyper.hidden.{n}", *known)
                place += self.law(f"hyper.linear.{n}", *known) + self.law(f"hyper.place.{n}", t)
                scale += self.law(f"hyper.scale.{n}", t)
            scale = np.clip((scale + 128) >> 8, 0, 15)
            weight = self.arrays[f"hyper.own.{s}.weight"]
            for c in range(len(z)):
                location = place[c] + (sums(weight[c : c + 1, :c], own[:c])[0] if c else 0)
                q = (np.clip((location + 128) >> 8, -254, 254) * inverse[c] + 512) >> 10
                out = grid(z[c : c + 1, :a, :b], octave, phase)[0]
                part = np.s_[: out.shape[0], : out.shape[1]]
                v = stream.get((4 * scale[c] + q % 4)[part], self.z_laws)
                out[:] = (q[part] >> 2) + v
                own[c] = grid(self.dequantised(z), octave, phase)[c]
        return z, np.concatenate((self.relu("scales.wide", d), d))

    def latents(self, z: Array, r: Array, h: int, w: int) -> Array:
        """Words [M, h, w], from integers padded as `integers` gives them."""
        y = np.zeros_like(r)

        def settle(part: slice, octave: int, phase: int, mean: Array, step: Array) -> None:
            made = word(mean + ((grid(r[part], octave, phase) * column(step) + 2**11) >> 12))
            inside = grid(y[part, :h, :w], octave, phase)
            inside[:] = made[:, : inside.shape[1], : inside.shape[2]]

        low = slice(LOW)
        for s, octave, phase in stages(3):
            step, n = self.level["low_step"][3 - octave if s else 0], s - 1
            mean = column(self.networks["mean.base"])
            if s:
                t = near(self.layer(f"mean.low.{n}", *(grid(y[low], octave, p) >> 3 for p in range(phase))))
                far = hidden(self.layer(f"mean.low_far.{n}", np.maximum(t, 0)))
                mean = word(self.layer(f"mean.low_out.{n}", t, np.maximum(t, 0), far))
            settle(low, octave, phase, mean, step)
        self.high(z, y, lambda p, mean: settle(slice(LOW, None), 0, p, mean, self.level["high_step"][p]))
        return y[:, :h, :w]

    def high(self, z: Array, y: Array, settle: Callable[[int, Array], None]) -> None:
        """The means of high channels, phase by phase, each settled before the next looks at it."""
        low = y[:LOW]
        features = [near(self.layer("mean.up", hidden(self.layer("mean.wide", self.dequantised(z)))))]
        for p in range(4):
            if p:
                features.append(near(self.layer(f"mean.reduce.{p - 1}", grid(y, 0, p - 1) >> 3)))
            t = near(self.layer(f"mean.conv.{p}", *features, *(grid(low, 0, q) >> 3 for q in range(p, 4))))
            settle(p, word(self.layer(f"mean.out.{p}", t, np.maximum(t, 0))))

    def mend(self, z: Array, r: Array, y: Array, there: Array, side: int) -> None:
        """The latents of a whole picture where tiles of `side` latents meet. there: in tiles of latents"""
        for axis in (1, 0):  # between columns, then between rows
            at, has = np.zeros_like(there).swapaxes(0, axis), there.swapaxes(0, axis)
            for k in range(side, len(at), side):
                at[k - 2 : k + 2] = has[k - 2] & has[k] & has[k - 2 : k + 2]
            free = at.swapaxes(0, axis) & (r[LOW:] == 0)

            def settle(p: int, mean: Array, free: Array = free) -> None:
                sites = grid(y[LOW:], 0, p)
                sites[:] = np.where(grid(free, 0, p), mean, sites)

            self.high(z, y, settle)

    def blocks(self, name: str, x: Array) -> Array:
        k = 0
        while f"{name}.{k}.reduce.weight" in self.networks:
            t = byte(self.layer(f"{name}.{k}.conv", byte(self.layer(f"{name}.{k}.reduce", x))))
            x, k = word(x + self.layer(f"{name}.{k}.expand", t)), k + 1
        return x

    def synthesis(self, y: Array) -> Array:
        """Latents [M, h, w] to pixels [16h, 16w, 3]."""
        x = self.blocks("synthesis.blocks16", word(y + column(self.level["level_vector"])))
        t = self.blocks("synthesis.blocks8", finer(word(self.layer("synthesis.split", x))))
        p, u, k = finer(word(self.layer("synthesis.patch", t))), finer(byte(self.layer("synthesis.up", t))), 0
        while f"synthesis.convs.{k}.weight" in self.networks:
            u, k = byte(self.layer(f"synthesis.convs.{k}", u)), k + 1
        v = patches(word(p + self.layer("synthesis.out", u)), 4)
        return byte(((restored(v, self.level[FILTER]) if FILTER in self.level else v) + 16) >> 5)


def means(pixels: Array) -> Array:
    """Of 8 x 8 pixels, fewer at the right and lower edges, rounded half up."""
    down, right = (range(0, side, 8) for side in pixels.shape[:2])
    cells = [[pixels[i : i + 8, j : j + 8].reshape(-1, 3).astype(np.int64) for j in right] for i in down]
    return np.array([[(2 * cell.sum(0) + len(cell)) // (2 * len(cell)) for cell in row] for row in cells])


def lie_over(part: bytes, pixels: Array, small: Array, grey: bool) -> None:
    """A tile's layer over its pixels [h, w, 3] and over its preview, in place."""
    h, w = pixels.shape[:2]
    require(len(part) > 2, "a layer of less than three bytes")
    steps, count = part[0], 1 + int.from_bytes(part[1:3], "little")
    end, cell = 3 + count * (1 if grey else 3), np.zeros((h, w), np.int64)
    require(steps > 0 and len(part) >= end, "a layer without steps or colours")
    colours = np.frombuffer(part[3:end], np.uint8).astype(np.int64).reshape(count, -1)
    if count == 1:
        cover, index = reader_pixels.read(part[end:], w, h, 1)[..., 0], cell
    else:
        require(len(part) >= end + 4, "a layer that ends before its covers")
        first, length, channels = (
            end + 4,
            int.from_bytes(part[end : end + 4], "little"),
            1 if count <= 256 else 2,
        )
        require(length <= len(part) - first, "covers beyond the end of a layer")
        cover = reader_pixels.read(part[first : first + length], w, h, 1)[..., 0]
        index = reader_pixels.read(part[first + length :], w, h, channels) @ 256 ** np.arange(channels)
    require(cover.max() <= steps and index.max() < count, "a layer with unknown covers or colours")
    cover = cover[..., None].astype(np.int64)
    paint = colours[index] * cover + np.zeros(3, np.int64)
    pixels[:] = (pixels * (steps - cover) + paint + steps // 2) // steps
    for i, j in np.ndindex(*small.shape[:2]):
        part_of = np.s_[8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
        all_steps = steps * cover[part_of].size
        rest = small[i, j] * (all_steps - cover[part_of].sum())
        small[i, j] = (rest + paint[part_of].sum((0, 1)) + all_steps // 2) // all_steps


def read(
    data: bytes, tables: bytes, networks: bytes
) -> tuple[list[tuple[Array, Array] | None], Array, Array]:
    """z and r of each tile (None of one of pixels), pixels [H, W, 3] and the preview of a file whose pack has
    these arrays.
    """
    file = parse(data)
    reader = Reader(arrays(tables), arrays(networks), file.level)
    if file.taps:
        reader.level[FILTER] = corrected(reader.level.get(FILTER), file.taps)
    high, wide = -(-file.height // 16), -(-file.width // 16)
    padded = -(-high // 8) * 8, -(-wide // 8) * 8
    all_y, all_r = (np.zeros((reader.level["level_vector"].size, *padded), np.int64) for _ in "yr")
    all_z = np.zeros((len(reader.level["z_mul"]), padded[0] // 2, padded[1] // 2), np.int64)
    y, there = all_y[:, :high, :wide], np.zeros(padded, bool)
    small = np.zeros((2 * high, 2 * wide, 3), np.int64)
    integers: list[tuple[Array, Array] | None] = []
    known = []
    for (is_pixels, payload), (left, top, w, h) in zip(file.tiles, file.boxes, strict=True):
        if is_pixels:
            part = reader_pixels.read(payload, w, h, 1 if file.grey else 3) + np.zeros(3, np.int64)
            known.append((np.s_[top : top + h, left : left + w], part))
            small[top // 8 : -(-(top + h) // 8), left // 8 : -(-(left + w) // 8)] = means(part)
            integers.append(None)
            continue
        top, left, h, w = top // 16, left // 16, -(-h // 16), -(-w // 16)
        z, r = reader.integers(payload, h, w)
        integers.append((z[:, : -(-h // 2), : -(-w // 2)], r[:, :h, :w]))
        y[:, top : top + h, left : left + w] = part = reader.latents(z, r, h, w)
        there[top : top + h, left : left + w] = not file.layer or not file.layer[len(integers) - 1]
        for whole, one, at in ((all_z, z, (top // 2, left // 2)), (all_r, r, (top, left))):
            room = whole[:, at[0] : at[0] + one.shape[1], at[1] : at[1] + one.shape[2]]
            room[:] = one[:, : room.shape[1], : room.shape[2]]
        shown = patches(byte(reader.layer("preview", part[:LOW])), 2)
        small[2 * top : 2 * (top + h), 2 * left : 2 * (left + w)] = shown
    if len(file.boxes) > 1 and file.side >= 128:
        reader.mend(all_z, all_r, all_y, there, file.side // 16)
    pixels = reader.synthesis(y)[: file.height, : file.width]
    small = small[: -(-file.height // 8), : -(-file.width // 8)]
    for place, part in known:
        pixels[place] = part
    if file.grey:  # of tiles of pixels, too, whose colours are equal
        pixels, small = ((t.sum(2, keepdims=True) + 1) // 3 + np.zeros(3, np.int64) for t in (pixels, small))
    for part, (left, top, w, h) in zip(file.layer, file.boxes):
        if part:
            below = small[top // 8 : -(-(top + h) // 8), left // 8 : -(-(left + w) // 8)]
            lie_over(part, pixels[top : top + h, left : left + w], below, file.grey)
    return integers, pixels.astype(np.uint8), small.astype(np.uint8)
