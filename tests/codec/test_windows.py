"""Windows and tiles give what the whole picture in one piece gives; a region needs few tiles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.bitstream import Box, Header, parse, tile_box, tile_count, write
from calotype.codec import latents, tiles
from calotype.codec.analysis import Analysis
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.errors import FormatError

SIZE = (333, 411)  # neither side a multiple of 16; 6 x 7 tiles of 64
TILE = 64


@pytest.fixture(scope="module")
def pixels(scene: Callable[..., np.ndarray]) -> np.ndarray:
    return scene(*SIZE)


def whole_y(pack: Pack, pixels: np.ndarray) -> np.ndarray:
    """Analysis of the whole picture in one piece."""
    box = tiles.latent_box(Box(0, 0, pixels.shape[1], pixels.shape[0]))
    return pack.encoder.analysis(tiles.cut(pixels, box)[0])[None]


def test_analysis_in_windows_equals_the_whole(
    pack: Pack, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calotype.codec.analysis.LEAST", 1)
    header = Header(SIZE[1], SIZE[0], 0, pack.key, TILE)
    whole = whole_y(pack, pixels)
    with ThreadPoolExecutor(3) as pool:
        analysis = Analysis(pixels, header, pack, (3, 1), pool)
        assert len(analysis.windows) % 3 == 0
        got = list(analysis.each(lambda _, y: np.array(y)))
    assert len(got) == tile_count(header)
    for tile, y in enumerate(got):
        box = tiles.latent_box(tile_box(header, tile))
        expected = whole[tiles.inside(box, tiles.latent_box(Box(0, 0, *SIZE[::-1])))]
        assert np.array_equal(y, expected)


def test_tile_size_shows_no_seams(pack: Pack, pixels: np.ndarray) -> None:
    """The same latents, tiled and not, end to end through decode: the transforms see no tile borders.

    In tiles as small as these nothing is mended where they meet.
    """
    data = encode(Picture(pixels), quality=70, pack=pack, tile=TILE).data
    file = parse(data)
    networks = Networks(pack, pack.level(file.header.level))
    rows, columns = tiles.latent_box(Box(0, 0, SIZE[1], SIZE[0]))[3:1:-1]
    y_hat = np.zeros((rows, columns, pack.manifest.latents), np.int16)
    for tile, payload in enumerate(file.tiles):
        box = tiles.latent_box(tile_box(file.header, tile))
        z, r = latents.read(networks, payload, box.height, box.width)
        y_hat[box.top : box.bottom, box.left : box.right] = latents.restore(networks, z, r)
    whole = pack.decoder.synthesis(networks.level.pixels, y_hat)[: SIZE[0], : SIZE[1]]
    assert np.array_equal(decode(data, pack=pack).picture.pixels, whole)


@pytest.mark.parametrize(
    "region", [(0, 0, 1, 1), (60, 60, 70, 70), (100, 20, 411, 333), (410, 332, 411, 333)]
)
def test_region_equals_the_crop(pack: Pack, pixels: np.ndarray, region: tuple[int, int, int, int]) -> None:
    data = encode(Picture(pixels), quality=70, pack=pack, tile=TILE).data
    left, top, right, bottom = region
    whole = decode(data, pack=pack).picture.pixels[top:bottom, left:right]
    for threads in (1, 3):
        assert np.array_equal(decode(data, pack=pack, region=region, threads=threads).picture.pixels, whole)


def test_region_decodes_only_the_tiles_it_needs(pack: Pack, pixels: np.ndarray) -> None:
    file = parse(encode(Picture(pixels), quality=70, pack=pack, tile=256).data)
    # The last tile's payload is nonsense with a good checksum: whoever decodes it fails.
    assert len(file.tiles) == 4
    broken = write(file.header, [*file.tiles[:-1], b"\x55" * 40])
    with pytest.raises(FormatError, match="tile 3"):
        decode(broken, pack=pack)
    side = 256 - 16 * (pack.manifest.synthesis_margin + 2)  # two latents at the border look at what is beyond
    assert side > 0
    part = decode(broken, pack=pack, region=(0, 0, side, side)).picture.pixels
    whole = decode(write(file.header, file.tiles), pack=pack).picture.pixels
    assert np.array_equal(part, whole[:side, :side])
    with pytest.raises(FormatError, match="tile 3"):
        decode(broken, pack=pack, region=(0, 0, side + 1, side + 1))


@given(
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(1, 400),
    st.integers(1, 400),
    st.integers(1, 4),
)
def test_windows_cover_a_box_once_and_are_alike(
    left: int, top: int, width: int, height: int, workers: int
) -> None:
    box = Box(left, top, left + width, top + height)
    count = np.zeros((450, 450), int)
    sizes = []
    rows = tiles.windows(box, workers)
    side = 128 if width * height <= 2**15 else 96 if width * height <= 2**17 else 64
    for row in rows:
        for window in row:
            assert 1 <= window.width <= side
            assert 1 <= window.height <= side
            sizes.append((window.width, window.height))
            count[window.top : window.bottom, window.left : window.right] += 1
    expected = np.zeros_like(count)
    expected[top : top + height, left : left + width] = 1
    assert np.array_equal(count, expected)
    assert all(max(side) - min(side) <= 1 for side in zip(*sizes))
    # Where the windows are few, every worker gets as many.
    assert len(sizes) % workers == 0 or len(sizes) >= 4 * workers or min(width, height) <= 4 * workers


@given(st.integers(1, 40), st.integers(1, 40))
def test_cut_repeats_the_edge(height: int, width: int) -> None:
    pixels = np.arange(height * width * 3, dtype=np.uint32).astype(np.uint8).reshape(height, width, 3)
    box = tiles.latent_box(Box(0, 0, width, height))
    got = tiles.cut(pixels, box)[0]
    assert got.shape == (16 * box.height, 16 * box.width, 3)
    rows = np.minimum(np.arange(got.shape[0]), height - 1)
    columns = np.minimum(np.arange(got.shape[1]), width - 1)
    assert np.array_equal(got, pixels[rows][:, columns])


def test_an_interrupt_waits_for_nobody() -> None:
    """What has begun goes on by itself, what has not is dropped; any other error waits for both."""
    go, begun, done = threading.Event(), threading.Event(), []

    def work() -> None:
        begun.set()
        assert go.wait(60)
        done.append(1)

    with pytest.raises(KeyboardInterrupt), tiles.pool(1) as pool:  # noqa: PT012
        first, second = pool.submit(work), pool.submit(work)
        assert begun.wait(60)
        raise KeyboardInterrupt
    assert not done
    go.set()
    first.result(60)
    assert second.cancelled()
    assert done == [1]
