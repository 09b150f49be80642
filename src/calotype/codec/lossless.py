"""The file of a picture all of whose tiles are its pixels: no loss, and no pack."""

from __future__ import annotations

import io
from concurrent.futures import Executor

from calotype.bitstream import NO_PACK, Header, Limits, StreamWriter
from calotype.codec.exposure import Encoded
from calotype.codec.image import Picture
from calotype.codec.pixels import PAGE, TILE, write_alpha, write_whole
from calotype.codec.traits import Traits


def without_loss(picture: Picture, tile: int | None, pool: Executor, limits: Limits | None) -> Encoded:
    """The file, in tiles of the side ``tile``; None: the side that suits the picture.

    Raises LimitError when the picture is too large.
    """
    side = tile or (PAGE if Traits.of(picture.pixels, TILE).is_page() else TILE)
    header = Header(picture.width, picture.height, 0, NO_PACK, side, picture.grey)
    out, p = io.BytesIO(), picture
    alpha = write_alpha(p.alpha, header)
    with StreamWriter(out, header, p.icc, p.exif, p.xmp, alpha, limits=limits) as writer:
        write_whole(writer, p.pixels, header, pool)
    return Encoded(out.getvalue(), 0, 100.0)
