"""Makes the hostile files in this folder, and ``index.json``: what each must be refused with.

Run ``python tests/data/hostile/make.py`` after a change. The bytes are put together here by hand from
docs/FORMAT.md, without our own writer, so that a mistake in the writer cannot hide one in the reader.
"""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

HERE = Path(__file__).parent
TILE, ALPHA, LATENTS, ICC, EXIF, XMP = 0x01, 0x02, 0x03, 0x81, 0x82, 0x83


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def header(
    width: bytes = varint(48),
    height: bytes = varint(32),
    *,
    magic: bytes = b"\xcaLO",
    version: int = 1,
    flags: int = 0x40,
) -> bytes:
    return magic + bytes([version, flags]) + b"PACK" + struct.pack("<H", 512) + width + height


def chunk(head: bytes, type_: int, payload: bytes, index: int = 0) -> bytes:
    start = bytes([type_]) + varint(len(payload))
    crc = zlib.crc32(head + start + struct.pack("<I", index) + payload)
    return start + payload + struct.pack("<I", crc)


def cases() -> dict[str, tuple[bytes, str, str]]:
    """File name -> (bytes, exception, part of its message)."""
    head = header()
    tile = chunk(head, TILE, b"payload")
    good = head + tile
    small_tiles = header(flags=0x00)  # 64-pixel tiles
    two = header(varint(128), flags=0x00)
    two_tiles = [chunk(two, TILE, b"left", 0), chunk(two, TILE, b"right", 1)]
    lab = header(flags=0x42)

    def with_chunk(type_: int, payload: bytes) -> bytes:
        return head + chunk(head, type_, payload) + tile

    def sized(width: bytes, height: bytes, flags: int = 0x40) -> bytes:
        own = header(width, height, flags=flags)
        return own + chunk(own, TILE, b"payload")

    deflated = zlib.compress(b"text")
    icc, exif = chunk(head, ICC, deflated), chunk(head, EXIF, deflated)
    return {
        "empty": (b"", "FormatError", "magic at offset 0: not a .calo file: the file is empty"),
        "not-calo": (b"\x89PNG\r\n\x1a\n" + bytes(32), "FormatError", "not a .calo file"),
        "magic-only": (good[:3], "FormatError", "version at offset 3: the file ends here"),
        "wrong-version": (header(version=2) + tile, "FormatError", "version at offset 3: 2, and this reader"),
        "reserved-flag-2": (header(flags=0x44) + tile, "FormatError", "flags at offset 4: reserved bits"),
        "reserved-flag-3": (header(flags=0x48) + tile, "FormatError", "flags at offset 4: reserved bits"),
        "header-cut": (good[:12], "FormatError", "height at offset 12: the file ends here"),
        "no-chunks": (head, "FormatError", "tile at offset 13: the file ends after 0 of 1"),
        "tile-cut": (good[:-1], "FormatError", "length at offset 14: tile chunk needs 11 more bytes"),
        "width-zero": (sized(b"\0", varint(32)), "FormatError", "width at offset 11: out of range"),
        "height-zero": (sized(varint(48), b"\0"), "FormatError", "height at offset 12: out of range"),
        "width-long-form": (sized(b"\xb0\x00", varint(32)), "FormatError", "not in its shortest form"),
        "width-endless": (sized(b"\xff" * 40, varint(32)), "FormatError", "width at offset 11: out of range"),
        "width-2-to-the-31": (sized(varint(2**31), varint(1)), "FormatError", "width at offset 11: out of"),
        "bomb-2-to-the-31-pixels": (sized(varint(65536), varint(32768)), "LimitError", "max_pixels"),
        "bomb-largest": (sized(varint(2**31 - 1), varint(2**31 - 1)), "LimitError", "max_pixels"),
        "bomb-one-tile": (sized(varint(16384), varint(16384), 0x80), "LimitError", "max_tile_pixels"),
        "bomb-tiles": (sized(varint(2**15), varint(2**15), 0x00), "LimitError", "max_tiles"),
        "bomb-metadata": (with_chunk(ICC, zlib.compress(bytes(2**24 + 1), 9)), "LimitError", "max_metadata"),
        "length-past-end": (
            head + bytes([TILE]) + varint(2**31 - 1) + b"payload",
            "FormatError",
            "length at offset 14: tile chunk needs 2147483651 more bytes, and 7 are left",
        ),
        "length-too-large": (
            head + bytes([TILE]) + varint(2**32) + b"payload",
            "FormatError",
            "length at offset 14: out of range",
        ),
        "length-long-form": (head + bytes([TILE]) + b"\x87\x00payload0000", "FormatError", "shortest form"),
        "header-damaged": (header(varint(49)) + tile, "FormatError", "tile 0 or the header is damaged"),
        "crc-wrong": (
            good[:-1] + bytes([good[-1] ^ 1]),
            "FormatError",
            "crc at offset 22: checksum",
        ),
        "trailing-byte": (good + b"\0", "FormatError", "at offset 26: 1 bytes follow the last tile"),
        "file-twice": (good + good, "FormatError", "at offset 26: 26 bytes follow the last tile"),
        "tile-missing": (two + two_tiles[0], "FormatError", "the file ends after 1 of 2"),
        "tiles-exchanged": (two + two_tiles[1] + two_tiles[0], "FormatError", "checksum mismatch: tile 0"),
        "tile-repeated": (two + two_tiles[0] * 2, "FormatError", "checksum mismatch: tile 1 is damaged"),
        "tile-of-another-file": (small_tiles + tile, "FormatError", "checksum mismatch: tile 0"),
        "required-unknown": (with_chunk(0x06, b"new"), "FormatError", "required chunk of unknown type 0x06"),
        "type-zero": (with_chunk(0x00, b""), "FormatError", "required chunk of unknown type 0x00"),
        "icc-twice": (head + icc + icc + tile, "FormatError", "second icc chunk"),
        "icc-after-exif": (head + exif + icc + tile, "FormatError", "icc chunk after exif"),
        "icc-between-tiles": (
            two + two_tiles[0] + chunk(two, ICC, deflated) + two_tiles[1],
            "FormatError",
            "icc chunk (0x81) after the first tile",
        ),
        "optional-unknown-between-tiles": (
            two + two_tiles[0] + chunk(two, 0xC0, b"") + two_tiles[1],
            "FormatError",
            "unknown chunk (0xc0) after the first tile",
        ),
        "65-chunks-before-the-tile": (
            head + chunk(head, 0xC0, b"") * 65 + tile,
            "FormatError",
            "more than 64 chunks",
        ),
        "icc-not-deflated": (with_chunk(ICC, b"plain text"), "FormatError", "icc at offset 15: not a zlib"),
        "icc-no-payload": (with_chunk(ICC, b""), "FormatError", "icc at offset 15: bad zlib stream: it ends"),
        "exif-cut": (with_chunk(EXIF, deflated[:-1]), "FormatError", "bad zlib stream: it ends early"),
        "exif-trailing": (with_chunk(EXIF, deflated + b"\0"), "FormatError", "bytes follow its end"),
        "xmp-empty": (with_chunk(XMP, zlib.compress(b"")), "FormatError", "xmp at offset 15: empty"),
        "alpha-empty": (with_chunk(ALPHA, b""), "FormatError", "alpha at offset 15: not parts"),
        "alpha-short": (with_chunk(ALPHA, b"\x05four"), "FormatError", "alpha at offset 15: not parts"),
        "alpha-long": (with_chunk(ALPHA, b"\x02four"), "FormatError", "alpha at offset 15: 2 bytes follow"),
        "alpha-endless": (with_chunk(ALPHA, b"\xff" * 9), "FormatError", "alpha at offset 15: not parts"),
        "alpha-padded": (with_chunk(ALPHA, b"\x82\x00ab"), "FormatError", "alpha at offset 15: not parts"),
        "latents-in-a-picture": (with_chunk(LATENTS, b"x"), "FormatError", "latents chunk, in a file of"),
        "tile-in-a-lab-file": (lab + chunk(lab, TILE, b"x"), "FormatError", "tile chunk, in a file of"),
        "latents-twice": (
            lab + chunk(lab, LATENTS, b"x") + chunk(lab, LATENTS, b"x", 1),
            "FormatError",
            "follow the last latents",
        ),
    }


def main() -> None:
    for old in HERE.glob("*.calo"):
        old.unlink()
    index = {}
    for name, (data, exception, message) in cases().items():
        (HERE / f"{name}.calo").write_bytes(data)
        index[f"{name}.calo"] = {"exception": exception, "message": message}
    (HERE / "index.json").write_text(json.dumps(index, indent=2) + "\n")


if __name__ == "__main__":
    main()
