"""Writing picture files, for ``decode``: what a format cannot hold is converted and noted, or refused."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin

from calotype.errors import CalotypeError, ImageError

# Formats that keep an EXIF orientation and an ICC profile; for the others the pixels are turned upright and
# converted to sRGB before they are written.
_WITH_EXIF = ("AVIF", "JPEG", "PNG", "TIFF", "WEBP")
_WITH_DPI = ("BMP", "DIB", "JPEG", "PNG")
_WITH_ALPHA = ("AVIF", "DDS", "ICNS", "ICO", "JPEG2000", "PNG", "QOI", "SGI", "TGA", "TIFF", "WEBP")
_WITH_GREY_ALPHA = ("DDS", "JPEG2000", "PNG", "TGA", "TIFF")
# In these, colours are always RGB, with which a profile for grey does not go.
_RGB_ONLY = ("AVIF", "WEBP")
_WITHOUT_GREY = ("QOI",)
# What these write is what they were given. Others may shrink it, as ICO does beyond 256 pixels.
_FAITHFUL = ("AVIF", "BMP", "DIB", "EPS", "GIF", "JPEG", "PDF", "PNG", "PPM", "TGA", "TIFF", "WEBP")
# The widest and the highest picture of those that have a limit which people meet. JPEG's own is 65535: this
# is libjpeg's. PCX gives the length of a row in 16 bits, too, and it is even. For the others there is _check.
_LARGEST = {
    "AVIF": (65536, 65536), "GIF": (65535, 65535), "ICO": (256, 256), "JPEG": (65500, 65500),
    "MPO": (65500, 65500), "PCX": (65534, 65535), "PDF": (65500, 65500), "SGI": (65535, 65535),
    "TGA": (65535, 65535), "WEBP": (16383, 16383),
}  # fmt: skip

# Where a format loses something, it loses little: a decoded picture is not to be compressed a second time.
_OPTIONS: dict[str, dict[str, Any]] = {
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "JPEG": {"quality": 95, "subsampling": "4:4:4"},
    "PNG": {"compress_level": 3},  # within some percent of level 6, in a third of the time
    "WEBP": {"lossless": True, "exact": True},  # exact: under transparent pixels, too
}
# Photographs have few strings that come again, so only runs are looked for: 10 % smaller than level 3 to 5 %
# larger, in 60 % of the time. What has letters and lines would be 15 % larger and more.
_PHOTO_PNG = {"compress_level": 1, "compress_type": zlib.Z_RLE}
_JPEG_XMP = 65_000  # more than this needs extended XMP

Colour = tuple[int, int, int]


def format_of(name: str) -> str:
    """Pillow's name of the format of a file name or suffix. Raises ImageError if Pillow cannot write it."""
    suffix = (Path(name).suffix or "." + name.lstrip(".")).lower()
    # First PNG alone, then the common formats: loading all of Pillow's takes time.
    for load in (None, Image.preinit, Image.init):
        if load is not None:
            load()
        found = Image.EXTENSION.get(suffix)
        if found in Image.SAVE and found != "CALO":
            return found
    raise ImageError(
        f"{name}: Pillow cannot write {suffix or 'files without a suffix'}; use .png, .jpg, .webp or .tif"
    )


def to_file(
    image: Image.Image, form: str, background: Colour | None = None, *, photo: bool = False
) -> tuple[memoryview, list[str]]:
    """The picture as a file of Pillow's format ``form``, and notes on what was left out or converted.

    EXIF, XMP and ICC profile go along where the format holds them. ``background`` is what shows through where
    alpha is below 255; with it the file has no alpha. ``photo``: it is a photograph, not a drawing; pixels
    are the same. Raises ImageError when the picture does not fit.
    """
    _check_limit(form, image.size)
    if image.mode in ("LA", "RGBA") and background is not None:
        image = _flat(image, background)
    elif image.mode in ("LA", "RGBA") and form not in _WITH_ALPHA:
        raise ImageError(
            f"the picture has alpha, which {form} cannot hold; decode to .png, .webp or .avif, or say what "
            "shows through: --background white"
        )
    image, notes = _coloured(image, form)
    if image.mode == "LA" and form not in _WITH_GREY_ALPHA:
        image = _like(image.convert("RGBA"), image)
    if image.mode == "L" and form in _WITHOUT_GREY:
        image = _like(image.convert("RGB"), image)
    if form == "GIF" and not image.getcolors(256):
        notes.append("GIF holds 256 colours; the others are replaced by near ones")
    if form not in _WITH_EXIF:
        image = _upright(image)
        _check_limit(form, image.size)  # once more: it may have turned
    options = _PHOTO_PNG if photo and form == "PNG" else _OPTIONS.get(form, {})
    try:
        return _saved(image, form, {**options, **_metadata(image, form)}), notes
    except ValueError as error:
        if "exif" not in image.info and "xmp" not in image.info:
            raise ImageError(f"{form} cannot hold this picture: {error}") from error
        problem = str(error)
    try:  # metadata that are malformed or too long must not keep anyone from the picture
        image = _upright(image)
        plain = {key: value for key, value in image.info.items() if key == "icc_profile"}
        notes.append(f"EXIF and XMP are left out, {form} cannot hold them: {problem}")
        return _saved(image, form, {**options, **plain}), notes
    except ValueError as error:
        raise ImageError(f"{form} cannot hold this picture: {error}") from error


