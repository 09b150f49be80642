"""EXIF: what its owner removed stays away, resolutions are kept, and all else is carried byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

import calotype
from calotype.codec import exif as exif_data
from calotype.codec import metadata
from calotype.codec.image import Picture

from . import files

GPS = ExifTags.IFD.GPSInfo
PIXELS = np.full((16, 16, 3), 120, np.uint8)


def with_place(**more: Any) -> bytes:
    fields = Image.Exif()
    fields[ExifTags.Base.Make] = "Calotype"
    fields[ExifTags.Base.Orientation] = more.get("orientation", 1)
    fields.get_ifd(GPS)[ExifTags.GPS.GPSLatitude] = (51.0, 24.0, 30.0)
    fields.get_ifd(GPS)[ExifTags.GPS.GPSLatitudeRef] = "N"
    fields[GPS] = fields.get_ifd(GPS)
    fields.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "1841:02:08 10:00:00"
    return fields.tobytes()


def photo(form: str = "JPEG", **options: Any) -> Image.Image:
    return files.opened(files.saved(Image.fromarray(PIXELS), form, exif=with_place(), **options))


def place(data: bytes | None) -> dict[int, Any]:
    fields = Image.Exif()
    if data:
        fields.load(data)
    return dict(fields.get_ifd(GPS))


def delete(image: Image.Image) -> None:
    del image.getexif()[GPS]


def look_and_delete(image: Image.Image) -> None:
    assert image.getexif().get_ifd(GPS)
    del image.getexif()[GPS]


def list_and_delete(image: Image.Image) -> None:
    assert dict(image.getexif())
    assert image.getexif().get_ifd(GPS)
    del image.getexif()[GPS]


def empty(image: Image.Image) -> None:
    image.getexif().get_ifd(GPS).clear()


def take_out_of_info(image: Image.Image) -> None:
    image.getexif()
    del image.info["exif"]


def exchange_in_info(image: Image.Image) -> None:
    assert image.getexif()[ExifTags.Base.Make] == "Calotype"
    fields = Image.Exif()
    fields[ExifTags.Base.Make] = "Calotype"
    image.info["exif"] = fields.tobytes()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("loaded", [False, True])
@pytest.mark.parametrize(
    "remove", [delete, look_and_delete, list_and_delete, empty, take_out_of_info, exchange_in_info]
)
def test_a_place_that_was_removed_does_not_come_back(form: str, loaded: bool, remove: Any) -> None:
    image = photo(form)
    if loaded:
        image.load()
    if form == "TIFF" and remove in (take_out_of_info, exchange_in_info):
        return  # a TIFF's tags are not in info
    assert place(Picture.from_pil(photo(form)).exif)
    remove(image)
    picture = Picture.from_pil(image)
    assert not place(picture.exif)
    if remove is not take_out_of_info:
        assert picture.to_pil().getexif()[ExifTags.Base.Make] == "Calotype"
    for data in (calotype.encode(image), files.saved(image, "CALO")):
        assert not place(files.opened(data).info.get("exif"))
        assert b"1841" not in data or remove is not take_out_of_info


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("remove", [delete, look_and_delete, list_and_delete, empty])
def test_fields_that_are_given_have_no_place_that_was_removed(form: str, remove: Any) -> None:
    image = photo(form)
    remove(image)
    back = files.opened(calotype.encode(PIXELS, exif=image.getexif()))
    assert not place(back.info["exif"])
    assert back.getexif()[ExifTags.Base.Make] == "Calotype"
    made = Image.Exif()
    made.get_ifd(GPS)[ExifTags.GPS.GPSLatitudeRef] = "N"  # as Pillow's writers take it
    assert place(files.opened(calotype.encode(PIXELS, exif=made)).info["exif"])


def test_other_changes_count_too() -> None:
    image = photo()
    image.getexif()[ExifTags.Base.Artist] = "Talbot"
    fields = Picture.from_pil(image).to_pil().getexif()
    assert fields[ExifTags.Base.Artist] == "Talbot"
    assert fields.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "1841:02:08 10:00:00"
    bare = Image.fromarray(PIXELS)
    bare.getexif()[ExifTags.Base.Artist] = "Talbot"
    assert Picture.from_pil(bare).to_pil().getexif()[ExifTags.Base.Artist] == "Talbot"


def test_looking_is_no_change() -> None:
    image = photo()
    str(image.getexif())
    image.getexif().get_ifd(GPS)
    assert Picture.from_pil(image).exif == exif_data.bare(with_place())
    turned = Image.fromarray(PIXELS)
    turned.info["xmp"] = b'<rdf:Description tiff:Orientation="6"/>'
    turned.getexif()  # Pillow puts the orientation of XMP in
    assert Picture.from_pil(turned).exif is None


def test_a_place_that_only_xmp_still_says_is_pointed_at() -> None:
    xmp = b'<x:xmpmeta><rdf:Description exif:GPSLatitude="51,24.5N"/></x:xmpmeta>'
    image = photo(xmp=xmp)
    assert Picture.from_pil(image).notes == ()
    del image.getexif()[GPS]
    assert any("XMP" in note for note in Picture.from_pil(image).notes)


@pytest.mark.parametrize("strip", [calotype.encode, lambda image, **o: files.saved(image, "CALO", **o)])
def test_what_encode_and_save_are_given_stands_in_place_of_a_pictures_own(strip: Any) -> None:
    image = photo(xmp=b"<a/>")
    assert {"exif", "xmp"} <= set(files.opened(strip(image)).info)
    assert not {"exif", "xmp"} & set(files.opened(strip(image, exif=None, xmp=None)).info)
    assert not {"exif", "xmp"} & set(files.opened(strip(image, exif=b"", xmp=b"")).info)
    assert not {"exif", "xmp"} & set(files.opened(strip(image, strip=True)).info)
    fields = Image.Exif()
    fields[ExifTags.Base.Artist] = "Talbot"
    for given in (fields, fields.tobytes(), fields.tobytes()[6:]):
        back = files.opened(strip(image, exif=given, xmp="<b/>"))
        assert dict(back.getexif()) == {ExifTags.Base.Artist: "Talbot"}
        assert back.info["xmp"] == b"<b/>"


def test_a_given_profile_must_be_for_the_picture() -> None:
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert files.opened(calotype.encode(PIXELS, icc_profile=srgb)).info["icc_profile"] == srgb
    assert "icc_profile" not in files.opened(calotype.encode(photo(icc_profile=srgb), icc_profile=None)).info
    for bad, pixels in ((srgb, PIXELS[..., 0]), (b"nonsense", PIXELS)):
        with pytest.raises(ValueError, match="icc_profile"):
            calotype.encode(pixels, icc_profile=bad)
    with pytest.raises(ValueError, match="exif"):
        calotype.encode(PIXELS, exif="nothing")  # type: ignore[arg-type]


NO_EXIF = [
    b"junk",
    b"Exif\0\0",
    b"Exif\0\0junk",
    b"II*\0",
    b"II*\0\xff\0\0\0\0\0",
    b"MM\0*\0\0\0\x08\0\x09",
    b"\xff\xe1" * 9,
]
NO_XMP = [
    "junk",
    b"\0\1\2",
    "<a>",
    "<a/><b/>",
    b"<a>\xff</a>",
    '<?xml version="1.0" encoding="no"?><a/>',
    "<!DOCTYPE a><a/>",
]


@pytest.mark.parametrize("give", [calotype.encode, lambda image, **o: files.saved(image, "CALO", **o)])
def test_what_is_no_exif_or_xmp_is_refused(give: Any) -> None:
    image = Image.fromarray(PIXELS)
    for name, bad in (("exif", NO_EXIF), ("xmp", NO_XMP)):
        for data in bad:
            if data == exif_data.PREFIX:  # nothing at all
                assert "exif" not in files.opened(give(image, exif=data)).info
                continue
            with pytest.raises(ValueError, match=f"^{name} is no ") as caught:
                give(image, **{name: data})
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-be"])
def test_packets_as_programs_write_them_are_taken(coding: str) -> None:
    """With and without the lines around them, the padding, and what JPEG puts before them."""
    inner = '<x:xmpmeta xmlns:x="adobe:ns:meta/">é</x:xmpmeta>'
    mark = "" if coding == "utf-16" else "\ufeff"
    whole = (
        f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{inner}\n{" " * 2000}<?xpacket end="w"?>'
    )
    for text in (inner, whole):
        data = (mark + text).encode(coding)
        for given in (data, data + b"\0" * 8, b"http://ns.adobe.com/xap/1.0/\0" + data, bytearray(data)):
            back = files.opened(calotype.encode(PIXELS, 100, xmp=given)).info["xmp"]
            assert back == bytes(given).removeprefix(b"http://ns.adobe.com/xap/1.0/\0")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_without_an_end_is_taken() -> None:
    fields = Image.Exif()
    fields[ExifTags.Base.Orientation] = 3
    data = fields.tobytes()[:-4]
    assert (
        files.opened(calotype.encode(PIXELS, 100, exif=bytearray(data))).getexif()[ExifTags.Base.Orientation]
        == 3
    )


@pytest.mark.parametrize("dpi", [(300, 300), (72, 96), (1, 1200)])
@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("with_exif", [False, True])
def test_resolution_is_kept(form: str, dpi: tuple[int, int], with_exif: bool) -> None:
    options: dict[str, Any] = {"exif": with_place()} if with_exif and form != "BMP" else {}
    source = files.opened(files.saved(Image.fromarray(PIXELS), form, dpi=dpi, **options))
    picture = Picture.from_pil(source)
    back = files.opened(calotype.encode(source))
    for image in (picture.to_pil(), back):
        assert image.info["dpi"] == pytest.approx(source.info["dpi"], abs=1e-3)
    if options:
        fields = back.getexif()
        assert fields[ExifTags.Base.Make] == "Calotype"
        assert fields.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] == "1841:02:08 10:00:00"
        assert place(back.info["exif"])


def test_a_resolution_that_pillow_makes_up_is_not_written_down() -> None:
    assert photo().info["dpi"] == (72, 72)
    assert Picture.from_pil(photo()).exif == exif_data.bare(with_place())


@pytest.mark.parametrize("order", ["<", ">"])
def test_with_resolution_keeps_all_other_bytes(order: str) -> None:
    fields = Image.Exif()
    fields.endian = order
    fields[ExifTags.Base.Artist] = "William Henry Fox Talbot"
    fields[ExifTags.Base.XResolution] = 72.0
    data = exif_data.bare(fields.tobytes())
    assert data is not None
    changed = exif_data.with_resolution(data, (300.0, 299.9994))
    assert changed is not None
    assert changed[8 : len(data)] == data[8:]
    assert exif_data.resolution(changed) == pytest.approx((300, 299.9994))
    back = Image.Exif()
    back.load(changed)
    assert back[ExifTags.Base.Artist] == "William Henry Fox Talbot"
    assert exif_data.resolution(exif_data.with_resolution(None, (10.0, 20.0))) == (10, 20)


@pytest.mark.parametrize(
    "data",
    [b"nonsense", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"II*\0\x08\0\0\0"],
)
def test_malformed_exif_stays_as_it_is(data: bytes) -> None:
    assert exif_data.resolution(data) is None
    assert exif_data.with_resolution(data, (72.0, 72.0)) is None
    image = Image.fromarray(PIXELS)
    image.info.update(exif=data, dpi=(300, 300))
    assert Picture.from_pil(image).exif == data


@pytest.mark.parametrize("dpi", [(0, 0), (float("nan"), 1), (float("inf"), 3), "72", None, (1,), (2**32, 5)])
def test_resolutions_that_make_no_sense(dpi: object) -> None:
    image = Image.fromarray(PIXELS)
    image.info["dpi"] = dpi
    assert Picture.from_pil(image).exif is None


def opened_jpeg_with_density(across: int, down: int) -> Image.Image:
    """A JPEG whose pixels have a shape in place of a size."""
    data = bytearray(files.saved(Image.fromarray(PIXELS), "JPEG"))
    at = data.index(b"JFIF") + 7
    data[at : at + 5] = bytes([0, 0, across, 0, down])
    return files.opened(bytes(data))


def test_what_has_no_place_is_named() -> None:
    from PIL import PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "Lacock")
    png = files.opened(files.saved(Image.fromarray(PIXELS), "PNG", pnginfo=text))
    assert any("Title" in note for note in Picture.from_pil(png).notes)
    jpeg = files.opened(files.saved(Image.fromarray(PIXELS), "JPEG", comment=b"Lacock"))
    assert any("comment" in note for note in Picture.from_pil(jpeg).notes)
    wide = opened_jpeg_with_density(2, 1)
    assert any("square" in note for note in Picture.from_pil(wide).notes)


def photoshop(resource: int) -> Image.Image:
    """A JPEG with one of Photoshop's resources, 8 bytes long."""
    data = (
        b"Photoshop 3.0\0"
        + b"8BIM"
        + resource.to_bytes(2, "big")
        + b"\0\0\0\0\0\x08"
        + b"\x1c\x02\x78\0\x03abc"
    )
    segment = b"\xff\xed" + (len(data) + 2).to_bytes(2, "big") + data
    return files.opened(files.saved(Image.fromarray(PIXELS), "JPEG", extra=segment))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_iptc_is_left_out_and_told(compression: str) -> None:
    notes = ("left out: IPTC",)
    assert Picture.from_pil(photoshop(0x0404)).notes == notes
    tags = {33723: b"\x1c\x02\x78\0\x03abc"}
    tiff = files.opened(files.saved(Image.fromarray(PIXELS), "TIFF", tiffinfo=tags, compression=compression))
    assert Picture.from_pil(tiff).notes == notes
    with pytest.warns(calotype.ConversionWarning, match="IPTC"):
        data = calotype.encode(tiff, 100)
    assert b"abc" not in data


def test_other_resources_of_photoshop_are_no_iptc() -> None:
    assert Picture.from_pil(photoshop(0x03ED)).notes == ()


def test_metadata_of_nothing() -> None:
    assert metadata.read(Image.fromarray(PIXELS)) == metadata.Metadata()


def test_what_programs_write_about_themselves_is_not_worth_a_note() -> None:
    from PIL import PngImagePlugin

    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "a program")
    text.add_text("date:create", "1841-02-08")
    assert (
        Picture.from_pil(files.opened(files.saved(Image.fromarray(PIXELS), "PNG", pnginfo=text))).notes == ()
    )
