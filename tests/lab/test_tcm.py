"""TCM: published sizes to the last digit, the authors' own code's answers, real files of any size."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import every
from torch import Tensor, nn

from calotype.lab import registry
from calotype.lab.analysis import complexity
from calotype.lab.checkpoint import CheckpointError
from calotype.lab.codec import ModelCodec, exact
from calotype.lab.convert_tcm import from_official
from calotype.lab.entropy import Estimate, FileDecoder, FileEncoder
from calotype.lab.layers.residual import ResidualBlock, ResidualDown
from calotype.lab.models.base import LabModel
from calotype.lab.models.liu2023 import MixedBlock

from . import tcm_known
from .conftest import picture, thin, trained

SIZES = {
    "small": {
        "all": 45_180_752,
        "layers": 44_956_396,
        "g_a": 2_141_020,
        "g_s": 6_765_096,
        "h_a": 1_109_252,
        "h": 3_724_356,
        "total": 559.62,
        "gmac": 211.07,
    },
    "medium": {
        "all": 59_133_650,
        "layers": 58_715_500,
        "g_a": 4_526_186,
        "g_s": 12_986_166,
        "h_a": 2_020_134,
        "h": 5_942_246,
        "total": 1098.49,
        "gmac": 415.54,
    },
    "large": {
        "all": 76_568_148,
        "layers": 75_882_476,
        "g_a": 7_787_896,
        "g_s": 21_099_588,
        "h_a": 3_168_584,
        "h": 8_397_704,
        "total": 1846.44,
        "gmac": 700.09,
    },
}


def on_meta(size: str, **config: Any) -> LabModel:
    with torch.device("meta"):
        return registry.build(f"liu2023-tcm-{size}", **config)


@pytest.mark.parametrize("size", every(3, SIZES))
def test_parameters(size: str) -> None:
    """All of them, and the convolutions and linear layers alone, which is what the paper prints."""
    model, known = on_meta(size), SIZES[size]
    assert complexity.parameters(model) == known["all"]
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert sum(p.numel() for m in layers for p in m.parameters()) == known["layers"]
    parts = complexity.part_parameters(model)
    assert {k: parts[k] for k in ("g_a", "g_s", "h_a")} == {k: known[k] for k in ("g_a", "g_s", "h_a")}
    assert parts["h_mean"] == parts["h_scale"] == known["h"]
    assert parts["mean_attention"] == parts["scale_attention"] == 4_264_720
    assert parts["mean"] == parts["scale"] == 6_176_800
    assert parts["lrp"] == 6_821_920
    assert parts["prior"] == 11_712
    assert sum(parts.values()) == known["all"]


@cache
def counted(size: str) -> dict[str, float]:
    """kMAC per pixel by part, everything counted."""
    return complexity.kmacs_per_pixel(on_meta(size))


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_multiply_accumulates(size: str) -> None:
    """kMAC per pixel with everything counted, and GMAC of a Kodak picture by the paper's counter."""
    model, known = on_meta(size), SIZES[size]
    assert counted(size)["total"] == pytest.approx(known["total"], abs=0.005)
    layers = complexity.kmacs_per_pixel(model, "layers", (512, 768))["total"] * 512 * 768 / 1e6
    assert layers == pytest.approx(known["gmac"], abs=0.005)


@pytest.mark.slow  # at published sizes
def test_where_the_multiply_accumulates_are() -> None:
    found = counted("small")
    slices = sum(found[k] for k in ("mean_attention", "scale_attention", "mean", "scale", "lrp"))
    rounded = {k: round(found[k], 2) for k in ("g_a", "h_a", "h_mean", "h_scale", "g_s")}
    assert rounded == {"g_a": 176.48, "h_a": 0.92, "h_mean": 2.34, "h_scale": 2.34, "g_s": 268.42}
    assert slices == pytest.approx(109.12, abs=0.005)


@pytest.mark.slow
def test_latent_shapes() -> None:
    narrow = on_meta("small", n=8, inner=16, widths=[8, 8])
    assert complexity.latent_shapes(narrow) == {"y": (320, 16, 16), "z": (192, 4, 4)}


def test_the_convolution_branch_doubles_its_input() -> None:
    """With 1x1 convolutions that only pass on, a block adds 2 x + f(x) to the first half of its channels."""
    torch.manual_seed(0)
    block = MixedBlock(4, 4, 8, shifted=False)
    with torch.no_grad():
        for layer in (block.first, block.last):
            layer.weight.copy_(torch.eye(8)[:, :, None, None])
            layer.bias.zero_()
        x = torch.randn(1, 8, 16, 16)
        added = block(x) - x
    assert isinstance(block.convolution, ResidualBlock)
    with torch.no_grad():
        f = block.convolution(x[:, :4]) - x[:, :4]
    torch.testing.assert_close(added[:, :4], 2 * x[:, :4] + f)


