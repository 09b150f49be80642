"""The coder of pixels: what goes in comes out, the bytes stay as they are, damage is one error."""

from __future__ import annotations

import contextlib
import hashlib
import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from calotype.coder import decode_pixels, encode_pixels, pixel_bits
from calotype.errors import FormatError

Pixels = NDArray[np.uint8]


def drawing(height: int, width: int, channels: int, seed: int, noise: int = 0) -> Pixels:
    """Flat areas, a grid of one-pixel lines, a ramp, and noise of so many values."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    flat = (rows // 9 * 7 + columns // 13 * 3) % 5 * 40
    picture = np.where(
        (rows % 8 == 0) | (columns % 11 == 3), 255 - flat, flat + columns % 64 * (rows > height // 2)
    )
    values = (
        picture[..., None]
        + np.arange(channels) * 17
        + random.integers(0, noise + 1, (height, width, channels))
    )
    return (values % 256).astype(np.uint8)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 4),
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 9, 255]),
)
def test_comes_back(height: int, width: int, channels: int, seed: int, noise: int) -> None:
    pixels = drawing(height, width, channels, seed, noise)
    data, coded = encode_pixels(pixels)
    assert np.array_equal(coded, pixels)
    assert np.array_equal(decode_pixels(data, height, width, channels), pixels)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 4), st.integers(0, 2**32), st.integers(2, 32))
def test_errors_are_bounded(height: int, width: int, channels: int, seed: int, step: int) -> None:
    pixels = drawing(height, width, channels, seed, 255)
    data, coded = encode_pixels(pixels, step)
    assert np.abs(coded.astype(int) - pixels).max() <= step // 2
    assert np.array_equal(decode_pixels(data, height, width, channels), coded)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (1, 300), (300, 1), (2, 2), (255, 257), (63, 65), (1, 70000)]
)
def test_every_shape(height: int, width: int) -> None:
    for channels in (1, 3):
        pixels = drawing(height, width, channels, 5, 3)
        assert np.array_equal(decode_pixels(encode_pixels(pixels)[0], height, width, channels), pixels)


@pytest.mark.parametrize("colour", [0, 1, 2])
@pytest.mark.parametrize("screen", [0, 4])
def test_every_way(colour: int, screen: int) -> None:
    """``like`` takes over the first byte, so each way can be asked for."""
    pixels = drawing(40, 50, 3, 2, 30)
    pixels[:2] = (0, 255, 0), *[(255, 0, 255)] * 49  # the ends of every difference
    data, _ = encode_pixels(pixels, like=bytes([colour | screen]))
    assert data[0] == colour | screen
    assert np.array_equal(decode_pixels(data, 40, 50, 3), pixels)


def test_sizes() -> None:
    """What it is for: a checkerboard in a few bytes, flat areas in fewer, drawings far below deflate's."""
    checker = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None]
    assert len(encode_pixels(checker)[0]) < 40
    assert len(encode_pixels(np.full((600, 800, 3), 255, np.uint8))[0]) < 30
    picture = drawing(200, 300, 3, 1)
    assert len(encode_pixels(picture)[0]) < len(zlib.compress(picture.tobytes(), 9)) * 2 / 3


@pytest.mark.parametrize("seed", range(6))
def test_damage(seed: int) -> None:
    """Any damage gives FormatError or, if it happens to fit, other pixels; never anything else."""
    random = np.random.default_rng(seed)
    pixels = drawing(37, 41, 3, seed, seed * 5)
    good, _ = encode_pixels(pixels)
    refused = 0
    for _ in range(60):
        data = bytearray(good)
        data[random.integers(len(data))] ^= 1 << random.integers(8)
        try:
            decode_pixels(data, 37, 41, 3)
        except FormatError:
            refused += 1
    assert refused >= 58
    for cut in range(0, len(good), 7):
        with pytest.raises(FormatError, match="damaged payload"):
            decode_pixels(good[:cut], 37, 41, 3)
    with pytest.raises(FormatError, match="does not end"):
        decode_pixels(good + b"\0", 37, 41, 3)
    with pytest.raises(FormatError, match="no such colours"):
        decode_pixels(b"\x0b" + good[1:], 37, 41, 3)


