"""What lies over the latents of a picture, and the latents of what is beneath."""

from __future__ import annotations

import math

import numpy as np

from calotype.bitstream import tile_box
from calotype.codec import layer
from calotype.codec.analysis import Analysis
from calotype.codec.choice import Choice
from calotype.codec.latents import Floats, Latents, Networks

WORTHS = 0.00011, 0.11
"""What a squared error of 1 is worth in bits at the lowest and at the highest level, about. Looking for a
layer needs no more; whether it is used is decided by what the picture itself says.
"""


class Cover:
    """The layers of a picture's tiles.

    tiles: those over which something may lie
    found: the layers that promise something, by tile; empty before `find`
    """

    def __init__(self, analysis: Analysis, choice: Choice, tiles: list[int]) -> None:
        self.analysis, self.choice, self.tiles = analysis, choice, tiles
        self.found: dict[int, bytes] = {}
        self._beneath: Choice | None = None
        self._y: dict[int, Floats] = {}

    def __bool__(self) -> bool:
        return bool(self.found)

    def find(self, level: int) -> bool:
        """Look for layers, at the first call, and as they are good at a level; whether there are any."""
        if self.tiles and self._beneath is None:
            low, high = map(math.log, WORTHS)
            worth = math.exp(low + (high - low) * level / self.analysis.pack.manifest.max_level)
            pixels, header, pool = self.analysis.pixels, self.analysis.header, self.analysis.pool
            boxes = {tile: tile_box(header, tile) for tile in self.tiles}

            def look(tile: int) -> tuple[bytes, np.ndarray] | None:
                box = boxes[tile]
                return layer.find(pixels[box.top : box.bottom, box.left : box.right], header.grey, worth)

            seen = {tile: one for tile, one in zip(self.tiles, pool.map(look, self.tiles)) if one}
            self.found = {tile: part for tile, (part, _) in seen.items()}
            beneath = pixels.copy() if seen else pixels
            for tile, (_, below) in seen.items():
                box = boxes[tile]
                beneath[box.top : box.bottom, box.left : box.right] = below
            self._beneath = Choice(self.analysis.of(beneath), self.choice.effort)
        return bool(self.found)

    def integers(self, networks: Networks, tile: int) -> Latents:
        """Those of a tile without what lies over it."""
        assert self._beneath is not None, "find comes first"
        if tile not in self._y:
            self._y[tile] = self._beneath.analysis.piece(self._beneath.analysis.seen(tile))
        return self._beneath.integers(networks, tile, self._y[tile])
