"""The product's model in torch: shapes, levels, quantisation, the integer network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from calotype.codec import levels
from calotype.lab.models.calotype import Calotype, Config
from calotype.lab.models.calotype_levels import gaussian_bits, logistic_bits
from calotype.lab.models.calotype_parts import join_phases, split_phases

Thin = Callable[..., Calotype]


def test_shapes_and_integers(thin: Thin) -> None:
    out = thin()(torch.rand(2, 3, 128, 192), torch.tensor([0.0, 1.3]), hard=True)
    assert out.x_hat.shape == (2, 3, 128, 192)
    assert out.z.shape == (2, 64, 2, 3)
    assert out.r.shape == out.index.shape == (2, 48, 8, 12)
    for integers in (out.z, out.r, out.index):
        assert torch.equal(integers, integers.round())
    assert 0 <= out.index.min() <= out.index.max() <= 63
    assert (out.r[out.index == 0] == 0).all()


def test_a_model_keeps_its_parameters() -> None:
    """Checkpoints live longer than code: names and shapes of a model of given sizes do not change."""
    state = Calotype(Config(latents=256)).state_dict()
    listing = "".join(f"{name} {list(value.shape)}\n" for name, value in sorted(state.items()))
    assert (len(state), sum(v.numel() for v in state.values())) == (154, 3_749_580)
    assert hashlib.sha256(listing.encode()).hexdigest()[:16] == "4e61f61e17d2557c"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"laten": 3}, "laten"),
        ({"hyper": 32}, "hyper"),
        ({"lambdas": [0.1, 0.01]}, "rising"),
        ({"width": 8, "latents": 64}, "latents"),
    ],
)
def test_bad_sizes_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config.from_dict(options)


def test_phases_are_joined_as_they_were_split() -> None:
    t = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    assert torch.equal(join_phases(split_phases(t)), t)
    assert torch.equal(split_phases(t)[1], t[:, :, 1::2, 1::2])


def test_noise_comes_from_the_generator_alone(thin: Thin) -> None:
    model, x, level = thin(), torch.rand(1, 3, 64, 64), torch.tensor([1.0])

    def bits(seed: int) -> float:
        torch.manual_seed(99 + seed)  # must not matter
        return float(model(x, level, generator=torch.Generator().manual_seed(seed)).r_bits.detach())

    assert bits(1) == bits(1) != bits(2)


def test_hard_and_noisy_rates_agree_on_average(thin: Thin) -> None:
    """Both estimate the same thing; far apart, training would not see what files cost."""
    model = thin()
    with torch.no_grad():
        model.levels.log_gain += 3.0  # residuals well above a step
        model.levels.bias += 30.0
    x, level = torch.rand(2, 3, 128, 128), torch.tensor([2.0, 2.0])
    hard = model(x, level, hard=True).r_bits.sum()
    soft = model(x, level, generator=torch.Generator().manual_seed(0)).r_bits.sum()
    assert abs(float((soft / hard).detach()) - 1) < 0.1


def test_every_parameter_learns(thin: Thin) -> None:
    model = thin().train()
    with torch.no_grad():
        model.levels.log_gain += 3.0  # else all residuals round to 0
    out = model(torch.rand(2, 3, 64, 64), torch.tensor([0.5, 1.5]), generator=torch.Generator())
    (out.r_bits.sum() + out.z_bits.sum() + 1e4 * out.x_hat.square().mean()).backward()
    still = [
        n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert still == []


def test_levels_are_interpolated_as_the_codec_does(thin: Thin) -> None:
    """Integers exactly, at every level that a file can have; the rest to float32."""
    model = thin()
    with torch.no_grad():
        for p in model.levels.parameters():
            p += 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel()))
        model.levels.bias *= 20
        model.levels.log_z_step.copy_(
            model.levels.log_z_step[:1].clone() - torch.tensor([[0.0], [0.15], [0.3]])
        )
        z_mul, bias = model.levels.integers()
    tables = {
        "gain": model.levels.log_gain.double().exp().detach().numpy(),
        "inv_gain": model.levels.log_inv_gain.double().exp().detach().numpy(),
        "z_gain": 4096.0 / z_mul.double().numpy(),
        "z_mul": z_mul.numpy().astype(np.int32),
        "bias": bias.numpy().astype(np.int32),
        "level_vector": model.levels.vector.detach().numpy(),
    }
    numbers = range(2 * 256 + 1)
    with torch.no_grad():
        knobs = model.levels(torch.tensor([number / 256 for number in numbers]))
    for number in numbers:
        feeds = levels.at(tables, number).feeds
        for name, ours in (("z_mul", knobs.z_mul), ("bias", knobs.bias)):
            assert np.array_equal(feeds[name], ours[number, :, 0, 0].numpy()), (name, number)
        for name, ours in (("gain", knobs.gain), ("inv_gain", knobs.inv_gain), ("level", knobs.vector)):
            np.testing.assert_allclose(feeds[name], ours[number, :, 0, 0].numpy(), rtol=2e-6, atol=1e-6)
    # Training takes the step of z from its integer, the codec interpolates it: a choice of the encoder alone.
    np.testing.assert_allclose(
        levels.at(tables, 77).feeds["z_gain"], 4096 / knobs.z_mul[77, :, 0, 0], rtol=0.01
    )


def test_probabilities_sum_to_one() -> None:
    v = torch.arange(-60.0, 61.0, dtype=torch.float64)
    for sigma in (0.11, 1.0, 9.0):
        assert 2 ** -gaussian_bits(v, torch.tensor(sigma).double()).double() == pytest.approx(
            torch.special.ndtr((v + 0.5) / sigma) - torch.special.ndtr((v - 0.5) / sigma), abs=1e-8
        )
    total = (2 ** -logistic_bits(v, torch.tensor(0.7).double(), torch.tensor(1.5).double())).sum()
    assert float(total) == pytest.approx(1, abs=1e-6)


def test_scales_network_is_exact_in_float32(thin: Thin) -> None:
    """Float32, float64 and another order of sums give the same integers, with the largest weights."""
    model = thin()
    scales = model.scales
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for layer in (scales.wide, scales.up, scales.near, scales.out):
            layer.weight.copy_(
                4 * torch.rand(layer.weight.shape, generator=generator) - 2
            )  # clipped to the limit
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator))
    z = torch.randint(-1023, 1024, (3, 64, 5, 7), generator=generator).float()
    mul = torch.randint(500, 9000, (3, 64, 1, 1), generator=generator).float()
    bias = torch.randint(-9000, 9000, (3, 48, 1, 1), generator=generator).float()
    with torch.no_grad():
        single = scales(z, mul, bias)
        channels_last = scales(z.contiguous(memory_format=torch.channels_last), mul, bias)
        double = scales.double()(z.double(), mul.double(), bias.double())
    assert len(single.unique()) > 20
    assert torch.equal(single, channels_last)
    assert torch.equal(single.double(), double)
