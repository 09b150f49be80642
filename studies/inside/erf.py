"""Effective receptive field: how strongly each input position moves one output position (Luo et al., NeurIPS
2016; of compression networks: the receptive fields shown by Liu et al., CVPR 2023, arXiv 2303.14978).

    G = sum over input channels of |d p / d x|,   p = sum over output channels at one position

averaged over pictures and scaled to a maximum of 1.  Figures show it clipped at a threshold: at 0.01 the
core, at 0.0001 how far the network reaches at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from studies.inside.specimens import Specimen

THRESHOLDS = (0.01, 0.0001)
HALVES = ("analysis", "synthesis")


def gradient_map(
    part: Callable[[Tensor], Tensor], x: Tensor, position: tuple[int, int] | None = None
) -> Tensor:
    """``|d p / d x|`` summed over input channels, ``[H, W]``.

    ``x`` ``[1, C, H, W]``; ``position`` (row, column) of the output, the middle by default.

    Raises:
        ValueError: for a position outside the output.
    """
    x = x.detach().clone().requires_grad_()
    out = part(x)
    h, w = out.shape[2:]
    row, column = position or (h // 2, w // 2)
    if not (0 <= row < h and 0 <= column < w):
        raise ValueError(f"position ({row}, {column}) is outside the output of {h} x {w}")
    (gradient,) = torch.autograd.grad(out[0, :, row, column].sum(), x)
    return gradient[0].abs().sum(0)


def extent(field: Tensor, threshold: float) -> dict[str, Any]:
    """Where a map exceeds ``threshold`` times its maximum: first and last row and column, and the share of
    positions.
    """
    inside = field > threshold * field.max()
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    if not len(rows):
        return {"rows": None, "columns": None, "share": 0.0}
    return {
        "rows": [int(rows[0]), int(rows[-1])],
        "columns": [int(columns[0]), int(columns[-1])],
        "share": float(inside.float().mean()),
    }


def sides(found: dict[str, Any]) -> str:
    """For tables: rows x columns of an `extent`."""
    if found["rows"] is None:
        return "nothing"
    return " x ".join(str(last - first + 1) for first, last in (found["rows"], found["columns"]))


def cut(field: Tensor, threshold: float) -> bool:
    """Whether a map exceeds ``threshold`` times its maximum at its border, so that the field may go on
    beyond the part of the picture that was looked at.
    """
    inside = field > threshold * field.max()
    border = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
    return any(bool(side.any()) for side in border)


def radius(field: Tensor) -> float:
    """Root mean square distance from the centre of gravity, in positions of the input."""
    weight = field / field.sum()
    i, j = (torch.arange(n, dtype=field.dtype) for n in field.shape)
    row, column = (weight.sum(1) * i).sum(), (weight.sum(0) * j).sum()
    return float(((i - row).square()[:, None] * weight + (j - column).square()[None] * weight).sum().sqrt())


@dataclass
class Field:
    """The effective receptive field of one half of a model."""

    label: str
    half: str
    map: Tensor
    """``[H, W]``, maximum 1; pixels for the analysis, latents for the synthesis."""
    pictures: list[str]

    def warning(self, thresholds: tuple[float, ...] = THRESHOLDS) -> str | None:
        """What to know of a field that is larger than what was looked at; None if it is not."""
        at = [f"{t:g}" for t in thresholds if cut(self.map, t)]
        if not at:
            return None
        unit = "pixels" if self.half == "analysis" else "latents"
        h, w = self.map.shape
        return (
            f"{self.label}: above {', '.join(at)} the field reaches the edge of the {h} x {w} {unit} looked "
            "at, so its extent and radius are too small; --size with a larger picture shows more"
        )

    def numbers(self, thresholds: tuple[float, ...] = THRESHOLDS) -> dict[str, Any]:
        """For JSON."""
        return {
            "model": self.label,
            "half": self.half,
            "input": list(self.map.shape),
            "radius": radius(self.map) if self.map.any() else None,
            "extent": {f"{t:g}": extent(self.map, t) for t in thresholds},
            "cut": {f"{t:g}": cut(self.map, t) for t in thresholds},
            "pictures": self.pictures,
        }


def effective_field(
    specimen: Specimen,
    pictures: list[tuple[str, Tensor]],
    half: str = "analysis",
    position: tuple[int, int] | None = None,
    size: int = 256,
) -> Field:
    """The mean over pictures of `gradient_map`, each cut to its middle ``size`` x ``size``.

    ``position``: of the latent (analysis) or the pixel (synthesis); the middle by default.
    """
    if half not in HALVES:
        raise ValueError(f"half must be one of {', '.join(HALVES)}, got {half!r}")
    total = None
    for _, x in pictures:
        x = specimen.crop(middle(x, size))
        if half == "analysis":
            g = gradient_map(specimen.model.analyse, x, position)
        else:
            g = _of_synthesis(specimen, x, position)
        total = g if total is None else total + g
    if total is None:
        raise ValueError("no pictures")
    return Field(specimen.label, half, total / total.max().clamp_min(1e-30), [name for name, _ in pictures])


def _of_synthesis(specimen: Specimen, x: Tensor, position: tuple[int, int] | None) -> Tensor:
    with torch.no_grad():
        y_hat, *more = specimen.model(x).known
    return gradient_map(lambda t: specimen.model.synthesise(t, *more), y_hat, position)


def middle(x: Tensor, size: int) -> Tensor:
    """The middle ``size`` x ``size`` of a picture ``[1, 3, H, W]``, which is repeated where it is smaller."""
    h, w = x.shape[2:]
    x = x.repeat(1, 1, -(-size // h), -(-size // w))
    top, left = (x.shape[2] - size) // 2, (x.shape[3] - size) // 2
    return x[:, :, top : top + size, left : left + size]
