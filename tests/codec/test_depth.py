"""Depths other than 8 bits: every value comes out as its rule says, of images loaded before or not."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from calotype.codec.image import Picture
from calotype.errors import ImageError

from . import files

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_grey_tiff(bits: int, white_is_zero: bool, order: str) -> None:
    values = RNG.integers(0, 2**bits, (6, 8))
    try:
        image = files.opened(files.tiff(values, bits, 0 if white_is_zero else 1, order))
    except Image.UnidentifiedImageError:
        assert bits > 8  # Pillow does not read each of these, and says so
        return
    expected = values >> (bits - 8) if bits > 8 else values * 255 // (2**bits - 1)
    picture = Picture.from_pil(image)
    assert picture.grey
    assert np.array_equal(picture.pixels[:, :, 0], 255 - expected if white_is_zero else expected)
    assert any(f"{bits} bits" in note for note in picture.notes) == (bits > 8)


def test_a_12_bit_ramp_reaches_white() -> None:
    picture = Picture.from_pil(files.opened(files.tiff(np.arange(4096).reshape(16, 256), 12, 1)))
    assert (picture.pixels.min(), picture.pixels.max()) == (0, 255)
    assert round(picture.pixels.mean()) in (127, 128)


def test_rgb_tiff_of_16_bits() -> None:
    values = RNG.integers(0, 65536, (5, 6, 3))
    for order in "<>":
        picture = Picture.from_pil(files.opened(files.tiff(values, 16, 2, order)))
        assert np.array_equal(picture.pixels, values >> 8)
        assert "16 bits" in picture.notes[0]


def test_signed_values_are_refused() -> None:
    with pytest.raises(ImageError, match="signed"):
        Picture.from_pil(files.opened(files.tiff(np.zeros((4, 4)), 8, 1, tag_339=2)))


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_grey_png_with_a_transparent_value(bits: int, loaded: bool) -> None:
    values = RNG.integers(0, 2**bits, (6, 8))
    key = int(values[2, 3])
    image = files.opened(files.png(values, bits, 0, files.chunk(b"tRNS", struct.pack(">H", key))))
    if loaded:
        image.load()
    picture = Picture.from_pil(image)
    assert picture.grey
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, values == key)
    assert np.array_equal(
        picture.pixels[..., 0], values >> 8 if bits == 16 else values * 255 // (2**bits - 1)
    )


@pytest.mark.parametrize("loaded", [False, True])
def test_16_bit_rgb_png_with_a_transparent_colour(loaded: bool) -> None:
    """Neighbours that share their high bytes with the transparent colour stay opaque."""
    values = np.array([[[0x1234, 0x5678, 0x9ABC], [0x1235, 0x5678, 0x9ABC], [0x1234, 0x5678, 0x9A00]]])
    trns = files.chunk(b"tRNS", struct.pack(">3H", *values[0, 0]))
    image = files.opened(files.png(values, 16, 2, trns))
    if loaded:
        image.load()
    picture = Picture.from_pil(image)
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255, 255]]
    assert np.array_equal(picture.pixels, values >> 8)


def test_16_bit_rgb_with_a_transparent_colour_out_of_reach_of_its_file_is_refused() -> None:
    trns = files.chunk(b"tRNS", struct.pack(">3H", 0x1234, 2, 3))
    image = files.opened(files.png(np.zeros((2, 2, 3)), 16, 2, trns)).copy()
    with pytest.raises(ImageError, match="transparent colour"):
        Picture.from_pil(image)


@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_alpha_stays_grey(bits: int, loaded: bool) -> None:
    values = RNG.integers(0, 2**bits, (5, 4, 2))
    image = files.opened(files.png(values, bits, 4))
    if loaded:
        image.load()
    picture = Picture.from_pil(image)
    assert picture.grey
    assert picture.alpha is not None
    assert np.array_equal(np.dstack([picture.pixels[..., 0], picture.alpha]), values >> (bits - 8))


@pytest.mark.parametrize("masks", [(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)])
def test_bmp_of_16_bits_per_pixel_has_no_note_of_its_depth(masks: tuple[int, int, int]) -> None:
    pixels = RNG.integers(0, 65536, (4, 6)).astype("<u2")
    header = struct.pack("<IiiHHIIiiII", 40, 6, -4, 1, 16, 3, pixels.nbytes, 0, 0, 0, 0)
    lead = b"BM" + struct.pack("<IHHI", 66 + pixels.nbytes, 0, 0, 66)
    image = files.opened(lead + header + struct.pack("<3I", *masks) + pixels.tobytes())
    picture = Picture.from_pil(image)
    assert picture.notes == ()
    red = (pixels & masks[0]) >> (11 if masks[0] == 0xF800 else 10)
    assert np.abs(picture.pixels[..., 0] - red * 255 / 31).max() <= 1


def test_sgi_of_16_bits_says_so() -> None:
    image = Image.fromarray(RNG.integers(0, 256, (4, 4), np.uint8))
    assert "16 bits" in Picture.from_pil(files.opened(files.saved(image, "SGI", bpc=2))).notes[0]
    assert Picture.from_pil(files.opened(files.saved(image, "SGI", bpc=1))).notes == ()


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("grey", [True, False])
def test_jpeg_2000(bits: int, grey: bool) -> None:
    """Pillow wraps the white of deep RGB around to black, which must not pass for a picture."""
    imagecodecs = pytest.importorskip("imagecodecs")
    values = RNG.integers(0, 2**bits, (32, 32) if grey else (32, 32, 3)).astype(f"u{1 if bits == 8 else 2}")
    image = files.opened(imagecodecs.jpeg2k_encode(values, level=0, reversible=True, bitspersample=bits))
    if bits > 8 and not grey:
        with pytest.raises(ImageError, match="JPEG 2000"):
            Picture.from_pil(image)
        return
    picture = Picture.from_pil(image)
    assert np.array_equal(picture.pixels[..., 0] if grey else picture.pixels, values >> (bits - 8))
    assert bool(picture.notes) == (bits > 8)


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif(bits: int) -> None:
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.full((16, 16, 3), 2 ** (bits - 1), f"u{1 if bits == 8 else 2}")
    data = imagecodecs.avif_encode(values, bitspersample=bits)
    try:
        image = Image.open(io.BytesIO(data))
    except Image.UnidentifiedImageError:
        pytest.skip("Pillow without AVIF")
    notes = Picture.from_pil(image).notes
    assert any(f"{bits} bits" in note for note in notes) == (bits > 8)
