"""The latents y of a picture, made window by window and read tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box, Header, grid_size, tile_box, tile_count
from calotype.codec import tiles
from calotype.codec.mosaic import Floats, Mosaic, Result
from calotype.codec.pack import Pack
from calotype.pack import STRIDE

LEAST = 768
"""Latents in a window, about, if workers share a small picture: with fewer, margins cost more than they gain.
"""
TOGETHER = 2
"""Threads that may work on a window: that takes no margins."""


class Analysis:
    """One picture through the analysis transform.

    pixels: uint8 [H, W, 3]
    share:  workers of ``pool``, and threads that each may use
    margin: latents around a tile that are looked at with it
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        header: Header,
        pack: Pack,
        share: tuple[int, int],
        pool: Executor,
        margin: int = 0,
    ) -> None:
        self.pixels, self.header, self.pack, self.pool, self.margin = pixels, header, pack, pool, margin
        self.workers, self.threads = share
        self.bounds = tiles.latent_box(Box(0, 0, header.width, header.height))
        most = max(1, self.bounds.width * self.bounds.height // LEAST)
        rows = tiles.windows(self.bounds, min(self.workers * -(-self.threads // TOGETHER), most))
        self.windows = [window for row in rows for window in row]
        self.kept: list[Floats] = []
        self._begun: list[Future[Floats]] = []
        self._boxes: list[Box] = self.windows
        self._make: Callable[[int], Floats] = self._window

    def begin(self) -> None:
        """Analyse a picture of one tile beside what else is looked at; more keep all workers busy anyway."""
        if tile_count(self.header) == 1 < self.threads:
            self._begun = [self.pool.submit(self.piece, window) for window in self.windows]

    def each(self, use: Callable[[int, Floats], Result]) -> Iterator[Result]:
        """``use(k, y)`` by the workers, for y [1, M, h, w] of tile k with its margin; results in order."""
        if self.kept:
            return self.pool.map(use, range(len(self.kept)), self.kept)
        columns, _ = grid_size(self.header)
        boxes = [self.seen(k) for k in range(tile_count(self.header))]
        rows = [boxes[k : k + columns] for k in range(0, len(boxes), columns)]
        return Mosaic(self._boxes, self._make, 2).read(self.pool, rows, use, self.workers)

    def keep(self) -> None:
        """Analyse now, once for all that follows: a search reads every tile at each level that it tries."""
        self.kept = self.kept or list(self.each(lambda _, y: _own(y)))

    def holding(self, box: Box) -> tuple[Floats, Box]:
        """y [1, M, h, w] that holds a box of latents, from what is kept, and where it is in there."""
        side = self.header.tile // STRIDE
        columns, _ = grid_size(self.header)
        rows = range(box.top // side, (box.bottom - 1) // side + 1)
        held = [r * columns + c for r in rows for c in range(box.left // side, (box.right - 1) // side + 1)]
        if len(held) == 1:
            return self.kept[held[0]], tiles.moved(box, self.seen(held[0]))
        y = np.empty((*self.kept[0].shape[:2], box.height, box.width), np.float32)
        for tile in held:
            common = tiles.common(self.tile(tile), box)
            y[tiles.inside(common, box)] = self.kept[tile][tiles.inside(common, self.seen(tile))]
        return y, tiles.moved(box, box)

    def tiled(self, side: int) -> Analysis:
        """The same latents in tiles of another side; what was kept is not made again."""
        header = self.header.replace(tile=side)
        share = (self.workers, self.threads)
        if self.threads > 1:
            share = tiles.share(self.workers * self.threads, tile_count(header))
        other = Analysis(self.pixels, header, self.pack, share, self.pool, self.margin)
        if self.kept:
            other._boxes = [self.seen(k) for k in range(len(self.kept))]
            other._make = lambda k: self.kept[k]
        return other

    def of(self, pixels: NDArray[np.uint8]) -> Analysis:
        """The same of other pixels of that size."""
        share = (self.workers, self.threads)
        return Analysis(pixels, self.header, self.pack, share, self.pool, self.margin)

    def tile(self, tile: int) -> Box:
        """The latents of a tile."""
        return tiles.latent_box(tile_box(self.header, tile))

    def seen(self, tile: int) -> Box:
        """The latents that are looked at to code a tile."""
        return tiles.grow(self.tile(tile), self.margin, self.bounds)

    def _window(self, window: int) -> Floats:
        return self._begun[window].result() if self._begun else self.piece(self.windows[window])

    def piece(self, box: Box) -> Floats:
        """y [1, M, h, w] of a box of latents, which sees some of the pixels around it."""
        grown = tiles.grow(box, self.pack.manifest.analysis_margin, self.bounds)
        y = self.pack.encoder.analysis(tiles.cut(self.pixels, grown)[0], self.threads)[None]
        return np.ascontiguousarray(y[tiles.inside(box, grown)])  # a view would keep the margins in memory


def _own(y: Floats) -> Floats:
    """The same array, or a copy if it is a part of a larger one, which would stay in memory."""
    return y if y.base is None or y.base.size == y.size else np.array(y)