@pytest.mark.parametrize("side", [1, 2, 7, 64])
def test_halving_blocks_train_in_both_memory_layouts(side: int) -> None:
    """A strided 1x1 convolution in there crashed torch 2.13; the same without stride on every other pixel
    does not.
    """
    torch.manual_seed(0)
    block = ResidualDown(3, 8)
    x = torch.randn(2, 3, side, side, requires_grad=True)
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        moved = block.to(memory_format=layout)
        out = moved(x.contiguous(memory_format=layout))
        found.append((out, *torch.autograd.grad(out.square().sum(), (x, *block.parameters()))))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
    skip = nn.functional.conv2d(x, block.skip.weight, block.skip.bias, stride=2)
    rest = block.gdn(block.conv2(nn.functional.leaky_relu(block.conv1(x))))
    torch.testing.assert_close(found[0][0], skip + rest, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["conv", "swin"])
def test_blocks_of_one_branch(kind: str) -> None:
    block = MixedBlock(4, 4, 8, shifted=True, kind=kind)
    assert (block.convolution is None) == (kind == "swin")
    assert (block.swin is None) == (kind == "conv")
    assert block(torch.randn(1, 8, 9, 5)).shape == (1, 8, 9, 5)


@pytest.mark.slow
def test_the_authors_code_gives_the_same() -> None:
    """Latents, means, scales, pixels and bits of the official code, run once with these very weights."""
    known = json.loads(Path(__file__).with_name("tcm_known.json").read_text())["values"]
    model = registry.build("liu2023-tcm-small", n=32).eval()
    tcm_known.fill(model)
    with torch.no_grad():
        out = model(tcm_known.pattern(256, 384))
    assert out.y is not None and out.mu is not None and out.sigma is not None  # noqa: PT018
    ours = {"y": out.y, "mu": out.mu, "sigma": out.sigma, "x_hat": out.x_hat}
    found = tcm_known.summary({**ours, "bits_y": out.bits["y"], "bits_z": out.bits["z"]})
    for name, values in known.items():
        assert found[name]["mean"] == pytest.approx(values["mean"], rel=1e-4, abs=1e-5), name
        assert found[name]["std"] == pytest.approx(values["std"], rel=1e-4), name
    assert found["y"]["picked"] == pytest.approx(known["y"]["picked"], abs=1e-4)


@pytest.mark.parametrize(
    ("height", "width"),
    every(3, [(65, 130), (64, 64), (128, 128), (1, 1), (128, 256), (192, 256), (320, 256)]),
)
def test_sizes_that_the_official_code_refuses(height: int, width: int) -> None:
    """It takes multiples of 128 from 256 only; these raise there."""
    model = thin("liu2023-tcm-small")
    with torch.no_grad():
        out = model(picture(height, width)[None] / 255)
    assert out.x_hat.shape == (1, 3, height, width)
    assert torch.isfinite(out.x_hat).all()
    assert torch.isfinite(out.bpp).all()


class Recorder(FileEncoder):
    """Keeps what it writes."""

    def code(self, name: str, values: Tensor | None, p: Any, at: Tensor | None = None) -> Tensor:
        out = super().code(name, values, p, at)
        self.__dict__.setdefault("symbols", []).append(out - p.centre)
        return out


def test_decoding_repeats_encoding_to_the_bit() -> None:
    model = thin("liu2023-tcm-small")
    twin = exact(model)
    x = picture(128, 96)[None] / 255
    with torch.inference_mode():
        padded = model.pad(x)
        coder = Recorder(*padded.shape[2:])
        coded = twin.walk(coder, twin.analyse(padded))
        decoded = twin.walk(FileDecoder(coder.finish(), *padded.shape[2:]))
        assert torch.equal(coded, decoded)
        symbols = torch.cat([s.flatten() for s in coder.symbols])
        torch.testing.assert_close(symbols, symbols.round(), atol=1e-9, rtol=0)
        assert symbols.abs().max() > 0
        shown = twin.synthesise(coded.float())[:, :, :128, :96].clamp(0, 1)
    codec = ModelCodec(model)
    assert torch.allclose(codec.decompress(codec.compress(x)), shown, atol=1e-6)


@pytest.fixture(scope="module")
def small() -> LabModel:
    torch.manual_seed(0)
    return registry.build("liu2023-tcm-small", n=16, inner=16, widths=[16, 16]).eval()


def test_untrained_side_information_costs_what_it_should(small: LabModel) -> None:
    """z in a file and its estimate; y has latents beyond its tables' probabilities before training."""
    with torch.no_grad():
        z = small.h_a(small.g_a(picture(256, 256)[None] / 255))
        estimate, coder = Estimate("round"), FileEncoder(256, 256)
        estimate.begin(1, 256, 256)
        estimate.code("z", z, small.prior(estimate.grid(64)))
        coder.code("z", z, small.prior(coder.grid(64)))
    bits = float(estimate.bits["z"])
    assert bits > 1000
    assert abs(len(coder.finish()) - bits / 8) <= 0.01 * bits / 8 + 32


