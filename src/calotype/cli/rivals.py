"""What ``calotype demo`` and ``calotype view`` compare with: JPEG and AVIF as Pillow writes them."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, features

from calotype.codec import metrics
from calotype.codec.arrays import UInt8Array


@dataclass(frozen=True)
class Result:
    """A picture compressed by one codec. Times in seconds, ``psnr`` in dB, ``ms_ssim`` from 0 to 1."""

    codec: str
    suffix: str
    setting: str
    data: bytes
    pixels: UInt8Array
    psnr: float
    ms_ssim: float
    encode_seconds: float
    decode_seconds: float

    @classmethod
    def measure(
        cls,
        codec: str,
        suffix: str,
        setting: str,
        data: bytes,
        original: UInt8Array,
        decoded: UInt8Array,
        encode_seconds: float,
        decode_seconds: float,
    ) -> Result:
        """Make a result from the file and the decoded picture."""
        psnr, ms_ssim = metrics.psnr(original, decoded), metrics.ms_ssim(original, decoded)
        return cls(codec, suffix, setting, data, decoded, psnr, ms_ssim, encode_seconds, decode_seconds)

    def record(self, pixels: int) -> dict[str, Any]:
        """For JSON and the table; ``pixels`` is the number of pixels."""
        return {
            "codec": self.codec,
            "setting": self.setting,
            "bytes": len(self.data),
            "bpp": 8 * len(self.data) / pixels,
            "psnr": self.psnr,
            "ms_ssim": self.ms_ssim,
            "ms_ssim_db": metrics.to_db(self.ms_ssim),
            "encode_seconds": self.encode_seconds,
            "decode_seconds": self.decode_seconds,
        }


_SUFFIXES = {"JPEG": ".jpg", "AVIF": ".avif"}
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"optimize": True, "progressive": True},
    "AVIF": {"speed": 6},
}
_HIGHEST = {"JPEG": 95, "AVIF": 100}


def names() -> list[str]:
    """The codecs that this Pillow has."""
    return ["JPEG", "AVIF"] if features.check("avif") else ["JPEG"]


def avif(rgba: bytes, width: int, height: int, quality: int) -> bytes:
    """An AVIF file of pixels [height, width, 4], for the page of ``calotype view``.

    4:4:4, or 4:0:0 if there is no colour; without alpha if all is opaque.

    quality: 0 to 100

    Raises ValueError for other numbers.
    """
    if width < 1 or height < 1 or len(rgba) != 4 * width * height or not 0 <= quality <= 100:
        raise ValueError("the picture has another size, or the quality is none")
    pixels = np.frombuffer(rgba, np.uint8).reshape(height, width, 4)
    if (pixels[..., 3] == 255).all():
        pixels = pixels[..., :3]
    grey = (pixels[..., :1] == pixels[..., 1:3]).all()
    stream = io.BytesIO()
    options = _OPTIONS["AVIF"] | {"subsampling": "4:0:0" if grey else "4:4:4"}
    Image.fromarray(pixels).save(stream, "AVIF", quality=quality, **options)
    return stream.getvalue()


def match(codec: str, pixels: UInt8Array, size: int) -> Result:
    """The file of ``codec`` nearest to ``size`` bytes, with the colour (4:2:0, 4:4:4) of higher PSNR."""
    return max((_matched(codec, pixels, size, colour) for colour in ("4:2:0", "4:4:4")), key=lambda r: r.psnr)


def _matched(codec: str, pixels: UInt8Array, size: int, colour: str) -> Result:
    image = Image.fromarray(pixels)
    times: dict[int, float] = {}

    def encode(setting: int) -> bytes:
        stream = io.BytesIO()
        start = time.perf_counter()
        image.save(stream, codec, quality=setting, subsampling=colour, **_OPTIONS[codec])
        times[setting] = time.perf_counter() - start
        return stream.getvalue()

    setting, data = nearest(encode, size, _HIGHEST[codec])
    start = time.perf_counter()
    decoded = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    seconds = time.perf_counter() - start
    name = f"quality {setting}, {colour}"
    return Result.measure(codec, _SUFFIXES[codec], name, data, pixels, decoded, times[setting], seconds)


def nearest(encode: Callable[[int], bytes], size: int, highest: int) -> tuple[int, bytes]:
    """The setting, 1 to ``highest``, whose file is nearest to ``size`` bytes, and the file."""
    tried: dict[int, bytes] = {}
    low, high = 1, highest
    while low <= high:
        middle = (low + high) // 2
        tried[middle] = encode(middle)
        if len(tried[middle]) < size:
            low = middle + 1
        else:
            high = middle - 1
    best = min(tried, key=lambda setting: abs(len(tried[setting]) - size))
    return best, tried[best]
