"""VVC intra by the program vvencapp, when it is on PATH; decoded by vvdecapp, else by ffmpeg."""

from __future__ import annotations

import shutil
from pathlib import Path

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
        return _process.run(["vvencapp", "--version"]).decode(errors="replace").strip().splitlines()[0]

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        planes = _yuv.from_rgb(image)
        height, width = planes[0].shape
        with _process.scratch() as folder:
            source, stream = Path(folder, "in.yuv"), Path(folder, "out.266")
            source.write_bytes(_yuv.to_bytes(planes))
            command = f"vvencapp -s {width}x{height} --format yuv420_10 -r 25 -f 1 --preset slower --qpa 0"
            told = [
                "-i",
                str(source),
                "-o",
                str(stream),
                "-q",
                str(int(quality)),
                "-t",
                str(self.threads or -1),
            ]
            intra = ["--intraperiod", "1", "--additional", "gopsize=1"]
            _process.run([*command.split(), *told, *intra])
            return _process.mark_odd(image, stream.read_bytes())

    def decode(self, data: bytes) -> np.ndarray:
        if not shutil.which("vvdecapp"):
            return _process.ffmpeg_decode(data, "vvc", self.threads)
        odd, stream = _process.split_odd(data)
        with _process.scratch() as folder:
            source, out = Path(folder, "in.266"), Path(folder, "out.y4m")
            source.write_bytes(stream)
            _process.run(["vvdecapp", "-b", str(source), "-o", str(out), "-t", str(self.threads or -1)])
            return _process.crop_odd(_yuv.to_rgb(_yuv.from_y4m(out.read_bytes())), odd)


CODECS = [VvencApp()]