def _upright(image: Image.Image) -> Image.Image:
    from calotype.codec import metadata  # late: PNG, which is the default, keeps the tag

    return metadata.upright(image)


class _PNG(io.BytesIO):
    """Pillow loads the one format that a name needs, but many where it is told the format."""

    name = "picture.png"


def _saved(image: Image.Image, form: str, fields: dict[str, Any]) -> memoryview:
    """Write with Pillow. Raises ValueError, whatever its writers raise; and ImageError for a changed size."""
    stream = _PNG() if form == "PNG" else io.BytesIO()
    if form == "ICO":  # which holds common sizes unless it is told
        fields = {**fields, "sizes": [image.size]}
    try:
        image.save(stream, None if form == "PNG" else form, **fields)
    except (CalotypeError, MemoryError):
        raise
    except Exception as error:  # a writer that cannot hold a picture may raise anything
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if form not in _FAITHFUL:
        _check(stream, form, image.size)
    return stream.getbuffer()  # no copy: it may be large


def _check_limit(form: str, size: tuple[int, int]) -> None:
    largest = _LARGEST.get(form, size)
    if size[0] > largest[0] or size[1] > largest[1]:
        raise ImageError(
            f"{form} cannot hold {size[0]} x {size[1]} pixels; the largest is {largest[0]} x {largest[1]}"
        )


def _check(stream: io.BytesIO, form: str, size: tuple[int, int]) -> None:
    stream.seek(0)
    try:
        with Image.open(stream) as again:
            found = again.size
    except OSError:  # Pillow writes some formats that it does not read
        return
    if found != size:
        raise ImageError(
            f"{form} cannot hold {size[0]} x {size[1]} pixels; it would be {found[0]} x {found[1]}"
        )


def _flat(image: Image.Image, background: Colour) -> Image.Image:
    """The picture before a background, without alpha."""
    if image.mode == "LA" and len(set(background)) > 1:
        image = _grey_to_srgb(image)[0]
    mode = "L" if image.mode == "LA" and len(set(background)) == 1 else "RGB"
    behind = Image.new(mode, image.size, background[0] if mode == "L" else background)
    return _like(Image.composite(image.convert(mode), behind, image.getchannel("A")), image)


def _coloured(image: Image.Image, form: str) -> tuple[Image.Image, list[str]]:
    """The picture with a profile that goes with it in this format, or in sRGB."""
    profile = image.info.get("icc_profile")
    if not profile:
        return image, []
    from calotype.codec import colour  # late: most pictures are sRGB

    settled = colour.fit(image, profile)
    image = _like(settled.image, image, settled.profile)
    notes = list(settled.notes)
    if settled.profile is None:
        return image, notes
    if image.mode in ("L", "LA") and (form in _RGB_ONLY or form not in _WITH_EXIF):
        image, done = _grey_to_srgb(image)
    elif form not in _WITH_EXIF:
        image, done = _rgb_to_srgb(image)
    else:
        return image, notes
    why = f"{form} has none for grey" if form in _RGB_ONLY else f"{form} holds none"
    what = "converted to sRGB through the ICC profile" if done else "the ICC profile is left out"
    return image, [*notes, f"{what}, as {why}"]


def _grey_to_srgb(image: Image.Image) -> tuple[Image.Image, bool]:
    from calotype.codec import colour

    profile = image.info.get("icc_profile")
    through = colour.through_profile(image, profile) if profile else None
    return _like(through or image, image, None), through is not None


def _rgb_to_srgb(image: Image.Image) -> tuple[Image.Image, bool]:
    from PIL import ImageCms  # late: only such pictures need it

    bands = image.split()
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        srgb = ImageCms.createProfile("sRGB")
        done = ImageCms.profileToProfile(Image.merge("RGB", bands[:3]), given, srgb)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return _like(image.copy(), image, None), False
    assert done is not None
    return _like(
        done if len(bands) == 3 else Image.merge("RGBA", (*done.split(), bands[3])), image, None
    ), True


def _like(image: Image.Image, source: Image.Image, profile: bytes | str | None = "keep") -> Image.Image:
    """The image with the metadata of another; ``profile`` in place of its ICC profile."""
    info = dict(source.info)
    if profile != "keep":
        info.pop("icc_profile", None)
        if profile:
            info["icc_profile"] = profile
    if image is source:
        image = image.copy()
    image.info = info
    return image


def _metadata(image: Image.Image, form: str) -> dict[str, Any]:
    """The options of Pillow's writer that carry the metadata in ``image.info``."""
    names = ("icc_profile", "exif", "xmp") if form in _WITH_EXIF else ()
    options: dict[str, Any] = {name: image.info[name] for name in names if name in image.info}
    if form in _WITH_DPI and "dpi" in image.info:
        options["dpi"] = image.info["dpi"]
    if "xmp" in options:
        from calotype.codec import xmp  # late: few pictures have it
    if "xmp" in options and form == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.text(options.pop("xmp")))
        options["pnginfo"] = text
    if "xmp" in options and form == "TIFF":
        fields = Image.Exif()
        fields.load(options.get("exif", b""))
        fields[0x02BC] = options.pop("xmp")  # a tag of its own
        options["exif"] = fields
    if form == "JPEG" and len(options.get("xmp", b"")) > _JPEG_XMP:
        options["extra"] = xmp.jpeg_segments(options.pop("xmp"))
    return options
