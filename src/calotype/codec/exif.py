"""EXIF data: the bytes that a picture has, as its owner left them, and the resolution in them.

EXIF bytes are carried along as they are. Two things are done to them. What was changed through Pillow's
``getexif()`` counts: a place that was deleted there must not come back. And a resolution that the file says
elsewhere (JFIF, PNG's pHYs) is put in, as .calo files hold it nowhere else.
"""

from __future__ import annotations

import math
import struct
from typing import Any

from PIL import ExifTags, Image

from calotype.codec.xmp import raw_profile

#: What JPEG (and Pillow) put before EXIF data.
PREFIX = b"Exif\0\0"

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
_X, _Y, _UNIT = 282, 283, 296
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_INCH, _CENTIMETRE = 2, 3


def read(image: Image.Image) -> bytes | None:
    """The EXIF data of a Pillow image without prefix; None when it has none."""
    if hasattr(image, "tag_v2"):
        data = _of_tiff(image)
    else:
        data = of(image.getexif()) if _is_changed(image) else _stored(image)
    return bare(data)


def bare(data: bytes | None) -> bytes | None:
    """EXIF data without what JPEG puts before them."""
    while data is not None and data.startswith(PREFIX):
        data = data[len(PREFIX) :]
    return bytes(data) if data else None


def is_readable(data: bytes) -> bool:
    """Whether other programs would find a first directory in EXIF data, without prefix."""
    return _entries(data + bytes(4)) is not None  # some writers end with the last field


def _stored(image: Image.Image) -> bytes | None:
    data: Any = image.info.get("exif")
    if isinstance(data, Image.Exif):
        data = data.tobytes()
    if data is None:
        for name in ("Raw profile type exif", "Raw profile type APP1"):  # PNGs of older ImageMagick
            raw = raw_profile(image.info.get(name))
            if raw and (raw.startswith(PREFIX) or name.endswith("exif")):
                data = raw
    return bytes(data) if isinstance(data, (bytes, bytearray)) else None


def _is_changed(image: Image.Image) -> bool:
    """Whether ``getexif()`` gives other fields than the bytes that it was read from.

    Where the bytes themselves were exchanged after that, they are what their owner wants."""
    now = getattr(image, "_exif", None)
    if now is None or not getattr(now, "_loaded", True):
        return False
    loaded, before = getattr(now, "_loaded_exif", None), _stored(image)
    if loaded is not None and (image.info.get("exif") is None or bare(loaded) != bare(before)):
        return False
    try:
        return of(now) != of(_fresh(image))
    except Exception:  # malformed: what Pillow cannot write again was not changed through it
        return False


def _fresh(image: Image.Image) -> Image.Exif:
    """What ``getexif()`` gave at first."""
    fresh = Image.new("L", (1, 1))
    names = ("xmp", "XML:com.adobe.xmp")  # Pillow takes an orientation from there
    fresh.info = {name: image.info[name] for name in names if name in image.info}
    if (before := _stored(image)) is not None:
        fresh.info["exif"] = before
    return fresh.getexif()


def of(fields: Image.Exif) -> bytes | None:
    """EXIF data of Pillow's fields; None when there are none.

    Pillow writes a directory that was looked at even if it was deleted after that; here it is gone."""
    data = fields.tobytes()
    source = Image.Exif()
    if loaded := getattr(fields, "_loaded_exif", None):
        source.load(loaded)
    made = not loaded and getattr(fields, "_info", None) is None
    gone = [tag for tag in _DIRECTORIES if tag not in fields and (tag in source or not (loaded or made))]
    if gone:
        fields = Image.Exif()
        fields.load(data)
        for tag in set(gone) & set(fields):
            del fields[tag]
        data = fields.tobytes()
    entries = _entries(data.removeprefix(PREFIX))
    return data if entries is None or entries[1] else None


