"""What the colours of a picture mean: tags that files carry, and profiles that do not fit their picture.

A .calo file says one thing about colour: an ICC profile, or none for sRGB. Other files have more ways, of
which the first that is there holds: PNG's cICP, an ICC profile, PNG's sRGB, PNG's gAMA and cHRM; in AVIF and
HEIC an ICC profile, then the nclx numbers (ITU-T H.273). What they say is brought to the one way like this.

    ============================  ============================================================================
    sRGB, in whatever words       nothing to do
    another curve only (gAMA)     converted to sRGB by libpng's rule: v^(1 / (2.2 gamma)); noted
    other primaries               carried as an ICC profile, the pixels stay; noted
    PQ, HLG (HDR)                 converted to sRGB, highlights rolled off (:mod:`calotype.codec.hdr`); noted
    a profile for grey on grey,   kept byte for byte
      for RGB on RGB
    a profile for RGB on grey     the grey is converted to sRGB through it; noted if values change
    any other pair, and what is   the profile is left out, as viewers do; noted
      no profile
    ============================  ============================================================================
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from calotype.codec import boxes, cicp, hdr, icc, source
from calotype.codec.icc import SRGB, SRGB_CURVE, Curve, Primaries
from calotype.codec.xmp import GAIN_MAP

#: Curves nearer to sRGB's than this are taken for it (libpng's threshold).
NEAR = 0.05
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Meaning:
    """What a file says of its colours.

    profile:   an ICC profile, which holds when it is there
    primaries: otherwise, the primaries
    curve:     and the curve, None for sRGB's
    gamma:     PNG's gAMA in place of a curve
    hdr:       "PQ" or "HLG" in place of a curve
    narrow:    black is 16 and white 235
    word:      what said so, for people
    notes:     what could not be understood
    """

    profile: bytes | None = None
    primaries: Primaries = SRGB
    curve: Curve | None = None
    gamma: float | None = None
    hdr: str | None = None
    narrow: bool = False
    word: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """A picture whose colours mean what ``profile`` says (sRGB when it is None)."""

    image: Image.Image
    profile: bytes | None
    notes: tuple[str, ...] = ()


def meaning(image: Image.Image) -> Meaning:
    """What the file of an image, loaded or not, says of its colours."""
    info = image.info
    profile = info.get("icc_profile")
    profile = bytes(profile) if isinstance(profile, (bytes, bytearray)) and profile else None
    notes: tuple[str, ...] = ()
    if image.format == "PNG" and (code := _png_code(image)) is not None:
        if not code[2]:
            return _from_code(code[0], code[1], narrow=not code[3], word="the cICP tag")
        notes += (f"the cICP tag says a matrix ({code[2]}), which PNG does not have; the tag is left out",)
    if profile is None and image.format in _UNREAD:
        profile = _UNREAD[image.format](image)
    if image.format in ("AVIF", "HEIF") and b"tmap" in boxes.brands(source.head(image)):
        notes += (GAIN_MAP,)
    if profile is not None:
        return Meaning(profile, notes=notes)
    if image.format in ("AVIF", "HEIF") and (code := _nclx(image)) is not None:
        said = _from_code(code[0], code[1], narrow=False, word="the colour tag")
        return replace(said, notes=said.notes + notes)
    if "srgb" in info or image.format in ("AVIF", "HEIF"):
        return Meaning(notes=notes)
    said = _from_gamma(info.get("gamma"), info.get("chromaticity"))
    return replace(said, notes=notes + said.notes)


def settle(image: Image.Image, said: Meaning) -> Settled:
    """Bring an image of mode L, LA, RGB or RGBA to a profile that fits it, or to sRGB."""
    grey, notes = image.mode in ("L", "LA"), said.notes
    if said.profile is not None:
        fitting = fit(image, said.profile)
        return replace(fitting, notes=fitting.notes + notes)
    if said.narrow:
        image = _mapped(image, np.clip((np.arange(256) - 16) * (255 / 219), 0, 255))
        notes += ("values from 16 to 235 stretched to 0 to 255",)
    if said.hdr is not None:
        image = hdr.to_srgb(image, said.primaries, said.hdr)
        return Settled(
            image, None, (*notes, f"HDR ({said.hdr}) converted to sRGB, its highlights rolled off")
        )
    coloured = not grey and not _near(said.primaries)
    if coloured:
        curve = icc.gamma_curve(1 / said.gamma) if said.gamma else said.curve or SRGB_CURVE
        try:
            profile = icc.matrix_profile(f"Colours of {said.word}", said.primaries, curve)
        except ValueError as error:
            return Settled(image, None, (*notes, f"left out, for there is no sense in {said.word}: {error}"))
        return Settled(image, profile, (*notes, f"kept as an ICC profile: {said.word}"))
    v = np.arange(256) / 255
    if said.gamma is not None:
        if abs(2.2 * said.gamma - 1) < NEAR:
            return Settled(image, None, notes)
        image = _mapped(image, 255 * v ** (1 / (2.2 * said.gamma)))
    elif said.curve is not None:
        image = _mapped(image, 255 * hdr.encode(light(v, said.curve)))
    else:
        return Settled(image, None, notes)
    return Settled(image, None, (*notes, f"converted to sRGB by {said.word}"))


def light(v: np.ndarray, curve: Curve) -> np.ndarray:
    """The light of values from 0 to 1."""
    g, a, b, c, d = curve
    return np.where(v >= d, np.maximum(a * v + b, 0) ** g, c * v)


def fit(image: Image.Image, profile: bytes) -> Settled:
    """An image with a profile that is for its kind of pixels."""
    grey, kind = image.mode in ("L", "LA"), icc.space(profile)
    if kind == ("GRAY" if grey else "RGB"):
        return Settled(image, profile)
    if grey and kind == "RGB":
        through = through_profile(image, profile)
        if through is None:
            return Settled(image, None, ("the ICC profile cannot be used and is left out",))
        changed = np.abs(_first(through).astype(np.int16) - _first(image)).max() > 1
        note = ("grey with an RGB profile converted to sRGB",) if changed else ()
        return Settled(through if changed else image, None, note)
    what = "grey" if grey else "RGB"
    why = f"is for {kind} and the picture is {what}" if kind else "is none, or cut short"
    return Settled(image, None, (f"the ICC profile {why}; it is left out",))


def through_profile(image: Image.Image, profile: bytes) -> Image.Image | None:
    """A grey image brought to the grey of sRGB through a profile for grey or RGB; None if that fails."""
    from PIL import ImageCms  # late: only such pictures need it

    alpha = image.getchannel("A") if image.mode == "LA" else None
    grey = image.getchannel(0)
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "L" if icc.space(profile) == "GRAY" else "RGB"
        ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None]).convert(mode)
        srgb = ImageCms.createProfile("sRGB")
        intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
        done = ImageCms.profileToProfile(ramp, given, srgb, renderingIntent=intent, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    assert done is not None
    grey = grey.point(np.asarray(done)[0, :, 1].tolist())
    return grey if alpha is None else Image.merge("LA", (grey, alpha))


def _first(image: Image.Image) -> np.ndarray:
    return np.asarray(image.getchannel(0))


def _mapped(image: Image.Image, values: np.ndarray) -> Image.Image:
    """The image with each colour value replaced; alpha stays."""
    table = np.rint(np.clip(values, 0, 255)).astype(int).tolist()
    same = list(range(256))
    return image.point([value for band in image.getbands() for value in (same if band == "A" else table)])


def _near(primaries: Primaries) -> bool:
    return all(abs(a - b) < 0.004 for a, b in zip(primaries, SRGB))


def _from_gamma(gamma: object, primaries: object) -> Meaning:
    """PNG's gAMA and cHRM, as Pillow gives them."""
    notes: tuple[str, ...] = ()
    power = float(gamma) if isinstance(gamma, (int, float)) else None
    if power is not None and not 0.01 <= power <= 100:
        power, notes = None, ("the gamma of the file makes no sense and is left out",)
    said = Meaning(gamma=power, word="its gamma", notes=notes)
    if isinstance(primaries, tuple) and len(primaries) == 8:
        word = "the file's chromaticities" if power is None else "gamma and chromaticities of the file"
        if not _near(primaries):
            return replace(said, primaries=primaries, word=word)
    return said


