"""A picture's middle, coded in one tile at one level, with what its integers cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from calotype.codec import latents
from calotype.codec.networks import Networks
from calotype.codec.pack import Pack
from calotype.coder import Classes, Wish

Array = NDArray[Any]
CELL = 32
"""Pixels on a side of a hyper-latent's cell."""


def middle(path: Path, side: int) -> NDArray[np.uint8]:
    """The middle of a picture, at most ``side`` pixels each way, uint8 [H, W, 3]."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    sizes = [min(side, n) // CELL * CELL for n in pixels.shape[:2]]
    top, left = ((n - size) // 2 for n, size in zip(pixels.shape, sizes))
    return np.ascontiguousarray(pixels[top : top + sizes[0], left : left + sizes[1]])


@dataclass
class Cost:
    """What integers cost: bits of z and of r and squared errors of pixels, by cell [a, b]; bytes in all."""

    z: Array
    r: Array
    error: Array
    size: int


class Crop:
    """A picture in one tile.

    pixels: uint8 [H, W, 3], sides multiples of 32
    """

    def __init__(self, pack: Pack, pixels: NDArray[np.uint8], quality: float) -> None:
        self.pack, self.pixels = pack, pixels
        self.networks = Networks(pack, pack.level(pack.level_of(quality)))
        self.level = self.networks.level
        self.y = pack.encoder.analysis(pixels)[None]
        coded = latents.quantise(self.networks, self.y)
        self.z, self.r = coded.z[0].astype(np.int32), coded.r[0].astype(np.int32)

    def choose(self, z: Array) -> Array:
        """The encoder's residuals for other hyper-latents."""
        gains = self.level.gains["low_gain"], self.level.gains["high_gain"]
        wish = Wish(self.pack.unit, *gains, self.pack.half_step)
        steps = self.level.steps
        return self.pack.coder.choose(self.level.parser, self.pack.decoder, steps, wish, self.y[0], z)[0]

    def classes(self, z: Array, r: Array) -> Classes:
        """The tables of integers."""
        return self.pack.coder.classes(self.level.parser, z, r)

    def r_bits(self, found: Classes) -> Array:
        """Bits of each residual."""
        tables, numbers = (
            latents.tables_of(found.index, found.second),
            latents.numbers(found.r, found.second),
        )
        parts = range(0, len(tables), 64)
        bits = [
            self.pack.r_tables.bits(numbers[k : k + 64], tables[k : k + 64], skip=latents.SKIPPED)
            for k in parts
        ]
        return np.concatenate(bits)

    def z_bits(self, z: Array, found: Classes) -> Array:
        """Bits of each hyper-latent."""
        return self.pack.z_tables.bits(z - found.z_shift, found.z_table)

    def cost(self, z: Array, r: Array) -> Cost:
        """What integers cost, in bits and in error."""
        found = self.classes(z, r)
        y = self.pack.decoder.restore(self.level.steps, z, r)
        decoded = self.pack.decoder.synthesis(self.level.pixels, y)
        error = np.square(decoded.astype(np.float64) - self.pixels).sum(-1)
        size = len(self.pack.coder.write(self.level.parser, z, r))
        bits = self.r_bits(found).sum(0)
        return Cost(self.z_bits(z, found).sum(0), by_cell(bits, 2), by_cell(error, CELL), size)


def by_cell(values: Array, side: int) -> Array:
    """Sums over blocks of ``side`` x ``side`` of a map [H, W]."""
    h, w = values.shape
    found: Array = values.reshape(h // side, side, w // side, side).sum((1, 3))
    return found
