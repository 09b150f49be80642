"""Our own codec. ``calotype:PATH`` takes another pack, ``calotype:effort=5`` another effort."""

from __future__ import annotations

import copy
from importlib import metadata
from pathlib import Path

import numpy as np
from PIL import Image

from calotype.bench.codecs.base import Codec
from calotype.bench.errors import BenchError


class Calotype(Codec):
    name = family = "calotype"
    settings = "the pack that ships, default effort; RGB in and out; whole .calo file counted"
    quality_unit = "calotype quality 0..100"
    qualities = (0, 14, 28, 42, 57, 71, 85, 100)
    install = "pip install --force-reinstall calotype"
    pack: str | None = None
    effort: int = 0

    def missing(self) -> str | None:
        return self.trial()

    def configured(self, argument: str) -> Codec:
        other = copy.copy(self)
        if argument.startswith("effort="):
            if not argument[7:].isdecimal() or int(argument[7:]) > 9:
                raise BenchError(f"codec {self.name}: effort is 0 to 9, not {argument[7:]!r}")
            other.effort, other.name = int(argument[7:]), f"calotype:{argument}"
            other.settings = self.settings.replace("default effort", f"effort {other.effort}")
            return other
        other.pack, other.name = argument, f"calotype:{Path(argument).stem}"
        other.settings = self.settings.replace("the pack that ships", f"pack {argument}")
        return other

    def version(self) -> str:
        from calotype.codec import library

        pack = library.load(self.pack).manifest
        return f"calotype {metadata.version('calotype')}, pack {pack.name} {pack.id[:8]}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        from calotype.codec.encoder import encode
        from calotype.codec.image import Picture

        picture = Picture.from_pil(Image.fromarray(image))
        threads = self.threads or None
        return encode(picture, quality=quality, effort=self.effort, pack=self.pack, threads=threads).data

    def decode(self, data: bytes) -> np.ndarray:
        from calotype.codec.decoder import decode

        picture = decode(data, pack=self.pack, threads=self.threads or None).picture
        return np.asarray(picture.to_pil().convert("RGB"))

    def complexity(self) -> dict[str, object] | None:
        from calotype.bench.codecs import _onnx
        from calotype.codec import library

        return _onnx.of_pack(library.load(self.pack))


CODECS = [Calotype()]
