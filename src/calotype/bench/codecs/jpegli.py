"""JPEG by jpegli (adaptive quantisation of JPEG XL in a JPEG file), through pyjpegli."""

from __future__ import annotations

from importlib import metadata

import numpy as np

from calotype.bench.codecs import _pillow
from calotype.bench.codecs.base import Codec


class Jpegli(Codec):
    name = family = "jpegli"
    settings = "library defaults (perceptual tables, adaptive quantisation), 4:4:4; decoded by Pillow"
    quality_unit = "libjpeg-like quality 1..100"
    qualities = (4, 10, 20, 35, 55, 75, 87, 94)
    requires, install = ("pyjpegli",), "pip install pyjpegli"

    def version(self) -> str:
        return f"pyjpegli {metadata.version('pyjpegli')}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        import pyjpegli

        height, width = image.shape[:2]
        return bytes(pyjpegli.encode(np.ascontiguousarray(image), width, height, int(quality)))

    def decode(self, data: bytes) -> np.ndarray:
        return _pillow.decode(data)


CODECS = [Jpegli()]
