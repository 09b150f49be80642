"""JPEG AI's models: parameters and costs of the reference software, the entropy model, real files."""

from __future__ import annotations

import pytest
import torch
from tests.conftest import every
from torch import Tensor, nn

from calotype.lab import registry
from calotype.lab.analysis.complexity import macs, parameters
from calotype.lab.codec import ModelCodec
from calotype.lab.entropy import Estimate
from calotype.lab.layers.jpegai import CAB, RNAB, ResA, ResAUTanh
from calotype.lab.layers.restormer import TAM
from calotype.lab.models import jpegai
from calotype.lab.models.jpegai_entropy import SCALES, Indexed, ScaleIndices, TwoBranches
from calotype.lab.objective import RateDistortion

from .conftest import picture, thin

NAMES = [n for n in registry.names() if n.startswith("jpegai")]


def kmacs(layer: nn.Module, *shape: int) -> float:
    """Of a part that sees ``[1, *shape]`` of a picture of 256 x 256, per pixel."""
    counts = macs(layer, lambda twin: twin(torch.empty(1, *shape, device="meta")))
    return sum(counts.values()) / 65_536_000


# -- the reference software


@pytest.mark.parametrize(
    ("point", "luma", "chroma"),
    [("hop", 3_341_769, 647_912), ("bop", 566_656, 257_112), ("sop", 461_504, 106_424)],
)
def test_parameters_of_decoders(point: str, luma: int, chroma: int) -> None:
    assert parameters(jpegai.luma_synthesis(point)) == luma
    assert parameters(jpegai.chroma_synthesis(point)) == chroma


@pytest.mark.parametrize(
    ("point", "luma", "chroma"), [("hop", 2_987_944, 2_501_512), ("bop", 666_272, 475_008)]
)
def test_parameters_of_encoders(point: str, luma: int, chroma: int) -> None:
    assert parameters(jpegai.luma_analysis(point)) == luma
    assert parameters(jpegai.chroma_analysis(point)) == chroma


def test_cost_of_encoders() -> None:
    for point, luma, chroma in (("hop", 134.6, 56.2), ("bop", 30.1, 8.1)):
        assert round(kmacs(jpegai.luma_analysis(point), 1, 256, 256), 1) == luma
        assert round(kmacs(jpegai.chroma_analysis(point), 12, 128, 128), 1) == chroma


def test_cost_of_the_entropy_model() -> None:
    """Luma: hyper-encoder, hyper-decoder, integer scale decoder, four-phase means."""
    with torch.device("meta"):
        model = jpegai.JpegAI("bop")
    assert round(kmacs(model.h_a[0], 160, 16, 16), 2) == 2.31
    assert round(kmacs(model.h_mean[0], 160, 4, 4), 2) == 1.23
    assert round(kmacs(model.h_scale[0], 160, 4, 4), 2) == 0.16

    def phases(means: nn.Module) -> None:
        y = torch.empty(1, 160, 8, 8, device="meta")
        for p in range(4):
            means(p, y, [y] * p)

    assert round(sum(macs(model.means[0], phases).values()) / 65_536_000, 2) == 0.66


# -- the reconstruction of 2023


def test_variants_are_what_they_are_called() -> None:
    """Modules of both branches of the decoder, by type: what each simplification replaces."""

    def count(variant: str) -> dict[str, int]:
        g_s = registry.build(f"jpegai2023-{variant}", luma=16, chroma=8, hidden=[8, 8]).g_s
        kinds = {
            "rnab": RNAB,
            "tam": TAM,
            "old": ResAUTanh,
            "new": ResA,
            "deconv": nn.ConvTranspose2d,
            "shuffle": nn.PixelShuffle,
        }
        parts = [m for branch in (g_s.luma, g_s.chroma) for m in branch]
        found = {k: sum(isinstance(m, t) for m in parts) for k, t in kinds.items()}
        found["shuffle"] = sum(
            isinstance(m, nn.Sequential) and isinstance(m[-1], nn.PixelShuffle) for m in parts
        )
        found |= {f"tam-{m.memory}": found["tam"] for m in parts if isinstance(m, TAM)}
        return found

    base = {"rnab": 4, "tam": 0, "old": 5, "new": 0, "deconv": 7, "shuffle": 0}
    attention = {**base, "rnab": 2, "tam": 2}
    assert count("baseline") == base
    assert count("attention-cs") == {**attention, "tam-cs": 2}
    assert count("attention-ds") == {**attention, "tam-ds": 2}
    assert count("shuffle") == {**base, "deconv": 5, "shuffle": 2}
    assert count("activation") == {**base, "old": 0, "new": 5}
    assert count("combination") == {**attention, "tam-cs": 2, "old": 0, "new": 5, "deconv": 5, "shuffle": 2}


