"""AVIF (AV1 still picture) by libaom and dav1d, through Pillow's libavif."""

from __future__ import annotations

import os

import numpy as np

from calotype.bench.codecs import _pillow
from calotype.bench.codecs.base import Codec


def _cores() -> int:
    """What this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Avif(Codec):
    family = "avif"
    quality_unit = "libavif quality 0..100"
    requires, install = ("PIL",), "pip install 'Pillow>=11.3'"

    def __init__(self, chroma: str, tune: str | None = None) -> None:
        self.chroma, self.tune = chroma, tune
        self.name = f"avif-{chroma.replace(':', '')}" + (f"-{tune}" if tune else "")
        told = f"tune={tune}" if tune else "libavif's default tune (perceptual since libaom 3.13)"
        self.settings = f"{chroma}, 8 bit, speed 6, {told}; BT.601 full range by libavif; whole file counted"
        self.qualities = (3, 8, 16, 27, 40, 52, 65, 78) if tune else (8, 14, 20, 32, 45, 58, 75, 85)

    def missing(self) -> str | None:
        return super().missing() or _pillow.missing("avif")

    def version(self) -> str:
        from PIL import _avif

        return f"{_pillow.version('avif')} ({_avif.codec_versions()})"

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        # The number of threads changes libaom's bytes slightly, so it is always given.
        threads = self.threads or _cores()
        options = {"advanced": {"tune": self.tune}} if self.tune else {}
        return _pillow.encode(
            image,
            "AVIF",
            quality=int(quality),
            subsampling=self.chroma,
            speed=6,
            max_threads=threads,
            **options,
        )

    def decode(self, data: bytes) -> np.ndarray:
        return _pillow.decode(data)


CODECS = [Avif(chroma, tune) for chroma in ("4:2:0", "4:4:4") for tune in (None, "psnr")]
