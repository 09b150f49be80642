"""The correlation loss: spatial correlation that a hyperprior leaves in the latents is punished in training.

Ali et al., "Towards efficient image compression without autoregressive models", NeurIPS 2023, openreview
1ihGy9vAIg.

With ``u = (y - mu) / sigma`` of the latents that the entropy model sees, and all windows of k x k positions
inside the map (no padding: zeros would bias the map):

    map[i] = E[u_i u_centre]                     over batch, channels and windows
    L_corr = sum_i (mask_i map[i])^2             L = R + lambda D + alpha L_corr

Networks, files and decoding stay as they are.  An autoregressive decoder uses that correlation; this keeps it
out.

    loss = rate_distortion + CorrelationLoss()(out)

Whether the published ``alpha = 1e-13`` belongs to sums or averages is not said; only with sums is it of a
sensible size. Averages do not depend on the size of the batch, so they are the default; `convert_alpha` goes
from one to the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from calotype.lab.sizes import checked

PAPER_ALPHA = 1e-13
"""Published weight, for sums."""
MEAN_ALPHA = 0.036
"""The same for averages, at 16 crops of 256 x 256 with 192 latents (602,112 products)."""
WINDOW_MAX = 255
"""Far beyond any crop's latents; a map of more would not fit into memory."""
MASKS = ("point", "cross", "diagonal", "causal")
REDUCTIONS = ("mean", "sum")


def window_mask(kind: str, window: int = 3) -> Tensor:
    """``[window, window]`` of 0 and 1: the entries of the map that count.

    "point": all but the centre, whose entry is 1 by normalisation (the published one).  Our names for others:
    "cross": the centre's row and column; "diagonal": the two diagonals; "causal": what comes before the
    centre in raster order, half of the window (the map is symmetric up to the borders).
    """
    if not isinstance(window, int) or not 3 <= window <= WINDOW_MAX or window % 2 == 0:
        raise ValueError(f"window must be an odd whole number, 3 to {WINDOW_MAX}, got {window!r}")
    if kind not in MASKS:
        raise ValueError(f"mask must be one of {', '.join(MASKS)}, got {kind!r}")
    i = torch.arange(window) - window // 2
    row, column = i[:, None].expand(window, -1), i[None].expand(window, -1)
    chosen = {
        "point": torch.ones(window, window, dtype=torch.bool),
        "cross": (row == 0) | (column == 0),
        "diagonal": row.abs() == column.abs(),
        "causal": (row < 0) | ((row == 0) & (column < 0)),
    }
    mask = chosen[kind].float()
    mask[window // 2, window // 2] = 0
    return mask


def normalised(out: Any, *, stop_gradient: bool = False) -> Tensor:
    """``(y - mu) / sigma`` ``[B, M, h, w]`` of what a model returns.

    ``stop_gradient``: mu and sigma count as given, so that only the analysis transform learns from what
    follows.

    Raises:
        ValueError: if the entropy model is not Gaussian.
    """
    u: Tensor | None = out.normalised(stop_gradient=stop_gradient)
    if u is None:
        raise ValueError(
            "this entropy model has no Gaussian mean and scale, so there is nothing to normalise by"
        )
    return u


def products(shape: tuple[int, ...] | torch.Size, window: int = 3) -> int:
    """How many products a map's entry sums over: ``B M (h - k + 1) (w - k + 1)``.

    Raises:
        ValueError: if no window fits.
    """
    b, m, h, w = shape
    if min(h, w) < window:
        raise ValueError(f"no window of {window} x {window} fits into latents of {h} x {w}; use larger crops")
    return b * m * (h - window + 1) * (w - window + 1)


def convert_alpha(alpha: float, count: int, to: str = "mean") -> float:
    """The weight that means the same in the other reduction: ``alpha_mean = alpha_sum * count^2``.

    ``count``: `products` of one training step.
    """
    if to not in REDUCTIONS:
        raise ValueError(f"the reduction must be one of {', '.join(REDUCTIONS)}, got {to!r}")
    return alpha * count**2 if to == "mean" else alpha / count**2


class CorrelationLoss(nn.Module):
    """``alpha * sum_i (mask_i map[i])^2`` of a forward pass; called with what a model returns.

    ``alpha`` defaults to the published weight in the chosen reduction.

    Raises:
        ValueError: for an option of the wrong kind or out of range.
    """

    mask: Tensor

    def __init__(
        self,
        alpha: float | None = None,
        window: int = 3,
        mask: str = "point",
        reduction: str = "mean",
        *,
        stop_gradient: bool = False,
    ) -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join(REDUCTIONS)}, got {reduction!r}")
        if not isinstance(stop_gradient, bool):  # a word such as "no" would count as true
            raise ValueError(f"stop_gradient must be true or false, got {stop_gradient!r}")
        default = MEAN_ALPHA if reduction == "mean" else PAPER_ALPHA
        self.alpha = default if alpha is None else checked("alpha", alpha, default, zero=True)
        self.window, self.reduction, self.stop_gradient = window, reduction, stop_gradient
        self.register_buffer("mask", window_mask(mask, window), persistent=False)
        r = window // 2
        self.offsets = [(int(i), int(j)) for i, j in self.mask.nonzero() - r]

    def sums(self, u: Tensor) -> Tensor:
        """``sum u_i u_centre`` for every offset of the mask, in raster order; float32 at least."""
        u = u.to(torch.promote_types(u.dtype, torch.float32))
        r, (h, w) = self.window // 2, u.shape[2:]
        centre = u[..., r : h - r, r : w - r]
        return torch.stack(
            [(centre * u[..., r + i : h - r + i, r + j : w - r + j]).sum() for i, j in self.offsets]
        )

    def forward(self, out: Any) -> Tensor:
        u = normalised(out, stop_gradient=self.stop_gradient)
        count = products(u.shape, self.window)
        s = self.sums(u)
        return self.alpha * (s / count if self.reduction == "mean" else s).square().sum()

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, window={self.window}, entries={len(self.offsets)}, {self.reduction}"


