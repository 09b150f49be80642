"""VVC intra by VVenC, through ffmpeg (the one that imageio-ffmpeg carries has it)."""

from __future__ import annotations

import numpy as np

from calotype.bench.codecs import _process, _yuv
from calotype.bench.codecs.base import Codec


class Vvenc(Codec):
    name, family = "vvc", "vvc"
    settings = (
        f"VVenC preset medium, one intra frame (GOP 1), QPA off, 4:2:0 (it has no 4:4:4); {_yuv.TOLD}; "
        "raw .266 bytes; times include the start of ffmpeg"
    )
    quality_unit = "QP 0..63, lower is better"
    qualities = (50, 45, 40, 35, 30, 25, 21, 18)
    install = "pip install imageio-ffmpeg"
    slow = True

    def missing(self) -> str | None:
        return _process.ffmpeg_lacks("libvvenc")

    def version(self) -> str:
        return f"{_process.ffmpeg_version()}, libvvenc; decoder: ffmpeg vvc"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        # -g 1: parameter sets for intra only. Without it VVenC writes tools and lists for a 32-frame GOP.
        options = ["-c:v", "libvvenc", "-preset", "medium", "-qp", str(int(quality)), "-qpa", "0", "-g", "1"]
        return _process.ffmpeg_encode(image, [*options, "-threads", str(self.threads)], "vvc")

    def decode(self, data: bytes) -> np.ndarray:
        return _process.ffmpeg_decode(data, "vvc", self.threads)


CODECS = [Vvenc()]
