"""Encoding: pixels to bytes. Read :func:`encode` from top to bottom.

pixels -analysis, window by window-> y -latent encoder-> z, r (integers); z -scales-> class of each latent
z, r -rANS-> payload of the tile

The first arrow is `analysis`, the second `choice`; a search for a target looks at `proof`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Header, Limits, StreamWriter, tile_count
from calotype.codec import aim, latents, library, rate, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.choice import Choice
from calotype.codec.image import Picture
from calotype.codec.latents import Floats, Networks
from calotype.codec.levels import Ladder
from calotype.codec.pack import Pack
from calotype.codec.proof import Proof
from calotype.codec.rate import Target
from calotype.codec.runtime import default_threads

DEFAULT_QUALITY = 80.0
"""Where photographs look flawless at normal viewing distance; a plain map gives about as much."""
MAX_EFFORT = 9


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
    level: int | None = None,
    effort: int = 0,
    pack: str | Path | Pack | None = None,
    tile: int | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
) -> Encoded:
    """Encode a picture.

    quality: 0 to 100, continuous; default 80. With packs that can tell the look of a picture it is about the
             SSIMULACRA2 that the file has, from 20 to 80; beyond, it leads evenly to the lowest level at 0
             and to the highest at 95. With others, and so for PSNR, it leads evenly through all levels.
    target:  a size or likeness to meet instead of a quality
    level:   the pack's own scale, to be used instead of both
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
    if (quality is not None) + (target is not None) + (level is not None) > 1:
        raise ValueError("give a quality or a target, not both")
    if quality is not None and not 0 <= quality <= 100:
        raise ValueError(f"quality must be 0 to 100, is {quality}")
    if effort not in range(MAX_EFFORT + 1):
        raise ValueError(f"effort must be a whole number from 0 to {MAX_EFFORT}, is {effort}")
    loaded = library.load(pack)
    if effort and loaded.manifest.distortion != "mse":
        raise ValueError(
            f"effort refines for PSNR, and pack {loaded.manifest.name} is for another measure: tune for psnr"
        )
    if level is not None:
        loaded.level(level)  # refuses one that it does not have
    side = loaded.manifest.tile if tile is None else tile
    header = Header(picture.width, picture.height, level or 0, loaded.key, side, picture.grey)

    share = tiles.share(threads or default_threads(), tile_count(header))
    with tiles.pool(share[0]) as pool:
        margin = loaded.manifest.synthesis_margin if effort else 0  # refining looks at a tile's pixels
        analysis = Analysis(picture.pixels, header, loaded, share, pool, margin)
        exposure = _Exposure(picture, analysis, Choice(analysis, effort), limits)
        ladder = aim.ladder(analysis)
        if target is not None:
            return exposure.search(target, ladder)
        if level is None:
            level = ladder.level_of(DEFAULT_QUALITY if quality is None else quality)
        return Encoded(exposure.file(level), level, ladder.quality_of(level))


class _Exposure:
    """One picture on its way to a file."""

    def __init__(
        self, picture: Picture, analysis: Analysis, choice: Choice, limits: Limits | None = None
    ) -> None:
        self.picture, self.analysis, self.choice, self.limits = picture, analysis, choice, limits
        self.alpha = None if picture.alpha is None else _png(picture.alpha)
        self.writer(io.BytesIO(), analysis.header)  # refuses at once what could not be written at the end

    def writer(self, out: io.BytesIO, header: Header) -> StreamWriter:
        """The file up to its first tile."""
        p = self.picture
        return StreamWriter(out, header, p.icc, p.exif, p.xmp, self.alpha, limits=self.limits)

    def networks(self, level: int) -> Networks:
        pack = self.analysis.pack
        return Networks(pack, pack.level(level), self.analysis.threads)

    def file(self, level: int) -> bytes:
        """The whole file at a level."""
        networks = self.networks(level)

        def code(tile: int, y: Floats) -> bytes:
            return latents.write(networks, self.choice.integers(networks, tile, y))

        out = io.BytesIO()
        with self.writer(out, replace(self.analysis.header, level=level)) as writer:
            for payload in self.analysis.each(code):
                writer.tile(payload)
        return out.getvalue()

    def search(self, target: Target, ladder: Ladder) -> Encoded:
        """The file that meets a target. Raises LimitError when none does."""
        header, pack = self.analysis.header, self.analysis.pack
        files: dict[int, bytes] = {}
        reached: dict[int, float] = {}

        def measure(level: int) -> float:
            if target.limits_size:
                files[level] = self.file(level)
                size = len(files[level])
                bpp = 8 * size / (header.width * header.height)
                reached[level] = float(size) if target.kind == "size" else bpp
            else:
                proof = Proof(self.analysis, self.choice, self.networks(level))
                reached[level] = proof.likeness(target.kind)
            return reached[level]

        self.analysis.keep()
        level = rate.search(measure, target, pack.manifest.max_level)
        data = files.get(level) or self.file(level)
        return Encoded(data, level, ladder.quality_of(level), reached[level])


def _png(alpha: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(alpha).save(out, "PNG")
    return out.getvalue()
