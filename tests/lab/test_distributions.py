"""Likelihoods, tables and the factorized prior against known answers and independent arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import expit, ndtr
from torch import Tensor

from calotype.lab.entropy import FactorizedPrior, Gaussian, Logistic, Mixture, log_scales
from calotype.lab.entropy.stream import Reader, Writer


def test_gaussian_known_answers() -> None:
    zero = torch.zeros(2, dtype=torch.float64)
    p = Gaussian(None, torch.tensor([1.0, 0.11], dtype=torch.float64)).likelihood(zero)
    assert p.tolist() == pytest.approx([0.3829249, 0.9999945], abs=1e-7)
    assert -math.log2(float(p[0])) == pytest.approx(1.384867, abs=1e-6)


def test_gaussian_is_bounded() -> None:
    p = Gaussian(None, torch.tensor([-3.0, 0.01]))
    assert p.sigma.tolist() == pytest.approx([0.11, 0.11])
    assert p.likelihood(torch.tensor([50.0, 50.0])).tolist() == pytest.approx([1e-9, 1e-9])


def test_scale_list() -> None:
    scales = log_scales()
    assert len(scales) == 64
    assert (scales[0], scales[-1]) == pytest.approx((0.11, 256.0))
    assert scales[1:] / scales[:-1] == pytest.approx(np.full(63, 1.13095), abs=5e-6)


@pytest.mark.parametrize(
    ("law", "cumulative"), [(Gaussian, ndtr), (Logistic, expit)], ids=["gaussian", "logistic"]
)
def test_likelihood_is_the_law_integrated(law: type, cumulative: Callable[..., np.ndarray]) -> None:
    v = torch.linspace(-6, 6, 25, dtype=torch.float64)
    mu, sigma = torch.full_like(v, 0.3), torch.full_like(v, 1.7)
    x = (v.numpy() - 0.3) / 1.7
    expected = cumulative(x + 0.5 / 1.7) - cumulative(x - 0.5 / 1.7)
    np.testing.assert_allclose(law(mu, sigma).likelihood(v), expected, rtol=1e-9)


def test_mixture_is_the_weighted_sum() -> None:
    g = torch.Generator().manual_seed(0)
    logits, mu = torch.randn(1, 3, 2, 4, 4, generator=g), torch.randn(1, 3, 2, 4, 4, generator=g)
    sigma = torch.rand(1, 3, 2, 4, 4, generator=g) + 0.2
    v = torch.randn(1, 2, 4, 4, generator=g).round()
    weights = torch.softmax(logits, 1)
    expected = sum(weights[:, k] * Gaussian(mu[:, k], sigma[:, k]).likelihood(v) for k in range(3))
    torch.testing.assert_close(Mixture(logits, mu, sigma).likelihood(v), expected)


def test_single_mixture_is_a_gaussian_with_any_mean() -> None:
    mu, sigma = torch.tensor([[[[0.37]]]]), torch.tensor([[[[0.8]]]])
    v = torch.tensor([[[[1.0]]]])
    torch.testing.assert_close(
        Mixture.single(mu, sigma).likelihood(v), Gaussian(mu, sigma).likelihood(v), rtol=1e-6, atol=0
    )


def _cost(data: bytes) -> int:
    return 8 * len(data)


@pytest.mark.parametrize("law", [Gaussian, Logistic])
def test_coded_size_is_the_estimate(law: type) -> None:
    """Symbols drawn from the law: real size within 0.5 % + 24 bytes of the sum of -log2 P, exact decoding."""
    g = torch.Generator().manual_seed(3)
    sigma = torch.exp(torch.empty(1, 8, 40, 40, dtype=torch.float64).uniform_(-2, 4, generator=g))
    mu = torch.empty_like(sigma).uniform_(-3, 3, generator=g)
    u = torch.empty_like(sigma).uniform_(1e-6, 1 - 1e-6, generator=g)
    drawn = mu + sigma * (torch.special.ndtri(u) if law is Gaussian else torch.logit(u))
    p = law(mu, sigma)
    symbols = torch.round(drawn - p.centre)
    estimate = float(-torch.log2(p.likelihood(symbols + p.centre)).sum())
    writer = Writer()
    p.write(writer, symbols)
    data = writer.finish()
    assert abs(_cost(data) - estimate) < 0.005 * estimate + 8 * 24
    reader = Reader(data)
    assert torch.equal(p.read(reader).double(), symbols)
    reader.finish()


def _mixture(n: int, seed: int) -> tuple[Mixture, Tensor]:
    g = torch.Generator().manual_seed(seed)
    shape = (1, 3, 4, n)
    logits, mu = torch.randn(shape, generator=g).double(), 3 * torch.randn(shape, generator=g).double()
    sigma = torch.rand(shape, generator=g).double() * 2 + 0.2
    k = torch.multinomial(torch.softmax(logits, 1)[0].permute(1, 2, 0).reshape(-1, 3), 1, generator=g)
    k = k.view(4, n)[None, None]
    drawn = mu.gather(1, k) + sigma.gather(1, k) * torch.randn(1, 1, 4, n, generator=g)
    return Mixture(logits, mu, sigma), torch.round(drawn[:, 0])


def test_mixture_coded_size_is_the_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mixture, "CHUNK", 5000)  # several chunks
    p, symbols = _mixture(1500, 0)
    estimate = float(-torch.log2(p.likelihood(symbols)).sum())
    writer = Writer()
    writer.put_range(int(symbols.min()), int(symbols.max()))
    p.write(writer, symbols)
    data = writer.finish()
    assert abs(_cost(data) - estimate) < 0.01 * estimate + 8 * 24
    reader = Reader(data)
    reader.get_range(p.RANGE)
    assert torch.equal(p.read(reader).double(), symbols)
    reader.finish()


def test_prior_is_a_distribution_per_channel() -> None:
    torch.manual_seed(0)
    prior = FactorizedPrior(3).double()
    with torch.no_grad():
        for p in prior.parameters():
            p += 0.3 * torch.randn_like(p)
    v = torch.arange(-400.0, 401.0, dtype=torch.float64).expand(1, 3, 1, -1)
    assert prior.likelihood(v).sum(3).flatten().tolist() == pytest.approx([1.0] * 3, abs=2e-6)
    logits = prior.logits(v.reshape(3, 1, -1))
    assert (logits.diff(dim=2) > 0).all()


def test_prior_tables_cost_what_the_likelihood_says() -> None:
    torch.manual_seed(1)
    prior = FactorizedPrior(6).double()
    with torch.no_grad():
        for p in prior.parameters():
            p += 0.2 * torch.randn_like(p)
    symbols = torch.randint(-6, 7, (1, 6, 30, 30)).double()
    p = prior((1, 30, 30))
    writer = Writer()
    p.write(writer, symbols)
    data = writer.finish()
    estimate = float(-torch.log2(prior.likelihood(symbols + prior.medians)).sum().detach())
    assert abs(_cost(data) - estimate) < 0.01 * estimate + 8 * 24
    reader = Reader(data)
    assert torch.equal(p.read(reader).double(), symbols)


def test_prior_codes_any_integer() -> None:
    prior = FactorizedPrior(2).double()
    symbols = torch.tensor([0.0, 1e6, -(2.0**30), 3.0, -4096.0, 77.0], dtype=torch.float64).view(1, 2, 1, 3)
    p = prior((1, 1, 3))
    writer = Writer()
    p.write(writer, symbols)
    assert torch.equal(p.read(Reader(writer.finish())).double(), symbols)


def test_quantile_loss_finds_the_median_and_moves_nothing_else() -> None:
    torch.manual_seed(2)
    prior = FactorizedPrior(4)
    with torch.no_grad():
        for b in prior.biases:
            b += torch.randn_like(b)
    optimizer = torch.optim.Adam(prior.parameters(), 0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [250, 300], 0.2)
    before = [p.clone() for p in prior.matrices]
    for _ in range(350):
        optimizer.zero_grad()
        prior.quantile_loss().backward()
        optimizer.step()
        schedule.step()
    at_median = prior.logits(prior.quantiles[:, :, 1:2])
    assert at_median.abs().max() < 0.2
    assert all(torch.equal(a, b) for a, b in zip(before, prior.matrices, strict=True))
