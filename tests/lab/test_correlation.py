"""The correlation loss: known answers, both reductions, every model that has a mean and a scale."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from calotype.lab import registry
from calotype.lab.losses import CorrelationLoss, WithCorrelation, convert_alpha, normalised
from calotype.lab.losses.correlation import MASKS, PAPER_ALPHA, products, window_mask
from calotype.lab.models.base import Output
from calotype.lab.models.calotype_objective import AllQualities
from calotype.lab.objective import RateDistortion
from calotype.lab.train import options
from calotype.lab.train.subject import Subject

from .conftest import picture, systems, thin
from .small import product


def output(u: Tensor, mu: float = 0.3, sigma: float = 2.0) -> Output:
    """A forward pass whose normalised latents are ``u``."""
    m, s = torch.full_like(u, mu), torch.full_like(u, sigma)
    nothing = torch.zeros(())
    return Output(nothing, {}, 1, nothing, nothing, u * s + m, m, s)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def box_filtered(b: int, c: int, h: int, w: int) -> Tensor:
    """White noise under a 3x3 mean, times 3: unit variance."""
    t = noise(b * c, 1, h + 2, w + 2)
    return (3 * F.avg_pool2d(t, 3, 1)).view(b, c, h, w)


# -- the loss ------------------------------------------------------------------------------------------


def by_hand(u: Tensor, mask: Tensor) -> Tensor:
    """Sums over all windows inside the map, one by one: ``[k, k]``."""
    k = len(mask)
    r = k // 2
    total = torch.zeros(k, k, dtype=u.dtype)
    for top in range(u.shape[2] - k + 1):
        for left in range(u.shape[3] - k + 1):
            window = u[:, :, top : top + k, left : left + k]
            total += (window * window[:, :, r : r + 1, r : r + 1]).sum((0, 1))
    return total * mask


@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("kind", MASKS)
def test_loss_is_that_of_a_loop_over_windows(kind: str, window: int) -> None:
    u = noise(2, 3, 7, 9).double()
    s, n = by_hand(u, window_mask(kind, window)), products(u.shape, window)
    mean = CorrelationLoss(0.5, window, kind)(output(u))
    total = CorrelationLoss(0.5, window, kind, "sum")(output(u))
    torch.testing.assert_close(total, 0.5 * s.square().sum())
    torch.testing.assert_close(mean, 0.5 * (s / n).square().sum())


def test_masks() -> None:
    assert window_mask("point").tolist() == [[1, 1, 1], [1, 0, 1], [1, 1, 1]]
    assert window_mask("cross").tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert window_mask("diagonal").tolist() == [[1, 0, 1], [0, 0, 0], [1, 0, 1]]
    assert window_mask("causal").tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    assert int(window_mask("causal", 5).sum()) == 12
    with pytest.raises(ValueError, match="one of point, cross"):
        window_mask("plus")
    with pytest.raises(ValueError, match="odd"):
        window_mask("point", 4)


def test_independent_noise_costs_nothing_and_smooth_latents_do() -> None:
    loss = CorrelationLoss(1.0)
    expected = sum((3 - abs(i)) * (3 - abs(j)) / 9 for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j) / 1
    squares = 4 * (6 / 9) ** 2 + 4 * (4 / 9) ** 2
    assert float(loss(output(noise(8, 32, 32, 32)))) < 1e-4
    assert float(loss(output(box_filtered(8, 32, 32, 32)))) == pytest.approx(squares, rel=0.02)
    assert expected > squares  # entries are squared one by one, not their sum


def test_mean_and_sum_are_the_same_loss_after_conversion() -> None:
    """The published 1e-13 at 16 x 192 latents of 16 x 16 is 0.0363 for averages."""
    shape = (16, 192, 16, 16)
    n = products(shape)
    assert n == 602_112
    assert convert_alpha(PAPER_ALPHA, n) == pytest.approx(0.0363, abs=5e-5)
    assert convert_alpha(convert_alpha(PAPER_ALPHA, n), n, "sum") == pytest.approx(PAPER_ALPHA)
    assert convert_alpha(PAPER_ALPHA, products((8, 320, 16, 16))) == pytest.approx(0.0252, abs=5e-5)
    u = 0.9 * noise(*shape) + 0.2 * box_filtered(*shape)
    total = CorrelationLoss(reduction="sum")(output(u))
    mean = CorrelationLoss(convert_alpha(PAPER_ALPHA, n))(output(u))
    torch.testing.assert_close(total, mean, rtol=1e-4, atol=0)


def test_the_sum_grows_with_the_square_of_the_batch_and_the_mean_does_not() -> None:
    u = box_filtered(2, 4, 12, 12)
    twice = torch.cat((u, u))
    for reduction, factor in (("sum", 4.0), ("mean", 1.0)):
        loss = CorrelationLoss(1.0, reduction=reduction)
        torch.testing.assert_close(loss(output(twice)), factor * loss(output(u)))


def test_half_precision_does_not_overflow() -> None:
    """The sum of squares of 600,000 products is beyond float16."""
    u = box_filtered(4, 64, 48, 48)
    loss = CorrelationLoss(1e-9, reduction="sum")
    torch.testing.assert_close(loss(output(u.half())), loss(output(u)), rtol=2e-2, atol=0)


def test_gradient_removes_correlation() -> None:
    u = box_filtered(1, 4, 24, 24).requires_grad_()
    loss = CorrelationLoss(1.0)
    before = float(loss(output(u)).detach())
    optimizer = torch.optim.Adam([u], 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss(output(u)).backward()
        optimizer.step()
    assert float(loss(output(u)).detach()) < 0.2 * before
    assert float(u.detach().var()) > 0.3  # the latents did not simply vanish


def test_stop_gradient_leaves_mean_and_scale_alone() -> None:
    y, mu, sigma = (noise(1, 2, 8, 8, seed=k).abs().add(0.5).requires_grad_() for k in range(3))
    out = Output(y, {}, 1, y, y, y, mu, sigma)
    gradients = torch.autograd.grad(CorrelationLoss(1.0)(out), (y, mu, sigma))
    assert all(float(g.abs().sum()) > 0 for g in gradients)
    gradients = torch.autograd.grad(
        CorrelationLoss(1.0, stop_gradient=True)(out), (y, mu, sigma), allow_unused=True
    )
    assert gradients[0] is not None
    assert gradients[1:] == (None, None)


def test_what_cannot_be_measured_is_refused() -> None:
    out = output(noise(1, 1, 4, 4))
    with pytest.raises(ValueError, match="no window of 5 x 5 fits"):
        CorrelationLoss(window=5)(out)
    out.mu = None
    with pytest.raises(ValueError, match="no Gaussian mean"):
        CorrelationLoss()(out)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"alpha": value} for value in (-1.0, float("nan"), float("inf"), 10**400, "abc", "", True)),
        *({"window": value} for value in ("x", 3.0, 4, 1, True, 10**9 + 1)),
        *({"mask": value} for value in ("plus", [1], None)),
        *({"reduction": value} for value in ("max", [1], None)),
        *({"stop_gradient": value} for value in ("no", "maybe", 2, None)),
    ],
)
def test_options_name_themselves(wrong: dict[str, Any]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"^correlation loss: {name} must be .*, got ") as caught:
        Subject("calotype", correlation=wrong).build()
    assert repr(wrong[name]) in str(caught.value)
    with pytest.raises(ValueError, match=f"^{name} must be"):
        CorrelationLoss(**wrong)


@pytest.mark.parametrize(
    ("word", "meaning"), [("False", False), ("false", False), ("True", True), ("0", False)]
)
def test_words_for_stop_gradient(word: str, meaning: bool) -> None:
    words = ["minnen2018-mean-scale", "--lambda", "0.01", "--out", "x", "--set", "model.n=8"]
    words += ["--set", "model.m=12", "--set", f"correlation.stop_gradient={word}"]
    (job,) = options.jobs(options.parser("train").parse_args(words))
    assert options.to_json([job])["correlation"] == {"stop_gradient": meaning}
    assert job.subject.build().correlation.stop_gradient is meaning  # type: ignore[attr-defined]


# -- in models -----------------------------------------------------------------------------------------

NOT_GAUSSIAN = (
    "agustsson",
    "balle2017",
    "balle2018-factorized",
    "chen2021",
    "cheng2020-mixture",
    "johnston2018",
    "mentzer2018",
    "toderici",
)
GAUSSIAN = [one for one in systems() if not one.values[0].startswith(NOT_GAUSSIAN)]


@pytest.mark.parametrize("name", GAUSSIAN)
def test_every_gaussian_model_gives_normalised_latents(name: str) -> None:
    """u = (y - mu) / sigma with the bounded scale, for all latents; the analysis transform learns from it."""
    model = thin(name).train()
    out = model(picture(64, 64)[None] / 255)
    u = normalised(out)
    assert out.sigma is not None
    assert u.shape == out.y.shape
    assert float(out.sigma.detach().min()) >= 0.06
    loss = CorrelationLoss(1.0)(out)
    loss.backward()
    assert torch.isfinite(loss)
    assert any(
        p.grad is not None and float(p.grad.abs().sum()) > 0 for p in model.analyse_part().parameters()
    )


@pytest.mark.parametrize("name", ["balle2017", "cheng2020-mixture"])
def test_models_without_a_mean_and_a_scale_say_so(name: str) -> None:
    with pytest.raises(ValueError, match="Gaussian"):
        normalised(thin(name)(picture(64, 64)[None] / 255))


def test_the_product_model_too() -> None:
    model = product()
    x, level = picture(64, 64)[None] / 255, torch.tensor([3.0])
    out = model(x, level, generator=torch.Generator().manual_seed(0))
    u = normalised(out)
    assert u.shape == (1, 24, 4, 4)  # the tile without its padding
    residual, index = (t[:, :, :4, :4] for t in (out.latents.residual, out.latents.index))
    largest = index.detach().argmax()
    assert torch.equal(torch.sign(u), torch.sign(residual))
    ratio = (residual / u).flatten()[largest]
    assert float(ratio.detach()) == pytest.approx(float((residual / u).detach().nan_to_num().max()))
    CorrelationLoss(1.0)(out).backward()
    assert any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in model.analysis.parameters())


def objectives() -> list[Any]:
    lab = registry.build("minnen2018-mean-scale", **registry.entry("minnen2018-mean-scale").thin)
    return [RateDistortion(lab, 0.01), AllQualities(product())]


@pytest.mark.parametrize("which", [0, 1])
def test_added_to_an_objective(which: int) -> None:
    """Loss = objective + alpha L_corr of the same pass; validation and the log's other figures stay."""
    x = torch.stack([picture(64, 64, seed) for seed in range(2)])

    def run(alpha: float | None) -> tuple[Tensor, dict[str, Any], dict[str, Any]]:
        torch.manual_seed(0)
        objective = objectives()[which]
        if alpha is not None:
            objective = WithCorrelation(objective, CorrelationLoss(alpha))
        objective.model.train()
        loss, values = objective.training_loss(x, torch.Generator().manual_seed(1), False)
        loss.backward()
        objective.model.eval()
        return loss.detach(), values, objective.validate(x)

    bare, values, valid = run(None)
    zero, with_zero, _ = run(0.0)
    one, with_one, valid_one = run(1.0)
    torch.testing.assert_close(zero, bare)
    assert float(with_zero["correlation"]) == 0
    torch.testing.assert_close(one, bare + with_one["correlation"])
    assert float(with_one["correlation"]) > 0
    assert valid == valid_one
    assert set(with_one) == {*values, "correlation"}


