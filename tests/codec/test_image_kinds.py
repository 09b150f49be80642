"""Every kind of picture is taken exactly, converted by its stated rule, or refused; never silently wrong."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from calotype.codec.image import Picture
from calotype.errors import ImageError

from . import files

RNG = np.random.default_rng(7)
RGB = RNG.integers(0, 256, (9, 13, 3), np.uint8)
GREY = RNG.integers(0, 256, (9, 13), np.uint8)
ALPHA = RNG.integers(0, 256, (9, 13), np.uint8)


def reopened(image: Image.Image, form: str, **options: object) -> Image.Image:
    """The image as it comes from a file, not decoded yet."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return Image.open(stream)


def png_16_bit(values: np.ndarray, colour_type: int, extra: bytes = b"") -> Image.Image:
    """A 16-bit PNG; Pillow cannot write the colour ones."""
    return Image.open(io.BytesIO(files.png(values, 16, colour_type, extra)))


def test_rgb_and_back() -> None:
    picture = Picture.from_pil(Image.fromarray(RGB))
    assert not picture.grey
    assert picture.alpha is None
    assert np.array_equal(picture.pixels, RGB)
    assert (picture.width, picture.height) == (13, 9)
    back = picture.to_pil()
    assert back.mode == "RGB"
    assert np.array_equal(np.asarray(back), RGB)


def test_grey_and_back() -> None:
    picture = Picture.from_pil(Image.fromarray(GREY))
    assert picture.grey
    for channel in range(3):
        assert np.array_equal(picture.pixels[:, :, channel], GREY)
    assert picture.to_pil().mode == "L"
    assert np.array_equal(np.asarray(picture.to_pil()), GREY)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_and_back(mode: str) -> None:
    image = Image.fromarray(GREY if mode == "LA" else RGB).convert(mode)
    image.putalpha(Image.fromarray(ALPHA))
    picture = Picture.from_pil(image)
    assert picture.grey == (mode == "LA")
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha, ALPHA)
    back = picture.to_pil()
    assert back.mode == mode
    assert np.array_equal(np.asarray(back), np.asarray(image))


def test_pictures_taller_than_a_strip() -> None:
    tall = RNG.integers(0, 256, (700, 3, 3), np.uint8)
    assert np.array_equal(Picture.from_pil(Image.fromarray(tall)).pixels, tall)


@pytest.mark.parametrize(
    ("array", "grey", "alpha"),
    [
        (GREY, True, None),
        (GREY[:, :, None], True, None),
        (np.dstack([GREY, ALPHA]), True, ALPHA),
        (RGB, False, None),
        (np.dstack([RGB, ALPHA]), False, ALPHA),
        (RGB[::2, ::-1], False, None),
    ],
)
def test_arrays(array: np.ndarray, grey: bool, alpha: np.ndarray | None) -> None:
    picture = Picture.from_array(array)
    assert picture.grey == grey
    colours = array[..., None] if array.ndim == 2 else array
    expected = np.repeat(colours[:, :, :1], 3, axis=2) if grey else colours[:, :, :3]
    assert np.array_equal(picture.pixels, expected)
    assert (picture.alpha is None) if alpha is None else np.array_equal(picture.alpha, alpha)


@pytest.mark.parametrize(
    "array",
    [
        RGB.astype(np.float32) / 255,
        RGB.astype(np.uint16),
        RGB > 100,
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((4,), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["float", "uint16", "bool", "5 channels", "1-D", "batch", "empty"],
)
def test_arrays_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError):
        Picture.from_array(array)


def test_black_and_white() -> None:
    bits = GREY > 127
    picture = Picture.from_pil(Image.fromarray(GREY).point(lambda v: 255 * (v > 127)).convert("1"))
    assert picture.grey
    assert np.array_equal(picture.pixels[:, :, 0], np.where(bits, 255, 0))


def test_palette() -> None:
    image = Image.fromarray(RGB // 64 * 64).quantize(64)
    picture = Picture.from_pil(reopened(image, "PNG"))
    assert not picture.grey
    assert picture.alpha is None
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))


def test_palette_with_transparency() -> None:
    image = Image.new("P", (5, 1))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150])
    image.putdata([0, 1, 2, 3, 4])
    picture = Picture.from_pil(reopened(image, "PNG", transparency=bytes([255, 0, 128, 255, 255])))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0, 128, 255, 255]]
    assert picture.pixels[0, 2].tolist() == [70, 80, 90]


def test_gif_with_a_transparent_colour() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([0, 0, 0, 200, 0, 0, 0, 200, 0])
    image.putdata([0, 1, 2])
    picture = Picture.from_pil(reopened(image, "GIF", transparency=1))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0, 255]]


