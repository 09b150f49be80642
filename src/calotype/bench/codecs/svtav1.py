"""AV1 intra by SVT-AV1, through ffmpeg."""

from __future__ import annotations

import numpy as np

from calotype.bench.codecs import _process, _yuv
from calotype.bench.codecs.base import Codec


class SvtAv1(Codec):
    name, family = "svtav1", "av1"
    settings = (
        f"SVT-AV1 preset 4, tune=psnr, one intra frame, 4:2:0; {_yuv.TOLD}; raw OBU bytes; "
        "times include the start of ffmpeg; decoded by dav1d"
    )
    quality_unit = "CRF 0..63, lower is better"
    qualities = (63, 58, 52, 45, 38, 30, 22, 15)
    install = "pip install imageio-ffmpeg"

    def missing(self) -> str | None:
        return _process.ffmpeg_lacks("libsvtav1")

    def version(self) -> str:
        return f"{_process.ffmpeg_version()}, libsvtav1"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        extra = f"tune=1:lp={self.threads}" if self.threads else "tune=1"
        options = ["-c:v", "libsvtav1", "-preset", "4", "-crf", str(int(quality)), "-svtav1-params", extra]
        return _process.ffmpeg_encode(image, [*options, "-frames:v", "1"], "obu")

    def decode(self, data: bytes) -> np.ndarray:
        return _process.ffmpeg_decode(data, "obu", self.threads)


CODECS = [SvtAv1()]