def test_refused() -> None:
    with pytest.raises(ValueError, match="uint8"):
        encode_pixels(np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match="channels"):
        encode_pixels(np.zeros((3, 3, 5), np.uint8))
    with pytest.raises(ValueError, match="step"):
        encode_pixels(np.zeros((3, 3, 1), np.uint8), 33)
    with pytest.raises(ValueError, match="must be numbers"):
        encode_pixels(np.zeros((3, 3, 1), np.uint8), worth=math.nan)
    with pytest.raises(ValueError, match="must be numbers"):
        encode_pixels(np.zeros((3, 3, 1), np.uint8), most=math.nan)
    with pytest.raises(ValueError, match="cell"):
        pixel_bits(encode_pixels(np.zeros((3, 3, 1), np.uint8))[0], 3, 3, 1, 0)


@pytest.mark.parametrize("worth", [1000, 2000, 20000, math.inf])
def test_the_greatest_worth(worth: float) -> None:
    """Errors that nothing is worth are not made, in flat areas and in any others."""
    pixels = drawing(40, 60, 3, 1, 60)
    for like in (b"\4", b"\5", b"\7"):
        data, coded = encode_pixels(pixels, like=like, worth=worth)
        assert np.array_equal(coded, pixels)
        assert np.array_equal(decode_pixels(data, 40, 60, 3), pixels)


def letters(height: int, width: int, seed: int) -> np.ndarray:
    """White with marks in many shades, as smooth letters are."""
    random = np.random.default_rng(seed)
    page = np.full((height, width, 3), 255, np.uint8)
    for top in range(3, height - 9, 14):
        for left in range(3, width - 7, 9):
            page[top : top + 9, left : left + 5] = random.integers(0, 256, (9, 5, 1))
    return page


@pytest.mark.parametrize("channels", [1, 3])
def test_near_pixels_are_what_errors_are_worth(channels: int) -> None:
    """The more an error is worth the more is spent; bits and errors together are least for their worth."""
    pixels = np.ascontiguousarray(letters(128, 160, 4)[..., :channels])
    flat = pixels[..., 0] == 255
    exact, _ = encode_pixels(pixels)
    found = []
    for worth in (0.002, 0.02, 0.2):
        data, coded = encode_pixels(pixels, like=exact, worth=worth)
        assert np.array_equal(decode_pixels(data, 128, 160, channels), coded)
        assert (coded[1:-1, 1:-1][flat[1:-1, 1:-1]] == 255).mean() > 0.99
        found.append((8 * len(data), int(np.square(coded.astype(int) - pixels).sum())))
    bits, errors = zip(*found)
    assert list(bits) == sorted(bits)
    assert list(errors) == sorted(errors, reverse=True)
    assert 8 * len(exact) > bits[-1]
    for k, worth in enumerate((0.002, 0.02, 0.2)):
        costs = [b + worth * e for b, e in found]
        assert costs[k] < 1.1 * min(costs)
        assert costs[k] < 8 * len(exact) * (0.95 if worth < 0.01 else 1.02)


def test_what_costs_too_much_is_given_up() -> None:
    pixels = np.ascontiguousarray(letters(128, 160, 4))
    exact, _ = encode_pixels(pixels)
    for worth in (0.0, 0.02):
        size = len(encode_pixels(pixels, like=exact, worth=worth)[0])
        data, _ = encode_pixels(pixels, like=exact, worth=worth, most=2 * size)
        assert data == b""
        data, _ = encode_pixels(pixels, like=exact, worth=worth, most=100 * size)
        assert len(data) == size
    assert encode_pixels(pixels, most=len(exact))[0] == b""
    data, coded = encode_pixels(pixels, most=16 * len(exact))
    assert np.array_equal(coded, pixels)
    assert len(data) < 1.04 * len(exact)


