"""The correlation map: known answers."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from studies.inside.correlation import CorrelationMap, channel_maps


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def box_filtered(b: int, c: int, h: int, w: int) -> Tensor:
    """White noise under a 3x3 mean, times 3: unit variance."""
    t = noise(b * c, 1, h + 2, w + 2)
    return (3 * F.avg_pool2d(t, 3, 1)).view(b, c, h, w)


def test_map_of_independent_noise_is_a_point() -> None:
    result = CorrelationMap("noise")
    result.add(noise(4, 32, 48, 48))
    n = 4 * 32 * 48 * 48
    found = result.map
    assert float(found[2, 2]) == pytest.approx(1, abs=5 * (2 / n) ** 0.5)
    found[2, 2] = 0
    assert found.abs().max() < 5 / n**0.5


def test_map_of_box_filtered_noise() -> None:
    """(3 - |i|)(3 - |j|) / 9."""
    result = CorrelationMap("box")
    for k in range(2):
        result.add(box_filtered(4, 40, 64, 64).roll(k, 1))
    gap = torch.arange(-2, 3).abs()
    expected = (3 - gap[:, None]) * (3 - gap[None]) / 9
    assert (result.map - expected).abs().max() < 0.01


def test_map_counts_each_pair_inside_the_picture_once() -> None:
    """A 2 x 3 map by hand; offsets that do not fit are nan."""
    u = torch.tensor([[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]])
    sums, counts = channel_maps(u, 2)
    assert counts[2].tolist() == [2, 4, 6, 4, 2]
    assert counts[0].tolist() == [0] * 5
    assert sums[0, 2, 3] == 1 * 2 + 2 * 3 + 4 * 5 + 5 * 6
    assert sums[0, 3, 2] == 1 * 4 + 2 * 5 + 3 * 6
    assert sums[0, 1, 2] == sums[0, 3, 2]
    assert sums[0, 3, 1] == 2 * 4 + 3 * 5
    result = CorrelationMap("hand")
    result.add(u)
    assert torch.isnan(result.map[0]).all()
    numbers = json.loads(json.dumps(result.numbers(), allow_nan=False))
    assert numbers["map"][0] == [None] * 5
    assert numbers["off_centre"] > 0


def test_channels_keep_signs_that_cancel_in_the_mean() -> None:
    smooth = box_filtered(1, 1, 96, 96)
    rough = smooth * torch.tensor([1.0, -1.0]).repeat(48)  # the sign of neighbouring columns differs
    result = CorrelationMap("both")
    result.add(torch.cat((smooth, rough), 1))
    numbers = result.numbers()
    beside = [round(row[2][3], 1) for row in numbers["channels"]]
    assert beside[0] == -beside[1] > 0.5
    assert abs(numbers["map"][2][3]) < 0.05
    assert numbers["channel_off_centre"] > numbers["off_centre"]
