"""How many bits a picture has per channel, which Pillow mostly does not tell, and what it does with them.

Pillow brings most pictures to 8 bits while it reads; 16-bit grey it keeps. Where its words for the layout of
samples (*raw modes*, "RGB;16B") are gone because the image was loaded already, the file is asked.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from calotype.codec import boxes, source
from calotype.errors import ImageError

_PNG = b"\x89PNG\r\n\x1a\n"
_BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF


@dataclass(frozen=True)
class Depth:
    """How deep a picture is.

    bits:    per channel in the file; 8 when unknown
    rounded: Pillow rounds values to 8 bits, where it takes the upper 8 otherwise
    grey:    it is a grey picture that Pillow reads as RGB
    """

    bits: int = 8
    rounded: bool = False
    grey: bool = False


def of(image: Image.Image) -> Depth:
    """The depth of an image; better asked before it is loaded. Raises ImageError for signed samples."""
    if image.format == "PNG":
        return _png(image)
    if image.format in ("TIFF", "MPO") and hasattr(image, "tag_v2"):
        if 2 in _numbers(image.tag_v2.get(_SAMPLE_FORMAT)) and image.mode in ("L", "RGB"):
            raise ImageError("the picture has signed values, so which is black is unknown; make it unsigned")
        return Depth(max(_numbers(image.tag_v2.get(_BITS)), default=8))
    if image.format == "PPM":
        return Depth(_maxval(image).bit_length(), rounded=image.mode == "RGB")
    if image.format in ("AVIF", "HEIF"):
        return Depth(_coded(image), rounded=True)
    if image.format == "JPEG2000":
        head = source.head(image)
        at = head.find(b"\xff\x4f\xff\x51")  # SIZ, with the precision of each component
        bits = (head[at + 42] & 0x7F) + 1 if 0 <= at < len(head) - 42 else 8
        if bits > 8 and image.mode != "I;16":
            raise ImageError(
                f"a JPEG 2000 picture of {bits} bits per channel, of which Pillow turns white into black; "
                "make it PNG or TIFF first"
            )
        return Depth(bits)
    if image.format == "SGI":
        return Depth(16 if source.head(image)[3:4] == b"\x02" else 8)
    return Depth(16 if image.mode.startswith("I;16") or re.search(r";16[BLNR]", _raw_mode(image)) else 8)


def _numbers(value: object) -> tuple[int, ...]:
    values = value if isinstance(value, tuple) else (value,)
    return tuple(v for v in values if isinstance(v, int))


def _png(image: Image.Image) -> Depth:
    head = source.head(image, _PNG)[24:26]
    if len(head) == 2:
        return Depth(head[0], grey=head[1] == 4)
    raw = _raw_mode(image)
    bits = 16 if ";16" in raw or image.mode.startswith("I;16") else {"L;2": 2, "L;4": 4}.get(raw, 8)
    return Depth(bits, grey=raw == "LA;16B")


def _raw_mode(image: Image.Image) -> str:
    """How the samples lie in the file, in Pillow's words; empty when unknown."""
    options = _tile_options(image)
    return options[0] if options and isinstance(options[0], str) else ""


def _tile_options(image: Image.Image) -> tuple[object, ...]:
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else []
    options = tiles[0][3] if tiles else ()
    return options if isinstance(options, tuple) else (options,)


def _maxval(image: Image.Image) -> int:
    """The value of white in a PPM file; when unknown, what Pillow's mode holds."""
    options = _tile_options(image)
    return next((value for value in options if isinstance(value, int)), 65535 if image.mode == "I" else 255)


def _coded(image: Image.Image) -> int:
    """Bits of an AVIF or HEIC picture."""
    if isinstance(known := image.info.get("bit_depth"), int):  # pillow-heif's
        return known
    for kind, payload in boxes.primary(source.head(image)):
        if kind == b"pixi" and len(payload) > 5:
            return payload[5]
        if kind == b"av1C" and len(payload) > 2 and payload[2] & 0x40:
            return 12 if payload[2] & 0x20 else 10
    return 8


def high_byte(image: Image.Image, bits: int) -> Image.Image:
    """8-bit grey from grey of 9 to 16 bits: the upper 8 of its bits, with alpha for a transparent value."""
    bits = bits if image.format == "TIFF" else 16  # the other readers scale to 16 bits
    dtype = {"I": "=i4", "I;16B": ">u2", "I;16N": "=u2"}.get(image.mode, "<u2")
    values = np.frombuffer(image.tobytes(), dtype).reshape(image.height, image.width)
    upper = (values >> (bits - 8)).astype(np.uint8)
    if image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0:  # type: ignore[attr-defined]
        upper = 255 - upper  # white is 0; Pillow sees to this up to 8 bits only
    grey = Image.fromarray(upper)
    if "transparency" not in image.info:
        return grey
    return _with_alpha(grey, values != image.info["transparency"])


def with_transparent_colour(image: Image.Image, bits: int, file: bytes | None) -> Image.Image:
    """A PNG or GIF of mode L or RGB whose ``info`` has a transparent colour, with that colour as alpha.

    bits: of the file: Pillow widens grey of 2 and 4 bits to 8, and narrows 16 to 8, but not the colour.
    file: a 16-bit picture's, whose lower bytes are needed, too. Raises ImageError where it is missing.
    """
    colour = image.info["transparency"]
    key = np.array(colour if isinstance(colour, (tuple, list)) else [colour], dtype=object)
    whole = all(isinstance(v, int) and 0 <= v < 2 ** max(bits, 8) for v in key)
    if not whole or len(key) != len(image.getbands()):
        raise ImageError(
            "the picture marks a transparent colour that it cannot have; give it alpha in its place"
        )
    wanted = key.astype(np.int64)
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    if bits == 16:
        same = (pixels == wanted >> 8) & (_lower_bytes(image, file) == wanted & 255)
    else:
        same = pixels == wanted * {1: 255, 2: 85, 4: 17}.get(bits, 1)
    return _with_alpha(image, ~same.all(axis=2))


def _lower_bytes(image: Image.Image, file: bytes | None) -> NDArray[np.uint8]:
    """What Pillow dropped of a 16-bit RGB PNG: it is read once more, the bytes of each value exchanged."""
    if file is not None:
        with Image.open(io.BytesIO(file)) as twin:
            if twin.size == image.size and isinstance(twin, ImageFile.ImageFile) and len(twin.tile) == 1:
                twin.tile = [twin.tile[0]._replace(args="RGB;16L")]
                return np.asarray(twin)
    raise ImageError(
        "the picture marks a transparent colour of 16 bits per channel and its file is out of reach; "
        "give it alpha first"
    )


def _with_alpha(image: Image.Image, opaque: NDArray[np.bool_]) -> Image.Image:
    alpha = Image.fromarray(np.where(opaque, 255, 0).astype(np.uint8))
    return Image.merge(image.mode + "A", (*image.split(), alpha))
