"""Decoding: bytes to pixels. Read :func:`decode` from top to bottom.

All of it in integers, which give the same pixels everywhere.

bytes -parse-> tiles of latents and tiles of pixels, which calotype.codec.pixels decodes
                     tiles -rANS-> z -scales-> class of each latent -rANS-> r
                             z, r -means-> y_hat -synthesis, window by window-> pixels
                             r of low channels -preview-> pixels at 1/8, tile by tile
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from calotype.bitstream import Box, File, Limits, parse, tile_box, tiles_in
from calotype.codec import latents, library, tiles
from calotype.codec.image import Picture
from calotype.codec.latents import Networks, Words
from calotype.codec.pack import Pack
from calotype.codec.pixels import NO_PACK, eighth, read_alpha, read_tile
from calotype.codec.runtime import default_threads
from calotype.codec.synthesis import Development, to_grey
from calotype.errors import CalotypeError, FormatError

EIGHTH = 8
"""How many times smaller a preview is, each way."""


@dataclass(frozen=True)
class Decoded:
    """A decoded picture.

    picture: the pixels of the region (of everything, by default), with alpha and metadata
    damaged: the tiles that could not be decoded and were filled in (only with ``damaged="keep"``)
    error:   the first thing wrong with the file, where it was kept going
    """

    picture: Picture
    damaged: tuple[int, ...] = ()
    error: CalotypeError | None = None


def decode(
    data: bytes | memoryview,
    *,
    region: tuple[int, int, int, int] | None = None,
    pack: str | Path | Pack | None = None,
    threads: int | None = None,
    damaged: Literal["error", "keep"] = "error",
    limits: Limits | None = None,
) -> Decoded:
    """Decode a .calo file.

    region:  (left, top, right, bottom) in pixels; only the tiles that it needs are decoded
    pack:    a pack, or where to look for it first; the file says which one it needs
    threads: how many to use; by default as many as there are cores. Pixels are the same with any number.
    damaged: "error" refuses a damaged file; "keep" decodes the rest and fills damaged tiles with a flat tone
    limits:  the largest picture that is decoded

    Raises FormatError, LimitError, PackError; ValueError for a region that is not inside the picture.
    """
    file = parse(data, limits=limits, damaged=damaged)
    header = file.header
    if header.lab:
        raise FormatError(
            f"written by laboratory model {header.pack_id.hex()}: decode it with 'calotype decode --models "
            "FOLDER' or calotype.lab.use.decode, which need its checkpoint and calotype[lab]",
            field="flags",
        )
    box = _region(region, header.width, header.height)
    needed = tiles_in(header, box)
    workers, within = tiles.share(threads or default_threads(), len(needed))
    source = _Tiles(file, pack, within, keep=damaged == "keep")
    with tiles.pool(workers) as pool:
        if all(source.stored[tile] for tile in needed):
            canvas = np.empty((box.height, box.width, 1 if header.grey else 3), np.uint8)
        else:
            canvas = Development(header, source.networks, source.y_hat, box, workers).run(pool)
        for tile, part in zip(needed, pool.map(source.pixels, needed)):
            if part is not None:
                both = tiles.common(tile_box(header, tile), box)
                canvas[tiles.inside(both, box)[1:]] = part[tiles.inside(both, tile_box(header, tile))[1:]]
    pixels = np.repeat(canvas, 3, axis=2) if canvas.shape[2] == 1 else canvas
    alpha = None if file.alpha is None else read_alpha(file.alpha, header, box)
    picture = Picture(pixels, header.grey, alpha, file.icc, file.exif, file.xmp)
    return Decoded(picture, tuple(sorted(source.failed)), source.error)


def preview(
    data: bytes | memoryview,
    *,
    pack: str | Path | Pack | None = None,
    threads: int | None = None,
    damaged: Literal["error", "keep"] = "error",
    limits: Limits | None = None,
) -> Decoded:
    """The picture at an eighth of its size, ceil(width / 8) x ceil(height / 8), from the first part of each
    tile; alpha is reduced, metadata are those of the file. Arguments and errors as for :func:`decode`.

    damaged: "keep" shows what is left: of a file that is cut off, of its last tile, too, as much as there is.
             All tiles that are not whole are named, and those with nothing left are a flat tone.
    """
    keep = damaged == "keep"
    file = parse(data, limits=limits, damaged="prefix" if keep else "error")
    header = file.header
    if header.lab:
        raise FormatError("a laboratory file has no preview; decode the whole picture", field="flags")
    workers, within = tiles.share(threads or default_threads(), len(file.tiles))
    source = _Tiles(file, pack, within, keep=keep)
    pixels = np.empty((-(-header.height // EIGHTH), -(-header.width // EIGHTH), 3), np.uint8)

    def paint(tile: int) -> None:
        box = tile_box(header, tile)
        part = pixels[box.top // EIGHTH :, box.left // EIGHTH :]
        part = part[: -(-box.height // EIGHTH), : -(-box.width // EIGHTH)]
        small = source.preview(tile)[: part.shape[0], : part.shape[1]]
        part[:] = to_grey(small) if header.grey else small

    with tiles.pool(workers) as pool:
        for _ in pool.map(paint, range(len(file.tiles))):
            pass
    alpha = None
    if file.alpha is not None:
        whole = read_alpha(file.alpha, header, Box(0, 0, header.width, header.height))
        alpha = eighth(whole[:, :, None])[:, :, 0]
    picture = Picture(pixels, header.grey, alpha, file.icc, file.exif, file.xmp)
    return Decoded(picture, tuple(sorted(source.failed)), source.error)


class _Tiles:
    """What a file's tiles hold."""

    def __init__(self, file: File, pack: str | Path | Pack | None, threads: int, *, keep: bool) -> None:
        self.file, self.keep = file, keep
        self.failed: set[int] = set()
        self.error = file.error
        # A picture of pixels alone needs no pack, not even where tiles are missing.
        self.stored = [kind or file.header.pack_id == NO_PACK for kind in file.pixels]
        if not all(self.stored):
            found = library.of(file.header, pack)
            self.networks = Networks(found, found.level(file.header.level), threads)

    def pixels(self, tile: int) -> NDArray[np.uint8] | None:
        """A tile of pixels [h, w, 1 or 3]; None of one that has latents. Raises as `y_hat`."""
        if not self.stored[tile]:
            return None
        try:
            return read_tile(self._payload(tile), self.file.header, tile)
        except FormatError as error:
            self._fail(tile, error)
        box = tile_box(self.file.header, tile)
        return np.full((box.height, box.width, 1), 128, np.uint8)

    def y_hat(self, tile: int) -> Words:
        """The latents [h, w, M] of a tile. Raises FormatError when it is damaged and not to be kept."""
        box = tiles.latent_box(tile_box(self.file.header, tile))
        nothing = (box.height, box.width, self.networks.pack.manifest.latents)
        if self.stored[tile]:
            return np.zeros(nothing, np.int16)
        try:
            z, r = latents.read(self.networks, self._payload(tile), box.height, box.width)
        except FormatError as error:
            self._fail(tile, error)
            return np.zeros(nothing, np.int16)
        return latents.restore(self.networks, z, r)

    def preview(self, tile: int) -> NDArray[np.uint8]:
        """A tile at an eighth of its size, uint8 [h, w, 3], its padding included. Raises as `y_hat`."""
        if (whole := self.pixels(tile)) is not None:
            small = eighth(whole)
            return np.repeat(small, 3, axis=2) if small.shape[2] == 1 else small
        box = tiles.latent_box(tile_box(self.file.header, tile))
        try:
            return latents.preview(self.networks, self._payload(tile), box.height, box.width)
        except FormatError as error:
            self._fail(tile, error)
        left = self.file.tiles[tile] if tile == self.file.cut else b""
        return latents.preview(self.networks, left, box.height, box.width, cut=True)

    def _payload(self, tile: int) -> memoryview:
        if not self.file.tile_ok[tile]:
            raise FormatError("the checksum does not match", field=f"tile {tile}")
        return self.file.tiles[tile]

    def _fail(self, tile: int, error: FormatError) -> None:
        """Note that a tile is damaged; raise the error unless damaged tiles are to be kept."""
        error = error if error.field else FormatError(str(error), field=f"tile {tile}")
        if not self.keep:
            raise error from None
        self.failed.add(tile)
        self.error = self.error or error


def _region(region: tuple[int, int, int, int] | None, width: int, height: int) -> Box:
    if region is None:
        return Box(0, 0, width, height)
    box = Box(*region)
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        raise ValueError(f"region {tuple(box)} is empty or not inside the picture, {width} x {height} pixels")
    return box
