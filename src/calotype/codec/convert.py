"""Which pictures Calotype takes, and how the ones that are not 8-bit grey or RGB become so.

    ==========================  ==============================================================================
    L, RGB, LA, RGBA            taken as they are; alpha is kept without loss
    1 (black and white)         grey, 0 and 255
    P, PA (palette)             RGB, or RGB and alpha when the palette has transparency
    transparent colour          (PNG, GIF) becomes alpha
    La, RGBa (premultiplied)    divided by alpha, then as LA, RGBA
    YCbCr, HSV                  RGB by Pillow's rule (JFIF full range for YCbCr); an ICC profile stays
    16 bits per channel         the high byte of each value; noted
    CMYK with an ICC profile    sRGB through the profile (relative colorimetric, black points matched); noted
    Lab                         sRGB through Lab D50; noted
    MPO (phones, 3-D cameras)   the primary picture; noted
    CMYK without a profile      refused: the colours would be a guess
    32-bit integers, floats     refused: which value is white is unknown
    several frames or pages     refused: a .calo file holds one picture
    ==========================  ==============================================================================

Modes are those of Pillow. *Noted* means that a sentence is put in ``Picture.notes``: the command line
prints it, and the Python functions give it as a :class:`ConversionWarning`.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile

from calotype.errors import ImageError

# What Pillow's readers raise for damaged data; some check little and stumble over the consequences.
_UNREADABLE = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
)


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


def to_8_bit(image: Image.Image) -> Plain:
    """Load a Pillow image and bring it to mode L, LA, RGB or RGBA by the rules above.

    Raises ImageError when the image is damaged or of a kind that is refused.
    """
    notes: list[str] = []
    if getattr(image, "n_frames", 1) > 1:
        if image.format != "MPO":
            raise ImageError(
                f"the picture has {image.n_frames} frames or pages and a .calo file holds one; "  # type: ignore[attr-defined]
                "save the one you want as a picture of its own"
            )
        notes.append("MPO file: only the primary picture is kept")
    deep = _is_16_bit(image)
    try:
        image.load()
    except _UNREADABLE as error:
        raise ImageError(f"the picture is damaged or cannot be read: {error}") from error
    plain = _convert(image)
    if deep:
        notes.append("16 bits per channel reduced to 8: the high byte of each value is kept")
    return Plain(plain.image, (*notes, *plain.notes), plain.keeps_icc, plain.icc)


def _is_16_bit(image: Image.Image) -> bool:
    # Pillow reduces 16-bit RGB to 8 bits while it reads and says so nowhere but in the raw mode of its tiles.
    if image.mode.startswith("I;16"):
        return True
    tiles = getattr(image, "tile", None) if isinstance(image, ImageFile.ImageFile) else None
    return any(";16" in str(tile[3]) for tile in tiles or ())


def _convert(image: Image.Image) -> Plain:
    mode = image.mode
    transparent = "transparency" in image.info
    if mode in ("L", "RGB") and transparent:
        return Plain(_transparent_colour(image))
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
    if mode.startswith("I;16"):
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


def _transparent_colour(image: Image.Image) -> Image.Image:
    colour = image.info["transparency"]
    values = colour if isinstance(colour, tuple) else (colour,)
    if not all(isinstance(v, int) and 0 <= v <= 255 for v in values) or len(values) != len(image.getbands()):
        raise ImageError(
            "the picture marks a transparent colour that 8 bits cannot express; give it alpha first"
        )
    return image.convert("LA" if image.mode == "L" else "RGBA")


def _high_byte(image: Image.Image) -> Image.Image:
    dtype = ">u2" if image.mode == "I;16B" else "=u2" if image.mode == "I;16N" else "<u2"
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
