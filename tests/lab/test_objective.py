"""The objective and its distortions; every system lowers its loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from calotype.codec.metrics import ms_ssim as ms_ssim_numpy
from calotype.lab import registry
from calotype.lab.metrics import ms_ssim, mse255, psnr
from calotype.lab.objective import LAMBDAS, RateDistortion

from .conftest import picture, systems, thin


def test_distortions_known_answers() -> None:
    x = torch.zeros(2, 3, 4, 4)
    y = torch.stack((torch.full((3, 4, 4), 1 / 255), torch.full((3, 4, 4), 0.1)))
    assert mse255(x, y).tolist() == pytest.approx([1.0, 25.5**2])
    assert psnr(x, y).tolist() == pytest.approx([48.1308, 20.0], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(176, 161), (200, 333)])
def test_ms_ssim_is_that_of_the_codec(size: tuple[int, int]) -> None:
    a = picture(*size)
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    b = (a + 12 * noise).clamp(0, 255).to(torch.uint8)
    found = float(ms_ssim(a[None].double() / 255, b[None].double() / 255))
    arrays = [t.permute(1, 2, 0).numpy() for t in (a, b)]
    assert found == pytest.approx(ms_ssim_numpy(*arrays), abs=1e-5)
    assert 0.5 < found < 1


def test_ms_ssim_refuses_small_pictures() -> None:
    with pytest.raises(ValueError, match="160"):
        ms_ssim(torch.zeros(1, 3, 160, 300), torch.zeros(1, 3, 160, 300))


def test_loss_is_the_formula() -> None:
    model = thin("minnen2018-mean-scale")
    x = picture(64, 64)[None]
    objective = RateDistortion(model, 0.01)
    loss, values = objective.training_loss(x, torch.Generator().manual_seed(0), hard=True)
    out = model(x / 255)
    expected = out.bpp.mean() + 0.01 * 255**2 * (x / 255 - out.x_hat).square().mean() + out.aux
    torch.testing.assert_close(loss, expected)
    assert values["bpp"] == pytest.approx(float(out.bpp.mean().detach()))


def test_noise_follows_the_generator() -> None:
    objective, x = RateDistortion(thin("cheng2020-anchor"), 0.01), picture(64, 64)[None]

    def loss(seed: int) -> float:
        return float(objective.training_loss(x, torch.Generator().manual_seed(seed), hard=False)[0].detach())

    assert loss(1) == loss(1)
    assert loss(1) != loss(2)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="distortion"):
        RateDistortion(thin("balle2017"), 1.0, "ssim")
    with pytest.raises(ValueError, match="lambda"):
        RateDistortion(thin("balle2017"), 0.0)
    assert all(len(v) == 8 and list(v) == sorted(v) for v in LAMBDAS.values())


def test_ms_ssim_objective_learns() -> None:
    torch.manual_seed(0)
    objective = RateDistortion(registry.build("balle2018-factorized", n=8, m=12), 100.0, "ms-ssim")
    optimizer = torch.optim.Adam(objective.parameters(), 3e-3)
    x, losses = picture(192, 192)[None], []
    for step in range(12):
        loss, _ = objective.training_loss(x, torch.Generator().manual_seed(step), hard=False)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-3:]) < 0.9 * losses[0]


LESSONS = ("balle2018-factorized", "minnen2018-mean-scale", "cheng2020-anchor", "toderici2016", "mentzer2018")


def lessons() -> list[Any]:
    """Every system; all but those of LESSONS are nightly."""
    names = [(one.values[0], one.marks) for one in systems()]
    return [pytest.param(n, marks=marks if n in LESSONS else pytest.mark.slow) for n, marks in names]


@pytest.mark.parametrize("name", lessons())
def test_every_system_learns(name: str) -> None:
    """Every parameter gets a gradient, and a dozen steps on one crop, or fewer, lower the loss."""
    torch.manual_seed(0)
    model = registry.build(name, **registry.entry(name).thin).train()
    objective = RateDistortion(model, 0.02)
    rate = 6e-3 if model.progressive else 2e-3  # gates open slowly
    optimizer = torch.optim.Adam(model.parameters(), rate)
    x, losses = picture(64, 64)[None], []
    for step in range(12):
        loss, _ = objective.training_loss(x, torch.Generator().manual_seed(step), hard=False)
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            idle = [k for k, p in model.named_parameters() if p.requires_grad and p.grad is None]
            assert not idle
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
        if max(losses[-2:]) < 0.95 * losses[0]:  # twice: early steps are rough
            break
    assert min(losses[-2:]) < 0.95 * losses[0]


@pytest.mark.parametrize(
    "name", ["minnen2018-autoregressive", "minnen2020-charm", "he2022-elic", "hu2020-low"]
)
def test_hard_training_reaches_all_parts(name: str) -> None:
    model = thin(name).train()
    loss, _ = RateDistortion(model, 0.02).training_loss(picture(64, 64)[None], None, hard=True)
    loss.backward()
    assert not [k for k, p in model.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
