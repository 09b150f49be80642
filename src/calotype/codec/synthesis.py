"""From the latents of tiles to pixels, window after window.

Synthesis windows are as large as tiles and see ``synthesis_margin`` latents more on each side, taken from the
neighbouring tiles, so that each pixel is what a synthesis of the whole picture in one piece would give. Only
the tiles of some three rows are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box, Header, tile_box, tiles_in
from calotype.codec import tiles
from calotype.codec.latents import Floats, Networks
from calotype.codec.tiles import STRIDE


@dataclass(frozen=True)
class Development:
    """What is developed, and how.

    header:   of the file: the picture's size and its tiles
    networks: those of its pack and level
    y_hat:    gives the latents [1, M, h, w] of tile i; called once per tile that is needed, from any worker
    region:   the pixels that are wanted
    """

    header: Header
    networks: Networks
    y_hat: Callable[[int], Floats]
    region: Box

    @property
    def _bounds(self) -> Box:
        return tiles.latent_box(Box(0, 0, self.header.width, self.header.height))

    def windows(self) -> list[list[Box]]:
        """The windows in boxes of latents, row by row."""
        return tiles.blocks(tiles.latent_box(self.region), self.header.tile // STRIDE)

    def tiles_under(self, window: Box) -> list[int]:
        """The tiles that a window needs."""
        box = tiles.scaled(self._grown(window), STRIDE)
        return tiles_in(self.header, tiles.common(box, Box(0, 0, self.header.width, self.header.height)))

    def run(self, pool: Executor) -> NDArray[np.uint8]:
        """The region's pixels, uint8 [H, W, 3]."""
        out = np.empty((self.region.height, self.region.width, 3), np.uint8)

        def paint(box: Box, pixels: NDArray[np.uint8]) -> None:
            out[tiles.inside(box, self.region)[1:]] = pixels

        self.each(pool, paint)
        return out

    def each(self, pool: Executor, use: Callable[[Box, NDArray[np.uint8]], None]) -> None:
        """Call ``use(box, pixels)`` from the workers, for boxes that make up the region."""
        latents: dict[int, Future[Floats]] = {}
        before: list[Future[None]] = []
        for row in self.windows():
            needed = {tile for window in row for tile in self.tiles_under(window)}
            # In this order, so that no worker waits for a tile that none has begun.
            for tile in sorted(needed - latents.keys()):
                latents[tile] = pool.submit(self.y_hat, tile)
            jobs = [pool.submit(self._develop, window, dict(latents), use) for window in row]
            for job in before:
                job.result()
            before = jobs
            latents = {tile: latents[tile] for tile in needed}
        for job in before:
            job.result()

    def _develop(
        self,
        window: Box,
        latents: dict[int, Future[Floats]],
        use: Callable[[Box, NDArray[np.uint8]], None],
    ) -> None:
        grown = self._grown(window)
        pixels = self.networks.run("synthesis", y_hat=self._gather(grown, window, latents))[0][0]
        target = tiles.common(tiles.scaled(window, STRIDE), self.region)
        part = pixels[tiles.inside(target, tiles.scaled(grown, STRIDE))[1:]]
        if self.header.grey:
            part = ((part.sum(axis=2, dtype=np.uint16, keepdims=True) + 1) // 3).astype(np.uint8)
        use(target, part)

    def _gather(self, grown: Box, window: Box, latents: dict[int, Future[Floats]]) -> Floats:
        """The latents [1, M, h, w] of a grown window, put together from its tiles."""
        channels = self.networks.pack.manifest.latents
        y_hat = np.empty((1, channels, grown.height, grown.width), np.float32)
        for tile in self.tiles_under(window):
            box = tiles.latent_box(tile_box(self.header, tile))
            both = tiles.common(box, grown)
            y_hat[tiles.inside(both, grown)] = latents[tile].result()[tiles.inside(both, box)]
        return y_hat

    def _grown(self, window: Box) -> Box:
        return tiles.grow(window, self.networks.pack.manifest.synthesis_margin, self._bounds)