def test_one_part_can_be_changed() -> None:
    model = registry.build(
        "jpegai2023-baseline", luma=16, chroma=8, hidden=[8, 8], low="cab", up="shuffle-all"
    )
    assert sum(isinstance(m, CAB) for m in model.g_s.modules()) == 2
    assert not any(isinstance(m, nn.ConvTranspose2d) for m in [*model.g_s.luma, *model.g_s.chroma])
    again = registry.build(NAMES[0], **model.config)
    assert again.design == model.design


def test_encoders_are_the_same_for_all_variants() -> None:
    shapes = {
        tuple(
            (k, tuple(v.shape))
            for k, v in registry.build(n, **registry.entry(n).thin).g_a.state_dict().items()
        )
        for n in NAMES
        if n.startswith("jpegai2023")
    }
    assert len(shapes) == 1


# -- both


@pytest.mark.parametrize("name", NAMES)
def test_luma_stands_alone_and_chroma_looks_at_it(name: str) -> None:
    model = thin(name)
    luma = model.channels[0]
    y = torch.randn(1, sum(model.channels), 4, 4)
    with torch.no_grad():
        a, c = model.g_s.planes(y)
        b, d = model.g_s.planes(torch.cat((y[:, :luma], 0 * y[:, luma:]), 1))
        _, e = model.g_s.planes(torch.cat((y[:, :luma] + 1, y[:, luma:]), 1))
    assert a.shape == (1, 1, 64, 64)
    assert torch.equal(a, b)
    assert not torch.allclose(c, d)
    assert not torch.allclose(c, e)


def _widen(model: TwoBranches, factor: float) -> None:
    """Make the hyper-latents larger."""
    with torch.no_grad():
        for part in model.h_a:
            part[-1].weight *= factor


@pytest.mark.parametrize("name", every(3, NAMES))
def test_every_weight_is_trained(name: str) -> None:
    """Noise for the rate, rounding for the rest: gradients reach all weights, and are finite."""
    model = thin(name).train()
    _widen(model, 200)  # so that z is not all 0
    x = picture(64, 128)[None] / 255
    out = model(x, coder=Estimate("mixed", generator=torch.Generator().manual_seed(0)))
    (out.bpp.mean() + 100 * (out.x_hat - x).square().mean() + out.aux).backward()
    missing = [k for k, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert missing == []
    dead = [k for k, p in model.named_parameters() if not p.grad.any() and not k.startswith("prior")]
    assert dead == []


def _coded(model: TwoBranches, y: Tensor) -> list[tuple[str, Tensor, Indexed, Tensor]]:
    coder = Estimate("round")
    coder.begin(1, 16 * y.shape[2], 16 * y.shape[3])
    with torch.no_grad():
        model.walk(coder, y)
    return coder.coded


def test_coding_order() -> None:
    """Per branch z, then y at the corners of the 2x2 grid: top left, bottom right, top right, bottom left."""
    model = thin("jpegai-bop")
    coded = _coded(model, torch.randn(1, sum(model.channels), 4, 8))
    assert [name for name, *_ in coded] == ["z", "y", "y", "y", "y"] * 2
    for first in (1, 6):
        starts = [at[0].item() for _, _, _, at in coded[first : first + 4]]
        assert starts == [0, 8 + 1, 1, 8]
        everything = torch.cat([at for _, _, _, at in coded[first : first + 4]])
        assert everything.sort().values.tolist() == list(range(32))


def test_sigma_depends_on_z_alone_and_the_mean_on_earlier_phases() -> None:
    """With z held still, a change of y in phase p changes no sigma, no mean up to p, but the next one."""
    model = thin("jpegai-sop")
    with torch.no_grad():
        for part in model.h_a:
            part[-1].weight.zero_()  # z is its bias, whatever y holds
    luma, y = model.channels[0], 3 * torch.randn(1, sum(model.channels), 8, 8)
    before = _coded(model, y)[1:5]
    for p, (row, column) in enumerate(((0, 0), (1, 1), (0, 1), (1, 0))):
        other = y.clone()
        other[:, :luma, row::2, column::2] += 5.0
        after = _coded(model, other)[1:5]
        assert all(torch.equal(a[2].sigma, b[2].sigma) for a, b in zip(before, after))
        assert all(torch.equal(before[k][2].mu, after[k][2].mu) for k in range(p + 1))
        if p < 3:
            assert not torch.allclose(before[p + 1][2].mu, after[p + 1][2].mu)


def test_scale_indices_are_exact_integers() -> None:
    """float32 equals float64 to the bit, at the widest published width, with the largest weights allowed."""
    torch.manual_seed(0)
    net = ScaleIndices(160)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn_like(p) * 3)  # most are clipped
    z = torch.randint(-31, 32, (1, 160, 3, 4)).float()
    with torch.no_grad():
        index = net(z)
        assert torch.equal(index.double(), net.double()(z.double()))
    assert index.shape == (1, 160, 12, 16)
    assert torch.equal(index, index.round())
    assert 0 <= index.min() < index.max() <= SCALES[2] - 1


