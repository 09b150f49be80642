"""The reference encoders VTM (VVC) and HM (HEVC) in 4:4:4, when they are on PATH with their configuration
file.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

import numpy as np

from calotype.bench.codecs import _process, _yuv
from calotype.bench.codecs.base import Codec


class ReferenceModel(Codec):
    quality_unit = "QP 0..63 (HM: 0..51), lower is better"
    qualities = (47, 42, 37, 32, 27, 22, 17, 12)
    slow = True

    def __init__(self, name: str, encoder: str, decoder: str, config: str, source: str) -> None:
        self.name, self.family, self.config = f"{name}-444", name, config
        self.programs = (encoder, decoder)
        self.variable = f"CALOTYPE_{name.upper()}_CFG"  # path of the configuration file
        self.install = f"build {source}, put {encoder} and {decoder} on PATH, set {self.variable} to {config}"
        self.settings = (
            f"{config}, 4:4:4 10 bit; {_yuv.TOLD}; raw bytes + 4 for the size; times include files"
        )

    def _config(self) -> str | None:
        program = shutil.which(self.programs[0])
        near = [parent / "cfg" / self.config for parent in Path(program or "/").resolve().parents]
        found = [p for p in (Path(os.environ.get(self.variable, "")), *near) if p.is_file()]
        return str(found[0]) if found else None

    def missing(self) -> str | None:
        return super().missing() or (
            None if self._config() else f"{self.config} not found: set {self.variable}"
        )

    def version(self) -> str:
        return f"{self.programs[0]} at {shutil.which(self.programs[0])}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        height, width = image.shape[:2]
        with _process.scratch() as folder:
            Path(folder, "in.yuv").write_bytes(_yuv.to_bytes(_yuv.from_rgb(image, "444")))
            size = f"-wdt {width} -hgt {height} -fr 1 -f 1 -q {int(quality)} --ConformanceWindowMode=1"
            form = "--InputBitDepth=10 --InternalBitDepth=10 --InputChromaFormat=444 --Level=6.2"
            command = [self.programs[0], "-c", str(self._config()), *size.split(), *form.split()]
            _process.run([*command, "-i", "in.yuv", "-b", "out.bin", "-o", "rec.yuv"], cwd=folder)
            return struct.pack("<HH", width, height) + Path(folder, "out.bin").read_bytes()

    def decode(self, data: bytes) -> np.ndarray:
        width, height = struct.unpack("<HH", data[:4])
        with _process.scratch() as folder:
            Path(folder, "in.bin").write_bytes(data[4:])
            _process.run([self.programs[1], "-b", "in.bin", "-o", "out.yuv", "-d", "10"], cwd=folder)
            return _yuv.to_rgb(_yuv.from_bytes(Path(folder, "out.yuv").read_bytes(), width, height, "444"))


CODECS = [
    ReferenceModel(
        "vtm", "EncoderApp", "DecoderApp", "encoder_intra_vtm.cfg", "the VVC reference software VTM"
    ),
    ReferenceModel(
        "hm", "TAppEncoder", "TAppDecoder", "encoder_intra_main_rext.cfg", "the HEVC reference software HM"
    ),
]
