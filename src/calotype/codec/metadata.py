"""What goes along with a picture: taken from a Pillow image, and put back where Pillow's own readers put it.

ICC profile, EXIF and XMP are carried over. What has no place in a .calo file is named in a note.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from PIL import ExifTags, Image

from calotype.codec import exif as exif_data
from calotype.codec import xmp as xmp_data

Keep: TypeAlias = Literal["keep"]
ExifLike: TypeAlias = "bytes | Image.Exif | Keep | None"

_IPTC = 0x0404  # a Photoshop resource
_IPTC_TAG = 33723  # of TIFF
_PLACE = b"GPSLatitude"
# Texts of a PNG that are kept elsewhere, or that programs write about themselves.
_OWN_TEXTS = ("Raw profile type", "XML:com.adobe.xmp", "Software", "Creation Time", "date:")


@dataclass(frozen=True)
class Metadata:
    """What a picture carries beside its pixels and colours; None when absent. ``exif`` has no prefix."""

    exif: bytes | None = None
    xmp: bytes | None = None
    notes: tuple[str, ...] = ()


def read(image: Image.Image) -> Metadata:
    """The metadata of a Pillow image. Malformed EXIF and XMP are carried along as they are."""
    exif = exif_data.read(image)
    xmp, notes = xmp_data.read(image)
    dpi = _resolution(image)
    if dpi is not None and not _same(exif_data.resolution(exif), dpi):
        exif = exif_data.with_resolution(exif, dpi) or exif
    was = exif_data.bare(image.info.get("exif") if isinstance(image.info.get("exif"), bytes) else None)
    if exif_data.has_place(was) and not exif_data.has_place(exif) and _PLACE in (xmp or b""):
        notes += ("the place is gone from EXIF, but XMP still says it",)
    return Metadata(exif, xmp, notes + _left_out(image))


def _resolution(image: Image.Image) -> tuple[float, float] | None:
    """Dots per inch that a file says outside of EXIF."""
    dpi = exif_data.sensible(image.info.get("dpi"))
    # For a JPEG that says nothing Pillow gives 72; a TIFF's is among its tags.
    made_up = dpi == (72, 72) and "exif" in image.info and image.info.get("jfif_unit") not in (1, 2)
    return None if made_up or hasattr(image, "tag_v2") else dpi


def _same(a: tuple[float, float] | None, b: tuple[float, float]) -> bool:
    return a is not None and all(abs(x - y) < 0.005 for x, y in zip(a, b))


def _left_out(image: Image.Image) -> tuple[str, ...]:
    """Notes on what a .calo file has no place for."""
    info, lost = image.info, []
    photoshop = info.get("photoshop")
    tags = getattr(image, "tag_v2", ())
    raw = any(f"Raw profile type {name}" in info for name in ("iptc", "8bim"))
    if raw or _IPTC_TAG in tags or (isinstance(photoshop, dict) and _IPTC in photoshop):
        lost.append("IPTC")
    if info.get("comment") and image.format != "JPEG2000":  # there it names the program
        lost.append("a comment")
    texts = getattr(image, "_text", None) or getattr(getattr(image, "png", None), "im_text", None) or {}
    names = [name for name in texts if name in info and not name.startswith(_OWN_TEXTS)]
    if names:
        lost.append(f"texts ({', '.join(names)})")
    segments = getattr(image, "applist", ())
    if any(name == "APP11" and data.startswith(b"JP") for name, data in segments):
        lost.append("content credentials")
    shape = info.get("aspect", info.get("jfif_density") if info.get("jfif_unit") == 0 else None)
    if isinstance(shape, tuple) and len(set(shape)) > 1:
        lost.append("the shape of its pixels, which are not square")
    if info.get("depth_images"):  # pillow-heif's
        lost.append("a depth map")
    notes: tuple[str, ...] = (f"left out: {', '.join(lost)}",) if lost else ()
    if any(
        xmp_data.has_junk(text) for name, text in info.items() if str(name).startswith("Raw profile type")
    ):
        notes += ("damaged parts of its EXIF or XMP text were passed over; all pixels are there",)
    urn = b"urn:iso:std:iso:ts:21496"
    if "hdrgainmap" in str(info.get("aux")) or any(data.startswith(urn) for _, data in segments):
        notes += (xmp_data.GAIN_MAP,)
    return notes


def given(exif: ExifLike, xmp: bytes | str | Keep | None, own: Metadata) -> Metadata:
    """The metadata that a caller asks for, in place of a picture's own: None or nothing leaves them out.

    Raises ValueError for what readers of EXIF or XMP would not take for that."""
    if not isinstance(exif, str):
        data = exif_data.bare(exif_data.of(exif) if isinstance(exif, Image.Exif) else exif)
        if data is not None and not exif_data.is_readable(data):
            raise ValueError(
                'exif is no EXIF data: a TIFF header ("II*" or "MM"), with or without "Exif" before it'
            )
        own = replace(own, exif=data)
    elif exif != "keep":
        raise ValueError("exif must be bytes, a PIL.Image.Exif or None")
    if xmp != "keep":
        packet = xmp_data.bare(xmp)
        if packet is not None and not xmp_data.is_readable(packet):
            raise ValueError("xmp is no XMP packet: it is not well-formed XML")
        own = replace(own, xmp=packet)
    return own


def attach(image: Image.Image, icc: bytes | None, exif: bytes | None, xmp: bytes | None) -> None:
    """Put metadata into ``image.info`` as Pillow's readers do: icc_profile, exif (prefixed), xmp, dpi."""
    if icc:
        image.info["icc_profile"] = icc
    if exif:
        prefix = exif_data.PREFIX
        image.info["exif"] = exif if exif.startswith(prefix) else prefix + exif
        if dpi := exif_data.resolution(exif_data.bare(exif)):
            image.info["dpi"] = dpi
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
    if orientation(image) == 1:
        return image
    from PIL import ImageOps  # late, as few pictures need it

    return ImageOps.exif_transpose(image)
