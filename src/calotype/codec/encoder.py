"""Encoding: pixels to bytes. Read :func:`encode` from top to bottom.

pixels -analysis, window by window-> y -latent encoder-> z, r (integers); z -scales-> class of each latent
z, r -rANS-> payload of the tile
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box, Header, Limits, StreamWriter, grid_size, tile_box, tile_count
from calotype.codec import latents, library, quality, rate, tiles
from calotype.codec.image import Picture
from calotype.codec.latents import Floats, Latents, Networks
from calotype.codec.mosaic import Mosaic, Result
from calotype.codec.pack import Pack
from calotype.codec.rate import Target
from calotype.codec.runtime import default_threads
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.codec.synthesis import Development

DEFAULT_QUALITY = 60.0
MAX_EFFORT = 9
AROUND = 32
"""Latents on a side of the part of the picture that says what bits are worth to it."""


@dataclass(frozen=True)
class Encoded:
    """A file in memory.

    data:    its bytes
    level:   the level it is coded at
    quality: the same, 0 to 100
    reached: the figure that the target asks for (bytes, bits per pixel, dB, MS-SSIM or score); None without
             a target
    """

    data: bytes
    level: int
    quality: float
    reached: float | None = None


def encode(
    picture: Picture,
    *,
    quality: float | None = None,
    target: Target | None = None,
    effort: int = 0,
    pack: str | Path | Pack | None = None,
    tile: int | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
) -> Encoded:
    """Encode a picture.

    quality: 0 to 100, continuous; default 60
    target:  a size or likeness to meet instead of a quality
    effort:  0 to 9: how long to look for integers that suit the picture better than those of one pass;
             calotype.codec.effort
    pack:    name, path or Pack; default is the one that comes with the package
    tile:    side of a tile in pixels, a power of two from 64 to 4096; default is the pack's
    threads: how many to use; by default as many as there are cores. Another number may give other bytes
             (rounding noise of the transforms), always ones that decode.
    limits:  the largest picture that is encoded

    Raises LimitError when the picture is too large or the target cannot be met, PackError; ValueError for
    arguments that are out of range or exclude each other.
    """
    if quality is not None and target is not None:
        raise ValueError("give a quality or a target, not both")
    if effort not in range(MAX_EFFORT + 1):
        raise ValueError(f"effort must be a whole number from 0 to {MAX_EFFORT}, is {effort}")
    loaded = library.load(pack)
    if effort and loaded.manifest.distortion != "mse":
        raise ValueError(
            f"effort refines for PSNR; pack {loaded.manifest.name} was trained for another measure"
        )
    level = loaded.level_of(DEFAULT_QUALITY if quality is None else quality)
    side = loaded.manifest.tile if tile is None else tile
    header = Header(picture.width, picture.height, level, loaded.key, side, picture.grey)

    share = tiles.share(threads or default_threads(), tile_count(header))
    with tiles.pool(share[0]) as pool:
        exposure = _Exposure(picture, header, loaded, share, limits, pool, effort)
        if target is None:
            return Encoded(exposure.file(level), level, loaded.quality_of(level))
        exposure.keep()
        return exposure.search(target)


class _Exposure:
    """One picture on its way to a file."""

    def __init__(
        self,
        picture: Picture,
        header: Header,
        pack: Pack,
        share: tuple[int, int],
        limits: Limits | None,
        pool: Executor,
        effort: int = 0,
    ) -> None:
        self.effort = effort
        self.picture, self.header, self.pack, self.limits, self.pool = picture, header, pack, limits, pool
        self.workers, self.threads = share
        self.bounds = tiles.latent_box(Box(0, 0, header.width, header.height))
        self.windows = [window for row in tiles.windows(self.bounds, self.workers) for window in row]
        self.alpha = None if picture.alpha is None else _png(picture.alpha)
        self.kept: list[Floats] = []
        self.refined: dict[tuple[int, int], Latents] = {}  # by level and tile, during a search
        self.worths: dict[int, float] = {}
        self.lock = threading.Lock()
        self.writer(io.BytesIO(), header)  # refuses at once what could not be written at the end

    def analyse(self, window: int) -> Floats:
        """y [1, M, h, w] of a window, which sees some of the pixels around it."""
        box = self.windows[window]
        grown = tiles.grow(box, self.pack.manifest.analysis_margin, self.bounds)
        graph = self.pack.graph("analysis", self.threads)
        y = graph.run({"pixels": tiles.cut(self.picture.pixels, grown)})[0]
        return np.ascontiguousarray(y[tiles.inside(box, grown)])  # a view would keep the margins in memory

    def each(self, use: Callable[[int, Floats], Result]) -> Iterator[Result]:
        """``use(k, y)`` for y [1, M, h, w] of tile k, by the workers; the results in order.

        With effort, y holds latents around the tile too, those that its pixels depend on.
        """
        if self.kept:
            return self.pool.map(use, range(len(self.kept)), self.kept)
        columns, _ = grid_size(self.header)
        boxes = [self.seen(k) for k in range(tile_count(self.header))]
        rows = [boxes[k : k + columns] for k in range(0, len(boxes), columns)]
        return Mosaic(self.windows, self.analyse).read(self.pool, rows, use)

    def seen(self, tile: int) -> Box:
        """The latents that are looked at to code a tile."""
        box = tiles.latent_box(tile_box(self.header, tile))
        margin = self.pack.manifest.synthesis_margin if self.effort else 0
        return tiles.grow(box, margin, self.bounds)

    def keep(self) -> None:
        """Analyse the picture once, for a search over the levels."""
        self.kept = list(self.each(lambda _, y: np.array(y)))

    def integers(self, networks: Networks, tile: int, y: Floats) -> Latents:
        """The integers of tile k, from what ``each`` gives for it."""
        if not self.effort:
            return latents.quantise(networks, y)
        from calotype.codec.effort import refine  # late: most files are coded without

        key = (networks.level.number, tile)
        if key not in self.refined:
            box, grown = tiles.latent_box(tile_box(self.header, tile)), self.seen(tile)
            inside = Box(
                box.left - grown.left, box.top - grown.top, box.right - grown.left, box.bottom - grown.top
            )
            part = refine.Tile(y, tiles.cut(self.picture.pixels, grown), inside)
            steps = refine.STEPS[self.effort]
            found = refine.refine(networks, part, self.worth(networks.level.number), steps)
            if not self.kept:
                return found
            self.refined[key] = found
        return self.refined[key]

    def worth(self, level: int) -> float:
        """Bits that a unit of squared error is worth to this picture, from its middle."""
        from calotype.codec.effort.worth import worth

        with self.lock:
            if level not in self.worths:
                left, top = (
                    (size - min(size, AROUND)) // 2 for size in (self.bounds.right, self.bounds.bottom)
                )
                middle = Box(
                    left, top, min(left + AROUND, self.bounds.right), min(top + AROUND, self.bounds.bottom)
                )
                pixels = tiles.cut(self.picture.pixels, middle)
                self.worths[level] = worth(self.pack, level, pixels, self.threads)
            return self.worths[level]

    def file(self, level: int) -> bytes:
        """The whole file at a level."""
        networks = self.networks(level)

        def code(tile: int, y: Floats) -> bytes:
            return latents.write(networks, self.integers(networks, tile, y))

        out = io.BytesIO()
        with self.writer(out, replace(self.header, level=level)) as writer:
            for payload in self.each(code):
                writer.tile(payload)
        return out.getvalue()

    def writer(self, out: io.BytesIO, header: Header) -> StreamWriter:
        """The file up to its first tile."""
        p = self.picture
        return StreamWriter(out, header, p.icc, p.exif, p.xmp, self.alpha, limits=self.limits)

    def psnr(self, level: int) -> float:
        """The decoded picture's PSNR in dB, measured window by window: the picture itself is not kept."""
        errors: list[int] = []

        def compare(box: Box, pixels: NDArray[np.uint8]) -> None:
            original = self.picture.pixels[box.top : box.bottom, box.left : box.right]
            difference = original.astype(np.int32) - pixels
            errors.append(int(np.square(difference).sum(dtype=np.int64)))

        self.development(level).each(self.pool, compare)
        error = sum(errors) / self.picture.pixels.size
        return 10 * math.log10(255**2 / error) if error else math.inf

    def likeness(self, level: int, kind: rate.Kind) -> float:
        """The decoded picture's PSNR, MS-SSIM or SSIMULACRA2."""
        if kind == "psnr":
            return self.psnr(level)
        measure = quality.ms_ssim if kind == "ms_ssim" else ssimulacra2
        return measure(self.picture.pixels, self.development(level).run(self.pool))

    def development(self, level: int) -> Development:
        """What a decoder does with the file at a level: the same latents through the same networks."""
        networks = self.networks(level)

        def y_hat(tile: int) -> Floats:
            coded = self.integers(networks, tile, self.kept[tile])
            box = tiles.latent_box(tile_box(self.header, tile))
            return latents.restore(networks, coded.z, coded.r, box.height, box.width)

        whole = Box(0, 0, self.header.width, self.header.height)
        return Development(self.header, networks, y_hat, whole, self.workers)

    def networks(self, level: int) -> Networks:
        return Networks(self.pack, self.pack.level(level), self.threads)

    def search(self, target: Target) -> Encoded:
        """The file that meets a target. Raises LimitError when none does."""
        pixels = self.header.width * self.header.height
        files: dict[int, bytes] = {}
        reached: dict[int, float] = {}

        def measure(level: int) -> float:
            if target.limits_size:
                files[level] = self.file(level)
                size = len(files[level])
                reached[level] = float(size) if target.kind == "size" else 8 * size / pixels
            else:
                reached[level] = self.likeness(level, target.kind)
            return reached[level]

        level = rate.search(measure, target, self.pack.manifest.max_level)
        data = files.get(level) or self.file(level)
        return Encoded(data, level, self.pack.quality_of(level), reached[level])


def _png(alpha: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(alpha).save(out, "PNG")
    return out.getvalue()