def _of_tiff(image: Image.Image) -> bytes | None:
    source = image.getexif()
    kept = Image.Exif()
    for tag in _TIFF_TAGS:
        if tag in source:
            kept[tag] = source[tag]
    for ifd in _DIRECTORIES:
        entries = source.get_ifd(ifd) if ifd in source else {}
        if entries:
            kept.get_ifd(ifd).update(entries)
            kept[ifd] = kept.get_ifd(ifd)
    return kept.tobytes() if len(kept) else None


def has_place(data: bytes | None) -> bool:
    """Whether EXIF data say where a picture was taken."""
    entries = _entries(data) if data else None
    return entries is not None and any(tag == ExifTags.IFD.GPSInfo for tag, _ in entries[1])


def resolution(data: bytes | None) -> tuple[float, float] | None:
    """Dots per inch that EXIF data say, across and down; None when they say none that makes sense."""
    entries = _entries(data) if data else None
    if data is None or entries is None:
        return None
    order, fields, _ = entries
    found = dict(fields)
    if _X not in found or _Y not in found:
        return None
    unit = struct.unpack(order + "H", found[_UNIT][8:10])[0] if _UNIT in found else _INCH
    values = []
    for tag in (_X, _Y):
        kind, count, place = struct.unpack(order + "HII", found[tag][2:12])
        if kind != 5 or count != 1 or place + 8 > len(data):
            return None
        above, below = struct.unpack(order + "II", data[place : place + 8])
        values.append(above / below if below else 0.0)
    scale = {_INCH: 1.0, _CENTIMETRE: 2.54}.get(unit, 0.0)
    return sensible((values[0] * scale, values[1] * scale))


def sensible(dpi: object) -> tuple[float, float] | None:
    """Dots per inch as two numbers above 0, or None."""
    if not isinstance(dpi, (tuple, list)):
        return None
    try:
        x, y = (float(value) for value in dpi)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError):
        return None
    return (x, y) if all(math.isfinite(v) and 0 < v < 1e6 for v in (x, y)) else None


def with_resolution(data: bytes | None, dpi: tuple[float, float]) -> bytes | None:
    """EXIF data that say so many dots per inch. All other fields stay where and as they are.

    The first directory is written anew behind the data, with the three fields in it. None for data that are
    no EXIF."""
    if data is None:
        data = b"II*\0\x08\0\0\0\0\0\0\0\0\0"
    entries = _entries(data)
    if entries is None:
        return None
    order, fields, follows = entries
    data += bytes(-len(data) % 2)
    values = b"".join(struct.pack(order + "II", *_ratio(value)) for value in dpi)
    place = len(data)
    kept = {tag: entry for tag, entry in fields if tag not in (_X, _Y, _UNIT)}
    kept[_X] = struct.pack(order + "HHII", _X, 5, 1, place)
    kept[_Y] = struct.pack(order + "HHII", _Y, 5, 1, place + 8)
    kept[_UNIT] = struct.pack(order + "HHIHH", _UNIT, 3, 1, _INCH, 0)
    directory = b"".join(kept[tag] for tag in sorted(kept))
    count = struct.pack(order + "H", len(kept))
    head = data[:4] + struct.pack(order + "I", place + 16)
    return head + data[8:] + values + count + directory + follows


def _ratio(value: float) -> tuple[int, int]:
    from fractions import Fraction  # late, as few pictures need it

    ratio = Fraction(value).limit_denominator(10_000)
    return ratio.numerator, ratio.denominator


def _entries(data: bytes) -> tuple[str, list[tuple[int, bytes]], bytes] | None:
    """Byte order, the first directory's entries of 12 bytes by tag, and the 4 bytes that follow them."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return None
    at = struct.unpack(order + "I", data[4:8])[0]
    if not 8 <= at <= len(data) - 2:
        return None
    count = struct.unpack(order + "H", data[at : at + 2])[0]
    end = at + 2 + 12 * count
    if end + 4 > len(data):
        return None
    entries = [data[k : k + 12] for k in range(at + 2, end, 12)]
    return (
        order,
        [(struct.unpack(order + "H", entry[:2])[0], entry) for entry in entries],
        data[end : end + 4],
    )
