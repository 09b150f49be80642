"""Parameters, multiply-accumulates and shapes of the published sizes, to the last digit (CompressAI,
official code).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from tests.conftest import every

from calotype.bench.codecs import _counts
from calotype.lab import registry
from calotype.lab.analysis import complexity
from calotype.lab.entropy import FactorizedPrior
from calotype.lab.layers.integer import IntConv
from calotype.lab.models.base import LabModel
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_levels import Knobs
from calotype.lab.pack.exact import integer_arrays
from calotype.lab.pack.fixed_analysis import encoder_arrays

PARAMETERS = [
    ("balle2018-factorized", {}, 2_998_147),
    ("balle2018-factorized", {"n": 192, "m": 320}, 7_030_531),
    ("balle2018-hyperprior", {}, 5_075_843),
    ("balle2018-hyperprior", {"n": 192, "m": 320}, 11_816_323),
    ("minnen2018-mean-scale", {}, 7_028_003),
    ("minnen2018-mean-scale", {"n": 192, "m": 320}, 17_561_699),
    ("minnen2018-autoregressive", {}, 14_130_467),
    ("minnen2018-autoregressive", {"m": 320}, 25_504_596),
    ("cheng2020-anchor", {}, 11_833_149),
    ("cheng2020-anchor", {"n": 192}, 26_598_956),
    ("cheng2020-attention", {}, 13_183_293),
    ("cheng2020-attention", {"n": 192}, 29_631_788),
    ("he2021-cheng", {"n": 192}, 26_598_956),
    ("he2021-minnen", {}, 14_130_467),
    ("he2022-elic", {}, 32_074_200),
    ("he2022-elic-chandelier", {}, 33_792_771),
    ("hu2020-low", {}, 21_142_979),
    ("hu2020-high", {}, 72_694_659),
    ("xie2021-invcompress", {}, 43_264_827),
    ("xie2021-invcompress", {"n": 192}, 50_032_618),
]

# kMAC per pixel at 256 x 256, exact rule
MACS = [
    ("balle2018-factorized", {}, {"g_a": 42.18, "g_s": 42.18}),
    ("balle2018-factorized", {"n": 192, "m": 320}, {"g_a": 93.70, "g_s": 93.70}),
    ("balle2018-hyperprior", {}, {"total": 87.1}),
    ("minnen2018-mean-scale", {}, {"total": 91.1}),
    ("minnen2018-autoregressive", {}, {"g_a": 91.30, "total": 201.7}),
    ("minnen2018-autoregressive", {"m": 320}, {"total": 236.6}),
    ("cheng2020-anchor", {}, {"g_a": 164.86, "g_s": 251.90, "total": 426.6}),
    ("cheng2020-anchor", {"n": 192}, {"g_a": 370.22, "g_s": 564.19, "total": 956.6}),
    ("cheng2020-attention", {}, {"g_a": 187.17, "g_s": 274.21, "total": 471.2}),
    ("he2022-elic", {}, {"g_a": 254.97, "g_s": 254.97}),
    (
        "hu2020-low",
        {},
        {"g_a": 91.30, "predict2": 25.92, "predict3": 58.32, "aggregate": 660.1, "total": 934.5},
    ),
    ("hu2020-high", {}, {"total": 3648.1}),
]

LATENTS = [
    ("balle2017", {}, {"y": (128, 16, 16)}),
    ("balle2018-hyperprior", {"n": 192, "m": 320}, {"y": (320, 16, 16), "z": (192, 4, 4)}),
    ("minnen2020-charm", {}, {"y": (320, 16, 16), "z": (192, 4, 4)}),
    ("he2022-elic", {}, {"y": (320, 16, 16), "z": (192, 4, 4)}),
    ("hu2020-low", {}, {"y": (192, 16, 16), "z2": (256, 8, 8), "z1": (128, 4, 4)}),
]


def on_meta(name: str, config: dict[str, int]) -> LabModel:
    with torch.device("meta"):
        return registry.build(name, **config)


@pytest.mark.parametrize(("name", "config", "count"), PARAMETERS)
def test_parameters(name: str, config: dict[str, int], count: int) -> None:
    assert complexity.parameters(on_meta(name, config)) == count


def test_charm_without_its_prior() -> None:
    counts = complexity.part_parameters(on_meta("minnen2020-charm", {}))
    assert counts.pop("prior") == 61 * 192
    assert sum(counts.values()) == 113_976_323


@pytest.mark.parametrize("name", every(2, ["toderici2016", "toderici2017-lstm"]))
def test_recurrent_networks(name: str) -> None:
    """Encoder, binarizer, decoder of the PyTorch reference; kMAC/px of one iteration."""
    counts = complexity.part_parameters(on_meta(name, {}))
    parts = counts["encoder"], counts["binarizer"], counts["decoder"]
    assert parts == (17_106_624, 16_384, 18_333_792)
    assert sum(parts) == 35_456_800
    macs = complexity.kmacs_per_pixel(on_meta(name, {"iterations": 2}))
    found = (macs["encoder"] + macs["binarizer"]) / 2, macs["decoder"] / 2
    assert found == pytest.approx((184.75 + 0.064, 536.74), abs=0.006)
    assert complexity.latent_shapes(on_meta(name, {}))["b"] == (16 * 32, 16, 16)  # 1/8 bpp for each iteration


def test_nlaic_without_its_prior() -> None:
    """The authors' five networks: encoder, hyper-decoder, decoder, features of z, context."""
    counts = complexity.part_parameters(on_meta("chen2021-nlaic", {}))
    assert counts.pop("prior") == 61 * 128
    assert counts["g_a"] + counts["h_a"] == 24_554_720
    assert counts["h_s"] == 8_815_584
    assert counts["g_s"] == 15_905_091
    assert counts["features"] == 2_655_744
    assert counts["side"] + counts["context"] == 702_537
    assert sum(counts.values()) == 52_633_676


