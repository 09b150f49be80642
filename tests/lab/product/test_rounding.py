"""Training that computes as decoders do, and hidden units that others take over."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_rounding import WEIGHT_PEAK, as_bytes, in_seven_bits
from calotype.lab.models.calotype_transforms import Branch
from calotype.lab.pack.fixed import words
from calotype.lab.pack.fixed_synthesis import FixedSynthesis

from .conftest import THIN

Thin = Callable[..., Calotype]


def branches(model: Calotype) -> dict[str, Branch]:
    return {name: part for name, part in model.synthesis.named_modules() if isinstance(part, Branch)}


def lively(thin: Thin) -> Calotype:
    """A thin model whose branches change what passes by some grey levels."""
    model = thin(**THIN)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("expand.weight", "render.out.weight")):
                weight.normal_(std=0.3)
    return model


def test_bytes_are_whole_units_from_0_to_255() -> None:
    x = torch.tensor([[[[-3.0, 0.2, 0.26, 127.4, 500.0]]]], requires_grad=True)
    shown = as_bytes(x, torch.tensor([0.5]))
    assert shown.flatten().tolist() == [0.0, 0.0, 0.5, 127.5, 127.5]
    shown.sum().backward()
    assert x.grad is not None
    assert x.grad.flatten().tolist() == [0.0, 1.0, 1.0, 1.0, 0.0], "no slope where a byte ends"


def test_weights_have_seven_bits_of_a_step_of_their_output() -> None:
    weight, unit = torch.randn(5, 4, 3, 3), torch.tensor([0.1, 1.0, 3.0, 7.0])
    rounded = in_seven_bits(weight, unit)
    whole = rounded * unit[:, None, None]
    step = (weight * unit[:, None, None]).abs().amax((1, 2, 3), keepdim=True) / WEIGHT_PEAK
    torch.testing.assert_close(whole / step, (whole / step).round(), atol=1e-3, rtol=0)
    assert float((whole / step).abs().max()) == pytest.approx(WEIGHT_PEAK)
    assert float(((rounded - weight) * unit[:, None, None] / step).abs().max()) <= 0.501
    torch.testing.assert_close(in_seven_bits(rounded, unit), rounded)  # twice is once


@torch.no_grad()
def test_it_shows_what_integers_do(thin: Thin) -> None:
    model = lively(thin)
    y = torch.randn(4, 48, 6, 6)
    level = torch.zeros(1, 48, 1, 1)
    plain = 255 * model.synthesis(y, level)
    units = FixedSynthesis(model.synthesis, y, 2 * y).hidden
    for name, part in branches(model).items():
        part.units = [torch.from_numpy(unit).float() for unit in units[name]]
    rounded = 255 * model.synthesis(y, level)
    for part in branches(model).values():
        part.settle()
    torch.testing.assert_close(255 * model.synthesis(y, level), rounded, atol=1e-2, rtol=0)

    for part in branches(model).values():
        part.units = None
    fixed = FixedSynthesis(model.synthesis, y, 2 * y, hidden=units)
    assert all(np.array_equal(a, b) for name in units for a, b in zip(units[name], fixed.hidden[name]))
    unit = torch.from_numpy(fixed.unit16)[:, None, None]
    exact = torch.cat([fixed(words((one / unit).round())[None]) for one in y.double()])
    inside = (rounded > 0) & (rounded < 255)
    lost, kept = ((shown - exact)[inside].abs().mean() for shown in (plain, rounded))
    assert kept < 0.5, "to the next grey level it is a quarter; here and there a byte is another"
    assert lost > 2 * kept, "what training would not have known"


def test_slopes_reach_the_weights_of_every_layer(thin: Thin) -> None:
    model = lively(thin).train()
    y = torch.randn(2, 48, 4, 4)
    units = FixedSynthesis(model.synthesis, y, 2 * y).hidden
    for name, part in branches(model).items():
        part.units = [torch.from_numpy(unit).float() for unit in units[name]]
    model.synthesis(y, torch.zeros(1, 48, 1, 1)).square().mean().backward()
    for name, weight in model.synthesis.named_parameters():
        assert weight.grad is not None, name
        assert bool(weight.grad.any()), name
