"""The laboratory's own optimisers."""

from __future__ import annotations

import pytest
import torch

from calotype.lab.train.optim import Muon, Soap


@pytest.mark.parametrize("shape", [(12, 40), (40, 12), (8, 4, 3, 3)])
def test_a_step_of_muon_has_the_gradients_directions_and_equal_strengths(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.nn.Parameter(torch.zeros(shape))
    p.grad = torch.randn(shape, generator=generator)
    Muon([p], lr=0.1).step()
    step, grad = -p.detach().flatten(1).double(), p.grad.flatten(1).double()
    u, strengths, v = torch.linalg.svd(grad, full_matrices=False)
    inner = u.T @ step @ v.T / (0.1 * 0.2 * max(step.shape) ** 0.5)
    assert 0.6 < inner.diagonal().min() <= inner.diagonal().max() < 1.3
    assert (inner - inner.diagonal().diag()).abs().max() < 1e-3
    assert strengths.max() / strengths.min() > 1.5  # which the gradient itself has not


def test_vectors_get_adam_from_muon() -> None:
    a, b = (torch.nn.Parameter(torch.zeros(5)) for _ in range(2))
    muon, adam = Muon([a], lr=0.01), torch.optim.Adam([b], lr=0.01, betas=(0.9, 0.99))
    for k in range(4):
        a.grad = torch.arange(5.0) - k
        b.grad = a.grad.clone()
        muon.step()
        adam.step()
    torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", [Soap, Muon])
def test_they_find_the_least_squares_of_an_ill_conditioned_problem(kind: type[torch.optim.Optimizer]) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(64, 8, generator=generator) * torch.logspace(0, -1.5, 8)
    target = x @ torch.randn(8, 6, generator=generator)
    w = torch.nn.Parameter(torch.zeros(6, 8))
    optimizer, losses = kind([w], lr=0.1), []  # type: ignore[call-arg]
    for k in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - k / 300)
        optimizer.zero_grad()
        loss = (x @ w.T - target).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-3 * losses[0]
