"""Pictures and tiles that are stored as pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tests.conftest import every

from calotype.bitstream import parse, probe
from calotype.codec.approach import pick
from calotype.codec.decoder import decode, preview
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.pack import Pack
from calotype.codec.rate import Target
from calotype.codec.traits import Traits
from calotype.errors import FormatError

Scene = Callable[..., np.ndarray]
SHARES = (0.0, 0.2, 0.5, 0.8, 1.0)


def eighth(pixels: np.ndarray) -> np.ndarray:
    """Means of squares of 8 pixels, fewer at the right and lower edges: [ceil(h / 8), ceil(w / 8), C]."""
    height, width = pixels.shape[:2]
    rows, columns = np.arange(0, height, 8), np.arange(0, width, 8)
    sums = np.add.reduceat(np.add.reduceat(pixels, rows, axis=0, dtype=np.int32), columns, axis=1)
    counts = np.diff(rows, append=height)[:, None] * np.diff(columns, append=width)
    return np.asarray((sums + counts[:, :, None] // 2) // counts[:, :, None], np.uint8)


def text(height: int, width: int, seed: int = 3) -> np.ndarray:
    """A white page with marks of a few pixels in rows, two shades on each."""
    random = np.random.default_rng(seed)
    page = np.full((height, width, 3), 255, np.uint8)
    for top in range(4, height - 8, 12):
        for left in range(4, width - 6, 8):
            glyph = random.integers(0, 6)
            page[top : top + 8, left + glyph % 3 : left + glyph % 3 + 2] = (20, 30, 60)
            page[top + glyph, left : left + 6] = (120, 130, 160)
    return page


def drawn(pixels: np.ndarray) -> np.ndarray:
    """Where pixels [H, W, 3] are as in drawings: the same as one beside them, or the next but one."""
    same = np.zeros(pixels.shape[:2], bool)
    for apart in (1, 2):
        for near, far in ((np.s_[:, apart:], np.s_[:, :-apart]), (np.s_[apart:], np.s_[:-apart])):
            equal = (pixels[near] == pixels[far]).all(2)
            same[near] |= equal
            same[far] |= equal
    return same


def crisp(pixels: np.ndarray) -> np.ndarray:
    """Where a colour ends at once: an equal pixel on one side, one 32 off on the other; thin lines."""
    found = np.zeros(pixels.shape[:2], bool)
    for p, out in ((pixels.astype(int), found), (pixels.astype(int).transpose(1, 0, 2), found.T)):
        same, line = (p[1:] == p[:-1]).all(2), (p[2:] == p[:-2]).all(2)
        jump = (np.abs(p[1:] - p[:-1]) >= 32).any(2)
        out[1:-1] |= (same[:-1] & jump[1:]) | (jump[:-1] & (same[1:] | line))
    return found


def solid(pixels: np.ndarray) -> np.ndarray:
    """Where a pixel is the same as that on the left, that above and that between."""
    found, here = np.zeros(pixels.shape[:2], bool), pixels[1:, 1:]
    others = (pixels[:-1, 1:], pixels[1:, :-1], pixels[:-1, :-1])
    found[1:, 1:] = np.all([(here == other).all(2) for other in others], axis=0)
    return found


@pytest.fixture
def page(scene: Scene) -> np.ndarray:
    """Text with a photograph in it."""
    pixels = text(512, 700)
    pixels[256:512, 256:600] = scene(256, 344)
    return pixels


@pytest.mark.parametrize(("height", "width"), [(1, 1), (63, 65), (64, 64), (65, 129), (200, 1)])
def test_without_loss(scene: Scene, height: int, width: int) -> None:
    """Every size around the borders of tiles; colour, grey, alpha; no pack is asked for."""
    colour = scene(height, width)
    grey = np.repeat(colour[:, :, :1], 3, axis=2)
    alpha = colour[:, :, 2].copy()
    for picture in (Picture(colour), Picture(grey, grey=True), Picture(colour, alpha=alpha)):
        data = encode(picture, lossless=True, tile=64).data
        file = parse(data)
        assert all(file.pixels)
        assert file.header.pack_id == bytes(4)
        back = decode(data, threads=1).picture
        assert back.grey == picture.grey
        assert np.array_equal(back.pixels, picture.pixels)
        assert (back.alpha is None) == (picture.alpha is None)
        assert picture.alpha is None or np.array_equal(back.alpha, picture.alpha)


@pytest.mark.parametrize("target", [None, Target("size", 2000), Target("psnr", 53)])
def test_flat_graphics_are_exact_where_that_takes_no_more(scene: Scene, target: Target | None) -> None:
    """At any quality; photographs and levels that were asked for stay what they are."""
    ramp = Picture(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None].repeat(300, 0).repeat(3, 2))
    exact = encode(ramp, lossless=True)
    for quality in (80.0, 95.0, 97.0) if target is None else (None,):
        found = encode(ramp, quality=quality, target=target)
        assert (found.data, found.quality) == (exact.data, 100)
        assert target is None or found.reached == (len(exact.data) if target.limits_size else np.inf)
    assert encode(ramp, level=1000).level == 1000
    assert encode(Picture(scene(100, 100)), quality=95).quality == 95


@pytest.mark.slow
def test_qualities_lead_up_to_it(scene: Scene) -> None:
    """By even factors of size, as far as single tiles allow, and with ever smaller errors."""
    picture = Picture(scene(320, 320))
    sizes, errors = [], []
    for quality in (95, 96, 97, 98, 99, 100):
        coded = encode(picture, quality=quality, tile=64 if quality < 100 else None)
        assert coded.quality == pytest.approx(quality)
        sizes.append(len(coded.data))
        back = decode(coded.data).picture.pixels
        errors.append(float(np.square(back.astype(float) - picture.pixels).mean()))
    even = (sizes[-1] / sizes[0]) ** 0.2
    assert even > 1.2
    assert sizes == pytest.approx([sizes[0] * even**k for k in range(6)], rel=0.2)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_forms_are_picked_for_a_size() -> None:
    """Sizes are even powers on the way to no loss; a form that is missing is not taken."""
    bits = np.array([[100.0, 900.0, 400.0, 1600.0], [100.0, 900.0, np.inf, 1600.0]] * 50)
    errors = (
        np.array([[60.0, 0.1, 10.0, 0.0], [50.0, 0.1, 1.0, 0.0]] * 50) * np.linspace(1e3, 5e3, 100)[:, None]
    )
    picked = [pick(bits, errors, 0.0, share) for share in SHARES]
    taken = [np.take_along_axis(bits, forms[:, None], 1).sum() for forms in picked]
    assert taken == pytest.approx([1e4 * 16**share for share in SHARES], rel=0.08)
    assert pick(bits, errors, 0.0, 1.0).tolist() == [3] * 100


def shades(height: int, width: int, seed: int) -> np.ndarray:
    """Marks of many shades on white, as smooth letters are."""
    random, page = np.random.default_rng(seed), np.full((height, width, 3), 255, np.uint8)
    for top in range(3, height - 9, 14):
        for left in range(3, width - 7, 9):
            page[top : top + 9, left : left + 5] = random.integers(0, 256, (9, 5, 1))
    return page


def render(height: int, width: int, seed: int) -> np.ndarray:
    """Flat areas, of which some have a little noise, as renders and screenshots of games do."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    base = (40 + (rows // 30 * 50 + columns // 40 * 90) % 170)[:, :, None] + np.array([0, 9, 30])
    noise = random.integers(-2, 3, (height, width, 3)) * ((rows // 30 + columns // 40) % 2 == 0)[:, :, None]
    return (base + noise).astype(np.uint8)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("make", every(2, [shades, render]))
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_drawings_lead_up_to_it_too(make: Callable[..., np.ndarray], seed: int, grey: bool) -> None:
    """The more an error is worth the more bytes and the fewer errors; never more bytes than without loss."""
    pixels = make(150, 200, seed)
    pixels = np.repeat(pixels[:, :, :1], 3, axis=2) if grey else pixels
    assert drawn(pixels).mean() >= 0.3
    sizes, errors = [], []
    for quality in (95, 96, 97, 98, 99, 100):
        coded = encode(Picture(pixels, grey), quality=quality)
        back = decode(coded.data).picture.pixels
        sizes.append(len(coded.data))
        errors.append(float(np.square(back.astype(float) - pixels).mean()))
    assert sizes[1:] == sorted(sizes[1:])
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0
    assert sizes[1] < 0.97 * sizes[-1] or errors[1] == errors[0]  # what 95 has already stays
    assert errors[0] < 4


def test_drawings_of_few_colours_are_exact() -> None:
    drawing = Picture(text(80, 90))
    assert np.array_equal(decode(encode(drawing, quality=96).data).picture.pixels, drawing.pixels)


def test_both_kinds(tiny: Pack, page: np.ndarray) -> None:
    """Text becomes pixels, the photograph latents; regions and previews agree with the whole."""
    data = encode(Picture(page), quality=50, pack=tiny, tile=256).data
    file = parse(data)
    assert file.pixels[:5] == [True, True, True, True, False]
    names = [chunk["name"] for chunk in probe(data)["chunks"] if chunk["name"] != "layer"]
    assert names[:5] == ["pixels"] * 4 + ["tile"]
    whole = decode(data, pack=tiny).picture.pixels
    assert (whole[drawn(page)][:20000] == page[drawn(page)][:20000]).mean() > 0.95
    for region in ((0, 0, 300, 100), (200, 200, 330, 300), (300, 300, 500, 400), (690, 0, 700, 512)):
        left, top, right, bottom = region
        part = decode(data, region=region, pack=tiny).picture.pixels
        assert np.abs(part.astype(int) - whole[top:bottom, left:right]).max() <= 1
    small = encode(Picture(page), lossless=True, tile=64).data
    assert np.array_equal(preview(small).picture.pixels, eighth(page))


def test_damaged_tiles(page: np.ndarray) -> None:
    data = bytearray(encode(Picture(page[:100, :200]), lossless=True, tile=64).data)
    chunk = parse(data).chunks[1]
    data[chunk.offset + 9] ^= 1
    with pytest.raises(FormatError, match="tile 1"):
        decode(bytes(data))
    kept = decode(bytes(data), damaged="keep")
    assert kept.damaged == (1,)
    assert np.array_equal(kept.picture.pixels[:, :64], page[:100, :64])
    assert (kept.picture.pixels[:64, 64:128] == 128).all()
    assert preview(bytes(data), damaged="keep").damaged == (1,)
    cut = preview(bytes(data[: chunk.offset + 12]), damaged="keep")
    assert cut.damaged == tuple(range(1, 8))


@pytest.mark.parametrize("target", [Target("psnr", 30.0), Target("bpp", 1.0)])
def test_targets_see_what_is_decoded(tiny: Pack, page: np.ndarray, target: Target) -> None:
    page = page[160:384, :448]
    coded = encode(Picture(page), target=target, pack=tiny, tile=128)
    pixels = decode(coded.data, pack=tiny).picture.pixels
    if target.kind == "psnr":
        error = np.mean((pixels.astype(float) - page) ** 2)
        assert 10 * np.log10(255**2 / error) == pytest.approx(coded.reached, abs=0.05)
        assert coded.reached is not None
        assert coded.reached > 29.7
    else:
        assert 8 * len(coded.data) / (page.shape[0] * page.shape[1]) <= 1.0


def test_photographs_are_left_alone(tiny: Pack, scene: Scene) -> None:
    data = encode(Picture(scene(300, 300)), quality=60, pack=tiny).data
    assert parse(data).header.tile == tiny.manifest.tile
    assert not any(parse(data).pixels)
    assert decode(data, pack=tiny).photo
    assert not decode(encode(Picture(text(300, 300)), quality=60, pack=tiny).data, pack=tiny).photo


@pytest.mark.parametrize("colour", [(0, 255, 0), (255, 255, 255), (255, 0, 255), (3, 90, 200)])
def test_pictures_of_one_colour_are_exact(tiny: Pack, colour: tuple[int, int, int]) -> None:
    """At every size, and in fewer bytes than latents take."""
    for height, width in ((1, 1), (1, 40), (5, 17), (301, 203)):
        pixels = np.full((height, width, 3), colour, np.uint8)
        data = encode(Picture(pixels), quality=60, pack=tiny).data
        assert np.array_equal(decode(data, pack=tiny).picture.pixels, pixels)
        assert len(data) < 50


def test_traits_add_up(scene: Scene) -> None:
    """Tile by tile as over the whole, whatever the bands that they are counted in; larger tiles are sums."""
    pixels = text(300, 410)
    pixels[64:200, 100:300] = scene(136, 200)
    fine, whole = Traits.of(pixels, 64), Traits.of(pixels, 512)
    marks = {"drawn": drawn(pixels), "crisp": crisp(pixels), "solid": solid(pixels)}
    for name, mark in marks.items():
        assert getattr(whole, name)[0, 0] == mark.sum()
        assert getattr(fine, name)[1, 2] == mark[64:128, 128:192].sum()
        assert np.array_equal(getattr(fine.tiles(512), name), getattr(whole, name))
        assert getattr(fine.tiles(128), name)[2, 3] == mark[256:, 384:].sum()
    assert fine.area.sum() == 300 * 410
    suspicious = fine.suspicious()
    assert suspicious[0, 0]
    assert not suspicious[1, 2]
    assert fine.least_drawn() in {(1, 2), (1, 3), (2, 2), (2, 3)}


def test_what_excludes_what() -> None:
    picture = Picture(text(20, 20))
    with pytest.raises(ValueError, match="lossless leaves no choice"):
        encode(picture, lossless=True, quality=50)
    with pytest.raises(ValueError, match="lossless leaves no choice"):
        encode(picture, lossless=True, target=Target("psnr", 30.0))
    with pytest.raises(ValueError, match="0 to 100"):
        encode(picture, quality=101)
