"""Encoder effort: the same format, better files; its gradients are those of the networks."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import calotype
from calotype.codec import latents
from calotype.codec.decoder import decode
from calotype.codec.effort import graphs, onnx_writer
from calotype.codec.effort.gradients import Tape
from calotype.codec.effort.rates import REACH, Prices
from calotype.codec.effort.refine import soften, tools
from calotype.codec.effort.slopes import Slopes
from calotype.codec.effort.worth import worth
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.codec.runtime import session

Scene = Callable[..., NDArray[np.uint8]]


def _cost(data: bytes, pixels: NDArray[np.uint8], bits: float) -> float:
    decoded = np.asarray(calotype.decode(data), np.int64)
    return 8 * len(data) + bits * float(np.square(decoded - pixels).sum())


def test_files_are_better(pack: Pack, scene: Scene) -> None:
    pixels = scene(192, 256, seed=3)
    level = pack.level_of(40)
    bits = worth(pack, level, pixels[None])
    assert bits > 0
    costs = []
    for effort in (0, 4):
        data = encode(Picture.from_array(pixels), quality=40, effort=effort, pack=pack, threads=1).data
        costs.append(_cost(data, pixels, bits))
    assert costs[1] < 0.995 * costs[0]


@pytest.mark.parametrize("size", [(1, 1), (70, 33), (200, 150)])
def test_any_size_grey_and_alpha(scene: Scene, size: tuple[int, int]) -> None:
    pixels = scene(*size)
    alpha = np.full((*size, 1), 128, np.uint8)
    for picture in (pixels, pixels[..., :1], np.concatenate((pixels, alpha), 2)):
        image = calotype.decode(calotype.encode(picture, 50, effort=1, threads=1))
        assert image.size == size[::-1]


def test_several_tiles(pack: Pack, scene: Scene) -> None:
    """Each tile looks at its neighbours' latents; the file decodes, and no worse than without."""
    pixels = scene(150, 200, seed=5)
    bits = worth(pack, pack.level_of(30), pixels[None, :144, :192])
    costs = []
    for effort in (0, 3):
        data = encode(Picture.from_array(pixels), quality=30, effort=effort, tile=64, threads=2).data
        costs.append(_cost(data, pixels, bits))
    assert costs[1] < costs[0]


def test_flat_picture() -> None:
    flat = np.full((64, 64, 3), 77, np.uint8)
    one_pass = np.asarray(calotype.decode(calotype.encode(flat, 50)), int)
    decoded = np.asarray(calotype.decode(calotype.encode(flat, 50, effort=2)), int)
    assert np.abs(decoded - 77).max() <= np.abs(one_pass - 77).max() + 1


def test_target_is_met_with_effort(scene: Scene) -> None:
    pixels = scene(160, 160, seed=2)
    size = len(calotype.encode(pixels, 45, threads=1))
    data = calotype.encode(pixels, target_size=size, effort=1, threads=1)
    assert 0.99 * size <= len(data) <= size
    psnr = encode(Picture.from_array(pixels), quality=45, threads=1)
    reached = decode(psnr.data).picture.pixels.astype(int)
    value = 10 * np.log10(255**2 / np.mean((reached - pixels) ** 2))
    coded = calotype.encode(pixels, target_psnr=float(value), effort=1, threads=1)
    got = 10 * np.log10(255**2 / np.mean((np.asarray(calotype.decode(coded), int) - pixels) ** 2))
    assert abs(got - value) <= 0.01 * value


def test_pillow_and_range(scene: Scene) -> None:
    stream = io.BytesIO()
    Image.fromarray(scene(64, 64)).save(stream, "CALO", quality=50, effort=1)
    assert Image.open(stream).size == (64, 64)
    for wrong in (-1, 10, 1.5):
        with pytest.raises(ValueError, match="effort must be"):
            calotype.encode(scene(16, 16), effort=wrong)  # type: ignore[arg-type]


def test_same_file_twice(scene: Scene) -> None:
    pixels = scene(96, 96)
    assert calotype.encode(pixels, 60, effort=2, threads=1) == calotype.encode(
        pixels, 60, effort=2, threads=1
    )


def _coded(pack: Pack, pixels: NDArray[np.uint8]) -> tuple[Networks, latents.Latents, Any]:
    networks = Networks(pack, pack.level(768), 1)
    coded = latents.quantise(networks, networks.run("analysis", pixels=pixels[None])[0])
    return networks, coded, latents.restore(networks, coded.z, coded.r, *coded.r.shape[-2:])


def test_slopes_are_those_of_the_synthesis(pack: Pack, scene: Scene) -> None:
    """Finite differences of the error that the graph itself gives, along random directions."""
    pixels = scene(64, 128) // 2 + 60  # far from 0 and 255, where clipping has a slope of its own
    networks, _, y_hat = _coded(pack, pixels)
    slopes, level = Slopes(pack.file("synthesis.onnx")), networks.level.feeds["level"]
    target = slopes.layout(pixels[None])
    error, slope = slopes.run(y_hat, level, target)
    decoded = networks.run("synthesis", y_hat=y_hat)[0].astype(float)
    assert error == pytest.approx(float(np.square(decoded - pixels).sum()), rel=0.02)
    rng = np.random.default_rng(0)
    for _ in range(3):
        way = (slope + rng.normal(0, np.abs(slope).mean(), slope.shape)).astype(np.float32)
        way *= np.float32(0.05) / np.abs(way).max()
        up, down = (slopes.run(y_hat + sign * way, level, target)[0] for sign in (1, -1))
        assert (up - down) / 2 == pytest.approx(float((slope * way).sum()), rel=0.02)