@pytest.mark.parametrize("channels", [1, 128, 192])
def test_prior_has_61_per_channel(channels: int) -> None:
    assert complexity.parameters(FactorizedPrior(channels)) == 61 * channels


@pytest.mark.parametrize(("name", "config", "expected"), every(3, MACS))
def test_macs(name: str, config: dict[str, int], expected: dict[str, float]) -> None:
    found = complexity.kmacs_per_pixel(on_meta(name, config))
    for part, value in expected.items():
        assert found[part] == pytest.approx(value, abs=0.006 if round(value, 1) != value else 0.06), part


def test_charm_entropy_macs() -> None:
    found = complexity.kmacs_per_pixel(on_meta("minnen2020-charm", {}))
    assert round(found["total"] - found["g_a"] - found["g_s"], 1) == 393.3


def test_counting_rules_differ_as_stated() -> None:
    """One transposed convolution and one GDN, counted by hand."""
    net = torch.nn.Sequential(torch.nn.ConvTranspose2d(4, 6, 5, 2, 2, 1), torch.nn.Linear(10, 7))

    def run(t: torch.nn.Module) -> None:
        t(torch.empty(1, 4, 5, 5, device="meta"))

    taps = 4 * 6 * 25
    linear = 6 * 10 * 10 * 7
    assert complexity.macs(net, run, "exact") == {"0": taps * 25, "1": linear}
    assert complexity.macs(net, run, "layers") == {"0": taps * 25, "1": linear}
    assert complexity.macs(net, run, "ptflops") == {"0": taps * 100 + 600, "1": linear + 6 * 10 * 7}
    with pytest.raises(ValueError, match="rule"):
        complexity.macs(net, run, "guess")
    with pytest.raises(ValueError, match="rule"):
        complexity.kmacs_per_pixel(net, "guess")


@pytest.mark.parametrize(("name", "config", "shapes"), LATENTS)
def test_latent_shapes(name: str, config: dict[str, int], shapes: dict[str, tuple[int, int, int]]) -> None:
    assert complexity.latent_shapes(on_meta(name, config)) == shapes


def test_receptive_field_of_strided_convolutions() -> None:
    """Four conv5/2: 1 + 4 (1 + 2 + 4 + 8) = 61; Balle 2017: 9 + 4 (4 + 8) = 57."""
    build = registry.build
    assert complexity.receptive_field(build("balle2018-factorized", n=4, m=4).g_a, 3) == (61, 61)
    assert complexity.receptive_field(build("balle2017", n=4).g_a, 3) == (57, 57)


def test_receptive_field_through_gates() -> None:
    """A square of 512 pixels with biases of 1 saturates the masks: it said 302."""
    name = "jpegai2023-baseline"
    thin = registry.build(name, **registry.entry(name).thin)
    assert complexity.receptive_field(thin.analyse_part(), 3, 512) == (398, 398)


def test_integer_convolutions_count_in_every_rule() -> None:
    layer = IntConv(8, 6, 3, shift=4, limit=127)

    def run(net: torch.nn.Module) -> None:
        net(torch.empty(1, 8, 10, 7, device="meta"))

    found = {rule: complexity.macs(torch.nn.Sequential(layer), run, rule)["0"] for rule in complexity.RULES}
    macs = 70 * 6 * 8 * 9
    assert found == {"exact": macs, "layers": macs, "ptflops": macs + 70 * 6}


