"""VVC intra by the program vvencapp, when it is on PATH; decoded by vvdecapp, else by ffmpeg."""

from __future__ import annotations

import shutil

import numpy as np

from calotype.bench.codecs import _process, _yuv
from calotype.bench.codecs.base import Codec


class VvencApp(Codec):
    name, family = "vvencapp", "vvc"
    settings = (
        f"vvencapp preset slower, one intra frame, perceptual QPA off, 4:2:0; {_yuv.TOLD}; raw .266 bytes; "
        "times include process start and files"
    )
    quality_unit = "QP 0..63, lower is better"
    qualities = (50, 45, 40, 35, 30, 25, 21, 18)
    programs, install = ("vvencapp",), "build github.com/fraunhoferhhi/vvenc and put vvencapp on PATH"
    slow = True

    def missing(self) -> str | None:
        decoder = None if shutil.which("vvdecapp") else _process.ffmpeg_lacks("libvvenc")
        return super().missing() or (
            f"no VVC decoder: vvdecapp is not on PATH and {decoder}" if decoder else None
        )

    def version(self) -> str:
        return _process.version("vvencapp", "--version")

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        planes = _yuv.from_rgb(image)
        height, width = planes[0].shape
        command = f"vvencapp -s {width}x{height} --format yuv420_10 -r 25 -f 1 --preset slower --qpa 0"
        files = f"-i in.yuv -o out.266 -q {int(quality)} -t {self.threads or -1}"
        intra = "--intraperiod 1 --additional gopsize=1"
        words = f"{command} {files} {intra}".split()
        stream = _process.through_files(words, ("in.yuv", _yuv.to_bytes(planes)), "out.266")
        return _process.mark_odd(image, stream)

    def decode(self, data: bytes) -> np.ndarray:
        if not shutil.which("vvdecapp"):
            return _process.ffmpeg_decode(data, "vvc", self.threads)
        odd, stream = _process.split_odd(data)
        command = f"vvdecapp -b in.266 -o out.y4m -t {self.threads or -1}".split()
        planes = _yuv.from_y4m(_process.through_files(command, ("in.266", stream), "out.y4m"))
        return _process.crop_odd(_yuv.to_rgb(planes), odd)


CODECS = [VvencApp()]
