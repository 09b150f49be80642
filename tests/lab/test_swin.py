"""Window attention against a plain loop over positions, at sizes that windows tile and others; Swin nets."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from calotype.lab import registry
from calotype.lab.analysis import complexity
from calotype.lab.entropy import Estimate
from calotype.lab.layers.window_attention import (
    PatchMerging,
    PatchSplitting,
    SwinBlock,
    WindowAttention,
    spans,
)
from calotype.lab.models.zhu2022 import slice_widths

from .conftest import picture, thin

SIZES = [(8, 8), (16, 24), (12, 20), (9, 8), (5, 3), (1, 1), (1, 17), (13, 12)]
QUICK = [(8, 8), (9, 8), (5, 3), (1, 1), (1, 17), (13, 12)]


def attention(window: int, shifted: bool) -> WindowAttention:
    torch.manual_seed(1)
    layer = WindowAttention(6, 3, window, shifted=shifted).double()
    torch.nn.init.normal_(layer.relative)
    return layer


def plain_loop(layer: WindowAttention, x: Tensor) -> Tensor:
    """Each position attends to the positions of its window that lie in the map, one by one."""
    _, c, h, w = x.shape
    p, shift, d = layer.window, layer.shift, c // layer.heads
    qkv = layer.qkv(x[0].permute(1, 2, 0)).view(h, w, 3, layer.heads, d)
    out = torch.zeros(h, w, layer.heads, d, dtype=x.dtype)
    for i in range(h):
        for j in range(w):
            # shifted windows begin at shift - p, shift, shift + p, ...
            top, left = ((a - shift) // p * p + shift for a in (i, j))
            rows = range(max(0, top), min(h, top + p))
            columns = range(max(0, left), min(w, left + p))
            a, b = (torch.tensor(list(t)) for t in zip(*itertools.product(rows, columns), strict=True))
            for head in range(layer.heads):
                score = qkv[a, b, 1, head] @ qkv[i, j, 0, head] / d**0.5
                score = score + layer.relative[head, i - a + p - 1, j - b + p - 1]
                out[i, j, head] = score.softmax(0) @ qkv[a, b, 2, head]
    return layer.out(out.view(h, w, c)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize(
    "size", [pytest.param(size, marks=[] if size in QUICK else [pytest.mark.slow]) for size in SIZES]
)
def test_attention_equals_a_loop_over_positions(size: tuple[int, int], shifted: bool) -> None:
    layer = attention(8 if min(size) < 13 else 4, shifted)
    x = torch.randn(1, 6, *size, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), plain_loop(layer, x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("shifted", [False, True])
def test_pictures_of_a_batch_are_independent(shifted: bool) -> None:
    layer, x = attention(8, shifted), torch.randn(3, 6, 12, 11, dtype=torch.float64)
    with torch.no_grad():
        whole = layer(x)
        torch.testing.assert_close(whole, torch.cat([layer(t) for t in x.split(1)]), atol=1e-12, rtol=0)


@pytest.mark.parametrize("size", [(1, 1), (12, 20), (16, 16)])
@pytest.mark.parametrize("shifted", [False, True])
def test_gradients_are_finite_and_reach_every_position(size: tuple[int, int], shifted: bool) -> None:
    """A mask without a single visible position would give nan."""
    layer, x = attention(8, shifted), torch.randn(2, 6, *size, dtype=torch.float64, requires_grad=True)
    layer(x).square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert (x.grad.abs().sum(1) > 0).all()
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


def test_spans_name_what_is_joined_and_what_fills_up() -> None:
    assert spans(16, 8, 0) == ((0, 2, None),)
    assert spans(16, 8, 4) == ((0, 1, None), (1, 2, (0, 0, 0, 0, 1, 1, 1, 1)))
    assert spans(12, 8, 0) == ((0, 1, None), (1, 2, (0, 0, 0, 0, -1, -1, -1, -1)))
    assert spans(9, 8, 4) == ((0, 1, (0, 0, 0, 0, 0, -1, -1, -1)), (1, 2, (-1, -1, -1, -1, 1, 1, 1, 1)))
    assert spans(80, 8, 4)[0] == (0, 9, None)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="do not divide"):
        WindowAttention(48, 32)


def test_blocks_keep_the_shape_and_start_from_the_usual_counts() -> None:
    """A block of C channels with heads of 32 and window 8 has 12 C^2 + 13 C + 225 C / 32 parameters."""
    block = SwinBlock(64, 32, 8, shifted=True)
    assert complexity.parameters(block) == 12 * 64**2 + 13 * 64 + 225 * 2
    assert block(torch.randn(1, 64, 5, 9)).shape == (1, 64, 5, 9)


def test_merging_and_splitting_undo_each_other() -> None:
    """With unit weights both only move channels: 2x2 positions to one and back (norm aside)."""
    merge, split = PatchMerging(3, 12), PatchSplitting(12, 3, unpack=True)
    with torch.no_grad():
        merge.linear.weight.copy_(torch.eye(12))
        order = [c + 3 * (2 * (k % 2) + k // 2) for k in range(4) for c in range(3)]
        split.linear.weight.copy_(torch.eye(12)[order])
        split.linear.bias.zero_()
    merge.norm = torch.nn.Identity()
    x = torch.randn(2, 3, 6, 4)
    torch.testing.assert_close(split(merge(x)), x)
    assert merge(x).shape == (2, 12, 3, 2)


def test_splitting_normalises_unless_it_is_the_last() -> None:
    y = PatchSplitting(8, 4)(torch.randn(2, 8, 3, 5))
    assert y.shape == (2, 4, 6, 10)
    blocks = F.pixel_unshuffle(y, 2)
    torch.testing.assert_close(blocks.mean(1), torch.zeros(2, 3, 5), atol=1e-5, rtol=0)
    torch.testing.assert_close(blocks.var(1, correction=0), torch.ones(2, 3, 5), atol=1e-2, rtol=0)


def test_published_counts() -> None:
    """Zhu et al. report 32.6 M parameters for SwinT-ChARM."""
    with torch.device("meta"):
        parts = complexity.part_parameters(registry.build("zhu2022-charm"))
    nets = {"g_a": 9_139_416, "g_s": 9_139_300, "h_a": 3_065_892, "h_s": 3_314_020}
    assert {k: parts[k] for k in nets} == nets
    assert sum(nets.values()) == 24_658_628
    assert parts["mean"] + parts["scale"] == 7_892_236
    assert sum(parts.values()) - parts["prior"] == 32_550_864


@pytest.mark.slow
def test_published_shapes() -> None:
    with torch.device("meta"):
        model = registry.build("zhu2022-hyperprior")
    assert complexity.latent_shapes(model, (256, 512)) == {"y": (320, 16, 32), "z": (192, 4, 8)}


def test_hidden_widths_of_the_slices() -> None:
    assert [slice_widths(i, 32)[0] for i in range(10)] == [64, 64, 85, 106, 128, 149, 170, 192, 213, 234]
    assert [slice_widths(i, 32)[1] for i in range(10)] == [32, 32, 42, 53, 64, 74, 85, 96, 106, 117]


@pytest.mark.parametrize("name", ["zhu2022-charm", "liu2023-tcm-small"])
def test_slices_see_earlier_slices_only(name: str) -> None:
    """mu and sigma of a slice stay when it or a later one changes, and move when an earlier one changes."""
    model = thin(name)
    x = picture(64, 64)[None] / 255
    k = len(model.sizes) // 2
    width = model.sizes[0]
    with torch.no_grad():
        y = model.g_a(x) * 3
        side = y.clone()

        def predicted(values: Tensor) -> tuple[Tensor, Tensor]:
            coder = Estimate("round")
            coder.begin(1, 64, 64)
            hyper = model.h_a
            model.h_a = torch.nn.Identity()  # the side information must not see the change
            model.h_a.forward = lambda _: hyper(side)  # type: ignore[method-assign]
            try:
                model.walk(coder, values)
            finally:
                model.h_a = hyper
            maps = coder.maps("y")
            assert maps is not None
            return maps[1], maps[2]

        changed = y.clone()
        changed[:, k * width : (k + 1) * width] += 5.0
        (mu, sigma), (mu2, sigma2) = predicted(y), predicted(changed)
    upto = (k + 1) * width
    assert torch.equal(mu[:, :upto], mu2[:, :upto])
    assert torch.equal(sigma[:, :upto], sigma2[:, :upto])
    assert not torch.equal(mu[:, upto:], mu2[:, upto:])


def test_four_stages() -> None:
    with pytest.raises(registry.UnknownModel, match="four stages"):
        registry.build("zhu2022-hyperprior", widths=[8, 8, 8], depths=[1, 1, 1])
    with pytest.raises(registry.UnknownModel, match="slices"):
        registry.build("zhu2022-charm", slices=7)
