"""ICC, EXIF and XMP: taken from a Pillow image, and put back where Pillow's own readers put them.

The bytes are carried over exactly. Two things differ from format to format and are evened out here: JPEG and
PNG readers put ``Exif\\0\\0`` before the EXIF data (WebP and AVIF readers may not), and XMP is text or bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ExifTags, Image, ImageOps

#: What JPEG (and Pillow) put before EXIF data.
EXIF_PREFIX = b"Exif\0\0"

# EXIF of a TIFF file shares a directory with the layout of the TIFF's pixels. Only these describe the
# picture.
_TIFF_TAGS = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Orientation,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.Copyright,
)


@dataclass(frozen=True)
class Metadata:
    """What a picture carries beside its pixels, byte for byte; None when absent. ``exif`` has no prefix."""

    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None


def read(image: Image.Image) -> Metadata:
    """The metadata of a loaded Pillow image. Malformed metadata is carried along as it is."""
    info = image.info
    icc = info.get("icc_profile")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        xmp = xmp.encode("utf-8")
    return Metadata(_bytes(icc), _exif(image), _bytes(xmp))


def _bytes(value: object) -> bytes | None:
    return bytes(value) if isinstance(value, (bytes, bytearray)) and value else None


def _exif(image: Image.Image) -> bytes | None:
    data = image.info.get("exif")
    if isinstance(data, Image.Exif):
        data = data.tobytes()
    if data is None and "Raw profile type exif" in image.info:  # a PNG written by older ImageMagick
        data = image.getexif().tobytes()
    if data is None and hasattr(image, "tag_v2"):
        data = _tiff_exif(image)
    data = _bytes(data)
    while data is not None and data.startswith(EXIF_PREFIX):
        data = data[len(EXIF_PREFIX) :]
    return data or None


def _tiff_exif(image: Image.Image) -> bytes | None:
    source = image.getexif()
    kept = Image.Exif()
    for tag in _TIFF_TAGS:
        if tag in source:
            kept[tag] = source[tag]
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        entries = source.get_ifd(ifd)
        if entries:
            kept.get_ifd(ifd).update(entries)
            kept[ifd] = kept.get_ifd(ifd)
    return kept.tobytes() if len(kept) else None


def attach(image: Image.Image, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> None:
    """Put metadata into ``image.info`` as Pillow's readers do: icc_profile, exif (prefixed), xmp."""
    if icc:
        image.info["icc_profile"] = icc
    if exif:
        image.info["exif"] = exif if exif.startswith(EXIF_PREFIX) else EXIF_PREFIX + exif
    if xmp:
        image.info["xmp"] = xmp


def orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 (upright) when there is none or it cannot be read."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # malformed EXIF: viewers show such a picture as stored, and so do we
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright(image: Image.Image) -> Image.Image:
    """The picture turned as its orientation tag asks, the tag removed; the same image when it is upright."""
    return image if orientation(image) == 1 else ImageOps.exif_transpose(image)
