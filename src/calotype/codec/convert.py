"""Which pictures Calotype takes, and how the ones that are not 8-bit grey or RGB become so.

    ==========================  ==============================================================================
    L, RGB, LA, RGBA            taken as they are; alpha is kept without loss
    1 (black and white)         grey, 0 and 255
    P, PA (palette)             RGB, or RGB and alpha when the palette has transparency
    transparent colour          (PNG, GIF) becomes alpha
    La, RGBa (premultiplied)    divided by alpha, then as LA, RGBA
    YCbCr, HSV                  RGB by Pillow's rule (JFIF full range for YCbCr); an ICC profile stays
    16 bits per channel         the high byte of each value; noted
    PPM of more than 8 bits     scaled to 8 bits and rounded (PGM: to 16 bits, then the high byte); noted
    CMYK with an ICC profile    sRGB through the profile (relative colorimetric, black points matched); noted
    Lab                         sRGB through Lab D50; noted
    MPO (phones, 3-D cameras)   the primary picture; noted
    CMYK without a profile      refused: the colours would be a guess
    32-bit integers, floats     refused: which value is white is unknown
    16-bit RGB with a           refused: Pillow has dropped the bits that tell it from its neighbours
      transparent colour
    several frames or pages     refused: a .calo file holds one picture
    ==========================  ==============================================================================

Modes are those of Pillow. *Noted* means that a sentence is put in ``Picture.notes``: the command line
prints it, and the Python functions give it as a :class:`ConversionWarning`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile

from calotype.errors import CalotypeError, ImageError


class ConversionWarning(UserWarning):
    """A picture was converted in a way that loses something beside the compression, such as 16 bits to 8."""


@dataclass(frozen=True)
class Plain:
    """A loaded image of mode L, LA, RGB or RGBA.

    ``keeps_icc`` says whether the source's ICC profile still holds; when not, ``icc`` does (None: sRGB)."""

    image: Image.Image
    notes: tuple[str, ...] = ()
    keeps_icc: bool = True
    icc: bytes | None = None


@contextmanager
def readable() -> Iterator[None]:
    """Turn whatever Pillow raises while it reads a picture into an ImageError.

    Its readers check little and stumble over the consequences: damaged data may raise anything."""
    try:
        yield
    except (CalotypeError, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"the picture is damaged or cannot be read: {reason}") from error


def to_8_bit(image: Image.Image) -> Plain:
    """Load a Pillow image and bring it to mode L, LA, RGB or RGBA by the rules above.

    Raises ImageError when the image is damaged or of a kind that is refused.
    """
    notes: list[str] = []
    with readable():
        frames = getattr(image, "n_frames", 1)
    if frames > 1:
        if image.format != "MPO":
            raise ImageError(
                f"the picture has {frames} frames or pages and a .calo file holds one; "
                "save the one you want as a picture of its own"
            )
        notes.append("MPO file: only the primary picture is kept")
    raw = _raw_mode(image)
    deep = image.mode.startswith("I;16") or ";16" in raw or _is_16_bit_pgm(image)
    rounded = image.mode == "RGB" and _maxval(image) > 255
    with readable():
        image.load()
    if deep and image.mode == "RGB" and "transparency" in image.info:
        raise ImageError("the picture marks a transparent colour of 16 bits per channel; give it alpha first")
    plain = _convert(image, {"L;2": 85, "L;4": 17}.get(raw, 1))
    if deep:
        notes.append("16 bits per channel reduced to 8: the high byte of each value is kept")
    if rounded:
        notes.append("16 bits per channel reduced to 8: each value is rounded")
    return Plain(plain.image, (*notes, *plain.notes), plain.keeps_icc, plain.icc)


def _tile_options(image: Image.Image) -> tuple[object, ...]:
    # Pillow brings samples to 8 bits while it reads and says so nowhere but in the options of its tiles,
    # which are gone once the image is loaded.
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    options = tiles[0][3] if tiles else ()
    return options if isinstance(options, tuple) else (options,)