def test_tape_agrees_with_the_runtime_and_with_slopes(pack: Pack, scene: Scene) -> None:
    pixels = scene(64, 128) // 2 + 60
    networks, coded, y_hat = _coded(pack, pixels)
    feeds = networks.level.feeds
    means = tools(pack, 1).means
    out, back = means(z=coded.z, r=coded.r, z_mul=feeds["z_mul"], inv_gain=feeds["inv_gain"])
    assert np.abs(out - y_hat).max() < 0.05 * np.abs(y_hat).max()
    # What comes back for r has at least the part of its own latent: inv_gain times the slope.
    ones = np.zeros_like(out)
    ones[0, 3, 1, 0] = 1  # of the last phase, on which nothing depends
    slope = back(ones)["r"]
    assert slope[0, 3, 1, 0] == pytest.approx(feeds["inv_gain"][3], rel=1e-5)
    synthesis = Tape(pack.file("synthesis.onnx"), ("y_hat",))
    slopes = Slopes(pack.file("synthesis.onnx"))
    decoded, through = synthesis(y_hat=y_hat, level=feeds["level"])
    mine = through(2 * (decoded - 0.5 - pixels[None].astype(np.float32)))["y_hat"]
    theirs = slopes.run(y_hat, feeds["level"], slopes.layout(pixels[None]))[1]
    assert np.abs(mine - theirs).max() < 1e-3 * np.abs(theirs).max()


def test_prices_are_those_of_the_coder(pack: Pack) -> None:
    rng = np.random.default_rng(1)
    index = rng.integers(1, len(pack.r_tables), 500).astype(np.uint8)
    values = np.rint(rng.normal(0, 8, 500))
    prices = Prices(pack.r_tables)
    bits, rise = prices.at(values, index)
    exact = pack.r_tables.bits(values.astype(np.int32), index)
    above = pack.r_tables.bits(values.astype(np.int32) + 1, index)
    np.testing.assert_allclose(bits, exact, atol=1e-4)
    np.testing.assert_allclose(rise, above - exact, atol=1e-3)
    middle, _ = prices.at(values + 0.5, index)
    np.testing.assert_allclose(middle, (exact + above) / 2, atol=1e-3)
    assert np.isfinite(prices.at(np.array([1e6, -1e6]), np.array([5, 5], np.uint8))[0]).all()
    assert REACH >= 255


def test_soft_rounding_hardens() -> None:
    values = np.linspace(-2, 2, 801).astype(np.float32)
    near = np.abs(values - np.rint(values)) < 0.45
    low, up, _ = soften(values, 0.05)
    np.testing.assert_allclose((low + up)[near], np.rint(values)[near], atol=0.01)
    low, up, rise = soften(values, 0.5)
    step = np.float32(1e-3)
    inside = np.abs(values - np.floor(values) - 0.5) < 0.4
    found = (soften(values + step, 0.5)[1] - soften(values - step, 0.5)[1]) / (2 * step)
    np.testing.assert_allclose(rise[inside], found[inside], rtol=0.05, atol=0.02)
    assert (np.diff(low + up) >= -1e-5).all()


def test_reader_and_writer_agree() -> None:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(4, 3, 3, 3)).astype(np.float32)
    nodes = [
        graphs.Node("Conv", ["x", "w"], ["t"], {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}),
        graphs.Node("Relu", ["t"], ["y"]),
    ]
    data = onnx_writer.model(nodes, {"w": weight}, {"x": 4}, {"y": 4})
    found = graphs.read(data)
    assert found.nodes == nodes
    assert found.outputs == ["y"]
    np.testing.assert_array_equal(found.constants["w"], weight)
    x = rng.normal(size=(1, 3, 5, 6)).astype(np.float32)
    expected = session(data).run(None, {"x": x})[0]
    mine, back = Tape(data, ("x",))(x=x)
    np.testing.assert_allclose(mine, expected, atol=1e-5)
    way = rng.normal(size=x.shape).astype(np.float32) * np.float32(1e-3)
    weights = rng.normal(size=mine.shape).astype(np.float32)
    slope = back(weights)["x"]
    up, down = (float((session(data).run(None, {"x": x + s * way})[0] * weights).sum()) for s in (1, -1))
    assert (up - down) / 2 == pytest.approx(float((slope * way).sum()), rel=0.05, abs=1e-3)


def test_unknown_operations_are_refused() -> None:
    nodes = [graphs.Node("Softmax", ["x"], ["y"])]
    data = onnx_writer.model(nodes, {}, {"x": 4}, {"y": 4})
    with pytest.raises(ValueError, match="no derivative of Softmax"):
        Tape(data, ("x",))
    with pytest.raises(ValueError, match="does not clip"):
        Slopes(data)
