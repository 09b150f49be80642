"""Parts of the transforms: matrix products, units, the renderer, ReLUs that leak, how far they reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from calotype.lab.layers.shuffle import _channels_last, pixel_unshuffle
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_transforms import Branch, Patches, Pointwise, Renderer, folded
from calotype.lab.pack.fixed_networks import FixedNetworks
from calotype.lab.pack.write import manifest
from calotype.lab.train.config import TrainConfig
from calotype.lab.train.loop import Trainer

from .conftest import THIN

Thin = Callable[..., Calotype]


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("factor", [2, 4])
def test_shuffles_are_those_of_torch_with_channels_last(factor: int) -> None:
    x = torch.randn(2, 3, 8, 16)
    small = pixel_unshuffle(x, factor)
    assert torch.equal(small, F.pixel_unshuffle(x, factor))
    assert small.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(_channels_last(small, factor), x)


def test_patches_are_a_strided_convolution_in_training_too() -> None:
    layer, x = Patches(5, 7, 2), torch.randn(2, 5, 6, 8)
    assert layer.training
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight, layer.bias, stride=2))
    torch.testing.assert_close(layer(x), layer.eval()(x))


def test_units_multiply_weights_instead_of_maps() -> None:
    layer, x = Pointwise(5, 7), torch.randn(2, 5, 3, 4)
    given, added = torch.rand(5) + 0.5, torch.rand(7) + 0.5
    whole = F.conv2d(x / given[:, None, None], layer.weight, layer.bias) * added[:, None, None]
    torch.testing.assert_close(layer.within(x, given, added), whole)
    torch.testing.assert_close(layer(x), layer.eval()(x))
    torch.testing.assert_close(layer.within(x), layer(x))


# -- renderer --------------------------------------------------------------------------


def renderer(layers: int = 2) -> Renderer:
    net = Renderer(12, 6, layers)
    with torch.no_grad():
        net.out.weight.normal_()
        net.out.bias.normal_()
        net.given.uniform_(0.5, 2)
    return net


def test_a_renderer_begins_as_nothing_and_learns() -> None:
    net, x = Renderer(12, 6, 2), torch.randn(1, 12, 4, 6)
    out = net(x)
    assert out.shape == (1, 3, 32, 48)
    assert not out.any()
    (out - 1).square().sum().backward()
    assert net.out.weight.grad is not None
    assert net.out.weight.grad.any()


@pytest.mark.parametrize("layers", [0, 2])
def test_a_renderer_is_what_its_layers_say(layers: int) -> None:
    net, x = renderer(layers), torch.randn(1, 12, 4, 6)
    t = F.relu(F.pixel_shuffle(net.up(x / net.given[:, None, None]), 2))
    for conv in net.convs:
        t = F.relu(conv(t))
    expected = Renderer.UNIT * F.pixel_shuffle(net.out(t), 4)
    torch.testing.assert_close(net(x), expected)
    plain = folded(net)
    plain.fold()  # twice is once
    assert bool((plain.given == 1).all() and (plain.added == 1).all())
    torch.testing.assert_close(plain(x), expected, atol=1e-5, rtol=1e-4)
    assert not bool((net.given == 1).any())  # a copy


def test_the_renderer_counts_in_the_pixels(thin: Thin) -> None:
    model, y = thin(), torch.randn(1, 48, 3, 4)
    level = torch.zeros(1, 48, 1, 1)
    with torch.no_grad():
        t = model.synthesis.split(model.synthesis.blocks16(y))
        t = model.synthesis.blocks8(F.pixel_shuffle(t, 2))
        expected = F.pixel_shuffle(model.synthesis.patch(t), 8) + model.synthesis.render(t) + 0.5
        torch.testing.assert_close(model.synthesis(y, level), expected)
        assert model.synthesis.render(t).std() > 1e-4


# -- leak ------------------------------------------------------------------------------


def test_a_leak_is_a_slope_below_zero_and_goes(thin: Thin) -> None:
    model = thin()
    parts = [part for part in model.modules() if isinstance(part, Branch)]
    assert len(parts) == 5  # four bottlenecks and the renderer
    x = torch.tensor([[[[-2.0, 3.0]]]])
    pixels, level = torch.rand(1, 3, 32, 32), torch.tensor([1.0])
    before = model(pixels, level, hard=True).x_hat
    model.leak(0.25)
    assert all(part.relu(x).flatten().tolist() == [-0.5, 3.0] for part in parts)
    assert not torch.equal(model(pixels, level, hard=True).x_hat, before)
    held = parts[0].leak
    model.leak(0.125)
    assert parts[0].leak is held  # in place
    assert parts[0].relu(x).flatten().tolist() == [-0.25, 3.0]
    assert not any("leak" in name for name in model.state_dict())
    plain = folded(model.synthesis)
    assert plain.render.leak is None
    model.leak(None)
    assert all(part.relu(x).flatten().tolist() == [0.0, 3.0] for part in parts)
    torch.testing.assert_close(model(pixels, level, hard=True).x_hat, before)


def test_the_leak_closes_by_half_of_the_schedule(trainer: Callable[..., Trainer]) -> None:
    config = TrainConfig(steps=100, leak=0.2)
    assert [config.slope(k) for k in (0, 25, 50, 100)] == pytest.approx([0.2, 0.1, 0, 0])
    assert TrainConfig(steps=100).slope(0) == 0
    with pytest.raises(ValueError, match="leak must be within"):
        TrainConfig.from_dict({"leak": 2})
    seen: list[Any] = []
    run = trainer(steps=4, leak=0.2, decay=0.0)
    assert isinstance(run.model, Calotype)
    part = run.model.synthesis.render
    part.register_forward_hook(lambda *_: seen.append(float(part.leak)))  # type: ignore[arg-type]
    run.run()
    assert sorted(set(seen), reverse=True)[:3] == pytest.approx([0.2, 0.1, 0.0])


# -- how far the transforms reach ------------------------------------------------------


def lively(thin: Thin, **sizes: Any) -> Calotype:
    """A thin model whose branches change what passes."""
    model = thin(**{**THIN, **sizes})
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name.endswith(("expand.weight", "render.out.weight")):
                p.normal_(std=0.3)
    return model


@pytest.mark.parametrize(
    ("blocks", "layers", "margin"), [((1, 2), 3, 3), ((1, 1), 3, 3), ((1, 1), 2, 2), ((2, 2), 0, 3)]
)
@torch.no_grad()
def test_the_margin_of_the_synthesis_is_as_far_as_it_reaches(
    blocks: tuple[int, int], layers: int, margin: int, thin: Thin
) -> None:
    """A change of latents shows so many latents away and no farther."""
    model = lively(thin, synthesis_blocks=blocks, render_layers=layers)
    assert manifest(model, "thin")["synthesis_margin"] == margin
    y, level = torch.randn(1, 48, 1 + 2 * 5, 3), torch.zeros(1, 48, 1, 1)
    other = y.clone()
    other[:, :, 5] += 1
    moved = (model.synthesis(y, level) - model.synthesis(other, level)).abs().amax((0, 1, 3))
    rows = torch.nonzero(moved > 0).flatten()
    assert 16 * (5 - margin) <= int(rows.min()) < 16 * (6 - margin)
    assert 16 * (5 + margin) <= int(rows.max()) < 16 * (6 + margin)


@torch.no_grad()
def test_windows_within_their_margin_are_the_whole_picture(
    thin: Thin, calibration: tuple[Tensor, Tensor]
) -> None:
    """In fixed point, to the bit."""
    model = lively(thin)
    m = manifest(model, "thin")["synthesis_margin"]
    fixed = FixedNetworks(model, *calibration).synthesis
    y = torch.randint(-3000, 3000, (1, 48, 16, 5), generator=torch.Generator().manual_seed(1)).double()
    whole, part = fixed(y), fixed(y[:, :, 2:13])
    assert torch.equal(part[:, :, 16 * m : -16 * m], whole[:, :, 16 * (2 + m) : 16 * (13 - m)])
    assert whole.std() > 10