@pytest.mark.slow
def test_size_is_the_estimate_once_trained() -> None:
    model = trained("liu2023-tcm-small", 30)
    x = picture(200, 330, seed=7)[None] / 255
    with torch.no_grad():
        bits = float(sum(model(x, coder=Estimate("round")).bits.values()))
    assert bits > 1000
    assert abs(len(ModelCodec(model).compress(x)) - bits / 8) <= 0.01 * bits / 8 + 32


def test_without_attention_and_with_one_branch() -> None:
    """The paper's ablations leave out what they say and run."""
    full = complexity.part_parameters(on_meta("small"))
    bare = complexity.part_parameters(on_meta("small", attention=False))
    assert bare == {k: v for k, v in full.items() if not k.endswith("_attention")}
    config = registry.entry("liu2023-tcm-small").thin
    for options in ({"attention": False}, {"blocks": "conv"}, {"blocks": "swin"}):
        model = registry.build("liu2023-tcm-small", **config, **options).eval()
        with torch.no_grad():
            assert model(picture(40, 70)[None] / 255).x_hat.shape == (1, 3, 40, 70)
    with pytest.raises(registry.UnknownModel, match="blocks must be one of"):
        registry.build("liu2023-tcm-small", blocks="both")
    with pytest.raises(registry.UnknownModel, match="slices"):
        registry.build("liu2023-tcm-small", m=321)


NAMES = {
    "g_a.0.conv1.weight": "g_a.0.conv1.weight",
    "g_a.1.trans_block.ln1.weight": "g_a.1.swin.norm1.weight",
    "g_a.1.trans_block.msa.relative_position_params": "g_a.1.swin.attention.relative",
    "g_a.2.trans_block.msa.embedding_layer.bias": "g_a.2.swin.attention.qkv.bias",
    "g_a.2.trans_block.msa.linear.weight": "g_a.2.swin.attention.out.weight",
    "g_a.2.trans_block.mlp.2.weight": "g_a.2.swin.mlp.2.weight",
    "g_a.4.conv1_1.weight": "g_a.4.first.weight",
    "g_a.4.conv_block.conv2.bias": "g_a.4.convolution.conv2.bias",
    "g_a.3.gdn.beta": "g_a.3.gdn.beta",
    "g_a.9.weight": "g_a.9.weight",
    "g_s.0.subpel_conv.0.weight": "g_s.0.subpixel.0.weight",
    "g_s.0.upsample.0.weight": "g_s.0.skip.0.weight",
    "g_s.9.0.bias": "g_s.9.0.bias",
    "h_mean_s.0.igdn.gamma": "h_mean.0.igdn.gamma",
    "h_scale_s.3.0.weight": "h_scale.3.0.weight",
    "atten_mean.4.0.in_conv.weight": "mean_attention.4.squeeze.weight",
    "atten_scale.0.0.out_conv.bias": "scale_attention.0.expand.bias",
    "atten_mean.1.0.conv_a.2.conv.4.weight": "mean_attention.1.gate.trunk.2.conv3.weight",
    "atten_mean.1.0.conv_b.3.weight": "mean_attention.1.gate.mask.3.weight",
    "atten_mean.1.0.non_local_block.block_2.ln2.bias": "mean_attention.1.swin.1.norm2.bias",
    "cc_mean_transforms.3.2.weight": "mean.3.2.weight",
    "cc_scale_transforms.3.4.bias": "scale.3.4.bias",
    "lrp_transforms.2.0.weight": "lrp.2.0.weight",
    "entropy_bottleneck._matrix0": "prior.matrices.0",
    "entropy_bottleneck._bias4": "prior.biases.4",
    "entropy_bottleneck._factor3": "prior.factors.3",
    "entropy_bottleneck.quantiles": "prior.quantiles",
}


def test_official_checkpoints_fit() -> None:
    """Names of every kind of weight find their place and shape; derived tables are dropped."""
    state = on_meta("medium").state_dict()
    theirs = {old: torch.zeros(state[new].shape) for old, new in NAMES.items()}
    extra = {
        "gaussian_conditional.scale_table": torch.zeros(64),
        "g_a.3.gdn.beta_reparam.pedestal": torch.zeros(1),
    }
    config, weights = from_official(
        {"state_dict": {f"module.{k}": v for k, v in {**theirs, **extra}.items()}}
    )
    assert set(weights) == set(NAMES.values())
    assert config == {"n": 96, "m": 320, "slices": 1}  # of the keys above, only one slice's
    with pytest.raises(CheckpointError, match="not the weights of a TCM"):
        from_official({"g_a.0.weight": torch.zeros(3)})
