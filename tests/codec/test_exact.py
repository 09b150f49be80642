"""What decides what bytes mean, and what an encoder makes of pixels, is the same integers everywhere."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest

from calotype.codec import latents, manifest, tensors
from calotype.codec.encoder import encode
from calotype.codec.image import Picture
from calotype.codec.latents import Networks
from calotype.codec.pack import Pack
from calotype.coder import DecoderNetworks, EncoderNetworks, LatentCoder
from calotype.coder.latents import kernels
from calotype.coder.native import load


def analysed(pack: Pack, pixels: np.ndarray) -> np.ndarray:
    """Latents [1, M, h, w] of pixels [1, 16h, 16w, 3]."""
    return pack.encoder.analysis(pixels[0])[None]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (17, 24)])
def test_classes_are_identical_with_every_kernel(pack: Pack, shape: tuple[int, int]) -> None:
    height, width = shape
    limit, channels = pack.manifest.z_limit, pack.manifest.hyper_latents
    rng = np.random.default_rng(5)
    cells, whole = (channels, (height + 1) // 2, (width + 1) // 2), (pack.manifest.latents, height, width)
    cases = [
        (rng.integers(-limit, limit + 1, cells), rng.integers(-32767, 32768, whole)),
        (np.rint(rng.laplace(0, 6, cells)).clip(-limit, limit), np.rint(rng.laplace(0, 1, whole))),
        (np.full(cells, limit), np.zeros(whole)),
        (rng.choice([-limit, limit], cells), rng.choice([-1, 0, 1], whole)),
    ]
    arrays = tensors.load(pack.file(manifest.TABLES))
    coders = [LatentCoder(arrays, pack.z_tables, pack.r_tables, kernel=kernel) for kernel in kernels()]
    for number in (0, 77, pack.manifest.max_level // 2 + 1, pack.manifest.max_level):
        level = pack.level(number).parser
        for z, r in cases:
            found = [coder.classes(level, z.astype(np.int32), r.astype(np.int32)) for coder in coders]
            for other in found[1:]:
                assert np.array_equal(found[0].index, other.index)
                assert np.array_equal(found[0].z_table, other.z_table)
                assert np.array_equal(found[0].r, other.r)


def test_the_encoders_classes_are_the_coders(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    """What the encoder chooses is 0 where nothing is coded; the coder would refuse another decision."""
    y = analysed(pack, scene(112, 144)[None])
    for number in (0, 333, pack.manifest.max_level):
        networks = Networks(pack, pack.level(number))
        coded = latents.quantise(networks, y)
        settled = latents.settled(networks, coded)
        assert settled.index is not None
        assert (settled.index == latents.SKIP).any()
        assert np.array_equal(settled.r, coded.r)
        assert latents.write(networks, coded)


def test_decoder_reads_what_the_encoder_wrote(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    networks = Networks(pack, pack.level(pack.level_of(60)))
    pixels = scene(100, 140)
    whole = np.pad(pixels, ((0, 12), (0, 4), (0, 0)), mode="edge")[None]
    y = analysed(pack, whole)
    coded = latents.settled(networks, latents.quantise(networks, y))
    assert coded.index is not None
    assert (coded.r[coded.index == 0] == 0).all()
    assert coded.r.shape[2:] == coded.index.shape[2:] == (7, 9)
    assert (coded.index > 0).any()
    z, r = latents.read(networks, latents.write(networks, coded), 7, 9)
    assert np.array_equal(z, coded.z[0])
    assert np.array_equal(r, coded.r[0])


def test_the_encoder_predicts_the_decoder(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    """What is subtracted is added again: latents are off by little more than half a step."""
    networks = Networks(pack, pack.level(pack.manifest.max_level))
    pixels = scene(192, 192)
    y = analysed(pack, pixels[None])
    coded = latents.settled(networks, latents.quantise(networks, y))
    assert coded.index is not None
    words = latents.restored(networks, coded)
    y_hat = words.transpose(2, 0, 1)[None] * pack.unit[:, None, None]
    error = (y_hat - y) / latents.steps(networks, 12, 12)
    coded_well = coded.index > 0
    assert np.abs(error[coded_well]).mean() < 0.6  # steps; a uniform error of half a step has mean 0.25


@pytest.fixture(scope="module")
def decoders(pack: Pack) -> list[DecoderNetworks]:
    """The networks of the pack's decoder, with every kernel."""
    arrays = tensors.load(pack.file(manifest.NETWORKS))
    return [DecoderNetworks(arrays, kernel=name) for name in kernels()]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (8, 12), (13, 9)])
