"""Blocks of JPEG AI: cost, definition, any size, full precision where it matters; colour conversion."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from calotype.lab.analysis.complexity import macs
from calotype.lab.layers import colour
from calotype.lab.layers.conv import deconv, subpixel
from calotype.lab.layers.jpegai import (
    CAB,
    RB,
    RNAB,
    Combine,
    LightRB,
    ResA,
    ResAU,
    ResAUTanh,
    Shuffle2,
    SlimmedRNAB,
    deconv4,
)

torch.set_num_threads(1)


def per_position(layer: nn.Module, width: int, size: int = 16) -> float:
    return sum(macs(layer, lambda t: t(torch.empty(1, width, size, size, device="meta"))).values()) / size**2


@pytest.mark.parametrize(
    ("block", "width", "count"),
    [
        (RNAB, 64, 608_256),
        (RNAB, 128, 2_433_024),
        (CAB, 64, 202_752),
        (CAB, 128, 811_008),
        (SlimmedRNAB, 128, 1_479_168),
    ],
)
def test_cost_of_attention(block: Callable[[int], nn.Module], width: int, count: int) -> None:
    assert per_position(block(width), width) == count


def test_cost_of_rnab_is_its_formula() -> None:
    for width in (8, 24):
        assert per_position(RNAB(width), width) == 16.5 * 9 * width**2


def test_activations_by_hand() -> None:
    torch.manual_seed(0)
    x = 4 * torch.randn(1, 8, 5, 4)
    with torch.no_grad():
        tanh, plain, final = ResAUTanh(8), ResA(8), ResAU(8, 4)
        leaky = torch.where(x > 0, x, 0.01 * x)
        torch.testing.assert_close(tanh(x), x + x * torch.tanh(tanh.conv(leaky)))
        torch.testing.assert_close(plain(x), x + plain.conv(leaky))
        torch.testing.assert_close(final(x), x * (1 + final.mix(final.grouped(x.clamp(0, 6)))))
    for layer in (tanh, plain, final):
        assert all(m.bias is None for m in layer.modules() if isinstance(m, nn.Conv2d))


def test_residual_blocks_by_hand() -> None:
    torch.manual_seed(1)
    x = torch.randn(1, 6, 5, 4)
    with torch.no_grad():
        rb, light, combine = RB(6), LightRB(6), Combine(2, 4)
        torch.testing.assert_close(rb(x), x + rb.conv2(rb.conv1(x).clamp_min(0)))
        torch.testing.assert_close(light(x), x + light.conv(x).clamp_min(0))
        torch.testing.assert_close(combine(x), torch.cat((combine.conv(x), x[:, 2:]), 1))
    assert combine(x).shape[1] == 6  # 4 / 2 of both, and the 4 of chroma


@pytest.mark.parametrize("block", [RNAB, CAB])
def test_gate(block: Callable[[int], nn.Module]) -> None:
    """``x + gain trunk sigmoid(mask)``: no gain or a closed mask is the identity, half a mask halves it."""
    torch.manual_seed(2)
    layer, x = block(8), torch.randn(1, 8, 6, 6)
    last = layer.out if isinstance(layer, RNAB) else layer.up
    with torch.no_grad():
        assert torch.equal(layer(x, 0.0), x)
        torch.testing.assert_close(layer(x, 2.0) - x, 2 * (layer(x) - x), atol=1e-5, rtol=1e-4)
        last.weight.zero_()
        last.bias.zero_()
        torch.testing.assert_close(layer(x), x + layer.trunk(x) / 2)
        last.bias.fill_(-1e9)
        torch.testing.assert_close(layer(x), x)


@pytest.mark.parametrize("block", [RNAB, CAB, SlimmedRNAB])
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (6, 3)])
def test_attention_at_any_size(block: Callable[[int], nn.Module], size: tuple[int, int]) -> None:
    x = torch.randn(1, 4, *size)
    with torch.no_grad():
        assert block(4)(x).shape == x.shape


@pytest.mark.parametrize("layer", [ResAU(8, 4), ResAUTanh(8)])
def test_activations_stay_in_float32_under_autocast(layer: nn.Module) -> None:
    x = torch.randn(1, 8, 4, 4, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        want = layer(x)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(layer(x), want)
            assert layer(x.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("block", [RNAB, CAB])
def test_masks_stay_in_float32_under_autocast(block: Callable[[int], nn.Module]) -> None:
    """The last convolution before the sigmoid sees and gives float32, though the trunk runs in bfloat16."""
    layer, seen = block(8), {}
    names = {id(m): n for n, m in layer.named_modules()}

    def hook(m: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        seen[names[id(m)]] = (args[0].dtype, out.dtype)

    for m in layer.modules():
        m.register_forward_hook(hook)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        layer(torch.randn(1, 8, 4, 4))
    assert seen["out" if block is RNAB else "up"] == (torch.float32, torch.float32)
    assert seen["trunk.0.conv1"][1] == torch.bfloat16


@pytest.mark.parametrize(
    "up",
    [deconv(3, 5, 3), deconv4(3, 5), Shuffle2(3, 5), subpixel(3, 5, 2, 1)],
    ids=["deconv3", "deconv4", "2x2", "1x1"],
)
def test_upsampling_doubles(up: nn.Module) -> None:
    with torch.no_grad():
        assert up(torch.randn(2, 3, 4, 7)).shape == (2, 5, 8, 14)


def test_shuffle_order() -> None:
    """Channel c r^2 + i r + j becomes row i, column j of channel c."""
    up = subpixel(1, 2, 2, 1)
    with torch.no_grad():
        up[0].weight.copy_(torch.arange(8.0).view(8, 1, 1, 1))
        up[0].bias.zero_()
        out = up(torch.ones(1, 1, 1, 1))
    assert out.flatten().tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert out[0, 1].tolist() == [[4, 5], [6, 7]]


def test_two_by_two_sees_below_and_to_the_right() -> None:
    up = Shuffle2(1, 1)
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 2, 2] = 1
    with torch.no_grad():
        up.conv.weight.fill_(1.0)
        hit = F.max_pool2d(up(x), 2)[0, 0]  # one value per input position
    assert hit.nonzero().tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]


def test_colours() -> None:
    """BT.709: white and black have no chroma, pure red has Cr = 1/2, pure blue Cb = 1/2; and back."""
    rgb = torch.tensor([[1.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]).T.reshape(1, 3, 1, 5)
    y, c = colour.to_ycbcr(rgb)
    torch.testing.assert_close(y.flatten(), torch.tensor([1, 0, 0.2126, 0.7152, 0.0722]))
    torch.testing.assert_close(c[0, :, 0, :2], torch.zeros(2, 2), atol=1e-6, rtol=0)
    torch.testing.assert_close(c[0, :, 0, 2], torch.tensor([-0.114572, 0.5]), atol=1e-5, rtol=0)
    torch.testing.assert_close(c[0, :, 0, 4], torch.tensor([0.5, -0.045847]), atol=1e-5, rtol=0)
    torch.testing.assert_close(colour.to_rgb(y, c), rgb, atol=1e-6, rtol=0)


def test_subsampled_chroma_is_centred() -> None:
    """Halving and doubling a ramp gives the ramp back, away from the edges: no half-sample shift."""
    ramp = torch.arange(16.0).expand(1, 2, 16, 16)
    for plane in (ramp, ramp.transpose(2, 3)):
        small = colour.halve(plane)
        assert small.shape == (1, 2, 8, 8)
        torch.testing.assert_close(colour.double(small)[..., 2:-2, 2:-2], plane[..., 2:-2, 2:-2])
