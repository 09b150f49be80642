"""What each integer is coded with follows from integers before it, the same whoever computes it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from calotype.lab.layers.integer import EXACT
from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_coding import padded
from calotype.lab.models.calotype_latents import Z_FRACTIONS, magnitude, quarters
from calotype.lab.models.calotype_levels import Knobs, gaussian_bits, logistic_bits
from calotype.lab.models.calotype_walk import LOW, split_phases, stages
from calotype.lab.pack.exact import check_bounds, integer_layers
from calotype.lab.pack.write import _level_arrays

Lively = Callable[..., Calotype]
Laws = tuple[Tensor, Tensor, Tensor]
"""Tables of z, shifts of z, classes of r."""


def symbols(rows: int = 16, columns: int = 24, seed: int = 0) -> tuple[Tensor, Tensor]:
    """z and r of a tile, of all sizes."""
    generator = torch.Generator().manual_seed(seed)
    z = (6 * torch.randn(1, 4, rows // 2, columns // 2, generator=generator)).round()
    spread = 10 ** torch.randint(-1, 2, (1, 48, 1, 1), generator=generator)
    return z, (spread * torch.randn(1, 48, rows, columns, generator=generator)).round()


def knobs(model: Calotype, level: float = 1.3) -> Knobs:
    with torch.no_grad():
        found: Knobs = model.levels(torch.tensor([level]))
    return found


@torch.no_grad()
def laws(model: Calotype, z: Tensor, r: Tensor) -> Laws:
    found: Laws = model.latents.classes(z, r, knobs(model))
    return found


def test_the_laws_are_not_all_one(lively: Lively) -> None:
    """Else the tests below would say nothing."""
    table, shift, index = laws(lively(), *symbols())
    assert len(table.unique()) > 30
    assert len(shift.unique()) > 30
    assert len(index[:, :LOW].unique()) > 30
    assert len(index[:, LOW:].unique()) > 30
    assert (index[:, LOW:] == 0).any()
    assert index[:, :LOW].min() >= 1


@pytest.mark.parametrize("channel", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2)), 3])
@pytest.mark.parametrize("stage", stages(2), ids=lambda s: f"stage {s.number}")
def test_a_law_of_z_does_not_know_its_value_or_later_ones(
    stage: object, channel: int, lively: Lively
) -> None:
    model, (z, r) = lively(), symbols()
    before = laws(model, z, r)
    number = stage.number  # type: ignore[attr-defined]
    changed = z.clone()
    for later in stages(2)[number:]:
        part = later.pick(changed)
        first = channel if later.number == number else 0
        part[:, first:] = 9 - part[:, first:]  # a view
    after = laws(model, changed, r)
    for earlier in stages(2)[: number + 1]:
        last = channel + 1 if earlier.number == number else 4
        for a, b in zip(before[:2], after[:2]):
            assert torch.equal(earlier.pick(a)[:, :last], earlier.pick(b)[:, :last])
    if (number, channel) != (6, 3):
        assert not all(torch.equal(a, b) for a, b in zip(before[:2], after[:2]))
    assert not torch.equal(after[2], before[2])  # classes of r know all of z


@pytest.mark.parametrize("stage", stages(3), ids=lambda s: f"stage {s.number}")
def test_a_class_of_a_low_residual_does_not_know_its_stage(stage: object, lively: Lively) -> None:
    model, (z, r) = lively(), symbols()
    before = laws(model, z, r)
    number = stage.number  # type: ignore[attr-defined]
    changed = r.clone()
    changed[:, LOW:] += 7
    for later in stages(3)[number:]:
        later.pick(changed[:, :LOW]).sub_(5)
    after = laws(model, z, changed)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])
    for earlier in stages(3)[: number + 1]:
        assert torch.equal(earlier.pick(before[2][:, :LOW]), earlier.pick(after[2][:, :LOW]))
    if number < 9:
        assert not torch.equal(before[2][:, :LOW], after[2][:, :LOW])


@pytest.mark.parametrize("phase", range(4))
def test_a_class_of_a_high_residual_does_not_know_its_phase(phase: int, lively: Lively) -> None:
    model, (z, r) = lively(), symbols()
    before = laws(model, z, r)[2]
    changed = r.clone()
    for part in split_phases(changed[:, LOW:])[phase:]:
        part.sub_(5)
    after = laws(model, z, changed)[2]
    assert torch.equal(before[:, :LOW], after[:, :LOW])
    maps = list(zip(split_phases(before[:, LOW:]), split_phases(after[:, LOW:])))
    assert all(torch.equal(a, b) for a, b in maps[: phase + 1])
    assert not any(torch.equal(a, b) for a, b in maps[phase + 1 :])
    changed = r.clone()
    changed[:, :LOW, -1, -1] += 9  # every high class may know every low residual
    assert not torch.equal(before[:, LOW:], laws(model, z, changed)[2][:, LOW:])


@pytest.mark.parametrize(("height", "width"), [(16, 24), (11, 13), (12, 10), (1, 1), (8, 3)])
@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_a_pass_codes_with_the_laws_of_its_integers(
    training: bool, height: int, width: int, lively: Lively
) -> None:
    """Encoder and decoder, at sizes that are no multiples of 8 too."""
    model = lively(3).train(training)
    k, y = knobs(model), 3 * torch.randn(1, 48, height, width, generator=torch.Generator().manual_seed(1))
    out = model.latents(padded(y), k, size=(height, width), hard=True, generator=torch.Generator())
    table, shift, index = model.latents.classes(out.z, out.r, k)
    cells = slice(None), slice(None), slice(-(-height // 2)), slice(-(-width // 2))
    inside = slice(None), slice(None), slice(height), slice(width)
    assert torch.equal(out.z_index[cells], table[cells])
    assert torch.equal(out.z_shift[cells], shift[cells])
    assert torch.equal(out.index[inside], index[inside])
    assert (out.r[inside] != 0).any()
    assert (out.r[out.index == 0] == 0).all()
    # In the padding there is nothing, and it costs nothing.
    for t, part in (
        (out.z, cells),
        (out.z_bits, cells),
        *((t, inside) for t in (out.r, out.r_bits, out.y_hat)),
    ):
        rest = t.clone()
        rest[part] = 0
        assert not rest.any()

    sigma = 0.11 * torch.exp(out.index * math.log(256 / 0.11) / 63)
    expected = gaussian_bits(out.r, sigma) * (out.index > 0)
    torch.testing.assert_close(out.r_bits, expected, atol=1e-3, rtol=1e-3)
    location = out.z_shift + (out.z_index % Z_FRACTIONS) / Z_FRACTIONS
    scale = 0.08 * torch.exp((out.z_index // Z_FRACTIONS) * math.log(4 / 0.08) / 15)
    expected = logistic_bits(out.z, location, scale)
    torch.testing.assert_close(out.z_bits[cells], expected[cells], atol=1e-3, rtol=1e-3)
    sums = torch.stack((out.r_bits.sum((1, 2, 3)), out.z_bits.sum((1, 2, 3))))
    torch.testing.assert_close(out.bits, sums)


@pytest.mark.parametrize(("height", "width"), [(12, 10), (11, 13), (4, 17)])
@torch.no_grad()
def test_padding_influences_nothing(height: int, width: int, lively: Lively) -> None:
    """Whatever is in it; but a hyper-latent averages what is in its cell, and may look beyond."""
    model, k = lively(4), knobs(lively(4))
    model.latents.hyper.out.silence()  # does not look
    y = padded(3 * torch.randn(1, 48, height, width, generator=torch.Generator().manual_seed(2)))
    other = y.clone()
    other[:, :, height + height % 2 :] = 1e3
    other[:, :, :, width + width % 2 :] = -1e3
    first, out = (model.latents(t, k, size=(height, width), hard=True) for t in (y, other))
    for name in ("z", "z_bits", "z_index", "z_shift", "r", "index", "r_bits", "y_hat", "bits"):
        assert torch.equal(getattr(out, name), getattr(first, name)), name
    inside = slice(None), slice(None), slice(height), slice(width)
    assert torch.equal(out.residual[inside], first.residual[inside])
    assert not torch.equal(out.residual, first.residual)


def test_the_padding_learns_nothing(lively: Lively) -> None:
    model, k = lively(4).train(), knobs(lively(4))
    model.latents.hyper.out.silence()
    y = torch.randn(1, 48, 16, 16, generator=torch.Generator().manual_seed(2)).requires_grad_()
    out = model.latents(y, k, size=(12, 10), hard=True, generator=torch.Generator())
    (out.bits.sum() + out.y_hat.square().sum()).backward()
    assert y.grad is not None
    assert y.grad[:, :, :12, :10].all()
    assert not y.grad[:, :, 12:].any()
    assert not y.grad[:, :, :, 10:].any()


# -- exactness ---------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_the_laws_are_exact_in_float32(seed: int, lively: Lively) -> None:
    """Float32, float64 and another order of sums give the same, with weights as large as a pack may have."""
    model = lively(seed)
    bounds = check_bounds(model, _level_arrays(model))
    assert 0.5 * EXACT < max(bounds[name] for name in integer_layers(model)) < EXACT
    z, r = symbols(seed=seed)
    z[:, :, ::3, 0], r[:, :, 0, ::5] = 1000, -30000  # beyond what magnitudes and d tell apart
    single = laws(model, z, r)
    last = copy.deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    channels_last = laws(last, *(t.contiguous(memory_format=torch.channels_last) for t in (z, r)))
    k = knobs(model)
    double = Knobs(**{name: value.double() for name, value in vars(k).items()})
    with torch.no_grad():
        exact = copy.deepcopy(model).double().latents.classes(z.double(), r.double(), double)
    for a, b, c in zip(single, channels_last, exact):
        assert torch.equal(a, b)
        assert torch.equal(a.double(), c)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_quarters_are_those_of_the_format(dtype: torch.dtype) -> None:
    for mul in (*range(16, 3000), 3353, 4096, 9999, 65535):
        inverse = (2**20 + mul // 2) // mul
        expected = [(location * inverse + 512) >> 10 for location in range(-254, 255)]
        found = quarters(torch.arange(-254, 255, dtype=dtype), torch.tensor(float(mul), dtype=dtype))
        assert found.tolist() == expected


def test_magnitudes_are_those_of_the_format() -> None:
    r = torch.arange(-40.0, 41.0)
    expected = [32 * min(abs(v), 1) + 16 * min(abs(v), 4) + 4 * min(abs(v), 16) for v in range(-40, 41)]
    assert magnitude(r).tolist() == expected
