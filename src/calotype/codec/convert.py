"""Which pictures Calotype takes, and how the ones that are not 8-bit grey or RGB become so.

    ==========================  ==============================================================================
    L, RGB, LA, RGBA            taken as they are; alpha is kept without loss
    1 (black and white)         grey, 0 and 255
    P, PA (palette)             RGB, or RGB and alpha when the palette has transparency
    transparent colour          (PNG, GIF) becomes alpha
    La, RGBa (premultiplied)    divided by alpha, then as LA, RGBA
    YCbCr, HSV                  RGB by Pillow's rule (JFIF full range for YCbCr); an ICC profile stays
    9 to 16 bits per channel    the upper 8 bits of each value, or as Pillow rounds (PPM, AVIF, HEIC); noted
    CMYK with an ICC profile    sRGB through the profile (relative colorimetric, black points matched); noted
    Lab                         sRGB through Lab D50; noted
    MPO, HEIC, Photoshop        the primary or merged picture; noted if there is another
    CMYK without a profile      refused: the colours would be a guess
    32-bit integers, floats,    refused: which value is white, or black, is unknown
      signed values
    raw files of cameras        refused: they hold no finished picture
    several frames or pages     refused, unless one is asked for: a .calo file holds one picture
    ==========================  ==============================================================================

Modes are those of Pillow. What becomes of colours is decided in :mod:`calotype.codec.colour`. *Noted* means
that a sentence is put in ``Picture.notes``: the command line prints it, and the Python functions give it as a
:class:`calotype.errors.ConversionWarning`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from PIL import Image

from calotype.codec import colour, depth, icc, mend, source
from calotype.codec.colour import Meaning
from calotype.codec.depth import Depth
from calotype.errors import CalotypeError, ImageError

DNG_VERSION = 50706  # a tag of TIFF

#: Formats that hold more than one picture and have a first among them, with words for it.
_FIRST = {
    "MPO": "MPO file: only the primary picture is kept",
    "HEIF": "HEIC file of several pictures: only the primary one is kept",
    "PSD": "Photoshop file: only the merged picture is kept, not its layers",
}


class DamageError(ImageError):
    """A picture is damaged or cannot be read."""


@dataclass(frozen=True)
class Plain:
    """A loaded image of mode L, LA, RGB or RGBA, and its ICC profile (None: sRGB)."""

    image: Image.Image
    icc: bytes | None = None
    notes: tuple[str, ...] = ()


@contextmanager
def readable() -> Iterator[None]:
    """Turn whatever Pillow raises while it reads a picture into a DamageError.

    Its readers check little and stumble over the consequences: damaged data may raise anything."""
    try:
        yield
    except (CalotypeError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DamageError(f"the picture is damaged or cannot be read: {reason}") from error


def to_8_bit(image: Image.Image, frame: int | None = None) -> Plain:
    """Load a Pillow image and bring it to mode L, LA, RGB or RGBA by the rules above.

    frame: which one to take of an animation or of several pages, from 0.

    Raises ImageError when the image is damaged or of a kind that is refused.
    """
    if DNG_VERSION in getattr(image, "tag_v2", ()):
        raise ImageError(RAW.format("DNG"))
    notes = _choose(image, frame)
    with readable():
        said, deep, endless = colour.meaning(image), depth.of(image), mend.lacking(image)
        # Asked for now, as what stands above: once it is loaded, the file may be out of reach.
        keyed = "transparency" in image.info and image.mode == "RGB" and deep.bits == 16
        file = source.whole(image) if keyed else None
        image.load()
    notes.extend(endless)
    if deep.bits > 8:
        kept = "each value is rounded" if deep.rounded else "the upper 8 of each value are kept"
        notes.append(f"{deep.bits} bits per channel reduced to 8: {kept}")
    image, converted = _convert(image, deep, file)
    settled = colour.settle(image, Meaning() if converted else said)
    return Plain(settled.image, settled.profile, (*notes, *converted, *settled.notes))


RAW = "a raw file of a camera ({}), which holds no finished picture; develop it to TIFF, PNG or JPEG first"


def _choose(image: Image.Image, frame: int | None) -> list[str]:
    """Go to the frame that is asked for. Gives notes; raises ImageError when there is no one frame."""
    with readable():
        frames = getattr(image, "n_frames", 1)
        if frame is None and image.format in _FIRST:
            return [_FIRST[image.format]] if frames > 1 else []
        if frame is None and frames > 1:
            raise ImageError(
                f"the picture has {frames} frames or pages and a .calo file holds one; say which "
                f"(--frame 0 to {frames - 1}, in Python frame=)"
            )
        if frame is not None and not 0 <= frame < frames:
            which = f"its frames are 0 to {frames - 1}" if frames > 1 else "its only frame is 0"
            raise ImageError(f"the picture has no frame {frame}; {which}")
        if frame is not None and frames > 1:
            image.seek(frame)
    return []


def _convert(image: Image.Image, deep: Depth, file: bytes | None) -> tuple[Image.Image, tuple[str, ...]]:
    """The image in mode L, LA, RGB or RGBA, with a note if its colours are sRGB now."""
    mode = image.mode
    transparent = "transparency" in image.info
    if mode in ("L", "RGB") and transparent:
        return depth.with_transparent_colour(image, deep.bits, file), ()
    if mode == "RGBA" and deep.grey:  # 16-bit grey with alpha, for which Pillow has no mode
        return Image.merge("LA", (image.getchannel("R"), image.getchannel("A"))), ()
    if mode in ("L", "LA", "RGB", "RGBA"):
        return image, ()
    if mode == "1":
        return image.convert("LA" if transparent else "L"), ()
    if mode == "P":
        palette_alpha = image.palette is not None and image.palette.mode == "RGBA"
        return image.convert("RGBA" if transparent or palette_alpha else "RGB"), ()
    if mode in ("PA", "RGBa"):
        return image.convert("RGBA"), ()
    if mode == "La":
        return image.convert("LA"), ()
    if mode in ("RGBX", "YCbCr", "HSV"):
        return image.convert("RGB"), ()
    if mode.startswith("I;16") or (mode == "I" and image.format == "PPM"):  # Pillow scales PPM to 16 bits
        return depth.high_byte(image, deep.bits), ()
    if mode == "LAB":
        return image.convert("RGB"), ("Lab converted to sRGB",)
    if mode == "CMYK":
        return _from_cmyk(image), ("CMYK converted to sRGB through its profile",)
    if mode in ("I", "F"):
        kind = "32-bit integers" if mode == "I" else "floating-point numbers"
        raise ImageError(
            f"the picture holds {kind}, so which value is white is unknown; make it 8 bits first"
        )
    raise ImageError(f"pictures of mode {mode!r} are not supported; convert it to L, LA, RGB or RGBA first")


def _from_cmyk(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or icc.space(profile) != "CMYK":
        raise ImageError(
            "the picture is CMYK without a CMYK profile, so its colours would be a guess; "
            "convert it to RGB first"
        )
    from PIL import ImageCms  # late: only such pictures need it

    try:
        rgb = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (ImageCms.PyCMSError, OSError) as error:
        raise ImageError(
            f"the picture's CMYK profile is unusable ({error}); convert it to RGB first"
        ) from error
    assert rgb is not None
    return rgb
