"""The reference encoders VTM (VVC) and HM (HEVC) in 4:4:4, when they and their configuration are here."""

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

    def __init__(self, name: str, encoder: str, decoder: str, config: str) -> None:
        self.name, self.family, self.config = f"{name}-444", name, config
        self.programs = (encoder, decoder)
        self.variable = f"CALOTYPE_{name.upper()}_CFG"  # path of the configuration file
        self.install = f"put {encoder} and {decoder} on PATH, set {self.variable} to the path of {config}"
        self.settings = f"{config}, 4:4:4 10 bit; {_yuv.TOLD}; + 4 bytes for the size; times include files"

    def _config(self) -> str | None:
        program = shutil.which(self.programs[0])
        near = [parent / "cfg" / self.config for parent in Path(program or "/").resolve().parents]
        found = [p for p in (Path(os.environ.get(self.variable, "")), *near) if p.is_file()]
        return str(found[0].resolve()) if found else None

    def missing(self) -> str | None:
        return super().missing() or (None if self._config() else f"{self.variable} names no file")

    def version(self) -> str:
        return _process.version(self.programs[0])

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        height, width = image.shape[:2]
        size = f"-wdt {width} -hgt {height} -fr 1 -f 1 -q {int(quality)} --ConformanceWindowMode=1"
        form = "--InputBitDepth=10 --InternalBitDepth=10 --InputChromaFormat=444 --Level=6.2"
        command = [self.programs[0], "-c", str(self._config()), *size.split(), *form.split()]
        source = ("in.yuv", _yuv.to_bytes(_yuv.from_rgb(image, "444")))
        command += ["-i", "in.yuv", "-b", "out.bin", "-o", "rec.yuv"]
        return struct.pack("<HH", width, height) + _process.through_files(command, source, "out.bin")

    def decode(self, data: bytes) -> np.ndarray:
        width, height = struct.unpack("<HH", data[:4])
        command = [self.programs[1], "-b", "in.bin", "-o", "out.yuv", "-d", "10"]
        samples = _process.through_files(command, ("in.bin", data[4:]), "out.yuv")
        return _yuv.to_rgb(_yuv.from_bytes(samples, width, height, "444"))


CODECS = [
    ReferenceModel("vtm", "EncoderApp", "DecoderApp", "encoder_intra_vtm.cfg"),
    ReferenceModel("hm", "TAppEncoder", "TAppDecoder", "encoder_intra_main_rext.cfg"),
]
