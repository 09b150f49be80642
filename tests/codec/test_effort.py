"""Encoder effort: the same format, better files; its slopes are those of the networks."""

from __future__ import annotations

import dataclasses
import io
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.bitstream import Box
from calotype.codec import latents, library, manifest, tensors
from calotype.codec.decoder import decode
from calotype.codec.effort import look, onnx_writer, refine, session
from calotype.codec.effort.rates import REACH, Prices
from calotype.codec.effort.slopes import Slopes
from calotype.codec.effort.tape import Tape
from calotype.codec.effort.worth import SHARE, Worth, worth
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.codec.ssimulacra2 import ssimulacra2
from calotype.coder import LevelPixels

Scene = Callable[..., NDArray[np.uint8]]


@pytest.fixture(scope="module")
def pack() -> Pack:
    return library.load(library.tuned("psnr"))


def _cost(data: bytes, pixels: NDArray[np.uint8], bits: float) -> float:
    decoded = np.asarray(calotype.decode(data), np.int64)
    return 8 * len(data) + bits * float(np.square(decoded - pixels).sum())


def test_files_are_better(pack: Pack, scene: Scene) -> None:
    pixels = scene(192, 256, seed=3)
    level = pack.level_of(40)
    bits = worth(pack, level, pixels[None]).error
    assert bits > 0
    costs = []
    for effort in (0, 4):
        data = encode(Picture.from_array(pixels), quality=40, effort=effort, pack=pack, threads=1).data
        costs.append(_cost(data, pixels, bits))
    assert costs[1] < 0.995 * costs[0]


def test_files_for_eyes_look_better(scene: Scene) -> None:
    pixels, eyes = scene(192, 256, seed=3), library.load()
    level = eyes.level_of(50)
    worths = worth(eyes, level, pixels[None], looks=True)
    assert worths.error == pytest.approx(SHARE * worth(eyes, level, pixels[None]).error)
    costs = []
    for effort in (0, 2):
        data = encode(Picture.from_array(pixels), level=level, effort=effort, pack=eyes, threads=1).data
        look = ssimulacra2(pixels, np.asarray(calotype.decode(data)))
        costs.append(_cost(data, pixels, worths.error) - worths.look * look * 192 * 256)
    assert costs[1] < costs[0] - 0.02 * 8 * len(data)


@pytest.mark.parametrize("tune", ["psnr", "eyes"])
@pytest.mark.parametrize("size", [(1, 1), (70, 33), (200, 150)])
def test_any_size_grey_and_alpha(scene: Scene, size: tuple[int, int], tune: Any) -> None:
    pixels = scene(*size)
    alpha = np.full((*size, 1), 128, np.uint8)
    for picture in (pixels, pixels[..., :1], np.concatenate((pixels, alpha), 2)):
        image = calotype.decode(calotype.encode(picture, 50, tune=tune, effort=1, threads=1))
        assert image.size == size[::-1]


def test_several_tiles(pack: Pack, scene: Scene) -> None:
    """Each tile looks at its neighbours' latents; the file decodes, and is about as good as without."""
    pixels = scene(130, 130, seed=5)
    bits = worth(pack, pack.level_of(30), pixels[None, :128, :128]).error
    costs = []
    for effort in (0, 4):
        data = encode(
            Picture.from_array(pixels), quality=30, effort=effort, tile=64, pack=pack, threads=2
        ).data
        costs.append(_cost(data, pixels, bits))
    assert costs[1] < 1.01 * costs[0]


@pytest.mark.parametrize("tune", ["psnr", "eyes"])
def test_flat_picture(tune: Any) -> None:
    flat = np.full((64, 64, 3), 77, np.uint8)
    one_pass = np.asarray(calotype.decode(calotype.encode(flat, 50, tune=tune)), int)
    decoded = np.asarray(calotype.decode(calotype.encode(flat, 50, tune=tune, effort=2)), int)
    assert np.abs(decoded - 77).max() <= np.abs(one_pass - 77).max() + 1


@pytest.mark.slow
def test_target_is_met_with_effort(scene: Scene) -> None:
    pixels = scene(160, 160, seed=2)
    size = len(calotype.encode(pixels, 45, tune="psnr", threads=1))
    data = calotype.encode(pixels, target_size=size, tune="psnr", effort=1, threads=1)
    assert 0.99 * size <= len(data) <= size
    psnr = encode(Picture.from_array(pixels), quality=45, pack=library.tuned("psnr"), threads=1)
    reached = decode(psnr.data).picture.pixels.astype(int)
    value = 10 * np.log10(255**2 / np.mean((reached - pixels) ** 2))
    coded = calotype.encode(pixels, target_psnr=float(value), tune="psnr", effort=1, threads=1)
    got = 10 * np.log10(255**2 / np.mean((np.asarray(calotype.decode(coded), int) - pixels) ** 2))
    assert abs(got - value) <= 0.01 * value


