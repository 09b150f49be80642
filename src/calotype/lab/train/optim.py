"""Optimisers of the laboratory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from fnmatch import fnmatch
from typing import Any

import torch
from torch import Tensor, nn

from calotype.lab.train.config import TrainConfig


class Soap(torch.optim.Optimizer):
    """SOAP: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024, arXiv 2409.11321).

    A weight is seen as a matrix ``[out, in * k * k]``.  Sides longer than ``largest`` keep their own axes,
    and vectors get plain Adam.  The eigenbasis is refreshed by one step of orthogonal iteration every
    ``every`` steps.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.95, 0.95),
        eps: float = 1e-8,
        every: int = 10,
        largest: int = 600,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "every": every, "largest": largest})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._update(p, group)

    def _update(self, p: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        assert p.grad is not None
        grad = p.grad.contiguous().reshape(p.shape[0], -1) if p.dim() > 1 else p.grad
        if not state:
            state["step"] = 0
            state["m"], state["v"] = torch.zeros_like(grad), torch.zeros_like(grad)
            sides = [n if p.dim() > 1 and 1 < n <= group["largest"] else 0 for n in grad.shape]
            for side, n in zip("lr", sides, strict=False):
                if n:
                    state["c" + side] = torch.zeros(n, n, device=p.device)
        beta1, beta2 = group["betas"]
        self._basis(state, grad, beta2, group["every"])
        state["step"] += 1
        t = state["step"]
        state["m"].lerp_(grad, 1 - beta1)
        rotated = self._rotate(grad, state)
        state["v"].mul_(beta2).addcmul_(rotated, rotated, value=1 - beta2)
        denominator = (state["v"] / (1 - beta2**t)).sqrt_().add_(group["eps"])
        update = self._rotate(state["m"], state) / denominator
        update = self._rotate(update, state, back=True)
        p.add_(update.reshape(p.shape), alpha=-group["lr"] / (1 - beta1**t))

    @staticmethod
    def _basis(state: dict[str, Any], grad: Tensor, beta2: float, every: int) -> None:
        t = state["step"]
        for side in "lr":
            if "c" + side not in state:
                continue
            c = state["c" + side]
            c.lerp_(grad @ grad.T if side == "l" else grad.T @ grad, 1 - beta2)
            if t == 0:
                state["q" + side] = _eigenvectors(c)
            elif t % every == 0:
                state["q" + side] = torch.linalg.qr(c @ state["q" + side])[0].contiguous()

    @staticmethod
    def _rotate(x: Tensor, state: dict[str, Any], back: bool = False) -> Tensor:
        if "ql" in state:
            x = (state["ql"] if back else state["ql"].T) @ x
        if "qr" in state:
            x = x @ (state["qr"].T if back else state["qr"])
        return x


def _eigenvectors(c: Tensor) -> Tensor:
    """Orthonormal eigenvectors; a ridge keeps the solver going on gradients that are partly zero."""
    size = c.diagonal().mean()
    if size == 0:
        return torch.eye(len(c), device=c.device)
    ridge = torch.linspace(1e-6, 2e-6, len(c), dtype=torch.float64, device=c.device)
    # By rows in memory, as a checkpoint stores it: products must not change when a run is resumed.
    return torch.linalg.eigh((c / size).double() + torch.diag(ridge))[1].to(c.dtype).contiguous()


class Muon(torch.optim.Optimizer):
    """Muon: momentum whose singular values are all made 1, roughly (Jordan et al. 2024).

    A weight is seen as a matrix ``[out, in * k * k]``.  A step is scaled to the size of one of Adam's, 0.2
    per entry (Liu et al. 2025, arXiv 2502.16982), so that one learning rate suits both.  Vectors get Adam.
    """

    COEFFICIENTS = (3.4445, -4.775, 2.0315)
    """Of the quintic iteration: singular values come to 0.7..1.2 in five rounds."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
        rounds: int = 5,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "betas": betas, "eps": eps, "rounds": rounds}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    (self._matrix if p.dim() > 1 else self._vector)(p, p.grad, group)

    def _matrix(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["m"] = torch.zeros_like(grad)
        state["m"].lerp_(grad, 1 - group["momentum"])
        ahead = grad.lerp(state["m"], group["momentum"]).flatten(1)
        update = self._orthogonal(ahead, group["rounds"]).reshape(p.shape)
        p.add_(update, alpha=-0.2 * group["lr"] * max(ahead.shape) ** 0.5)

    def _vector(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[p]
        if not state:
            state["step"], state["m"], state["v"] = 0, torch.zeros_like(grad), torch.zeros_like(grad)
        beta1, beta2 = group["betas"]
        state["step"] += 1
        t = state["step"]
        state["m"].lerp_(grad, 1 - beta1)
        state["v"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        denominator = (state["v"] / (1 - beta2**t)).sqrt_().add_(group["eps"])
        p.addcdiv_(state["m"], denominator, value=-group["lr"] / (1 - beta1**t))

    @classmethod
    def _orthogonal(cls, x: Tensor, rounds: int) -> Tensor:
        """Newton-Schulz iteration on the shorter side of ``x``."""
        a, b, c = cls.COEFFICIENTS
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / x.norm().clamp_min(1e-12)
        for _ in range(rounds):
            square = x @ x.T
            x = a * x + (b * square + c * square @ square) @ x
        return x.T if tall else x


def freeze(model: nn.Module, patterns: str) -> None:
    """Exempt from training the parameters whose names fit; ``patterns`` as in file names (`fnmatch`), with
    commas between them.

    Raises:
        ValueError: for a pattern that no name fits, or when nothing would be left to train.
    """
    for pattern in filter(None, (part.strip() for part in patterns.split(","))):
        found = [p for name, p in model.named_parameters() if fnmatch(name, pattern)]
        if not found:
            raise ValueError(f"freeze: no parameter's name fits {pattern!r}")
        for p in found:
            p.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("freeze: nothing is left to train")


def paces(text: str, model: nn.Module) -> dict[str, float]:
    """``PATTERN=FACTOR,...`` as a table.

    Raises:
        ValueError: for a factor that is not a positive number, or a pattern that no parameter's name fits.
    """
    found = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        pattern, _, factor = item.partition("=")
        try:
            found[pattern] = float(factor)
        except ValueError:
            found[pattern] = 0.0
        if not 0 < found[pattern] < math.inf:
            raise ValueError(f"paces: {item!r} is not PATTERN=FACTOR with a factor above 0")
        if not any(fnmatch(name, pattern) for name, _ in model.named_parameters()):
            raise ValueError(f"paces: no parameter's name fits {pattern!r}")
    return found


def betas(text: str) -> tuple[float, float] | None:
    """Two decays with a comma between; None for none.

    Raises:
        ValueError: when that is not what it is.
    """
    if not text:
        return None
    try:
        first, second = (float(part) for part in text.split(","))
    except ValueError:
        first = second = -1.0
    if not (0 <= first < 1 and 0 <= second < 1):
        raise ValueError(f"betas must be two numbers from 0 to below 1 with a comma between, got {text!r}")
    return first, second


def build_optimizer(
    config: TrainConfig, model: nn.Module, *, capturable: bool | None = None
) -> torch.optim.Optimizer:
    """The optimiser that ``config.optimizer`` names.

    capturable: Adam as one kernel that a CUDA graph can record: learning rates and steps are tensors on the
        parameters' device, and a step can be left out by a tensor, ``found_inf``.  By default where the
        parameters are on a GPU.

    ``config.paces`` and then the model may set the pace of some parameters: ``learning_rate_factors() ->
    {pattern: factor}``, the first pattern that fits a name (as in file names, `fnmatch`) counts.

    Raises:
        ValueError: for a pace that is not a positive number, or whose pattern no name fits.
    """
    own = model.learning_rate_factors() if hasattr(model, "learning_rate_factors") else {}
    asked = paces(config.paces, model)
    factors = asked | {pattern: factor for pattern, factor in own.items() if pattern not in asked}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            factor = next((f for pattern, f in factors.items() if fnmatch(name, pattern)), 1.0)
            groups.setdefault(factor, []).append(parameter)
    options = [{"params": params, "factor": factor} for factor, params in groups.items()]
    if config.optimizer == "soap":
        own = betas(config.betas) or (0.95, 0.95)
        return Soap(options, lr=config.lr, betas=own, every=config.precondition)
    pair = betas(config.betas) or (0.9, 0.99)
    if config.optimizer == "muon":
        return Muon(options, lr=config.lr, betas=pair)
    device = next(model.parameters()).device
    if not (device.type == "cuda" if capturable is None else capturable):
        return torch.optim.Adam(options, lr=config.lr, betas=pair)
    for option in options:
        option["lr"] = torch.tensor(config.lr, device=device)
    return torch.optim.Adam(options, lr=config.lr, betas=pair, fused=True, capturable=True)


def set_rates(optimizer: torch.optim.Optimizer, rate: float, on_device: Tensor) -> None:
    """Give every group the schedule's rate times its own ``factor``.

    on_device: the same rate as a tensor, for an optimiser whose rates are tensors.
    """
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            torch.mul(on_device, group["factor"], out=group["lr"])
        else:
            group["lr"] = rate * group["factor"]
