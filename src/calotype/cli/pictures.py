"""Ordinary picture files: reading them for ``encode`` and ``compare``, writing them for ``decode``."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from calotype.cli.jobs import STANDARD
from calotype.codec import metadata
from calotype.codec.image import Picture
from calotype.errors import ImageError, LimitError

# Formats that keep an EXIF orientation; for the others the pixels are turned upright before they are written.
_WITH_EXIF = ("AVIF", "JPEG", "PNG", "TIFF", "WEBP")

# Where a format loses something, it loses little: a decoded picture is not to be compressed a second time.
_OPTIONS: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "PNG": {"compress_level": 3},  # within some percent of level 6, in a third of the time
    "WEBP": {"lossless": True},
}


def read_bytes(source: str) -> bytes:
    """The bytes of a file, or of standard input. Raises OSError."""
    return sys.stdin.buffer.read() if source == STANDARD else Path(source).read_bytes()


@contextmanager
def open_image(source: str) -> Iterator[Image.Image]:
    """Open a picture file, or standard input, with Pillow. Raises ImageError, LimitError and OSError."""
    with io.BytesIO(read_bytes(source)) if source == STANDARD else Path(source).open("rb") as stream:
        if not stream.read(1):
            raise ImageError("the file is empty")
        try:
            image = Image.open(stream)
        except UnidentifiedImageError as error:
            raise ImageError("not a picture, or of a format that Pillow does not read") from error
        except Image.DecompressionBombError as error:
            raise LimitError(f"{error} --max-pixels allows more") from error
        except (OSError, MemoryError):
            raise
        except Exception as error:  # Pillow's readers may raise anything for damaged data
            raise ImageError(f"the picture is damaged: {str(error) or type(error).__name__}") from error
        with image:
            yield image


def read_picture(source: str) -> Picture:
    """Read a picture file, or standard input. Raises ImageError, LimitError and OSError."""
    with open_image(source) as image:
        return Picture.from_pil(image)


def format_of(name: str) -> str:
    """Pillow's name of the format of a file name or suffix. Raises ImageError if Pillow cannot write it."""
    suffix = (Path(name).suffix or "." + name.lstrip(".")).lower()
    for load in (Image.preinit, Image.init):  # first the common formats; loading all of Pillow's takes time
        load()
        found = Image.EXTENSION.get(suffix)
        if found in Image.SAVE and found != "CALO":
            return found
    raise ImageError(
        f"{name}: Pillow cannot write {suffix or 'files without a suffix'}; use .png, .jpg, .webp or .tif"
    )


def to_file(image: Image.Image, form: str) -> tuple[memoryview, list[str]]:
    """The picture as a file of Pillow's format ``form``, and notes on what was left out of it.

    EXIF, XMP and ICC profile go along where the format holds them. Raises ImageError when the picture
    itself does not fit.
    """
    if form == "JPEG" and image.mode in ("LA", "RGBA"):
        raise ImageError("the picture has alpha, which JPEG cannot hold; decode to .png, .webp or .avif")
    if form not in _WITH_EXIF:
        image = metadata.upright(image)
    try:
        return _saved(image, form, _metadata(image, form)), []
    except _UNFIT as error:
        if "exif" not in image.info and "xmp" not in image.info:
            raise ImageError(f"{form} cannot hold this picture: {error}") from error
        problem = str(error)
    try:  # metadata that are malformed or too long must not keep anyone from the picture
        image = metadata.upright(image)
        plain = {key: value for key, value in image.info.items() if key == "icc_profile"}
        return _saved(image, form, plain), [f"EXIF and XMP are left out, {form} cannot hold them: {problem}"]
    except _UNFIT as error:
        raise ImageError(f"{form} cannot hold this picture: {error}") from error


# What Pillow's writers raise for pictures and metadata that they cannot write.
_UNFIT = (OSError, ValueError, KeyError, TypeError, SyntaxError, struct.error)


def _saved(image: Image.Image, form: str, fields: dict[str, Any]) -> memoryview:
    stream = io.BytesIO()
    image.save(stream, form, **_OPTIONS.get(form, {}), **fields)
    return stream.getbuffer()  # no copy: it may be large


def _metadata(image: Image.Image, form: str) -> dict[str, Any]:
    """The options of Pillow's writer that carry the metadata in ``image.info``."""
    if form not in _WITH_EXIF:
        return {}
    names = ("icc_profile", "exif", "xmp")
    options: dict[str, Any] = {name: image.info[name] for name in names if name in image.info}
    if "xmp" in options and form == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", options.pop("xmp").decode("utf-8"))
        options["pnginfo"] = text
    if "xmp" in options and form == "TIFF":
        fields = Image.Exif()
        fields.load(options.get("exif", b""))
        fields[0x02BC] = options.pop("xmp")  # a tag of its own
        options["exif"] = fields
    return options