def test_pillow_and_range(scene: Scene) -> None:
    stream = io.BytesIO()
    Image.fromarray(scene(64, 64)).save(stream, "CALO", quality=50, tune="psnr", effort=1)
    assert Image.open(stream).size == (64, 64)
    for wrong, error in ((-1, ValueError), (10, ValueError), (1.5, TypeError)):
        with pytest.raises(error, match="effort must be a whole number"):
            calotype.encode(scene(16, 16), effort=wrong)  # type: ignore[arg-type]


def test_packs_for_other_measures_are_refused(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = library.load(library.tuned("psnr"))
    other = dataclasses.replace(pack.manifest, training={"distortion": "ms-ssim"})
    monkeypatch.setattr(pack, "manifest", other)
    with pytest.raises(ValueError, match=r"effort refines for .* is for ms-ssim"):
        encode(Picture.from_array(scene(32, 32)), effort=1, pack=pack)


def test_same_file_twice(scene: Scene) -> None:
    pixels = scene(96, 96)
    found = [calotype.encode(pixels, 60, tune="psnr", effort=2, threads=1) for _ in range(2)]
    assert found[0] == found[1]


def _coded(pack: Pack, pixels: NDArray[np.uint8]) -> tuple[Networks, latents.Latents, Any]:
    networks = Networks(pack, pack.level(768), 1)
    coded = latents.quantise(networks, pack.encoder.analysis(pixels)[None])
    words = latents.restored(networks, coded).transpose(2, 0, 1)[None]
    return networks, coded, words * pack.unit[:, None, None]


@pytest.mark.parametrize("restored", [False, True])
@pytest.mark.parametrize("worth", [Worth(0.5), Worth(0.0, 2.0)])
def test_slopes_are_those_of_what_is_shown(pack: Pack, scene: Scene, worth: Worth, restored: bool) -> None:
    """Finite differences of what the graphs themselves give, along random directions; their errors are those
    of the decoder's pixels.
    """
    pixels = scene(128, 144) // 2 + 60  # far from 0 and 255, where clipping has a slope of its own
    networks, coded, y_hat = _coded(pack, pixels)
    arrays = tensors.load(pack.file(manifest.NETWORKS))
    taps = networks.level.pixels.restoration
    assert taps is not None
    # The same for all kinds of places, which may change on the way, and of which slopes know nothing.
    level = LevelPixels(networks.level.vector, np.tile(taps[0], (len(taps), 1)) if restored else None)
    slopes = Slopes(arrays, pack.unit, looks=worth.look > 0)
    target = slopes.target(pixels[None], worth)
    error, slope = slopes.run(y_hat, level, target)
    decoded = pack.decoder.synthesis(level, latents.restored(networks, coded))
    square = float(np.square(decoded.astype(float) - pixels).sum())
    if not worth.look:
        assert error == pytest.approx(worth.error * square, rel=0.02)
    rng = np.random.default_rng(0)
    for _ in range(3):
        way = (slope + rng.normal(0, np.abs(slope).mean(), slope.shape)).astype(np.float32)
        way *= np.float32(0.004) / np.abs(way).max()  # small: ReLUs have kinks
        up, down = (slopes.run(y_hat + sign * way, level, target)[0] for sign in (1, -1))
        assert (up - down) / 2 == pytest.approx(float((slope * way).sum()), rel=0.02)


def test_the_search_sees_what_a_decoder_shows(pack: Pack, scene: Scene) -> None:
    """Behind the filter: the error in front of it is another."""
    pixels = scene(128, 128, seed=3)
    networks, coded, _ = _coded(pack, pixels)
    tile = refine.Tile(pack.encoder.analysis(pixels)[None], pixels[None], Box(0, 0, 8, 8))
    search = refine._Search(networks, refine.tools(pack, 1), tile, Worth(1.0))
    seen = search.distortion(search.y_hat(coded.r))[0]
    words = latents.restored(networks, coded)

    def error(level: LevelPixels) -> float:
        return float(np.square(pack.decoder.synthesis(level, words).astype(float) - pixels).sum())

    behind, before = (
        error(level) for level in (networks.level.pixels, LevelPixels(networks.level.vector, None))
    )
    assert abs(seen - behind) < abs(seen - before) / 3


def test_the_look_is_ssimulacra2(scene: Scene) -> None:
    """Of pictures that differ in their middle, for borders are not as in the definition."""
    pixels = scene(416, 432)
    other, rng = pixels.copy(), np.random.default_rng(0)
    inner = slice(176, -176)  # 11 samples at the coarsest scale
    other[inner, inner] = pixels[inner, inner] // 4 * 3 + rng.integers(0, 60, (64, 80, 3))
    first, second = (np.ascontiguousarray(p.transpose(2, 0, 1)[None], np.float32) for p in (pixels, other))
    reference, tape = session.session(look.reference()), Tape()
    names = [output.name for output in reference.get_outputs()]
    lost, _ = look.points(tape, "pixels", "worth")
    graph = session.session(tape.file({"pixels": 4, "worth": 0, **look.inputs()}, {"lost": lost}, {}))
    scalars = {"worth": np.array(1, np.float32), "part": np.array(1, np.float32)}
    feeds = dict(zip(names, reference.run(names, {"pixels": first}))) | scalars
    expected = 100 - ssimulacra2(pixels, other)
    assert 5 < expected < 90
    assert float(graph.run(None, {"pixels": second, **feeds})[0].item()) == pytest.approx(expected, rel=1e-4)
    assert float(graph.run(None, {"pixels": first, **feeds})[0].item()) < 0.1


def test_tables_are_those_of_the_nearest_integers(pack: Pack, scene: Scene) -> None:
    """What lies between integers is no smaller than what it is nearest to."""
    pixels = scene(64, 128)
    networks = _coded(pack, pixels)[0]
    y = pack.encoder.analysis(pixels)[None]
    part = refine.Tile(y, pixels[None], Box(0, 0, 8, 4))
    search = refine._Search(networks, refine.tools(pack, 1), part, Worth(1e-3))
    whole = search.start.r
    near = whole - 0.3 * np.sign(whole)
    assert (np.trunc(near) != whole).any()
    np.testing.assert_array_equal(search.tables(near), search.tables(whole))


def _tables(pack: Pack, rng: np.random.Generator, count: int) -> NDArray[np.uint8]:
    """So many tables of the first quantiser, of those that code anything."""
    coding = [k for k in range(latents.SECOND) if k % latents.CLASSES]
    return rng.choice(coding, count).astype(np.uint8)


def test_prices_are_those_of_the_coder(pack: Pack) -> None:
    rng = np.random.default_rng(1)
    index = _tables(pack, rng, 500)
    values = np.rint(rng.normal(0, 8, 500))
    prices = Prices(pack.r_tables, latents.CLASSES)
    bits = prices.at(values, index)

    def in_its_quantiser(value: NDArray[np.int32]) -> NDArray[np.float64]:
        number = np.sign(value) * ((np.abs(value) + 1) // 2)
        costs = [pack.r_tables.bits(number, index.astype(np.int32) + k * latents.SECOND) for k in (0, 1)]
        return np.where(value == 0, (costs[0] + costs[1]) / 2, np.where(value % 2, costs[1], costs[0]))

    exact = in_its_quantiser(values.astype(np.int32))
    above = in_its_quantiser(values.astype(np.int32) + 1)
    np.testing.assert_allclose(bits, exact, atol=1e-4)
    middle = prices.at(values + 0.5, index)
    np.testing.assert_allclose(middle, (exact + above) / 2, atol=1e-3)
    assert np.isfinite(prices.at(np.array([1e6, -1e6]), np.array([5, 5], np.uint8))).all()
    assert REACH >= 255


def test_expected_integers(pack: Pack) -> None:
    """Cold the cheapest integer nearby; with heat a mean between, with much heat the middle one."""
    rng = np.random.default_rng(2)
    index = _tables(pack, rng, 400)
    bottom = rng.normal(0, 3, 400).astype(np.float32)
    curvature = np.full(400, 8, np.float32)
    prices = Prices(pack.r_tables, latents.CLASSES)
    cold = np.rint(prices.expected(bottom, curvature, index, 1e-4))
    every = np.arange(-20, 21)[:, None]
    costs = prices.at(every + 0 * bottom, index) + curvature * (every - bottom) ** 2
    chosen = prices.at(cold, index) + curvature * (cold - bottom) ** 2
    assert (np.abs(chosen - costs.min(0)) < 1e-3).mean() > 0.9  # the rest would be cheaper still at 0
    warm = prices.expected(bottom, curvature, index, 0.05)
    assert np.median(np.abs(warm - cold)) < 0.01
    hot = prices.expected(bottom, curvature, index, 1e6)
    np.testing.assert_allclose(hot, np.rint(bottom), atol=0.01)


def test_the_written_file_is_what_onnx_runtime_runs() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        onnx_writer.Node("Conv", ["x", "w"], ["t"], {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}),
        onnx_writer.Node("Relu", ["t"], ["y"]),
    ]
    data = onnx_writer.model(nodes, {"w": weight}, {"x": 4}, {"y": 4})
    x = rng.normal(size=(1, 3, 5, 6)).astype(np.float32)
    expected = session.session(data).run(None, {"x": x})[0]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    mine = np.maximum(np.einsum("bchwij,ocij->bohw", windows, weight), 0)
    np.testing.assert_allclose(mine, expected, atol=1e-5)


def test_without_onnx_runtime_effort_says_what_to_install(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And everything else works."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    picture = scene(64, 64)
    data = calotype.encode(picture, 50, tune="psnr")
    assert calotype.decode(data).size == (64, 64)
    with pytest.raises(calotype.CalotypeError, match=r"effort.*pip install 'calotype\[effort\]'") as caught:
        calotype.encode(picture, 50, tune="psnr", effort=1)
    assert "\n" not in str(caught.value)
