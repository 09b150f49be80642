"""BPG (HEVC intra by x265 in a lean container), when bpgenc and bpgdec are on PATH."""

from __future__ import annotations

import numpy as np

from calotype.bench.codecs import _pillow, _process
from calotype.bench.codecs.base import Codec


class Bpg(Codec):
    name, family = "bpg-444", "bpg"
    settings = "bpgenc -m 8 -b 8 -f 444, YCbCr BT.601 full range; times include process start and files"
    quality_unit = "QP 0..51, lower is better"
    qualities = (46, 41, 36, 31, 26, 22)
    programs, install = ("bpgenc", "bpgdec"), "build libbpg 0.9.8 and put bpgenc and bpgdec on PATH"

    def version(self) -> str:
        return _process.version("bpgenc", "-h")

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        command = f"bpgenc -m 8 -b 8 -f 444 -q {int(quality)} -o out.bpg in.png".split()
        png = _pillow.encode(image, "PNG", compress_level=1)
        return _process.through_files(command, ("in.png", png), "out.bpg")

    def decode(self, data: bytes) -> np.ndarray:
        command = ["bpgdec", "-o", "out.ppm", "in.bpg"]
        return _pillow.decode(_process.through_files(command, ("in.bpg", data), "out.ppm"))


CODECS = [Bpg()]
