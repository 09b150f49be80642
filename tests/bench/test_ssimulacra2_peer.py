"""SSIMULACRA2 against the package of that name, on parts of the photographs that come along."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps
from tests.conftest import every

from calotype.codec.ssimulacra2 import ssimulacra2

peer = pytest.importorskip("ssimulacra2")
ROOT = Path(__file__).parents[2]
PHOTOS = (ROOT / "examples/miner-portrait.jpg", ROOT / "src/calotype/cli/photos/lake-sherburne.jpg")

SIZES = ((256, 256), (225, 225), (301, 255), (227, 290), (243, 257))
"""Not below 225: smaller pictures have fewer scales, and the package then takes other terms' weights."""
CHANGES = (
    "JPEG 5",
    "JPEG 30",
    "JPEG 75",
    "JPEG 97",
    "WEBP 2",
    "WEBP 60",
    "WEBP 95",
    "blur",
    "noise",
    "tint",
)


def changed(image: Image.Image, how: str) -> Image.Image:
    if how == "blur":
        return image.filter(ImageFilter.GaussianBlur(1.2))
    pixels = np.asarray(image).astype(float)
    if how == "noise":
        pixels += np.random.default_rng(0).normal(0, 9, pixels.shape)
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    if how == "tint":  # blue and red alone: the planes X and B
        return Image.fromarray(np.clip(pixels + np.array([14, 0, -25]), 0, 255).astype(np.uint8))
    form, quality = how.split()
    data = io.BytesIO()
    image.save(data, form, quality=int(quality))
    return Image.open(data).convert("RGB")


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("photo", every(2, range(len(PHOTOS))))
def test_value_of_the_package(photo: int, how: str, tmp_path: Path) -> None:
    height, width = SIZES[(CHANGES.index(how) + 3 * photo) % len(SIZES)]
    image = Image.open(PHOTOS[photo]).convert("RGB").crop((150, 60, 150 + width, 60 + height))
    other = changed(image, how)
    image.save(tmp_path / "a.png")
    other.save(tmp_path / "b.png")
    expected = peer.compute_ssimulacra2(tmp_path / "a.png", tmp_path / "b.png")
    assert ssimulacra2(np.asarray(image), np.asarray(other)) == pytest.approx(expected, abs=0.01)


def test_far_below_zero_the_weights_left_out_are_seen(tmp_path: Path) -> None:
    image = Image.open(PHOTOS[1]).convert("RGB").crop((150, 60, 406, 316))
    negative = ImageOps.invert(image)
    image.save(tmp_path / "a.png")
    negative.save(tmp_path / "b.png")
    expected = peer.compute_ssimulacra2(tmp_path / "a.png", tmp_path / "b.png")
    assert expected < -2000
    assert ssimulacra2(np.asarray(image), np.asarray(negative)) == pytest.approx(expected, abs=0.1)
