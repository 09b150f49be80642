"""Encode and decode: sizes, kinds, what travels along."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from calotype.bitstream import parse
from calotype.codec import metrics
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.errors import LimitError

SIZES = [
    (1, 1),
    (1, 2),
    (7, 1),
    (1, 300),
    (15, 17),
    (16, 16),
    (17, 33),
    (63, 65),
    (64, 64),
    (65, 129),
    (200, 150),
]


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("tile", [64, 1024])
def test_every_size(pack: Pack, scene: Callable[..., np.ndarray], height: int, width: int, tile: int) -> None:
    pixels = scene(height, width)
    data = encode(Picture(pixels), quality=90, pack=pack, tile=tile).data
    decoded = decode(data, pack=pack).picture
    assert decoded.pixels.shape == pixels.shape
    assert decoded.pixels.dtype == np.uint8
    assert not decoded.grey
    assert [decoded.alpha, decoded.icc, decoded.exif, decoded.xmp] == [None] * 4
    if min(height, width) >= 16:
        # Better than a flat tone by far, in every 16 x 16 corner: no part is shifted, cut or turned.
        for part in (np.s_[:16, :16], np.s_[-16:, :16], np.s_[:16, -16:], np.s_[-16:, -16:]):
            error = decoded.pixels[part].astype(float) - pixels[part]
            assert (error**2).mean() < 0.3 * pixels[part].astype(float).var(axis=(0, 1)).mean() + 20


@pytest.mark.parametrize("tone", [(0, 0, 0), (255, 255, 255), (255, 0, 0), (12, 200, 90)])
def test_one_pixel_keeps_its_colour(pack: Pack, tone: tuple[int, int, int]) -> None:
    pixels = np.array([[tone]], np.uint8)
    decoded = decode(encode(Picture(pixels), quality=100, pack=pack).data, pack=pack).picture.pixels
    assert np.abs(decoded.astype(int) - pixels).max() <= 24


def test_higher_quality_is_larger_and_closer(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    picture = Picture(scene(160, 240))
    files = [encode(picture, quality=q, pack=pack) for q in (0, 25, 50, 75, 95)]
    sizes = [len(file.data) for file in files]
    likeness = [metrics.psnr(picture.pixels, decode(file.data, pack=pack).picture.pixels) for file in files]
    assert sizes == sorted(set(sizes))
    assert likeness == sorted(likeness)
    assert [file.quality for file in files] == pytest.approx([0, 25, 50, 75, 95], abs=0.1)


def test_the_same_picture_gives_the_same_file(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    picture = Picture(scene(130, 150))
    assert encode(picture, pack=pack).data == encode(picture, pack=pack).data


def test_memory_layout_does_not_matter(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    pixels = scene(90, 70)
    other = np.asfortranarray(pixels)
    strided = np.zeros((180, 140, 3), np.uint8)[::2, ::2]
    strided[:] = pixels
    files = {encode(Picture(p), pack=pack, threads=1).data for p in (pixels, other, strided)}
    assert len(files) == 1


def test_threads_change_pixels_by_one_at_most(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    data = encode(Picture(scene(300, 200)), quality=80, pack=pack, tile=128, threads=1).data
    one, three = (decode(data, pack=pack, threads=n).picture.pixels.astype(int) for n in (1, 3))
    assert np.array_equal(one, three)


def test_alpha_and_metadata_come_back_unchanged(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    alpha = rng.integers(0, 256, (70, 90), np.uint8)
    given = Picture(scene(70, 90), False, alpha, b"icc" * 50, b"II*\0" + bytes(20), b"<x:xmpmeta/>")
    data = encode(given, pack=pack, tile=64).data
    got = decode(data, pack=pack).picture
    assert got.alpha is not None
    assert np.array_equal(got.alpha, alpha)
    assert (got.icc, got.exif, got.xmp) == (given.icc, given.exif, given.xmp)
    part = decode(data, pack=pack, region=(3, 5, 80, 66)).picture
    assert part.alpha is not None
    assert np.array_equal(part.alpha, alpha[5:66, 3:80])


def test_grey_stays_grey(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    grey = scene(80, 100)[:, :, 0]
    picture = Picture.from_array(grey)
    data = encode(picture, quality=90, pack=pack).data
    assert parse(data).header.grey
    got = decode(data, pack=pack).picture
    assert got.grey
    assert (got.pixels == got.pixels[:, :, :1]).all()
    assert metrics.psnr(grey, got.pixels[:, :, 0]) > 25


def test_overhead_of_a_one_tile_picture(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    data = encode(Picture(scene(64, 96)), pack=pack).data
    assert len(data) - len(parse(data).tiles[0]) <= 24


def test_limits(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    from calotype.bitstream import Limits

    data = encode(Picture(scene(40, 40)), pack=pack).data
    with pytest.raises(LimitError):
        decode(data, pack=pack, limits=Limits(max_pixels=1599))
    with pytest.raises(LimitError):
        encode(Picture(scene(40, 40)), pack=pack, limits=Limits(max_pixels=1599))


def test_arguments_out_of_range(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    picture = Picture(scene(20, 20))
    with pytest.raises(ValueError, match="quality"):
        encode(picture, quality=101, pack=pack)
    with pytest.raises(ValueError, match="tile"):
        encode(picture, tile=100, pack=pack)
    data = encode(picture, pack=pack).data
    for region in ((0, 0, 0, 5), (0, 0, 21, 5), (-1, 0, 5, 5), (5, 5, 4, 9)):
        with pytest.raises(ValueError, match="region"):
            decode(data, region=region, pack=pack)
