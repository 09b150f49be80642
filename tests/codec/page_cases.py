"""What docs/pictures.md says of pictures that come in: one case for each row of its first table.

A case gives the notes of a picture, or raises what refuses it, and checks what else the row says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

import calotype
from calotype.cli.writing import to_file
from calotype.codec import icc
from calotype.codec.image import Picture
from calotype.errors import ImageError

from . import files
from .files import chrm, chunk, cicp, gama, opened, saved

Notes = Any
RGB = np.random.default_rng(1).integers(0, 256, (12, 16, 3), np.uint8)
ALPHA = np.random.default_rng(2).integers(0, 256, (12, 16), np.uint8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = (
    icc.matrix_profile("grey", icc.SRGB, icc.gamma_curve(1))
    .replace(b"RGB XYZ ", b"GRAYXYZ ")
    .replace(b"rTRC", b"kTRC")
)
GAIN_MAP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a:b xmlns:a="urn:a" '
    b'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" %s/></x:xmpmeta>'
)
CASES: dict[str, Callable[[], Notes]] = {}


def case(row: str) -> Callable[[Callable[[], Notes]], Callable[[], Notes]]:
    def enter(function: Callable[[], Notes]) -> Callable[[], Notes]:
        CASES[row] = function
        return function

    return enter


def read(image: Image.Image | bytes, pixels: Any = None, alpha: Any = None) -> Picture:
    picture = Picture.from_pil(opened(image) if isinstance(image, bytes) else image)
    if pixels is not None:
        assert np.array_equal(picture.pixels, pixels)
    if alpha is not None:
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, alpha)
    return picture


def with_info(image: Image.Image, **info: Any) -> Image.Image:
    image.info.update(info)
    return image


def refused(*attempts: Callable[[], Any]) -> Notes:
    """All of them are; the last error is the one that the test sees."""
    for attempt in attempts[:-1]:
        with pytest.raises(ImageError):
            attempt()
    return attempts[-1]()


@case("grey, RGB, 8 bits")
def _() -> Notes:
    assert read(Image.fromarray(RGB[..., 0]), RGB[..., :1].repeat(3, 2)).grey
    return read(Image.fromarray(RGB), RGB).notes


@case("alpha")
def _() -> Notes:
    data = calotype.encode(np.dstack([np.full_like(RGB, 90), ALPHA]))
    assert np.array_equal(np.asarray(calotype.decode(data))[..., 3], ALPHA)
    return read(Image.fromarray(np.dstack([RGB, ALPHA])), RGB, ALPHA).notes


@case("colour under alpha 0")
def _() -> Notes:
    picture = read(Image.fromarray(np.dstack([RGB, np.where(ALPHA < 128, 0, 255).astype(np.uint8)])))
    hidden = picture.concealed()
    assert np.array_equal(hidden.pixels[picture.alpha == 255], RGB[picture.alpha == 255])
    assert not np.array_equal(hidden.pixels, RGB)
    return hidden.notes


@case("black and white, palette")
def _() -> Notes:
    one = Image.fromarray(RGB[..., 0] > 99)
    assert read(one).grey
    image = Image.fromarray(RGB).quantize(16)
    read(
        saved(image, "PNG", transparency=bytes(range(16))),
        np.asarray(image.convert("RGB")),
        np.asarray(image),
    )
    return read(saved(image, "GIF"), np.asarray(image.convert("RGB"))).notes


@case("transparent colour of PNG or GIF, at any depth")
def _() -> Notes:
    for bits in (1, 2, 4, 8):
        values = RGB[..., 0] >> (8 - bits)
        trns = chunk(b"tRNS", struct.pack(">H", int(values[0, 0])))
        read(files.png(values, bits, 0, trns), None, np.where(values == values[0, 0], 0, 255))
    return read(files.png(RGB, 8, 2, chunk(b"tRNS", struct.pack(">3H", 1, 2, 3))), RGB, 255 + 0 * ALPHA).notes


@case("premultiplied alpha")
def _() -> Notes:
    image = Image.fromarray(np.dstack([RGB, ALPHA | 128])).convert("RGBa")
    return read(image, np.asarray(image.convert("RGBA"))[..., :3]).notes


@case("YCbCr, HSV")
def _() -> Notes:
    hsv = Image.fromarray(RGB).convert("HSV")
    read(hsv, np.asarray(hsv.convert("RGB")))
    image = Image.fromarray(RGB).convert("YCbCr")
    return read(image, np.asarray(image.convert("RGB"))).notes


@case("9 to 16 bits per channel")
def _() -> Notes:
    values = RGB.astype(np.uint16) * 256 + 77
    assert read(files.tiff(values[..., 0] >> 4, 12, 1)).notes
    return read(files.png(values, 16, 2), RGB).notes


@case("Lab")
def _() -> Notes:
    return read(Image.new("LAB", (4, 4), (255, 128, 128))).notes


@case("ICC profile for such a picture")
def _() -> Notes:
    assert read(with_info(Image.fromarray(RGB[..., 0]), icc_profile=GREY)).icc == GREY
    picture = read(with_info(Image.fromarray(RGB), icc_profile=SRGB), RGB)
    assert picture.icc == SRGB
    return picture.notes


@case("RGB profile on grey")
def _() -> Notes:
    profile = icc.matrix_profile("linear", icc.SRGB, icc.gamma_curve(1))
    picture = read(with_info(Image.fromarray(RGB[..., 0]), icc_profile=profile))
    assert picture.icc is None
    return picture.notes


@case("any other profile that does not fit, and what is no profile")
def _() -> Notes:
    assert read(with_info(Image.fromarray(RGB), icc_profile=b"nothing"), RGB).notes
    picture = read(with_info(Image.fromarray(RGB), icc_profile=GREY), RGB)
    assert picture.icc is None
    return picture.notes


@case("colour tags that say sRGB")
def _() -> Notes:
    assert read(files.png(RGB, 8, 2, cicp(1, 13)), RGB).notes == ()
    return read(files.png(RGB, 8, 2, gama(0.45455) + chrm(files.SRGB_CHRM)), RGB).notes


@case("PNG gAMA")
def _() -> Notes:
    return read(files.png(RGB, 8, 2, gama(1)), np.rint(255 * (RGB / 255) ** (1 / 2.2))).notes


@case("PNG cHRM, cICP, AVIF and HEIC colour tags of another colour space")
def _() -> Notes:
    assert read(files.png(RGB, 8, 2, cicp(12, 13)), RGB).notes
    picture = read(files.png(RGB, 8, 2, chrm(files.P3_CHRM)), RGB)
    assert picture.icc is not None
    return picture.notes


@case("PNG cICP with a matrix, which PNG does not have")
def _() -> Notes:
    return read(files.png(RGB, 8, 2, cicp(9, 16, matrix=9)), RGB).notes


@case("PQ or HLG (HDR)")
def _() -> Notes:
    assert read(files.png(RGB, 8, 2, cicp(9, 18))).notes
    return read(files.png(RGB, 8, 2, cicp(9, 16))).notes


@case("gain map of an HDR picture")
def _() -> Notes:
    picture = read(with_info(Image.fromarray(RGB), xmp=GAIN_MAP % b""), RGB)
    assert b"hdrgm" not in (picture.xmp or b"")
    return picture.notes


@case("film of a motion photo")
def _() -> Notes:
    packet = GAIN_MAP.replace(b"hdrgm:Version", b"a:MotionPhoto").replace(b"hdr-gain-map", b"other") % b""
    picture = read(with_info(Image.fromarray(RGB), xmp=packet), RGB)
    assert b"MotionPhoto" not in (picture.xmp or b"")
    return picture.notes


def exif(**fields: Any) -> bytes:
    data = Image.Exif()
    data[0x010F] = "Calotype"
    data[0x0112] = fields.get("orientation", 1)
    return data.tobytes()


@case("EXIF")
def _() -> Notes:
    image = opened(saved(Image.fromarray(RGB), "PNG", exif=exif()))
    assert read(image).exif == exif()[6:]
    del image.getexif()[0x010F]
    assert 0x010F not in read(image).to_pil().getexif()
    return read(image).notes


@case("EXIF orientation")
def _() -> Notes:
    picture = read(saved(Image.fromarray(RGB), "PNG", exif=exif(orientation=6)), RGB)
    assert picture.to_pil().getexif()[0x0112] == 6
    assert np.array_equal(picture.upright().pixels, np.rot90(RGB, -1))
    assert opened(bytes(to_file(picture.to_pil(), "BMP")[0])).size == (12, 16)
    return picture.notes


@case("resolution (DPI)")
def _() -> Notes:
    picture = read(saved(Image.fromarray(RGB), "JPEG", dpi=(300, 300)))
    assert picture.to_pil().info["dpi"] == (300, 300)
    return picture.notes


@case("XMP, also extended XMP of JPEG and raw profiles of PNG")
def _() -> Notes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type xmp", "\nxmp\n       4\n3c612f3e\n")
    assert read(saved(Image.fromarray(RGB), "PNG", pnginfo=text)).xmp == b"<a/>"
    picture = read(saved(Image.fromarray(RGB), "WEBP", xmp=b"<b/>"))
    assert picture.xmp == b"<b/>"
    return picture.notes


@case("IPTC, comments, texts of PNG, content credentials, depth maps")
def _() -> Notes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", "Talbot")
    assert read(saved(Image.fromarray(RGB), "PNG", pnginfo=text)).notes
    return read(saved(Image.fromarray(RGB), "JPEG", comment=b"words")).notes


def frames(form: str, **options: Any) -> Image.Image:
    shifted = [Image.fromarray(np.roll(RGB, k, 1)) for k in range(3)]
    return opened(saved(shifted[0], form, save_all=True, append_images=shifted[1:], **options))


@case("MPO, HEIC or Photoshop file of several pictures")
def _() -> Notes:
    return read(frames("MPO")).notes


@case("one frame of an animation, one page of several (`--frame N`)")
def _() -> Notes:
    picture = Picture.from_pil(frames("TIFF"), 2)
    assert np.array_equal(picture.pixels, np.roll(RGB, 2, 1))
    return picture.notes


@case("JPEG or PNG without its end, PNG with damage beside its pixels")
def _() -> Notes:
    assert "end" in read(saved(Image.fromarray(RGB), "PNG")[:-5], RGB).notes[0]
    data = saved(Image.fromarray(RGB).resize((600, 500)), "JPEG")
    return read(data[:-2], np.asarray(opened(data))).notes


@case("file without some of its pixels")
def _() -> Notes:
    return read(saved(Image.fromarray(RGB), "PNG")[:300]).notes


@case("animation, several pages")
def _() -> Notes:
    return refused(lambda: read(frames("GIF")), lambda: read(frames("PNG")), lambda: read(frames("TIFF")))


@case("CMYK without a CMYK profile")
def _() -> Notes:
    image = Image.new("CMYK", (4, 4))
    return refused(lambda: read(image), lambda: read(with_info(image, icc_profile=SRGB)))


@case("32-bit integers, floating point, signed values")
def _() -> Notes:
    signed = files.tiff(RGB[..., 0], 8, 1, tag_339=2)
    return refused(
        *(lambda image=i: read(image) for i in (Image.new("I", (4, 4)), Image.new("F", (4, 4)), signed))
    )


@case("JPEG 2000 in RGB of more than 8 bits")
def _() -> Notes:
    data = saved(Image.fromarray(RGB), "JPEG2000")
    at = data.index(b"\xff\x4f\xff\x51") + 42
    return read(data[:at] + b"\x0f" + data[at + 1 :]).notes


@case("raw file of a camera (DNG, CR2, NEF, ...)")
def _() -> Notes:
    return read(saved(Image.fromarray(RGB), "TIFF", tiffinfo={50706: b"\1\4\0\0"})).notes


@case("arrays that are not uint8")
def _() -> Notes:
    return refused(lambda: Picture.from_array(RGB / 255), lambda: Picture.from_array(RGB.astype(np.uint16)))