@pytest.mark.parametrize(("mode", "colour"), [("L", 7), ("RGB", (1, 2, 3))])
def test_png_with_a_transparent_colour(mode: str, colour: object) -> None:
    image = Image.new(mode, (2, 1))
    image.putpixel((1, 0), colour)
    picture = Picture.from_pil(reopened(image, "PNG", transparency=colour))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[255, 0]]
    assert picture.grey == (mode == "L")


def test_16_bit_grey_keeps_the_high_byte_and_says_so() -> None:
    values = RNG.integers(0, 65536, (6, 5), np.uint16)
    picture = Picture.from_pil(reopened(Image.fromarray(values), "PNG"))
    assert picture.grey
    assert np.array_equal(picture.pixels[:, :, 0], values >> 8)
    assert any("16 bits" in note for note in picture.notes)


def test_16_bit_grey_with_a_transparent_colour() -> None:
    trns = files.chunk(b"tRNS", struct.pack(">H", 0x1234))
    picture = Picture.from_pil(png_16_bit(np.array([[0x1234, 0x1235]], np.uint16), 0, trns))
    assert picture.alpha is not None
    assert picture.alpha.tolist() == [[0, 255]]
    assert picture.pixels[:, :, 0].tolist() == [[0x12, 0x12]]


@pytest.mark.parametrize(("bits", "row"), [(2, 0b00_01_10_11), (4, 0x05)])
def test_grey_of_few_bits_with_a_transparent_colour(bits: int, row: int) -> None:
    """The transparent value is in the unit of the file, not of the 8 bits that Pillow expands to."""
    count = 8 // bits
    values = [row >> (8 - bits * (i + 1)) & (2**bits - 1) for i in range(count)]
    for key in values:
        trns = files.chunk(b"tRNS", struct.pack(">H", key))
        picture = Picture.from_pil(Image.open(io.BytesIO(files.png(np.array([values]), bits, 0, trns))))
        assert picture.grey
        assert picture.pixels[0, :, 0].tolist() == [value * 255 // (2**bits - 1) for value in values]
        assert picture.alpha is not None
        assert picture.alpha.tolist() == [[0 if value == key else 255 for value in values]]


@pytest.mark.parametrize("maxval", [65535, 1023])
def test_16_bit_pgm_keeps_the_high_byte_and_says_so(maxval: int) -> None:
    values = RNG.integers(0, maxval + 1, (6, 5), np.uint16)
    expected = np.rint(values / maxval * 65535).astype(int) >> 8
    binary = b"P5 5 6 %d\n" % maxval + values.astype(">u2").tobytes()
    plain = b"P2 5 6 %d\n" % maxval + " ".join(map(str, values.ravel())).encode() + b"\n"
    for data in (binary, plain):
        picture = Picture.from_pil(Image.open(io.BytesIO(data)))
        assert picture.grey
        assert np.array_equal(picture.pixels[:, :, 0], expected)
        assert len(picture.notes) == 1
        assert f"{maxval.bit_length()} bits" in picture.notes[0]


@pytest.mark.parametrize("maxval", [65535, 1023])
def test_16_bit_ppm_is_rounded_and_says_so(maxval: int) -> None:
    values = RNG.integers(0, maxval + 1, (6, 5, 3), np.uint16)
    data = b"P6 5 6 %d\n" % maxval + values.astype(">u2").tobytes()
    picture = Picture.from_pil(Image.open(io.BytesIO(data)))
    assert np.array_equal(picture.pixels, np.rint(values / maxval * 255))
    assert len(picture.notes) == 1
    assert f"{maxval.bit_length()} bits" in picture.notes[0]


@pytest.mark.parametrize("error", [RuntimeError("bad\nbox"), TypeError()])
def test_whatever_pillow_raises_is_one_clear_error(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Its AVIF reader raises RuntimeError for some damaged files, its TIFF reader TypeError."""

    def fail(self: Image.Image) -> None:
        raise error

    image = Image.fromarray(RGB)
    monkeypatch.setattr(Image.Image, "load", fail)
    with pytest.raises(ImageError, match="damaged or cannot be read: ") as caught:
        Picture.from_pil(image)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4)])
def test_16_bit_colour_keeps_the_high_byte_and_says_so(colour_type: int, channels: int) -> None:
    values = RNG.integers(0, 65536, (6, 5, channels), np.uint16)
    picture = Picture.from_pil(png_16_bit(values, colour_type))
    assert np.array_equal(picture.pixels, values[:, :, :3] >> 8)
    assert any("16 bits" in note for note in picture.notes)
    if channels == 4:
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, values[:, :, 3] >> 8)


def test_8_bit_pictures_need_no_notes() -> None:
    for form in ("PNG", "TIFF", "BMP", "PPM", "WEBP", "JPEG"):
        assert Picture.from_pil(reopened(Image.fromarray(RGB), form)).notes == ()


def test_16_bit_tiff() -> None:
    values = RNG.integers(0, 65536, (6, 5), np.uint16)
    picture = Picture.from_pil(reopened(Image.fromarray(values), "TIFF"))
    assert np.array_equal(picture.pixels[:, :, 0], values >> 8)
    assert picture.notes


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_is_refused(mode: str) -> None:
    with pytest.raises(ImageError, match="8 bits"):
        Picture.from_pil(Image.new(mode, (3, 3)))


def test_cmyk_without_a_profile_is_refused() -> None:
    with pytest.raises(ImageError, match="CMYK"):
        Picture.from_pil(reopened(Image.new("CMYK", (8, 8), (10, 20, 30, 40)), "JPEG"))


def test_cmyk_with_a_profile_that_is_not_cmyk_is_refused() -> None:
    image = Image.new("CMYK", (8, 8), (10, 20, 30, 40))
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with pytest.raises(ImageError, match="CMYK"):
        Picture.from_pil(image)


def test_cmyk_goes_through_its_profile(cmyk_profile: bytes) -> None:
    image = Image.new("CMYK", (8, 8), (0, 0, 0, 0))
    image.paste((255, 0, 0, 0), (4, 0, 8, 8))
    image.info["icc_profile"] = cmyk_profile
    picture = Picture.from_pil(image)
    assert picture.icc is None  # the pixels are sRGB now; the CMYK profile must not come along
    assert any("CMYK" in note for note in picture.notes)
    assert picture.pixels[0, 0].min() >= 250  # no ink: white
    # The profile says that cyan ink is Lab (60, -40, -40), which is this sRGB, whatever naive rules say.
    expected = np.asarray(_lab_to_srgb(60, -40, -40))
    assert np.abs(picture.pixels[0, 7].astype(int) - expected).max() <= 3


def test_lab_becomes_srgb() -> None:
    image = Image.new("LAB", (4, 4), (255, 128, 128))  # L* = 100, a* = b* = 0: white
    picture = Picture.from_pil(image)
    assert picture.pixels.min() >= 253
    assert picture.notes


def test_ycbcr_and_hsv_follow_pillow() -> None:
    for mode in ("YCbCr", "HSV"):
        image = Image.fromarray(RGB).convert(mode)
        assert np.array_equal(Picture.from_pil(image).pixels, np.asarray(image.convert("RGB")))


def test_premultiplied_alpha_is_divided_out() -> None:
    image = Image.new("RGBA", (1, 1), (200, 100, 50, 128)).convert("RGBa")
    picture = Picture.from_pil(image)
    assert picture.alpha is not None
    assert picture.alpha.item() == 128
    assert np.abs(picture.pixels[0, 0].astype(int) - [200, 100, 50]).max() <= 2


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(form: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    image = reopened(frames[0], form, save_all=True, append_images=frames[1:])
    with pytest.raises(ImageError, match="3 frames"):
        Picture.from_pil(image)


def test_one_frame_of_several_can_be_copied_out() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    image = reopened(frames[0], "PNG", save_all=True, append_images=frames[1:])
    image.seek(1)
    assert Picture.from_pil(image.copy()).pixels[0, 0].tolist() == [0, 0, 255]


def test_mpo_gives_its_primary_picture() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    image = reopened(frames[0], "MPO", save_all=True, append_images=frames[1:])
    picture = Picture.from_pil(image)
    assert picture.pixels[0, 0, 0] > 240
    assert any("MPO" in note for note in picture.notes)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_truncated_pictures_are_refused(form: str) -> None:
    stream = io.BytesIO()
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(stream, form)
    data = stream.getvalue()
    with pytest.raises(ImageError, match="damaged"):
        _open_and_convert(data[: len(data) // 2])


def _open_and_convert(data: bytes) -> None:
    try:
        image = Image.open(io.BytesIO(data))
    except OSError as error:  # some formats notice at once
        raise ImageError(f"damaged: {error}") from error
    Picture.from_pil(image)


def _lab_to_srgb(lightness: float, a: float, b: float) -> list[int]:
    """CIE Lab (D50) to 8-bit sRGB with the Bradford matrix of the sRGB profile."""
    y = (lightness + 16) / 116
    f = [y + a / 500, y, y - b / 200]
    white = [0.9642, 1.0, 0.8249]
    xyz = [w * (v**3 if v > 6 / 29 else (v - 4 / 29) * 3 * (6 / 29) ** 2) for v, w in zip(f, white)]
    matrix = np.array([[3.1339, -1.6169, -0.4906], [-0.9785, 1.9160, 0.0333], [0.0720, -0.2290, 1.4057]])
    linear = np.clip(matrix @ xyz, 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return [round(255 * float(v)) for v in coded]
