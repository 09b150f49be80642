"""What the benchmark asks of a codec: bytes from a picture and a picture from bytes.

A codec is one small class in one file of this folder (docs/benchmark.md, "Adding a codec")::

    class Webp(Codec):
        name, family = "webp", "webp"
        settings = "lossy, method 6, 4:2:0 BT.601 limited range"
        quality_unit, qualities = "libwebp quality 0..100", (0, 12, 28, 50, 72, 93)
        requires, install = ("PIL",), "pip install Pillow"

        def version(self) -> str: ...
        def encode(self, image, quality) -> bytes: ...
        def decode(self, data): ...

    CODECS = [Webp()]

Pictures are uint8 arrays [height, width, 3], RGB, 0..255. The bytes must be everything the decoder needs:
bits per pixel are counted on them.
"""

from __future__ import annotations

import copy
import importlib.util
import shutil
from collections.abc import Callable
from functools import partial

import numpy as np

from calotype.bench.errors import BenchError, one_line


class Codec:
    """Base of all codecs of the benchmark. Subclasses set the fields and write encode and decode."""

    name: str  # unique, lower case, as typed on the command line
    family: str  # codecs of one family can be asked for together ("jpeg" = jpeg-420, jpeg-444 ...)
    settings: str  # everything that changes the bytes, the colour conversion too
    quality_unit: str  # what the quality number means, its range and direction
    qualities: tuple[float, ...]  # the points measured when none are asked for, from low to high rate
    quality_step: float = 1  # smallest useful change of quality; 0 = any real number
    requires: tuple[str, ...] = ()  # modules to import
    programs: tuple[str, ...] = ()  # programs to find on PATH
    install: str = ""  # how to get what is missing
    slow: bool = False  # seconds per picture: only run when named
    threads: int = 1  # threads to use, where the library has a knob; 0 = all

    def version(self) -> str:
        """Name and version of the library that does the work."""
        raise NotImplementedError

    def encode(self, image: np.ndarray, quality: float) -> bytes:
        """Compress `image`, uint8 [height, width, 3], at `quality` (in `quality_unit`)."""
        raise NotImplementedError

    def as_used(self, image: np.ndarray, quality: float) -> Callable[[], bytes]:
        """What the timing pass times: the encoder as people call it, for a file near that of `quality`. It
        differs from `encode` where that spares what people pay.
        """
        return partial(self.encode, image, quality)

    def decode(self, data: bytes) -> np.ndarray:
        """Return the picture in `data`, uint8 [height, width, 3]."""
        raise NotImplementedError

    def missing(self) -> str | None:
        """Say why the codec cannot run here, or None when it can."""
        modules = [m for m in self.requires if not _installed(m)]
        programs = [p for p in self.programs if shutil.which(p) is None]
        if not modules and not programs:
            return None
        parts = [f"module {m} is not installed" for m in modules] + [f"{p} is not on PATH" for p in programs]
        return "; ".join(parts)

    def trial(self) -> str | None:
        """For `missing` of a codec that can fail in many ways: what goes wrong with a tiny picture."""
        try:
            self.decode(self.encode(np.zeros((16, 16, 3), np.uint8), self.qualities[0]))
        except Exception as error:  # whatever is wrong with the installation is the answer
            return one_line(error)
        return None

    def available(self) -> bool:
        return self.missing() is None

    def configured(self, argument: str) -> Codec:
        """The codec that ``name:argument`` means on the command line. Few codecs take an argument."""
        raise BenchError(f"codec {self.name} takes no argument, but was given {argument!r}")

    def with_threads(self, threads: int) -> Codec:
        """A copy that uses `threads` threads (0 = all) where the library can be told."""
        other = copy.copy(self)
        other.threads = threads
        return other

    def complexity(self) -> dict[str, object] | None:
        """``{"parameters", "kmac_per_pixel": {part: kMAC}, "rule"}`` of a learned codec, if known.

        Parts are ``encode`` and ``decode``, or ``total``, and whatever else helps.
        """
        return None


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # a parent package that is absent, or cannot be imported
        return False
