"""Known answers of the layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from calotype.lab.layers import shuffle
from calotype.lab.layers.attention import NonLocal, NonLocalAttention, SimplifiedAttention
from calotype.lab.layers.bounds import lower_bound, round_ste
from calotype.lab.layers.conv import Pointwise, conv, deconv, resized, subpixel
from calotype.lab.layers.gdn import GDN
from calotype.lab.layers.masked import CheckerboardConv, MaskedConv, RasterConv, raster_mask
from calotype.lab.layers.residual import ResidualBlock, ResidualBottleneck, ResidualDown, ResidualUp


def test_gdn_known_answer() -> None:
    x = torch.full((1, 4, 3, 3), 2.0)
    torch.testing.assert_close(GDN(4)(x), torch.full_like(x, 1.690309), atol=1e-6, rtol=0)
    torch.testing.assert_close(GDN(4, inverse=True)(x), x * 1.4**0.5)


def test_gdn_in_place_and_not_are_equal() -> None:
    gdn, x = GDN(6), torch.randn(2, 6, 5, 4)
    with torch.no_grad():
        fast = gdn(x.clone())
    torch.testing.assert_close(fast, gdn(x), rtol=0, atol=0)


def test_gdn_recovers_from_negative_parameters() -> None:
    """A parameter below its bound gets the gradient that raises it, and none that lowers it further."""
    gdn, x = GDN(2), torch.ones(1, 2, 1, 1)
    with torch.no_grad():
        gdn.gamma.fill_(-1.0)
    assert torch.equal(gdn(x), x)
    gdn(x).sum().backward()  # a larger gamma makes a smaller output
    assert gdn.gamma.grad is not None
    assert (gdn.gamma.grad < 0).all()
    gdn.gamma.grad = None
    (-gdn(x)).sum().backward()
    assert (gdn.gamma.grad == 0).all()


def test_lower_bound_gradient() -> None:
    x = torch.tensor([0.5, -1.0, -1.0], requires_grad=True)
    (lower_bound(x, 0.0) * torch.tensor([1.0, 1.0, -1.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 0.0, -1.0]


def test_round_is_half_to_even_and_transparent() -> None:
    x = torch.tensor([0.5, 1.5, -0.5, 2.4], requires_grad=True)
    y = round_ste(x)
    assert y.tolist() == [0.0, 2.0, 0.0, 2.0]
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0] * 4


def test_masks() -> None:
    assert raster_mask(5, "A").sum() == 12
    assert raster_mask(5, "B").sum() == 13
    board = CheckerboardConv(1, 1).mask
    assert board.sum() == 12
    assert all(bool(board[i, j]) == bool((i + j) % 2) for i in range(5) for j in range(5))


def test_masked_convolution_sees_only_live_taps() -> None:
    layer = RasterConv(3, 4).double()
    with torch.no_grad():
        layer.weight.normal_()  # dead taps too: they must not matter
    x = torch.randn(1, 3, 9, 9, dtype=torch.float64, requires_grad=True)
    layer(x)[0, :, 4, 4].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0) > 0
    assert seen[2:4, 2:7].all()
    assert seen[4, 2:4].all()
    assert seen.sum() == 12


def test_taps_are_the_convolution() -> None:
    for layer in (RasterConv(3, 4), CheckerboardConv(3, 4)):
        assert isinstance(layer, MaskedConv)
        weight, offsets = layer.taps()
        x = torch.randn(1, 3, 7, 7)
        patch = torch.cat([x[0, :, 3 + i, 3 + j] for i, j in offsets.tolist()])
        torch.testing.assert_close(weight @ patch + layer.bias, layer(x)[0, :, 3, 3])


def test_pointwise_is_a_convolution_on_lists_too() -> None:
    layer, x = Pointwise(5, 7), torch.randn(2, 5, 6, 1)
    torch.testing.assert_close(layer(x), nn.functional.conv2d(x, layer.weight, layer.bias))
    assert layer(torch.randn(2, 5, 4, 3)).shape == (2, 7, 4, 3)


def test_shapes() -> None:
    x = torch.randn(1, 8, 6, 10)
    assert conv(8, 4)(x).shape == (1, 4, 3, 5)
    assert conv(8, 4, 9, 4)(torch.randn(1, 8, 16, 32)).shape == (1, 4, 4, 8)
    assert deconv(8, 4)(x).shape == (1, 4, 12, 20)
    assert deconv(8, 4, 9, 4)(x).shape == (1, 4, 24, 40)
    assert subpixel(8, 4)(x).shape == (1, 4, 12, 20)
    assert ResidualDown(8, 4)(x).shape == (1, 4, 3, 5)
    assert ResidualUp(8, 4)(x).shape == (1, 4, 12, 20)
    assert ResidualBlock(8, 4)(x).shape == (1, 4, 6, 10)
    assert ResidualBottleneck(8)(x).shape == x.shape
    assert SimplifiedAttention(8)(x).shape == x.shape


def test_non_local_starts_as_identity_and_sees_everything() -> None:
    layer, x = NonLocal(8), torch.randn(1, 8, 5, 4, requires_grad=True)
    assert torch.equal(layer(x), x)
    nn.init.normal_(layer.out.weight)
    layer(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(1) > 0).all()


def test_non_local_attention_by_hand() -> None:
    """softmax(q k) v, without scaling (embedded Gaussian)."""
    layer = NonLocal(4)
    nn.init.normal_(layer.out.weight)
    x = torch.randn(1, 4, 3, 2)
    q, k, v = (f(x).flatten(2)[0] for f in (layer.query, layer.key, layer.value))
    expected = x + layer.out((v @ torch.softmax(q.T @ k, 1).T).view(1, 2, 3, 2))
    torch.testing.assert_close(layer(x), expected)
    assert NonLocalAttention(4)(x).shape == x.shape


@pytest.mark.parametrize("factor", [2, 8])
def test_pixel_shuffle_with_channels_last(factor: int) -> None:
    """What a GPU computes: the same numbers, in another order of memory."""
    x = torch.randn(2, 3 * factor**2, 4, 5, requires_grad=True)
    out = shuffle._channels_last(x.contiguous(memory_format=torch.channels_last), factor)
    assert torch.equal(out, torch.nn.functional.pixel_shuffle(x, factor))
    assert torch.equal(shuffle.pixel_shuffle(x, factor), out)
    assert out.is_contiguous(memory_format=torch.channels_last)
    out.square().sum().backward()
    assert torch.equal(x.grad, 2 * x)


@pytest.mark.parametrize(("up", "prints"), [(deconv, True), (subpixel, True), (resized, False)])
def test_what_is_flat_stays_flat(up: Callable[[int, int], nn.Module], prints: bool) -> None:
    """Away from the border; the two other ways of upsampling print a grid."""
    torch.manual_seed(0)
    inner = up(3, 2)(torch.ones(1, 3, 8, 8))[0, :, 5:-5, 5:-5]
    assert (inner.flatten(1).std(1) > 1e-3).all() == prints
    assert inner.shape == (2, 6, 6)