def _from_code(primaries: int, transfer: int, *, narrow: bool, word: str) -> Meaning:
    """The numbers of ITU-T H.273, which AVIF, HEIC and PNG's cICP share."""
    said = f"{word} ({primaries}/{transfer})"
    if primaries not in cicp.PRIMARIES or not cicp.known(transfer):
        return Meaning(narrow=narrow, notes=(f"{said} is not known; the colours are taken for sRGB",))
    return Meaning(
        primaries=cicp.PRIMARIES[primaries],
        curve=cicp.CURVES.get(transfer),
        hdr=cicp.HDR.get(transfer),
        narrow=narrow,
        word=said,
    )


def _png_code(image: Image.Image) -> tuple[int, ...] | None:
    """The four numbers of a PNG's cICP chunk, which Pillow does not keep."""
    with source.stream(image, _PNG) as file:
        if file is None:
            return None
        file.seek(8)
        while len(lead := file.read(8)) == 8 and lead[4:] not in (b"IDAT", b"IEND"):
            length = struct.unpack(">I", lead[:4])[0]
            if lead[4:] == b"cICP" and length == 4:
                return tuple(file.read(4))
            file.seek(length + 4, io.SEEK_CUR)
    return None


def _nclx(image: Image.Image) -> tuple[int, int] | None:
    """Primaries and transfer function of an AVIF or HEIC file."""
    known = image.info.get("nclx_profile")  # pillow-heif's
    if isinstance(known, dict):
        return int(known["color_primaries"]), int(known["transfer_characteristics"])
    for kind, payload in boxes.primary(source.head(image)):
        if kind == b"colr" and payload[:4] == b"nclx" and len(payload) >= 8:
            return struct.unpack(">HH", payload[4:8])
    return None


def _jp2_profile(image: Image.Image) -> bytes | None:
    """The ICC profile of a JPEG 2000 file, which Pillow does not read."""
    data = source.head(image)
    at = data.find(b"colr\x02")
    if at < 4:
        return None
    size = struct.unpack(">I", data[at - 4 : at])[0]
    return data[at + 7 : at - 4 + size] or None


def _bmp_profile(image: Image.Image) -> bytes | None:
    """The ICC profile of a BMP of version 5, which Pillow does not read."""
    with source.stream(image, b"BM") as file:
        head = b"" if file is None else file.read(14 + 124)
        if file is None or len(head) < 138 or head[14] != 124 or head[70:74] != b"DEBM":  # "MBED", backwards
            return None
        start, size = struct.unpack("<II", head[126:134])
        file.seek(14 + start)
        return file.read(min(size, source.HEAD)) or None


_UNREAD = {"BMP": _bmp_profile, "JPEG2000": _jp2_profile}
