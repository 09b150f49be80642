"""What lies over the latents of a picture, and the latents of what is beneath."""

from __future__ import annotations

import math
from concurrent.futures import Future

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
        self._looking: dict[int, Future[tuple[bytes, np.ndarray] | None]] = {}
        self._beneath: Choice | None = None
        self._y: dict[int, Floats] = {}

    def __bool__(self) -> bool:
        return bool(self.found)

    def begin(self, level: int) -> bool:
        """Begin to look for layers as they are good at a level, at the first call; whether workers do."""
        if self._looking or self._beneath:
            return False
        low, high = map(math.log, WORTHS)
        worth = math.exp(low + (high - low) * level / self.analysis.pack.manifest.max_level)
        for tile in self.tiles:
            box, grey = tile_box(self.analysis.header, tile), self.analysis.header.grey
            part = self.analysis.pixels[box.top : box.bottom, box.left : box.right]
            self._looking[tile] = self.analysis.pool.submit(layer.find, part, grey, worth)
        return bool(self._looking)

    def find(self, level: int) -> bool:
        """Whether there are layers, once they were looked for."""
        self.begin(level)
        if self._looking:
            seen = {tile: one for tile, job in self._looking.items() if (one := job.result())}
            self.found = {tile: part for tile, (part, _) in seen.items()}
            beneath = self.analysis.pixels.copy() if seen else self.analysis.pixels
            for tile, (_, below) in seen.items():
                box = tile_box(self.analysis.header, tile)
                beneath[box.top : box.bottom, box.left : box.right] = below
            self._beneath = Choice(self.analysis.of(beneath), self.choice.effort, self.choice.focus)
            self._looking = {}
        return bool(self.found)

    def integers(self, networks: Networks, tile: int) -> Latents:
        """Those of a tile without what lies over it."""
        assert self._beneath is not None, "find comes first"
        if tile not in self._y:
            self._y[tile] = self._beneath.analysis.piece(self._beneath.analysis.seen(tile))
        return self._beneath.integers(networks, tile, self._y[tile])
