"""Pillow as an encoder and decoder of arrays."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, features


def encode(image: np.ndarray, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, format, **options)
    return out.getvalue()


def decode(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def version(feature: str) -> str:
    """E.g. ``Pillow 11.3.0, libwebp 1.6.0``; feature is a name that PIL.features knows."""
    import PIL

    return f"Pillow {PIL.__version__}, {feature} {features.version(feature)}"


def missing(feature: str) -> str | None:
    return None if features.check(feature) else f"this Pillow is built without {feature}"