def test_training_takes_it_by_name() -> None:
    """As fields of a subject, and from the command line into the configuration that is kept with a run."""
    thin_sizes = registry.entry("minnen2018-mean-scale").thin
    built = Subject("minnen2018-mean-scale", thin_sizes, lam=0.01, correlation={"alpha": 0.5}).build()
    assert isinstance(built, WithCorrelation)
    assert built.correlation.alpha == 0.5
    assert isinstance(Subject("calotype", correlation={"window": 5}).build(), WithCorrelation)
    assert isinstance(Subject("minnen2018-mean-scale", thin_sizes, lam=0.01).build(), RateDistortion)
    with pytest.raises(ValueError, match=r"no option 'beta'; it has alpha, window, mask"):
        Subject("minnen2018-mean-scale", thin_sizes, lam=0.01, correlation={"beta": 1}).build()
    words = ["minnen2018-mean-scale", "--lambda", "0.01", "--out", "x"]
    words += ["--set", "correlation.alpha=0.1", "--set", "correlation.mask=cross"]
    (job,) = options.jobs(options.parser("train").parse_args(words))
    assert job.subject.correlation == {"alpha": 0.1, "mask": "cross"}
    assert options.to_json([job])["correlation"] == {"alpha": 0.1, "mask": "cross"}
