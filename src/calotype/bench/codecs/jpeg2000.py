"""JPEG 2000 by OpenJPEG, through Pillow."""

from __future__ import annotations

import numpy as np

from calotype.bench.codecs import _pillow
from calotype.bench.codecs.base import Codec


class Jpeg2000(Codec):
    name = family = "jpeg2000"
    settings = (
        "9/7 wavelet, irreversible colour transform, one layer, rate mode, raw codestream (no JP2 boxes)"
    )
    quality_unit = "target bits per pixel"
    qualities = (0.05, 0.1, 0.2, 0.32, 0.5, 0.8, 1.3, 2.0)
    quality_step = 0
    requires, install = ("PIL",), "pip install Pillow"

    def missing(self) -> str | None:
        return super().missing() or _pillow.missing("jpg_2000")

    def version(self) -> str:
        return _pillow.version("jpg_2000")

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        ratio = 24 / quality  # against 24 bits per pixel
        options = {"quality_mode": "rates", "quality_layers": [ratio], "mct": 1, "no_jp2": True}
        return _pillow.encode(image, "JPEG2000", irreversible=True, **options)

    def decode(self, data: bytes) -> np.ndarray:
        return _pillow.decode(data)


CODECS = [Jpeg2000()]
