"""Damaged files: an error that names the tile, or the rest of the picture; never a crash or a hang."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calotype.bitstream import Header, parse, write
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.errors import CalotypeError, FormatError


@pytest.fixture(scope="module")
def pixels(scene: Callable[..., np.ndarray]) -> np.ndarray:
    return scene(400, 600)


@pytest.fixture(scope="module")
def data(pack: Pack, pixels: np.ndarray) -> bytes:
    return encode(Picture(pixels), quality=60, pack=pack, tile=256).data  # 2 x 3 tiles


def flipped(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 0x10]) + data[offset + 1 :]


def test_a_flipped_bit_is_an_error_that_names_the_tile(pack: Pack, data: bytes) -> None:
    chunk = parse(data).chunks[4]
    with pytest.raises(FormatError, match="tile"):
        decode(flipped(data, chunk.offset + 20), pack=pack)


def test_keep_going_loses_one_tile(pack: Pack, data: bytes) -> None:
    whole = decode(data, pack=pack).picture.pixels.astype(int)
    chunk = parse(data).chunks[4]
    kept = decode(flipped(data, chunk.offset + 20), pack=pack, damaged="keep")
    assert kept.damaged == (4,)
    assert isinstance(kept.error, FormatError)
    margin = 16 * pack.manifest.synthesis_margin
    good = np.ones((400, 600), bool)  # tile 4 is the middle of the lower row
    good[256 - margin :, 256 - margin : 512 + margin] = False
    assert good.mean() > 0.3
    assert np.array_equal(kept.picture.pixels[good], whole[good])
    hole = kept.picture.pixels[280:380, 300:480].astype(float)
    assert hole.std(axis=(0, 1)).max() < 3  # what latents of zero decode to: all but a flat tone


def test_a_truncated_file_keeps_its_beginning(pack: Pack, data: bytes) -> None:
    cut = data[: parse(data).chunks[3].offset + 10]
    with pytest.raises(FormatError):
        decode(cut, pack=pack)
    kept = decode(cut, pack=pack, damaged="keep")
    assert kept.damaged == (3, 4, 5)
    whole = decode(data, pack=pack).picture.pixels.astype(int)
    rows = 256 - 16 * pack.manifest.synthesis_margin
    assert np.array_equal(kept.picture.pixels[:rows], whole[:rows])


def complaint(pack: Pack, data: bytes) -> str:
    """What decode says about a file; empty when it gives a picture. Other errors fail the test."""
    try:
        decode(data, pack=pack)
    except FormatError as error:
        return str(error)
    return ""


@settings(deadline=None, max_examples=40)
@given(st.binary(max_size=300))
def test_any_payload_with_a_good_checksum(pack: Pack, payload: bytes) -> None:
    """A tile of random bytes: an error, or a picture when the coder's own checks pass by chance."""
    file = write(Header(70, 50, 300, pack.key), [payload])
    message = complaint(pack, file)
    kept = decode(file, pack=pack, damaged="keep")
    assert kept.picture.pixels.shape == (50, 70, 3)
    assert kept.damaged == ((0,) if message else ())
    assert message == "" or "tile 0" in message


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_payload_with_a_good_checksum(pack: Pack, small: bytes, at: int, change: int) -> None:
    """Damage that no checksum sees must not reach memory, nor hang."""
    file = parse(small)
    payload = bytearray(file.tiles[0])
    payload[at % len(payload)] ^= change
    message = complaint(pack, write(file.header, [payload]))
    assert message == "" or "tile 0" in message


@pytest.fixture(scope="module")
def small(pack: Pack, scene: Callable[..., np.ndarray]) -> bytes:
    return encode(Picture(scene(50, 70)), quality=60, pack=pack).data


def test_a_level_beyond_the_pack(pack: Pack) -> None:
    file = write(Header(16, 16, pack.manifest.max_level + 1, pack.key), [b"1234567890123456"])
    with pytest.raises(FormatError, match="level"):
        decode(file, pack=pack)


def test_files_of_the_laboratory_are_refused(pack: Pack) -> None:
    file = write(Header(16, 16, 0, pack.key, lab=True), [b"1234567890123456"])
    with pytest.raises(CalotypeError, match="lab"):
        decode(file, pack=pack)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ihdr(width: int, height: int, colour_type: int = 0) -> bytes:
    return png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))


SIGNATURE = b"\x89PNG\r\n\x1a\n"
START = SIGNATURE + ihdr(70, 50)  # the size of the small picture
ROWS = png_chunk(b"IDAT", zlib.compress(bytes(71 * 50)))
END = png_chunk(b"IEND", b"")


def with_alpha(small: bytes, png: bytes) -> bytes:
    file = parse(small)
    return write(file.header, file.tiles, alpha=png)


def test_a_good_alpha_of_another_writer(pack: Pack, small: bytes) -> None:
    packed = zlib.compress(b"".join(bytes([0]) + bytes([y] * 70) for y in range(50)))
    png = START + png_chunk(b"IDAT", packed[:9]) + png_chunk(b"IDAT", packed[9:]) + END
    alpha = decode(with_alpha(small, png), pack=pack).picture.alpha
    assert alpha is not None
    assert np.array_equal(alpha, np.repeat(np.arange(50, dtype=np.uint8)[:, None], 70, axis=1))


@pytest.mark.parametrize(
    "png",
    [
        START + ihdr(40000, 40000) + ROWS + END,
        START + ihdr(70, 25) + ROWS + END,
        START + ihdr(70, 50, 2) + ROWS + END,
        START + png_chunk(b"tRNS", b"\0\1") + ROWS + END,
        START + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**6))) + ROWS + END,
        START + ROWS + END + b"more",
        START + ROWS,
        START + END,
        START + ROWS[:-6],
        START + png_chunk(b"IDAT", zlib.compress(bytes(1000))) + END,
        START + png_chunk(b"IDAT", b"not zlib") + END,
    ],
    ids=[
        "second IHDR, huge",
        "second IHDR, smaller",
        "second IHDR, RGB",
        "tRNS",
        "zTXt",
        "trailing bytes",
        "no IEND",
        "no IDAT",
        "truncated",
        "too few rows",
        "not zlib",
    ],
)
def test_alpha_that_is_not_what_its_header_says(pack: Pack, small: bytes, png: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        decode(with_alpha(small, png), pack=pack)
    assert caught.value.field == "alpha"
