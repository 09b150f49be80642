"""Public test pictures that come in packages: each decodes at quality 100 to the pixels that Pillow gives
after the conversion that docs/pictures.md describes, or is refused for a reason that is there, too.

Go's sources (Debian: golang-src) carry PngSuite's basic files and pictures of image/jpeg, gif and png. A test
is skipped where its package is missing; CALOTYPE_CORPUS may name a folder of more pictures.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

import calotype
from calotype.errors import ImageError

SUFFIXES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
GO = sorted(Path("/usr/share").glob("go-*/src/image")) + sorted(Path("/usr/lib").glob("go*/src/image"))
MORE = [Path(os.environ["CALOTYPE_CORPUS"])] if os.environ.get("CALOTYPE_CORPUS") else []
FILES = sorted(
    path for root in {*GO[:1], *MORE} for path in root.rglob("*") if path.suffix.lower() in SUFFIXES
)
REFUSED: dict[str, Callable[[Image.Image], bool]] = {
    "the picture is CMYK without a CMYK profile": lambda image: image.mode == "CMYK",
    "frames or pages and a .calo file holds one": lambda image: getattr(image, "n_frames", 1) > 1,
    "the picture holds 32-bit integers": lambda image: image.mode == "I",
    "the picture holds floating-point numbers": lambda image: image.mode == "F",
    "the picture has signed values": lambda image: 2 in image.tag_v2.get(339, ()),
    "the picture is damaged or cannot be read": lambda image: not loads(image),
}
"""The reasons for which docs/pictures.md refuses pictures, and what must be true of one then."""


def loads(image: Image.Image) -> bool:
    """Whether Pillow reads all of an image."""
    try:
        image.load()
    except (OSError, SyntaxError, ValueError):
        return False
    return True


def expected(image: Image.Image, data: bytes) -> tuple[np.ndarray, int]:
    """What such a picture is by the table of docs/pictures.md, [H, W, 4]; how far rounding may be off."""
    gamma, slack = image.info.get("gamma"), 0
    if image.mode.startswith("I;16"):
        values = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        rgba = np.dstack([values] * 3 + [np.full_like(values, 255)])
        hidden = image.info.get("transparency")
        if hidden is not None:
            rgba[np.asarray(image) == hidden, 3] = 0
        slack = 1
    else:
        rgba = np.array(image.convert("RGBA"))
        hidden = image.info.get("transparency")
        if image.format == "PNG" and image.mode == "L" and data[24] < 8 and hidden is not None:
            # Pillow compares values of 8 bits with one of fewer.
            rgba[..., 3] = np.where(np.asarray(image) == hidden * 255 // ((1 << data[24]) - 1), 0, 255)
    if image.format == "PNG" and gamma and "icc_profile" not in image.info and "srgb" not in image.info:
        table = np.floor(255 * (np.arange(256) / 255) ** (1 / (2.2 * gamma)) + 0.5)
        if abs(2.2 * gamma - 1) >= 0.05:  # libpng's threshold
            rgba[..., :3] = table[rgba[..., :3]]
            slack = 1
    return rgba, slack


@pytest.mark.skipif(
    not FILES, reason="no package with test pictures is installed (golang-src, CALOTYPE_CORPUS)"
)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_pictures_of_packages(path: Path) -> None:
    data = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            coded = calotype.encode(Image.open(io.BytesIO(data)), quality=100, keep_hidden_colour=True)
    except Image.UnidentifiedImageError:
        return
    except ImageError as error:
        reason = str(error)
    else:
        compare(data, coded)
        return
    holds = next((holds for words, holds in REFUSED.items() if words in reason), None)
    assert holds, reason
    with Image.open(io.BytesIO(data)) as image:
        assert holds(image), reason


def compare(data: bytes, coded: bytes) -> None:
    """The decoded pixels with those that are expected of a file."""
    found = np.asarray(calotype.decode(coded).convert("RGBA"))
    ImageFile.LOAD_TRUNCATED_IMAGES, before = True, ImageFile.LOAD_TRUNCATED_IMAGES
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            wanted, slack = expected(image, data)
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).max() <= slack
