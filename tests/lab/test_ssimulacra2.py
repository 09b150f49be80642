"""SSIMULACRA2 as a loss: the codec's value, slopes that finite differences confirm, no slope without end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tests.conftest import every
from torch import Tensor

from calotype.codec.ssimulacra2 import ssimulacra2 as measured
from calotype.lab.losses.ssimulacra2 import ssimulacra2
from calotype.lab.models.calotype_objective import (
    MSE_SHARE,
    SSIMULACRA2_POWER,
    SSIMULACRA2_WEIGHT,
    AllQualities,
)
from calotype.lab.train.subject import Subject

from .conftest import picture


def noisy(x: Tensor, spread: float, seed: int = 0) -> Tensor:
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + spread * noise).clamp(0, 255).round().to(torch.uint8)


@pytest.mark.parametrize("spread", [0.0, 0.7, 3.0, 12.0, 40.0])
@pytest.mark.parametrize(("height", "width"), every(2, [(113, 300), (256, 256), (267, 191), (130, 225)]))
def test_value_of_the_codec(height: int, width: int, spread: float) -> None:
    x = torch.stack([picture(height, width, seed=seed) for seed in range(2)])
    y = noisy(x, spread)
    y[1, 2] = y[1, 2] // 8 * 8  # colour, too
    found = ssimulacra2(x / 255, y / 255)
    pairs = zip(*(t.permute(0, 2, 3, 1).numpy() for t in (x, y)))
    assert found.tolist() == pytest.approx([measured(a, b) for a, b in pairs], abs=0.01)


@pytest.mark.parametrize("spread", [0.7, 12.0])
@pytest.mark.parametrize(("height", "width"), [(256, 256), (267, 241)])
def test_value_of_the_package(height: int, width: int, spread: float, tmp_path: Path) -> None:
    """Of that which defines it, not of our other implementation."""
    package = pytest.importorskip("ssimulacra2")
    x = picture(height, width)
    y = noisy(x, spread)
    y[2] = y[2] // 8 * 8
    paths = tmp_path / "x.png", tmp_path / "y.png"
    for pixels, path in zip((x, y), paths):
        Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(path)
    expected = package.compute_ssimulacra2(*paths)
    found = float(ssimulacra2(x[None] / 255, y[None] / 255))
    assert found == pytest.approx(expected, abs=0.01)
    assert found < 99  # not of equal pictures


@pytest.mark.parametrize("spread", [0.7, 6.0, 40.0])
def test_slope_is_that_of_finite_differences(spread: float) -> None:
    x = picture(115, 128)[None].double() / 255
    y = (noisy(picture(115, 128)[None], spread).double() / 255).clamp(0.02, 0.98).requires_grad_()
    ssimulacra2(x, y).sum().backward()
    generator = torch.Generator().manual_seed(1)
    for _ in range(4):
        way = torch.randn(y.shape, generator=generator, dtype=torch.float64)
        step = 1e-6
        with torch.no_grad():
            ahead, behind = (float(ssimulacra2(x, y + sign * step * way)) for sign in (1, -1))
        assert float((y.grad * way).sum()) == pytest.approx((ahead - behind) / (2 * step), rel=1e-3)


FLAT = torch.full((1, 3, 128, 128), 0.5)
PAIRS = {
    "equal": (FLAT, FLAT),
    "black on black": (0 * FLAT, 0 * FLAT),
    "nearly equal": (FLAT, FLAT + 1e-6),
    "one pixel": (FLAT, FLAT + torch.nn.functional.pad(torch.ones(1, 1, 1, 1), (60, 67, 60, 67)) / 255),
    "black and white": (0 * FLAT, 2 * FLAT),
    "outside": (FLAT, torch.linspace(-0.5, 1.5, 128).expand(1, 3, 128, 128)),
    "a picture": (picture(128, 128)[None] / 255, picture(128, 128)[None] / 255),
}


@pytest.mark.parametrize("name", PAIRS)
def test_slopes_are_finite(name: str) -> None:
    x, y = PAIRS[name]
    y = y.clone().requires_grad_()
    score = ssimulacra2(x, y)
    score.sum().backward()
    assert torch.isfinite(score).all()
    assert torch.isfinite(y.grad).all()
    assert y.grad.abs().max() < 1e4
    if torch.equal(x, y):
        assert float(score.detach()) == 100
        assert y.grad.abs().max() == 0


@pytest.mark.slow
def test_following_the_slope_raises_the_score() -> None:
    x = picture(128, 128)[None] / 255
    y = (noisy(picture(128, 128)[None], 8) / 255).requires_grad_()
    optimizer = torch.optim.Adam([y], 2e-3)
    scores = []
    for _ in range(30):
        score = ssimulacra2(x, y).sum()
        scores.append(float(score.detach()))
        optimizer.zero_grad()
        (-score).backward()
        optimizer.step()
    assert scores[-1] > scores[0] + 10


def test_each_picture_of_a_batch_has_its_own_score() -> None:
    x = torch.stack([picture(128, 128, seed=seed) for seed in range(3)])
    y = torch.stack([noisy(x[0], 2), noisy(x[1], 8), x[2]]) / 255
    together = ssimulacra2(x / 255, y)
    alone = torch.cat([ssimulacra2(a[None] / 255, b[None]) for a, b in zip(x, y)])
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_half_precision_is_computed_in_single() -> None:
    x, y = picture(128, 128)[None] / 255, noisy(picture(128, 128)[None], 5) / 255
    half = ssimulacra2(x.bfloat16(), y.bfloat16())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(
        ssimulacra2(x.bfloat16().float(), y.bfloat16().float()).item(), abs=1e-4
    )


@pytest.mark.parametrize("shape", [(1, 3, 112, 200), (1, 1, 128, 128), (3, 128, 128)])
def test_what_it_refuses(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="113"):
        ssimulacra2(torch.zeros(shape), torch.zeros(shape))


SMALL = {"latents": 48, "width": 48, "narrow": 8, "narrow16": 8, "wide16": 8, "render": 8}


@pytest.mark.slow
def test_the_product_can_be_trained_for_it() -> None:
    objective = Subject(options=SMALL, distortion="ssimulacra2").build()
    x = torch.stack([picture(128, 128, seed=seed) for seed in range(4)])
    objective.model.train()
    loss, figures = objective.training_loss(x, torch.Generator().manual_seed(0), True)
    loss.backward()
    slopes = [p.grad for p in objective.model.parameters() if p.grad is not None]
    assert all(torch.isfinite(slope).all() for slope in slopes)
    assert any(slope.abs().max() > 0 for slope in slopes)
    assert 0 < figures["bpp"] < 50
    objective.model.eval()
    curve, plain = objective.validate(x), AllQualities(objective.model).validate(x)
    assert (curve["bpp"], curve["psnr"]) == (plain["bpp"], plain["psnr"])
    level = len(curve["bpp"]) - 1
    with torch.no_grad():
        found = objective.rate_distortion(x / 255, torch.full((4,), float(level)), hard=True)
    lam = objective.model.config.lambdas[level]
    seen = SSIMULACRA2_WEIGHT * lam**SSIMULACRA2_POWER * (100 - found["ssimulacra2"])
    distance = MSE_SHARE * found["mse"] + (1 - MSE_SHARE) * seen
    torch.testing.assert_close(found["loss"], (found["bpp"] + lam * distance) / lam**0.5)
    assert curve["ssimulacra2"][level] == pytest.approx(float(found["ssimulacra2"].mean()), abs=1e-3)


def test_an_unknown_distortion_is_refused() -> None:
    with pytest.raises(ValueError, match="ssimulacra2, got 'vmaf'"):
        Subject(options=SMALL, distortion="vmaf").build()