def _raw_mode(image: Image.Image) -> str:
    """How the samples lie in the file, in Pillow's words ("L;4", "RGB;16B"); empty when unknown."""
    options = _tile_options(image)
    return options[0] if options and isinstance(options[0], str) else ""


def _maxval(image: Image.Image) -> int:
    """The value of white in a PPM file; 255 when unknown."""
    options = _tile_options(image)
    known = image.format == "PPM" and len(options) == 2 and isinstance(options[1], int)
    return int(str(options[1])) if known else 255


def _is_16_bit_pgm(image: Image.Image) -> bool:
    return image.mode == "I" and image.format == "PPM"  # Pillow scales the values to 0..65535


def _convert(image: Image.Image, key_scale: int) -> Plain:
    mode = image.mode
    transparent = "transparency" in image.info
    if mode in ("L", "RGB") and transparent:
        return Plain(_transparent_colour(image, key_scale))
    if mode in ("L", "LA", "RGB", "RGBA"):
        return Plain(image)
    if mode == "1":
        return Plain(image.convert("LA" if transparent else "L"))
    if mode == "P":
        palette_alpha = image.palette is not None and image.palette.mode == "RGBA"
        return Plain(image.convert("RGBA" if transparent or palette_alpha else "RGB"))
    if mode in ("PA", "RGBa"):
        return Plain(image.convert("RGBA"))
    if mode == "La":
        return Plain(image.convert("LA"))
    if mode in ("RGBX", "YCbCr", "HSV"):
        return Plain(image.convert("RGB"))
    if mode.startswith("I;16") or _is_16_bit_pgm(image):
        return Plain(_high_byte(image))
    if mode == "LAB":
        return Plain(image.convert("RGB"), ("Lab converted to sRGB",), keeps_icc=False)
    if mode == "CMYK":
        return _from_cmyk(image)
    if mode in ("I", "F"):
        kind = "32-bit integers" if mode == "I" else "floating-point numbers"
        raise ImageError(
            f"the picture holds {kind}, so which value is white is unknown; make it 8 bits first"
        )
    raise ImageError(f"pictures of mode {mode!r} are not supported; convert it to L, LA, RGB or RGBA first")


def _transparent_colour(image: Image.Image, key_scale: int) -> Image.Image:
    # Pillow expands grey of 2 and 4 bits to 8, but not the transparent value.
    colour = image.info["transparency"]
    values = colour if isinstance(colour, tuple) else (colour,)
    known = all(isinstance(v, int) and 0 <= v * key_scale <= 255 for v in values)
    if not known or len(values) != len(image.getbands()):
        raise ImageError(
            "the picture marks a transparent colour that 8 bits cannot express; give it alpha first"
        )
    if key_scale == 1:
        return image.convert("LA" if image.mode == "L" else "RGBA")
    clear = values[0] * key_scale
    alpha = image.point([0 if value == clear else 255 for value in range(256)])
    return Image.merge("LA", (image, alpha))


def _high_byte(image: Image.Image) -> Image.Image:
    dtype = {"I": "=i4", "I;16B": ">u2", "I;16N": "=u2"}.get(image.mode, "<u2")
    values = np.frombuffer(image.tobytes(), dtype).reshape(image.height, image.width)
    grey = Image.fromarray((values >> 8).astype(np.uint8))
    if "transparency" not in image.info:
        return grey
    alpha = np.where(values == image.info["transparency"], 0, 255).astype(np.uint8)
    grey = grey.convert("LA")
    grey.putalpha(Image.fromarray(alpha))
    return grey


def _from_cmyk(image: Image.Image) -> Plain:
    icc = image.info.get("icc_profile")
    if not isinstance(icc, bytes) or icc[16:20] != b"CMYK":
        raise ImageError(
            "the picture is CMYK without a CMYK profile, so its colours would be a guess; "
            "convert it to RGB first"
        )
    from PIL import ImageCms  # late: only such pictures need it

    try:
        rgb = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(icc)),
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
    return Plain(rgb, ("CMYK converted to sRGB through its profile",), keeps_icc=False)