def test_sums_of_the_scale_network_fit_float32() -> None:
    net = ScaleIndices(160)
    with torch.no_grad():
        for layer, peak in ((net.first, 31), (net.second, 255), (net.last, 255)):
            layer.weight.fill_(100.0)  # clipped to the limit
            assert layer.bound(peak) < 2**24


def test_indices_survive_the_way_through_sigma() -> None:
    """Every index gives a sigma that codes with its own table."""
    index = torch.arange(SCALES[2], dtype=torch.float64).view(1, -1, 1)
    p = Indexed.of(torch.zeros_like(index), index)
    assert p.sigma[0, 0, 0].item() == pytest.approx(0.11)
    assert p.sigma[0, -1, 0].item() == pytest.approx(100.0)
    assert p.index().flatten().tolist() == list(range(35))
    assert len(Indexed.tables()) == 35


def test_hyper_latents_beyond_the_range_are_clipped_alike() -> None:
    """z far outside +-31 is coded as it is; both sides clip it before use: files still decode exactly."""
    model = thin("jpegai-bop")
    _widen(model, 1000)
    x = picture(64, 64)[None] / 255
    with torch.no_grad():
        z = model.h_a[0](model.analyse(x)[:, : model.channels[0]].abs())
        assert z.abs().max() > 60
        want = model(x).x_hat.clamp(0, 1)
    torch.testing.assert_close(
        ModelCodec(model).decompress(ModelCodec(model).compress(x)), want, atol=1e-4, rtol=0
    )


@pytest.mark.parametrize("subsampled", [True, False])
def test_chroma_formats(subsampled: bool) -> None:
    torch.manual_seed(0)
    model = registry.build("jpegai-bop", divide=8, subsampled=subsampled).eval()
    x = picture(90, 37)[None] / 255
    with torch.no_grad():
        want = model(x).x_hat.clamp(0, 1)
    torch.testing.assert_close(
        ModelCodec(model).decompress(ModelCodec(model).compress(x)), want, atol=1e-4, rtol=0
    )


def test_a_point_may_take_the_other_encoder() -> None:
    with torch.device("meta"):
        model = jpegai.JpegAI("bop", "hop")
    assert parameters(model.g_a) == 2_987_944 + 2_501_512
    assert parameters(model.g_s) == 566_656 + 257_112
    assert jpegai.JpegAI("sop", divide=8).config["encoder"] == "bop"


def test_index_learns_to_come_back() -> None:
    """Outside of 0..34 the gradient passes if it points inside, and only then."""
    net = ScaleIndices(4)
    for outside, inside in ((-50.0, -1.0), (500.0, 1.0)):
        with torch.no_grad():
            net.last.bias.fill_(outside)
        for sign in (1.0, -1.0):
            net.zero_grad()
            (sign * net(torch.zeros(1, 4, 1, 1))).sum().backward()
            assert bool(net.last.bias.grad.any()) == (sign == inside)


@pytest.mark.slow
def test_size_is_the_estimate() -> None:
    """Within 1 % + 32 bytes, on a briefly trained model and a picture that it has not seen."""
    torch.manual_seed(0)
    model = registry.build("jpegai-bop", **registry.entry("jpegai-bop").thin).train()
    objective, optimizer = RateDistortion(model, 0.02), torch.optim.Adam(model.parameters(), 1e-3)
    generator, source = torch.Generator().manual_seed(1), picture(384, 384)
    losses = []
    for _ in range(60):
        i, j = torch.randint(0, 193, (2,), generator=generator).tolist()
        loss, _ = objective.training_loss(source[None, :, i : i + 192, j : j + 192], generator, hard=False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-10:]) < sum(losses[:10]) / 2
    x = picture(200, 330, seed=7)[None] / 255
    with torch.no_grad():
        bits = float(sum(model.eval()(x, coder=Estimate("round")).bits.values()))
    assert bits > 1000
    assert abs(len(ModelCodec(model).compress(x)) - bits / 8) <= 0.01 * bits / 8 + 32


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("jpegai-bop", {"point": "top"}, "point must be"),
        ("jpegai-bop", {"encoder": "sop"}, "encoder hop or bop"),
        ("jpegai-bop", {"divide": 3}, "divide must be"),
        ("jpegai2023-baseline", {"variant": "best"}, "variant must be"),
        ("jpegai2023-baseline", {"up": "nearest"}, "up must be"),
        ("jpegai2023-baseline", {"colour": "rgb"}, "unknown option 'colour'"),
    ],
)
def test_wrong_options_are_named(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(registry.UnknownModel, match=message):
        registry.build(name, **options)
