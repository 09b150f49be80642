"""Lee 2019 and Mentzer 2018: what their contexts see, the importance map, laws over classes."""

from __future__ import annotations

import pytest
import torch

from calotype.lab import registry
from calotype.lab.entropy import Estimate
from calotype.lab.entropy.categories import Categories
from calotype.lab.entropy.stream import Reader, Writer
from calotype.lab.models.lee2019 import window_mask
from calotype.lab.models.mentzer2018 import importance

from .conftest import picture, thin


def test_the_window_of_lee_is_what_a_scan_has_passed() -> None:
    mask = window_mask()
    live = (mask.nonzero() - 3).tolist()
    assert len(live) == 14
    assert all(row < 0 or (row == 0 and column < 0) for row, column in live)
    assert {row for row, _ in live} == {-3, -2, -1, 0}
    assert {column for _, column in live} == {-2, -1, 0, 1}


def test_lees_latent_depends_on_windows_of_both_contexts() -> None:
    """The mean at a position, by the gradient to h_s and to the latents: 4 x 4 positions, and 14."""
    model = thin("lee2019").double()
    side = torch.randn(1, 12, 12, 12, dtype=torch.float64, requires_grad=True)
    y = torch.randn(1, 12, 12, 12, dtype=torch.float64, requires_grad=True)
    with_bits = model.with_bits(torch.nn.functional.pad(side, (2, 1, 3, 0)))
    p = model.distribution(with_bits, model.without_bits(y))
    p.mu[0, 0, :, 6, 6].sum().backward()
    seen = (side.grad.abs().sum((0, 1)) > 0).nonzero() - 6
    assert sorted(seen.tolist()) == [[i, j] for i in range(-3, 1) for j in range(-2, 2)]
    past = (y.grad.abs().sum((0, 1)) > 0).nonzero() - 6
    assert sorted(past.tolist()) == sorted((window_mask().nonzero() - 3).tolist())


def test_importance_by_hand() -> None:
    """sigmoid(0) of 4 channels: two; a bit more: a part of the third."""
    t = torch.tensor([0.0, 100.0, -100.0, float(torch.logit(torch.tensor(0.65)))]).view(1, 1, 2, 2)
    mask = importance(t, 4)[0]
    expected = [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [1, 1, 0.6, 0]]
    torch.testing.assert_close(mask.flatten(1).T, torch.tensor(expected))


@torch.no_grad()
def test_channels_beyond_the_importance_are_the_centre_nearest_to_zero() -> None:
    model = thin("mentzer2018")
    y = model.analyse(model.pad(picture(40, 48)[None] / 255))
    y[:, 0] = -100.0
    coder = Estimate("round")
    coder.begin(1, 40, 48)
    y_hat = model.walk(coder, y)
    centres = model.quantizer.centres
    assert (y_hat == centres[centres.abs().argmin()]).all()


def test_importance_learns_from_the_rate_and_the_count_is_that_of_a_file() -> None:
    """The weight changes gradients: that of a symbol's bits is half of it as it was, half by the weight."""
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 2, 2, 2, requires_grad=True)
    weight = torch.rand(1, 2, 2, 2, requires_grad=True)
    v = torch.randint(0, 3, (1, 2, 2, 2)).float()
    bits = -torch.log2(Categories(logits, None, weight).likelihood(v))
    plain = -torch.log2(Categories(logits).likelihood(v))
    torch.testing.assert_close(bits, plain)
    found = torch.autograd.grad(bits.sum(), (logits, weight))
    expected = torch.autograd.grad((0.5 * (1 + weight) * plain).sum(), (logits, weight))
    torch.testing.assert_close(found, expected)


def test_classes_are_coded_with_their_own_laws() -> None:
    """As many bits as the laws say, and the same classes back."""
    torch.manual_seed(0)
    logits = 3 * torch.randn(1, 5, 7, 30, dtype=torch.float64)
    v = torch.distributions.Categorical(logits=logits.movedim(1, -1)).sample().double()
    law, writer = Categories(logits), Writer()
    law.write(writer, v)
    data = writer.finish()
    bits = float(-torch.log2(law.likelihood(v)).sum())
    assert abs(8 * len(data) - bits) < 0.01 * bits + 160
    reader = Reader(data)
    assert torch.equal(law.read(reader).double(), v)
    reader.finish()


def test_importance_map_is_trained() -> None:
    torch.manual_seed(0)
    model = registry.build("mentzer2018", **registry.entry("mentzer2018").thin).train()
    out = model(picture(32, 32)[None] / 255)
    (gradient,) = torch.autograd.grad(out.bits["y"].sum(), model.g_a[-2].weight)
    assert float(gradient[0].abs().max()) > 0  # the channel of the importance
    assert out.bits["y"].item() == pytest.approx(
        float(-torch.log2(Categories(torch.zeros(1, 6, 1)).likelihood(torch.zeros(1, 1)))) * 48, rel=0.3
    )
