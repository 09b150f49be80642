"""BPG (HEVC intra by x265 in a lean container), when bpgenc and bpgdec are on PATH."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from calotype.bench.codecs import _process
from calotype.bench.codecs.base import Codec


class Bpg(Codec):
    name, family = "bpg-444", "bpg"
    settings = "bpgenc -m 8 -b 8 -f 444, YCbCr BT.601 full range; times include process start and files"
    quality_unit = "QP 0..51, lower is better"
    qualities = (46, 41, 36, 31, 26, 22)
    programs, install = ("bpgenc", "bpgdec"), "build libbpg 0.9.8 and put bpgenc and bpgdec on PATH"

    def version(self) -> str:
        import subprocess

        told = subprocess.run(["bpgenc", "-h"], capture_output=True, text=True, check=False)
        lines = (told.stdout + told.stderr).strip().splitlines()
        return lines[0] if lines else "bpgenc, version unknown"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        with _process.scratch() as folder:
            Image.fromarray(image).save(Path(folder, "in.png"), compress_level=1)
            command = [
                "bpgenc",
                "-m",
                "8",
                "-b",
                "8",
                "-f",
                "444",
                "-q",
                str(int(quality)),
                "-o",
                "out.bpg",
                "in.png",
            ]
            _process.run(command, cwd=folder)
            return Path(folder, "out.bpg").read_bytes()

    def decode(self, data: bytes) -> np.ndarray:
        with _process.scratch() as folder:
            Path(folder, "in.bpg").write_bytes(data)
            _process.run(["bpgdec", "-o", "out.ppm", "in.bpg"], cwd=folder)
            with Image.open(Path(folder, "out.ppm")) as picture:
                return np.asarray(picture.convert("RGB"))


CODECS = [Bpg()]
