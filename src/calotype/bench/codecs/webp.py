"""WebP (VP8 key frames) by libwebp, through Pillow."""

from __future__ import annotations

import numpy as np

from calotype.bench.codecs import _pillow
from calotype.bench.codecs.base import Codec


class Webp(Codec):
    name = family = "webp"
    settings = "lossy, method 6, default (not sharp) YUV; 4:2:0 BT.601 limited range, 8 bit: it has no other"
    quality_unit = "libwebp quality 0..100"
    qualities = (0, 4, 12, 28, 50, 72, 85, 93)
    requires, install = ("PIL",), "pip install Pillow"

    def missing(self) -> str | None:
        return super().missing() or _pillow.missing("webp")

    def version(self) -> str:
        return _pillow.version("webp")

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        return _pillow.encode(image, "WEBP", quality=int(quality), method=6)

    def decode(self, data: bytes) -> np.ndarray:
        return _pillow.decode(data)


CODECS = [Webp()]
