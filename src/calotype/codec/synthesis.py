"""From the latents of tiles to pixels, window after window.

Windows see ``synthesis_margin`` latents more on each side, taken from the tiles around, so that each pixel is
what a synthesis of the whole picture in one piece would give.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box, Header, tile_box, tiles_in
from calotype.codec import tiles
from calotype.codec.latents import Networks, Words
from calotype.codec.mosaic import Mosaic
from calotype.codec.tiles import STRIDE


@dataclass(frozen=True)
class Development:
    """What is developed, and how.

    header:   of the file: the picture's size and its tiles
    networks: those of its pack and level
    y_hat:    gives the latents [h, w, M] of tile i; called once per tile that is needed, from any worker
    region:   the pixels that are wanted
    workers:  how many windows are developed at a time
    """

    header: Header
    networks: Networks
    y_hat: Callable[[int], Words]
    region: Box
    workers: int = 1

    def run(self, pool: Executor) -> NDArray[np.uint8]:
        """The region's pixels, uint8 [H, W, 3]."""
        out = np.empty((self.region.height, self.region.width, 3), np.uint8)

        def paint(box: Box, pixels: NDArray[np.uint8]) -> None:
            out[tiles.inside(box, self.region)[1:]] = pixels

        self.each(pool, paint)
        return out

    def each(self, pool: Executor, use: Callable[[Box, NDArray[np.uint8]], None]) -> None:
        """Call ``use(box, pixels)`` from the workers, for boxes that make up the region."""
        picture = Box(0, 0, self.header.width, self.header.height)
        margin = self.networks.pack.manifest.synthesis_margin
        bounds = tiles.latent_box(picture)
        rows = tiles.windows(tiles.latent_box(self.region), self.workers)
        windows = [window for row in rows for window in row]

        decoder, vector = self.networks.pack.decoder, self.networks.level.vector

        def grown(window: Box) -> Box:
            return tiles.grow(window, margin, bounds)

        def develop(window: int, y_hat: Words) -> None:
            pixels = decoder.synthesis(vector, y_hat)
            target = tiles.common(tiles.scaled(windows[window], STRIDE), self.region)
            part = pixels[tiles.inside(target, tiles.scaled(grown(windows[window]), STRIDE))[1:]]
            use(target, to_grey(part) if self.header.grey else part)

        seen = tiles.scaled(grown(tiles.latent_box(self.region)), STRIDE)
        needed = tiles_in(self.header, tiles.common(seen, picture))
        boxes = [tiles.latent_box(tile_box(self.header, tile)) for tile in needed]
        mosaic = Mosaic(boxes, lambda k: self.y_hat(needed[k]), 0)
        looked = [[grown(window) for window in row] for row in rows]
        for _ in mosaic.read(pool, looked, develop, self.workers):
            pass


def to_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The mean of three channels, uint8 [h, w, 1]."""
    return np.asarray((pixels.sum(axis=2, dtype=np.uint16, keepdims=True) + 1) // 3, np.uint8)
