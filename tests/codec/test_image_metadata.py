"""ICC, EXIF and XMP come through byte for byte; a picture with an EXIF orientation is shown upright."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageOps, features

from calotype.codec import metadata
from calotype.codec.image import Picture

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta> é'.encode()
# Red on the left, green on the right, blue below: every orientation shows a different picture.
PIXELS = np.zeros((16, 24, 3), np.uint8)
PIXELS[:8, :12, 0] = 255
PIXELS[:8, 12:, 1] = 255
PIXELS[8:, :, 2] = 255


def exif(orientation: int = 1) -> bytes:
    fields = Image.Exif()
    fields[ExifTags.Base.Orientation] = orientation
    fields[ExifTags.Base.Make] = "Calotype"
    fields.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "1841:02:08 10:00:00"
    return fields.tobytes()


def reopened(form: str, **options: object) -> Image.Image:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, form, **options)
    return Image.open(stream)


@pytest.mark.parametrize(
    "form",
    [
        "JPEG",
        "PNG",
        "WEBP",
        pytest.param(
            "AVIF", marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow without AVIF")
        ),
    ],
)
def test_metadata_come_through_byte_for_byte(form: str) -> None:
    options: dict[str, object] = {"exif": exif(), "icc_profile": ICC}
    if form != "PNG":
        options["xmp"] = XMP
    source = reopened(form, **options)
    picture = Picture.from_pil(source)
    assert picture.icc == ICC
    assert picture.exif is not None
    assert not picture.exif.startswith(b"Exif")
    assert picture.exif == source.info["exif"].removeprefix(b"Exif\0\0")
    assert picture.xmp == source.info.get("xmp")
    back = picture.to_pil()
    assert back.info["icc_profile"] == ICC
    assert back.info["exif"] == b"Exif\0\0" + picture.exif
    assert back.info.get("xmp") == picture.xmp
    assert back.getexif()[ExifTags.Base.Make] == "Calotype"
    assert Picture.from_pil(back).exif == picture.exif


def test_xmp_as_text_and_in_png() -> None:
    image = Image.fromarray(PIXELS)
    image.info["XML:com.adobe.xmp"] = XMP.decode()
    assert Picture.from_pil(image).xmp == XMP


def test_tiff_metadata_without_the_layout_of_its_pixels() -> None:
    picture = Picture.from_pil(reopened("TIFF", exif=exif(), icc_profile=ICC))
    assert picture.icc == ICC
    fields = picture.to_pil().getexif()
    assert fields[ExifTags.Base.Make] == "Calotype"
    assert fields.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "1841:02:08 10:00:00"
    for tag in (ExifTags.Base.ImageWidth, ExifTags.Base.StripOffsets, ExifTags.Base.Compression):
        assert tag not in fields


def test_a_plain_tiff_has_no_exif() -> None:
    assert Picture.from_pil(reopened("TIFF")).exif is None


def test_metadata_of_a_picture_without_any() -> None:
    picture = Picture.from_pil(reopened("PNG"))
    assert (picture.icc, picture.exif, picture.xmp) == (None, None, None)
    assert picture.to_pil().info == {}


def test_malformed_exif_is_carried_along() -> None:
    image = Image.fromarray(PIXELS)
    image.info["exif"] = b"Exif\0\0not a TIFF structure"
    picture = Picture.from_pil(image)
    assert picture.exif == b"not a TIFF structure"
    assert picture.upright() is picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_orientation_is_shown_the_right_way(orientation: int, form: str) -> None:
    """What a viewer makes of our picture is what it makes of the original; upright() does it in pixels."""
    options: dict[str, object] = {"quality": 95, "subsampling": 0} if form == "JPEG" else {}
    if form == "WEBP":
        options = {"lossless": True}
    source = reopened(form, exif=exif(orientation), **options)
    shown = np.asarray(ImageOps.exif_transpose(source).convert("RGB")).astype(int)
    picture = Picture.from_pil(source)
    assert np.array_equal(np.asarray(ImageOps.exif_transpose(picture.to_pil())), shown)
    turned = picture.upright()
    assert np.array_equal(turned.pixels, shown)
    assert metadata.orientation(turned.to_pil()) == 1
    fields = turned.to_pil().getexif()
    assert fields[ExifTags.Base.Make] == "Calotype"  # only the orientation goes


def test_upright_turns_alpha_too_and_keeps_the_rest() -> None:
    image = Image.fromarray(PIXELS).convert("RGBA")
    image.putalpha(Image.fromarray(PIXELS[:, :, 0]))
    image.info.update(exif=exif(6), icc_profile=ICC, xmp=XMP)
    turned = Picture.from_pil(image).upright()
    assert turned.alpha is not None
    assert np.array_equal(turned.alpha, np.rot90(PIXELS[:, :, 0], -1))
    assert (turned.icc, turned.xmp) == (ICC, XMP)


def test_orientation_that_only_xmp_tells() -> None:
    image = Image.fromarray(PIXELS)
    image.info["xmp"] = b'<rdf:Description tiff:Orientation="6"/>'
    picture = Picture.from_pil(image)
    assert np.array_equal(picture.upright().pixels, np.rot90(PIXELS, -1))


def test_stripped_keeps_the_colours_and_turns() -> None:
    image = Image.fromarray(PIXELS)
    image.info.update(exif=exif(8), icc_profile=ICC, xmp=XMP)
    picture = Picture.from_pil(image).stripped()
    assert (picture.exif, picture.xmp, picture.icc) == (None, None, ICC)
    assert np.array_equal(picture.pixels, np.rot90(PIXELS, 1))
