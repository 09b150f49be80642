"""Our own codec. ``calotype:psnr`` takes the pack for PSNR, ``calotype:PATH`` another pack, and
``calotype:effort=5`` another effort.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from typing import Any

import numpy as np
from PIL import Image

from calotype.bench.codecs import _calo, _counts
from calotype.bench.codecs.base import Codec
from calotype.codec import decoder, encoder, library
from calotype.codec.exposure import Encoded
from calotype.codec.image import Picture


class Calotype(Codec):
    name = family = "calotype"
    settings = "the pack that ships for eyes, default effort; RGB in and out; whole .calo file counted"
    quality_unit = "percent of the pack's levels, one for all pictures; not `calotype encode -q`"
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
        pack = library.load(self.pack).manifest
        return f"calotype {metadata.version('calotype')}, pack {pack.name} {pack.id[:8]}"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        """At one level for all pictures, as other codecs have one quantiser."""
        return self._encoded(image, level=self._level(quality)).data

    def as_used(self, image: np.ndarray, quality: float) -> Callable[[], bytes]:
        """By the picture's own quality near that level, which an encoder has to find out what it means."""
        own = self._encoded(image, level=self._level(quality)).quality
        return lambda: self._encoded(image, quality=own).data

    def _level(self, quality: float) -> int:
        return library.load(self.pack).level_of(quality)

    def _encoded(self, image: np.ndarray, **wanted: Any) -> Encoded:
        picture, pack = Picture.from_pil(Image.fromarray(image)), library.load(self.pack)
        return encoder.encode(picture, effort=self.effort, pack=pack, threads=self.threads or None, **wanted)

    def decode(self, data: bytes) -> np.ndarray:
        picture = decoder.decode(data, pack=self.pack, threads=self.threads or None).picture
        return np.asarray(picture.to_pil().convert("RGB"))

    def complexity(self) -> dict[str, object] | None:
        return _counts.of_pack(library.load(self.pack))


CODECS = [Calotype()]
