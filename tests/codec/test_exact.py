"""The path that decides what bytes mean gives the same integers with any settings of the runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from calotype.bitstream import parse
from calotype.codec import latents
from calotype.codec.decoder import decode
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.codec.runtime import Graph

SETTINGS = [(threads, optimisation) for threads in (1, 2) for optimisation in (0, 1, 2, 99)]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (16, 16)])
def test_classes_are_identical_with_any_threads_and_optimisation(pack: Pack, shape: tuple[int, int]) -> None:
    data = (pack.path / "scales.onnx").read_bytes()
    limit, channels = pack.manifest.z_limit, pack.manifest.hyper_latents
    rng = np.random.default_rng(5)
    cases = [
        rng.integers(-limit, limit + 1, (1, channels, *shape)),
        np.rint(rng.laplace(0, 6, (1, channels, *shape))).clip(-limit, limit),
        np.full((1, channels, *shape), limit),
        rng.choice([-limit, limit], (1, channels, *shape)),
    ]
    graphs = [Graph("scales", data, threads, optimisation) for threads, optimisation in SETTINGS]
    for number in (0, 77, pack.manifest.max_level // 2 + 1, pack.manifest.max_level):
        for z in cases:
            feeds = {**pack.level(number).feeds, "z": z.astype(np.float32)}
            results = [graph.run(feeds)[0] for graph in graphs]
            assert results[0].dtype == np.uint8
            assert results[0].max() < len(pack.r_tables)
            assert all(np.array_equal(results[0], other) for other in results[1:])


def test_a_window_of_the_hyper_latents_does_not_change_under_translation_of_memory(pack: Pack) -> None:
    """Vector kernels treat the first and last elements of a row differently: odd widths must not matter."""
    limit, channels = pack.manifest.z_limit, pack.manifest.hyper_latents
    rng = np.random.default_rng(6)
    z = rng.integers(-limit, limit + 1, (1, channels, 9, 17)).astype(np.float32)
    networks = Networks(pack, pack.level(300))
    whole = networks.run("scales", z=z)[0]
    reach = 4  # hyper-latents; beyond the scales network's receptive field
    part = networks.run("scales", z=np.ascontiguousarray(z[..., :, 3:]))[0]
    assert np.array_equal(part[..., 4 * reach :], whole[..., 4 * (3 + reach) :])


@pytest.mark.parametrize("optimisation", [0, 1, 2])
def test_files_decode_with_every_optimisation(
    pack: Pack, scene: Callable[..., np.ndarray], optimisation: int
) -> None:
    data = encode(Picture(scene(100, 140)), quality=75, pack=pack).data
    other = Pack(pack.path, optimisation=optimisation)
    file = parse(data)
    expected = latents.read(Networks(pack, pack.level(file.header.level)), file.tiles[0], 7, 9)
    got = latents.read(Networks(other, other.level(file.header.level), 2), file.tiles[0], 7, 9)
    assert all(np.array_equal(a, b) for a, b in zip(expected, got))
    difference = decode(data, pack=other).picture.pixels.astype(int) - decode(data, pack=pack).picture.pixels
    assert np.abs(difference).max() <= 1


def test_decoder_reads_what_the_encoder_wrote(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    networks = Networks(pack, pack.level(pack.level_of(60)))
    pixels = scene(100, 140)
    y = pack.graph("analysis").run({"pixels": np.pad(pixels, ((0, 12), (0, 4), (0, 0)), mode="edge")[None]})[
        0
    ]
    coded = latents.quantise(networks, y)
    assert (coded.r[coded.index == 0] == 0).all()
    assert (coded.index[..., 7:, :] == 0).all()
    assert (coded.index[..., 9:] == 0).all()
    assert (coded.index > 0).any()
    z, r = latents.read(networks, latents.write(networks, coded), 7, 9)
    assert np.array_equal(z, coded.z)
    assert np.array_equal(r, coded.r)


def test_the_encoder_predicts_the_decoder(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    """Latent encoder and latent decoder use the same means: what is subtracted is added again."""
    networks = Networks(pack, pack.level(pack.manifest.max_level))
    pixels = scene(192, 192)
    y = pack.graph("analysis").run({"pixels": pixels[None]})[0]
    coded = latents.quantise(networks, y)
    y_hat = latents.restore(networks, coded.z, coded.r, 12, 12)
    error = (y_hat - y) * networks.level.feeds["gain"][None, :, None, None]
    coded_well = coded.index > 0
    assert np.abs(error[coded_well]).mean() < 0.6  # steps; a uniform error of half a step has mean 0.25