GOLDEN = {  # the first byte of the stream, and a hash of it and of the pixels
    (1, 1, 1, 0, 1): (4, "8a88aeb181f481b7"),
    (1, 1, 1, 0, 4): (24, "1d53534f198fe721"),
    (40, 50, 3, 0, 1): (5, "15647794b1d66ab6"),
    (40, 50, 3, 0, 4): (29, "127b143b9676835b"),
    (33, 70, 3, 40, 1): (2, "2be2a29491e4ec07"),
    (33, 70, 3, 40, 4): (25, "237981532bcdba54"),
    (64, 31, 1, 200, 1): (0, "5d8a501ac89c9a72"),
    (64, 31, 1, 200, 4): (24, "98e2554825761c8e"),
    (20, 21, 4, 5, 1): (5, "04126a622cb6a51a"),
    (20, 21, 4, 5, 4): (29, "f74ae5be72072606"),
    (90, 64, 2, 1, 1): (4, "47180c07ed656aee"),
    (90, 64, 2, 1, 4): (28, "a717bc73c2bdda98"),
    (40, 50, 3, 0, 0): (7, "2b7b54ea6c725779"),
    (64, 31, 1, 200, 0): (3, "e22316ddaf7695ac"),
    (20, 21, 4, 0, 0): (7, "f1b9bb40f44818fd"),
}


@pytest.mark.parametrize(("height", "width", "channels", "noise", "step"), GOLDEN)
def test_golden(height: int, width: int, channels: int, noise: int, step: int) -> None:
    """The same bytes on every machine; docs/FORMAT.md says what they mean."""
    first, known = GOLDEN[height, width, channels, noise, step]
    data, coded = encode_pixels(drawing(height, width, channels, 7, noise), step or 1, bytes([first]))
    assert data[0] == first
    assert sha(data + coded.tobytes()) == known


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 17, 256, 257])
def test_few_colours(channels: int, count: int) -> None:
    """Up to 256 may be a palette, in any order; exactly, and near them as well."""
    random = np.random.default_rng(count + channels)
    colours = random.integers(0, 256, (257, 4), np.uint8)
    colours[:256, 0] = random.permutation(256)
    numbers = np.concatenate([np.arange(count), random.integers(0, count, 3000 - count)])
    pixels = np.ascontiguousarray(colours[numbers, :channels].reshape(60, 50, channels))
    few = count <= 256 or channels == 1
    data, coded = encode_pixels(pixels, like=b"\7")
    assert (data[0] & 3 == 3) == few
    assert np.array_equal(coded, pixels)
    assert np.array_equal(decode_pixels(data, 60, 50, channels), pixels)
    near, coded = encode_pixels(pixels, like=b"\7", worth=0.001)
    assert np.array_equal(decode_pixels(near, 60, 50, channels), coded)
    assert len(near) < 1.03 * len(data)
    if few:
        assert {*map(tuple, coded.reshape(-1, channels))} <= {*map(tuple, pixels.reshape(-1, channels))}


@pytest.mark.parametrize("count", [1, 5, 200, 256])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_damaged_palettes(count: int, channels: int) -> None:
    """Damage gives FormatError or other pixels, of no more than 256 colours; most is in the palette."""
    random = np.random.default_rng(count)
    colours = random.integers(0, 256, (count, channels), np.uint8)
    pixels = colours[random.integers(0, count, (40, 30))]
    good, _ = encode_pixels(pixels, like=b"\7")
    assert good[0] & 3 == 3
    for at in [*range(1, min(len(good), 60)), *range(60, len(good), 29)]:
        for bit in (0, 4, 7):
            data = bytearray(good)
            data[at] ^= 1 << bit
            with contextlib.suppress(FormatError):
                decoded = decode_pixels(data, 40, 30, channels)
                assert len({*map(tuple, decoded.reshape(-1, channels).tolist())}) <= 256
    for cut in range(0, len(good), 7):
        with pytest.raises(FormatError, match="damaged payload"):
            decode_pixels(good[:cut], 40, 30, channels)


def test_a_drawing_of_few_colours_is_a_palette() -> None:
    pixels = np.repeat(letters(60, 80, 3)[..., :1] // 16 * 16, 3, axis=2) // np.array([1, 2, 3], np.uint8)
    data, _ = encode_pixels(pixels)
    assert data[0] & 3 == 3
    assert len(data) < 0.9 * min(len(encode_pixels(pixels, like=bytes([k]))[0]) for k in (4, 5, 6))
