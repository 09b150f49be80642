"""Previews: the picture at an eighth from the first part of each tile, also of what is left of a file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calotype.bitstream import Header, Limits, parse, tile_box, write
from calotype.codec.decoder import decode, preview
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.errors import CalotypeError, FormatError, LimitError, PackError

Scene = Callable[..., np.ndarray]


def eighth(pixels: np.ndarray) -> np.ndarray:
    """Means of 8x8 pixels; at the right and lower edges of the pixels that there are."""
    rows, columns = (np.arange(0, n, 8) for n in pixels.shape[:2])
    sums = np.add.reduceat(np.add.reduceat(pixels.astype(float), rows, 0), columns, 1)
    counts = np.outer(np.diff([*rows, pixels.shape[0]]), np.diff([*columns, pixels.shape[1]]))
    return np.asarray(sums / counts[:, :, None])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(float) - b) ** 2), 1e-9)))


@pytest.mark.parametrize(
    ("height", "width", "tile"),
    [(200, 300, 1024), (1, 1, 1024), (9, 300, 1024), (130, 7, 64), (257, 191, 64), (300, 200, 128)],
)
@pytest.mark.parametrize("quality", [20, 90])
def test_it_is_the_decoded_picture_made_small(
    tiny: Pack, scene: Scene, height: int, width: int, tile: int, quality: int
) -> None:
    data = encode(Picture(scene(height, width)), quality=quality, pack=tiny, tile=tile).data
    small = preview(data, pack=tiny)
    assert small.picture.pixels.shape == (-(-height // 8), -(-width // 8), 3)
    assert (small.damaged, small.error) == ((), None)
    assert psnr(eighth(decode(data, pack=tiny).picture.pixels), small.picture.pixels) > 25


def test_that_of_the_shipped_pack(pack: Pack, scene: Scene) -> None:
    for quality in (10, 60):
        data = encode(Picture(scene(333, 500)), quality=quality, pack=pack).data
        decoded = decode(data, pack=pack).picture.pixels
        assert psnr(eighth(decoded), preview(data, pack=pack).picture.pixels) > 25


def test_grey_alpha_and_metadata(tiny: Pack, scene: Scene) -> None:
    alpha = scene(100, 75, 1)[:, :, 0]
    pixels = np.repeat(scene(100, 75)[:, :, :1], 3, axis=2)
    given = Picture(pixels, grey=True, alpha=alpha, exif=b"II*\0\x08\0\0\0\0\0", xmp=b"<x/>")
    small = preview(encode(given, quality=70, pack=tiny).data, pack=tiny).picture
    assert small.grey
    assert np.array_equal(small.pixels[:, :, 0], small.pixels[:, :, 2])
    assert (small.exif, small.xmp) == (given.exif, given.xmp)
    assert small.alpha is not None
    assert np.abs(small.alpha - eighth(alpha[:, :, None])[:, :, 0]).max() <= 1
    assert small.to_pil().mode == "LA"


def test_threads_change_nothing(tiny: Pack, tiled: bytes) -> None:
    one, more = (preview(tiled, pack=tiny, threads=n).picture.pixels for n in (1, 4))
    assert np.array_equal(one, more)


@pytest.fixture(scope="module")
def tiled(tiny: Pack, scene: Scene) -> bytes:
    return encode(Picture(scene(150, 220)), quality=60, pack=tiny, tile=64).data  # 3 x 4 tiles


@pytest.fixture(scope="module")
def single(tiny: Pack, scene: Scene) -> bytes:
    return encode(Picture(scene(150, 220)), quality=60, pack=tiny).data


def test_a_damaged_tile_is_an_error_or_a_flat_tone(tiny: Pack, tiled: bytes) -> None:
    whole = preview(tiled, pack=tiny).picture.pixels
    chunk = parse(tiled).chunks[5]
    broken = bytearray(tiled)
    broken[chunk.offset + 10] ^= 4
    with pytest.raises(FormatError, match="tile 5"):
        preview(bytes(broken), pack=tiny)
    kept = preview(bytes(broken), pack=tiny, damaged="keep")
    assert kept.damaged == (5,)
    hole = np.zeros(whole.shape[:2], bool)
    hole[8:16, 8:16] = True
    assert np.array_equal(kept.picture.pixels[~hole], whole[~hole])
    assert (kept.picture.pixels[hole] == 128).all()


def test_a_cut_off_file_still_gives_its_preview(tiny: Pack, single: bytes) -> None:
    """The more there is, the nearer it comes; with the low channels it is complete."""
    whole = preview(single, pack=tiny).picture.pixels
    start = parse(single).chunks[0].offset + 4
    found = []
    for share in (0.02, 0.25, 0.5, 0.98):
        cut = single[: start + int(share * (len(single) - start))]
        with pytest.raises(FormatError, match="truncated"):
            preview(cut, pack=tiny)
        with pytest.raises(FormatError, match="truncated"):
            decode(cut, pack=tiny, damaged="keep")  # what no checksum vouches for is no picture
        kept = preview(cut, pack=tiny, damaged="keep")
        assert kept.damaged == (0,)
        assert isinstance(kept.error, FormatError)
        found.append(psnr(kept.picture.pixels, whole))
    assert found == sorted(found)
    assert found[0] < found[1] < found[2]
    assert np.array_equal(kept.picture.pixels, whole)


def test_a_cut_in_one_of_many_tiles(tiny: Pack, tiled: bytes) -> None:
    chunk = parse(tiled).chunks[7]
    whole = preview(tiled, pack=tiny).picture.pixels
    kept = preview(tiled[: chunk.offset + chunk.length - 1], pack=tiny, damaged="keep")
    assert kept.damaged == tuple(range(7, 12))
    box = tile_box(parse(tiled).header, 7)
    near = kept.picture.pixels[box.top // 8 : -(-box.bottom // 8), box.left // 8 : -(-box.right // 8)]
    shown = whole[box.top // 8 : -(-box.bottom // 8), box.left // 8 : -(-box.right // 8)]
    assert psnr(near, shown) > 25
    assert np.array_equal(kept.picture.pixels[:8], whole[:8])
    assert (kept.picture.pixels[16:19, 0:8] == 128).all()


def test_a_tile_of_which_nothing_is_known(tiny: Pack, single: bytes) -> None:
    """The file ends before the first latent: a plain tone, not what networks make of nothing."""
    start = parse(single).chunks[0].offset + 4
    kept = preview(single[: start + 20], pack=tiny, damaged="keep")
    assert (kept.picture.pixels == 128).all()


def test_a_header_that_a_damaged_tile_speaks_against(tiny: Pack, tiled: bytes) -> None:
    """Where the file ends within its first tile nothing is known to be wrong; here something is."""
    first, second = parse(tiled).chunks[:2]
    broken = bytearray(tiled[: second.offset + 60])
    assert preview(bytes(broken), pack=tiny, damaged="keep").damaged == tuple(range(1, 12))
    broken[first.offset + 10] ^= 4
    with pytest.raises(FormatError, match="tile 0 or the header"):
        preview(bytes(broken), pack=tiny, damaged="keep")


@given(st.data())
def test_any_prefix_is_a_preview_or_an_error(tiny: Pack, tiled: bytes, data: st.DataObject) -> None:
    cut = tiled[: data.draw(st.integers(0, len(tiled)))]
    starts = [chunk.offset for chunk in parse(tiled).chunks]
    try:
        kept = preview(cut, pack=tiny, damaged="keep")
    except FormatError:
        assert len(cut) < starts[0] + 3  # nothing of the first tile is there
        return
    whole = sum(end <= len(cut) for end in (*starts[1:], len(tiled)))
    assert kept.damaged == tuple(range(whole, 12))
    assert kept.picture.pixels.shape == (19, 28, 3)


@given(st.binary(max_size=200), st.integers(1, 200), st.integers(1, 200))
def test_hostile_payloads(tiny: Pack, payload: bytes, width: int, height: int) -> None:
    """Whole with a good checksum, and cut: an error or a picture, never a crash."""
    file = write(Header(width, height, 300, tiny.key), [payload])
    for data in (file, file[:-4], file[: -len(payload) // 2]):
        kept = None
        with contextlib.suppress(FormatError):
            kept = preview(data, pack=tiny, damaged="keep")
        assert kept is None or kept.picture.pixels.shape == (-(-height // 8), -(-width // 8), 3)


@given(st.binary(max_size=120))
def test_hostile_files(tiny: Pack, single: bytes, data: bytes) -> None:
    """Bytes, and bytes behind a good header: errors of ours, or a preview that says what it is."""
    for some in (data, single[:13] + data, single[:16] + data):
        kept = None
        with contextlib.suppress(CalotypeError):
            kept = preview(some, pack=tiny, damaged="keep", limits=Limits(max_pixels=10**6))
        assert kept is None or kept.damaged


def test_a_size_that_is_not_to_be_believed(tiny: Pack, single: bytes) -> None:
    """The header of a cut file is under no checksum: limits hold, and a pack that nobody knows is refused."""
    huge = write(Header(20000, 20000, 300, tiny.key), [b"1"] * 400)[:-1]
    with pytest.raises(LimitError):
        preview(huge, pack=tiny, damaged="keep", limits=Limits(max_pixels=10**6))
    strange = single[:5] + b"what" + single[9:1000]
    with pytest.raises(PackError):
        preview(strange, pack=tiny, damaged="keep")


def test_laboratory_files(tiny: Pack) -> None:
    with pytest.raises(FormatError, match="laboratory"):
        preview(write(Header(16, 16, 0, tiny.key, lab=True), [b"1"]), pack=tiny)
