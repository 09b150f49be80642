"""Text over photographs: what is taken off, what is beneath, and what a file shows of both."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from tests.golden import captioned, scene

from calotype.bitstream import Header, StreamWriter, parse, write
from calotype.codec import bits, layer
from calotype.codec.cover import Cover
from calotype.codec.decoder import decode, preview
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.metrics import psnr
from calotype.codec.rate import Target
from calotype.coder import encode_pixels
from calotype.errors import FormatError

Pixels = NDArray[np.uint8]
WORTH = 0.02


@pytest.fixture(scope="module")
def caption() -> Pixels:
    return captioned(150, 260, 12)


@pytest.fixture(scope="module")
def file(caption: Pixels) -> bytes:
    data = encode(Picture(caption), quality=60, threads=1).data
    assert parse(data).layer, "its text should lie in a layer"
    return data


def part_of(steps: int, colours: list[int], cells: Pixels) -> bytes:
    """A layer as a file has it. cells: cover and index of each pixel, [h, w, 2]"""
    count = len(colours) // 3
    streams = [encode_pixels(np.ascontiguousarray(plane))[0] for plane in np.split(cells, [1], axis=2)]
    head = bytes([steps]) + (count - 1).to_bytes(2, "little") + bytes(colours)
    return head + (len(streams[0]).to_bytes(4, "little") + b"".join(streams) if count > 1 else streams[0])


def test_text_is_taken_off_and_lies_over_what_is_beneath(caption: Pixels) -> None:
    found = layer.find(caption, False, WORTH)
    assert found is not None
    part, below = found
    plain = scene(150, 260, 12) // 2 + 40
    assert psnr(caption, layer.over(part, below, False)) > 38
    assert psnr(plain, below) > psnr(plain, caption) + 4
    text = (caption != plain).any(axis=2)
    assert (below != caption)[~text].mean() < 0.002


@pytest.mark.parametrize("seed", range(4))
def test_a_scene_without_text_has_no_layer(seed: int) -> None:
    assert layer.find(scene(200, 150, seed), False, WORTH) is None


@pytest.mark.parametrize("pixels", [np.zeros((1, 1, 3), np.uint8), np.full((9, 300, 3), 255, np.uint8)])
def test_nothing_lies_over_flat_pictures(pixels: Pixels) -> None:
    assert layer.find(pixels, False, WORTH) is None


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 40), st.integers(1, 40), st.just(3)),
        elements=st.sampled_from([0, 90, 255]),
    )
)
def test_whatever_is_found_is_a_layer(pixels: Pixels) -> None:
    found = layer.find(pixels, False, WORTH)
    if found:
        assert layer.over(*found, False).shape == pixels.shape


def test_a_layer_is_shown_over_what_the_latents_give(caption: Pixels, file: bytes) -> None:
    whole = parse(file)
    assert whole.layer is not None
    bare = decode(write(whole.header, whole.tiles)).picture.pixels
    shown = decode(file).picture.pixels
    assert np.array_equal(shown, layer.over(whole.layer[0], bare, False))
    assert psnr(caption, shown) > psnr(caption, bare) + 3
    assert np.array_equal(decode(file, region=(37, 11, 201, 140)).picture.pixels, shown[11:140, 37:201])
    assert np.array_equal(decode(file, threads=3).picture.pixels, shown)


def test_the_preview_has_the_text(caption: Pixels, file: bytes) -> None:
    whole = parse(file)
    blocks = caption[:144, :256].reshape(18, 8, 32, 8, 3).mean(axis=(1, 3))
    with_text, without = (
        preview(data).picture.pixels[:18, :32] for data in (file, write(whole.header, whole.tiles))
    )
    assert psnr(blocks.astype(np.uint8), with_text) > psnr(blocks.astype(np.uint8), without) + 3


def test_a_layer_pays(caption: Pixels, file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cover, "find", lambda self, level: False)
    without = encode(Picture(caption), target=Target("size", len(file)), threads=1).data
    assert parse(without).layer is None
    assert psnr(caption, decode(file).picture.pixels) > psnr(caption, decode(without).picture.pixels) + 1


def test_likeness_is_that_of_the_file(caption: Pixels) -> None:
    found = encode(Picture(caption), target=Target("psnr", 31), threads=1)
    assert parse(found.data).layer
    assert found.reached == pytest.approx(psnr(caption, decode(found.data).picture.pixels), abs=1e-6)


def test_its_bits_are_told(file: bytes) -> None:
    told, whole = bits.count(file), parse(file)
    assert whole.layer is not None
    assert told.layer == 8 * len(whole.layer[0])
    assert told.payload == told.layer + 8 * len(whole.tiles[0])
    assert 0 < told.maps["layer"].sum() <= told.layer
    assert 0.9 < told.of("all").sum() / told.payload <= 1.01


def test_grey_alpha_and_beyond_the_levels() -> None:
    image = Image.fromarray(captioned(120, 230, 5)).convert("L")
    ImageDraw.Draw(image).text((20, 90), "and some more", font=ImageFont.load_default(22), fill=250)
    grey = np.repeat(np.asarray(image)[:, :, None], 3, axis=2)
    alpha = np.tile(np.arange(230, dtype=np.uint8), (120, 1))
    picture = Picture(grey, grey=True, alpha=alpha)
    data = encode(picture, quality=65, pack="photo-psnr", threads=1).data
    assert parse(data).layer
    assert parse(data).alpha
    found = decode(data).picture
    assert np.array_equal(found.alpha, alpha)
    assert psnr(grey, found.pixels) > 30
    near = decode(encode(picture, quality=96, threads=1).data).picture
    assert psnr(grey, near.pixels) > 38


def test_effort_looks_beneath(caption: Pixels) -> None:
    pytest.importorskip("onnxruntime")
    plain, tried = (
        encode(Picture(caption), level=1000, pack="photo-psnr", effort=effort, threads=1).data
        for effort in (0, 1)
    )
    assert parse(plain).layer
    assert parse(tried).layer
    assert psnr(caption, decode(tried).picture.pixels) > psnr(caption, decode(plain).picture.pixels) + 0.1
    assert len(tried) < 1.05 * len(plain)


CELLS = np.zeros((80, 80, 2), np.uint8)


@pytest.fixture(scope="module")
def bare() -> bytes:
    """A file of one tile of latents."""
    data = encode(Picture(scene(80, 80, 3)), level=200, threads=1).data
    assert parse(data).pixels == [False]
    return data


def with_layer(data: bytes, part: bytes) -> bytes:
    whole = parse(data)
    return write(whole.header, whole.tiles, layer=[part])


@pytest.mark.parametrize(
    "part",
    [
        b"\1",
        b"\0" + part_of(3, [1, 2, 3], CELLS)[1:],
        b"\1\7\0" + bytes(9),
        part_of(3, [1, 2, 3], CELLS + np.array([4, 0], np.uint8)),
        part_of(3, [1, 2, 3] * 2, CELLS + np.array([1, 2], np.uint8)),
        part_of(3, [1, 2, 3] * 300, np.full((80, 80, 3), [1, 44, 1], np.uint8)),
        part_of(3, [1, 2, 3], CELLS)[:-1],
        part_of(3, [1, 2, 3] * 2, CELLS)[:-1],
        part_of(3, [1, 2, 3] * 2, CELLS)[:11],
        part_of(3, [1, 2, 3] * 2, CELLS)[:9] + b"\xff\xff\xff\xff" + part_of(3, [1, 2, 3] * 2, CELLS)[13:],
    ],
    ids=[
        "one byte", "no steps", "no colours", "too much cover", "no such colour", "no such colour of many",
        "cut", "cut in the numbers", "cut in the length", "covers too long",
    ],
)  # fmt: skip
def test_a_damaged_layer_is_refused_or_left_out(part: bytes, bare: bytes) -> None:
    data = with_layer(bare, part)
    for read in (decode, preview):
        with pytest.raises(FormatError, match="tile 0: layer: damaged"):
            read(data)
        kept = read(data, damaged="keep")
        assert kept.damaged == (0,)
        assert np.array_equal(kept.picture.pixels, read(bare).picture.pixels)


def test_all_colours_and_covers_are_shown_exactly(bare: bytes) -> None:
    rng = np.random.default_rng(1)
    cells, colours = rng.integers(0, 256, (80, 80, 2), np.uint8), rng.integers(0, 256, (256, 3), np.uint8)
    data = with_layer(bare, part_of(255, colours.ravel().tolist(), cells))
    below, cover = decode(bare).picture.pixels.astype(int), cells[..., :1].astype(int)
    expected = (below * (255 - cover) + colours[cells[..., 1]].astype(int) * cover + 127) // 255
    assert np.array_equal(decode(data).picture.pixels, expected)


def test_more_than_256_colours(bare: bytes) -> None:
    rng = np.random.default_rng(2)
    colours, numbers = rng.integers(0, 256, (4096, 3), np.uint8), rng.integers(0, 4096, (80, 80))
    cells = np.stack([np.ones_like(numbers), numbers & 255, numbers >> 8], axis=2).astype(np.uint8)
    data = with_layer(bare, part_of(1, colours.ravel().tolist(), cells))
    assert np.array_equal(decode(data).picture.pixels, colours[numbers])


def test_no_layer_lies_over_pixels() -> None:
    stream = encode_pixels(np.zeros((80, 80, 3), np.uint8))[0]
    out = io.BytesIO()
    with StreamWriter(out, Header(80, 80, 0, bytes(4)), layer=[part_of(1, [0, 0, 0], CELLS)]) as writer:
        writer.tile(stream, pixels=True)
    with pytest.raises(FormatError, match="layer: it lies over tile 0, which is pixels"):
        decode(out.getvalue())


def test_no_layer_is_in_a_laboratory_file() -> None:
    with pytest.raises(FormatError, match="a layer chunk, in a file of the kind that holds latents chunks"):
        parse(write(Header(80, 80, 0, b"abcd", lab=True), [b"x"], layer=[b""]))


def test_one_part_for_each_tile() -> None:
    with pytest.raises(ValueError, match="layer has 2 tiles, and the grid has 1"):
        write(Header(80, 80, 0, b"abcd"), [b""], layer=[b"", b""])
