"""Files that every viewer shows although something is wrong beside their pixels.

A JPEG may lack its end; a PNG may have damaged chunks of text or other things between those that make the
picture. Such files are mended in memory. A file with pixels missing is not: that is damage.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import IO

import numpy as np
from PIL import Image, ImageFile

from calotype.codec import source

#: What is said of a file that stops after its last pixel.
ENDLESS = "the file lacks its end; all pixels are there"
_PNG = b"\x89PNG\r\n\x1a\n"
_NEEDED = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
#: What is kept of the other chunks when it is whole, and the fewest bytes that Pillow takes of it.
_KNOWN = {
    b"tRNS": 1, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"iCCP": 4, b"cICP": 4, b"sBIT": 1, b"pHYs": 9,
    b"eXIf": 8, b"iTXt": 5, b"tEXt": 2, b"zTXt": 3,
}  # fmt: skip
_END = b"\xff\xd9"
# Bytes that a decoder reads as coefficients, if it still waits for any.
_PROBE = bytes(range(1, 240)) * 8


def mended(data: bytes) -> tuple[bytes, str] | None:
    """The bytes of a file that Pillow reads, and a note on what was wrong; None when it cannot be mended."""
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(_PNG):
        return _png(data)
    return None


def lacking(image: Image.Image) -> tuple[str, ...]:
    """A note if the file of a PNG, JPEG or GIF stops before its end; Pillow says nothing if no pixel lacks.

    None is given where Pillow is told to take files that lack pixels: then they may be missing, too."""
    kinds = {"PNG": (_png_ends, _PNG), "GIF": (_gif_ends, b"GIF8")}
    ended, magic = kinds.get(image.format or "", (_jpeg_ends, b"\xff\xd8\xff"))
    if image.format not in (*kinds, "JPEG", "MPO") or ImageFile.LOAD_TRUNCATED_IMAGES:
        return ()
    with source.stream(image, magic) as file:
        return (ENDLESS,) if file is not None and not ended(file) else ()


def _png_ends(file: IO[bytes]) -> bool:
    size, at, kind = file.seek(0, io.SEEK_END), len(_PNG), b""
    while at < size and kind != b"IEND":
        file.seek(at)
        lead = file.read(8)
        kind, at = lead[4:], at + 12 + int.from_bytes(lead[:4], "big")
    return kind == b"IEND" and at <= size


def _jpeg_ends(file: IO[bytes]) -> bool:
    """Whether the end stands somewhere after the start of the first scan; films and the like may follow."""
    file.seek(-2, io.SEEK_END)
    if file.read() == _END:
        return True
    file.seek(0)
    data, at = file.read(), 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":
        at += 1 if data[at + 1 : at + 2] == b"\xff" else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data.find(_END, at) >= 0


def _gif_ends(file: IO[bytes]) -> bool:
    """Whether the trailer stands behind the last block; anything may follow it."""
    file.seek(10)
    _skip_colours(file, file.read(3)[:1])
    while (kind := file.read(1)) in (b"!", b","):
        if kind == b"!":
            file.read(1)
        else:
            _skip_colours(file, file.read(9)[8:])
            file.read(1)
        while size := int.from_bytes(file.read(1), "big"):
            file.read(size)
    return kind == b";"


def _skip_colours(file: IO[bytes], flags: bytes) -> None:
    """The table of colours of a GIF, if its flags say that there is one."""
    if flags and flags[0] & 0x80:
        file.read(3 << (flags[0] & 7) + 1)


def _jpeg(data: bytes) -> tuple[bytes, str] | None:
    """Add the end that is missing, if the pixels are all there: then what stands before it has no effect."""
    closed = data.rstrip(b"\xff") + _END
    pixels, probed = _pixels(closed), _pixels(closed[:-2] + _PROBE + _END)
    if pixels is None or probed is None or not np.array_equal(pixels, probed):
        return None
    return closed, ENDLESS


def _pixels(data: bytes) -> np.ndarray | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    except Exception:  # damaged in another way; Pillow's readers may raise anything
        return None


def _png(data: bytes) -> tuple[bytes, str] | None:
    """Leave out what is damaged beside the chunks that make the picture; add the end if it is missing."""
    kept, lost, at, ended = [_PNG], False, len(_PNG), False
    while at < len(data) and not ended:
        length = struct.unpack(">I", data[at : at + 4].ljust(4, b"\0"))[0]
        kind, end = data[at + 4 : at + 8], at + 12 + length
        whole = end <= len(data) and zlib.crc32(data[at + 4 : end - 4]) == int.from_bytes(
            data[end - 4 : end], "big"
        )
        if kind in _NEEDED and not whole and end <= len(data):
            return None
        if whole and (kind in _NEEDED or (kind in _KNOWN and _readable(kind, data[at + 8 : end - 4]))):
            kept.append(data[at:end])
            ended = kind == b"IEND"
        elif kind.isalpha() and end <= len(data):
            lost = True
        else:  # no chunk: look for the next one
            lost, end = True, _next(data, at + 1)
        at = end
    if not ended:
        kept.append(struct.pack(">I", 0) + b"IEND" + struct.pack(">I", zlib.crc32(b"IEND")))
    return b"".join(kept), "damaged parts beside the pixels are left out" if lost else ENDLESS


def _readable(kind: bytes, payload: bytes) -> bool:
    """Whether Pillow takes a chunk; it refuses the whole picture for one that it does not."""
    if len(payload) < _KNOWN[kind]:
        return False
    if kind not in (b"iCCP", b"zTXt"):
        return kind not in (b"tEXt", b"iTXt") or b"\0" in payload
    _, _, rest = payload.partition(b"\0")
    if rest[:1] != b"\0":
        return False
    try:
        # Enough to see that it inflates; Pillow limits how much.
        return bool(zlib.decompressobj().decompress(rest[1:], 1024)) or not rest[1:]
    except zlib.error:
        return False


def _next(data: bytes, start: int) -> int:
    """Where the next whole chunk begins; the end of the data if there is none."""
    places = (data.find(kind, start + 4) for kind in (*_NEEDED, *_KNOWN))
    for place in sorted(place - 4 for place in places if place >= 0):
        end = place + 12 + int.from_bytes(data[place : place + 4], "big")
        if end <= len(data) and zlib.crc32(data[place + 4 : end - 4]) == int.from_bytes(
            data[end - 4 : end], "big"
        ):
            return place
    return len(data)
