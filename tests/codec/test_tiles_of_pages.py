"""Which tiles suit a page with text and a photograph on it."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from calotype.cli import demo
from calotype.codec.encoder import encode
from calotype.codec.image import Picture


def test_text_beside_a_photograph_is_not_its_measure() -> None:
    """One tile of text and photograph had found errors worth what they are in text, and so took twice the
    bytes of small tiles, and more at quality 95 than at 96.
    """
    page = Image.new("RGB", (1024, 768), "white")
    draw = ImageDraw.Draw(page)
    for top in range(6, 758, 14):
        draw.text((8, top), "the quick brown fox jumps over the lazy dog 0123456789 and on", fill="black")
    with Image.open(demo.PHOTO) as photo:
        page.paste(photo.convert("RGB").crop((100, 200, 684, 888)), (420, 40))
    picture = Picture(np.asarray(page))
    usual, small = (len(encode(picture, quality=80, tile=tile).data) for tile in (None, 256))
    assert usual <= 1.05 * small
