"""Convolutions with fewer products give the plain sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from calotype.lab import registry
from calotype.lab.codec import ModelCodec, exact
from calotype.lab.layers import quick_conv as quick
from calotype.lab.layers.conv import conv


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("size", [(1, 1), (4, 8), (7, 13), (12, 5)])
def test_sums_of_any_size(taps: int, size: tuple[int, int]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    weight, bias = torch.randn(4, 3, taps, taps, dtype=torch.float64), torch.randn(4, dtype=torch.float64)
    for b in (bias, None):
        plain = F.conv2d(x, weight, b, padding=taps // 2)
        assert torch.allclose(quick.quick_conv(x, weight, b), plain, rtol=0, atol=1e-11)


def test_which_layers_are_replaced() -> None:
    """Plain float64 layers of stride 1 only; the weights stay the same."""
    kept = [conv(2, 2, 5, 2), conv(2, 2, 1, 1), nn.Conv2d(2, 2, 3, padding=1, groups=2), nn.Conv2d(2, 2, 3)]
    kept += [nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), nn.Conv2d(2, 2, 3, padding=2, dilation=2)]
    model = nn.Sequential(*kept, nn.Sequential(conv(2, 3, 5, 1))).double()
    model.append(conv(3, 3, 3, 1))  # float32
    wide = model[-2][0]
    quick.quicken(model)
    assert [type(m) for m in model[: len(kept)]] == [nn.Conv2d] * len(kept)
    assert type(model[-1]) is nn.Conv2d
    assert isinstance(model[-2][0], quick.QuickConv)
    assert model[-2][0].weight is wide.weight


def test_small_maps_are_summed_plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def noted(x: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(x.shape[2:]))
        return F.conv2d(x, *more, padding=1)

    monkeypatch.setattr(quick, "quick_conv", noted)
    layer = quick.QuickConv(conv(1, 1, 3, 1).double())
    for size in ((16, 32), (16, 31)):
        layer(torch.zeros(1, 1, *size, dtype=torch.float64))
    assert sizes == [(16, 32)]


def test_files_of_slices_on_maps_that_are_large_enough() -> None:
    """Written and read through the quicker layers; what a probability sees differs by rounding errors
    only."""
    torch.manual_seed(0)
    model = registry.build("ali2023-cheng-charm", n=8, slices=2, widths=(6, 6)).eval()
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (16, 24, 3)), np.ones((24, 24, 1))).astype(np.uint8)
    codec = ModelCodec(model)
    assert isinstance(codec.model.mean[0][0], quick.QuickConv)
    for untouched in (model, codec.model.g_a, codec.model.g_s):  # float32: what is trained, what sees pixels
        assert not any(isinstance(m, quick.QuickConv) for m in untouched.modules())
    seen = codec.decode(codec.encode(image))
    with torch.inference_mode():
        x = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        plain = model(x).x_hat.clamp(0, 1)[0].permute(1, 2, 0).mul(255).round().to(torch.uint8).numpy()
    assert np.abs(seen.astype(int) - plain).mean() < 0.1
    side = torch.randn(1, 8, 24, 36, dtype=torch.float64)
    twin = exact(model)
    want = F.conv2d(side, model.mean[0][0].weight.double(), model.mean[0][0].bias.double(), padding=2)
    assert torch.allclose(twin.mean[0][0](side), want, rtol=0, atol=1e-12)
