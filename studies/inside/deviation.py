"""Latent deviation: what rounding takes from the latents, against their size; Liu et al. (CVPR 2023, arXiv
2303.14978) show it with and without SWAtten.

    epsilon = |round(y - mu) - (y - mu)|          gamma = |y|          epsilon_s = epsilon / gamma

Printed, epsilon *sums* over the M channels while gamma averages, which gives values near M.  Only with both
averaged can the published 0.36 to 0.45 come about, so that is ``epsilon_s``; the printed form is
``epsilon_s_literal``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from studies.inside.specimens import Specimen


def deviation(residual: Tensor) -> Tensor:
    """``|round(v) - v|`` of ``v = y - mu``, 0 .. 1/2, of the same shape."""
    return (torch.round(residual) - residual).abs()


def epsilon(y: Tensor, residual: Tensor) -> float:
    """``epsilon_s`` of latents ``[B, M, h, w]`` and their residuals.

    Raises:
        ValueError: if all latents are 0.
    """
    gamma = float(y.abs().mean(dtype=torch.float64))
    if not gamma:
        raise ValueError("all latents are zero, so no deviation can be relative to them")
    return float(deviation(residual).mean(dtype=torch.float64)) / gamma


@dataclass
class Deviation:
    """One model, one picture."""

    label: str
    picture: str
    map: Tensor
    """Mean over channels of the deviation at every latent position, over gamma: ``[h, w]``."""
    epsilon_s: float
    gamma: float
    channels: int
    after: float | None
    """``|y_hat - y| / gamma`` of what the synthesis sees: less, if the latent residual prediction works."""

    @property
    def epsilon(self) -> float:
        """In quantisation steps."""
        return self.epsilon_s * self.gamma

    def numbers(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "picture": self.picture,
            "epsilon": self.epsilon,
            "gamma": self.gamma,
            "epsilon_s": self.epsilon_s,
            "epsilon_s_literal": self.epsilon_s * self.channels,
            "after_residual_prediction": self.after,
        }


def measure(specimen: Specimen, name: str, x: Tensor) -> Deviation:
    """The deviation of one picture ``[1, 3, H, W]`` at test time.

    Raises:
        AnalysisError: if the entropy model is not Gaussian.
        ValueError: if all latents are 0.
    """
    t = specimen.latents(x)
    try:
        relative = epsilon(t.y, t.residual)
    except ValueError as error:
        raise ValueError(f"{specimen.label}, {name}: {error}") from None
    gamma = float(t.y.abs().mean())
    after = None if t.y_hat is None else float((t.y_hat - t.y).abs().mean()) / gamma
    map_ = deviation(t.residual)[0].mean(0) / gamma
    return Deviation(specimen.label, name, map_, relative, gamma, t.y.shape[1], after)


def summary(results: list[Deviation]) -> dict[str, Any]:
    """Of one model over pictures: the mean of each figure, and all of them."""
    rows = [r.numbers() for r in results]
    keys = ("epsilon", "gamma", "epsilon_s", "epsilon_s_literal", "after_residual_prediction")
    mean = {k: _mean([row[k] for row in rows]) for k in keys}
    return {"model": results[0].label, **mean, "pictures": rows}


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
