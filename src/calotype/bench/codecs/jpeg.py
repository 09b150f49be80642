"""JPEG by libjpeg-turbo, through Pillow."""

from __future__ import annotations

import numpy as np
from PIL import features

from calotype.bench.codecs import _pillow
from calotype.bench.codecs.base import Codec


class Jpeg(Codec):
    family = "jpeg"
    quality_unit = "libjpeg quality 1..100"
    qualities = (2, 4, 8, 15, 28, 48, 70, 83, 92)
    requires, install = ("PIL",), "pip install Pillow"

    def __init__(self, chroma: str, progressive: bool = False) -> None:
        self.chroma, self.progressive = chroma, progressive
        self.name = f"jpeg-{chroma.replace(':', '')}" + ("-prog" if progressive else "")
        kind = "progressive" if progressive else "baseline"
        self.settings = f"{chroma}, {kind}, optimised Huffman tables; BT.601 full range, 8 bit, in libjpeg"

    def version(self) -> str:
        turbo = features.check_feature("libjpeg_turbo")
        return _pillow.version("libjpeg_turbo" if turbo else "jpg")

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        options = {"subsampling": self.chroma, "optimize": True, "progressive": self.progressive}
        return _pillow.encode(image, "JPEG", quality=int(quality), **options)

    def decode(self, data: bytes) -> np.ndarray:
        return _pillow.decode(data)


CODECS = [Jpeg("4:2:0"), Jpeg("4:2:0", progressive=True), Jpeg("4:4:4")]
