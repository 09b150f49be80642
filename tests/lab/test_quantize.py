"""Noise, rounding, annealed and stochastic rounding, soft-to-hard vectors: answers, ranges, gradients."""

from __future__ import annotations

import math

import pytest
import torch

from calotype.lab import registry
from calotype.lab.codec import ModelCodec
from calotype.lab.entropy import Estimate, Gaussian
from calotype.lab.entropy.quantize import VectorQuantizer, noise, plain, shifted, stochastic

from .conftest import picture


def test_shifted_known_answer() -> None:
    y = torch.tensor([0.3, 0.6, -1.2])
    torch.testing.assert_close(shifted(y, 0.25), torch.tensor([0.25, 0.25, -0.75]))


def test_plain_ignores_the_centre() -> None:
    assert plain(torch.tensor([0.3, 1.6]), 0.25).tolist() == [0.0, 2.0]


def test_noise_is_uniform_and_repeatable() -> None:
    y = torch.randn(20000)
    d = noise(y, 0.0, torch.Generator().manual_seed(1)) - y
    assert d.abs().max() <= 0.5 + 1e-6
    assert abs(float(d.mean())) < 0.01
    assert float(d.var()) == pytest.approx(1 / 12, rel=0.03)
    again = noise(y, 0.0, torch.Generator().manual_seed(1)) - y
    assert torch.equal(d, again)


def test_stochastic_keeps_the_mean() -> None:
    q = stochastic(torch.full((50000,), 0.3), 0.0, torch.Generator().manual_seed(0))
    assert set(q.round().tolist()) == {0.0, 1.0}
    assert float(q.mean()) == pytest.approx(0.3, abs=0.01)


def test_vector_quantizer() -> None:
    torch.manual_seed(0)
    q = VectorQuantizer(6)
    assert ((q.centres >= -2) & (q.centres <= 2)).all()
    v = torch.randn(3, 5, requires_grad=True)
    hard, index = q(v)
    nearest = (v.detach()[..., None] - q.centres).abs().argmin(-1)
    assert torch.equal(index, nearest)
    torch.testing.assert_close(hard, q.centres[nearest])
    hard.sum().backward()
    x = v.detach().clone().requires_grad_()  # the gradient is that of the soft assignment
    soft = (torch.softmax(-(x[..., None] - q.centres.detach()).square(), -1) * q.centres.detach()).sum()
    soft.backward()
    torch.testing.assert_close(v.grad, x.grad)
    assert q.penalty(0.1).item() == pytest.approx(0.1 * float(q.centres.detach().square().sum()))


@pytest.mark.parametrize("mode", ["noise", "mixed", "round", "parallel"])
def test_estimate_modes(mode: str) -> None:
    """What the rate is counted on and what the decoder sees, in each mode."""
    g = torch.Generator().manual_seed(5)
    y = 3 * torch.randn(2, 4, 3, 3, generator=g)
    mu, sigma = torch.randn(2, 4, 3, 3, generator=g), torch.full((2, 4, 3, 3), 1.5)
    coder = Estimate(mode, generator=torch.Generator().manual_seed(9))
    coder.begin(2, 48, 48)
    p = Gaussian(mu, sigma)
    seen = coder.code("y", y, p)
    noisy = noise(y, 0.0, torch.Generator().manual_seed(9))
    rounded = torch.round(y - mu) + mu
    rate = noisy if mode in ("noise", "mixed") else rounded
    torch.testing.assert_close(seen, {"noise": noisy, "parallel": y.round()}.get(mode, rounded))
    torch.testing.assert_close(coder.bits["y"], -torch.log2(p.likelihood(rate)).flatten(1).sum(1))


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="mixed"):
        Estimate("nose")


def test_soft_to_hard_in_a_model() -> None:
    """Rate and pixels both move the analysis; the sharpness rises as training goes on; indices are coded."""
    torch.manual_seed(0)
    model = registry.build("agustsson2017", n=8, m=4, sharpness=16.0).train()
    for done, expected in ((0.0, 1.0), (0.5, 4.0), (1.0, 16.0)):
        model.progress(done)
        assert model.quantizer.sharpness == pytest.approx(expected)
    x = picture(64, 64)[None] / 255
    for part in (lambda out: out.bpp.mean(), lambda out: (out.x_hat - x).square().mean()):
        model.zero_grad()
        part(model(x)).backward()
        assert float(model.g_a[0].weight.grad.abs().sum()) > 0
    model.eval()
    with torch.no_grad():
        out = model(x)
    assert set(out.y_hat.unique().tolist()) <= set(model.quantizer.centres.tolist())
    uniform = 4 * 4 * 4 * math.log2(6)
    assert float(out.bits["y"]) == pytest.approx(uniform, rel=1e-5)
    torch.testing.assert_close(
        ModelCodec(model).decompress(ModelCodec(model).compress(x)), out.x_hat.clamp(0, 1), atol=1e-5, rtol=0
    )
