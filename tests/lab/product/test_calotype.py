"""The product's model in torch: shapes, levels, quantisation, rates and what learns from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from calotype.codec import levels
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_levels import (
    R_TABLE,
    frugal_round,
    gaussian_bits,
    logistic_bits,
    rate_tables,
    shrinkage,
    training_rate,
)
from calotype.lab.models.calotype_walk import LOW
from calotype.lab.pack.exact import knobs
from calotype.lab.pack.fixed_networks import FixedNetworks
from calotype.lab.pack.trellis import HALF_STEP
from calotype.lab.pack.write import _level_arrays
from calotype.pack.levels import CODING, GAINS

Thin = Callable[..., Calotype]


def test_shapes_and_integers(thin: Thin) -> None:
    out = thin()(torch.rand(2, 3, 128, 192), torch.tensor([0.0, 1.3]), hard=True)
    assert out.x_hat.shape == (2, 3, 128, 192)
    assert out.r_bits.shape == out.z_bits.shape == (2,)
    found = out.latents
    assert found.z.shape == found.z_index.shape == found.z_shift.shape == found.z_bits.shape == (2, 4, 4, 8)
    assert found.r.shape == found.index.shape == found.residual.shape == found.y_hat.shape == (2, 48, 8, 16)
    assert found.size == (8, 12)  # the rest is padding
    for integers in (found.z, found.z_index, found.z_shift, found.r, found.index):
        assert torch.equal(integers, integers.round())
    assert 0 <= found.index.min() <= found.index.max() <= 63
    assert 0 <= found.z_index.min() <= found.z_index.max() <= 63
    assert (found.r[found.index == 0] == 0).all()


def test_a_model_keeps_its_parameters() -> None:
    """Checkpoints live longer than code: names and shapes of a model of given sizes do not change."""
    state = Calotype(Config(latents=256)).state_dict()
    listing = "".join(f"{name} {list(value.shape)}\n" for name, value in sorted(state.items()))
    assert (len(state), sum(v.numel() for v in state.values())) == (342, 5_220_420)
    assert hashlib.sha256(listing.encode()).hexdigest()[:16] == "c05524047b7bc5e5"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"laten": 3}, "laten"),
        ({"hyper": 32}, "hyper"),
        ({"lambdas": [0.1, 0.01]}, "rising"),
        ({"width": 8, "latents": 64}, "latents"),
        ({"latents": 16}, "latents 17"),
    ],
)
def test_bad_sizes_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config.from_dict(options)


def test_noise_comes_from_the_generator_alone(thin: Thin) -> None:
    model, x, level = thin(), torch.rand(1, 3, 64, 64), torch.tensor([1.0])

    def bits(seed: int) -> float:
        torch.manual_seed(99 + seed)  # must not matter
        return float(model(x, level, generator=torch.Generator().manual_seed(seed)).r_bits.detach())

    assert bits(1) == bits(1) != bits(2)


@torch.no_grad()
def test_hard_and_noisy_rates_agree_on_average(lively: Thin) -> None:
    """Both estimate the same thing; far apart, training would not see what files cost."""
    model = lively()
    for outer in (*model.latents.scales.low_out, *model.latents.scales.high_out):
        outer.weight.zero_()
    model.levels.low_bias.fill_(40.0)  # residuals and sigmas well above a step
    model.levels.high_bias.fill_(40.0)
    model.latents.shrink.fill_(1.0)
    x, level = torch.rand(2, 3, 128, 128), torch.tensor([2.0, 2.0])
    y = 10 * torch.randn(2, 48, 16, 16, generator=torch.Generator().manual_seed(3))
    k = model.levels(level)
    for make in (
        lambda **how: model(x, level, **how).latents.bits,
        lambda **how: model.latents(y, k, **how).bits,
    ):
        hard, soft = make(hard=True), make(generator=torch.Generator().manual_seed(0))
        assert (hard.sum(1) > 500).all()
        assert ((soft.sum(1) / hard.sum(1) - 1).abs() < 0.1).all()


@pytest.mark.parametrize("hard", [False, True])
def test_every_parameter_learns(hard: bool, lively: Thin) -> None:
    model = lively().train()
    x = torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    out = model(x, torch.tensor([0.5, 1.5]), hard=hard, generator=torch.Generator())
    (out.r_bits.sum() + out.z_bits.sum() + 1e4 * out.x_hat.square().mean()).backward()
    still = [
        n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert still == []
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_a_gain_belongs_to_a_site(lively: Thin) -> None:
    """The map of gains that analyses use is what residuals are multiplied by."""
    model = lively()
    with torch.no_grad():
        model.latents.mean.base.zero_()
        for layer in (*model.latents.mean.low_out, *model.latents.mean.out):
            layer.silence()
        k, y = model.levels(torch.tensor([0.7])), torch.rand(1, 48, 16, 24) + 1
        torch.testing.assert_close(model.latents(y, k, hard=True).residual, y * k.gains(16, 24))


# -- levels ------------------------------------------------------------------------------


def test_levels_are_interpolated_as_the_codec_does(lively: Thin) -> None:
    """Integers exactly, at every level that a file can have; the rest to float32."""
    model = lively()
    with torch.no_grad():
        model.levels.log_z_step.uniform_(-1.2, -0.2, generator=torch.Generator().manual_seed(1))
        numbers = range(2 * 256 + 1)
        found = model.levels(torch.tensor([number / 256 for number in numbers]))
    tables = _level_arrays(model)
    fixed = FixedNetworks(model, torch.rand(2, 3, 128, 128), torch.tensor([0.5, 1.5]))
    tables |= {**fixed.tables(model), "unit": fixed.unit.astype(np.float32)}
    for number in numbers:
        level = levels.at(tables, number)
        for name in CODING:
            ours = getattr(found, name)[number, ..., 0, 0].numpy()
            assert np.array_equal(level.integers[name], ours), (name, number)
        for name in GAINS:
            ours = getattr(found, name)[number, ..., 0, 0].numpy()
            np.testing.assert_allclose(level.gains[name], ours, rtol=2e-6)
        for part, unit in (("low", fixed.unit[:LOW]), ("high", fixed.unit[LOW:])):
            ours = getattr(found, f"{part}_inv_gain")[number, ..., 0, 0].numpy() / unit * 4096 * HALF_STEP
            np.testing.assert_allclose(level.integers[f"{part}_step"], ours, rtol=2e-5, atol=1)
        ours = found.vector[number, :, 0, 0].numpy()
        assert np.abs(level.vector * fixed.unit - ours).max() <= fixed.unit.max()
    k = knobs(tables, 300)
    assert all(
        np.array_equal(getattr(k, name)[0, ..., 0, 0], levels.at(tables, 300).integers[name])
        for name in CODING
    )


# -- rates -------------------------------------------------------------------------------


def test_probabilities_sum_to_one() -> None:
    v = torch.arange(-60.0, 61.0, dtype=torch.float64)
    for sigma in (0.11, 1.0, 9.0):
        assert 2 ** -gaussian_bits(v, torch.tensor(sigma).double()).double() == pytest.approx(
            torch.special.ndtr((v + 0.5) / sigma) - torch.special.ndtr((v - 0.5) / sigma), abs=1e-8
        )
    total = (2 ** -logistic_bits(v, torch.tensor(0.7).double(), torch.tensor(1.5).double())).sum()
    assert float(total) == pytest.approx(1, abs=1e-6)


def sigmas(index: Tensor) -> Tensor:
    return 0.11 * torch.exp(index * np.log(256 / 0.11) / 63)


def test_the_rate_of_training_is_that_of_the_rounded_residuals() -> None:
    """Its value and its slope along the class; along the residual it has the slope of the noisy rate."""
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(0, 60, (4000,), generator=generator)
    residual = sigmas(index.double()).float() * torch.randn(4000, generator=generator)
    noise = torch.rand(4000, generator=generator) - 0.5
    r = frugal_round(residual, shrinkage()[index]).detach()
    r = torch.where(index > 0, r, 0.0)
    assert r.abs().max() < R_TABLE
    residual.requires_grad_()
    classes = index.float().requires_grad_()
    bits = training_rate(residual, classes, r, noise, rate_tables())
    by_residual, by_class = torch.autograd.grad(bits.sum(), (residual, classes))

    at, coded = index.double(), index > 0
    expected = torch.where(coded, gaussian_bits(r.double(), sigmas(at)), 0.0)
    torch.testing.assert_close(bits.double(), expected, atol=1e-4, rtol=1e-5)

    def slope(bits_at: Callable[[float], Tensor], step: float = 1e-5) -> Tensor:
        return (bits_at(step) - bits_at(-step)) / (2 * step)

    along_class = slope(lambda d: gaussian_bits(r.double(), sigmas(at + d)))
    torch.testing.assert_close(by_class.double(), torch.where(coded, along_class, 0.0), atol=1e-4, rtol=1e-3)
    v = (residual.detach() + noise).double()
    likely = gaussian_bits(v, sigmas(at)) < 20  # float32 keeps few digits of what is less
    assert likely.float().mean() > 0.95
    along = slope(lambda d: gaussian_bits(v + d, sigmas(at)))
    torch.testing.assert_close(by_residual.double()[likely], along[likely], atol=1e-3, rtol=5e-3)
    assert not torch.allclose(by_residual[likely], torch.zeros(()), atol=1e-2)


def test_rounding_favours_what_costs_less() -> None:
    shrink = shrinkage()
    assert shrink.min() >= 0.55
    assert shrink[-1] > 0.99
    assert (shrink.diff() > -1e-5).all()
    v = torch.tensor([0.4, 0.6, -0.6, 1.4, -7.0], requires_grad=True)
    out = frugal_round(v, torch.tensor(0.8))
    assert out.tolist() == [0, 0, 0, 1, -6]
    assert frugal_round(v, torch.tensor(1.0)).tolist() == [0, 1, -1, 1, -7]
    out.sum().backward()
    assert v.grad is not None
    assert v.grad.tolist() == [1] * 5