@pytest.mark.parametrize("quality", [0, 37.5, 100])
def test_encoder_and_decoder_agree_to_the_last_bit(
    pack: Pack,
    scene: Callable[..., np.ndarray],
    decoders: list[DecoderNetworks],
    shape: tuple[int, int],
    quality: float,
) -> None:
    """Latents, pixels and classes of what an encoder has in its hands, and of what is read from its bytes."""
    height, width = shape
    networks = Networks(pack, pack.level(pack.level_of(quality)))
    y = analysed(pack, scene(16 * height, 16 * width)[None])
    coded = latents.quantise(networks, y)
    z, r = latents.read(networks, latents.write(networks, coded), height, width)
    mine, theirs = latents.restored(networks, coded), latents.restore(networks, z, r)
    assert np.array_equal(mine, theirs)
    assert np.array_equal(latents.restored(networks, latents.settled(networks, coded)), theirs)
    level = networks.level.pixels
    pixels = pack.decoder.synthesis(level, theirs)
    for decoder in decoders:
        assert np.array_equal(decoder.restore(networks.level.steps, z, r), theirs)
        assert np.array_equal(decoder.synthesis(level, mine), pixels)


def test_every_kernel_and_number_of_threads_makes_the_same_file(
    pack: Pack, scene: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = scene(620, 640)  # several windows, where workers share it
    files = {encode(Picture(pixels), quality=60, pack=pack, threads=n, tile=128).data for n in (1, 2, 5)}
    arrays = tensors.load(pack.file(manifest.ENCODER))
    for name in kernels():
        monkeypatch.setattr(pack, "_encoder", EncoderNetworks(arrays, kernel=name))
        files.add(encode(Picture(pixels), quality=60, pack=pack, threads=2, tile=128).data)
    assert len(files) == 1


@pytest.mark.parametrize(
    ("height", "width"), [(16, 16), (16, 400), (400, 16), (48, 80), (208, 176), (320, 272)]
)
def test_two_threads_within_a_tile(
    pack: Pack, scene: Callable[..., np.ndarray], height: int, width: int
) -> None:
    """One makes what the other waits for; what comes of it is the same, every time."""
    pixels, level = scene(height, width), pack.level(700)
    gain = np.concatenate((level.gains["low_gain"][-1], level.gains["high_gain"][-1]))

    def made(threads: int) -> tuple[bytes, ...]:
        y = pack.encoder.analysis(pixels, threads)
        z = pack.encoder.hyper(y, gain, level.steps.z_mul, pack.manifest.z_limit, threads)
        coded = latents.quantise(Networks(pack, level, threads), y[None])
        assert coded.payload is not None
        return y.tobytes(), z.tobytes(), coded.r.tobytes(), coded.payload

    one = made(1)
    assert all(made(2) == one for _ in range(3))


def test_threads_that_share_a_tile_make_the_same_file(pack: Pack, scene: Callable[..., np.ndarray]) -> None:
    """With text over it, too, which is looked for beside the analysis."""
    pixels = scene(220, 300)
    pixels[60:64:2, 40:200] = 250
    pixels[40:90, 60:64:2] = 250
    files = {encode(Picture(pixels), quality=60, pack=pack, threads=n).data for n in (1, 2, 3, 4)}
    assert len(files) == 1


def test_arrays_in_any_order_are_the_same_networks(tiny: Pack, scene: Callable[..., np.ndarray]) -> None:
    """The faces in Python hand the native code rows first; of others it makes copies, and reads those."""

    def turned(name: str) -> dict[str, np.ndarray]:
        arrays = tensors.load(tiny.file(name)).items()
        return {
            key: np.asfortranarray(array) for key, array in arrays if array.ndim in (1, 4) and key != "unit"
        }

    native = load()
    pixels, level = scene(48, 80), tiny.level(77)
    encoder = copy.copy(tiny.encoder)
    encoder.native = native.EncoderNetworks(turned(manifest.ENCODER), "")
    y = encoder.analysis(pixels)
    assert np.array_equal(y, tiny.encoder.analysis(pixels))
    networks = Networks(tiny, level)
    coded = latents.quantise(networks, y[None])
    z, r = latents.read(networks, latents.write(networks, coded), 3, 5)

    decoder = copy.copy(tiny.decoder)
    decoder.native = native.Networks(turned(manifest.NETWORKS), "")
    words = decoder.restore(level.steps, z, r)
    assert np.array_equal(words, tiny.decoder.restore(level.steps, z, r))
    assert np.array_equal(decoder.synthesis(level.pixels, words), tiny.decoder.synthesis(level.pixels, words))

    coder = copy.copy(tiny.coder)
    arrays = {k: a for k, a in turned(manifest.TABLES).items() if k.startswith(("hyper.", "scales."))}
    biases = {name: arrays.pop(name) for name in list(arrays) if name.endswith(".bias")}
    coder._native = native.Latents(arrays, biases, tiny.z_tables.native, tiny.r_tables.native, "")
    assert np.array_equal(
        coder.classes(level.parser, z, r).index, tiny.coder.classes(level.parser, z, r).index
    )
