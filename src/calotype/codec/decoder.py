"""Decoding: bytes to pixels. What is not here is in ``native/picture.hpp``.

All of it in integers, which give the same pixels everywhere.

bytes -parse-> tiles of latents and tiles of pixels
                     tiles -rANS-> z -scales-> class of each latent -rANS-> r
                             z, r -means-> y_hat -synthesis, window by window-> pixels
                             r of low channels -preview-> pixels at 1/8, tile by tile
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from calotype.bitstream import NO_PACK, Box, File, Limits, parse
from calotype.codec import library
from calotype.codec.threads import default_threads
from calotype.coder.files import decode_file
from calotype.errors import CalotypeError, FormatError

if TYPE_CHECKING:
    from PIL import Image

    from calotype.codec.image import Picture
    from calotype.codec.pack import Pack

EIGHTH = 8
"""How many times smaller a preview is, each way."""


class Decoded(NamedTuple):
    """A decoded picture.

    pixels:  those of the region (of everything, by default), bytes of shape [H, W, channels]: R G B, or one
             channel of a grey picture, then alpha if there is any
    icc, exif, xmp: the file's metadata, as in :class:`calotype.codec.image.Picture`
    damaged: the tiles that could not be decoded and were filled in (only with ``damaged="keep"``)
    error:   the first thing wrong with the file, where it was kept going
    photo:   nothing in it is stored as pixels, as graphics are

    NumPy is imported for `picture` alone, and Pillow for `to_pil`: importing either takes as long as decoding
    a small picture.
    """

    pixels: memoryview
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    damaged: tuple[int, ...] = ()
    error: CalotypeError | None = None
    photo: bool = False

    @property
    def picture(self) -> Picture:
        """It as an encoder takes it."""
        from dataclasses import replace  # late, as above

        import numpy as np

        from calotype.codec.image import Picture

        made = Picture.from_array(np.asarray(self.pixels))
        return replace(made, icc=self.icc, exif=self.exif, xmp=self.xmp)

    def to_pil(self) -> Image.Image:
        """It as a Pillow image of mode L, LA, RGB or RGBA, with the metadata in its ``info``, where Pillow's
        own readers put them.
        """
        from PIL import Image  # late, as above

        assert self.pixels.shape is not None  # which some views have not
        height, width, channels = self.pixels.shape
        image = Image.frombytes(("L", "LA", "RGB", "RGBA")[channels - 1], (width, height), self.pixels)
        if self.icc or self.exif or self.xmp:
            from calotype.codec import metadata  # late: many pictures have none

            metadata.attach(image, self.icc, self.exif, self.xmp)
        return image


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
    damaged: "error" refuses a damaged file; "keep" decodes the rest and fills damaged tiles with a plain grey
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
    return _decoded(
        data, file, _region(region, header.width, header.height), pack, threads, damaged == "keep"
    )


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
             All tiles that are not whole are named, and those with nothing left are a plain grey.
    """
    keep = damaged == "keep"
    file = parse(data, limits=limits, damaged="prefix" if keep else "error")
    header = file.header
    if header.lab:
        raise FormatError("a laboratory file has no preview; decode the whole picture", field="flags")
    small = Box(0, 0, -(-header.width // EIGHTH), -(-header.height // EIGHTH))
    return _decoded(data, file, small, pack, threads, keep, preview=True)


def _decoded(
    data: bytes | memoryview,
    file: File,
    box: Box,
    pack: str | Path | Pack | None,
    threads: int | None,
    keep: bool,
    preview: bool = False,
) -> Decoded:
    header = file.header
    # A picture of pixels alone needs no pack, not even where tiles are missing.
    stored = header.pack_id == NO_PACK or all(file.pixels)
    native = None if stored else library.native(header, pack)
    channels = (1 if header.grey else 3) + (file.alpha is not None)
    out = memoryview(bytearray(box.height * box.width * channels))
    out = out.cast("B", (box.height, box.width, channels))
    failed, error = decode_file(
        data, native, box, out, preview=preview, threads=threads or default_threads(), keep=keep
    )
    photo = header.pack_id != NO_PACK and not any(file.pixels)
    return Decoded(out, file.icc, file.exif, file.xmp, failed, file.error or error, photo)


def _region(region: tuple[int, int, int, int] | None, width: int, height: int) -> Box:
    if region is None:
        return Box(0, 0, width, height)
    box = Box(*map(int, region))  # NumPy's numbers become Python's
    if not (0 <= box.left < box.right <= width and 0 <= box.top < box.bottom <= height):
        raise ValueError(f"region {tuple(box)} is empty or not inside the picture, {width} x {height} pixels")
    return box