@pytest.mark.slow
def test_the_products_latents_by_hand() -> None:
    """Layer by layer: outputs times inputs times taps, at the sites of the stage or phase."""
    with torch.device("meta"):
        model = Calotype(Config(latents=48))
    size = (256, 384)
    latents = 16 * 24
    cells, high = latents // 4, 48 - 16

    def staged(sites: int, octaves: int, layer: Callable[[int], int], base: int) -> int:
        """``layer``: products at each site, with p phases known; ``base``: with nothing known."""
        total = sites // 4**octaves * base
        for octave in range(octaves):
            total += sites // 4 ** (octave + 1) * sum(layer(p) for p in (1, 2, 3))
        return total

    hyper_analysis = latents * (48 * 4 + 96 * 64 + 64 * 64 * 9) + cells * 4 * 64 * 4
    # hidden, linear; place and scale; own
    hyper_model = staged(cells, 2, lambda p: 4 * p * 9 * (32 + 4) + 2 * 32 * 4 + 16, 16)
    side = cells * 4 * 9 * 48
    low_classes = staged(latents, 3, lambda p: 16 * p * 9 * 32 + (32 + 52) * 16, 52 * 16)
    low_means = staged(latents, 3, lambda p: 16 * p * 9 * 48 + 48 * 9 * 48 + 3 * 48 * 16, 0)
    high_classes = cells * (64 * 24 + 3 * high * 24)
    high_classes += cells * sum(24 * (1 + p) * 9 * 48 + (48 + 52) * 64 + 68 * high for p in range(4))
    high_means = cells * (4 * 9 * 64 + 64 * 64 + 3 * 48 * 64)
    high_means += cells * sum((64 * (1 + p) + 16 * (4 - p)) * 9 * 128 + 256 * high for p in range(4))
    expected = hyper_analysis + hyper_model + side + low_classes + low_means + high_classes + high_means
    found = complexity.kmacs_per_pixel(model, size=size)
    assert found["latents"] * size[0] * size[1] * 1000 == pytest.approx(expected)
    narrow = 192 * 96 * 2 + 96 * 96 * 9  # a bottleneck at 1/8
    at16 = 4 * 192 * 48 + 4 * (48 * 192 * 2 + 192 * 192 * 9)
    analysis = latents * (4 * (192 * 192 + 4 * narrow) + at16)
    at16 = 48 * 128 * 2 + 128 * 128 * 9 + 48 * 768
    renderer = 4 * 192 * 192 + 16 * (3 * 48 * 48 * 9 + 48 * 48)
    synthesis = latents * (at16 + 4 * (2 * narrow + 192 * 192) + renderer)
    assert found["analysis"] * size[0] * size[1] * 1000 == pytest.approx(analysis)
    assert found["synthesis"] * size[0] * size[1] * 1000 == pytest.approx(synthesis)
    layers = complexity.kmacs_per_pixel(model, "layers", size)
    own = staged(cells, 2, lambda p: 16, 16)  # called as a function, not as a layer
    assert layers["latents"] * size[0] * size[1] * 1000 == pytest.approx(expected - own)


def test_a_packs_coder_counts_as_the_models_integer_layers() -> None:
    """The arrays of a pack against what torch multiplies to find the classes."""
    model = Calotype(Config(latents=48)).eval()
    parameters, macs = _counts.of_coder(integer_arrays(model), 256)
    net = model.latents
    exact = {name: t.detach().to("meta") for name, t in vars(model.levels(torch.zeros(1))).items()}

    def run(twin: torch.nn.Module) -> None:
        z, r = torch.empty(1, 4, 8, 8, device="meta"), torch.empty(1, 48, 16, 16, device="meta")
        twin.classes(z, r, Knobs(**exact))  # type: ignore[operator]

    assert macs == sum(complexity.macs(net, run).values())
    layers = [*net.hyper_model.modules(), *net.scales.modules()]
    integers = [layer for layer in layers if isinstance(layer, IntConv)]
    trained = [layer.bias.numel() for layer in integers if layer.bias.requires_grad]
    assert parameters == sum(layer.weight.numel() for layer in integers) + sum(trained)


def test_a_packs_encoder_counts_as_the_models() -> None:
    """But for a number more for each output, biases included: the multipliers are none."""
    model = Calotype(Config(latents=48)).eval()
    x, levels = torch.rand(2, 3, 128, 128), torch.tensor([0.5, 6.0])
    arrays = encoder_arrays(model, x, levels)
    found = {part: _counts.of_encoder(arrays, part, 256) for part in ("analysis", "hyper_analysis")}
    for part, net in (("analysis", model.analysis), ("hyper_analysis", model.latents.hyper)):
        assert found[part][0] == sum(p.numel() for p in net.parameters())
    pixels = torch.empty(1, 3, 256, 256, device="meta")
    assert found["analysis"][1] == sum(complexity.macs(model.analysis, lambda twin: twin(pixels)).values())
