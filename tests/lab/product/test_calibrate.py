"""How units and weights of layers in fixed point are chosen."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from calotype.lab.pack.calibrate import Range, best_range, equalise, unshuffled
from calotype.lab.pack.fixed import quantised


def test_a_range_rounds_and_clips() -> None:
    steps = Range(0.5, 100)
    assert steps(np.array([0.2, 0.3, -1000.0, 1000.0, 77.6])).tolist() == [0.0, 0.5, -50.0, 77.5, 77.5]


def test_rare_values_are_clipped_when_that_is_better() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (5000, 8))
    x[0, 0] = 40
    weight = rng.normal(0, 1, (4, 8, 1))
    steps, error = best_range(x, weight)
    assert steps(np.array([40.0]))[0] < 39
    assert 0 < error < 0.01
    assert steps(np.zeros(1))[0] == 0


def test_channels_of_different_power_are_equalised() -> None:
    rng = np.random.default_rng(2)
    power = 10.0 ** np.linspace(-2, 1, 16)
    x = np.abs(rng.normal(0, 1, (4000, 16))) * power
    weight = rng.normal(0, 1, (12, 16, 1)) / power[:, None]
    divisor, (steps,) = equalise([(x, weight)])
    assert divisor[-1] / divisor[0] > 10
    _, before = best_range(x, weight)
    _, after = best_range(x / divisor, weight * divisor[:, None])
    assert after < before / 10
    assert steps.scale > 0


def test_biases_absorb_the_mean_error_of_weights() -> None:
    rng = np.random.default_rng(3)
    x = np.abs(rng.normal(3, 1, (2000, 24)))
    weight, bias = rng.normal(0, 1, (16, 24, 1)), rng.normal(0, 1, 16)
    unit, out = np.full(24, x.max() / 255), np.full(16, 1e-2)
    exact = x @ weight[:, :, 0].T + bias
    maps = torch.from_numpy(np.rint(x / unit).T.reshape(1, 24, 40, 50))

    def error(mean: np.ndarray) -> float:
        got = quantised(weight, bias, unit, out, "bytes", mean)(maps)[0].flatten(1).T.numpy() * out
        return float(np.abs((got - exact).mean(0)).max())

    assert error(x.mean(0)) < 0.2 * error(np.zeros(24))


def test_outputs_before_a_shuffle_are_put_into_another_order() -> None:
    layer, side = torch.nn.Conv2d(5, 12, 1), 2
    weight, bias = unshuffled(layer, side)
    maps = torch.randn(1, 5, 2, 3)
    with torch.no_grad():
        expected = F.pixel_shuffle(layer(maps), side)
    rows = torch.from_numpy(weight) @ maps[0].flatten(1).double() + torch.from_numpy(bias)[:, None]
    parts = rows.reshape(side, side, 3, 2, 3).permute(2, 3, 0, 4, 1).reshape(1, 3, 4, 6)
    assert torch.allclose(parts.float(), expected, atol=1e-5)
