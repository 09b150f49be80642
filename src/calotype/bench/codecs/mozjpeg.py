"""JPEG by MozJPEG (trellis quantisation, optimised scans), through jpeglib."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from calotype.bench.codecs import _pillow
from calotype.bench.codecs.base import Codec

RELEASE = "mozjpeg403"  # of the libraries that jpeglib carries


class MozJpeg(Codec):
    family = "mozjpeg"
    quality_unit = "libjpeg quality 1..100"
    qualities = (4, 10, 22, 30, 45, 60, 68, 84, 92)
    requires, install = ("jpeglib",), "pip install jpeglib"

    def __init__(self, chroma: str) -> None:
        self.chroma = chroma
        self.name = f"mozjpeg-{chroma.replace(':', '')}"
        self.settings = (
            f"{chroma}, cjpeg defaults: progressive, trellis, default tables; BT.601 full range, 8 bit; "
            "times include a temporary file; decoded by Pillow"
        )

    def version(self) -> str:
        import jpeglib

        return f"jpeglib {jpeglib.__version__}, {RELEASE}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        import jpeglib

        jpeglib.version.set(RELEASE)
        picture = jpeglib.from_spatial(np.ascontiguousarray(image))
        picture.samp_factor = self.chroma
        with tempfile.TemporaryDirectory() as folder:  # the library writes files only
            path = Path(folder, "picture.jpg")
            picture.write_spatial(str(path), qt=int(quality))
            return path.read_bytes()

    def decode(self, data: bytes) -> np.ndarray:
        return _pillow.decode(data)


CODECS = [MozJpeg("4:2:0"), MozJpeg("4:4:4")]
