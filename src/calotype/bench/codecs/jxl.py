"""JPEG XL by libjxl, through imagecodecs."""

from __future__ import annotations

import numpy as np

from calotype.bench.codecs.base import Codec


class JpegXl(Codec):
    name = family = "jxl"
    settings = "VarDCT, effort 7; XYB colour in libjxl, 4:4:4; tuned for perceptual quality, not PSNR"
    quality_unit = "butteraugli distance, lower is better"
    qualities = (25, 16, 10, 6.5, 4, 2.5, 1.5, 0.9)
    quality_step = 0
    requires, install = ("imagecodecs",), "pip install imagecodecs"

    def missing(self) -> str | None:
        if (reason := super().missing()) is not None:
            return reason
        import imagecodecs

        return None if imagecodecs.JPEGXL.available else "this imagecodecs is built without libjxl"

    def version(self) -> str:
        import imagecodecs

        return f"imagecodecs {imagecodecs.__version__}, {imagecodecs.jpegxl_version()}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        import imagecodecs

        threads = self.threads or None
        return bytes(
            imagecodecs.jpegxl_encode(image, distance=quality, effort=7, lossless=False, numthreads=threads)
        )

    def decode(self, data: bytes) -> np.ndarray:
        import imagecodecs

        return imagecodecs.jpegxl_decode(data, numthreads=self.threads or None)


CODECS = [JpegXl()]
