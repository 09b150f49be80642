"""Drawings of the analyses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from studies.inside.correlation import CorrelationMap
from studies.inside.deviation import Deviation
from studies.inside.erf import Field


def _grid(rows: int, columns: int, side: float = 2.6) -> tuple[Any, Any]:
    figure = Figure(figsize=(side * columns + 0.6, (side + 0.3) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        figure.savefig(temporary, format="png", dpi=150)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def draw_fields(fields: list[Field], thresholds: tuple[float, ...], path: Path) -> None:
    """A row per threshold, a column per model; values above the threshold saturate."""
    figure, axes = _grid(len(thresholds), len(fields))
    for k, field in enumerate(fields):
        axes[0][k].set_title(field.label, fontsize=8)
        for row, threshold in enumerate(thresholds):
            axes[row][k].imshow(
                (field.map.clamp(max=threshold) / threshold).numpy(), cmap="inferno", vmin=0, vmax=1
            )
            axes[row][0].set_ylabel(f"clipped at {threshold:g}", fontsize=8)
    _save(figure, path)


def draw_deviations(pictures: list[Tensor], results: list[list[Deviation]], path: Path) -> None:
    """A row per picture: the picture ``[1, 3, H, W]``, then the map of each model on one scale."""
    models = len(results)
    figure, axes = _grid(len(pictures), models + 1)
    top = max(float(r.map.max()) for model in results for r in model)
    image = None
    for row, x in enumerate(pictures):
        axes[row][0].imshow(x[0].permute(1, 2, 0).clamp(0, 1).numpy())
        axes[row][0].set_ylabel(results[0][row].picture, fontsize=8)
        for k, model in enumerate(results):
            r = model[row]
            image = axes[row][k + 1].imshow(r.map.numpy(), cmap="viridis", vmin=0, vmax=top)
            axes[row][k + 1].set_title(f"{r.label}\nepsilon_s = {r.epsilon_s:.3f}", fontsize=8)
    figure.colorbar(image, ax=axes[:, 1:].ravel().tolist(), shrink=0.8)
    _save(figure, path)


def draw_correlations(maps: list[CorrelationMap], path: Path) -> None:
    """The mean map of each model with its numbers, on one scale."""
    draw_maps([(m.label, m.map) for m in maps], path)


def draw_maps(maps: list[tuple[str, Tensor]], path: Path) -> None:
    """Correlation maps ``[k, k]`` with their titles, on one scale."""
    figure, axes = _grid(1, len(maps), 3.2)
    image = None
    for axis, (title, m) in zip(axes[0], maps):
        image = _numbered(axis, m)
        axis.set_title(title, fontsize=8)
    figure.colorbar(image, ax=axes.ravel().tolist(), shrink=0.8)
    _save(figure, path)


def draw_channels(m: CorrelationMap, path: Path, columns: int = 16) -> None:
    """The map of every channel of one model."""
    maps = m.channels
    figure, axes = _grid(-(-len(maps) // columns), min(columns, len(maps)), 0.55)
    for k, axis in enumerate(axes.flat):
        if k >= len(maps):
            axis.set_axis_off()
            continue
        axis.imshow(torch.nan_to_num(maps[k]).numpy(), cmap="RdBu", vmin=-1, vmax=1)
        axis.set_title(str(k), fontsize=5, pad=1)
    _save(figure, path)


def _numbered(axis: Any, t: Tensor) -> Any:
    image = axis.imshow(torch.nan_to_num(t).numpy(), cmap="RdBu", vmin=-1, vmax=1)
    for i, row in enumerate(t.tolist()):
        for j, v in enumerate(row):
            axis.text(
                j,
                i,
                f"{v:.2f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if abs(v) > 0.6 else "black",
            )
    return image
