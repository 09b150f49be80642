"""Our own codec. ``calotype:psnr`` takes the pack for PSNR, ``calotype:PATH`` another pack, and
``calotype:effort=5`` another effort.
"""

from __future__ import annotations

from importlib import metadata

import numpy as np
from PIL import Image

from calotype.bench.codecs import _calo
from calotype.bench.codecs.base import Codec


class Calotype(Codec):
    name = family = "calotype"
    settings = "the pack that ships for eyes, default effort; RGB in and out; whole .calo file counted"
    quality_unit = "percent of the pack's levels"
    qualities = (0, 14, 28, 42, 57, 71, 85, 100)
    install = "pip install --force-reinstall calotype"
    pack: str | None = None
    effort: int = 0

    def missing(self) -> str | None:
        return self.trial()

    def configured(self, argument: str) -> Codec:
        other: Codec = _calo.configured(self, argument)
        return other

    def version(self) -> str:
        from calotype.codec import library

        pack = library.load(self.pack).manifest
        return f"calotype {metadata.version('calotype')}, pack {pack.name} {pack.id[:8]}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        from calotype.codec import library
        from calotype.codec.encoder import encode
        from calotype.codec.image import Picture

        picture, pack = Picture.from_pil(Image.fromarray(image)), library.load(self.pack)
        level = pack.level_of(quality)  # one level for all pictures, as other codecs have one quantiser
        threads = self.threads or None
        return encode(picture, level=level, effort=self.effort, pack=pack, threads=threads).data

    def decode(self, data: bytes) -> np.ndarray:
        from calotype.codec.decoder import decode

        picture = decode(data, pack=self.pack, threads=self.threads or None).picture
        return np.asarray(picture.to_pil().convert("RGB"))

    def complexity(self) -> dict[str, object] | None:
        from calotype.bench.codecs import _counts
        from calotype.codec import library

        return _counts.of_pack(library.load(self.pack))


CODECS = [Calotype()]
