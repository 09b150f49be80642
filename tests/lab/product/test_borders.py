"""Crops that end early (`TrainConfig.borders`): what is coded of them is what a smaller picture gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from calotype.lab.models.calotype import Calotype
from calotype.lab.models.calotype_coding import ended, padded
from calotype.lab.models.calotype_objective import AllQualities

Thin = Callable[..., Calotype]
ENDS = [(8, 8), (5, 8), (8, 4), (7, 6)]


def test_what_is_beyond_repeats_the_last_row_and_column() -> None:
    y = torch.arange(2 * 4 * 5, dtype=torch.float32).reshape(2, 1, 4, 5)
    found, inside = ended(y, torch.tensor([[4, 5], [2, 3]]))
    assert torch.equal(found[0], y[0])
    assert torch.equal(found[1, :, :2, :3], y[1, :, :2, :3])
    assert torch.equal(found[1, 0, 3], y[1, 0, 1].clamp(max=float(y[1, 0, 1, 2])))
    assert inside.sum((1, 2, 3)).tolist() == [20, 6]


def test_latents_are_coded_as_those_of_a_smaller_picture(thin: Thin) -> None:
    model, levels = thin(), torch.tensor([0.0, 0.7, 1.5, 2.0])
    torch.manual_seed(1)
    y, k = torch.randn(4, 48, 8, 8), model.levels(levels)
    found, inside = ended(y, torch.tensor(ENDS))
    whole = model.latents(found, k, size=(8, 8), inside=inside, hard=True)
    for n, (h, w) in enumerate(ENDS):
        one = padded(y[n : n + 1, :, :h, :w])
        alone = model.latents(one, model.levels(levels[n : n + 1]), size=(h, w), hard=True)
        assert torch.equal(whole.r[n, :, :h, :w], alone.r[0, :, :h, :w])
        assert not whole.r[n, :, h:].any()
        torch.testing.assert_close(whole.bits[:, n], alone.bits[:, 0])


def test_nothing_beyond_the_end_counts(thin: Thin) -> None:
    model = thin()
    objective, level = AllQualities(model), torch.tensor([0.5, 1.5])
    x = torch.rand(2, 3, 128, 128)
    ends = torch.tensor([[8, 8], [5, 7]])
    with torch.no_grad():
        before = objective.rate_distortion(x, level, hard=True, ends=ends)
        out = model(x, level, hard=True, ends=ends)
        error = (x[1, :, :80, :112] - (out.x_hat[1, :, :80, :112].clamp(0, 1) * 255).round() / 255) * 255
    assert float(before["mse"][1]) == pytest.approx(float(error.square().mean()), rel=1e-4)
    assert float(before["bpp"][1]) == pytest.approx(
        float(out.r_bits[1] + out.z_bits[1]) / (80 * 112), rel=1e-5
    )


def test_crops_of_training_end_anywhere(thin: Thin) -> None:
    model = thin().train()
    objective = AllQualities(model)
    objective.borders = 1.0
    seen = []
    model.latents.register_forward_pre_hook(
        lambda _module, _given, options: seen.append(options["inside"].sum((2, 3))), with_kwargs=True
    )
    x = torch.randint(0, 256, (16, 3, 128, 128), dtype=torch.uint8)
    torch.manual_seed(0)
    loss, _ = objective.training_loss(x, None, True)
    loss.backward()  # type: ignore[no-untyped-call]
    counts = seen[0].flatten().tolist()
    assert min(counts) >= 16
    assert max(counts) <= 64
    assert len(set(counts)) > 5
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in grads)