class WithCorrelation:
    """A training objective plus the correlation loss of the same forward pass, for `calotype.lab.train.loop`.

    ``objective``: anything that offers ``model``, ``training_loss`` and ``validate``; validation stays as it
    is.
    """

    def __init__(self, objective: Any, correlation: CorrelationLoss) -> None:
        self.objective, self.model, self.correlation = objective, objective.model, correlation
        self._out: Any = None
        self.model.register_forward_hook(self._keep)

    def _keep(self, model: nn.Module, args: Any, out: Any) -> None:
        if model.training:
            self._out = out

    def check(self, crop: int) -> None:
        """Try one crop of that side, so that a run which cannot work is refused before it writes anything.

        Raises:
            ValueError: for an entropy model that is not Gaussian, or fewer latents than a window has.
        """
        device = next(self.model.parameters()).device
        x = torch.zeros(1, 3, crop, crop, dtype=torch.uint8, device=device)
        try:
            with torch.no_grad():
                self.training_loss(x, None, False)
        except ValueError as error:
            raise ValueError(f"correlation loss: {error}") from None

    def training_loss(
        self, x: Tensor, generator: torch.Generator | None, hard: bool
    ) -> tuple[Tensor, dict[str, Any]]:
        """The objective's loss plus ``alpha L_corr``; the log gains "correlation", the latter."""
        loss, values = self.objective.training_loss(x, generator, hard)
        out, self._out = self._out, None
        extra = self.correlation.to(loss.device)(out)
        return loss + extra, {**values, "correlation": extra.detach()}

    def validate(self, x: Tensor) -> dict[str, Any]:
        """Figures of the objective alone, so that they compare with those of a model trained without the
        loss.
        """
        return self.objective.validate(x)
