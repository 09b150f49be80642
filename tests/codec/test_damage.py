"""Damaged files: an error that names the tile, or the rest of the picture; never a crash or a hang."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.bitstream import Header, parse, write
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.coder import encode_pixels
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
    # Tile 4 is the middle of the lower row. It is seen by two latents at its border, and along other borders
    # by those near the end.
    near, far = (16 * (pack.manifest.synthesis_margin + latents) for latents in (2, 10))
    good = np.ones((400, 600), bool)
    good[256 - near :, 256 - near : 512 + near] = False
    good[256 - near : 256 + near, 256 - far : 512 + far] = False
    for border in (256, 512):
        good[256 - far :, border - near : border + near] = False
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
    rows = 256 - 16 * (pack.manifest.synthesis_margin + 10)
    assert rows > 0
    assert np.array_equal(kept.picture.pixels[:rows], whole[:rows])


def complaint(pack: Pack, data: bytes) -> str:
    """What decode says about a file; empty when it gives a picture. Other errors fail the test."""
    try:
        decode(data, pack=pack)
    except FormatError as error:
        return str(error)
    return ""


@given(st.binary(max_size=300))
def test_any_payload_with_a_good_checksum(pack: Pack, payload: bytes) -> None:
    """A tile of random bytes: an error, or a picture when the coder's own checks pass by chance."""
    file = write(Header(70, 50, 300, pack.key), [payload])
    message = complaint(pack, file)
    kept = decode(file, pack=pack, damaged="keep")
    assert kept.picture.pixels.shape == (50, 70, 3)
    assert kept.damaged == ((0,) if message else ())
    assert message == "" or "tile 0" in message


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


def with_alpha(small: bytes, alpha: bytes) -> bytes:
    file = parse(small)
    return write(file.header, file.tiles, alpha=[alpha])


def test_a_good_alpha_of_another_writer(pack: Pack, small: bytes) -> None:
    """Another way to code it than ours: first bytes are the writer's choice."""
    plane = np.repeat(np.arange(50, dtype=np.uint8)[:, None], 70, axis=1)
    for first in (0, 4):
        alpha = decode(with_alpha(small, encode_pixels(plane[..., None], like=bytes([first]))[0]), pack=pack)
        assert np.array_equal(alpha.picture.alpha, plane)


@pytest.mark.parametrize(
    "alpha",
    [
        b"",
        b"\x01abcdefgh",
        encode_pixels(np.arange(1750, dtype=np.uint8).reshape(25, 70, 1) % 251)[0],
        bytes(99),
    ],
)
def test_alpha_that_is_damaged(pack: Pack, small: bytes, alpha: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        decode(with_alpha(small, alpha), pack=pack)
    assert caught.value.field == "alpha"
